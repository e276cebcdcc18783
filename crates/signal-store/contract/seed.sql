-- Fills an empty database with option data that look like a market's: chains over several underlyings,
-- expiries and strikes, Greeks by Black–Scholes on a moving spot, indicators over the same spot, moneyness
-- aggregates weighted by open interest, and custom timeframes.
--
-- Settings read (set_config or SET before this script):
--   signal.seed_profile   quick (about 200 thousand rows, the default), standard (more than 2 million) or
--                         large (more than 10 million)
--   signal.seed           a number; the same number, profile and end give the same rows [1]
--   signal.seed_end       instant of the newest rows [the current hour]
--
-- All randomness is md5 of a name and the seed, so that it depends neither on the plan nor on the server's
-- version. Refuses a database that has rows already. Runs in one transaction.

DO $seed$
BEGIN
    IF EXISTS (SELECT FROM signal_greeks) OR EXISTS (SELECT FROM signal_indicators)
        OR EXISTS (SELECT FROM signal_moneyness_greeks) OR EXISTS (SELECT FROM signal_custom_timeframes)
    THEN
        RAISE EXCEPTION 'the database has rows already; seed an empty one'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF coalesce(nullif(current_setting('signal.seed_profile', true), ''), 'quick') NOT IN ('quick', 'standard', 'large') THEN
        RAISE EXCEPTION 'signal.seed_profile: expected quick, standard or large, found %',
            current_setting('signal.seed_profile', true)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$seed$;

-- How much there is.
CREATE TEMPORARY TABLE seed_setting ON COMMIT DROP AS
SELECT
    CASE profile WHEN 'quick' THEN 5 WHEN 'standard' THEN 20 ELSE 70 END AS days,
    CASE profile WHEN 'quick' THEN 5 ELSE 10 END AS strikes_each_side,
    CASE profile WHEN 'quick' THEN 3 ELSE 4 END AS expiries,
    coalesce(nullif(current_setting('signal.seed', true), ''), '1')::bigint AS seed,
    coalesce(
        nullif(current_setting('signal.seed_end', true), '')::timestamptz,
        date_trunc('hour', now())
    ) AS newest
FROM (VALUES (coalesce(nullif(current_setting('signal.seed_profile', true), ''), 'quick'))) AS wanted (profile);

