-- Rollups that are not stale, with whether their last strike is that of a newest row: of several rows at
-- one instant any may be the last.
SELECT
    r.instrument_key, bucket, chunk, data_points, last_timestamp,
    g.instrument_key IS NOT NULL AS last_strike_price,
    delta_sum, delta_count,
    gamma_sum, gamma_count,
    theta_sum, theta_count,
    vega_sum, vega_count,
    rho_sum, rho_count,
    implied_volatility_sum, implied_volatility_count,
    theoretical_value_sum, theoretical_value_count,
    underlying_price_sum, underlying_price_count
FROM signal_greeks_rollup AS r
LEFT JOIN (
    SELECT DISTINCT instrument_key, "timestamp", strike_price FROM signal_greeks
    WHERE "timestamp" >= $1 AND "timestamp" < $2
) AS g
    ON g.instrument_key = r.instrument_key AND g."timestamp" = r.last_timestamp
    AND g.strike_price IS NOT DISTINCT FROM r.last_strike_price
WHERE bucket >= $1 AND bucket < $2
    AND chunk IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'signal_greeks'::regclass)
    AND NOT EXISTS (
        SELECT FROM signal_greeks_rollup_stale AS s
        WHERE s.instrument_key = r.instrument_key AND s.bucket = r.bucket
    )
