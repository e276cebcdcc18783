//! What ran, written down for those who ask which statements, calls and errors their
//! tests have exercised.
//!
//! Off unless the environment variable [`FOLDER`] names a folder. Then each process
//! adds a file to it, one JSON object a line: what happened (`call` and the
//! statement's name, or `error`, or `path`, or `wrote` and the table), in which
//! `test`, and `n`, how often so far, or how many rows. Only the first, second,
//! fourth, eighth … time or row is written, so that the greatest `n` of a thing is a
//! lower bound. Texts and values of statements are never written.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::error::Error;
use crate::pool::{AcquireFailure, PoolOptions, lock};

/// The environment variable that names the folder.
pub const FOLDER: &str = "DBREADY_EXECUTION_LOG";

/// Marks a path through several calls that a test follows from its beginning to its
/// end. Without [`held`](Self::held) it counts as broken, as when the test panics.
#[must_use = "a path that is not followed to its end counts as broken"]
#[derive(Debug)]
pub struct CriticalPath {
    name: &'static str,
    held: bool,
}

impl CriticalPath {
    /// Begins the path of this name.
    pub fn begin(name: &'static str) -> Self {
        Self { name, held: false }
    }

    /// Ends it: everything that it promises was seen to hold.
    pub fn held(mut self) {
        self.held = true;
    }
}

impl Drop for CriticalPath {
    fn drop(&mut self) {
        note(1, || What::Path { name: self.name, held: self.held });
    }
}

/// What a statement does to rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It inserts them.
    Insert,
    /// It updates them.
    Update,
    /// It deletes them.
    Delete,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Whether anything is written down. Spares the work of finding out what happened.
#[must_use]
pub fn is_kept() -> bool {
    JOURNAL.is_some()
}

/// Notes that the server has counted so many `rows` of a table as written.
pub fn wrote(change: Change, schema: &str, table: &str, rows: u64) {
    note(rows, || What::Write { change, table: (schema.to_owned(), table.to_owned()) });
}

/// Notes a call that the server has answered with success.
pub(crate) fn ran(call: &'static str) {
    note(1, || What::Call { call, statement: None });
}

/// Notes a statement that the server has answered with success, by its name in the
/// pool's options.
pub(crate) fn ran_statement(call: &'static str, options: &PoolOptions, sql: &str) {
    note(1, || What::Call { call, statement: options.statement_names.get(sql).cloned() });
}

/// A statement whose success shows only later.
pub(crate) struct Pending(&'static str, Option<String>);

impl Pending {
    pub(crate) fn new(call: &'static str, options: &PoolOptions, sql: &str) -> Self {
        Self(call, options.statement_names.get(sql).cloned())
    }

    /// Notes it: the server has answered with success.
    pub(crate) fn ran(&self) {
        note(1, || What::Call { call: self.0, statement: self.1.clone() });
    }
}

/// Notes an error.
pub(crate) fn failed(error: &Error) {
    note(1, || What::Error(Failure::of(error)));
}

/// Something that happens in a test.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    Call {
        call: &'static str,
        statement: Option<String>,
    },
    Error(Failure),
    Path {
        name: &'static str,
        held: bool,
    },
    /// Of a table by its schema and name.
    Write {
        change: Change,
        table: (String, String),
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Failure {
    class: &'static str,
    sqlstate: Option<String>,
    constraint: Option<String>,
    table: Option<String>,
    timeout: Option<&'static str>,
}

impl Failure {
    fn of(error: &Error) -> Self {
        let server = error.server();
        let own = |text: Option<&str>| text.map(str::to_owned);
        Self {
            class: error.class().name(),
            sqlstate: own(error.sqlstate()),
            constraint: own(server.and_then(|server| server.constraint())),
            table: own(server.and_then(|server| server.table())),
            timeout: timeout(error),
        }
    }
}

/// Which limit of time has ended the call.
fn timeout(error: &Error) -> Option<&'static str> {
    match error {
        Error::Deadline { .. } => Some("command_timeout"),
        Error::ConnectTimeout { .. } => Some("acquire_timeout"),
        Error::Acquire(error) if error.failure != AcquireFailure::Closed => Some("acquire_timeout"),
        other => match other.sqlstate()? {
            // A statement that a user cancels has the same code, and the same class.
            "57014" => Some("command_timeout"),
            "55P03" => Some("lock_timeout"),
            "25P03" => Some("idle_in_transaction_timeout"),
            "25P04" => Some("transaction_timeout"),
            _ => None,
        },
    }
}

/// The open file and what has been written.
struct Journal {
    file: File,
    binary: String,
    counts: HashMap<(Option<String>, What), u64>,
}

impl Journal {
    fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let program = std::env::current_exe()?;
        let binary = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{binary}-{}-{}.jsonl", std::process::id(), since.as_nanos());
        let file = File::options().create_new(true).append(true).open(folder.join(name))?;
        Ok(Self { file, binary, counts: HashMap::new() })
    }

    fn note(&mut self, test: Option<&str>, what: What, times: u64) -> io::Result<()> {
        let count = self.counts.entry((test.map(str::to_owned), what.clone())).or_default();
        let before = *count;
        *count = before.saturating_add(times);
        let n = *count;
        if n.checked_ilog2() > before.checked_ilog2() {
            let line = self.line(test, what, n);
            self.file.write_all(format!("{line}\n").as_bytes())?;
        }
        Ok(())
    }

    fn line(&self, test: Option<&str>, what: What, n: u64) -> Value {
        let mut line = json!({ "format": 2, "binary": self.binary, "test": test, "n": n });
        match what {
            What::Call { call, statement } => {
                line["call"] = call.into();
                line["statement"] = statement.into();
            }
            What::Error(failure) => {
                line["error"] = json!({
                    "class": failure.class,
                    "sqlstate": failure.sqlstate,
                    "constraint": failure.constraint,
                    "table": failure.table,
                    "timeout": failure.timeout,
                });
            }
            What::Path { name, held } => {
                line["path"] = name.into();
                line["held"] = held.into();
            }
            What::Write { change, table: (schema, table) } => {
                line["wrote"] =
                    json!({ "change": change.name(), "schema": schema, "table": table });
            }
        }
        line
    }
}

