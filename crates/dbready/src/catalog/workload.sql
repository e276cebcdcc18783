-- What pg_stat_statements holds of statements that this database was sent, an entry a row, those with the
-- most time in total first: $1 rows at most, and no text longer than $2 bytes. `extension` stands for its
-- schema. Columns are named as they are since version 1.8; what later versions added is null before.
SELECT
    CASE WHEN octet_length(s.query) <= $2 THEN s.query END AS text,
    s.queryid IS NULL AND s.query = '<insufficient privilege>' AS hidden,
    s.calls::double precision AS calls,
    s.mean_exec_time AS mean,
    s.stddev_exec_time AS deviation,
    -- The slowest call may have been forgotten alone.
    CASE WHEN later.fields ->> 'minmax_stats_since' IS NOT DISTINCT FROM later.fields ->> 'stats_since'
        THEN s.max_exec_time END AS slowest,
    extract(epoch FROM clock_timestamp()
        - coalesce((later.fields ->> 'stats_since')::timestamptz, reset.at))::double precision AS seconds,
    count(*) OVER () AS entries
FROM extension.pg_stat_statements s
CROSS JOIN LATERAL (SELECT to_jsonb(s) - 'query') later (fields)
CROSS JOIN LATERAL (SELECT NULL::timestamptz /* reset */) reset (at)
WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  -- Statements within functions speak of variables of theirs.
  AND coalesce((later.fields ->> 'toplevel')::boolean, true)
  AND s.calls > 0 AND s.query IS NOT NULL
ORDER BY s.total_exec_time DESC, s.queryid
LIMIT $1
