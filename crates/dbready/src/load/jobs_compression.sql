-- Compresses the newest chunk that is complete and not compressed.
SELECT compress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass)
FROM (
    SELECT chunk_schema, chunk_name
    FROM timescaledb_information.chunks
    WHERE hypertable_schema = $1 AND hypertable_name = $2 AND range_end < now() AND NOT is_compressed
    ORDER BY range_end DESC
    LIMIT 1
) AS chunk
