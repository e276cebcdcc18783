-- Rows of a batch that the ledger does not know yet; without an id, of one that it knows by now.
WITH batch AS (
    INSERT INTO signal_ingest_batch (id, table_name, rows)
    SELECT $1::uuid, 'signal_moneyness_greeks', cardinality($2::varchar[])
    WHERE $1::uuid IS NOT NULL
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
INSERT INTO signal_moneyness_greeks (
    underlying_symbol, moneyness_level, expiry_date, "timestamp", spot_price, all_delta,
    all_gamma, all_theta, all_vega, all_rho, all_iv, all_count, calls_delta, calls_gamma,
    calls_theta, calls_vega, calls_rho, calls_iv, calls_count, puts_delta, puts_gamma,
    puts_theta, puts_vega, puts_rho, puts_iv, puts_count, min_strike, max_strike, strike_count
)
SELECT *
FROM unnest(
    $2::varchar[], $3::varchar[], $4::date[], $5::timestamptz[], $6::numeric[], $7::numeric[],
    $8::numeric[], $9::numeric[], $10::numeric[], $11::numeric[], $12::numeric[],
    $13::integer[], $14::numeric[], $15::numeric[], $16::numeric[], $17::numeric[],
    $18::numeric[], $19::numeric[], $20::integer[], $21::numeric[], $22::numeric[],
    $23::numeric[], $24::numeric[], $25::numeric[], $26::numeric[], $27::integer[],
    $28::numeric[], $29::numeric[], $30::integer[]
)
WHERE $1::uuid IS NULL OR EXISTS (SELECT FROM batch)
