//! Tables, hypertables, continuous aggregates, rollups and what is known beside them.

use std::collections::{HashMap, HashSet};

use semver::Version;

use super::super::error::quoted;
use super::super::locate::Path;
use super::super::model::{Column, Model, Table};
use super::super::{names, types};
use super::{Found, Index, overlap};

/// Keys of the versions between which something exists.
pub(super) type Bounds<'a> = (Option<&'a Version>, Option<&'a Version>);

pub(super) fn problems(model: &Model, index: &Index<'_>, found: &mut Found) {
    let base = Path::new("table");
    let mut relations: HashSet<(&str, &str)> = HashSet::new();
    for (at, table) in model.tables.iter().enumerate() {
        let path = base.at(at);
        found.rule(path.key("name"), names::identifier(&table.name));
        found.rule(path.key("schema"), names::identifier(&table.schema));
        found.not_blank(&path, "meaning", &table.meaning);
        if !relations.insert((&table.schema, &table.name)) {
            let message = format!("table `{}` is stated twice; keep one", quoted(&table.name));
            found.push(path.key("name"), message);
        }
        columns(table, &path, found);
        parts(table, &path, found);
        time(table, &path, found);
    }
    aggregates(model, index, &mut relations, found);
    rollups(model, index, found);
    indexes(model, &relations, found);
    known(model, index, found);
}

fn columns(table: &Table, path: &Path, found: &mut Found) {
    if table.columns.is_empty() {
        found.push(path.clone(), format!("table `{}` has no column", quoted(&table.name)));
    }
    let base = path.key("column");
    let named = table.columns.iter();
    in_time(
        "column",
        &base,
        named.map(|one| (one.name.as_str(), (one.since.as_ref(), one.until.as_ref()))),
        found,
    );
    for (at, column) in table.columns.iter().enumerate() {
        let path = base.at(at);
        found.rule(path.key("type"), type_name(&column.data_type));
        found.not_blank(&path, "meaning", &column.meaning);
        if let Some(default) = &column.default {
            found.not_blank(&path, "default", default);
        }
        if let Some(expression) = &column.generated {
            found.not_blank(&path, "generated", expression);
            if column.default.is_some() || column.identity.is_some() {
                let message = "a computed column has no default and no identity; remove one";
                found.push(path.key("generated"), message);
            }
        }
        if let Some(collation) = &column.collation {
            found.not_blank(&path, "collation", collation);
        }
        identity(column, &path, found);
    }
}

fn identity(column: &Column, path: &Path, found: &mut Found) {
    if column.identity.is_none() {
        return;
    }
    if column.default.is_some() {
        let message = "an identity column has no other default; remove `default` or `identity`";
        found.push(path.key("default"), message);
    }
    if column.nullable {
        let message = "an identity column is never null; remove `nullable`";
        found.push(path.key("nullable"), message);
    }
    // A type that is spelled otherwise is a problem of its own.
    let canonical = types::canonical(&column.data_type);
    if canonical.is_some_and(|name| !["smallint", "integer", "bigint"].contains(&name.as_str())) {
        let message = format!(
            "expected smallint, integer or bigint for an identity column, found `{}`",
            quoted(&column.data_type)
        );
        found.push(path.key("type"), message);
    }
}

