//! Tables that are gone, or something else.

use crate::support::sabotages;

sabotages! {
    missing: "DROP TABLE signal_greeks CASCADE"
        => [
            "schema.signal_greeks",
            "query.cleanup_greeks.prepares",
            "query.computation_metrics.prepares",
            "query.historical_greeks.prepares",
            "query.historical_greeks_rollup.prepares",
            "query.ingest_greeks.prepares",
            "query.latest_greeks.prepares",
            "query.old_greeks.prepares",
            "query.prune_rollup.prepares",
            "query.save_greeks.prepares",
        ] words;
    a_view_instead: "CREATE SCHEMA away; ALTER TABLE signal_indicators SET SCHEMA away;
                     CREATE VIEW signal_indicators AS SELECT * FROM away.signal_indicators"
        => ["schema.signal_indicators"];
    a_materialized_view_instead: "CREATE SCHEMA away; ALTER TABLE signal_indicators SET SCHEMA away;
                     CREATE MATERIALIZED VIEW signal_indicators AS SELECT * FROM
            away.signal_indicators"
        => ["schema.signal_indicators", "query.latest_indicator.plan"];
    a_partitioned_table_instead: r#"DROP TABLE signal_indicators;
                     CREATE TABLE signal_indicators (id bigint, "timestamp" timestamptz)
                     PARTITION BY RANGE ("timestamp")"#
        => [
            "schema.signal_indicators",
            "query.computation_metrics.prepares",
            "query.ingest_indicators.prepares",
            "query.latest_indicator.prepares",
            "query.save_indicator.prepares",
        ] words;
    in_another_schema: "CREATE SCHEMA away; ALTER TABLE signal_indicators SET SCHEMA away"
        => [
            "schema.signal_indicators",
            "query.cleanup_indicators.prepares",
            "query.computation_metrics.prepares",
            "query.ingest_indicators.prepares",
            "query.latest_indicator.prepares",
            "query.old_indicators.prepares",
            "query.save_indicator.prepares",
        ];
    renamed: "ALTER TABLE signal_custom_timeframes RENAME TO signal_timeframes"
        => [
            "schema.signal_custom_timeframes",
            "role.signal_owner",
            "role.signal_writer",
            "role.signal_reader",
            "drift.tables",
            "query.cleanup_custom_timeframes.prepares",
            "query.custom_timeframe_data.prepares",
            "query.old_custom_timeframes.prepares",
            "query.save_custom_timeframe_data.prepares",
        ] words;
    unlogged: "ALTER TABLE schema_version SET UNLOGGED"
        => ["schema.schema_version"];
    a_further_column_to_fill: "DELETE FROM signal_greeks;
                     ALTER TABLE signal_greeks ADD COLUMN source text NOT NULL"
        => ["schema.signal_greeks"];
    row_security_on: "ALTER TABLE signal_greeks ENABLE ROW LEVEL SECURITY"
        => ["schema.signal_greeks.row_security"];
    row_security_on_a_plain_table: "ALTER TABLE schema_version ENABLE ROW LEVEL SECURITY"
        => ["schema.schema_version.row_security"];
}
