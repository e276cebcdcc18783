-- Rows of a batch that the ledger does not know yet; without an id, of one that it knows by now.
WITH batch AS (
    INSERT INTO signal_ingest_batch (id, table_name, rows)
    SELECT $1::uuid, 'signal_indicators', cardinality($2::varchar[])
    WHERE $1::uuid IS NOT NULL
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
INSERT INTO signal_indicators (
    signal_id, instrument_key, "timestamp", indicator_name, parameters, "values"
)
SELECT *
FROM unnest(
    $2::varchar[], $3::varchar[], $4::timestamptz[], $5::varchar[], $6::jsonb[], $7::jsonb[]
)
WHERE $1::uuid IS NULL OR EXISTS (SELECT FROM batch)
