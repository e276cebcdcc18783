-- Drops the oldest chunk that is complete.
SELECT drop_chunks(
    format('%I.%I', $1::text, $2::text)::regclass,
    older_than => (
        SELECT min(range_end)
        FROM timescaledb_information.chunks
        WHERE hypertable_schema = $1 AND hypertable_name = $2 AND range_end < now()
    )
)
