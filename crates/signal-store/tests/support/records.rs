//! Records that the contract allows, and their fields by the names of the columns.

use signal_store::jiff::{SignedDuration, Timestamp};
use signal_store::serde_json::{Value, json};
use signal_store::{
    CustomTimeframe, Decimal, Greeks, Indicator, JsonObject, MoneynessGreeks, MoneynessGroup,
    MoneynessLevel, SignalType, Timeframe, now,
};

pub(crate) fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(crate) fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        other => panic!("{other}: not an object"),
    }
}

/// That many minutes before now.
pub(crate) fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

/// A record with a value in every field.
pub(crate) fn greeks(instrument: &str, timestamp: Timestamp) -> Greeks {
    Greeks {
        signal_id: "signal_20260117_000001".parse().unwrap(),
        instrument_key: instrument.parse().unwrap(),
        timestamp,
        delta: Some(number("0.512345")),
        gamma: Some(number("0.001234")),
        theta: Some(number("-12.500001")),
        vega: Some(number("8.25")),
        rho: Some(number("-0.75")),
        implied_volatility: Some(number("0.185")),
        theoretical_value: Some(number("104.1234")),
        underlying_price: Some(number("24000.05")),
        strike_price: Some(number("24050")),
        time_to_expiry: Some(number("0.05")),
    }
}

pub(crate) fn indicator(instrument: &str, name: &str, timestamp: Timestamp) -> Indicator {
    Indicator {
        signal_id: "signal_20260117_000001".parse().unwrap(),
        instrument_key: instrument.parse().unwrap(),
        timestamp,
        indicator_name: name.parse().unwrap(),
        parameters: object(json!({"length": 14, "source": "close"})),
        values: object(json!({"RSI_14": 61.5, "flags": [true, null, {"deep": "text"}]})),
    }
}

pub(crate) fn moneyness(
    symbol: &str,
    level: MoneynessLevel,
    timestamp: Timestamp,
) -> MoneynessGreeks {
    let group = |delta: &str, count| MoneynessGroup {
        delta: Some(number(delta)),
        gamma: Some(number("0.002")),
        theta: Some(number("-3.5")),
        vega: Some(number("12.25")),
        rho: Some(number("0.25")),
        iv: Some(number("0.21")),
        count: Some(count),
    };
    MoneynessGreeks {
        underlying_symbol: symbol.parse().unwrap(),
        moneyness_level: level,
        expiry_date: Some("2026-12-31".parse().unwrap()),
        timestamp,
        spot_price: number("24000.05"),
        all: group("0.1", 10),
        calls: group("0.5", 6),
        puts: group("-0.4", 4),
        min_strike: Some(number("23000")),
        max_strike: Some(number("25000")),
        strike_count: Some(5),
    }
}

pub(crate) fn timeframe(instrument: &str, minutes: i32, timestamp: Timestamp) -> CustomTimeframe {
    CustomTimeframe {
        instrument_key: instrument.parse().unwrap(),
        signal_type: SignalType::Greeks,
        timeframe: Timeframe::minutes(minutes).unwrap(),
        timestamp,
        data: object(json!({"delta": 0.5})),
    }
}

/// The decimal field of a record that a column stands for.
pub(crate) fn greeks_number<'a>(record: &'a mut Greeks, column: &str) -> &'a mut Option<Decimal> {
    match column {
        "delta" => &mut record.delta,
        "gamma" => &mut record.gamma,
        "theta" => &mut record.theta,
        "vega" => &mut record.vega,
        "rho" => &mut record.rho,
        "implied_volatility" => &mut record.implied_volatility,
        "theoretical_value" => &mut record.theoretical_value,
        "underlying_price" => &mut record.underlying_price,
        "strike_price" => &mut record.strike_price,
        "time_to_expiry" => &mut record.time_to_expiry,
        other => panic!("signal_greeks.{other}: no such field"),
    }
}

/// Sets the decimal field of a record that a column stands for.
pub(crate) fn set_moneyness_number(record: &mut MoneynessGreeks, column: &str, value: Decimal) {
    let field = match column {
        "spot_price" => {
            record.spot_price = value;
            return;
        }
        "min_strike" => &mut record.min_strike,
        "max_strike" => &mut record.max_strike,
        _ => {
            let (group, name) = group_of(record, column);
            match name {
                "delta" => &mut group.delta,
                "gamma" => &mut group.gamma,
                "theta" => &mut group.theta,
                "vega" => &mut group.vega,
                "rho" => &mut group.rho,
                "iv" => &mut group.iv,
                other => panic!("{other}: no such field"),
            }
        }
    };
    *field = Some(value);
}

/// Sets the count that a column stands for.
pub(crate) fn set_moneyness_count(record: &mut MoneynessGreeks, column: &str, value: i32) {
    if column == "strike_count" {
        record.strike_count = Some(value);
        return;
    }
    let (group, name) = group_of(record, column);
    assert_eq!(name, "count");
    group.count = Some(value);
}

fn group_of<'r, 'c>(
    record: &'r mut MoneynessGreeks,
    column: &'c str,
) -> (&'r mut MoneynessGroup, &'c str) {
    match column.split_once('_').unwrap() {
        ("all", name) => (&mut record.all, name),
        ("calls", name) => (&mut record.calls, name),
        ("puts", name) => (&mut record.puts, name),
        (other, _) => panic!("{other}: no such group"),
    }
}