-- A number in (0, 1) that belongs to a name.
CREATE OR REPLACE FUNCTION pg_temp.uniform(name text, seed bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE
RETURN (('x' || left(md5(name || ':' || seed), 8))::bit(32)::bigint + 0.5) / 4294967296.0;

-- The normal distribution: its density, and the share below x.
CREATE OR REPLACE FUNCTION pg_temp.normal_density(x double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE RETURN exp(-x * x / 2) / sqrt(2 * pi());
CREATE OR REPLACE FUNCTION pg_temp.normal_below(x double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE RETURN (1 + erf(x / sqrt(2))) / 2;

CREATE TEMPORARY TABLE seed_underlying ON COMMIT DROP AS
SELECT *
FROM (
    VALUES
        ('NIFTY', 24000.0::double precision, 50.0::double precision, 0.13::double precision),
        ('BANKNIFTY', 52000.0, 100.0, 0.16),
        ('RELIANCE', 1300.0, 20.0, 0.24),
        ('M&M', 2900.0, 50.0, 0.27),
        ('BAJAJ-AUTO', 8900.0, 100.0, 0.29)
) AS underlying (symbol, base, strike_step, volatility);

-- The spot minute by minute: a session of 375 minutes a day, geometric Brownian motion across all of them.
CREATE TEMPORARY TABLE seed_spot ON COMMIT DROP AS
SELECT
    symbol,
    minute,
    at,
    base * exp(sum(step) OVER (PARTITION BY symbol ORDER BY at)) AS spot
FROM (
    SELECT
        symbol,
        base,
        day * 375 + minute_of_day AS minute,
        newest - make_interval(days => (days - 1 - day)::integer, mins => (374 - minute_of_day)::integer) AS at,
        volatility / sqrt(252.0 * 375.0)
            * sqrt(-2 * ln(pg_temp.uniform(symbol || '/a/' || day || '/' || minute_of_day, seed)))
            * cos(2 * pi() * pg_temp.uniform(symbol || '/b/' || day || '/' || minute_of_day, seed)) AS step
    FROM seed_underlying
    CROSS JOIN seed_setting
    CROSS JOIN LATERAL generate_series(0, days - 1) AS day
    CROSS JOIN generate_series(0, 374) AS minute_of_day
) AS steps;
CREATE INDEX ON seed_spot (symbol, at);
ANALYZE seed_spot;

-- One row per option: underlying, expiry (weekly), strike around the first spot, call or put.
CREATE TEMPORARY TABLE seed_option ON COMMIT DROP AS
SELECT
    symbol,
    expiry,
    strike,
    kind,
    volatility,
    'NFO@' || symbol || upper(to_char(expiry, 'YYMONDD')) || '@' || kind || '@' || strike::bigint AS instrument_key,
    (500 + 20000 * pg_temp.uniform(symbol || expiry || strike || kind, seed)
        * exp(-abs(strike - base) / (4 * strike_step)))::bigint AS open_interest
FROM seed_underlying
CROSS JOIN seed_setting
CROSS JOIN LATERAL generate_series(1, expiries) AS week
CROSS JOIN LATERAL generate_series(-strikes_each_side, strikes_each_side) AS place
CROSS JOIN LATERAL (
    SELECT (newest AT TIME ZONE 'UTC')::date + (7 * week - 3) AS expiry,
        round(base / strike_step) * strike_step + place * strike_step AS strike
) AS option
CROSS JOIN (VALUES ('CE'), ('PE')) AS kinds (kind);

-- Greeks every five minutes. The volatility smiles: higher away from the spot and for near expiries.
INSERT INTO signal_greeks (
    signal_id, instrument_key, "timestamp", delta, gamma, theta, vega, rho, implied_volatility,
    theoretical_value, underlying_price, strike_price, time_to_expiry, created_at
)
SELECT
    'signal_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD') || '_'
        || lpad((row_number() OVER (PARTITION BY (at AT TIME ZONE 'UTC')::date ORDER BY at, instrument_key) % 1000000)::text, 6, '0'),
    instrument_key,
    at,
    CASE kind WHEN 'CE' THEN below1 ELSE below1 - 1 END,
    density1 / (spot * sigma * sqrt(years)),
    (
        -spot * density1 * sigma / (2 * sqrt(years))
        - sign * rate * strike * exp(-rate * years) * pg_temp.normal_below(sign * d2)
    ) / 365,
    spot * density1 * sqrt(years) / 100,
    sign * strike * years * exp(-rate * years) * pg_temp.normal_below(sign * d2) / 100,
    sigma,
    greatest(
        sign * (spot * pg_temp.normal_below(sign * d1) - strike * exp(-rate * years) * pg_temp.normal_below(sign * d2)),
        0
    ),
    spot,
    strike,
    years,
    at + make_interval(secs => 0.2 + pg_temp.uniform(instrument_key || minute, seed))
FROM (
    SELECT
        terms.*,
        d1 - sigma * sqrt(years) AS d2,
        pg_temp.normal_below(d1) AS below1,
        pg_temp.normal_density(d1) AS density1,
        CASE kind WHEN 'CE' THEN 1 ELSE -1 END AS sign
    FROM (
        SELECT
            inputs.*,
            (ln(spot / strike) + (rate + sigma * sigma / 2) * years) / (sigma * sqrt(years)) AS d1
        FROM (
            SELECT
                instrument_key,
                kind,
                strike,
                spot,
                at,
                minute,
                seed,
                0.065 AS rate,
                extract(epoch FROM (expiry + TIME '10:00') AT TIME ZONE 'UTC' - at)::double precision
                    / (365.0 * 86400) AS years,
                volatility * (1 + 4 * ln(spot / strike) ^ 2 + 0.05 * sin(minute / 120.0)) AS sigma
            FROM seed_option
            INNER JOIN seed_spot USING (symbol)
            CROSS JOIN seed_setting
            WHERE minute % 5 = 4
        ) AS inputs
    ) AS terms
) AS model
ORDER BY at, instrument_key;

-- Indicators every minute, over the last 14, 20 and 26 minutes of the spot.
INSERT INTO signal_indicators (signal_id, instrument_key, "timestamp", indicator_name, parameters, "values", created_at)
SELECT
    'signal_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD') || '_'
        || lpad((row_number() OVER (PARTITION BY (at AT TIME ZONE 'UTC')::date ORDER BY at, symbol, indicator_name) % 1000000)::text, 6, '0'),
    'NSE@' || symbol || '@EQ',
    at,
    indicator_name,
    parameters,
    "values",
    at + INTERVAL '150 milliseconds'
FROM (
    SELECT
        symbol,
        at,
        spot,
        avg(greatest(change, 0)) OVER window14 AS gain,
        avg(greatest(-change, 0)) OVER window14 AS loss,
        avg(spot) OVER window12 AS mean12,
        avg(spot) OVER window26 AS mean26,
        avg(spot) OVER window20 AS mean20,
        coalesce(stddev_pop(spot) OVER window20, 0) AS deviation20
    FROM (SELECT *, spot - lag(spot) OVER (PARTITION BY symbol ORDER BY at) AS change FROM seed_spot) AS changes
    WINDOW
        window12 AS (PARTITION BY symbol ORDER BY at ROWS 11 PRECEDING),
        window14 AS (PARTITION BY symbol ORDER BY at ROWS 13 PRECEDING),
        window20 AS (PARTITION BY symbol ORDER BY at ROWS 19 PRECEDING),
        window26 AS (PARTITION BY symbol ORDER BY at ROWS 25 PRECEDING)
) AS spots
CROSS JOIN LATERAL (
    VALUES
        (
            'RSI',
            '{"length": 14}'::jsonb,
            jsonb_build_object('RSI_14', round((100 * gain / nullif(gain + loss, 0))::numeric, 4))
        ),
        (
            'MACD',
            '{"fast": 12, "slow": 26}'::jsonb,
            jsonb_build_object('MACD_12_26', round((mean12 - mean26)::numeric, 4))
        ),
        (
            'BBANDS',
            '{"length": 20, "std": 2}'::jsonb,
            jsonb_build_object(
                'BBL_20_2', round((mean20 - 2 * deviation20)::numeric, 4),
                'BBM_20_2', round(mean20::numeric, 4),
                'BBU_20_2', round((mean20 + 2 * deviation20)::numeric, 4)
            )
        )
) AS indicator (indicator_name, parameters, "values")
ORDER BY at, symbol, indicator_name;

-- Moneyness aggregates of what was just stored, weighted by open interest.
INSERT INTO signal_moneyness_greeks (
    underlying_symbol, moneyness_level, expiry_date, "timestamp", spot_price,
    all_delta, all_gamma, all_theta, all_vega, all_rho, all_iv, all_count,
    calls_delta, calls_gamma, calls_theta, calls_vega, calls_rho, calls_iv, calls_count,
    puts_delta, puts_gamma, puts_theta, puts_vega, puts_rho, puts_iv, puts_count,
    min_strike, max_strike, strike_count, created_at
)
SELECT
    symbol,
    level,
    expiry,
    "timestamp",
    max(underlying_price),
    sum(weight * delta) / sum(weight),
    sum(weight * gamma) / sum(weight),
    sum(weight * theta) / sum(weight),
    sum(weight * vega) / sum(weight),
    sum(weight * rho) / sum(weight),
    sum(weight * implied_volatility) / sum(weight),
    count(*),
    sum(call * delta) / nullif(sum(call), 0),
    sum(call * gamma) / nullif(sum(call), 0),
    sum(call * theta) / nullif(sum(call), 0),
    sum(call * vega) / nullif(sum(call), 0),
    sum(call * rho) / nullif(sum(call), 0),
    sum(call * implied_volatility) / nullif(sum(call), 0),
    count(*) FILTER (WHERE kind = 'CE'),
    sum(put * delta) / nullif(sum(put), 0),
    sum(put * gamma) / nullif(sum(put), 0),
    sum(put * theta) / nullif(sum(put), 0),
    sum(put * vega) / nullif(sum(put), 0),
    sum(put * rho) / nullif(sum(put), 0),
    sum(put * implied_volatility) / nullif(sum(put), 0),
    count(*) FILTER (WHERE kind = 'PE'),
    min(strike_price),
    max(strike_price),
    count(DISTINCT strike_price),
    "timestamp" + INTERVAL '1500 milliseconds'
FROM (
    SELECT
        greeks.*,
        symbol,
        expiry,
        kind,
        open_interest::numeric AS weight,
        CASE kind WHEN 'CE' THEN open_interest ELSE 0 END::numeric AS call,
        CASE kind WHEN 'PE' THEN open_interest ELSE 0 END::numeric AS put,
        CASE
            WHEN abs(delta) < 0.15 THEN 'DEEP_OTM'
            WHEN abs(delta) < 0.40 THEN 'OTM'
            WHEN abs(delta) < 0.60 THEN 'ATM'
            WHEN abs(delta) < 0.85 THEN 'ITM'
            ELSE 'DEEP_ITM'
        END AS level
    FROM signal_greeks AS greeks
    INNER JOIN seed_option USING (instrument_key)
) AS weighted
GROUP BY symbol, level, expiry, "timestamp"
ORDER BY "timestamp", symbol, expiry, level;

-- Custom timeframes of 15 and 60 minutes over the options of the nearest expiry; over all in `standard`.
INSERT INTO signal_custom_timeframes (
    instrument_key, signal_type, timeframe_minutes, "timestamp", data, created_at, updated_at
)
SELECT
    instrument_key,
    'greeks',
    minutes,
    bucket,
    jsonb_build_object('delta', delta, 'gamma', gamma, 'iv', iv, 'count', rows),
    written,
    written
FROM (
    SELECT
        instrument_key,
        minutes,
        time_bucket(make_interval(mins => minutes), "timestamp") AS bucket,
        round(avg(delta), 6) AS delta,
        round(avg(gamma), 6) AS gamma,
        round(avg(implied_volatility), 6) AS iv,
        count(*) AS rows,
        max(created_at) + INTERVAL '1 second' AS written
    FROM signal_greeks
    INNER JOIN seed_option USING (instrument_key)
    CROSS JOIN (VALUES (15), (60)) AS timeframe (minutes)
    CROSS JOIN seed_setting
    WHERE days > 5 OR expiry < newest::date + 7
    GROUP BY instrument_key, minutes, bucket
) AS buckets
ORDER BY bucket, instrument_key, minutes;

-- The Greeks in the ledger, as one batch.
INSERT INTO signal_ingest_batch (id, table_name, rows)
SELECT md5('seed')::uuid, 'signal_greeks', count(*) FROM signal_greeks;

-- The rollups of all these rows, day by day: a call keeps its buckets in memory.
DO $rollup$
DECLARE
    day timestamptz;
BEGIN
    FOR day IN
        SELECT generate_series(newest - make_interval(days => days), newest + INTERVAL '1 day', INTERVAL '1 day')
        FROM seed_setting
    LOOP
        PERFORM refresh_signal_greeks_rollup(day, 2147483647);
    END LOOP;
END
$rollup$;

ANALYZE signal_greeks;
ANALYZE signal_greeks_rollup;
ANALYZE signal_ingest_batch;
ANALYZE signal_indicators;
ANALYZE signal_moneyness_greeks;
ANALYZE signal_custom_timeframes;
