//! The examples run as they are documented.

use std::process::Command;

use pg_local::testing::TestDatabase;

use crate::support::database;

fn run(database: &TestDatabase, example: &str, arguments: &[&str]) -> String {
    // Examples are built with the tests, into the folder beside these.
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    let output = Command::new(folder.join("examples").join(example))
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .output()
        .unwrap_or_else(|error| panic!("{example}: {error}; build it with --examples"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn quickstart_stores_and_reads() {
    let database = database();
    let said = run(&database, "quickstart", &[]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert!(lines[0].starts_with("schema version 1."), "{said}");
    assert_eq!(lines[1], "stored rows [1] and [1]");
    assert!(lines[2].starts_with("latest delta of NSE@NIFTY@CE@24000: Some(0.512345)"), "{said}");
    assert!(lines[3].contains("1 rows, delta Some(0.512345"), "{said}");
}

#[test]
fn ingest_stores_each_record_once() {
    let database = database();
    let said = run(&database, "ingest", &[]);
    let lines: Vec<&str> = said.lines().collect();
    let expected = [
        "first: 999 stored, replayed: false",
        "again: 999 stored, replayed: true",
        "100 single records stored",
        "0 batches forgotten",
    ];
    assert_eq!(lines, expected);
    let count = database.run_sql("SELECT count(*) FROM signal_greeks").unwrap();
    assert_eq!(count.trim(), "1099");
}

#[test]
fn failover_aware_counts_what_became_of_writes() {
    let database = database();
    let said = run(&database, "failover_aware", &["7"]);
    assert_eq!(said, "7 stored, 0 not stored, 0 unknown\n");
    let count = database.run_sql("SELECT count(*) FROM signal_greeks").unwrap();
    assert_eq!(count.trim(), "7");
}
