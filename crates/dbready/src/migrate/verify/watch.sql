-- Locks that another session holds on tables and their indexes, a chunk or partition as its table: $1 its
-- process. What that session itself made is not seen from here, and nobody waits for it.
SELECT DISTINCT coalesce(link.inhparent, held.relation) AS "table", held.mode
FROM (
    SELECT coalesce(i.indrelid, l.relation) AS relation, l.mode
    FROM pg_locks l
    LEFT JOIN pg_index i ON i.indexrelid = l.relation
    WHERE l.pid = $1 AND l.locktype = 'relation' AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
) held
LEFT JOIN pg_inherits link ON link.inhrelid = held.relation
