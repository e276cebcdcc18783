-- Chunks of each hypertable, and for how many days the oldest has been over; null for those that
-- something else than time partitions.
SELECT
    c.hypertable_schema::text AS schema,
    c.hypertable_name::text AS name,
    count(*)::double precision AS chunks,
    (extract(epoch FROM now() - min(c.range_end)) / 86400)::double precision AS days_over
FROM timescaledb_information.chunks c
GROUP BY 1, 2
