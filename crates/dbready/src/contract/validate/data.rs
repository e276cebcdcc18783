//! Formats, ranges, decimal places, instants and JSON objects.

use super::super::error::quoted;
use super::super::locate::Path;
use super::super::model::Model;
use super::super::values::Range;
use super::super::{names, types};
use super::{Found, Index, pattern};

/// Most formats: their patterns are compiled.
const FORMATS: usize = 100;

/// Beginnings of the names of types that come with PostgreSQL and that hold no number.
const NO_NUMBERS: &[&str] = &[
    "text",
    "character",
    "json",
    "boolean",
    "timestamp",
    "time",
    "date",
    "interval",
    "uuid",
    "bytea",
];
/// The same of types that hold no text.
const NO_TEXTS: &[&str] = &[
    "numeric",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "json",
    "boolean",
    "timestamp",
    "time",
    "date",
    "interval",
    "bytea",
];

/// Which columns a clause may speak of.
#[derive(Clone, Copy)]
enum Types {
    /// Those whose type begins with one of these; the first is the usual one.
    Of(&'static [&'static str]),
    /// Those that hold what the word says: types of the user's own may, types that begin like these
    /// and arrays do not.
    Holding(&'static str, &'static [&'static str]),
}

pub(super) fn problems(model: &Model, index: &Index<'_>, found: &mut Found) {
    let base = Path::new("format");
    let named = model.formats.iter().map(|one| one.name.as_str());
    found.names("format", &base, named, names::word);
    if model.formats.len() > FORMATS {
        let message = format!("expected at most {FORMATS} formats, found {}", model.formats.len());
        found.push(base.at(FORMATS), message);
    }
    for (at, format) in model.formats.iter().take(FORMATS).enumerate() {
        let path = base.at(at);
        found.not_blank(&path, "meaning", &format.meaning);
        pattern::problems(format, &path, found);
        columns(index, &format.columns, &path, Types::Holding("text", NO_TEXTS), found);
    }
    let base = Path::new("range");
    let named = model.ranges.iter().map(|one| one.name.as_str());
    found.names("range", &base, named, names::word);
    for (at, range) in model.ranges.iter().enumerate() {
        let path = base.at(at);
        found.not_blank(&path, "meaning", &range.meaning);
        bounds(range, &path, found);
        columns(index, &range.columns, &path, Types::Holding("numbers", NO_NUMBERS), found);
    }
    let base = Path::new("precision");
    let named = model.precisions.iter().map(|one| one.name.as_str());
    found.names("precision", &base, named, names::word);
    for (at, precision) in model.precisions.iter().enumerate() {
        columns(index, &precision.columns, &base.at(at), Types::Of(&["numeric"]), found);
    }
    if !model.timestamps.columns.is_empty() {
        let path = Path::new("timestamps");
        columns(
            index,
            &model.timestamps.columns,
            &path,
            Types::Of(&["timestamp with time zone", "timestamp("]),
            found,
        );
    }
    if !model.json_objects.columns.is_empty() {
        let path = Path::new("json_objects");
        columns(index, &model.json_objects.columns, &path, Types::Of(&["jsonb", "json"]), found);
    }
}

fn bounds(range: &Range, path: &Path, found: &mut Found) {
    let pair = |included: Option<f64>, excluded: Option<f64>| included.or(excluded);
    let (low, high) = (pair(range.min, range.above), pair(range.max, range.below));
    let all =
        [("min", range.min), ("above", range.above), ("max", range.max), ("below", range.below)];
    for (key, bound) in all {
        if let Some(bound) = bound.filter(|bound| !bound.is_finite()) {
            found.push(path.key(key), format!("expected a finite number, found {bound}"));
        }
    }
    if range.min.is_some() && range.above.is_some() {
        found.push(path.key("above"), "expected `min` or `above`, found both; remove one");
    }
    if range.max.is_some() && range.below.is_some() {
        found.push(path.key("below"), "expected `max` or `below`, found both; remove one");
    }
    match (low, high) {
        (None, None) => {
            let message = "expected a bound (min, above, max or below), found none";
            found.push(path.clone(), message);
        }
        (Some(low), Some(high)) if low >= high => {
            let key = if range.min.is_some() { "min" } else { "above" };
            let message = format!("expected a lower bound below the upper {high}, found {low}");
            found.push(path.key(key), message);
        }
        _ => {}
    }
}

/// Columns named as `table.column` exist, are named once and are of a type that fits.
fn columns(index: &Index<'_>, named: &[String], path: &Path, wanted: Types, found: &mut Found) {
    let path = path.key("columns");
    if named.is_empty() {
        found.push(path.clone(), "expected at least one column as `table.column`, found none");
    }
    let rule = |_: &str| Ok(());
    found.listed("column", &path, named, rule);
    for (at, name) in named.iter().enumerate() {
        let path = path.at(at);
        let Some(column) = index.column(name) else {
            let message = format!(
                "expected a column of this contract as `table.column`, found `{}`",
                quoted(name)
            );
            found.push(path, message);
            continue;
        };
        // A type that is spelled otherwise is a problem of its own.
        let Some(canonical) = types::canonical(&column.data_type) else { continue };
        let begins = |starts: &[&str]| starts.iter().any(|one| canonical.starts_with(one));
        let (fits, words) = match wanted {
            Types::Of(starts) => {
                (begins(starts), format!("of type {}", starts.first().unwrap_or(&"")))
            }
            Types::Holding(what, others) => {
                (!begins(others) && !canonical.ends_with(']'), format!("that holds {what}"))
            }
        };
        if !fits {
            let message = format!(
                "expected a column {words}, found `{}` of type {}",
                quoted(name),
                quoted(&column.data_type)
            );
            found.push(path, message);
        }
    }
}
