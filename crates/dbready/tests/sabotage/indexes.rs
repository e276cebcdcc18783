//! Indexes dropped, and indexes that only keep their name.

use crate::support::sabotages;

const LATEST: &str = "schema.signal_greeks.index.idx_signal_greeks_instrument_timestamp";
const PARAMETERS: &str = "schema.signal_indicators.index.idx_signal_indicators_parameters";

sabotages! {
    dropped: "DROP INDEX idx_signal_greeks_instrument_timestamp"
        => [LATEST, "query.historical_greeks.plan", "query.latest_greeks.plan"];
    on_other_columns: r#"DROP INDEX idx_signal_greeks_instrument_timestamp;
            CREATE INDEX idx_signal_greeks_instrument_timestamp ON signal_greeks (signal_id,
            "timestamp" DESC)"#
        => [LATEST, "query.historical_greeks.plan", "query.latest_greeks.plan"];
    on_another_table: "DROP INDEX idx_signal_greeks_instrument_timestamp;
            CREATE INDEX idx_signal_greeks_instrument_timestamp ON schema_version (description)"
        => [
            LATEST,
            "drift.schema_version.indexes",
            "query.historical_greeks.plan",
            "query.latest_greeks.plan",
        ] words;
    in_the_other_direction: r#"DROP INDEX idx_signal_greeks_instrument_timestamp;
            CREATE INDEX idx_signal_greeks_instrument_timestamp ON signal_greeks (instrument_key,
            "timestamp")"#
        => [LATEST];
    columns_swapped: r#"DROP INDEX idx_signal_greeks_instrument_timestamp;
            CREATE INDEX idx_signal_greeks_instrument_timestamp ON signal_greeks ("timestamp" DESC,
            instrument_key)"#
        => [LATEST, "query.computation_metrics.plan"];
    nulls_elsewhere: r#"DROP INDEX idx_signal_greeks_instrument_timestamp;
            CREATE INDEX idx_signal_greeks_instrument_timestamp ON signal_greeks (instrument_key,
            "timestamp" DESC NULLS LAST)"#
        => [LATEST, "query.latest_greeks.plan"];
    another_collation: r#"DROP INDEX idx_signal_greeks_instrument_timestamp;
            CREATE INDEX idx_signal_greeks_instrument_timestamp ON signal_greeks (instrument_key
            COLLATE "POSIX", "timestamp" DESC)"#
        => [LATEST, "query.historical_greeks.plan", "query.latest_greeks.plan"];
    partial: r#"DROP INDEX idx_signal_greeks_instrument_timestamp;
            CREATE INDEX idx_signal_greeks_instrument_timestamp ON signal_greeks (instrument_key,
            "timestamp" DESC) WHERE delta > 0"#
        => [LATEST, "query.historical_greeks.plan", "query.latest_greeks.plan"];
    unique: r#"DELETE FROM signal_greeks a USING signal_greeks b
            WHERE a.instrument_key = b.instrument_key AND a."timestamp" = b."timestamp" AND a.id > b.id;
            DROP INDEX idx_signal_greeks_instrument_timestamp;
            CREATE UNIQUE INDEX idx_signal_greeks_instrument_timestamp ON signal_greeks
            (instrument_key, "timestamp" DESC)"#
        => [LATEST];
    with_stored_columns: r#"DROP INDEX idx_signal_greeks_instrument_timestamp;
            CREATE INDEX idx_signal_greeks_instrument_timestamp ON signal_greeks (instrument_key,
            "timestamp" DESC) INCLUDE (delta)"#
        => [LATEST];
    another_method: "DROP INDEX idx_signal_greeks_signal_id;
            CREATE INDEX idx_signal_greeks_signal_id ON signal_greeks USING hash (signal_id)"
        => ["schema.signal_greeks.index.idx_signal_greeks_signal_id"];
    another_operator_class: "DROP INDEX idx_signal_indicators_parameters;
            CREATE INDEX idx_signal_indicators_parameters ON signal_indicators USING gin
            (parameters jsonb_path_ops)"
        => [PARAMETERS];
    on_an_expression: "DROP INDEX idx_signal_greeks_signal_id;
            CREATE INDEX idx_signal_greeks_signal_id ON signal_greeks (lower(signal_id))"
        => ["schema.signal_greeks.index.idx_signal_greeks_signal_id"];
    invalid: "UPDATE pg_index SET indisvalid = false
            WHERE indexrelid = 'idx_signal_greeks_instrument_timestamp'::regclass"
        => [LATEST];
    not_ready: "UPDATE pg_index SET indisready = false
            WHERE indexrelid = 'idx_signal_indicators_parameters'::regclass"
        => [PARAMETERS];
    renamed: "ALTER INDEX idx_signal_greeks_signal_id RENAME TO by_signal"
        => ["schema.signal_greeks.index.idx_signal_greeks_signal_id",
            "drift.signal_greeks.indexes"];
}
