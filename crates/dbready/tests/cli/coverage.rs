//! `dbready coverage`: the gate, badges, and reports that cannot be read.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, migrated, program, run};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A trace in which every line of `path` is run but those named.
fn trace(path: &str, missed: &[u32]) -> String {
    let lines = (1..=400).map(|line| format!("DA:{line},{}\n", u8::from(!missed.contains(&line))));
    format!("SF:{path}\n{}end_of_record\n", lines.collect::<String>())
}

fn coverage(folder: &Path, args: &[&str]) -> Ran {
    run(program().current_dir(folder).arg("coverage").args(args))
}

#[test]
fn one_line_that_is_not_run_fails_the_gate_and_is_named() {
    let dir = folder();
    let inside = dir.path().join("src/db/pool.rs");
    let text = trace(inside.to_str().unwrap(), &[]) + &trace("src/other.rs", &[7]);
    fs::write(dir.path().join("good.info"), &text).unwrap();
    let gate = |file: &str| {
        coverage(dir.path(), &["gate", "--fail-under", "100", "--modules", "src/db", file])
    };
    let passed = gate("good.info").exits(0);
    assert!(passed.stdout.contains("100.00 % of lines (400 of 400)"), "{passed:?}");

    let text = trace(inside.to_str().unwrap(), &[123]) + &trace("src/other.rs", &[]);
    fs::write(dir.path().join("bad.info"), text).unwrap();
    let failed = gate("bad.info").exits(1);
    assert!(failed.stdout.contains("\nsrc/db/pool.rs:123\n"), "{failed:?}");
    assert!(failed.stdout.contains("99.75 % of lines (399 of 400)"), "{failed:?}");
}

#[test]
fn reports_are_merged_by_line_and_by_path() {
    let dir = folder();
    fs::write(dir.path().join("a.info"), trace("src/db.rs", &[1, 2])).unwrap();
    fs::write(dir.path().join("b.info"), trace("C:\\ci\\src\\db.rs", &[2, 3])).unwrap();
    let args = ["gate", "--fail-under", "100", "--modules", "src/db.rs", "--map", "C:\\ci=."];
    let failed = coverage(dir.path(), &[&args[..], &["a.info", "b.info"]].concat()).exits(1);
    assert!(failed.stdout.contains("\nsrc/db.rs:2\n"), "{failed:?}");
    assert_eq!(failed.stdout.matches("src/db.rs:").count(), 1, "{failed:?}");
}

#[test]
fn no_data_is_a_verdict_of_its_own_and_never_passes() {
    let dir = folder();
    fs::write(dir.path().join("a.info"), trace("src/db.rs", &[])).unwrap();
    let args = ["gate", "--fail-under", "0", "--modules", "src/db,src/gone", "a.info"];
    let failed = coverage(dir.path(), &args).exits(1);
    assert!(failed.stdout.contains("NO DATA  src/gone"), "{failed:?}");
    assert!(failed.stdout.contains("pass     src/db "), "{failed:?}");
    let numeric = coverage(dir.path(), &[&args[..], &["--numeric"]].concat()).exits(1);
    assert_eq!(numeric.stdout, "");
    assert!(numeric.stderr.starts_with("error: NO DATA"), "{numeric:?}");
}

#[test]
fn notes_on_reports_are_left_out_where_only_errors_are_wanted() {
    let dir = folder();
    let text = trace("src/db.rs", &[]).replace("end_of_record", "LF:999\nend_of_record");
    fs::write(dir.path().join("a.info"), text).unwrap();
    for out in [&["gate", "--fail-under", "0"][..], &["badges", "--out", "badges"]] {
        let args = [out, &["--modules", "src/db.rs", "a.info"]].concat();
        let told = coverage(dir.path(), &args).exits(0);
        assert!(told.stderr.starts_with("note: "), "{told:?}");
        assert_eq!(coverage(dir.path(), &[&args[..], &["-q"]].concat()).exits(0).stderr, "");
    }
}

#[test]
fn what_cannot_be_read_exits_2_and_is_named() {
    let dir = folder();
    fs::write(dir.path().join("good.info"), trace("src/db.rs", &[])).unwrap();
    fs::write(dir.path().join("cut.info"), "SF:src/db.rs\nDA:1,1\n").unwrap();
    fs::write(dir.path().join("empty.info"), "").unwrap();
    fs::write(dir.path().join("page.xml"), "<html>404 not found</html>").unwrap();
    fs::create_dir(dir.path().join("dir.info")).unwrap();
    for wrong in ["missing.info", "cut.info", "empty.info", "page.xml", "dir.info"] {
        let args = ["gate", "--fail-under", "0", "--modules", "src/db", "good.info", wrong];
        let refused = coverage(dir.path(), &args).exits(2);
        refused.says_in_one_line(&[wrong, "the report cannot be read"]);
    }
    for share in ["101", "-1", "NaN", "1e2", "", "99.00001"] {
        let args = [format!("--fail-under={share}")];
        let args = ["gate", &args[0], "--modules", "src/db", "good.info"];
        assert!(coverage(dir.path(), &args).exits(2).stderr.contains("fail-under"), "{share}");
    }
    coverage(dir.path(), &["gate", "--modules", "src/db"]).exits(2);
    coverage(dir.path(), &["gate", "--modul", "src/db", "good.info"]).exits(2);
}

