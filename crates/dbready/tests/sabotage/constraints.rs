//! Constraints dropped, weakened and replaced.

use crate::support::sabotages;

const CHECK: &str =
    "schema.signal_custom_timeframes.constraint.signal_custom_timeframes_timeframe_minutes_check";
const UNIQUE: &str = "schema.signal_custom_timeframes.constraint.signal_custom_timeframes_key";

sabotages! {
    check_dropped:
        "ALTER TABLE signal_custom_timeframes DROP CONSTRAINT
            signal_custom_timeframes_timeframe_minutes_check"
        => [CHECK];
    check_weakened:
        "ALTER TABLE signal_custom_timeframes DROP CONSTRAINT
            signal_custom_timeframes_timeframe_minutes_check;
            ALTER TABLE signal_custom_timeframes ADD CONSTRAINT
            signal_custom_timeframes_timeframe_minutes_check
            CHECK (timeframe_minutes >= 0)"
        => [CHECK];
    check_not_valid:
        "ALTER TABLE signal_custom_timeframes DROP CONSTRAINT
            signal_custom_timeframes_timeframe_minutes_check;
            ALTER TABLE signal_custom_timeframes ADD CONSTRAINT
            signal_custom_timeframes_timeframe_minutes_check
            CHECK (timeframe_minutes > 0) NOT VALID"
        => [CHECK];
    check_renamed:
        "ALTER TABLE signal_custom_timeframes RENAME CONSTRAINT
            signal_custom_timeframes_timeframe_minutes_check TO minutes"
        => [CHECK, "drift.signal_custom_timeframes.constraints"];
    unique_dropped:
        "ALTER TABLE signal_custom_timeframes DROP CONSTRAINT signal_custom_timeframes_key"
        => [UNIQUE, "query.save_custom_timeframe_data.result"];
    unique_on_fewer_columns:
        r#"DELETE FROM signal_custom_timeframes WHERE timeframe_minutes > 1;
            ALTER TABLE signal_custom_timeframes DROP CONSTRAINT signal_custom_timeframes_key;
            ALTER TABLE signal_custom_timeframes ADD CONSTRAINT signal_custom_timeframes_key
            UNIQUE (instrument_key, signal_type, "timestamp")"#
        => [UNIQUE, "query.save_custom_timeframe_data.result"];
    unique_index_instead:
        r#"ALTER TABLE signal_custom_timeframes DROP CONSTRAINT signal_custom_timeframes_key;
            CREATE UNIQUE INDEX one_each ON signal_custom_timeframes
            (instrument_key, signal_type, timeframe_minutes, "timestamp")"#
        => [
            UNIQUE,
            "drift.signal_custom_timeframes.constraints",
            "query.custom_timeframe_data.plan",
        ];
    key_dropped: "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_pkey"
        => [
            "schema.signal_greeks.constraint.signal_greeks_pkey",
            "query.computation_metrics.plan",
        ];
    key_in_another_order: r#"ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_pkey;
            ALTER TABLE signal_greeks ADD CONSTRAINT signal_greeks_pkey PRIMARY KEY (id,
            "timestamp")"#
        => [
            "schema.signal_greeks.constraint.signal_greeks_pkey",
            "query.computation_metrics.plan",
        ];
    index_of_a_key_invalid:
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'schema_version_pkey'::regclass"
        => ["schema.schema_version.constraint.schema_version_pkey"];
    index_of_a_hypertables_key_invalid:
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'signal_greeks_pkey'::regclass"
        => ["schema.signal_greeks.constraint.signal_greeks_pkey"];
}
