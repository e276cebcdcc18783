//! What the records and parameters refuse, and in which words.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/records.rs"]
#[allow(dead_code)]
mod records;

use std::time::Duration;

use pg_session::{Class, Outcome};
use records::{greeks, indicator, moneyness, number, object, timeframe};
use signal_store::jiff::{SignedDuration, Timestamp};
use signal_store::serde_json::{Value, json};
use signal_store::{
    BucketWidth, Error, Found, Greeks, IndicatorName, InstrumentKey, MoneynessGreeks,
    MoneynessLevel, SignalId, SignalType, TimeRange, Timeframe, UnderlyingSymbol, Violation, now,
    number_from_f64, oldest_writable,
};

fn refusal(result: Result<impl std::fmt::Debug, Violation>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_refusal_names_field_rule_and_kind_of_value() {
    let oldest = oldest_writable(now());
    let mut record = greeks("NSE@RELIANCE@EQ", now());
    let mut refuse = |change: fn(&mut Greeks)| {
        let untouched = record.clone();
        change(&mut record);
        let words = refusal(record.check(oldest));
        record = untouched;
        words
    };
    assert_eq!(
        refuse(|record| record.delta = Some(number("5.000001"))),
        "delta: expected a number of at least -5 and at most 5 with at most 4 digits before the \
         point and 6 after it, found a higher one"
    );
    assert_eq!(
        refuse(|record| record.implied_volatility = Some(number("0"))),
        "implied_volatility: expected a number above 0 and at most 5 with at most 2 digits before \
         the point and 6 after it, found a lower one"
    );
    assert_eq!(
        refuse(|record| record.strike_price = Some(number("100000000"))),
        "strike_price: expected a number with at most 8 digits before the point and 4 after it, \
         found more digits before the point"
    );
    assert!(
        refuse(|record| record.vega = Some(number("0.0000001")))
            .ends_with("found more digits after the point")
    );
    assert_eq!(
        refuse(|record| record.timestamp = "2020-01-01T00:00:00Z".parse().unwrap()),
        "timestamp: expected an instant within the last year or later, found an earlier one"
    );
    assert_eq!(
        refuse(|record| record.timestamp += SignedDuration::from_nanos(1)),
        "timestamp: expected whole microseconds, found a part of one"
    );
}

#[test]
fn the_last_year_begins_with_its_first_instant() {
    let oldest = oldest_writable(now());
    let mut record = greeks("NSE@RELIANCE@EQ", oldest);
    assert_eq!(record.check(oldest), Ok(()));
    record.timestamp -= SignedDuration::from_micros(1);
    assert_eq!(record.check(oldest).unwrap_err().found, Found::TooOld);
}

#[test]
fn a_refused_key_is_told_what_keys_look_like() {
    assert_eq!(
        refusal(InstrumentKey::new("NSE@RELIANCE")),
        "instrument_key: expected EXCHANGE@SYMBOL@SEGMENT or EXCHANGE@SYMBOL@SEGMENT@STRIKE, \
         found text of another form"
    );
    assert!(refusal(SignalId::new("")).ends_with("signal_YYYYMMDD_NNNNNN, found nothing"));
    assert!(refusal(IndicatorName::new("R\0")).ends_with("found the character NUL"));
    assert!(refusal("NEAR".parse::<MoneynessLevel>()).contains("DEEP_OTM, OTM, ATM, ITM or"));
    assert!(refusal("".parse::<SignalType>()).ends_with("found nothing"));
    assert_eq!(
        refusal(UnderlyingSymbol::new(&"Ж".repeat(256))),
        "underlying_symbol: expected 1 to 255 characters without NUL, found more"
    );
    assert!(UnderlyingSymbol::new(&"Ж".repeat(255)).is_ok());
    assert_eq!(
        refusal(Timeframe::minutes(0)),
        "timeframe_minutes: expected 1 or more, found a lower one"
    );
    assert_eq!(Timeframe::minutes(15).unwrap().as_minutes(), 15);
}

#[test]
fn keys_read_as_they_are_written() {
    let key: InstrumentKey = "NSE@M&M@EQ".parse().unwrap();
    assert_eq!((key.as_str(), key.to_string()), ("NSE@M&M@EQ", "NSE@M&M@EQ".to_owned()));
    for level in MoneynessLevel::ALL {
        assert_eq!(level.to_string().parse(), Ok(*level));
    }
    for kind in SignalType::ALL {
        assert_eq!(kind.to_string().parse(), Ok(*kind));
    }
}

#[test]
fn a_record_without_values_is_allowed() {
    let oldest = oldest_writable(now());
    let id: SignalId = "signal_20260117_000001".parse().unwrap();
    let key: InstrumentKey = "NSE@RELIANCE@EQ".parse().unwrap();
    assert_eq!(Greeks::new(id, key, now()).check(oldest), Ok(()));
    let symbol = "NIFTY".parse().unwrap();
    let empty = MoneynessGreeks::new(symbol, MoneynessLevel::Otm, now(), number("24000"));
    assert_eq!(empty.check(oldest), Ok(()));
}

#[test]
fn dates_are_those_that_the_server_stores() {
    let oldest = oldest_writable(now());
    let mut record = moneyness("NIFTY", MoneynessLevel::Atm, now());
    record.expiry_date = Some("-004713-11-24".parse().unwrap());
    assert_eq!(record.check(oldest), Ok(()));
    record.expiry_date = Some("-004713-11-23".parse().unwrap());
    assert_eq!(
        refusal(record.check(oldest)),
        "expiry_date: expected a date that PostgreSQL can store, found a lower one"
    );
}

#[test]
fn json_has_limits() {
    let oldest = oldest_writable(now());
    let try_values = |value: Value| {
        let mut record = indicator("NSE@RELIANCE@EQ", "RSI", now());
        record.values = object(value);
        record.check(oldest).err().map(|violation| (violation.field, violation.found))
    };
    assert_eq!(try_values(json!({})), None);
    assert_eq!(try_values(json!({"a": "\0"})), Some(("values", Found::Nul)));
    assert_eq!(try_values(json!({"a\0": 1})), Some(("values", Found::Nul)));
    assert_eq!(try_values(json!({"a": [{"b": ["\0"]}]})), Some(("values", Found::Nul)));
    let nested = |levels: usize| {
        let mut value = json!([]);
        for level in 2..levels {
            value = if level % 2 == 0 { json!({ "a": value }) } else { json!([value]) };
        }
        json!({ "a": value })
    };
    assert_eq!(try_values(nested(100)), None);
    assert_eq!(try_values(nested(101)), Some(("values", Found::TooDeep)));
    assert_eq!(try_values(nested(102)), Some(("values", Found::TooDeep)));
    assert_eq!(try_values(json!({ "a": "x".repeat((1 << 20) - 3) })), None);
    let long = json!({ "a": "x".repeat((1 << 20) - 2) });
    assert_eq!(try_values(long), Some(("values", Found::TooLong)));
    let many = json!({ "a": vec![json!(null); 1 << 20] });
    assert_eq!(try_values(many), Some(("values", Found::TooLong)));

    let mut parameters = indicator("NSE@RELIANCE@EQ", "RSI", now());
    parameters.parameters = object(json!({"a": "\0"}));
    assert_eq!(
        refusal(parameters.check(oldest)),
        "parameters: expected JSON without NUL, 100 levels deep and 1048576 bytes long at most, \
         found the character NUL"
    );
    let mut data = timeframe("NSE@RELIANCE@EQ", 5, now());
    data.data = object(nested(101));
    assert!(refusal(data.check(oldest)).ends_with("found deeper nesting"));
}

#[test]
fn floating_point_becomes_decimal_or_is_refused() {
    assert_eq!(number_from_f64("delta", 0.1, 6), Ok(number("0.1")));
    assert_eq!(number_from_f64("delta", -2.5, 0), Ok(number("-2")));
    assert_eq!(number_from_f64("delta", 5e-324, 6), Ok(number("0")));
    let found = |value| number_from_f64("delta", value, 6).unwrap_err().found;
    assert_eq!(found(f64::NAN), Found::NotANumber);
    assert_eq!(found(f64::INFINITY), Found::Infinite);
    assert_eq!(found(f64::NEG_INFINITY), Found::Infinite);
    assert_eq!(found(1e300), Found::TooManyDigits);
    assert_eq!(
        refusal(number_from_f64("vega", f64::NAN, 6)),
        "vega: expected a finite number, found not a number"
    );
    assert!(refusal(number_from_f64("vega", f64::INFINITY, 6)).ends_with("found infinity"));
}

#[test]
fn ranges_run_forward_and_count_their_buckets() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"));
    assert_eq!(
        refusal(TimeRange::new(to, from)),
        "to: expected an end that is not before the start, found one before it"
    );
    let range = TimeRange::new(from, to).unwrap();
    assert_eq!((range.from(), range.to()), (from, to));
    let width = BucketWidth::new(Duration::from_mins(5)).unwrap();
    assert_eq!(width.as_micros(), 300_000_000);
    assert_eq!(width.buckets_in(&range), 290);
    assert_eq!(width.buckets_in(&TimeRange::new(from, from).unwrap()), 2);
    // Parts of a microsecond are cut off within the range, before 1970 too.
    let (nano, micro) = (SignedDuration::from_nanos(1), SignedDuration::from_micros(1));
    for (from, to) in [(from, to), (at("1969-01-01T00:00:00Z"), at("1969-12-31T00:00:00Z"))] {
        for inside in [nano, micro - nano] {
            let range = TimeRange::new(from + inside, to + inside).unwrap();
            assert_eq!((range.from(), range.to()), (from + micro, to));
        }
    }
    let all = TimeRange::new(Timestamp::MIN, Timestamp::MAX).unwrap();
    let second = BucketWidth::new(Duration::from_secs(1)).unwrap();
    assert!(second.buckets_in(&all) > 400_000_000_000);
}

#[test]
fn bucket_widths_have_limits() {
    let refuse = |width| refusal(BucketWidth::new(width));
    let limits = "bucket_width: expected 1 to 31622400 seconds, found ";
    assert_eq!(refuse(Duration::from_millis(999)), format!("{limits}less"));
    assert_eq!(refuse(Duration::from_hours(366 * 24 + 1)), format!("{limits}more"));
    assert_eq!(
        refuse(Duration::from_nanos(1_000_000_001)),
        "bucket_width: expected whole microseconds, found a part of one"
    );
}

#[test]
fn a_violation_is_an_error_of_the_data() {
    let error = Error::from(SignalId::new("x").unwrap_err());
    assert_eq!(error.class(), Class::Data);
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert!(error.to_string().starts_with("signal_id: expected signal_YYYYMMDD_NNNNNN"));
}
