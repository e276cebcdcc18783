//! Names in a contract: what can be one, and what it refers to.

use semver::Version;

use super::error::quoted;
use super::layout::{Place, QUERIES};
use super::model::{Column, Contract, Model, Table};

/// Longest identifier that PostgreSQL keeps whole, in bytes (`NAMEDATALEN` − 1).
pub(crate) const LONGEST_IDENTIFIER: usize = 63;
/// Longest name of something that is not in the database, in bytes.
const LONGEST_WORD: usize = 100;

/// The name of a database object, as it is in the catalogs.
///
/// PostgreSQL allows dots, too; a name with one could not be told apart from others in `table.column`
/// and in the ids of claims.
pub(super) fn identifier(name: &str) -> Result<(), String> {
    let refused = |c: char| c.is_control() || c == '.';
    if name.trim().is_empty() || name.len() > LONGEST_IDENTIFIER || name.contains(refused) {
        return Err(format!(
            "expected a name of 1 to {LONGEST_IDENTIFIER} bytes without dots and control characters, \
             found `{}`",
            quoted(name)
        ));
    }
    Ok(())
}

/// Whether a contract can name a database object so.
pub(crate) fn is_identifier(name: &str) -> bool {
    identifier(name).is_ok()
}

/// The name of a database object that is known and not described, as `name` or `schema.name`.
pub(super) fn known_identifier(name: &str) -> Result<(), String> {
    let parts = name.split_once('.').map_or(vec![name], |(schema, name)| vec![schema, name]);
    let refused = |part: &&str| {
        let odd = |c: char| c.is_control() || c == '.';
        part.is_empty() || part.len() > LONGEST_IDENTIFIER || part.contains(odd)
    };
    match parts.iter().find(|part| refused(part)) {
        None => Ok(()),
        Some(part) => Err(format!(
            "expected a name of 1 to {LONGEST_IDENTIFIER} bytes without dots, found `{}`",
            quoted(part)
        )),
    }
}

/// A name that the ids of claims are made of.
pub(super) fn word(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > LONGEST_WORD || !name.chars().all(fits) {
        return Err(format!(
            "expected a name of letters, digits, `_`, `-` and `.`, found `{}`",
            quoted(name)
        ));
    }
    Ok(())
}

/// A relative path of an SQL file inside the folder of queries.
pub(super) fn query_file(path: &str) -> Result<(), String> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.contains(['\\', ':'])
            && !part.contains(char::is_control)
    };
    if Place::of(path) == Some(Place::Query) && path.split('/').all(plain) {
        return Ok(());
    }
    Err(format!(
        "expected a path inside {QUERIES}, such as {QUERIES}latest.sql, found `{}`",
        quoted(path)
    ))
}

/// The version of a contract: three numbers.
pub(super) fn plain_version(version: &Version) -> bool {
    version.pre.is_empty() && version.build.is_empty()
}

/// The table that a contract writes as `name` or `schema.name`.
pub(super) fn table_of<'a>(model: &'a Model, written: &str) -> Option<&'a Table> {
    let (schema, name) = crate::sql::split_name(written);
    model.tables.iter().find(|table| table.schema == schema && table.name == name)
}

/// The table and the column in `table.column` or `schema.table.column`.
pub(super) fn split_column(written: &str) -> Option<(&str, &str)> {
    written.rsplit_once('.')
}

/// The entry of a column: the one that holds in the contract's version, where there are several.
pub(super) fn column_in<'a>(model: &Model, table: &'a Table, name: &str) -> Option<&'a Column> {
    let mut named = table.columns.iter().filter(|column| column.name == name);
    let now = |column: &Column| {
        let (since, until) = (column.since.as_ref(), column.until.as_ref());
        super::model::in_version(since, until, &model.service.version)
    };
    named.clone().find(|column| now(column)).or_else(|| named.next())
}

impl Table {
    /// The table as people and claim ids name it: bare in `public`, else `schema.name`.
    #[must_use]
    pub fn spoken_name(&self) -> String {
        crate::sql::spoken_name(&self.schema, &self.name)
    }

    /// The table as SQL text, quoted and qualified.
    #[must_use]
    pub fn qualified(&self) -> String {
        crate::sql::qualified(&self.schema, &self.name)
    }
}

impl Model {
    /// The schemas that the contract speaks of, and `public`.
    pub(crate) fn schemas(&self) -> Vec<&str> {
        let mut schemas = vec!["public", crate::sql::split_name(&self.versioning.table).0];
        schemas.extend(self.tables.iter().map(|table| table.schema.as_str()));
        schemas.extend(self.continuous_aggregates.iter().map(|view| view.schema.as_str()));
        schemas.sort_unstable();
        schemas.dedup();
        schemas
    }
}

impl Column {
    /// Whether writers give its value, and not the server alone.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.identity.is_none() && self.generated.is_none()
    }
}

impl Contract {
    /// The table that is written as `name` or `schema.name`.
    #[must_use]
    pub fn table(&self, written: &str) -> Option<&Table> {
        table_of(&self.model, written)
    }

    /// The table and column that are written as `table.column` or `schema.table.column`; the entry
    /// that holds in the contract's version, where a column has several.
    #[must_use]
    pub fn column(&self, written: &str) -> Option<(&Table, &Column)> {
        let (table, column) = split_column(written)?;
        let table = self.table(table)?;
        Some((table, column_in(&self.model, table, column)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_their_folder() {
        assert_eq!(query_file("queries/a.sql"), Ok(()));
        assert_eq!(query_file("queries/samples/a.sql"), Ok(()));
        for path in [
            "/etc/passwd",
            "queries/../a.sql",
            "queries/../../etc/passwd",
            "../queries/a.sql",
            "queries//a.sql",
            "queries/./a.sql",
            "queries/.a.sql",
            "queries/a\\b.sql",
            "C:/queries/a.sql",
            "queries/C:a.sql",
            "queries/a\0.sql",
            "queries/a\n.sql",
            "queries/",
            "queries/a",
            "a.sql",
            "migrations/a.sql",
            "",
        ] {
            assert!(query_file(path).is_err(), "{path}");
        }
    }

    #[test]
    fn names_can_be_told_apart() {
        for name in ["a", "Größe", "a_1", "a$", "a b", "a\"b", "it's", &"x".repeat(63)] {
            assert_eq!(identifier(name), Ok(()), "{name}");
        }
        for name in ["", " ", "a.b", "a\0", "a\n", &"x".repeat(64)] {
            assert!(identifier(name).is_err(), "{name}");
        }
        for name in ["a b", "audit.a \"b\"", "a"] {
            assert_eq!(known_identifier(name), Ok(()), "{name}");
        }
        for name in ["", "a.b.c", ".a", "a\n", &"x".repeat(64)] {
            assert!(known_identifier(name).is_err(), "{name}");
        }
        for name in ["", "a b", "ä", &"x".repeat(101)] {
            assert!(word(name).is_err(), "{name}");
        }
    }
}
