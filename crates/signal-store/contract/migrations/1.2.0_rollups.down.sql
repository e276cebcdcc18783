-- Takes the rollups away; every raw row stays.

DROP TRIGGER signal_greeks_rollup_insert ON signal_greeks;
DROP TRIGGER signal_greeks_rollup_update ON signal_greeks;
DROP TRIGGER signal_greeks_rollup_delete ON signal_greeks;
DROP FUNCTION refresh_signal_greeks_rollup(timestamptz, integer);
DROP FUNCTION mark_signal_greeks_rollup();
DROP FUNCTION mark_signal_greeks_rollup_row();
DROP TABLE signal_greeks_rollup_stale;
DROP TABLE signal_greeks_rollup;

DELETE FROM schema_version WHERE version = '1.2.0';
