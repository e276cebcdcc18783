//! Query contracts, the statements of rollups, the pool and transactions.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::error::quoted;
use super::super::locate::Path;
use super::super::model::{Model, Query};
use super::super::names;
use super::Found;
use super::schema::type_name;

/// What `SHOW default_transaction_isolation` can print.
const ISOLATION: [&str; 4] =
    ["read uncommitted", "read committed", "repeatable read", "serializable"];

pub(super) fn problems(model: &Model, files: &BTreeMap<String, String>, found: &mut Found) {
    let base = Path::new("query");
    let named = model.queries.iter().map(|one| one.name.as_str());
    found.names("query", &base, named, names::word);
    // The name of a constraint is that of its index.
    let indexes: HashSet<&str> = model
        .tables
        .iter()
        .flat_map(|table| {
            let own = table.indexes.iter().map(|index| index.name.as_str());
            own.chain(table.constraints.iter().map(|constraint| constraint.name.as_str()))
        })
        .collect();
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for (at, query) in model.queries.iter().enumerate() {
        let path = base.at(at);
        if let Some(owner) = owners.insert(&query.file, &query.name) {
            let message = format!(
                "`{}` is already the file of query `{}`",
                quoted(&query.file),
                quoted(owner)
            );
            found.push(path.key("file"), message);
        }
        found.rule(path.key("method"), names::word(&query.method));
        found.not_blank(&path, "meaning", &query.meaning);
        found.listed("consumer", &path.key("consumers"), &query.consumers, text);
        columns(query, &path, found);
        limits(query, &indexes, &path, found);
    }
    for (at, query) in model.queries.iter().enumerate() {
        text_files(query, files, &owners, &base.at(at), found);
    }
    rollups(model, files, found);
    pool(model, found);
}

/// A file below `queries/` that is there.
fn existing(file: &str, files: &BTreeMap<String, String>) -> Result<(), String> {
    names::query_file(file)?;
    if files.contains_key(file) {
        return Ok(());
    }
    Err(format!("expected the file {}, found none; write it", quoted(file)))
}

/// The two statements of each rollup.
fn rollups(model: &Model, files: &BTreeMap<String, String>, found: &mut Found) {
    for (at, rollup) in model.rollups.iter().enumerate() {
        let path = Path::new("rollup").at(at);
        found.rule(path.key("served"), existing(&rollup.served, files));
        found.rule(path.key("raw"), existing(&rollup.raw, files));
        if rollup.served == rollup.raw {
            let message =
                "expected another file than that of `served`: a statement agrees with itself";
            found.push(path.key("raw"), message);
        }
    }
}

fn text_files(
    query: &Query,
    files: &BTreeMap<String, String>,
    owners: &HashMap<&str, &str>,
    path: &Path,
    found: &mut Found,
) {
    found.rule(path.key("file"), existing(&query.file, files));
    if let Some(sample) = &query.sample {
        found.rule(path.key("sample"), existing(sample, files));
    }
    if let Some(owner) = query.sample.as_deref().and_then(|sample| owners.get(sample)) {
        let message =
            format!("expected a file of its own, found that of query `{}`", quoted(owner));
        found.push(path.key("sample"), message);
    }
}

fn columns(query: &Query, path: &Path, found: &mut Found) {
    let base = path.key("parameter");
    let named = query.parameters.iter().map(|one| one.name.as_str());
    found.names("parameter", &base, named, names::identifier);
    for (at, parameter) in query.parameters.iter().enumerate() {
        found.rule(base.at(at).key("type"), type_name(&parameter.data_type));
    }
    let base = path.key("result");
    let named = query.results.iter().map(|one| one.name.as_str());
    found.names("result column", &base, named, text);
    for (at, column) in query.results.iter().enumerate() {
        found.rule(base.at(at).key("type"), type_name(&column.data_type));
    }
}

fn limits(query: &Query, indexes: &HashSet<&str>, path: &Path, found: &mut Found) {
    if let Some(sla) = &query.sla {
        let path = path.key("sla");
        found.positive(path.key("p95_ms"), sla.p95_ms);
        found.positive(path.key("per_second"), sla.per_second);
    }
    let Some(plan) = &query.plan else { return };
    let path = path.key("plan");
    if plan.indexes.is_empty() && !plan.chunk_exclusion {
        found.push(path.key("indexes"), "expected an index, or chunk_exclusion = true, found none");
    }
    for (at, name) in plan.indexes.iter().enumerate() {
        if !indexes.contains(name.as_str()) {
            let message = format!("expected an index of this contract, found `{}`", quoted(name));
            found.push(path.key("indexes").at(at), message);
        }
    }
}

fn pool(model: &Model, found: &mut Found) {
    let (path, pool) = (Path::new("pool"), &model.pool);
    if pool.max == 0 {
        found.push(path.key("max"), "expected at least one connection, found 0");
    } else if pool.min > pool.max {
        let message = format!("expected at most max = {}, found {}", pool.max, pool.min);
        found.push(path.key("min"), message);
    }
    for (key, value) in [
        ("acquire_timeout_ms", pool.acquire_timeout_ms),
        ("command_timeout_ms", pool.command_timeout_ms),
    ] {
        if value == 0 {
            found.push(path.key(key), "expected a time above zero, found 0");
        }
    }
    found.percent(path.key("reuse_percent"), pool.reuse_percent);
    found.percent(path.key("alert_percent"), pool.alert_percent);
    found.rule(path.key("application_name"), names::identifier(&pool.application_name));
    let isolation = &model.transactions.isolation;
    if !ISOLATION.contains(&isolation.as_str()) {
        let message =
            format!("expected one of {}, found `{}`", ISOLATION.join(", "), quoted(isolation));
        found.push(Path::new("transactions").key("isolation"), message);
    }
}

/// A name for people.
pub(super) fn text(name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.contains(char::is_control) {
        return Err(format!("expected a name, found `{}`", quoted(name)));
    }
    Ok(())
}
