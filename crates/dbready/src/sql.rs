//! Writing SQL text: quoted names and literals, and the numbers that sessions agree on.

/// Key of the advisory lock that a migration run holds exclusively and an examination shares.
///
/// The bytes of `dbready` and a one, as a big-endian number; advisory locks are local to a database.
pub const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"dbready\x01");

/// A name as an SQL identifier, always quoted.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL string constant, whatever `standard_conforming_strings` says.
///
/// For statements that are printed for people; values that are sent travel as parameters.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A schema and a name as one qualified, quoted identifier.
#[must_use]
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}

/// The schema and the name that a contract writes as `name` (then in `public`) or `schema.name`.
#[must_use]
pub fn split_name(written: &str) -> (&str, &str) {
    written.split_once('.').unwrap_or(("public", written))
}

/// A table or view as people and claim ids name it: bare in `public`, else `schema.name`.
#[must_use]
pub fn spoken_name(schema: &str, name: &str) -> String {
    if schema == "public" { name.to_owned() } else { format!("{schema}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        assert_eq!(quote_ident("timestamp"), "\"timestamp\"");
        assert_eq!(quote_ident("a\"; DROP TABLE b; --"), "\"a\"\"; DROP TABLE b; --\"");
        assert_eq!(qualified("public", "Größe"), "\"public\".\"Größe\"");
    }

    #[test]
    fn literals_are_quoted_whatever_they_hold() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\'b"), "E'a\\\\''b'");
    }

    #[test]
    fn written_and_spoken_names_agree() {
        assert_eq!(split_name("schema_version"), ("public", "schema_version"));
        assert_eq!(split_name("audit.log"), ("audit", "log"));
        for written in ["schema_version", "audit.log"] {
            let (schema, name) = split_name(written);
            assert_eq!(spoken_name(schema, name), written);
        }
    }
}
