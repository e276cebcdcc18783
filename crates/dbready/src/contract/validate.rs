//! What the types of the model cannot say: names that must be unique or exist, paths, patterns.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use semver::Version;

use super::error::{Problem, quoted};
use super::locate::Path;
use super::model::{Migration, Model, Table};
use super::names::{self, column_of};
use super::parse::DOCUMENT;

/// Version of the file format that this program reads.
const FORMAT: u32 = 1;
/// Folder of the query texts.
const QUERIES: &str = "queries/";

type Found = Vec<(Path, String)>;

/// Everything that is wrong with the model and the files it names.
pub(super) fn problems(
    model: &Model,
    migrations: &[Migration],
    files: &BTreeMap<String, String>,
) -> Found {
    let mut found = Found::new();
    if model.contract != FORMAT {
        let message = format!("expected format {FORMAT}, found {}", model.contract);
        found.push((Path::new("contract"), message));
    }
    tables(model, &mut found);
    aggregates(model, &mut found);
    queries(model, files, &mut found);
    pool(model, &mut found);
    data(model, &mut found);
    score(model, &mut found);
    figures(model, &mut found);
    versions(model, migrations, &mut found);
    found
}

/// Query files that no query of the contract names: they would lie there unused.
pub(super) fn stray_queries(model: &Model, files: &BTreeMap<String, String>) -> Vec<Problem> {
    let named: BTreeSet<&str> = model
        .queries
        .iter()
        .flat_map(|query| [Some(query.file.as_str()), query.sample.as_deref()])
        .flatten()
        .collect();
    files
        .keys()
        .filter(|file| file.starts_with(QUERIES) && !named.contains(file.as_str()))
        .map(|file| {
            Problem::of_file(file, format!("no query of {DOCUMENT} names this file; remove it"))
        })
        .collect()
}

/// Names that occur twice, and names that cannot be names.
fn unique<'a>(
    what: &str,
    base: &Path,
    names: impl Iterator<Item = &'a str>,
    rule: fn(&str) -> Result<(), String>,
    found: &mut Found,
) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        let path = base.at(index).key("name");
        if let Err(message) = rule(name) {
            found.push((path, format!("{what}: {message}, found `{}`", quoted(name))));
        } else if !seen.insert(name) {
            found.push((path, format!("{what} `{}` is stated twice", quoted(name))));
        }
    }
}

fn tables(model: &Model, found: &mut Found) {
    let base = Path::new("table");
    let mut seen = BTreeSet::new();
    for (index, table) in model.tables.iter().enumerate() {
        let path = base.at(index);
        for (key, name) in [("name", &table.name), ("schema", &table.schema)] {
            if let Err(message) = names::identifier(name) {
                found.push((path.key(key), format!("{message}, found `{}`", quoted(name))));
            }
        }
        if !seen.insert((&table.schema, &table.name)) {
            let message = format!("table `{}` is stated twice", quoted(&table.name));
            found.push((path.key("name"), message));
        }
        table_parts(table, &path, found);
    }
}

fn table_parts(table: &Table, path: &Path, found: &mut Found) {
    let identifier = names::identifier;
    let names = |names: Vec<&'_ str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let columns = names(table.columns.iter().map(|column| column.name.as_str()).collect());
    let parts = [
        ("column", columns.clone()),
        ("constraint", names(table.constraints.iter().map(|one| one.name.as_str()).collect())),
        ("index", names(table.indexes.iter().map(|one| one.name.as_str()).collect())),
    ];
    for (what, names) in &parts {
        unique(what, &path.key(what), names.iter().map(String::as_str), identifier, found);
    }
    if columns.is_empty() {
        found.push((path.clone(), format!("table `{}` has no column", quoted(&table.name))));
    }
    for (index, column) in table.columns.iter().enumerate() {
        type_name(&column.data_type, &path.key("column").at(index).key("type"), found);
    }
    for (index, one) in table.indexes.iter().enumerate() {
        if one.columns.is_empty() {
            let path = path.key("index").at(index).key("columns");
            found.push((path, "expected at least one column, found none".to_owned()));
        }
    }
    let mut exists = |path: Path, name: &str| {
        if !columns.iter().any(|column| column == name) {
            let message =
                format!("table `{}` has no column `{}`", quoted(&table.name), quoted(name));
            found.push((path, message));
        }
    };
    if let Some(hypertable) = &table.hypertable {
        exists(path.key("hypertable").key("time_column"), &hypertable.time_column);
    }
    if let Some(compression) = &table.compression {
        let path = path.key("compression");
        for (index, name) in compression.segment_by.iter().enumerate() {
            exists(path.key("segment_by").at(index), name);
        }
        for (index, name) in compression.order_by.iter().enumerate() {
            let bare = name.split_whitespace().next().unwrap_or_default().trim_matches('"');
            exists(path.key("order_by").at(index), bare);
        }
    }
    let needs_time = table.retention.is_some() || table.compression.is_some();
    if needs_time && table.hypertable.is_none() {
        let message = format!(
            "table `{}` has retention or compression, which only a hypertable can have; \
             state [table.hypertable]",
            quoted(&table.name)
        );
        found.push((path.clone(), message));
    }
}