static JOURNAL: LazyLock<Option<Mutex<Journal>>> = LazyLock::new(|| {
    let folder = std::env::var_os(FOLDER).filter(|folder| !folder.is_empty())?;
    let opened = Journal::open(Path::new(&folder));
    opened.map(Mutex::new).inspect_err(complain).ok()
});

fn note(times: u64, what: impl FnOnce() -> What) {
    let Some(journal) = &*JOURNAL else { return };
    let thread = std::thread::current();
    let test = thread.name().and_then(|name| test(name, std::env::args()));
    // What is missing in the journal counts as not run.
    let _ = lock(journal).note(test.as_deref(), what(), times).inspect_err(complain);
}

fn complain(error: &io::Error) {
    tracing::error!(%error, "{FOLDER}: what runs cannot be written down");
}

/// The test under way: its thread has its name; of one that runs on the main thread
/// only the argument `--exact` tells.
fn test(thread: &str, arguments: impl Iterator<Item = String>) -> Option<String> {
    match thread {
        "main" => arguments.skip_while(|argument| argument != "--exact").nth(1),
        name if name.starts_with("tokio-") => None,
        name => Some(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::error::Outcome;
    use crate::pool::AcquireError;

    fn lines(folder: &Path) -> Vec<Value> {
        let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn what_happens_often_is_written_seldom() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        let call = |name: &str| What::Call { call: "fetch", statement: Some(name.to_owned()) };
        for _ in 0..100 {
            journal.note(Some("a::test"), call("often"), 1).unwrap();
        }
        journal.note(None, call("once"), 1).unwrap();
        let lines = lines(folder.path());
        let counts: Vec<_> = lines.iter().map(|line| line["n"].as_u64().unwrap()).collect();
        assert_eq!(counts, [1, 2, 4, 8, 16, 32, 64, 1]);
        assert_eq!(lines[0]["test"], "a::test");
        assert_eq!((&lines[7]["statement"], &lines[7]["test"]), (&"once".into(), &Value::Null));
    }

    #[test]
    fn rows_are_added_up_and_none_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        let table = || ("public".to_owned(), "t".to_owned());
        for (change, rows) in [
            (Change::Insert, 100),
            (Change::Insert, 27),
            (Change::Insert, 1),
            (Change::Update, 3),
            (Change::Delete, 0),
        ] {
            journal.note(Some("a::test"), What::Write { change, table: table() }, rows).unwrap();
        }
        let lines = lines(folder.path());
        let written: Vec<_> = lines.iter().map(|line| (&line["wrote"], &line["n"])).collect();
        let of = |change: &str| json!({ "change": change, "schema": "public", "table": "t" });
        let (insert, update) = (of("insert"), of("update"));
        let expected = [(&insert, &100.into()), (&insert, &128.into()), (&update, &3.into())];
        assert_eq!(written, expected);
        assert_eq!(Change::Delete.name(), "delete");
    }

    #[test]
    fn a_folder_that_takes_no_files_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Journal::open(&file).err().unwrap();
        complain(&error);
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let file = File::options().append(true).open("/dev/full").unwrap();
        let mut journal = Journal { file, binary: String::new(), counts: HashMap::new() };
        let what = What::Path { name: "a", held: true };
        assert_eq!(journal.note(None, what, 1).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_test_is_known_by_its_thread_or_by_the_arguments() {
        let arguments = || ["program", "--exact", "a::test", "x"].map(str::to_owned).into_iter();
        assert_eq!(test("b::test", arguments()).as_deref(), Some("b::test"));
        assert_eq!(test("main", arguments()).as_deref(), Some("a::test"));
        assert_eq!(test("main", arguments().take(1)), None);
        assert_eq!(test("tokio-rt-worker", arguments()), None);
    }

    #[test]
    fn every_limit_of_time_has_its_name() {
        let connecting = Error::ConnectTimeout {
            address: "h:1".to_owned(),
            phase: crate::error::Phase::Network,
            after: Duration::ZERO,
        };
        assert_eq!(timeout(&connecting), Some("acquire_timeout"));
        let acquire = |failure| {
            Error::Acquire(Box::new(AcquireError {
                failure,
                waiting: 0,
                out: 0,
                max: 1,
                after: Duration::ZERO,
                last_connect_error: None::<Arc<Error>>,
            }))
        };
        let deadline = Error::Deadline { after: Duration::ZERO, outcome: Outcome::Unknown };
        assert_eq!(timeout(&deadline), Some("command_timeout"));
        assert_eq!(timeout(&acquire(AcquireFailure::Exhausted)), Some("acquire_timeout"));
        assert_eq!(timeout(&acquire(AcquireFailure::Closed)), None);
        assert_eq!(timeout(&Error::RolledBack), None);
    }
}
