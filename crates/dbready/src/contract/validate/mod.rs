//! What the types of the model cannot say: names that must be unique or exist, limits, patterns.

mod data;
mod pattern;
mod queries;
mod roles;
mod schema;
mod score;
mod versions;
mod workloads;

use std::collections::{BTreeMap, HashMap, HashSet};

use semver::Version;

use super::error::{Problem, quoted};
use super::layout::{DOCUMENT, Place};
use super::locate::Path;
use super::migration_file::Migrations;
use super::model::{Column, Model, Table};
use super::names;

/// Problems kept; a document of the largest size cannot make more sense by more of them.
const KEPT: usize = 5_000;

/// What is wrong, and where.
#[derive(Debug, Default)]
struct Found(Vec<(Path, String)>);

impl Found {
    fn push(&mut self, path: Path, message: impl Into<String>) {
        if self.0.len() < KEPT {
            self.0.push((path, message.into()));
        }
    }

    /// Notes a broken rule.
    fn rule(&mut self, path: Path, outcome: Result<(), String>) {
        if let Err(message) = outcome {
            self.push(path, message);
        }
    }

    /// Notes a text that says nothing.
    fn not_blank(&mut self, path: &Path, key: &'static str, text: &str) {
        if text.trim().is_empty() {
            self.push(path.key(key), "expected a text, found none");
        }
    }

    fn positive(&mut self, path: Path, value: f64) {
        if !(value.is_finite() && value > 0.0) {
            self.push(path, format!("expected a finite number above zero, found {value}"));
        }
    }

    fn percent(&mut self, path: Path, value: f64) {
        if !(0.0..=100.0).contains(&value) {
            self.push(path, format!("expected a percentage from 0 to 100, found {value}"));
        }
    }

    /// Names of the elements of an array: each by its rule, and each once.
    fn names<'a>(
        &mut self,
        what: &str,
        base: &Path,
        names: impl Iterator<Item = &'a str>,
        rule: fn(&str) -> Result<(), String>,
    ) {
        self.list(what, names, rule, |index| base.at(index).key("name"));
    }

    /// Names in an array of strings: each by its rule, and each once.
    fn listed<'a>(
        &mut self,
        what: &str,
        base: &Path,
        names: impl IntoIterator<Item = &'a String>,
        rule: fn(&str) -> Result<(), String>,
    ) {
        self.list(what, names.into_iter().map(String::as_str), rule, |index| base.at(index));
    }

    fn list<'a>(
        &mut self,
        what: &str,
        names: impl Iterator<Item = &'a str>,
        rule: fn(&str) -> Result<(), String>,
        path: impl Fn(usize) -> Path,
    ) {
        let mut seen = HashSet::new();
        for (index, name) in names.enumerate() {
            if let Err(message) = rule(name) {
                self.push(path(index), format!("{what}: {message}"));
            } else if !seen.insert(name) {
                let message = format!("{what} `{}` is stated twice; keep one", quoted(name));
                self.push(path(index), message);
            }
        }
    }
}

/// The tables and columns of a model by name.
#[derive(Debug)]
struct Index<'a> {
    tables: HashMap<(&'a str, &'a str), &'a Table>,
    columns: HashMap<(&'a str, &'a str, &'a str), &'a Column>,
}

impl<'a> Index<'a> {
    fn new(model: &'a Model) -> Self {
        let mut index = Self { tables: HashMap::new(), columns: HashMap::new() };
        for table in &model.tables {
            let (schema, name) = (table.schema.as_str(), table.name.as_str());
            index.tables.entry((schema, name)).or_insert(table);
            for column in &table.columns {
                let key = (schema, name, column.name.as_str());
                // The last entry of a column is the one that holds now, where there are several.
                index.columns.insert(key, column);
            }
        }
        index
    }

    /// The table written as `name` or `schema.name`.
    fn table(&self, written: &str) -> Option<&'a Table> {
        self.tables.get(&crate::sql::split_name(written)).copied()
    }

    /// The column written as `table.column` or `schema.table.column`.
    fn column(&self, written: &str) -> Option<&'a Column> {
        let (table, column) = names::split_column(written)?;
        let (schema, table) = crate::sql::split_name(table);
        self.columns.get(&(schema, table, column)).copied()
    }
}

/// Everything that is wrong with the model and the files it names.
pub(super) fn problems(
    model: &Model,
    migrations: &Migrations,
    files: &BTreeMap<String, String>,
) -> Vec<(Path, String)> {
    let mut found = Found::default();
    let index = Index::new(model);
    service(model, &mut found);
    schema::problems(model, &index, &mut found);
    roles::problems(model, &index, &mut found);
    queries::problems(model, files, &mut found);
    data::problems(model, &index, &mut found);
    score::problems(model, &mut found);
    workloads::problems(model, files, &mut found);
    versions::problems(model, &index, migrations, &mut found);
    found.0
}

fn service(model: &Model, found: &mut Found) {
    let path = Path::new("service");
    found.not_blank(&path, "name", &model.service.name);
    found.not_blank(&path, "description", &model.service.description);
    let server = Path::new("server");
    let extensions = model.server.extensions.iter().map(|one| one.name.as_str());
    found.names("extension", &server.key("extension"), extensions, names::word);
    let settings = model.server.settings.iter().map(|one| one.name.as_str());
    found.names("setting", &server.key("setting"), settings, names::word);
}

/// Query files that no query, no rollup and no workload of the contract names: they would lie there unused.
pub(super) fn stray_queries(model: &Model, files: &BTreeMap<String, String>) -> Vec<Problem> {
    let queries = model.queries.iter();
    let queries =
        queries.flat_map(|query| [Some(query.file.as_str()), query.sample.as_deref()]).flatten();
    let rollups = model.rollups.iter();
    let rollups = rollups.flat_map(|rollup| [rollup.served.as_str(), rollup.raw.as_str()]);
    let workloads = model.figures.iter().filter_map(|figure| figure.workload.as_ref());
    let workloads = workloads.flat_map(super::measures::Workload::files).map(|(_, file)| file);
    let named: HashSet<&str> = queries.chain(rollups).chain(workloads).collect();
    let queries = files.keys().filter(|file| Place::of(file) == Some(Place::Query));
    queries
        .filter(|file| !named.contains(file.as_str()))
        .map(|file| {
            let message = format!("no query of {DOCUMENT} names this file; name it or remove it");
            Problem::of_file(file, message)
        })
        .collect()
}

/// Whether two ranges of versions have a version in common.
fn overlap(
    one: (Option<&Version>, Option<&Version>),
    other: (Option<&Version>, Option<&Version>),
) -> bool {
    let ends_before = |until: Option<&Version>, since: Option<&Version>| match (until, since) {
        (Some(until), Some(since)) => until <= since,
        _ => false,
    };
    !ends_before(one.1, other.0) && !ends_before(other.1, one.0)
}
