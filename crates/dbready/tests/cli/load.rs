//! `dbready load`: what it measures, refuses and leaves behind.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::processes::wait_until;
use crate::support::{dbready, migrated, program};

fn claim<'a>(document: &'a Value, id: &str) -> &'a Value {
    let claims = document["claims"].as_array().unwrap();
    claims
        .iter()
        .find(|claim| claim["id"] == id)
        .unwrap_or_else(|| panic!("no {id} in {document:#}"))
}

#[test]
fn the_list_names_tests_and_their_figures() {
    let list = dbready(&["load", "list", "--format", "json"]).exits(0).json();
    let tests = list.as_array().unwrap();
    let named = |name: &str| tests.iter().find(|test| test["name"] == name).unwrap();
    assert_eq!(named("drift")["figures"][0], "failure_modes.schema_drift_detection");
    assert_eq!(named("concurrency")["writes"], true);
    assert_eq!(named("queries")["writes"], false);
    assert_eq!(named("scaling")["figures"].as_array().unwrap().len(), 0);
    dbready(&["load", "list"]).exits(0).prints(&["queries", "pool.acquire: a connection is"]);
}

#[test]
fn a_name_that_is_neither_test_nor_figure_is_wrong_usage() {
    dbready(&["load", "colour"]).exits(2).says_in_one_line(&["`colour`", "queries", "load list"]);
    // A figure that drills measure is not load's.
    dbready(&["load", "pool.recovery"]).exits(2).says_in_one_line(&["`pool.recovery`"]);
    dbready(&["load", "--allow-writes"]).exits(2).says(&["--url"]);
}

#[test]
fn a_named_test_settles_its_claims_and_speaks_of_no_others() {
    let database = migrated();
    let figure = "failure_modes.schema_drift_detection";
    let ran = dbready(&["load", figure, "--url", database.url(), "--format", "json"]);
    let document = ran.json();
    assert_eq!(document["claims"].as_array().unwrap().len(), 1, "{document:#}");
    assert_eq!(document["claims"][0]["n"], 300);
    assert_eq!(document["command"], "load");
    assert_eq!(document["scope"], "part");
    assert_eq!(document["problems"].as_array().unwrap().len(), 0, "{document:#}");
}

#[test]
fn what_is_open_in_a_baseline_may_stay_open() {
    let database = migrated();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("baseline.toml");
    let file = file.to_str().unwrap();
    let load =
        |more: &[&str]| dbready(&[&["load", "rollback", "--url", database.url()], more].concat());
    load(&[]).exits(1).prints(&["--allow-writes"]);
    load(&["--write-baseline", file]).exits(0);
    load(&["--baseline", file]).exits(0).prints(&["accepted.", "SUPPRESSIONS"]);
    fs::write(file, "suppressions = []\n").unwrap();
    load(&["--suppressions", file]).exits(2);
}

#[test]
fn without_leave_to_write_nothing_is_written_and_empty_tables_prove_nothing() {
    let database = migrated();
    let before = database.run_sql("SELECT count(*) FROM pg_class").unwrap();
    let args = ["load", "queries", "rollback", "--url", database.url(), "--format", "json"];
    let document = dbready(&args).exits(1).json();
    let reason = |id: &str| claim(&document, id)["reason"].as_str().unwrap().to_owned();
    assert!(reason("load.failure_modes.rollback").contains("--allow-writes"));
    assert!(reason("load.queries.latest_greeks").contains("no rows to sample"));
    assert!(reason("load.pool.acquire").contains("can be run"));
    assert_eq!(database.run_sql("SELECT count(*) FROM pg_class").unwrap(), before);
}

#[test]
fn curves_are_drawn_when_nothing_else_is_run() {
    let database = migrated();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    dbready(&[
        "load",
        "scaling",
        "--allow-writes",
        "--url",
        database.url(),
        "--out",
        out.to_str().unwrap(),
    ])
    // It settles no claim, and silence is no pass.
    .exits(1);
    let page = fs::read_to_string(out.join("certificate.html")).unwrap();
    assert!(page.contains("Response time against rows in one statement"), "not drawn");
    // The seal knows nothing of it: rendered elsewhere the same certificate has no curve.
    fs::remove_file(out.join("database_performance_results.json")).unwrap();
    let certificate = out.join("certificate.json");
    let again = dbready(&["report", certificate.to_str().unwrap(), "--format", "html"]);
    assert!(!again.exits(1).stdout.contains("Response time against"));
}