/// Constraints, indexes and triggers.
fn parts(table: &Table, path: &Path, found: &mut Found) {
    let base = path.key("constraint");
    let named = table.constraints.iter();
    in_time(
        "constraint",
        &base,
        named.map(|one| (one.name.as_str(), (one.since.as_ref(), one.until.as_ref()))),
        found,
    );
    for (at, one) in table.constraints.iter().enumerate() {
        found.not_blank(&base.at(at), "definition", &one.definition);
    }
    let base = path.key("index");
    let named = table.indexes.iter();
    in_time(
        "index",
        &base,
        named.map(|one| (one.name.as_str(), (one.since.as_ref(), one.until.as_ref()))),
        found,
    );
    for (at, one) in table.indexes.iter().enumerate() {
        let path = base.at(at);
        found.rule(path.key("method"), names::identifier(&one.method));
        if one.columns.is_empty() || one.columns.iter().any(|column| column.trim().is_empty()) {
            found.push(
                path.key("columns"),
                "expected at least one column or expression, found none",
            );
        }
        if one.include.iter().any(|column| column.trim().is_empty()) {
            found.push(path.key("include"), "expected the name of a column, found none");
        }
        if one.nulls_not_distinct && !one.unique {
            let message = "only a unique index compares nulls; remove it or add `unique`";
            found.push(path.key("nulls_not_distinct"), message);
        }
        if let Some(predicate) = &one.predicate {
            found.not_blank(&path, "predicate", predicate);
        }
    }
    let base = path.key("trigger");
    let named = table.triggers.iter();
    in_time(
        "trigger",
        &base,
        named.map(|one| (one.name.as_str(), (one.since.as_ref(), one.until.as_ref()))),
        found,
    );
    for (at, one) in table.triggers.iter().enumerate() {
        found.not_blank(&base.at(at), "meaning", &one.meaning);
    }
}

/// Entries of one name are different stages of it: their versions must not overlap.
pub(super) fn in_time<'a>(
    what: &str,
    base: &Path,
    entries: impl Iterator<Item = (&'a str, Bounds<'a>)>,
    found: &mut Found,
) {
    let mut seen: HashMap<&str, Vec<Bounds<'_>>> = HashMap::new();
    for (at, (name, bounds)) in entries.enumerate() {
        let path = base.at(at).key("name");
        if let Err(message) = names::identifier(name) {
            found.push(path, format!("{what}: {message}"));
            continue;
        }
        let earlier = seen.entry(name).or_default();
        if earlier.iter().any(|other| overlap(*other, bounds)) {
            let message = format!(
                "{what} `{}` is stated twice; keep one, or state versions with `since` and `until`",
                quoted(name)
            );
            found.push(path, message);
        } else {
            earlier.push(bounds);
        }
    }
}

/// Whether a type is written as PostgreSQL prints it.
pub(super) fn type_name(written: &str) -> Result<(), String> {
    match types::canonical(written) {
        None => Err(format!("expected a type, found `{}`", quoted(written))),
        Some(canonical) if canonical != written => Err(format!(
            "expected the type as PostgreSQL prints it, `{}`, found `{}`",
            quoted(&canonical),
            quoted(written)
        )),
        Some(_) => Ok(()),
    }
}

/// How its rows are kept: partitions, and what only hypertables have.
fn time(table: &Table, path: &Path, found: &mut Found) {
    let columns: HashSet<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let exists = |name: &str| {
        let message = || {
            let (table, name) = (quoted(&table.name), quoted(name));
            format!("expected a column of table `{table}`, found `{name}`")
        };
        if columns.contains(name) { Ok(()) } else { Err(message()) }
    };
    if let Some(key) = &table.partition_by {
        let path = path.key("partition_by");
        if !["RANGE (", "LIST (", "HASH ("].iter().any(|word| key.starts_with(word)) {
            let message = format!(
                "expected RANGE (…), LIST (…) or HASH (…), as pg_get_partkeydef prints it, found `{}`",
                quoted(key)
            );
            found.push(path.clone(), message);
        }
        if table.hypertable.is_some() || table.unlogged {
            let message = "a partitioned table is no hypertable and not unlogged; remove one";
            found.push(path, message);
        }
    } else if table.unlogged && table.hypertable.is_some() {
        found.push(path.key("unlogged"), "a hypertable is not unlogged; remove one");
    }
    if let Some(hypertable) = &table.hypertable {
        let column = exists(&hypertable.time_column);
        found.rule(path.key("hypertable").key("time_column"), column);
    } else {
        for (key, is_there) in
            [("retention", table.retention.is_some()), ("compression", table.compression.is_some())]
        {
            if is_there {
                let message = format!("only a hypertable has {key}; state [table.hypertable]");
                found.push(path.key(key), message);
            }
        }
    }
    if let Some(compression) = &table.compression {
        let path = path.key("compression");
        let mut seen = HashSet::new();
        for (at, name) in compression.segment_by.iter().enumerate() {
            let path = path.key("segment_by").at(at);
            found.rule(path.clone(), exists(name));
            if !seen.insert(name.as_str()) {
                found.push(path, format!("column `{}` is named twice", quoted(name)));
            }
        }
        for (at, written) in compression.order_by.iter().enumerate() {
            let path = path.key("order_by").at(at);
            let name = written.split_whitespace().next().unwrap_or_default().trim_matches('"');
            found.rule(path.clone(), exists(name));
            if !seen.insert(name) {
                found.push(path, format!("column `{}` is named twice", quoted(name)));
            }
        }
    }
}

