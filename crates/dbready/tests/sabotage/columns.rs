//! Columns dropped, renamed, retyped and otherwise changed.

use crate::support::sabotages;

sabotages! {
    dropped: "ALTER TABLE signal_moneyness_greeks DROP COLUMN expiry_date"
        => [
            "schema.signal_moneyness_greeks.column.expiry_date",
            "query.ingest_moneyness_greeks.prepares",
            "query.moneyness_greeks.prepares",
            "query.save_moneyness_greeks.prepares",
        ];
    dropped_with_its_check: "ALTER TABLE signal_greeks DROP COLUMN rho"
        => [
            "schema.signal_greeks.column.rho",
            "schema.signal_greeks.constraint.signal_greeks_numbers_check",
            "query.historical_greeks.prepares",
            "query.historical_greeks_rollup.prepares",
            "query.ingest_greeks.prepares",
            "query.latest_greeks.prepares",
            "query.save_greeks.prepares",
        ];
    dropped_with_its_index: "ALTER TABLE signal_indicators DROP COLUMN parameters"
        => [
            "schema.signal_indicators.column.parameters",
            "schema.signal_indicators.constraint.signal_indicators_parameters_check",
            "schema.signal_indicators.index.idx_signal_indicators_parameters",
            "query.ingest_indicators.prepares",
            "query.latest_indicator.prepares",
            "query.save_indicator.prepares",
        ];
    renamed: "ALTER TABLE signal_moneyness_greeks RENAME COLUMN expiry_date TO expires"
        => [
            "schema.signal_moneyness_greeks.column.expiry_date",
            "drift.signal_moneyness_greeks.columns",
            "query.ingest_moneyness_greeks.prepares",
            "query.moneyness_greeks.prepares",
            "query.save_moneyness_greeks.prepares",
        ];
    another_type: "ALTER TABLE signal_moneyness_greeks ALTER COLUMN expiry_date TYPE text"
        => [
            "schema.signal_moneyness_greeks.column.expiry_date",
            "query.moneyness_greeks.result",
            "query.save_moneyness_greeks.parameters",
        ];
    another_type_under_a_check:
        "ALTER TABLE signal_greeks ALTER COLUMN theoretical_value TYPE double precision"
        => [
            "schema.signal_greeks.column.theoretical_value",
            "schema.signal_greeks.constraint.signal_greeks_numbers_check",
            "query.historical_greeks.result",
            "query.historical_greeks_rollup.result",
            "query.latest_greeks.result",
            "query.save_greeks.parameters",
        ];
    wider_precision: "ALTER TABLE signal_greeks ALTER COLUMN rho TYPE numeric(12,6)"
        => ["schema.signal_greeks.column.rho", "query.latest_greeks.result"];
    fewer_decimals: "ALTER TABLE signal_greeks ALTER COLUMN rho TYPE numeric(10,4)"
        => ["schema.signal_greeks.column.rho", "query.latest_greeks.result"];
    no_precision: "ALTER TABLE signal_greeks ALTER COLUMN rho TYPE numeric"
        => ["schema.signal_greeks.column.rho", "query.latest_greeks.result"];
    shorter_text: "ALTER TABLE signal_greeks ALTER COLUMN instrument_key TYPE varchar(100)"
        => ["schema.signal_greeks.column.instrument_key", "query.latest_greeks.result"];
    text_without_limit:
        "ALTER TABLE signal_moneyness_greeks ALTER COLUMN underlying_symbol TYPE text"
        => [
            "schema.signal_moneyness_greeks.column.underlying_symbol",
            "query.save_moneyness_greeks.parameters",
        ];
    no_time_zone: "ALTER TABLE signal_greeks ALTER COLUMN created_at TYPE timestamp"
        => ["schema.signal_greeks.column.created_at"];
    wider_integer: "ALTER TABLE signal_custom_timeframes ALTER COLUMN timeframe_minutes TYPE bigint"
        => [
            "schema.signal_custom_timeframes.column.timeframe_minutes",
            "query.custom_timeframe_data.parameters",
        ];
    null_allowed: "ALTER TABLE signal_greeks ALTER COLUMN signal_id DROP NOT NULL"
        => ["schema.signal_greeks.column.signal_id"];
    null_refused: "ALTER TABLE signal_greeks ALTER COLUMN rho SET NOT NULL"
        => ["schema.signal_greeks.column.rho"];
    default_dropped: "ALTER TABLE signal_greeks ALTER COLUMN created_at DROP DEFAULT"
        => ["schema.signal_greeks.column.created_at"];
    default_changed:
        "ALTER TABLE signal_greeks ALTER COLUMN created_at SET DEFAULT clock_timestamp()"
        => ["schema.signal_greeks.column.created_at"];
    default_added: "ALTER TABLE signal_greeks ALTER COLUMN rho SET DEFAULT 0"
        => ["schema.signal_greeks.column.rho"];
    identity_dropped: "ALTER TABLE signal_greeks ALTER COLUMN id DROP IDENTITY"
        => ["schema.signal_greeks.column.id"];
    identity_changed: "DO $$ BEGIN EXECUTE format(
            'ALTER TABLE signal_greeks ALTER COLUMN id SET GENERATED %s',
            (SELECT CASE attidentity WHEN 'a' THEN 'BY DEFAULT' ELSE 'ALWAYS' END FROM pg_attribute
             WHERE attrelid = 'signal_greeks'::regclass AND attname = 'id')); END $$"
        => ["schema.signal_greeks.column.id"];
    another_collation:
        r#"ALTER TABLE signal_indicators ALTER COLUMN signal_id TYPE varchar(255) COLLATE "C""#
        => ["schema.signal_indicators.column.signal_id"];
    computed: "ALTER TABLE schema_version DROP COLUMN description;
            ALTER TABLE schema_version
            ADD COLUMN description text GENERATED ALWAYS AS (upper(version)) STORED"
        => ["schema.schema_version.column.description"];
}
