//! Advice about the text of a migration, by the rules of the squawk linter. It stands beside what was
//! measured and decides nothing.

use serde::Serialize;
use squawk_linter::{Linter, LinterSettings, Rule, Version};
use squawk_syntax::SourceFile;

use crate::contract::Migration;

/// Longest text that is looked at, in bytes, and the stack for it: the parser calls itself for each
/// level of nesting, and needs seconds where there are tens of thousands.
const LONGEST: usize = 32 << 10;
const STACK: usize = 256 << 20;

/// Rules about locks, rewrites and consumers. Rules of style are left out, and so are those that our
/// runner makes pointless: it sets time limits, and runs a script in one transaction.
const RULES: [Rule; 19] = [
    Rule::RequireConcurrentIndexCreation,
    Rule::RequireConcurrentIndexDeletion,
    Rule::RequireConcurrentReindex,
    Rule::RequireConcurrentPartitionDetach,
    Rule::ConstraintMissingNotValid,
    Rule::AddingFieldWithDefault,
    Rule::AddingForeignKeyConstraint,
    Rule::AddingNotNullableField,
    Rule::AddingRequiredField,
    Rule::AddingSerialPrimaryKeyField,
    Rule::DisallowedUniqueConstraint,
    Rule::ChangingColumnType,
    Rule::RenamingColumn,
    Rule::RenamingTable,
    Rule::BanDropColumn,
    Rule::BanDropTable,
    Rule::BanDropNotNull,
    Rule::BanTruncateCascade,
    Rule::BanAlterDomainWithAddConstraint,
];

/// What a rule says about one statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// Name of the rule, by which its documentation is found.
    pub rule: String,
    /// Line of the up script, from one.
    pub line: usize,
    /// What it says, and what it proposes.
    pub what: String,
}

/// The advice about one migration, or why there is none. Nobody waits for the first, which meets no
/// rows.
pub(super) fn of(migration: &Migration, is_first: bool) -> Result<Vec<Advice>, String> {
    if is_first {
        return Ok(Vec::new());
    }
    let bytes = migration.up_sql.len();
    if bytes > LONGEST {
        return Err(format!("it has {bytes} bytes, and texts are looked at up to {LONGEST}"));
    }
    let text = migration.up_sql.clone();
    let worker = std::thread::Builder::new().name("advice".to_owned()).stack_size(STACK);
    let worker = worker.spawn(move || lint(&text)).map_err(|error| error.to_string())?;
    worker.join().map_err(|_| "the linter gave up on it".to_owned())
}

fn lint(text: &str) -> Vec<Advice> {
    let pg_version = "16".parse::<Version>().unwrap_or_default();
    let mut linter = Linter::from(RULES);
    linter.settings = LinterSettings { pg_version, assume_in_transaction: true };
    let parsed = SourceFile::parse(text);
    let mut all: Vec<Advice> = linter
        .lint(&parsed, text)
        .into_iter()
        .map(|one| {
            let start = usize::from(one.text_range.start()).min(text.len());
            let before = text.get(..start).unwrap_or_default();
            let help = one.help.map_or_else(String::new, |help| format!(" {help}"));
            Advice {
                rule: one.code.to_string(),
                line: 1 + before.matches('\n').count(),
                what: format!("{}{help}", one.message)
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
            }
        })
        .collect();
    all.sort_by(|one, other| (one.line, &one.rule).cmp(&(other.line, &other.rule)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(usize, String)> {
        lint(text).into_iter().map(|one| (one.line, one.rule)).collect()
    }

    #[test]
    fn statements_are_named_with_line_and_rule() {
        let text = "-- version: 1.1.0\n\nALTER TABLE t ADD CONSTRAINT c CHECK (a > 0);\n\
            CREATE INDEX i ON t (a);\nCREATE TABLE n (a integer);\nCREATE INDEX j ON n (a);\n";
        let expected =
            [(3, "constraint-missing-not-valid"), (4, "require-concurrent-index-creation")];
        assert_eq!(rules(text), expected.map(|(line, rule)| (line, rule.to_owned())));
        assert_eq!(rules("ALTER TABLE t ADD COLUMN note text;"), []);
    }

    fn migration(up_sql: String) -> Migration {
        Migration {
            version: semver::Version::new(1, 1, 0),
            description: String::new(),
            breaking: false,
            accepts: Vec::new(),
            up_file: String::new(),
            up_sql,
            down_file: String::new(),
            down_sql: String::new(),
            checksum: String::new(),
        }
    }

    #[test]
    fn what_is_no_sql_or_nested_without_end_is_survived() {
        for text in
            ["SELECT ((((", "\u{0}'\"$$", "CREATE INDEX", "); DROP", "ALTER TABLE ADD ADD ADD"]
        {
            let _ = of(&migration(text.to_owned()), false);
        }
        for one in ["(", "NOT ", "- ", "CASE WHEN ", "SELECT (", "a.", "[", "/*", "$a$"] {
            let text = format!("SELECT {}", one.repeat(10_000 / one.len()));
            let _ = of(&migration(text), false);
        }
        assert_eq!(of(&migration("CREATE INDEX i ON t (a)".to_owned()), true), Ok(Vec::new()));
    }

    #[test]
    fn a_text_that_is_too_long_is_told() {
        let index = "CREATE INDEX i ON t (a);\n";
        let long = |bytes: usize| format!("{index}{}", "-".repeat(bytes - index.len()));
        assert_eq!(of(&migration(long(LONGEST)), false).unwrap().len(), 1);
        let refused = of(&migration(long(LONGEST + 1)), false).unwrap_err();
        assert_eq!(refused, "it has 32769 bytes, and texts are looked at up to 32768");
    }
}
