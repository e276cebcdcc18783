//! From the texts of a contract directory to a [`Contract`]: pure, and strict.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::error::{Error, Lines, Problem, quoted};
use super::layout::{DOCUMENT, Place, SEED, UNKNOWN};
use super::locate;
use super::migration_file::{Migrations, digest};
use super::model::{Contract, Model, QuerySql, RollupSql};
use super::{control, sql_text, validate};

/// Version of the file format that this program reads.
const FORMAT: u32 = 1;
/// Unknown keys reported at once, and errors of syntax.
const AT_ONCE: usize = 20;

/// Reads a contract from the texts of its files, by their paths relative to the contract directory.
///
/// # Errors
///
/// [`Error`] with every problem found. Where `contract.toml` is not valid TOML or not of the known
/// shape, what it says is not examined further.
pub fn parse(files: &BTreeMap<String, String>) -> Result<Contract, Error> {
    let mut problems: Vec<Problem> = files
        .iter()
        .filter_map(|(file, text)| match Place::of(file) {
            None => Some(Problem::of_file(file, UNKNOWN)),
            Some(Place::Beside | Place::Document) => None,
            Some(Place::Seed | Place::Query | Place::Migration) => sql_text::problem(file, text),
        })
        .collect();
    let migrations = Migrations::read(files);
    problems.extend(migrations.problems.iter().cloned());
    let model = if let Some(text) = files.get(DOCUMENT) {
        document(text, &migrations, files, &mut problems)
    } else {
        let message = "expected this file in the contract directory, found none";
        problems.push(Problem::of_file(DOCUMENT, message));
        None
    };
    Error::check(problems)?;
    // A document without a model has a problem.
    let Some(model) = model else {
        return Err(Problem::of_file(DOCUMENT, "cannot be read").into());
    };
    let text = |file: &String| files.get(file).cloned().unwrap_or_default();
    let queries = model.queries.iter().map(|query| QuerySql {
        statement: text(&query.file),
        sample: query.sample.as_ref().and_then(|file| files.get(file)).cloned(),
    });
    let rollups = model.rollups.iter();
    let rollups =
        rollups.map(|rollup| RollupSql { served: text(&rollup.served), raw: text(&rollup.raw) });
    let own = files.iter().filter(|(file, _)| Place::of(file) != Some(Place::Beside));
    let workloads = model.figures.iter().filter_map(|figure| figure.workload.as_ref());
    let workload_sql = workloads
        .flat_map(super::measures::Workload::files)
        .filter_map(|(_, file)| Some((file.to_owned(), files.get(file)?.clone())))
        .collect();
    Ok(Contract {
        query_sql: queries.collect(),
        workload_sql,
        rollup_sql: rollups.collect(),
        migrations: migrations.sound,
        seed_sql: files.get(SEED).cloned(),
        digest: digest(own.flat_map(|(file, text)| [file.as_str(), text.as_str()])),
        revision: None,
        model,
    })
}

/// Reads and validates `contract.toml`.
fn document(
    text: &str,
    migrations: &Migrations,
    files: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Option<Model> {
    let lines = Lines::new(text);
    let at =
        |offset: usize, message: String| Problem::at(DOCUMENT, lines.position(offset), message);
    if text.len() as u64 > Place::Document.limit() {
        let message = format!("expected at most {} bytes, found more", Place::Document.limit());
        problems.push(Problem::of_file(DOCUMENT, message));
        return None;
    }
    let (mut root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What follows a mistake on the same line is mostly its echo.
        let mut line = 0;
        for error in errors.iter().take(AT_ONCE) {
            let problem = at(error.span().map_or(text.len(), |span| span.start), syntax(error));
            let its_line = problem.position.map_or(0, |(line, _)| line);
            if its_line > line {
                problems.push(problem);
                line = its_line;
            }
        }
        return None;
    }
    if let Some((offset, message)) = other_format(&root) {
        problems.push(at(offset, message));
        return None;
    }
    let mut unknown = 0;
    let model = loop {
        let error = match Model::deserialize(Deserializer::from(root.clone())) {
            Ok(model) => break model,
            Err(error) => error,
        };
        let span = error.span().unwrap_or_default();
        let message = match locate::key_of_value(root.get_ref(), &span) {
            Some(key) => format!("`{}`: {}", quoted(key), error.message()),
            None => error.message().to_owned(),
        };
        problems.push(at(span.start, message));
        // An error at the name of a key is about an unknown key; without it, the next is found.
        unknown += 1;
        if unknown == AT_ONCE || !locate::remove(root.get_mut(), &span) {
            return None;
        }
    };
    for (path, message) in validate::problems(&model, migrations, files) {
        problems.push(at(locate::offset(&root, &path), message));
    }
    // A name with such a character has been refused by its own rule.
    for (offset, message) in control::problems(root.get_ref()) {
        let problem = at(offset, message);
        let line = |one: &Problem| (one.file.clone(), one.position.map(|(line, _)| line));
        if !problems.iter().any(|other| line(other) == line(&problem)) {
            problems.push(problem);
        }
    }
    problems.extend(validate::stray_queries(&model, files));
    Some(model)
}

/// The message of an error of syntax, which may say nothing but `invalid`.
fn syntax(error: &toml::de::Error) -> String {
    format!("not valid TOML: {}", error.message())
}

/// A format of another version has other keys, so that nothing else can be said about it.
fn other_format(root: &Spanned<DeTable<'_>>) -> Option<(usize, String)> {
    let value = root.get_ref().get("contract")?;
    let DeValue::Integer(number) = value.get_ref() else { return None };
    let is_known = u32::from_str_radix(number.as_str(), number.radix()) == Ok(FORMAT);
    (!is_known).then(|| {
        let message = format!(
            "expected format {FORMAT}, the only one that this program reads, found {}",
            quoted(&number.to_string())
        );
        (value.span().start, message)
    })
}
