//! What runs is written down when asked for, by the test that ran it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use pg_session::journal::{CriticalPath, FOLDER};
use pg_session::tokio_postgres::types::Type;
use pg_session::{PoolOptions, ReaderOptions, TransactionOptions};
use serde_json::Value;
use support::{bench, options};

const INSERT: &str = "INSERT INTO t (id) VALUES ($1)";
const COUNT: &str = "SELECT count(*) FROM t";
const COPY: &str = "COPY t (id) FROM STDIN";
const COPY_BINARY: &str = "COPY t (id) FROM STDIN (FORMAT binary)";

/// Options under which the statements have names.
fn named() -> PoolOptions {
    let names =
        [(INSERT, "insert"), (COUNT, "count"), (COPY, "copy"), (COPY_BINARY, "copy_binary")];
    let names = names.map(|(sql, name)| (sql.to_owned(), name.to_owned()));
    PoolOptions { statement_names: Arc::new(BTreeMap::from(names)), ..options() }
}

/// Runs one test of this file in a process of its own that writes into `folder`.
fn run(folder: &Path, test: &str, threads: &str) -> bool {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", test, "--ignored", "--test-threads", threads]);
    // The server that the process may start outlives it, and would hold a pipe open.
    command.env(FOLDER, folder).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

fn lines(folder: &Path) -> Vec<Value> {
    let mut lines = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    lines
}

#[tokio::test]
#[ignore = "run by the test beside it, with a journal"]
async fn everything() {
    let bench = bench(named()).await;
    let path = CriticalPath::begin("insert_and_count");
    let mut session = bench.pool.acquire().await.unwrap();
    session
        .batch("CREATE TABLE t (id int CONSTRAINT t_positive CHECK (id > 0) PRIMARY KEY)")
        .await
        .unwrap();
    let mut transaction = session.begin(&TransactionOptions::default()).await.unwrap();
    transaction.execute(INSERT, &[&1]).await.unwrap();
    transaction.commit().await.unwrap();
    session.execute(INSERT, &[&1]).await.unwrap_err();
    session.execute(INSERT, &[&0]).await.unwrap_err();
    let transaction = session.begin(&TransactionOptions::default()).await.unwrap();
    transaction.rollback().await.unwrap();
    let mut copy = session.copy_in(COPY).await.unwrap();
    copy.send("2\n".into()).await.unwrap();
    copy.finish().await.unwrap();
    let mut copy = session.copy_in_binary(COPY_BINARY, &[Type::INT4]).await.unwrap();
    copy.write(&[&3]).await.unwrap();
    copy.finish().await.unwrap();
    assert_eq!(session.fetch_value::<i64>(COUNT, &[]).await.unwrap(), 3);
    session.fetch(COUNT, &[]).await.unwrap();
    let mut rows = session.stream(COUNT, &[]).await.unwrap();
    while rows.next().await.unwrap().is_some() {}
    session.batch("SET statement_timeout = 50").await.unwrap();
    session.execute("SELECT pg_sleep(60)", &[]).await.unwrap_err();
    session.close();
    path.held();
    let reader = bench.pool.reader(ReaderOptions::default()).unwrap();
    reader.fetch_value::<i64>(COUNT, &[]).await.unwrap();
    bench.pool.health().await.unwrap();
    bench.pool.close();
    assert!(bench.pool.acquire().await.is_err());
}

#[tokio::test]
#[ignore = "run by the test beside it, with a journal"]
async fn broken_off() {
    let _path = CriticalPath::begin("insert_and_count");
    let bench = bench(PoolOptions { min: 0, ..named() }).await;
    bench.pool.acquire().await.unwrap().fetch("SELECT 1 / 0", &[]).await.unwrap();
}

#[test]
fn what_ran_is_written_with_its_test() {
    // With one thread a test runs on the main thread, which has no name of its own.
    for threads in ["1", "2"] {
        let folder = tempfile::tempdir().unwrap();
        assert!(run(folder.path(), "everything", threads));
        let lines = lines(folder.path());
        assert!(lines.iter().all(|line| line["test"] == "everything"), "{lines:?}");
        let calls: BTreeSet<_> = lines
            .iter()
            .filter_map(|line| Some((line["call"].as_str()?, line["statement"].as_str())))
            .collect();
        for expected in [
            ("connect", None),
            ("begin", None),
            ("execute", Some("insert")),
            ("commit", None),
            ("rollback", None),
            ("copy", Some("copy")),
            ("copy", Some("copy_binary")),
            ("fetchval", Some("count")),
            ("fetch", Some("count")),
            ("close", None),
            ("health", None),
            ("disconnect", None),
        ] {
            assert!(calls.contains(&expected), "{expected:?} in {calls:?}");
        }
        let errors: Vec<_> = lines.iter().filter(|line| line["error"].is_object()).collect();
        let seen = |key: &str, value: &str| errors.iter().any(|line| line["error"][key] == value);
        assert!(seen("constraint", "t_pkey") && seen("constraint", "t_positive"), "{errors:?}");
        assert!(seen("sqlstate", "23505") && seen("sqlstate", "23514"), "{errors:?}");
        assert!(seen("class", "unavailable"), "{errors:?}");
        assert!(seen("timeout", "command_timeout"), "{errors:?}");
        let paths: Vec<_> = lines.iter().filter(|line| line["path"].is_string()).collect();
        assert_eq!(paths.len(), 1);
        assert_eq!(paths[0]["held"], true);
        // The row that was a duplicate counts, the one that a check refused was never written.
        let written: Vec<_> = lines.iter().filter(|line| line["wrote"].is_object()).collect();
        let table = serde_json::json!({ "change": "insert", "schema": "public", "table": "t" });
        assert_eq!(written.len(), 1, "{written:?}");
        assert_eq!((&written[0]["wrote"], &written[0]["n"]), (&table, &4.into()));
    }
}

#[test]
fn a_path_that_breaks_off_is_written_as_broken() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!run(folder.path(), "broken_off", "2"));
    let lines = lines(folder.path());
    let paths: Vec<_> = lines.iter().filter(|line| line["path"].is_string()).collect();
    assert_eq!(paths.len(), 1, "{lines:?}");
    assert_eq!(paths[0]["held"], false);
    assert!(lines.iter().any(|line| line["error"]["sqlstate"] == "22012"), "{lines:?}");
}

#[test]
fn a_journal_that_cannot_be_written_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(run(&file, "everything", "2"));
    assert!(std::fs::read_to_string(&file).unwrap().is_empty());
}
