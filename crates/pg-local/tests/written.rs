//! What tests write into their databases stands in the journal, by the counters of real servers.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use pg_local::testing::TestDatabase;
use pg_session::journal::FOLDER;
use pg_session::{Config, connect};
use serde_json::Value;

/// Tables in the database before the test has it, with a row in each.
const TEMPLATE: &str = r#"
CREATE TABLE kept (n int);
CREATE TABLE emptied (n int);
CREATE TABLE held (n int);
CREATE TABLE given_up (n int);
CREATE TABLE parted (n int) PARTITION BY LIST (n);
CREATE TABLE parted_one PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_more PARTITION OF parted DEFAULT PARTITION BY LIST (n);
CREATE TABLE parted_two PARTITION OF parted_more FOR VALUES IN (2);
CREATE TABLE hyper (at timestamptz NOT NULL, n int);
SELECT create_hypertable('hyper', 'at', chunk_time_interval => interval '1 day');
CREATE SCHEMA "a | b";
CREATE TABLE "a | b"."odd "" \ name" (n int);
INSERT INTO kept VALUES (1);
INSERT INTO emptied VALUES (1);
INSERT INTO held VALUES (1);
INSERT INTO given_up VALUES (1);
INSERT INTO parted VALUES (1);
INSERT INTO hyper VALUES ('2026-01-01', 1);
"#;

const WORK: &str = r#"
BEGIN;
INSERT INTO given_up VALUES (2), (3);
ROLLBACK;
SELECT FROM kept, parted, hyper;
DELETE FROM emptied;
INSERT INTO parted VALUES (1), (2), (2);
DELETE FROM parted WHERE n = 2;
INSERT INTO hyper SELECT day, 2 FROM generate_series('2026-01-02'::timestamptz, '2026-01-05', '1 day') AS day;
UPDATE hyper SET n = 3 WHERE at < '2026-01-04';
INSERT INTO "a | b"."odd "" \ name" VALUES (1);
"#;

#[tokio::test]
#[ignore = "run by the test beside it, with a journal"]
async fn works() {
    let prepare = |url: &str| {
        let url = url.to_owned();
        // Within a test's runtime no other may be started on the same thread.
        let prepared = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let client = connect(&Config::from_url(&url).unwrap()).await.unwrap();
                client.batch_execute(TEMPLATE).await.unwrap();
            });
        });
        prepared.join().map_err(|_| "the preparation failed".into())
    };
    // Of this run's own, since the server and its templates may outlive the one before.
    let name = format!("pg_local_written_{}", std::process::id());
    let database = TestDatabase::copy_of(&name, prepare).unwrap();
    database.run_sql(WORK).unwrap();
    // A session that goes on has not told the counters of its last statements.
    let client = connect(&Config::from_url(database.url()).unwrap()).await.unwrap();
    for _ in 0..3 {
        client.batch_execute("INSERT INTO held VALUES (2)").await.unwrap();
    }
    drop(database);
    drop(client);
}

/// Rows by table, as inserted, updated and deleted.
type Rows = BTreeMap<(String, String), [u64; 3]>;

fn rows(lines: &[Value]) -> Rows {
    let mut rows = Rows::new();
    for line in lines {
        let wrote = &line["wrote"];
        let text = |key: &str| wrote[key].as_str().unwrap().to_owned();
        let at = match wrote["change"].as_str() {
            Some("insert") => 0,
            Some("update") => 1,
            Some("delete") => 2,
            _ => continue,
        };
        let table = rows.entry((text("schema"), text("table"))).or_default();
        table[at] = line["n"].as_u64().unwrap();
    }
    rows
}

#[test]
fn a_database_that_is_dropped_leaves_in_the_journal_which_tables_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "works", "--ignored"]).env(FOLDER, folder.path());
    // The server that the process may start outlives it, and would hold a pipe open.
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    let mut lines: Vec<Value> = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    assert!(!lines.is_empty() && lines.iter().all(|line| line["test"] == "works"), "{lines:?}");
    let expected = [
        ("public", "emptied", [0, 0, 1]),
        ("public", "held", [3, 0, 0]),
        ("public", "given_up", [2, 0, 0]),
        ("public", "parted", [3, 0, 2]),
        ("public", "parted_one", [1, 0, 0]),
        ("public", "parted_more", [2, 0, 2]),
        ("public", "parted_two", [2, 0, 2]),
        ("public", "hyper", [4, 3, 0]),
        ("a | b", "odd \" \\ name", [1, 0, 0]),
    ];
    let of = |(schema, table, rows): (&str, &str, _)| ((schema.to_owned(), table.to_owned()), rows);
    // The table that was only read is not among them, nor are chunks by their own names.
    assert_eq!(rows(&lines), expected.into_iter().map(of).collect::<Rows>());
}