fn type_name(written: &str, path: &Path, found: &mut Found) {
    if let Some(canonical) = names::canonical_type(written) {
        let message = format!(
            "expected the type as PostgreSQL prints it, `{canonical}`; found `{}`",
            quoted(written)
        );
        found.push((path.clone(), message));
    } else if written.trim().is_empty() || written != written.trim() {
        found.push((path.clone(), format!("expected a type, found `{}`", quoted(written))));
    }
}

fn aggregates(model: &Model, found: &mut Found) {
    let base = Path::new("continuous_aggregate");
    let named = model.continuous_aggregates.iter().map(|one| one.name.as_str());
    unique("continuous aggregate", &base, named, names::identifier, found);
    for (index, one) in model.continuous_aggregates.iter().enumerate() {
        let source = model.tables.iter().find(|table| table.name == one.source);
        if source.is_none_or(|table| table.hypertable.is_none()) {
            let message = format!("`{}` is no hypertable of this contract", quoted(&one.source));
            found.push((base.at(index).key("source"), message));
        }
    }
}

fn queries(model: &Model, files: &BTreeMap<String, String>, found: &mut Found) {
    let base = Path::new("query");
    unique("query", &base, model.queries.iter().map(|one| one.name.as_str()), names::word, found);
    for (index, query) in model.queries.iter().enumerate() {
        let path = base.at(index);
        for (key, file) in [("file", Some(&query.file)), ("sample", query.sample.as_ref())] {
            let Some(file) = file else { continue };
            if let Err(message) = names::inside(file, QUERIES) {
                found.push((path.key(key), message));
            } else if files.get(file).is_none_or(|text| text.trim().is_empty()) {
                let message = format!("expected a statement in {}, found none", quoted(file));
                found.push((path.key(key), message));
            }
        }
        for (at, parameter) in query.parameters.iter().enumerate() {
            type_name(&parameter.data_type, &path.key("parameter").at(at).key("type"), found);
        }
        for (at, column) in query.results.iter().enumerate() {
            type_name(&column.data_type, &path.key("result").at(at).key("type"), found);
        }
        if let Some(sla) = &query.sla {
            for (key, value) in [("p95_ms", sla.p95_ms), ("per_second", sla.per_second)] {
                positive(value, &path.key("sla").key(key), found);
            }
        }
        let indexes: BTreeSet<&str> = model
            .tables
            .iter()
            .flat_map(|table| {
                let own = table.indexes.iter().map(|index| index.name.as_str());
                own.chain(table.constraints.iter().map(|constraint| constraint.name.as_str()))
            })
            .collect();
        for (at, name) in query.plan.iter().flat_map(|plan| &plan.indexes).enumerate() {
            if !indexes.contains(name.as_str()) {
                let path = path.key("plan").key("indexes").at(at);
                found.push((path, format!("no table has an index `{}`", quoted(name))));
            }
        }
    }
}

fn pool(model: &Model, found: &mut Found) {
    let (path, pool) = (Path::new("pool"), &model.pool);
    if pool.max == 0 || pool.min > pool.max {
        let message =
            format!("expected 0 ≤ min ≤ max and max ≥ 1, found min {} max {}", pool.min, pool.max);
        found.push((path.key("max"), message));
    }
    for (key, value) in [
        ("acquire_timeout_ms", pool.acquire_timeout_ms),
        ("command_timeout_ms", pool.command_timeout_ms),
    ] {
        if value == 0 {
            found.push((path.key(key), "expected a time above zero, found 0".to_owned()));
        }
    }
    for (key, value) in
        [("reuse_percent", pool.reuse_percent), ("alert_percent", pool.alert_percent)]
    {
        percent(value, &path.key(key), found);
    }
}

