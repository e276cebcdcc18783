//! The rules of the records are those of the contract: each clause is tried at its
//! bounds, and beyond.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/records.rs"]
#[allow(dead_code)]
mod records;

use std::sync::OnceLock;

use dbready::contract::{self, Contract};
use proptest::prelude::*;
use records::{greeks, greeks_number, moneyness, set_moneyness_count, set_moneyness_number};
use signal_store::jiff::{SignedDuration, Timestamp};
use signal_store::{
    Decimal, Found, IndicatorName, InstrumentKey, MoneynessLevel, SignalId, SignalType, Timeframe,
    Violation, now, oldest_writable,
};

fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| contract::source::load(None).unwrap())
}

/// What the records say to a number in a column.
fn try_number(column: &str, value: Decimal) -> Result<(), Violation> {
    let oldest = oldest_writable(now());
    match column.split_once('.').unwrap() {
        ("signal_greeks", name) => {
            let mut record = greeks("NSE@RELIANCE@EQ", now());
            *greeks_number(&mut record, name) = Some(value);
            record.check(oldest)
        }
        ("signal_moneyness_greeks", name) => {
            let mut record = moneyness("NIFTY", MoneynessLevel::Atm, now());
            if name.ends_with("count") {
                set_moneyness_count(&mut record, name, i32::try_from(value).unwrap());
            } else {
                set_moneyness_number(&mut record, name, value);
            }
            record.check(oldest)
        }
        ("signal_custom_timeframes", "timeframe_minutes") => {
            Timeframe::minutes(i32::try_from(value).unwrap()).map(drop)
        }
        _ => panic!("{column}: no record has this number"),
    }
}

/// What the keys say to text in a column.
fn try_text(column: &str, text: &str) -> Result<(), Violation> {
    match column.split_once('.').unwrap().1 {
        "instrument_key" => InstrumentKey::new(text).map(drop),
        "signal_id" => SignalId::new(text).map(drop),
        "indicator_name" => IndicatorName::new(text).map(drop),
        "moneyness_level" => text.parse::<MoneynessLevel>().map(drop),
        "signal_type" => text.parse::<SignalType>().map(drop),
        _ => panic!("{column}: no key stands for this text"),
    }
}

fn type_of(column: &str) -> &'static str {
    let (table, name) = column.split_once('.').unwrap();
    let table = contract().model.tables.iter().find(|one| one.name == table).unwrap();
    &table.columns.iter().find(|one| one.name == name).unwrap().data_type
}

/// Precision and scale of a numeric column.
fn numeric(data_type: &str) -> Option<(u32, u32)> {
    let (precision, scale) =
        data_type.strip_prefix("numeric(")?.strip_suffix(')')?.split_once(',')?;
    Some((precision.parse().unwrap(), scale.parse().unwrap()))
}

/// The smallest step of a column.
fn step(column: &str) -> Decimal {
    numeric(type_of(column)).map_or(Decimal::ONE, |(_, scale)| Decimal::new(1, scale))
}

fn found(result: Result<(), Violation>) -> Option<Found> {
    result.err().map(|violation| violation.found)
}

#[test]
fn ranges_are_those_of_the_contract() {
    let decimal = |bound: f64| Decimal::try_from(bound).unwrap();
    for range in &contract().model.ranges {
        for column in &range.columns {
            let step = step(column);
            if let Some(min) = range.min.map(decimal) {
                assert_eq!(found(try_number(column, min)), None, "{column} at {min}");
                let below = min - step;
                assert_eq!(found(try_number(column, below)), Some(Found::BelowRange), "{column}");
            }
            if let Some(above) = range.above.map(decimal) {
                assert_eq!(found(try_number(column, above)), Some(Found::BelowRange), "{column}");
                assert_eq!(found(try_number(column, above + step)), None, "{column}");
            }
            if let Some(max) = range.max.map(decimal) {
                assert_eq!(found(try_number(column, max)), None, "{column} at {max}");
                let above = max + step;
                assert_eq!(found(try_number(column, above)), Some(Found::AboveRange), "{column}");
            }
            assert!(range.below.is_none(), "{column}: an open upper bound is not tried");
        }
    }
}

#[test]
fn a_column_without_a_range_takes_all_that_its_type_holds() {
    for table in ["signal_greeks", "signal_moneyness_greeks"] {
        let columns =
            &contract().model.tables.iter().find(|one| one.name == table).unwrap().columns;
        for column in columns.iter().map(|one| format!("{table}.{}", one.name)) {
            let Some((precision, scale)) = numeric(type_of(&column)) else { continue };
            let limit = Decimal::from(10_u64.pow(precision - scale));
            let step = step(&column);
            let too_fine = Decimal::new(15, scale + 1);
            assert_eq!(found(try_number(&column, too_fine)), Some(Found::TooManyDecimals));
            // Zeros at the end change nothing.
            let mut padded = Decimal::ONE;
            padded.rescale(scale + 3);
            assert_eq!(found(try_number(&column, padded)), None, "{column}");
            let clauses = &contract().model.ranges;
            let range = clauses.iter().find(|range| range.columns.contains(&column));
            if range.is_none_or(|range| range.max.is_none()) {
                assert_eq!(found(try_number(&column, limit - step)), None, "{column}");
                assert_eq!(found(try_number(&column, limit)), Some(Found::TooManyDigits));
            }
            if range.is_none() {
                assert_eq!(found(try_number(&column, step - limit)), None, "{column}");
                assert_eq!(found(try_number(&column, -limit)), Some(Found::TooManyDigits));
            }
        }
    }
}

