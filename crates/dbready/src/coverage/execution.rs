//! What tests ran on real servers, as pg-session's journals tell: statements, calls, errors, paths, tables.
//!
//! The counts are lower bounds, since a journal writes down the first, second, fourth … time or row only.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::contract::Table;

/// Longest journal that is read, in bytes.
pub const MAX_JOURNAL: u64 = 256 * 1024 * 1024;

/// One line of a journal.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    format: u32,
    binary: String,
    test: Option<String>,
    n: u64,
    call: Option<String>,
    statement: Option<String>,
    error: Option<Failure>,
    path: Option<String>,
    held: Option<bool>,
    wrote: Option<Write>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    change: Change,
    schema: String,
    table: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Insert,
    Update,
    Delete,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    class: String,
    sqlstate: Option<String>,
    constraint: Option<String>,
    table: Option<String>,
    timeout: Option<String>,
}

/// A test: the program that it is part of, and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    /// The test program, with the hash of its build.
    pub binary: String,
    /// Its path within the program.
    pub name: String,
}

/// How often something happened, and in which tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often at least, in tests.
    pub n: u64,
    /// The tests.
    pub tests: BTreeSet<Test>,
}

/// How a path through several calls ended in one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRun {
    /// The test.
    pub test: Test,
    /// Whether everything that the path promises was seen to hold.
    pub held: bool,
    /// How often at least.
    pub n: u64,
}

/// Rows of a table that the tests of one program wrote, by the server's counters: also those of transactions
/// that were rolled back. What a database held before its test does not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows inserted, at least.
    pub inserted: u64,
    /// Rows updated, at least.
    pub updated: u64,
    /// Rows deleted, at least.
    pub deleted: u64,
    /// The tests, by name.
    pub tests: BTreeSet<String>,
}

/// What happened in tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Execution {
    /// Statements that succeeded, by name; those without a name are not told apart.
    pub statements: BTreeMap<String, Seen>,
    /// Calls of the session that succeeded: `begin`, `fetchval`.
    pub calls: BTreeMap<String, Seen>,
    /// Errors by SQLSTATE.
    pub sqlstates: BTreeMap<String, Seen>,
    /// Errors by class.
    pub classes: BTreeMap<String, Seen>,
    /// Violations by the name of the constraint.
    pub constraints: BTreeMap<String, Seen>,
    /// Limits of time that ended a call, by name.
    pub timeouts: BTreeMap<String, Seen>,
    /// Paths by name.
    pub paths: BTreeMap<String, Vec<PathRun>>,
    /// Tables written, by schema and name, and by which test programs.
    pub tables: BTreeMap<(String, String), BTreeMap<String, Written>>,
    /// Things that happened outside any test that is known; they prove nothing.
    pub outside: u64,
}

/// What a line says, without its count.
type Key = (Option<Test>, What);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Call(String, Option<String>),
    Error([Option<String>; 4]),
    Path(String, bool),
    Write(Change, String, String),
}

impl Execution {
    /// Which test programs wrote a table, and what; `None` when none did.
    #[must_use]
    pub fn written(&self, table: &Table) -> Option<&BTreeMap<String, Written>> {
        self.tables.get(&(table.schema.clone(), table.name.clone()))
    }

    /// Adds the journal of one process.
    ///
    /// # Errors
    ///
    /// A message naming the line that is damaged or of another format.
    pub fn add(&mut self, journal: &str) -> Result<(), String> {
        let mut counts: BTreeMap<Key, u64> = BTreeMap::new();
        for (index, text) in journal.lines().enumerate() {
            let wrong = |problem: String| format!("line {}: {problem}", index + 1);
            let line: Line =
                serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
            if line.format != 2 {
                let problem = format!("expected format 2 of a journal, found {}", line.format);
                return Err(wrong(problem));
            }
            let n = line.n;
            if n == 0 {
                return Err(wrong("expected an `n` of at least 1".to_owned()));
            }
            let binary = line.binary.clone();
            let test = line.test.clone().map(|name| Test { binary, name });
            let what = what(line).ok_or_else(|| {
                wrong("expected one of `call`, `error`, `wrote` and `path` with `held`".to_owned())
            })?;
            let known = counts.entry((test, what)).or_default();
            *known = (*known).max(n);
        }
        for ((test, what), n) in counts {
            match test {
                Some(test) => self.count(&test, what, n),
                None => self.outside = self.outside.saturating_add(n),
            }
        }
        Ok(())
    }

