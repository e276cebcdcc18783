SELECT coalesce(l.op_id, t.op_id) AS op_id,
       l.op_id IS NOT NULL AS in_ledger,
       coalesce(t.copies, 0) AS copies,
       l.payload IS NOT DISTINCT FROM t.payload AS same,
       coalesce(l.payload, t.payload) AS payload
FROM (SELECT op_id, payload FROM drill_ledger WHERE op_id BETWEEN $1 AND $2) AS l
FULL JOIN (
    SELECT op_id, count(*) AS copies, min(payload) AS payload
    FROM drill_target
    WHERE op_id BETWEEN $1 AND $2
    GROUP BY op_id
) AS t ON t.op_id = l.op_id
