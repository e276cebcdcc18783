-- Chunks of the hypertable $1.$2: the newest, the oldest and others, $4 in all, always the same. Each
-- with its pages and the starts of its first and last bucket of width $3.
SELECT
    c.chunk_schema::text,
    c.chunk_name::text,
    (SELECT pg_relation_size(r.oid) / current_setting('block_size')::bigint
     FROM pg_class r JOIN pg_namespace s ON s.oid = r.relnamespace
     WHERE s.nspname = c.chunk_schema AND r.relname = c.chunk_name),
    ARRAY[c.range_start, c.range_end - $3::text::interval]::text[]
FROM (
    SELECT *,
        row_number() OVER (ORDER BY range_start) AS from_oldest,
        row_number() OVER (ORDER BY range_start DESC) AS from_newest
    FROM timescaledb_information.chunks
    WHERE hypertable_schema = $1 AND hypertable_name = $2
) c
ORDER BY least(from_newest, from_oldest) > 2, md5(c.chunk_name)
LIMIT $4
