-- The parameters stand in subqueries: one that is compared directly makes TimescaleDB look on
-- every execution whether chunks can be left out, by parsing all their checks.
SELECT
    id, signal_id, instrument_key, "timestamp",
    delta, gamma, theta, vega, rho,
    implied_volatility, theoretical_value
FROM signal_greeks
WHERE instrument_key = (SELECT $1)
ORDER BY "timestamp" DESC
LIMIT 1
