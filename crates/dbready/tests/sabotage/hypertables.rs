//! Hypertables, and what hangs on them: chunk intervals, policies, continuous aggregates.

use crate::support::sabotages;

sabotages! {
    a_plain_table_instead: "CREATE TABLE plain (LIKE signal_indicators INCLUDING ALL);
            INSERT INTO plain OVERRIDING SYSTEM VALUE SELECT * FROM signal_indicators;
            DROP TABLE signal_indicators;
            ALTER TABLE plain RENAME TO signal_indicators;
            ALTER INDEX plain_pkey RENAME TO signal_indicators_pkey;
            ALTER INDEX plain_parameters_idx RENAME TO idx_signal_indicators_parameters;
            ALTER INDEX plain_signal_id_idx RENAME TO idx_signal_indicators_signal_id;
            ALTER INDEX plain_instrument_key_indicator_name_timestamp_idx
                RENAME TO idx_signal_indicators_instrument_indicator_timestamp"
        => ["schema.signal_indicators.hypertable", "role.signal_owner", "role.signal_writer",
            "role.signal_reader"];
    weekly_chunks: "SELECT set_chunk_time_interval('signal_greeks', INTERVAL '7 days')"
        => ["schema.signal_greeks.hypertable"];
    a_further_dimension:
        "DELETE FROM signal_indicators; SELECT drop_chunks('signal_indicators',
            'infinity'::timestamptz);
            ALTER TABLE signal_indicators DROP CONSTRAINT signal_indicators_pkey;
            SELECT add_dimension('signal_indicators', by_hash('instrument_key', 2))"
        => ["schema.signal_indicators.hypertable",
            "schema.signal_indicators.constraint.signal_indicators_pkey"] words;
    #[ignore = "needs TimescaleDB Community"]
    retention_removed: "SELECT remove_retention_policy('signal_greeks')"
        => ["schema.signal_greeks.policy.retention"];
    #[ignore = "needs TimescaleDB Community"]
    retention_later: "SELECT remove_retention_policy('signal_greeks');
            SELECT add_retention_policy('signal_greeks', INTERVAL '400 days')"
        => ["schema.signal_greeks.policy.retention"];
    #[ignore = "needs TimescaleDB Community"]
    retention_paused:
        "SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs
            WHERE proc_name = 'policy_retention' AND hypertable_name = 'signal_greeks'"
        => ["schema.signal_greeks.policy.retention"];
    #[ignore = "needs TimescaleDB Community"]
    compression_policy_removed: "SELECT remove_compression_policy('signal_greeks')"
        => ["schema.signal_greeks.policy.compression"];
    #[ignore = "needs TimescaleDB Community"]
    compression_paused:
        "SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs
            WHERE proc_name = 'policy_compression' AND hypertable_name = 'signal_greeks'"
        => ["schema.signal_greeks.policy.compression"];
    #[ignore = "needs TimescaleDB Community"]
    compressed_otherwise:
        "ALTER TABLE signal_greeks SET (timescaledb.compress_segmentby = 'signal_id')"
        => ["schema.signal_greeks.policy.compression"];
    #[ignore = "needs TimescaleDB Community"]
    aggregate_dropped: "DROP MATERIALIZED VIEW signal_greeks_hourly CASCADE"
        => ["schema.signal_greeks_hourly"] words;
    #[ignore = "needs TimescaleDB Community"]
    aggregate_without_newest_rows:
        "ALTER MATERIALIZED VIEW signal_greeks_hourly SET (timescaledb.materialized_only = true)"
        => ["schema.signal_greeks_hourly"];
    #[ignore = "needs TimescaleDB Community"]
    aggregate_not_refreshed: "SELECT remove_continuous_aggregate_policy('signal_greeks_hourly')"
        => ["schema.signal_greeks_hourly"];
}
