WITH greeks AS (
    SELECT
        count(*) AS total,
        count(DISTINCT instrument_key) AS instruments,
        avg(extract(epoch FROM created_at - "timestamp")) AS average_delay
    FROM signal_greeks
    WHERE "timestamp" >= $1 AND "timestamp" <= $2
),
indicators AS (
    SELECT
        count(*) AS total,
        count(DISTINCT indicator_name) AS indicators,
        count(DISTINCT instrument_key) AS instruments
    FROM signal_indicators
    WHERE "timestamp" >= $1 AND "timestamp" <= $2
)
SELECT
    greeks.total AS greeks_total,
    greeks.instruments AS greeks_instruments,
    greeks.average_delay AS greeks_average_delay_seconds,
    indicators.total AS indicators_total,
    indicators.indicators AS indicators_names,
    indicators.instruments AS indicators_instruments
FROM greeks CROSS JOIN indicators
