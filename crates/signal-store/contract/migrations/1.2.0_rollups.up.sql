-- version: 1.2.0
-- description: rollups of Greeks by five minutes
-- breaking: no
-- accepts: writers_wait: marking what is there takes one pass over the rows, and no row may be written unmarked
--
-- signal_greeks_rollup keeps what signal_greeks adds up to, by instrument and five minutes.
-- Every statement that changes signal_greeks marks the buckets that it touched in
-- signal_greeks_rollup_stale, in its own transaction. A marked bucket is read from the raw rows; a
-- refresh computes it anew and takes away, in one statement and so from one snapshot, the marks that
-- it saw. A row that the refresh did not see has a mark that it did not see either, so the bucket
-- stays marked: no order of writers, refreshes and readers gives a wrong answer. docs/ROLLUPS.md
-- has the reasons and the figures.
--
-- Dropping a chunk runs no trigger, and TRUNCATE of a hypertable drops its chunks. Each rollup row
-- therefore names its chunk, and is valid only while that chunk belongs to the hypertable.
--
-- Existing rows are marked here and read from the raw rows until refreshes have come to them.

CREATE TABLE signal_greeks_rollup (
    instrument_key varchar(255) NOT NULL,
    bucket timestamptz NOT NULL,
    chunk regclass NOT NULL,
    data_points bigint NOT NULL,
    last_timestamp timestamptz NOT NULL,
    last_strike_price numeric(12,4),
    delta_sum numeric,
    delta_count bigint NOT NULL,
    gamma_sum numeric,
    gamma_count bigint NOT NULL,
    theta_sum numeric,
    theta_count bigint NOT NULL,
    vega_sum numeric,
    vega_count bigint NOT NULL,
    rho_sum numeric,
    rho_count bigint NOT NULL,
    implied_volatility_sum numeric,
    implied_volatility_count bigint NOT NULL,
    theoretical_value_sum numeric,
    theoretical_value_count bigint NOT NULL,
    underlying_price_sum numeric,
    underlying_price_count bigint NOT NULL,
    CONSTRAINT signal_greeks_rollup_pkey PRIMARY KEY (instrument_key, bucket, chunk)
);

CREATE TABLE signal_greeks_rollup_stale (
    instrument_key varchar(255) NOT NULL,
    bucket timestamptz NOT NULL
);
CREATE INDEX idx_signal_greeks_rollup_stale ON signal_greeks_rollup_stale (instrument_key, bucket);

-- The functions run with the rights of their owner, so that writers of signal_greeks need none on the
-- rollup.
CREATE FUNCTION mark_signal_greeks_rollup() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $function$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO signal_greeks_rollup_stale (instrument_key, bucket)
        SELECT instrument_key, time_bucket(INTERVAL '5 minutes', "timestamp") FROM changed
        UNION
        SELECT instrument_key, time_bucket(INTERVAL '5 minutes', "timestamp") FROM replaced;
    ELSE
        INSERT INTO signal_greeks_rollup_stale (instrument_key, bucket)
        SELECT DISTINCT instrument_key, time_bucket(INTERVAL '5 minutes', "timestamp") FROM changed;
    END IF;
    RETURN NULL;
END
$function$;

-- TimescaleDB refuses transition tables for deletes where chunks may be compressed, since it deletes
-- whole segments unseen; a trigger for each row makes it look at them. One mark of a transaction of
-- its own is enough for a bucket: what is visible of others may be taken away by a refresh that does
-- not see this delete.
CREATE FUNCTION mark_signal_greeks_rollup_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $function$
DECLARE
    touched CONSTANT timestamptz := time_bucket(INTERVAL '5 minutes', OLD."timestamp");
BEGIN
    INSERT INTO signal_greeks_rollup_stale (instrument_key, bucket)
    SELECT OLD.instrument_key, touched
    WHERE NOT EXISTS (
        SELECT FROM signal_greeks_rollup_stale
        WHERE instrument_key = OLD.instrument_key AND bucket = touched
            AND xmin = pg_current_xact_id()::xid
    );
    RETURN NULL;
END
$function$;

CREATE TRIGGER signal_greeks_rollup_insert AFTER INSERT ON signal_greeks
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_signal_greeks_rollup();
CREATE TRIGGER signal_greeks_rollup_update AFTER UPDATE ON signal_greeks
    REFERENCING NEW TABLE AS changed OLD TABLE AS replaced
    FOR EACH STATEMENT EXECUTE FUNCTION mark_signal_greeks_rollup();
CREATE TRIGGER signal_greeks_rollup_delete AFTER DELETE ON signal_greeks
    FOR EACH ROW EXECUTE FUNCTION mark_signal_greeks_rollup_row();

