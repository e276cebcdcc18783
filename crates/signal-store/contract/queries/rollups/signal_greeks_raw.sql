-- The same from the rows themselves.
SELECT
    instrument_key, time_bucket(INTERVAL '5 minutes', "timestamp") AS bucket, g.tableoid::regclass AS chunk,
    count(*) AS data_points, max("timestamp") AS last_timestamp,
    true AS last_strike_price,
    sum(delta) AS delta_sum, count(delta) AS delta_count,
    sum(gamma) AS gamma_sum, count(gamma) AS gamma_count,
    sum(theta) AS theta_sum, count(theta) AS theta_count,
    sum(vega) AS vega_sum, count(vega) AS vega_count,
    sum(rho) AS rho_sum, count(rho) AS rho_count,
    sum(implied_volatility) AS implied_volatility_sum, count(implied_volatility) AS implied_volatility_count,
    sum(theoretical_value) AS theoretical_value_sum, count(theoretical_value) AS theoretical_value_count,
    sum(underlying_price) AS underlying_price_sum, count(underlying_price) AS underlying_price_count
FROM signal_greeks AS g
WHERE "timestamp" >= $1 AND "timestamp" < $2
    AND NOT EXISTS (
        SELECT FROM signal_greeks_rollup_stale AS s
        WHERE s.instrument_key = g.instrument_key
            AND s.bucket = time_bucket(INTERVAL '5 minutes', g."timestamp")
    )
GROUP BY 1, 2, 3