#[test]
fn runs_are_compared_second_by_second() {
    let folder = tempfile::tempdir().unwrap();
    let stored = |name: &str, streams: &[&str], p95: f64| {
        let timeline: Vec<Value> = (0..20)
            .map(|second| json!({ "second": second, "p95": p95 + f64::from(second) / 100.0 }))
            .collect();
        let streams =
            streams.iter().map(|name| ((*name).to_owned(), json!({ "timeline": timeline })));
        let run = json!({
            "format": "dbready-load", "format_version": 1, "profile": "quick", "seed": 1,
            "phases": [{ "name": "queries", "streams": streams.collect::<Value>() }],
        });
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("database_performance_results.json"), run.to_string()).unwrap();
        path.display().to_string()
    };
    let (before, after) = (stored("before", &["latest"], 10.0), stored("after", &["latest"], 13.0));
    dbready(&["load", "compare", &before, &before]).exits(0).prints(&["the same"]);
    dbready(&["load", "compare", &before, &after]).exits(1).prints(&["queries.latest", "slower"]);
    let json = dbready(&["load", "compare", &after, &before, "--format", "json"]).exits(0).json();
    assert_eq!(json["streams"][0]["verdict"], "faster");
    assert_eq!(json["left_out"].as_array().unwrap().len(), 0, "{json:#}");
    let more = stored("more", &["latest", "near"], 10.0);
    dbready(&["load", "compare", &before, &more])
        .exits(0)
        .prints(&["left out  queries.near: the first: it has no such stream\n"]);
    let json = dbready(&["load", "compare", &more, &before, "--format", "json"]).exits(0).json();
    assert_eq!(json["left_out"][0]["stream"], "queries.near", "{json:#}");
    assert_eq!(json["left_out"][0]["run"], "second", "{json:#}");
    dbready(&["load", "compare", &before, &after, "--turns", "2"])
        .exits(2)
        .says_in_one_line(&["--turns"]);
    let url = "postgres://user:secret@127.0.0.1/none";
    dbready(&["load", "compare", &before, url]).exits(2).says_in_one_line(&["one of each"]);
    dbready(&["load", "compare", &before, "/nonexistent"])
        .exits(2)
        .says_in_one_line(&["/nonexistent"]);
}

#[test]
fn an_interruption_is_no_error_and_says_nothing_where_only_errors_are_wanted() {
    let database = migrated();
    let mut command = program();
    command.args(["load", "concurrency", "--allow-writes", "--quiet", "--url", database.url()]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'dbready_load%'";
    wait_until(|| "it never began".to_owned(), || database.run_sql(schemas).unwrap().trim() == "1");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn an_interrupted_run_reports_what_it_has_and_cleans_up() {
    let database = migrated();
    let mut command = program();
    command.args(["load", "drift", "concurrency", "--allow-writes", "--format", "json"]);
    command.args(["--url", database.url()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.starts_with("50 callers at once")), "never began");
    sleep(Duration::from_secs(2));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let rest: Vec<String> = said.collect();
    let mut report = String::new();
    child.stdout.take().unwrap().read_to_string(&mut report).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let document: Value = serde_json::from_str(&report).unwrap();
    let transactions = claim(&document, "load.concurrency.transactions");
    assert_eq!(transactions["status"], "unproven", "{transactions:#}");
    assert!(transactions["reason"].as_str().unwrap().contains("interrupted"), "{transactions:#}");
    // What was whole by then counts.
    assert_eq!(claim(&document, "load.failure_modes.schema_drift_detection")["n"], 300);
    let notes = document["notes"].to_string();
    assert!(notes.contains("the run was interrupted"), "{notes}");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'dbready_load%'";
    assert_eq!(database.run_sql(schemas).unwrap().trim(), "0");
}
