-- As historical_greeks, from the rollups; the same answer whenever the bucket width is a multiple of
-- five minutes. The first and the last five minutes of the range, and those marked as stale, are
-- computed from the raw rows.
WITH recomputed AS MATERIALIZED (
    SELECT time_bucket(INTERVAL '5 minutes', $3) AS bucket
    UNION
    SELECT time_bucket(INTERVAL '5 minutes', $4)
    UNION
    SELECT bucket FROM signal_greeks_rollup_stale
    WHERE instrument_key = $2 AND bucket > $3 AND bucket <= $4
),
part AS (
    SELECT
        bucket, data_points, last_timestamp, last_strike_price,
        delta_sum, delta_count, gamma_sum, gamma_count, theta_sum, theta_count,
        vega_sum, vega_count, rho_sum, rho_count,
        implied_volatility_sum, implied_volatility_count,
        theoretical_value_sum, theoretical_value_count,
        underlying_price_sum, underlying_price_count
    FROM signal_greeks_rollup AS rollup
    WHERE instrument_key = $2 AND bucket > $3 AND bucket < time_bucket(INTERVAL '5 minutes', $4)
        AND NOT EXISTS (SELECT FROM recomputed WHERE recomputed.bucket = rollup.bucket)
        AND chunk IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'signal_greeks'::regclass)
    UNION ALL
    SELECT recomputed.bucket, raw.*
    FROM recomputed
    CROSS JOIN LATERAL (
        SELECT
            count(*), max("timestamp"), last(strike_price, "timestamp"),
            sum(delta), count(delta), sum(gamma), count(gamma), sum(theta), count(theta),
            sum(vega), count(vega), sum(rho), count(rho),
            sum(implied_volatility), count(implied_volatility),
            sum(theoretical_value), count(theoretical_value),
            sum(underlying_price), count(underlying_price)
        FROM signal_greeks
        WHERE instrument_key = $2
            AND "timestamp" >= recomputed.bucket AND "timestamp" < recomputed.bucket + INTERVAL '5 minutes'
            AND "timestamp" >= $3 AND "timestamp" <= $4
    ) AS raw (data_points)
    WHERE raw.data_points > 0
)
SELECT
    time_bucket($1::interval, bucket) AS bucket,
    sum(delta_sum) / nullif(sum(delta_count), 0) AS delta,
    sum(gamma_sum) / nullif(sum(gamma_count), 0) AS gamma,
    sum(theta_sum) / nullif(sum(theta_count), 0) AS theta,
    sum(vega_sum) / nullif(sum(vega_count), 0) AS vega,
    sum(rho_sum) / nullif(sum(rho_count), 0) AS rho,
    sum(implied_volatility_sum) / nullif(sum(implied_volatility_count), 0) AS implied_volatility,
    sum(theoretical_value_sum) / nullif(sum(theoretical_value_count), 0) AS theoretical_value,
    sum(underlying_price_sum) / nullif(sum(underlying_price_count), 0) AS underlying_price,
    last(last_strike_price, last_timestamp) AS strike_price,
    sum(data_points)::bigint AS data_points
FROM part
GROUP BY 1
ORDER BY 1