fn aggregates<'a>(
    model: &'a Model,
    index: &Index<'_>,
    relations: &mut HashSet<(&'a str, &'a str)>,
    found: &mut Found,
) {
    let base = Path::new("continuous_aggregate");
    for (at, one) in model.continuous_aggregates.iter().enumerate() {
        let path = base.at(at);
        found.rule(path.key("name"), names::identifier(&one.name));
        found.rule(path.key("schema"), names::identifier(&one.schema));
        found.not_blank(&path, "meaning", &one.meaning);
        if !relations.insert((&one.schema, &one.name)) {
            let name = quoted(&one.name);
            let message = format!("a table or aggregate `{name}` is stated twice; keep one");
            found.push(path.key("name"), message);
        }
        found.rule(path.key("source"), hypertable(index, &one.source));
        if one.columns.is_empty() {
            found.push(path.key("columns"), "expected at least one column, found none");
        }
        found.listed("column", &path.key("columns"), &one.columns, names::identifier);
    }
}

/// Rollups; their files are examined with those of the queries.
fn rollups(model: &Model, index: &Index<'_>, found: &mut Found) {
    let base = Path::new("rollup");
    let named = model.rollups.iter().map(|one| one.name.as_str());
    found.names("rollup", &base, named, names::word);
    for (at, one) in model.rollups.iter().enumerate() {
        let path = base.at(at);
        found.not_blank(&path, "meaning", &one.meaning);
        found.rule(path.key("source"), hypertable(index, &one.source));
        for (key, text) in [("mend", &one.mend), ("refresh", &one.refresh)] {
            if let Some(text) = text {
                found.not_blank(&path, key, text);
            }
        }
    }
}

fn hypertable(index: &Index<'_>, name: &str) -> Result<(), String> {
    if index.table(name).is_some_and(|table| table.hypertable.is_some()) {
        return Ok(());
    }
    Err(format!("expected a hypertable of this contract, found `{}`", quoted(name)))
}

/// Indexes, tables and views of a schema share one space of names.
fn indexes(model: &Model, relations: &HashSet<(&str, &str)>, found: &mut Found) {
    let mut owners: HashMap<(&str, &str), usize> = HashMap::new();
    for (place, table) in model.tables.iter().enumerate() {
        for (at, one) in table.indexes.iter().enumerate() {
            let key = (table.schema.as_str(), one.name.as_str());
            let owner = *owners.entry(key).or_insert(place);
            if owner != place || relations.contains(&key) {
                let message = format!(
                    "`{}` is already the name of another index, table or view of the schema",
                    quoted(&one.name)
                );
                let path = Path::new("table").at(place).key("index").at(at).key("name");
                found.push(path, message);
            }
        }
    }
}

fn known(model: &Model, index: &Index<'_>, found: &mut Found) {
    let path = Path::new("known");
    for (what, key, list) in [
        ("function", "functions", &model.known.functions),
        ("view", "views", &model.known.views),
        ("table", "tables", &model.known.tables),
    ] {
        found.listed(what, &path.key(key), list, names::known_identifier);
    }
    for (at, name) in model.known.tables.iter().enumerate() {
        if index.table(name).is_some() {
            let message = format!("table `{}` is described above; remove it here", quoted(name));
            found.push(path.key("tables").at(at), message);
        }
    }
}
