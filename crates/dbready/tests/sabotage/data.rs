//! Single wrong values among many right ones.

use dbready::catalog::Options;
use dbready::verdict::Status;

use crate::support::{connect, contract, database, ids, judge_by, observe_by, run, sabotages};

// The server's own checks stand in the way of most wrong values, so they are dropped first, and their
// claims are refuted too. `first` is the row that is made wrong.
sabotages! {
    delta_above_its_range: "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_delta_check;
            UPDATE signal_greeks SET delta = 5.000001 WHERE id = 7"
        => [
            "schema.signal_greeks.constraint.signal_greeks_delta_check",
            "range.delta.signal_greeks.delta",
        ] words;
    delta_not_a_number: "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_delta_check;
            UPDATE signal_greeks SET delta = 'NaN' WHERE id = 7"
        => [
            "schema.signal_greeks.constraint.signal_greeks_delta_check",
            "range.delta.signal_greeks.delta",
        ] words;
    gamma_below_its_range: "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_gamma_check;
            UPDATE signal_greeks SET gamma = -0.000001 WHERE id = 7"
        => [
            "schema.signal_greeks.constraint.signal_greeks_gamma_check",
            "range.gamma.signal_greeks.gamma",
        ] words;
    volatility_at_its_excluded_bound:
        "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_implied_volatility_check;
            UPDATE signal_greeks SET implied_volatility = 0 WHERE id = 7"
        => [
            "schema.signal_greeks.constraint.signal_greeks_implied_volatility_check",
            "range.implied_volatility.signal_greeks.implied_volatility",
        ] words;
    an_expired_option:
        "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_time_to_expiry_check;
            UPDATE signal_greeks SET time_to_expiry = -0.5 WHERE id = 7"
        => [
            "schema.signal_greeks.constraint.signal_greeks_time_to_expiry_check",
            "range.time_to_expiry.signal_greeks.time_to_expiry",
        ] words;
    a_time_to_expiry_not_a_number:
        "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_time_to_expiry_check;
            UPDATE signal_greeks SET time_to_expiry = 'NaN' WHERE id = 7"
        => [
            "schema.signal_greeks.constraint.signal_greeks_time_to_expiry_check",
            "range.time_to_expiry.signal_greeks.time_to_expiry",
        ] words;
    a_negative_count: "ALTER TABLE signal_moneyness_greeks
            DROP CONSTRAINT signal_moneyness_greeks_count_check;
            UPDATE signal_moneyness_greeks SET puts_count = -1 WHERE id = 7"
        => [
            "schema.signal_moneyness_greeks.constraint.signal_moneyness_greeks_count_check",
            "range.count.signal_moneyness_greeks.puts_count",
        ] words;
    a_timeframe_of_no_length: "ALTER TABLE signal_custom_timeframes
            DROP CONSTRAINT signal_custom_timeframes_timeframe_minutes_check;
            UPDATE signal_custom_timeframes SET timeframe_minutes = 0 WHERE id = 7"
        => [
            "schema.signal_custom_timeframes.constraint.signal_custom_timeframes_timeframe_minutes_check",
            "range.timeframe.signal_custom_timeframes.timeframe_minutes",
        ] words;
    a_key_in_small_letters:
        "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_instrument_key_check;
            UPDATE signal_greeks SET instrument_key = 'nse@RELIANCE@EQ' WHERE id = 7"
        => [
            "schema.signal_greeks.constraint.signal_greeks_instrument_key_check",
            "format.instrument_key.signal_greeks.instrument_key",
        ] words;
    a_key_with_a_line_end:
        "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_instrument_key_check;
            UPDATE signal_greeks SET instrument_key = E'NSE@RELIANCE@EQ\\n' WHERE id = 7"
        => [
            "schema.signal_greeks.constraint.signal_greeks_instrument_key_check",
            "format.instrument_key.signal_greeks.instrument_key",
        ] words;
    a_key_with_a_foreign_letter:
        "ALTER TABLE signal_indicators DROP CONSTRAINT signal_indicators_instrument_key_check;
            UPDATE signal_indicators SET instrument_key = 'NSE@RЕLIANCE@EQ' WHERE id = 7"
        => [
            "schema.signal_indicators.constraint.signal_indicators_instrument_key_check",
            "format.instrument_key.signal_indicators.instrument_key",
        ] words;
    a_short_signal_id: "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_signal_id_check;
            UPDATE signal_greeks SET signal_id = 'signal_20250102_1' WHERE id = 7"
        => [
            "schema.signal_greeks.constraint.signal_greeks_signal_id_check",
            "format.signal_id.signal_greeks.signal_id",
        ] words;
    an_unknown_moneyness_level: "ALTER TABLE signal_moneyness_greeks
            DROP CONSTRAINT signal_moneyness_greeks_moneyness_level_check;
            UPDATE signal_moneyness_greeks SET moneyness_level = 'NEAR_ATM' WHERE id = 7"
        => [
            "schema.signal_moneyness_greeks.constraint.signal_moneyness_greeks_moneyness_level_check",
            "format.moneyness_level.signal_moneyness_greeks.moneyness_level",
        ] words;
    an_infinite_instant: "UPDATE signal_greeks SET created_at = 'infinity' WHERE id = 7"
        => ["timestamp.signal_greeks.created_at"] words;
    an_instant_before_all_time:
        "UPDATE signal_custom_timeframes SET updated_at = '-infinity' WHERE id = 7"
        => ["timestamp.signal_custom_timeframes.updated_at"] words;
    a_list_in_the_place_of_an_object:
        "ALTER TABLE signal_indicators DROP CONSTRAINT signal_indicators_parameters_check;
            UPDATE signal_indicators SET parameters = '[1]' WHERE id = 7"
        => [
            "schema.signal_indicators.constraint.signal_indicators_parameters_check",
            "json.signal_indicators.parameters",
        ] words;
    a_json_null:
        "ALTER TABLE signal_indicators DROP CONSTRAINT signal_indicators_values_check;
            UPDATE signal_indicators SET \"values\" = 'null' WHERE id = 7"
        => [
            "schema.signal_indicators.constraint.signal_indicators_values_check",
            "json.signal_indicators.values",
        ] words;
    a_seventh_decimal_place: "ALTER TABLE signal_greeks ALTER COLUMN vega TYPE numeric;
            UPDATE signal_greeks SET vega = 0.1234567 WHERE id = 7"
        => [
            "schema.signal_greeks.column.vega",
            "precision.greeks.signal_greeks.vega",
            "query.latest_greeks.result",
        ] words;
}

