-- Readers lock a chunk and then its indexes; drop_chunks begins with an index. Whoever drops locks the
-- chunk first, or they deadlock. Behind a long read it gives up, so that others need not wait for both.
SELECT
    range_end,
    format(
        'SET LOCAL lock_timeout = ''2s''; LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE',
        chunk_schema, chunk_name
    ) AS lock
FROM timescaledb_information.chunks
WHERE to_regclass(format('%I.%I', hypertable_schema, hypertable_name)) = to_regclass($1)
    AND range_end <= $2
ORDER BY range_end