#[test]
fn precision_clauses_are_the_scales_that_are_checked() {
    for precision in &contract().model.precisions {
        for column in &precision.columns {
            let (_, scale) = numeric(type_of(column)).unwrap();
            assert_eq!(scale, precision.scale, "{column}");
        }
    }
}

#[test]
fn formats_are_those_of_the_contract() {
    for format in &contract().model.formats {
        for column in &format.columns {
            for example in &format.examples {
                assert_eq!(found(try_text(column, example)), None, "{column}: {example:?}");
            }
            for text in &format.counterexamples {
                assert!(try_text(column, text).is_err(), "{column}: {text:?}");
            }
        }
    }
}

#[test]
fn texts_are_as_long_as_their_columns() {
    let longest = |start: &str, length| start.to_owned() + &"A".repeat(length - start.len());
    assert_eq!(type_of("signal_greeks.instrument_key"), "character varying(255)");
    assert_eq!(type_of("signal_indicators.indicator_name"), "character varying(255)");
    for (column, start) in
        [("signal_greeks.instrument_key", "NSE@A@"), ("signal_indicators.indicator_name", "A")]
    {
        assert_eq!(found(try_text(column, &longest(start, 255))), None);
        assert_eq!(found(try_text(column, &longest(start, 256))), Some(Found::TooLong));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Each format is the pattern of the contract, for texts near it and far from it.
    #[test]
    fn formats_are_their_patterns(
        text in prop_oneof![
            "[A-Z]{0,3}(@[A-Z0-9&-]{0,4}){1,2}(@[A-Z]{0,2})?(@[0-9]{0,3}[.]?[0-9]{0,2}){0,2}",
            "signal_[0-9]{7,9}_[0-9_]{5,7}",
            "[A-Za-z0-9_ ]{0,5}",
            "(DEEP_)?[OIA]TM ?",
            "(greeks|indicators|moneyness|_){0,3}",
            "[ -~\n\r\u{410}-\u{44f}]{0,30}",
        ],
    ) {
        for format in &contract().model.formats {
            let pattern = regex::Regex::new(&format.pattern.replace('$', r"\z")).unwrap();
            for column in &format.columns {
                prop_assert_eq!(
                    try_text(column, &text).is_ok(), pattern.is_match(&text), "{}: {:?}", column, text
                );
            }
        }
    }
}

#[test]
fn every_constraint_of_a_value_is_a_rule_of_ours() {
    // What the checks of the contract are about; a new one must be met by a rule.
    let known = [
        "signal_greeks_delta_check",
        "signal_greeks_gamma_check",
        "signal_greeks_implied_volatility_check",
        "signal_greeks_instrument_key_check",
        "signal_greeks_numbers_check",
        "signal_greeks_signal_id_check",
        "signal_greeks_time_to_expiry_check",
        "signal_greeks_timestamp_check",
        "signal_indicators_indicator_name_check",
        "signal_indicators_instrument_key_check",
        "signal_indicators_parameters_check",
        "signal_indicators_signal_id_check",
        "signal_indicators_timestamp_check",
        "signal_indicators_values_check",
        "signal_moneyness_greeks_count_check",
        "signal_moneyness_greeks_delta_check",
        "signal_moneyness_greeks_gamma_check",
        "signal_moneyness_greeks_iv_check",
        "signal_moneyness_greeks_moneyness_level_check",
        "signal_moneyness_greeks_numbers_check",
        "signal_moneyness_greeks_timestamp_check",
        "signal_custom_timeframes_data_check",
        "signal_custom_timeframes_instrument_key_check",
        "signal_custom_timeframes_signal_type_check",
        "signal_custom_timeframes_timeframe_minutes_check",
        "signal_custom_timeframes_timestamp_check",
    ];
    let records = [
        "signal_greeks",
        "signal_indicators",
        "signal_moneyness_greeks",
        "signal_custom_timeframes",
    ];
    for table in contract().model.tables.iter().filter(|one| records.contains(&&*one.name)) {
        for constraint in table.constraints.iter().filter(|one| one.definition.starts_with("CHECK"))
        {
            assert!(known.contains(&&*constraint.name), "{}: no rule for it", constraint.name);
        }
    }
}

#[test]
fn instants_are_recent_and_whole() {
    let present: Timestamp = "2026-03-01T12:00:00.000001Z".parse().unwrap();
    let oldest = oldest_writable(present);
    let tick = SignedDuration::from_micros(1);
    let try_at = |timestamp| found(greeks("NSE@RELIANCE@EQ", timestamp).check(oldest));
    assert_eq!(try_at(oldest), None);
    assert_eq!(try_at(oldest - tick), Some(Found::TooOld));
    assert_eq!(try_at(present + SignedDuration::from_nanos(1)), Some(Found::PartOfMicrosecond));
    let others = [
        records::indicator("NSE@RELIANCE@EQ", "RSI", oldest - tick).check(oldest),
        moneyness("NIFTY", MoneynessLevel::Atm, oldest - tick).check(oldest),
        records::timeframe("NSE@RELIANCE@EQ", 5, oldest - tick).check(oldest),
    ];
    for other in others {
        assert_eq!(found(other), Some(Found::TooOld));
    }
}
