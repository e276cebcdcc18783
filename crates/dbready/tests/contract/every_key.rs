//! A model with every key of the format, and every leaf of it by its path.

use std::sync::OnceLock;

use dbready::contract::{Contract, Model, source};
use serde_json::Value;

/// `contract.toml` with every key that the format has.
pub(crate) const EVERY_KEY: &str = include_str!("every_key.toml");

/// The model with every key. It need not be sound: what it names is not there.
pub(crate) fn model() -> Model {
    toml::from_str(EVERY_KEY).unwrap()
}

/// The built-in contract with the model of every key in the place of its own.
pub(crate) fn contract() -> Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    let build = || {
        let mut contract = source::load(None).unwrap();
        contract.model = model();
        contract.query_sql.truncate(contract.model.queries.len());
        contract
    };
    CONTRACT.get_or_init(build).clone()
}

/// Paths of all leaves (no object, no array) below a value, as JSON pointers.
pub(crate) fn leaves(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    walk(inner, &format!("{at}/{key}"), found);
                }
            }
            Value::Array(list) => {
                for (index, inner) in list.iter().enumerate() {
                    walk(inner, &format!("{at}/{index}"), found);
                }
            }
            _ => found.push(at.to_owned()),
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

/// Another value of the same kind.
pub(crate) fn other(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Bool(is) => Value::Bool(!is),
        Value::Number(number) if number.is_f64() => (number.as_f64()? + 1.0).into(),
        Value::Number(number) => (number.as_u64()? + 1).into(),
        Value::String(text) => match text.as_str() {
            "always" => "by default".into(),
            "community" => "any".into(),
            "any" => "community".into(),
            "standard" => "quick".into(),
            "load" => "drill".into(),
            "drill" => "load".into(),
            text if text.ends_with('s') && text.starts_with(|c: char| c.is_ascii_digit()) => {
                "5 days".into()
            }
            "1 day" | "1 hour" | "1 minute" => "6 days".into(),
            text if text.starts_with("20") => "2026-02-02".into(),
            text if text.contains('.') && text.starts_with(|c: char| c.is_ascii_digit()) => {
                "1.0.7".into()
            }
            text if text.starts_with(">=") => ">=1".into(),
            text => format!("{text}x").into(),
        },
        _ => return None,
    })
}

/// No key is left out, so that whoever walks this model meets each.
#[test]
fn every_key_has_a_value() {
    let value = serde_json::to_value(model()).unwrap();
    let empty: Vec<String> =
        leaves(&value).into_iter().filter(|at| value.pointer(at).unwrap().is_null()).collect();
    // A figure states one of its limits, and one of drills has no workload; a range one bound on each side.
    let excluded = [
        "/range/0/above",
        "/range/0/below",
        "/range/1/min",
        "/range/1/max",
        "/figure/0/at_least",
        "/figure/1/at_most",
        "/figure/1/workload",
    ];
    assert_eq!(empty, excluded);
    no_empty_list(&value, "");
}

fn no_empty_list(value: &Value, at: &str) {
    match value {
        Value::Array(list) => {
            assert!(!list.is_empty(), "{at}");
            for one in list {
                no_empty_list(one, at);
            }
        }
        Value::Object(map) => {
            for (key, one) in map {
                no_empty_list(one, &format!("{at}/{key}"));
            }
        }
        _ => {}
    }
}

/// What is written from the model is read back as the same model.
#[test]
fn a_model_written_as_toml_is_read_back() {
    for model in [model(), source::load(None).unwrap().model] {
        let written = toml::to_string_pretty(&model).unwrap();
        let again: Model = toml::from_str(&written).unwrap();
        let (one, other) = (serde_json::to_value(&model), serde_json::to_value(&again));
        assert_eq!(one.unwrap(), other.unwrap());
    }
}
