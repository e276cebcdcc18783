-- Rows of table $2 in schema $1 with its chunks or partitions, as the planner estimates them. Where
-- statistics were never gathered, a row is taken to be a hundred bytes long.
SELECT coalesce(sum(
    CASE WHEN part.reltuples >= 0 THEN part.reltuples ELSE pg_relation_size(part.oid) / 100 END
), 0)::bigint
FROM pg_class whole
JOIN pg_namespace space ON space.oid = whole.relnamespace
JOIN pg_class part ON part.oid = whole.oid
    OR part.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = whole.oid)
WHERE space.nspname = $1 AND whole.relname = $2
