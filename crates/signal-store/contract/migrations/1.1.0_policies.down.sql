-- Takes the policies and the aggregate away; every raw row stays, decompressed.

DO $migration$
DECLARE
    compressed regclass;
BEGIN
    IF current_setting('timescaledb.license') = 'timescale' THEN
        EXECUTE 'DROP MATERIALIZED VIEW IF EXISTS signal_greeks_hourly';
        PERFORM remove_compression_policy('signal_greeks', if_exists => true);
        PERFORM remove_compression_policy('signal_indicators', if_exists => true);
        PERFORM remove_compression_policy('signal_moneyness_greeks', if_exists => true);
        PERFORM remove_compression_policy('signal_custom_timeframes', if_exists => true);
        PERFORM remove_retention_policy('signal_greeks', if_exists => true);
        PERFORM remove_retention_policy('signal_indicators', if_exists => true);
        PERFORM remove_retention_policy('signal_moneyness_greeks', if_exists => true);
        FOREACH compressed IN ARRAY ARRAY[
            'signal_greeks', 'signal_indicators', 'signal_moneyness_greeks', 'signal_custom_timeframes'
        ]::regclass[] LOOP
            PERFORM decompress_chunk(chunk, if_compressed => true) FROM show_chunks(compressed) AS chunk;
            EXECUTE format('ALTER TABLE %s SET (timescaledb.compress = false)', compressed);
        END LOOP;
    END IF;
END
$migration$;

DELETE FROM schema_version WHERE version = '1.1.0';
