SELECT
    time_bucket($1::interval, "timestamp") AS bucket,
    avg(delta) AS delta,
    avg(gamma) AS gamma,
    avg(theta) AS theta,
    avg(vega) AS vega,
    avg(rho) AS rho,
    avg(implied_volatility) AS implied_volatility,
    avg(theoretical_value) AS theoretical_value,
    avg(underlying_price) AS underlying_price,
    last(strike_price, "timestamp") AS strike_price,
    count(*) AS data_points
FROM signal_greeks
WHERE instrument_key = $2 AND "timestamp" >= $3 AND "timestamp" <= $4
GROUP BY bucket
ORDER BY bucket
