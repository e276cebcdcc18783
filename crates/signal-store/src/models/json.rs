//! The rules of JSON.

use serde_json::Value;

use crate::violation::{Found, Rule, Violation};

/// A JSON object. Missing data is an empty one: the fields are never null.
pub type JsonObject = serde_json::Map<String, Value>;

/// Deeper JSON could be written, but not read again.
const DEPTH: usize = 100;
/// A record is a row of figures, not a document.
const BYTES: usize = 1 << 20;

/// Refuses what `jsonb` cannot store and what could not be read again.
pub(super) fn check_json(field: &'static str, object: &JsonObject) -> Result<(), Violation> {
    let mut left = BYTES;
    let refusal =
        |found| Violation { field, rule: Rule::Json { depth: DEPTH, bytes: BYTES }, found };
    object_fits(object, DEPTH, &mut left).map_err(refusal)
}

fn object_fits(object: &JsonObject, depth: usize, left: &mut usize) -> Result<(), Found> {
    let depth = depth.checked_sub(1).ok_or(Found::TooDeep)?;
    object.iter().try_for_each(|(key, value)| {
        text_fits(key, left)?;
        value_fits(value, depth, left)
    })
}

fn value_fits(value: &Value, depth: usize, left: &mut usize) -> Result<(), Found> {
    match value {
        Value::Object(object) => object_fits(object, depth, left),
        Value::Array(values) => {
            let depth = depth.checked_sub(1).ok_or(Found::TooDeep)?;
            spend(1, left)?;
            values.iter().try_for_each(|value| value_fits(value, depth, left))
        }
        Value::String(text) => text_fits(text, left),
        Value::Number(_) | Value::Bool(_) | Value::Null => spend(1, left),
    }
}

fn text_fits(text: &str, left: &mut usize) -> Result<(), Found> {
    if text.contains('\0') { Err(Found::Nul) } else { spend(text.len() + 1, left) }
}

fn spend(bytes: usize, left: &mut usize) -> Result<(), Found> {
    *left = left.checked_sub(bytes).ok_or(Found::TooLong)?;
    Ok(())
}
