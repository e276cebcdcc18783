SELECT
    id, signal_id, instrument_key, "timestamp",
    delta, gamma, theta, vega, rho,
    implied_volatility, theoretical_value
FROM signal_greeks
WHERE instrument_key = $1
ORDER BY "timestamp" DESC
LIMIT 1