fn data(model: &Model, found: &mut Found) {
    let base = Path::new("format");
    unique("format", &base, model.formats.iter().map(|one| one.name.as_str()), names::word, found);
    for (index, format) in model.formats.iter().enumerate() {
        let path = base.at(index);
        pattern(format, &path, found);
        columns(model, &format.columns, &path.key("columns"), found);
    }
    let base = Path::new("range");
    unique("range", &base, model.ranges.iter().map(|one| one.name.as_str()), names::word, found);
    for (index, range) in model.ranges.iter().enumerate() {
        let path = base.at(index);
        let below = [range.min, range.above].into_iter().flatten().collect::<Vec<_>>();
        let above = [range.max, range.below].into_iter().flatten().collect::<Vec<_>>();
        let message = match (below.as_slice(), above.as_slice()) {
            ([], []) => Some("expected a bound (min, above, max or below), found none"),
            ([_, _], _) => Some("expected `min` or `above`, found both"),
            (_, [_, _]) => Some("expected `max` or `below`, found both"),
            ([low], [high]) if low > high => Some("the lower bound is above the upper one"),
            _ if below.iter().chain(&above).any(|bound| !bound.is_finite()) => {
                Some("expected finite bounds")
            }
            _ => None,
        };
        if let Some(message) = message {
            found.push((path.clone(), message.to_owned()));
        }
        columns(model, &range.columns, &path.key("columns"), found);
    }
    let base = Path::new("precision");
    let named = model.precisions.iter().map(|one| one.name.as_str());
    unique("precision", &base, named, names::word, found);
    for (index, precision) in model.precisions.iter().enumerate() {
        columns(model, &precision.columns, &base.at(index).key("columns"), found);
    }
    columns(model, &model.timestamps.columns, &Path::new("timestamps").key("columns"), found);
    columns(model, &model.json_objects.columns, &Path::new("json_objects").key("columns"), found);
}

fn pattern(format: &super::model::Format, path: &Path, found: &mut Found) {
    let written = &format.pattern;
    if !(written.starts_with('^') && written.ends_with('$')) {
        let message = format!("expected a pattern from ^ to $, found `{}`", quoted(written));
        return found.push((path.key("pattern"), message));
    }
    let regex = match Regex::new(written) {
        Ok(regex) => regex,
        Err(error) => {
            return found.push((path.key("pattern"), format!("not a regular expression: {error}")));
        }
    };
    for (key, values, wanted) in
        [("examples", &format.examples, true), ("counterexamples", &format.counterexamples, false)]
    {
        if values.is_empty() {
            found.push((path.key(key), "expected at least one value, found none".to_owned()));
        }
        for (at, value) in values.iter().enumerate() {
            if regex.is_match(value) != wanted {
                let verb = if wanted { "does not match" } else { "matches" };
                let message = format!("`{}` {verb} the pattern", quoted(value));
                found.push((path.key(key).at(at), message));
            }
        }
    }
}

/// Columns named as `table.column` exist and are named once.
fn columns(model: &Model, named: &[String], path: &Path, found: &mut Found) {
    let mut seen = BTreeSet::new();
    for (index, name) in named.iter().enumerate() {
        let path = path.at(index);
        if column_of(model, name).is_none() {
            let message = format!(
                "expected a column of this contract as `table.column`, found `{}`",
                quoted(name)
            );
            found.push((path, message));
        } else if !seen.insert(name) {
            found.push((path, format!("column `{}` is named twice", quoted(name))));
        }
    }
}

fn score(model: &Model, found: &mut Found) {
    let score = &model.score;
    let path = Path::new("score");
    let refinements = path.key("refinement");
    let areas = path.key("area");
    let named = score.refinements.iter().map(|one| one.name.as_str());
    unique("refinement", &refinements, named, names::word, found);
    unique("area", &areas, score.areas.iter().map(|one| one.name.as_str()), names::word, found);
    for (index, refinement) in score.refinements.iter().enumerate() {
        positive(refinement.weight, &refinements.at(index).key("weight"), found);
        if !score.areas.iter().any(|area| area.refinement == refinement.name) {
            let message = format!("refinement `{}` has no area", quoted(&refinement.name));
            found.push((refinements.at(index), message));
        }
    }
    for (index, area) in score.areas.iter().enumerate() {
        positive(area.weight, &areas.at(index).key("weight"), found);
        if !score.refinements.iter().any(|one| one.name == area.refinement) {
            let message = format!("there is no refinement `{}`", quoted(&area.refinement));
            found.push((areas.at(index).key("refinement"), message));
        }
    }
}

