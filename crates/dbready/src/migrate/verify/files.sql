-- The file of every table, chunk and partition, with the table that it belongs to.
SELECT coalesce(link.inhparent, c.oid) AS "table", c.oid AS relation, c.relfilenode AS file
FROM pg_class c
LEFT JOIN pg_inherits link ON link.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relfilenode <> 0 AND c.oid >= 16384
