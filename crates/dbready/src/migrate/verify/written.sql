-- Rows read one after the other and written by the open transaction, a chunk or partition as its table.
SELECT coalesce(link.inhparent, s.relid) AS "table",
    sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del)::bigint AS written,
    sum(s.seq_tup_read)::bigint AS scanned
FROM pg_stat_xact_all_tables s
LEFT JOIN pg_inherits link ON link.inhrelid = s.relid
GROUP BY 1