/// What a scan says about the deltas of 12,000 rows when only so many may be scanned whole.
fn judge_deltas(full_scan_rows: u64, change: &str) -> (Status, String) {
    let database = database();
    run(async {
        let drop = "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_delta_check";
        let client = connect(database.url()).await;
        client.batch_execute(&format!("{drop}; {change}; ANALYZE signal_greeks")).await.unwrap();
        let options = Options { full_scan_rows, ..Options::default() };
        let seen = observe_by(contract(), database.url(), &options).await;
        let judgement =
            judge_by(contract(), &seen).remove("range.delta.signal_greeks.delta").unwrap();
        (judgement.status, judgement.observed)
    })
}

#[test]
fn a_large_table_is_sampled_and_the_sample_says_so() {
    let (status, observed) = judge_deltas(6_000, "SELECT 1");
    assert_eq!(status, Status::Proven);
    assert!(observed.contains("in a sample of"), "{observed}");
    assert!(observed.contains("with 95 % confidence"), "{observed}");
    let (status, observed) = judge_deltas(12_000, "SELECT 1");
    assert_eq!((status, observed.as_str()), (Status::Proven, "none wrong in all 12,000 values"));
}

#[test]
fn a_sample_finds_what_is_often_wrong() {
    let (status, observed) =
        judge_deltas(6_000, "UPDATE signal_greeks SET delta = 6 WHERE id % 2 = 0");
    assert_eq!(status, Status::Refuted, "{observed}");
}

#[test]
fn too_small_a_sample_proves_nothing() {
    let (status, observed) = judge_deltas(1, "SELECT 1");
    assert_eq!(status, Status::Unproven, "{observed}");
}

#[test]
fn empty_tables_prove_nothing_about_values() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        client.batch_execute("DELETE FROM signal_greeks").await.unwrap();
        let seen = observe_by(contract(), database.url(), &Options::default()).await;
        let judgements = judge_by(contract(), &seen);
        assert_eq!(ids(&judgements, Status::Refuted), [""; 0]);
        for claim in ["range.delta.signal_greeks.delta", "timestamp.signal_greeks.created_at"] {
            assert_eq!(judgements[claim].status, Status::Unproven, "{claim}");
        }
        assert_eq!(judgements["json.signal_custom_timeframes.data"].status, Status::Proven);
    });
}
