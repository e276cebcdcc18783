-- One million rows of one instrument, a second apart, and their rollups.
INSERT INTO signal_greeks (
    signal_id, instrument_key, "timestamp", delta, gamma, theta, vega, rho, implied_volatility,
    theoretical_value, underlying_price, strike_price, time_to_expiry
)
SELECT
    'signal_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD') || '_' || lpad((n % 1000000)::text, 6, '0'),
    'NSE@LOADTEST@CE@24000', at, (n % 2000 - 1000) / 1000.0, (n % 100) / 1000.0, -(n % 700) / 100.0,
    (n % 900) / 100.0, (n % 300) / 100.0, 0.1 + (n % 400) / 1000.0, 100 + n % 500, 24000 + n % 300, 24000, 0.05
FROM (
    SELECT n, date_trunc('hour', now()) - n * INTERVAL '1 second' AS at
    FROM generate_series(1, 1000000) AS n
) AS tick;
SELECT refresh_signal_greeks_rollup(now(), 100000);
ANALYZE signal_greeks;
ANALYZE signal_greeks_rollup;