    fn count(&mut self, test: &Test, what: What, n: u64) {
        let add = |map: &mut BTreeMap<String, Seen>, name: String| {
            let seen = map.entry(name).or_default();
            seen.n = seen.n.saturating_add(n);
            seen.tests.insert(test.clone());
        };
        match what {
            What::Call(call, statement) => {
                add(&mut self.calls, call);
                if let Some(statement) = statement {
                    add(&mut self.statements, statement);
                }
            }
            What::Error([class, sqlstate, constraint, timeout]) => {
                for (map, name) in [
                    (&mut self.classes, class),
                    (&mut self.sqlstates, sqlstate),
                    (&mut self.constraints, constraint),
                    (&mut self.timeouts, timeout),
                ] {
                    if let Some(name) = name {
                        add(map, name);
                    }
                }
            }
            What::Path(path, held) => {
                let run = PathRun { test: test.clone(), held, n };
                self.paths.entry(path).or_default().push(run);
            }
            What::Write(change, schema, table) => {
                let by = self.tables.entry((schema, table)).or_default();
                let written = by.entry(test.binary.clone()).or_default();
                let rows = match change {
                    Change::Insert => &mut written.inserted,
                    Change::Update => &mut written.updated,
                    Change::Delete => &mut written.deleted,
                };
                *rows = rows.saturating_add(n);
                written.tests.insert(test.name.clone());
            }
        }
    }

    /// Whether a test ran a statement of this name, or made a call of this name.
    #[must_use]
    pub fn ran_in(&self, test: &Test, name: &str) -> bool {
        [&self.statements, &self.calls]
            .into_iter()
            .any(|map| map.get(name).is_some_and(|seen| seen.tests.contains(test)))
    }
}

fn what(line: Line) -> Option<What> {
    match (line.call, line.statement, line.error, line.path, line.held, line.wrote) {
        (Some(call), statement, None, None, None, None) => Some(What::Call(call, statement)),
        (None, None, Some(error), None, None, None) => {
            let Failure { class, sqlstate, constraint, table, timeout } = error;
            let constraint = constraint.map(|name| of_hypertable(&name, table.as_deref()));
            Some(What::Error([Some(class), sqlstate, constraint, timeout]))
        }
        (None, None, None, Some(path), Some(held), None) => Some(What::Path(path, held)),
        (None, None, None, None, None, Some(Write { change, schema, table })) => {
            Some(What::Write(change, schema, table))
        }
        _ => None,
    }
}

