-- version: 1.1.0
-- description: retention, compression and hourly Greeks where the edition has them
-- breaking: no
--
-- Policies and continuous aggregates exist under the Timescale Community licence only. On the Apache
-- edition this migration records its version and changes nothing else; retention is then the
-- service's own work (cleanup_old_data).

DO $migration$
BEGIN
    IF current_setting('timescaledb.license') <> 'timescale' THEN
        RAISE NOTICE 'the Apache edition of TimescaleDB has no policies and no continuous aggregates';
        RETURN;
    END IF;

    PERFORM add_retention_policy('signal_greeks', INTERVAL '90 days');
    PERFORM add_retention_policy('signal_indicators', INTERVAL '90 days');
    PERFORM add_retention_policy('signal_moneyness_greeks', INTERVAL '180 days');

    ALTER TABLE signal_greeks SET (
        timescaledb.compress,
        timescaledb.compress_segmentby = 'instrument_key',
        timescaledb.compress_orderby = '"timestamp" DESC'
    );
    ALTER TABLE signal_indicators SET (
        timescaledb.compress,
        timescaledb.compress_segmentby = 'instrument_key, indicator_name',
        timescaledb.compress_orderby = '"timestamp" DESC'
    );
    ALTER TABLE signal_moneyness_greeks SET (
        timescaledb.compress,
        timescaledb.compress_segmentby = 'underlying_symbol, moneyness_level',
        timescaledb.compress_orderby = '"timestamp" DESC'
    );
    ALTER TABLE signal_custom_timeframes SET (
        timescaledb.compress,
        timescaledb.compress_segmentby = 'instrument_key, signal_type, timeframe_minutes',
        timescaledb.compress_orderby = '"timestamp" DESC'
    );
    PERFORM add_compression_policy('signal_greeks', INTERVAL '7 days');
    PERFORM add_compression_policy('signal_indicators', INTERVAL '7 days');
    PERFORM add_compression_policy('signal_moneyness_greeks', INTERVAL '7 days');
    PERFORM add_compression_policy('signal_custom_timeframes', INTERVAL '7 days');

    EXECUTE $aggregate$
        CREATE MATERIALIZED VIEW signal_greeks_hourly
        WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
        SELECT
            instrument_key,
            time_bucket(INTERVAL '1 hour', "timestamp") AS bucket,
            avg(delta) AS avg_delta,
            avg(gamma) AS avg_gamma,
            avg(theta) AS avg_theta,
            avg(vega) AS avg_vega,
            avg(rho) AS avg_rho,
            avg(implied_volatility) AS avg_implied_volatility,
            count(*) AS data_points
        FROM signal_greeks
        GROUP BY instrument_key, bucket
        WITH NO DATA
    $aggregate$;
    PERFORM add_continuous_aggregate_policy(
        'signal_greeks_hourly',
        start_offset => INTERVAL '3 days',
        end_offset => INTERVAL '1 hour',
        schedule_interval => INTERVAL '1 hour'
    );
END
$migration$;

INSERT INTO schema_version (version, description)
VALUES ('1.1.0', 'retention, compression and hourly Greeks where the edition has them');
