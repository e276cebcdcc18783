//! From the texts of a contract directory to a [`Contract`]: pure, and strict.

use std::collections::BTreeMap;

use super::error::{Error, Problem};
use super::locate::Locator;
use super::migration_file;
use super::model::{Contract, Model};
use super::validate;

/// Name of the contract's own document.
pub(super) const DOCUMENT: &str = "contract.toml";
/// Name of the script that fills a database.
pub(super) const SEED: &str = "seed.sql";

/// Reads a contract from the texts of its files, by their paths relative to the contract directory.
///
/// # Errors
///
/// [`Error`] with every problem found. A document that is not valid TOML, or whose keys or types
/// are wrong, has one problem only, since nothing can be said about the rest.
pub fn parse(files: &BTreeMap<String, String>) -> Result<Contract, Error> {
    let Some(text) = files.get(DOCUMENT) else {
        return Err(Problem::of_file(
            DOCUMENT,
            "expected this file in the contract directory, found none",
        )
        .into());
    };
    let model: Model = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        Problem::at(DOCUMENT, text, offset, error.message())
    })?;
    let (migrations, mut problems) = migration_file::read(files);
    let locator = Locator::new(text);
    for (path, message) in validate::problems(&model, &migrations, files) {
        problems.push(Problem::at(DOCUMENT, text, locator.offset(&path), message));
    }
    problems.extend(validate::stray_queries(&model, files));
    problems.sort_by(|one, other| (&one.file, one.position).cmp(&(&other.file, other.position)));
    Error::check(problems)?;
    let query_sql = model
        .queries
        .iter()
        .map(|query| files.get(&query.file).cloned().unwrap_or_default())
        .collect();
    Ok(Contract {
        query_sql,
        migrations,
        seed_sql: files.get(SEED).cloned(),
        digest: migration_file::digest(files.iter().flat_map(|(n, t)| [n.as_str(), t.as_str()])),
        model,
    })
}
