//! `dbready migrate`: exit codes and what is printed.

use std::fs;
use std::thread;
use std::time::Duration;

use pg_local::testing::TestDatabase;

use crate::contract::copy_of_contract;
use crate::interrupt::{Signal, interrupted, leftovers};
use crate::prove::example;
use crate::support::{Ran, dbready, open_folder, program_in, run};

fn migrate(database: &TestDatabase, action: &[&str]) -> Ran {
    dbready(&[&["migrate"], action, &["--url", database.url()]].concat())
}

#[test]
fn up_status_and_down_by_their_exit_codes() {
    let database = TestDatabase::with_timescaledb().unwrap();
    let pending = migrate(&database, &["status"]).exits(1);
    pending.prints(&[database.name(), "applied  none", "pending  1.0.0"]);
    let to = migrate(&database, &["up", "--to", "1.0.0"]).exits(0);
    assert_eq!(to.stdout, "applied 1.0.0\n");
    assert!(to.stderr.starts_with("applied 1.0.0 in "), "{to:#?}");
    let up = migrate(&database, &["up", "--format", "json"]).exits(0).json();
    assert!(up["applied"].as_array().is_some_and(|applied| !applied.is_empty()), "{up}");
    let again = migrate(&database, &["up"]).exits(0);
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("nothing to do\n", ""));
    migrate(&database, &["status"]).exits(0).prints(&["pending  none"]);
    let status = migrate(&database, &["status", "--format", "json"]).exits(0).json();
    assert_eq!(status["pending"].as_array().map(Vec::len), Some(0), "{status}");

    let asked = migrate(&database, &["down", "--to", "1.0.0"]).exits(2);
    asked.says_in_one_line(&["--yes", database.name(), "data would be lost"]);
    migrate(&database, &["status"]).exits(0);
    migrate(&database, &["down", "--to", "none", "--yes"]).exits(0).prints(&["rolled back "]);
    migrate(&database, &["status"]).exits(1).prints(&["applied  none"]);
}

#[test]
fn a_version_that_does_not_exist_is_refused() {
    let database = TestDatabase::with_timescaledb().unwrap();
    for action in [&["up", "--to", "9.9.9"][..], &["down", "--yes", "--to", "9.9.9"]] {
        migrate(&database, action).exits(2).says_in_one_line(&["9.9.9", "1.0.0"]);
    }
    migrate(&database, &["up", "--to", "x"]).exits(2).says(&["--to", "'x'"]);
    migrate(&database, &["down", "--yes", "--to", "x"]).exits(2).says(&["--to", "found x"]);
}

#[test]
fn a_file_changed_after_it_was_applied_is_refused() {
    let database = TestDatabase::with_timescaledb().unwrap();
    migrate(&database, &["up"]).exits(0);
    let contract = copy_of_contract();
    let file = contract.path().join("migrations/1.0.0_initial.up.sql");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n-- changed\n")).unwrap();
    let folder = contract.path().to_str().unwrap();
    let up = migrate(&database, &["up", "--contract", folder]).exits(2);
    up.says_in_one_line(&["refused: ", "1.0.0"]);
    migrate(&database, &["status", "--contract", folder]).exits(1).prints(&["problem", "1.0.0"]);
}

#[test]
fn a_script_that_fails_is_named_with_its_line() {
    let database = TestDatabase::with_timescaledb().unwrap();
    let contract = copy_of_contract();
    let file = contract.path().join("migrations/1.0.0_initial.up.sql");
    let text = std::fs::read_to_string(&file).unwrap();
    let line = text.lines().count() + 1;
    std::fs::write(&file, format!("{text}SELECT * FROM missing_table;\n")).unwrap();
    let folder = contract.path().to_str().unwrap();
    let place = format!("migrations/1.0.0_initial.up.sql:{line}: ");
    migrate(&database, &["up", "--contract", folder]).exits(2).says_in_one_line(&[
        &place,
        "missing_table",
        "rolled back",
    ]);
    migrate(&database, &["status"]).exits(1).prints(&["applied  none"]);
}

#[test]
fn two_runs_at_once_apply_everything_once() {
    let database = TestDatabase::with_timescaledb().unwrap();
    let both = thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| migrate(&database, &["up"]).exits(0).stdout));
        runs.map(|run| run.join().unwrap())
    });
    assert!(both.iter().any(|said| said == "nothing to do\n"), "{both:?}");
    assert!(both.iter().any(|said| said.starts_with("applied 1.0.0")), "{both:?}");
    migrate(&database, &["status"]).exits(0);
}

#[test]
fn verify_by_its_exit_codes_and_files() {
    let folder = open_folder();
    let contract = example(folder.path());
    let verify = |format: &str| {
        let mut command = program_in(folder.path());
        command.args(["migrate", "verify", "--format", format, "--out", "verified", "--contract"]);
        run(command.arg(&contract))
    };
    let report = verify("json").exits(0).json();
    assert_eq!((&report["verdict"], &report["findings"]), (&"sound".into(), &0.into()), "{report}");
    let written = fs::read_to_string(folder.path().join("verified/migrations.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), report);
    assert_eq!(leftovers(folder.path()), [""; 0]);

    let file = contract.join("migrations/1.1.0_note.up.sql");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("-- breaking: no", "-- breaking: yes")).unwrap();
    let judged = "1.1.0: declared breaking, not breaking by its effect";
    let found = verify("text").exits(1).prints(&[judged, "**breaking_flag**"]);
    let text = fs::read_to_string(folder.path().join("verified/migrations.md")).unwrap();
    assert_eq!(text, found.stdout);
}

#[test]
fn verify_interrupted_leaves_nothing() {
    let folder = open_folder();
    let contract = example(folder.path());
    let args = ["migrate", "verify", "--contract", contract.to_str().unwrap()];
    let line = "applying 1.0.0 to an empty database";
    interrupted(&folder, &args, line, Duration::ZERO, Signal::Interrupt);
    assert_eq!(leftovers(folder.path()), [""; 0]);
}