#[test]
fn modules_and_share_come_from_the_contract_whose_unknown_keys_are_errors() {
    let dir = folder();
    let text = trace("crates/pg-session/src/lib.rs", &[])
        + &trace("crates/signal-store/src/lib.rs", &[399]);
    fs::write(dir.path().join("a.info"), text).unwrap();
    let failed = coverage(dir.path(), &["gate", "a.info"]).exits(1);
    assert!(failed.stdout.contains("crates/signal-store/src/lib.rs:399"), "{failed:?}");
    assert!(failed.stdout.contains("at least 100 %"), "{failed:?}");

    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../signal-store/contract");
    let copy = dir.path().join("contract");
    let copied = Command::new("cp").arg("-r").arg(&contract).arg(&copy).status();
    assert!(copied.unwrap().success());
    let file = copy.join("contract.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("percent = 100.0", "percent = 100.0\nacceptable = 1")).unwrap();
    let refused = coverage(dir.path(), &["gate", "--contract", "contract", "a.info"]).exits(2);
    assert!(refused.stderr.contains("acceptable"), "{refused:?}");
}

#[test]
fn formats_for_scripts_pull_requests_and_github() {
    let dir = folder();
    fs::write(dir.path().join("a.info"), trace("src/db.rs", &[4, 5, 9])).unwrap();
    let gate = |args: &[&str]| {
        let fixed = ["gate", "--fail-under", "100", "--modules", "src/db", "a.info"];
        coverage(dir.path(), &[&fixed[..], args].concat()).exits(1).stdout
    };
    assert_eq!(gate(&["--numeric"]), "99.25\n");
    let markdown = gate(&["--format", "markdown"]);
    assert!(markdown.contains("| `src/db` | BELOW | 99.25 % (397/400) |"), "{markdown}");
    assert!(markdown.contains("- `src/db.rs:4-5`\n- `src/db.rs:9`"), "{markdown}");
    let github = gate(&["--format", "github"]);
    assert!(github.starts_with("::error file=src/db.rs,line=4,endLine=5,title=Not covered::"));
    let document: Value = serde_json::from_str(&gate(&["--format", "json"])).unwrap();
    assert_eq!(document["verdict"], "fail");
    assert_eq!(document["modules"][0]["verdict"], "below");
    assert_eq!(document["modules"][0]["lines"]["percent"], 99.25);
    assert_eq!(document["modules"][0]["uncovered"][2], "src/db.rs:9");
}

#[test]
fn badges_of_each_module() {
    let dir = folder();
    let text = trace("app/errors.py", &[]) + &trace("src/db.rs", &[1]);
    fs::write(dir.path().join("a.info"), text).unwrap();
    let modules = "app.errors,src/db,gone";
    let args = ["badges", "--fail-under", "100", "--modules", modules, "--out", "badges", "a.info"];
    coverage(dir.path(), &args).exits(0);
    let read = |name: &str| fs::read_to_string(dir.path().join("badges").join(name)).unwrap();
    let endpoint = |name: &str| serde_json::from_str::<Value>(&read(name)).unwrap();
    let whole = endpoint("app.errors.json");
    assert_eq!((&whole["schemaVersion"], &whole["message"]), (&1.into(), &"100.00 %".into()));
    assert_eq!(endpoint("src-db.json")["message"], "99.75 %");
    assert_eq!(endpoint("src-db.json")["color"], "red");
    assert_eq!(endpoint("gone.json")["message"], "no data");
    assert_eq!(endpoint("gone.json")["isError"], true);
    assert!(read("src-db.svg").starts_with("<svg xmlns="));
    assert!(read("src-db.svg").contains("99.75 %"));

    let args =
        ["badges", "--fail-under", "1", "--modules", "src/db,src.db", "--out", "b", "a.info"];
    coverage(dir.path(), &args).exits(0);
    let args =
        ["badges", "--fail-under", "1", "--modules", "src/db,src-db", "--out", "b", "a.info"];
    coverage(dir.path(), &args).exits(2);
}

/// A journal in which one test saved and read Greeks and saw it hold.
const JOURNAL: &str = r#"{"format":2,"binary":"b","test":"t","n":1,"call":"execute","statement":"save_greeks"}
{"format":2,"binary":"b","test":"t","n":2,"call":"fetch","statement":"latest_greeks"}
{"format":2,"binary":"b","test":"t","n":1,"path":"ingest_to_latest","held":true}
{"format":2,"binary":"b","test":"t","n":1,"path":"history","held":false}
"#;

#[test]
fn the_claims_of_the_contract_are_settled_by_what_ran() {
    let dir = folder();
    fs::create_dir(dir.path().join("journals")).unwrap();
    fs::write(dir.path().join("journals/b-1.jsonl"), JOURNAL).unwrap();
    let text = trace("crates/pg-session/src/lib.rs", &[])
        + &trace("crates/signal-store/src/lib.rs", &[399]);
    fs::write(dir.path().join("a.info"), text).unwrap();
    let mutant = r#"{"scenario":{"Mutant":{"name":"replace f","file":"crates/pg-session/src/a.rs"}},"summary":"MissedMutant"}"#;
    fs::write(dir.path().join("outcomes.json"), format!("{{\"outcomes\":[{mutant}]}}")).unwrap();
    let ran = coverage(
        dir.path(),
        &[
            "report",
            "--execution",
            "journals",
            "--mutants",
            "outcomes.json",
            "--format",
            "json",
            "--out",
            "out",
            "a.info",
        ],
    )
    .exits(1);
    let document = ran.json();
    let claim = |id: &str| {
        let claims = document["claims"].as_array().unwrap();
        let found = claims.iter().find(|claim| claim["id"] == id).unwrap();
        (found["status"].as_str().unwrap().to_owned(), found["reason"].to_string())
    };
    for (id, status) in [
        ("coverage.pg-session", "proven"),
        ("coverage.signal-store", "refuted"),
        ("repository.method.save_greeks", "proven"),
        ("repository.method.execute", "proven"),
        ("repository.method.save_indicator", "unproven"),
        ("critical_path.ingest_to_latest", "proven"),
        ("critical_path.history", "refuted"),
        ("critical_path.cleanup", "unproven"),
        ("mutation.pg-session", "refuted"),
        ("mutation.signal-store", "unproven"),
    ] {
        assert_eq!(claim(id).0, status, "{id}: {}", claim(id).1);
    }
    let page = fs::read_to_string(dir.path().join("out/coverage.md")).unwrap();
    for words in ["- `save_indicator`", "`replace f`", "`crates/signal-store/src/lib.rs:399`"] {
        assert!(page.contains(words), "{words} in {page}");
    }
    assert!(dir.path().join("out/certificate.json").is_file());
}

#[test]
#[ignore = "run by the test beside it, with a journal"]
fn writes_and_reads() {
    let database = migrated();
    let insert = "INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\") \
                  SELECT 'signal_20260101_000001', 'NSE@A@EQ', now() - n * interval '1 s' \
                  FROM generate_series(1, 2) n";
    database.run_sql(insert).unwrap();
    let reads =
        "SELECT FROM signal_greeks; SELECT FROM signal_indicators; SELECT FROM schema_version";
    database.run_sql(reads).unwrap();
}

#[test]
fn tables_that_tests_wrote_are_told_from_those_that_they_read() {
    let dir = folder();
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(["--exact", "coverage::writes_and_reads", "--ignored"]);
    // The server that the process may start outlives it, and would hold a pipe open.
    tests.stdout(Stdio::null()).stderr(Stdio::null());
    tests.env(pg_session::journal::FOLDER, dir.path().join("journals"));
    assert!(tests.status().unwrap().success());
    let args = ["report", "--execution", "journals", "--format", "json", "--out", "out"];
    let document = coverage(dir.path(), &args).exits(1).json();
    let notes: Vec<&str> =
        document["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let unwritten = notes.iter().find_map(|note| note.strip_prefix("Tables that no test wrote: "));
    let unwritten: Vec<&str> = unwritten.unwrap().split(", ").collect();
    // The migrations have written their version before the test had the database.
    assert!(unwritten.contains(&"signal_indicators") && unwritten.contains(&"schema_version"));
    assert!(!unwritten.contains(&"signal_greeks"), "{unwritten:?}");
    let page = fs::read_to_string(dir.path().join("out/coverage.md")).unwrap();
    let row = page.lines().find(|line| line.starts_with("| `signal_greeks` | `cli-")).unwrap();
    assert!(row.ends_with(" | 2 | 0 | 0 | `coverage::writes_and_reads` |"), "{row}");
    assert!(page.contains("\n- `signal_indicators`\n"), "{page}");
}

#[test]
fn journals_that_are_missing_or_damaged_are_errors() {
    let dir = folder();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::create_dir(dir.path().join("bad")).unwrap();
    fs::write(dir.path().join("bad/b.jsonl"), "{\"format\":2").unwrap();
    for (journals, words) in [("none", "none"), ("empty", "found none"), ("bad", "line 1")] {
        let refused = coverage(dir.path(), &["report", "--execution", journals]).exits(2);
        refused.says_in_one_line(&["the report cannot be read", words]);
    }
    coverage(dir.path(), &["report"]).exits(2);
}
