-- Relations of this database that the open transaction has locked, a chunk or partition as its table and an
-- index as its table: $1 whether locks for reading count.
SELECT DISTINCT coalesce(link.inhparent, held.relation) AS relation
FROM (
    SELECT coalesce(i.indrelid, l.relation) AS relation
    FROM pg_locks l
    LEFT JOIN pg_index i ON i.indexrelid = l.relation
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND ($1 OR l.mode <> 'AccessShareLock')
) held
LEFT JOIN pg_inherits link ON link.inhrelid = held.relation
