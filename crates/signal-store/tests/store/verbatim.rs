//! What the records accept, the server stores and gives back as it was; what they
//! refuse by a range, the server refuses too.

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use signal_store::jiff::{SignedDuration, Timestamp};
use signal_store::serde_json::{Map, Number, Value};
use signal_store::{Decimal, Found, Greeks, Indicator, MoneynessLevel, Rule, now, oldest_writable};

use crate::records::{
    ago, greeks, greeks_number, indicator, moneyness, set_moneyness_count, set_moneyness_number,
};
use crate::support::{Bench, bench, days};

const COLUMNS: [&str; 10] = [
    "delta",
    "gamma",
    "theta",
    "vega",
    "rho",
    "implied_volatility",
    "theoretical_value",
    "underlying_price",
    "strike_price",
    "time_to_expiry",
];

/// Numbers of every size and scale, most of them near the bounds of some column.
fn numbers() -> impl Strategy<Value = Decimal> {
    let near = prop::sample::select(vec![
        "-5",
        "5",
        "0",
        "10",
        "100",
        "10000",
        "100000000",
        "-10000",
        "-100000000",
    ]);
    let offsets = (-3_i64..=3, 0_u32..=8);
    let edges = (near, offsets).prop_map(|(bound, (digit, scale))| {
        bound.parse::<Decimal>().unwrap() + Decimal::new(digit, scale)
    });
    let any =
        (any::<i64>(), 0_u32..=28).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale));
    let plausible = (-9_999_999_i64..=9_999_999, 0_u32..=6)
        .prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale));
    prop_oneof![edges, any, plausible]
}

/// Runs a check in the runtime of the test on many values.
fn check<S: Strategy>(
    cases: u32,
    values: &S,
    mut body: impl AsyncFnMut(S::Value) -> Result<(), TestCaseError>,
) {
    let runtime = tokio::runtime::Handle::current();
    let config = Cases { cases, failure_persistence: None, ..Cases::default() };
    tokio::task::block_in_place(|| {
        let body = std::cell::RefCell::new(&mut body);
        TestRunner::new(config)
            .run(values, |value| runtime.block_on((*body.borrow_mut())(value)))
            .unwrap_or_else(|failure| panic!("{failure}"));
    });
}

