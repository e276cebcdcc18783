-- Takes back what the roles hold in this database. The roles themselves stay: they are the server's,
-- and other databases may use them. Where none does, DROP ROLE removes each.

DO $further$
BEGIN
    IF to_regclass('signal_greeks_hourly') IS NOT NULL THEN
        REVOKE ALL ON signal_greeks_hourly FROM signal_owner, signal_reader;
    END IF;
    IF to_regclass('dbready.migration') IS NOT NULL THEN
        REVOKE ALL ON dbready.migration FROM signal_owner, signal_monitor;
        REVOKE ALL ON SCHEMA dbready FROM signal_owner, signal_monitor;
    END IF;
END
$further$;

REVOKE ALL ON
    signal_greeks, signal_indicators, signal_moneyness_greeks, signal_custom_timeframes,
    signal_greeks_rollup, signal_greeks_rollup_stale, signal_ingest_batch, schema_version
FROM signal_owner, signal_writer, signal_reader, signal_monitor;
REVOKE ALL ON FUNCTION
    refresh_signal_greeks_rollup(timestamptz, integer),
    mark_signal_greeks_rollup(),
    mark_signal_greeks_rollup_row()
FROM signal_owner, signal_writer;
GRANT EXECUTE ON FUNCTION
    refresh_signal_greeks_rollup(timestamptz, integer),
    mark_signal_greeks_rollup(),
    mark_signal_greeks_rollup_row()
TO PUBLIC;
DROP FUNCTION drop_signal_chunks(regclass, timestamptz);
REVOKE ALL ON SCHEMA public FROM signal_owner, signal_writer, signal_reader, signal_monitor;

DELETE FROM schema_version WHERE version = '1.4.0';