fn figures(model: &Model, found: &mut Found) {
    let base = Path::new("figure");
    unique("figure", &base, model.figures.iter().map(|one| one.name.as_str()), names::word, found);
    for (index, figure) in model.figures.iter().enumerate() {
        let path = base.at(index);
        match (figure.at_most, figure.at_least) {
            (Some(limit), None) | (None, Some(limit)) if limit.is_finite() => {}
            (Some(_), Some(_)) => {
                found.push((path.clone(), "expected at_most or at_least, found both".to_owned()));
            }
            (None, None) => {
                found.push((path.clone(), "expected at_most or at_least, found none".to_owned()));
            }
            _ => found.push((path.clone(), "expected a finite limit".to_owned())),
        }
        if !model.score.areas.iter().any(|area| area.name == figure.area) {
            let message = format!("the score has no area `{}`", quoted(&figure.area));
            found.push((path.key("area"), message));
        }
    }
    let drills = model.drills.iter().map(|one| one.name.as_str());
    unique("drill", &Path::new("drill"), drills, names::word, found);
    let alerts = model.alerts.iter().map(|one| one.name.as_str());
    unique("alert", &Path::new("alert"), alerts, names::word, found);
    let path = Path::new("coverage");
    percent(model.coverage.percent, &path.key("percent"), found);
    let paths = model.coverage.critical_paths.iter().map(|one| one.name.as_str());
    unique("critical path", &path.key("critical_path"), paths, names::word, found);
    for (key, values) in
        [("modules", &model.coverage.modules), ("methods", &model.coverage.methods)]
    {
        let mut seen = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            if names::word(value).is_err() || !seen.insert(value) {
                let message = format!("expected each name once, found `{}`", quoted(value));
                found.push((path.key(key).at(index), message));
            }
        }
    }
}

fn versions(model: &Model, migrations: &[Migration], found: &mut Found) {
    let current = &model.service.version;
    if let Some(last) = migrations.last()
        && last.version != *current
    {
        let message = format!(
            "expected {}, the version of the last migration {}; found {current}",
            last.version, last.up_file
        );
        found.push((Path::new("service").key("version"), message));
    }
    let table = &model.versioning.table;
    if names::table_of(model, table).is_none() {
        let message = format!("expected a table of this contract, found `{}`", quoted(table));
        found.push((Path::new("versioning").key("table"), message));
    }
    let mut check = |path: Path, key: &'static str, version: Option<&Version>| {
        let known = |version: &Version| {
            migrations.is_empty() || migrations.iter().any(|one| one.version == *version)
        };
        if let Some(version) = version.filter(|version| !known(version)) {
            found.push((path.key(key), format!("no migration leads to version {version}")));
        }
    };
    for (index, table) in model.tables.iter().enumerate() {
        let path = Path::new("table").at(index);
        let columns = table.columns.iter().map(|one| (&one.since, &one.until));
        let constraints = table.constraints.iter().map(|one| (&one.since, &one.until));
        let indexes = table.indexes.iter().map(|one| (&one.since, &one.until));
        check(path.clone(), "since", table.since.as_ref());
        check(path.clone(), "until", table.until.as_ref());
        let parts: [(&'static str, Vec<_>); 3] = [
            ("column", columns.collect()),
            ("constraint", constraints.collect()),
            ("index", indexes.collect()),
        ];
        for (part, bounds) in parts {
            for (at, (since, until)) in bounds.into_iter().enumerate() {
                check(path.key(part).at(at), "since", since.as_ref());
                check(path.key(part).at(at), "until", until.as_ref());
            }
        }
        let retention = table.retention.as_ref().and_then(|one| one.since.as_ref());
        check(path.key("retention"), "since", retention);
        let compression = table.compression.as_ref().and_then(|one| one.since.as_ref());
        check(path.key("compression"), "since", compression);
    }
    for (index, one) in model.continuous_aggregates.iter().enumerate() {
        check(Path::new("continuous_aggregate").at(index), "since", one.since.as_ref());
    }
}

fn positive(value: f64, path: &Path, found: &mut Found) {
    if !(value.is_finite() && value > 0.0) {
        found.push((path.clone(), format!("expected a finite number above zero, found {value}")));
    }
}

fn percent(value: f64, path: &Path, found: &mut Found) {
    if !(0.0..=100.0).contains(&value) {
        found.push((path.clone(), format!("expected a percentage, found {value}")));
    }
}