/// Stores a record without asking what the contract says; the error's SQLSTATE.
async fn store_unchecked(bench: &Bench, record: &Greeks) -> Result<(), String> {
    let sql = include_str!("../../contract/queries/save_greeks.sql");
    let stored = bench
        .observer
        .execute(
            sql,
            &[
                &record.signal_id,
                &record.instrument_key,
                &record.timestamp,
                &record.delta,
                &record.gamma,
                &record.theta,
                &record.vega,
                &record.rho,
                &record.implied_volatility,
                &record.theoretical_value,
                &record.underlying_price,
                &record.strike_price,
                &record.time_to_expiry,
            ],
        )
        .await;
    stored.map(drop).map_err(|error| error.code().map_or_else(String::new, |c| c.code().to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_stored_verbatim_or_refused_by_both() {
    let bench = bench().await;
    let values = (prop::sample::select(COLUMNS.to_vec()), numbers());
    check(800, &values, async |(column, value)| {
        let mut record = greeks("NSE@TCS@EQ", now());
        *greeks_number(&mut record, column) = Some(value);
        match record.check(oldest_writable(now())) {
            Ok(()) => {
                let id = bench.store.save_greeks(&record).await.unwrap();
                let sql = format!("SELECT {column} FROM signal_greeks WHERE id = $1");
                let row = bench.observer.query_one(&sql, &[&id]).await.unwrap();
                prop_assert_eq!(row.get::<_, Decimal>(0), value, "{}", column);
            }
            Err(violation) => {
                prop_assert_eq!(violation.field, column);
                let stored = store_unchecked(&bench, &record).await;
                match violation.found {
                    // The server would store another number.
                    Found::TooManyDecimals => {}
                    Found::BelowRange | Found::AboveRange | Found::TooManyDigits => {
                        let code = stored.err().unwrap_or_default();
                        // Rounding may bring a number back into its range.
                        let Rule::Number(rule) = violation.rule else { panic!("{violation}") };
                        let rounded = value.round_dp(rule.scale);
                        let mut near = record.clone();
                        *greeks_number(&mut near, column) = Some(rounded);
                        prop_assert!(
                            code == "23514"
                                || code == "22003"
                                || near.check(oldest_writable(now())).is_ok(),
                            "{} {}: {:?}, refused as {}",
                            column,
                            value,
                            code,
                            violation
                        );
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
        Ok(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instants_are_stored_verbatim() {
    let bench = bench().await;
    let oldest = oldest_writable(now()) + SignedDuration::from_mins(5);
    let first = oldest.as_microsecond();
    let last = Timestamp::MAX.as_microsecond();
    let recent = now().as_microsecond();
    let micros = prop_oneof![first..=first + 1000, recent - 1_000_000..=recent, first..=last];
    check(60, &micros, async |micros| {
        let record = greeks("NSE@TCS@EQ", Timestamp::from_microsecond(micros).unwrap());
        let id = bench.store.save_greeks(&record).await.unwrap();
        let sql = "SELECT \"timestamp\" FROM signal_greeks WHERE id = $1";
        let row = bench.observer.query_one(sql, &[&id]).await.unwrap();
        prop_assert_eq!(row.get::<_, Timestamp>(0), record.timestamp);
        Ok(())
    });
}

fn json_values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,8}",
        "[\n\t\u{1}\u{7f}\u{202e}\u{feff}\u{10ffff}'\"\\\\$]{0,6}"
    ];
    let float = any::<f64>().prop_filter_map("finite", Number::from_f64);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|value| Value::Number(value.into())),
        any::<u64>().prop_map(|value| Value::Number(value.into())),
        float.prop_map(Value::Number),
        text.prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 30, 5, |inner| {
        let keys = "\\PC{0,6}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(keys, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same JSON: numbers by their value, since the server writes 1e20 as an integer.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => same_object(one, other),
        _ => one == other,
    }
}

fn same_object(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.len() == other.len()
        && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_stored_verbatim() {
    let bench = bench().await;
    let objects = prop::collection::btree_map("\\PC{0,10}", json_values(), 0..6);
    check(300, &objects, async |map| {
        let mut record: Indicator = indicator("NSE@TCS@EQ", "RSI", now());
        record.parameters = map.clone().into_iter().collect();
        record.values = map.into_iter().collect();
        prop_assert!(record.check(oldest_writable(now())).is_ok());
        let id = bench.store.save_indicator(&record).await.unwrap();
        let (key, name) = (&record.instrument_key, &record.indicator_name);
        let found = bench.store.get_latest_indicator(key, name).await.unwrap().unwrap();
        prop_assert_eq!(found.id, id);
        prop_assert!(
            same_object(&found.parameters, &record.parameters)
                && same_object(&found.values, &record.values),
            "{:?} became {:?}",
            record.values,
            found.values
        );
        Ok(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_at_its_limits_is_stored_and_read_again() {
    let bench = bench().await;
    let mut deep = Value::Array(Vec::new());
    for _ in 0..98 {
        deep = Value::Array(vec![deep]);
    }
    let long = Value::String("\u{1}".repeat((1 << 20) - 10));
    for (at, value) in [(2, deep), (1, long)] {
        let mut record = indicator("NSE@TCS@EQ", "RSI", ago(at));
        record.values = Map::from_iter([("a".to_owned(), value)]);
        bench.store.save_indicator(&record).await.unwrap();
        let (key, name) = (&record.instrument_key, &record.indicator_name);
        let found = bench.store.get_latest_indicator(key, name).await.unwrap().unwrap();
        assert!(found.values == record.values);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_symbols_come_back_verbatim() {
    let bench = bench().await;
    let symbols = prop_oneof![
        "\\PC{1,40}",
        "[ -~]{1,60}",
        Just("'; DROP TABLE signal_greeks; --".to_owned()),
        Just("$1 %s \\' \u{2bc} \u{202e} \u{feff} \u{1f4a9}".to_owned()),
        Just("Ж".repeat(255)),
        Just("\u{10ffff}".repeat(255)),
        Just("\u{7f}\u{1}\r\n\t".to_owned()),
    ];
    check(100, &symbols, async |symbol| {
        let record = moneyness(&symbol, MoneynessLevel::Atm, now());
        bench.store.save_moneyness_greeks(&record).await.unwrap();
        let found =
            bench.store.get_moneyness_greeks(&record.underlying_symbol, &days(1)).await.unwrap();
        prop_assert!(!found.is_empty(), "{:?}", symbol);
        let sql = "SELECT count(*) FROM signal_moneyness_greeks WHERE underlying_symbol = $1";
        let row = bench.observer.query_one(sql, &[&symbol]).await.unwrap();
        prop_assert!(row.get::<_, i64>(0) > 0);
        Ok(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moneyness_numbers_are_stored_verbatim_or_refused_by_both() {
    let bench = bench().await;
    let columns = vec![
        "spot_price",
        "min_strike",
        "max_strike",
        "all_delta",
        "all_gamma",
        "all_theta",
        "all_vega",
        "all_rho",
        "all_iv",
        "calls_delta",
        "calls_gamma",
        "calls_theta",
        "calls_vega",
        "calls_rho",
        "calls_iv",
        "puts_delta",
        "puts_gamma",
        "puts_theta",
        "puts_vega",
        "puts_rho",
        "puts_iv",
    ];
    check(400, &(prop::sample::select(columns), numbers()), async |(column, value)| {
        let mut record = moneyness("NIFTY", MoneynessLevel::Atm, now());
        set_moneyness_number(&mut record, column, value);
        if let Err(violation) = record.check(oldest_writable(now())) {
            prop_assert_eq!(violation.field, column);
            return Ok(());
        }
        let id = bench.store.save_moneyness_greeks(&record).await.unwrap();
        let sql = format!("SELECT {column} FROM signal_moneyness_greeks WHERE id = $1");
        let row = bench.observer.query_one(&sql, &[&id]).await.unwrap();
        prop_assert_eq!(row.get::<_, Decimal>(0), value, "{}", column);
        Ok(())
    });
    for column in ["all_count", "calls_count", "puts_count", "strike_count"] {
        let mut record = moneyness("NIFTY", MoneynessLevel::Atm, now());
        set_moneyness_count(&mut record, column, 12345);
        let id = bench.store.save_moneyness_greeks(&record).await.unwrap();
        let sql = format!("SELECT {column} FROM signal_moneyness_greeks WHERE id = $1");
        let row = bench.observer.query_one(&sql, &[&id]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 12345, "{column}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_at_their_limits_are_stored() {
    let bench = bench().await;
    for date in ["-004713-11-24", "0001-01-01", "9999-12-31"] {
        let mut record = moneyness("NIFTY", MoneynessLevel::Atm, now());
        record.expiry_date = Some(date.parse().unwrap());
        bench.store.save_moneyness_greeks(&record).await.unwrap();
        let found =
            bench.store.get_moneyness_greeks(&record.underlying_symbol, &days(1)).await.unwrap();
        assert_eq!(found[0].expiry_date, record.expiry_date);
    }
}
