SELECT
    time_bucket(INTERVAL '1 hour', "timestamp") AS bucket,
    avg(delta) AS delta,
    avg(implied_volatility) AS implied_volatility,
    count(*) AS data_points
FROM load_greeks_plain
WHERE "timestamp" > $1 AND "timestamp" <= $2
GROUP BY bucket
ORDER BY bucket
