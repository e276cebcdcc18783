//! Names in a contract: what can be one, and what it refers to.

use super::model::{Column, Contract, Model, Table};

/// Longest identifier that PostgreSQL keeps whole, in bytes (`NAMEDATALEN` − 1).
const LONGEST_IDENTIFIER: usize = 63;

/// Other spellings of types, and how PostgreSQL's `format_type` prints them.
const SPELLINGS: &[(&str, &str)] = &[
    ("decimal", "numeric"),
    ("dec", "numeric"),
    ("varchar", "character varying"),
    ("char", "character"),
    ("bpchar", "character"),
    ("timestamptz", "timestamp with time zone"),
    ("timetz", "time with time zone"),
    ("timestamp", "timestamp without time zone"),
    ("time", "time without time zone"),
    ("int", "integer"),
    ("int4", "integer"),
    ("serial", "integer"),
    ("int8", "bigint"),
    ("bigserial", "bigint"),
    ("int2", "smallint"),
    ("float8", "double precision"),
    ("float", "double precision"),
    ("float4", "real"),
    ("bool", "boolean"),
];

/// A name that PostgreSQL keeps as it is written.
pub(super) fn identifier(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > LONGEST_IDENTIFIER || name.contains(char::is_control) {
        return Err(format!("expected a name of 1 to {LONGEST_IDENTIFIER} bytes"));
    }
    Ok(())
}

/// A name that claim ids are made of.
pub(super) fn word(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 100 || !name.chars().all(fits) {
        return Err("expected letters, digits, `_`, `-` and `.`".to_owned());
    }
    Ok(())
}

/// A relative path inside one folder of the contract directory.
pub(super) fn inside(path: &str, folder: &str) -> Result<(), String> {
    let plain = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0'])
    };
    if path.starts_with(folder) && path.split('/').all(plain) {
        return Ok(());
    }
    Err(format!(
        "expected a path inside {folder}, such as {folder}latest.sql; found `{}`",
        super::error::quoted(path)
    ))
}

/// How PostgreSQL prints a type that is written in another way; `None` when it is as printed.
pub(super) fn canonical_type(written: &str) -> Option<String> {
    let lower = written.trim().to_ascii_lowercase();
    let (base, rest) = match lower.find(['(', '[']) {
        Some(at) => lower.split_at(at),
        None => (lower.as_str(), ""),
    };
    let spelled = SPELLINGS.iter().find(|(other, _)| *other == base.trim());
    let base = spelled.map_or(base, |(_, printed)| printed);
    // `format_type` puts no space after the comma of a precision.
    let canonical = format!("{base}{}", rest.replace(", ", ","));
    // A quoted name is a type of the user's own.
    (canonical != written && !written.contains('"')).then_some(canonical)
}

/// The table that a contract writes as `name` or `schema.name`.
pub(super) fn table_of<'a>(model: &'a Model, written: &str) -> Option<&'a Table> {
    model.tables.iter().find(|table| table.spoken_name() == written)
}

/// The table and column that a contract writes as `table.column`.
pub(super) fn column_of<'a>(model: &'a Model, written: &str) -> Option<(&'a Table, &'a Column)> {
    let (table, column) = written.rsplit_once('.')?;
    let table = table_of(model, table)?;
    Some((table, table.columns.iter().find(|one| one.name == column)?))
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

impl Contract {
    /// The table that is written as `name` or `schema.name`.
    #[must_use]
    pub fn table(&self, written: &str) -> Option<&Table> {
        table_of(&self.model, written)
    }

    /// The table and column that are written as `table.column`.
    #[must_use]
    pub fn column(&self, written: &str) -> Option<(&Table, &Column)> {
        column_of(&self.model, written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_are_recognised() {
        for (written, printed) in [
            ("decimal(10,6)", "numeric(10,6)"),
            ("numeric(10, 6)", "numeric(10,6)"),
            ("VARCHAR(255)", "character varying(255)"),
            ("timestamptz", "timestamp with time zone"),
            ("int[]", "integer[]"),
            ("TEXT", "text"),
        ] {
            assert_eq!(canonical_type(written).as_deref(), Some(printed), "{written}");
        }
        for printed in
            ["numeric(10,6)", "text", "jsonb", "timestamp with time zone", "\"Mood\"", "bigint"]
        {
            assert_eq!(canonical_type(printed), None, "{printed}");
        }
    }

    #[test]
    fn paths_stay_inside_their_folder() {
        assert!(inside("queries/a.sql", "queries/").is_ok());
        assert!(inside("queries/samples/a.sql", "queries/").is_ok());
        for path in
            ["/etc/passwd", "queries/../a", "queries//a", "a.sql", "queries/./a", "queries/a\\b"]
        {
            assert!(inside(path, "queries/").is_err(), "{path}");
        }
    }
}
