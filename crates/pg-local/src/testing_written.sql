-- The tables of a database, each with the rows inserted, updated and deleted since it was made, in the
-- table and in all that inherit from it: partitions, and chunks of hypertables.
WITH RECURSIVE part AS (
    SELECT oid AS whole, oid AS part
    FROM pg_class
    WHERE relkind IN ('r', 'p')
    UNION
    SELECT part.whole, inhrelid
    FROM part
    JOIN pg_inherits ON inhparent = part.part
),
written AS (
    SELECT whole,
           sum(pg_stat_get_tuples_inserted(part)) AS inserted,
           sum(pg_stat_get_tuples_updated(part)) AS updated,
           sum(pg_stat_get_tuples_deleted(part)) AS deleted
    FROM part
    GROUP BY whole
)
SELECT coalesce(json_agg(json_build_array(
           nspname, relname, json_build_array(inserted, updated, deleted)
       ) ORDER BY nspname, relname), '[]')
FROM written
JOIN pg_class ON pg_class.oid = whole
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname <> 'information_schema'
  AND nspname !~ '^(pg|_timescaledb)_'
  AND inserted + updated + deleted > 0
