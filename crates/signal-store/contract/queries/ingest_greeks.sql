-- Rows of a batch that the ledger does not know yet; without an id, of one that it knows by now.
WITH batch AS (
    INSERT INTO signal_ingest_batch (id, table_name, rows)
    SELECT $1::uuid, 'signal_greeks', cardinality($2::varchar[])
    WHERE $1::uuid IS NOT NULL
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
INSERT INTO signal_greeks (
    signal_id, instrument_key, "timestamp", delta, gamma, theta, vega, rho, implied_volatility,
    theoretical_value, underlying_price, strike_price, time_to_expiry
)
SELECT *
FROM unnest(
    $2::varchar[], $3::varchar[], $4::timestamptz[], $5::numeric[], $6::numeric[],
    $7::numeric[], $8::numeric[], $9::numeric[], $10::numeric[], $11::numeric[],
    $12::numeric[], $13::numeric[], $14::numeric[]
)
WHERE $1::uuid IS NULL OR EXISTS (SELECT FROM batch)
