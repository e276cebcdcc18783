-- Partitions and chunks count for the table that they belong to.
WITH RECURSIVE part (root, oid) AS (
    SELECT c.oid, c.oid
    FROM pg_class AS c
    INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p')
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        AND n.nspname NOT LIKE '\_timescaledb%' AND n.nspname NOT LIKE 'pg\_temp%'
        AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid)
    UNION ALL
    SELECT part.root, inhrelid
    FROM part
    INNER JOIN pg_inherits ON inhparent = part.oid
)
SELECT
    root::regclass::text,
    sum(greatest(c.reltuples, 0))::bigint AS rows,
    sum(pg_total_relation_size(c.oid))::bigint
FROM part
INNER JOIN pg_class AS c ON c.oid = part.oid
GROUP BY root
ORDER BY rows DESC, 1
LIMIT 50