-- Computes marked buckets anew, so many at most, and gives how many they were. Buckets that have not
-- ended by `until` keep one mark. One refresh runs at a time; others wait for it.
CREATE FUNCTION refresh_signal_greeks_rollup(until timestamptz, buckets_at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $function$
DECLARE
    width CONSTANT interval := INTERVAL '5 minutes';
    keys varchar[];
    buckets timestamptz[];
    earliest timestamptz;
    latest timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('signal_greeks_rollup', 0));

    WITH piled AS MATERIALIZED (
        SELECT instrument_key, bucket
        FROM signal_greeks_rollup_stale
        WHERE bucket > until - width
        GROUP BY instrument_key, bucket
        HAVING count(*) > 1
    ),
    unmarked AS (
        DELETE FROM signal_greeks_rollup_stale AS s USING piled AS p
        WHERE s.instrument_key = p.instrument_key AND s.bucket = p.bucket
    )
    INSERT INTO signal_greeks_rollup_stale (instrument_key, bucket)
    SELECT instrument_key, bucket FROM piled;

    SELECT array_agg(s.instrument_key), array_agg(s.bucket), min(s.bucket), max(s.bucket)
    INTO keys, buckets, earliest, latest
    FROM (
        SELECT DISTINCT instrument_key, bucket
        FROM signal_greeks_rollup_stale
        WHERE bucket <= until - width
        ORDER BY instrument_key, bucket
        LIMIT buckets_at_most
    ) AS s;
    IF keys IS NULL THEN
        RETURN 0;
    END IF;

    WITH wanted AS MATERIALIZED (
        SELECT * FROM unnest(keys, buckets) AS w (instrument_key, bucket)
    ),
    unmarked AS (
        DELETE FROM signal_greeks_rollup_stale AS s USING wanted AS w
        WHERE s.instrument_key = w.instrument_key AND s.bucket = w.bucket
    ),
    fresh AS MATERIALIZED (
        SELECT w.instrument_key, w.bucket, raw.*
        FROM wanted AS w
        CROSS JOIN LATERAL (
            SELECT
                tableoid::regclass AS chunk,
                count(*) AS data_points,
                max("timestamp") AS last_timestamp,
                last(strike_price, "timestamp") AS last_strike_price,
                sum(delta) AS delta_sum,
                count(delta) AS delta_count,
                sum(gamma) AS gamma_sum,
                count(gamma) AS gamma_count,
                sum(theta) AS theta_sum,
                count(theta) AS theta_count,
                sum(vega) AS vega_sum,
                count(vega) AS vega_count,
                sum(rho) AS rho_sum,
                count(rho) AS rho_count,
                sum(implied_volatility) AS implied_volatility_sum,
                count(implied_volatility) AS implied_volatility_count,
                sum(theoretical_value) AS theoretical_value_sum,
                count(theoretical_value) AS theoretical_value_count,
                sum(underlying_price) AS underlying_price_sum,
                count(underlying_price) AS underlying_price_count
            FROM signal_greeks
            WHERE instrument_key = w.instrument_key
                AND "timestamp" >= w.bucket AND "timestamp" < w.bucket + width
                -- Implied by the line above; keeps all other chunks out of the plan.
                AND "timestamp" >= earliest AND "timestamp" < latest + width
            GROUP BY tableoid
        ) AS raw
    ),
    stored AS (
        INSERT INTO signal_greeks_rollup SELECT * FROM fresh
        ON CONFLICT (instrument_key, bucket, chunk) DO UPDATE SET
            data_points = excluded.data_points,
            last_timestamp = excluded.last_timestamp,
            last_strike_price = excluded.last_strike_price,
            delta_sum = excluded.delta_sum,
            delta_count = excluded.delta_count,
            gamma_sum = excluded.gamma_sum,
            gamma_count = excluded.gamma_count,
            theta_sum = excluded.theta_sum,
            theta_count = excluded.theta_count,
            vega_sum = excluded.vega_sum,
            vega_count = excluded.vega_count,
            rho_sum = excluded.rho_sum,
            rho_count = excluded.rho_count,
            implied_volatility_sum = excluded.implied_volatility_sum,
            implied_volatility_count = excluded.implied_volatility_count,
            theoretical_value_sum = excluded.theoretical_value_sum,
            theoretical_value_count = excluded.theoretical_value_count,
            underlying_price_sum = excluded.underlying_price_sum,
            underlying_price_count = excluded.underlying_price_count
    )
    DELETE FROM signal_greeks_rollup AS r USING wanted AS w
    WHERE r.instrument_key = w.instrument_key AND r.bucket = w.bucket
        AND NOT EXISTS (
            SELECT FROM fresh AS f
            WHERE f.instrument_key = r.instrument_key AND f.bucket = r.bucket AND f.chunk = r.chunk
        );
    RETURN cardinality(keys);
END
$function$;

INSERT INTO signal_greeks_rollup_stale (instrument_key, bucket)
SELECT DISTINCT instrument_key, time_bucket(INTERVAL '5 minutes', "timestamp") FROM signal_greeks;

INSERT INTO schema_version (version, description)
VALUES ('1.2.0', 'rollups of Greeks by five minutes');