/// The contract's name of a constraint: on chunks TimescaleDB puts the numbers of chunk and constraint
/// before the names of keys, as in `12_7_signal_greeks_pkey`.
fn of_hypertable(constraint: &str, table: Option<&str>) -> String {
    let is_chunk = table.is_some_and(|table| table.starts_with("_hyper_"));
    let parts: Vec<&str> = constraint.splitn(3, '_').collect();
    match parts.as_slice() {
        [chunk, number, name]
            if is_chunk && [chunk, number].iter().all(|part| part.parse::<u32>().is_ok()) =>
        {
            (*name).to_owned()
        }
        _ => constraint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rest: &str) -> String {
        format!("{{\"format\":2,\"binary\":\"b\",\"test\":\"t\",{rest}}}\n")
    }

    fn wrote(n: &str, change: &str, table: &str) -> String {
        let table = format!("\"schema\":\"public\",\"table\":\"{table}\"");
        line(&format!("\"n\":{n},\"wrote\":{{\"change\":\"{change}\",{table}}}"))
    }

    #[test]
    fn rows_written_are_counted_by_table_and_program() {
        let mut execution = Execution::default();
        let journal = [
            wrote("3", "insert", "t"),
            wrote("9", "insert", "t"),
            wrote("2", "delete", "t"),
            wrote("4", "update", "t").replace("\"b\"", "\"other\""),
            wrote("1", "insert", "outside").replace("\"test\":\"t\"", "\"test\":null"),
        ];
        execution.add(&journal.concat()).unwrap();
        execution.add(&journal[0]).unwrap();
        let table = ("public".to_owned(), "t".to_owned());
        assert_eq!(execution.tables.keys().collect::<Vec<_>>(), [&table]);
        let tests = BTreeSet::from(["t".to_owned()]);
        let written = |inserted, updated, deleted| Written {
            inserted,
            updated,
            deleted,
            tests: tests.clone(),
        };
        let by = &execution.tables[&table];
        assert_eq!(by["b"], written(12, 0, 2));
        assert_eq!(by["other"], written(0, 4, 0));
        assert_eq!(execution.outside, 1);
    }

    #[test]
    fn counts_are_the_greatest_of_a_process_and_the_sum_over_processes() {
        let call =
            |n: u32| line(&format!("\"n\":{n},\"call\":\"fetch\",\"statement\":\"latest_greeks\""));
        let journal = [call(1), call(2), call(4)].concat();
        let mut execution = Execution::default();
        execution.add(&journal).unwrap();
        execution.add(&journal).unwrap();
        let seen = &execution.statements["latest_greeks"];
        assert_eq!((seen.n, seen.tests.len()), (8, 1));
        assert_eq!(execution.calls["fetch"].n, 8);
    }

    #[test]
    fn what_happens_outside_a_test_proves_nothing() {
        let mut execution = Execution::default();
        let journal =
            r#"{"format":2,"binary":"b","test":null,"n":3,"call":"begin","statement":null}"#;
        execution.add(journal).unwrap();
        assert!(execution.calls.is_empty());
        assert_eq!(execution.outside, 3);
    }

    #[test]
    fn constraints_of_chunks_are_those_of_the_table() {
        let mut execution = Execution::default();
        let error = |constraint: &str, table: &str| {
            line(&format!(
                "\"n\":1,\"error\":{{\"class\":\"constraint\",\"sqlstate\":\"23505\",\
                 \"constraint\":\"{constraint}\",\"table\":\"{table}\",\"timeout\":null}}"
            ))
        };
        let journal = [
            error("12_7_signal_greeks_pkey", "_hyper_1_12_chunk"),
            error("1_2_odd", "plain"),
            error("delta_range", "_hyper_1_12_chunk"),
        ];
        execution.add(&journal.concat()).unwrap();
        let names: Vec<&str> = execution.constraints.keys().map(String::as_str).collect();
        assert_eq!(names, ["1_2_odd", "delta_range", "signal_greeks_pkey"]);
        assert_eq!(execution.sqlstates["23505"].n, 3);
    }

    #[test]
    fn damaged_journals_are_refused_with_the_line() {
        let good = line("\"n\":1,\"call\":\"begin\"");
        for (bad, words) in [
            ("{", "line 2:"),
            ("{\"format\":1,\"binary\":\"b\",\"test\":null,\"n\":1}", "found 1"),
            (line("\"n\":1").trim(), "expected one of `call`"),
            (line("\"n\":1,\"path\":\"p\"").trim(), "expected one of `call`"),
            (
                line("\"n\":1,\"path\":\"p\",\"held\":true,\"statement\":\"s\"").trim(),
                "expected one of",
            ),
            (line("\"n\":1,\"call\":\"a\",\"more\":1").trim(), "more"),
            (line("\"n\":0,\"call\":\"a\"").trim(), "at least 1"),
            (wrote("1", "truncate", "t").trim(), "truncate"),
            (wrote("0", "insert", "t").trim(), "at least 1"),
            (wrote("1.5", "insert", "t").trim(), "line 2:"),
            (line("\"n\":1,\"wrote\":{\"change\":\"insert\",\"table\":\"t\"}").trim(), "schema"),
            (line("\"n\":1,\"call\":\"a\",\"wrote\":7").trim(), "line 2:"),
            (line("\"n\":-1,\"call\":\"a\"").trim(), "line 2:"),
        ] {
            let error = Execution::default().add(&format!("{good}{bad}\n")).unwrap_err();
            assert!(error.contains(words), "{bad}: {error}");
        }
    }
}
