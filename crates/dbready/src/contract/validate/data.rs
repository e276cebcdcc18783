//! Formats, ranges, decimal places, instants and JSON objects.

use super::super::error::quoted;
use super::super::locate::Path;
use super::super::model::{Model, Range};
use super::super::names;
use super::{Found, Index, pattern};

/// Most formats: their patterns are compiled.
const FORMATS: usize = 100;

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
        columns(index, &format.columns, &path, None, found);
    }
    let base = Path::new("range");
    let named = model.ranges.iter().map(|one| one.name.as_str());
    found.names("range", &base, named, names::word);
    for (at, range) in model.ranges.iter().enumerate() {
        let path = base.at(at);
        found.not_blank(&path, "meaning", &range.meaning);
        bounds(range, &path, found);
        columns(index, &range.columns, &path, None, found);
    }
    let base = Path::new("precision");
    let named = model.precisions.iter().map(|one| one.name.as_str());
    found.names("precision", &base, named, names::word);
    for (at, precision) in model.precisions.iter().enumerate() {
        columns(index, &precision.columns, &base.at(at), Some(&["numeric"]), found);
    }
    if !model.timestamps.columns.is_empty() {
        let instant = ["timestamp with time zone", "timestamp("];
        let path = Path::new("timestamps");
        columns(index, &model.timestamps.columns, &path, Some(&instant), found);
    }
    if !model.json_objects.columns.is_empty() {
        let path = Path::new("json_objects");
        columns(index, &model.json_objects.columns, &path, Some(&["jsonb", "json"]), found);
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
fn columns(
    index: &Index<'_>,
    named: &[String],
    path: &Path,
    types: Option<&[&str]>,
    found: &mut Found,
) {
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
        let fits = |types: &[&str]| types.iter().any(|one| column.data_type.starts_with(one));
        if let Some(types) = types.filter(|types| !fits(types)) {
            let message = format!(
                "expected a column of type {}, found `{}` of type {}",
                types.first().copied().unwrap_or_default(),
                quoted(name),
                quoted(&column.data_type)
            );
            found.push(path, message);
        }
    }
}
