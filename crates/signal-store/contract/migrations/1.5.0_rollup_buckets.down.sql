-- Takes the index away; no row is touched.

DROP INDEX idx_signal_greeks_rollup_bucket;

DELETE FROM schema_version WHERE version = '1.5.0';
