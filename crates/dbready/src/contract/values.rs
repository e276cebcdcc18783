//! What every value of a column keeps: formats, ranges, decimal places, instants, JSON objects.

use serde::{Deserialize, Serialize};

/// One text format.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// Name.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// Regular expression that the whole value matches, in syntax that PostgreSQL and the `regex` crate share.
    pub pattern: String,
    /// Values that match.
    pub examples: Vec<String>,
    /// Values that do not.
    pub counterexamples: Vec<String>,
    /// Columns, as `table.column`.
    pub columns: Vec<String>,
}

/// One numeric range.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Name.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// Least value, included.
    pub min: Option<f64>,
    /// Bound below, excluded.
    pub above: Option<f64>,
    /// Greatest value, included.
    pub max: Option<f64>,
    /// Bound above, excluded.
    pub below: Option<f64>,
    /// Columns, as `table.column`. Null is in every range; NaN is in none.
    pub columns: Vec<String>,
}

/// Decimal places of a kind of value.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Precision {
    /// Name.
    pub name: String,
    /// Decimal places at most.
    pub scale: u32,
    /// Columns, as `table.column`.
    pub columns: Vec<String>,
}

/// Columns that hold instants.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Timestamps {
    /// Columns, as `table.column`: `timestamp with time zone`, finite.
    #[serde(default)]
    pub columns: Vec<String>,
}

/// Columns that hold JSON objects.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JsonObjects {
    /// Columns, as `table.column`: never null, `{}` when empty.
    #[serde(default)]
    pub columns: Vec<String>,
}
