//! `dbready check` on a migrated database.

use std::fs;

use pg_local::testing::TestDatabase;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::{CANARY, dbready, entries, migrated, program, role, run, with_credentials};

/// Demands that the counts are those of the claims, and that no claim is open without a reason.
pub(crate) fn assert_adds_up(certificate: &Value) {
    let counts = |name: &str| certificate["counts"][name].as_u64().unwrap();
    let claims = certificate["claims"].as_array().unwrap();
    let of = |status: &str| claims.iter().filter(|claim| claim["status"] == status).count() as u64;
    assert_eq!(counts("expected"), claims.len() as u64);
    for status in ["proven", "refuted", "unproven"] {
        assert_eq!(counts(status), of(status), "{status}");
    }
    assert_eq!(counts("settled"), counts("proven") + counts("refuted"));
    assert_eq!(counts("expected"), counts("settled") + counts("unproven"));
    for claim in claims.iter().filter(|claim| claim["status"] == "unproven") {
        let reason = claim["reason"].as_str().unwrap();
        assert!(!reason.is_empty(), "{claim:#}");
    }
    let required = claims.iter().filter(|claim| claim["required"] == true).count() as u64;
    assert_eq!(counts("required"), required);
}

/// The ids of the claims of a status.
pub(crate) fn ids<'a>(certificate: &'a Value, status: &str) -> Vec<&'a str> {
    let claims = certificate["claims"].as_array().unwrap().iter();
    claims
        .filter(|claim| claim["status"] == status)
        .map(|one| one["id"].as_str().unwrap())
        .collect()
}

#[test]
fn one_json_document_and_nothing_else() {
    let database = migrated();
    let ran = dbready(&["check", "--format", "json", "--url", database.url()]).exits(1);
    assert_eq!(ran.stderr, "", "progress off a terminal");
    let certificate = ran.json();
    assert_adds_up(&certificate);
    assert_eq!(ids(&certificate, "refuted"), [""; 0]);
    assert!(ids(&certificate, "proven").len() > 100);
    assert_eq!(certificate["verdict"], "not_certified", "the Apache edition lacks policies");
    assert_eq!(certificate["server"]["database"], database.name());
    assert_eq!(certificate["command"], "check");
}

#[test]
fn the_terminal_report_starts_with_the_verdict_and_is_plain_off_a_terminal() {
    let database = migrated();
    let ran = dbready(&["check", "--url", database.url()]).exits(1);
    assert!(ran.stdout.starts_with("NOT CERTIFIED"), "{ran:#?}");
    assert!(!ran.stdout.contains('\u{1b}'), "colours off a terminal: {ran:#?}");
    assert_eq!(ran.stderr, "");
    let ran = ran.prints(&["0 refuted", "claims expected", database.name()]);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{ran:#?}");
    let colored = dbready(&["check", "--color", "always", "--url", database.url()]).exits(1);
    assert!(colored.stdout.contains("\u{1b}["), "{colored:#?}");
}

#[test]
fn progress_moves_on_a_terminal_only() {
    let database = migrated();
    let line = format!(
        "{} check --url {} --format json >document.json",
        env!("CARGO_BIN_EXE_dbready"),
        database.url()
    );
    let folder = TempDir::new().unwrap();
    let mut command = program_on_terminal(&line);
    let output = command.current_dir(folder.path()).output().unwrap();
    let screen = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{screen}");
    assert!(screen.contains("connecting") && screen.contains('\u{1b}'), "{screen:?}");
    assert!(!screen.contains("password") && !screen.contains("certificate"), "{screen:?}");
    let document = fs::read_to_string(folder.path().join("document.json")).unwrap();
    serde_json::from_str::<Value>(&document).unwrap();
}

/// A shell line with a terminal of its own as standard input, output and error.
fn program_on_terminal(line: &str) -> std::process::Command {
    let mut command = std::process::Command::new("script");
    command.args(["--quiet", "--return", "--command", line, "/dev/null"]);
    command.env("TERM", "xterm");
    command
}

#[test]
fn a_break_is_refuted_and_named_first() {
    let database = migrated();
    database.run_sql("DROP INDEX idx_signal_greeks_signal_id").unwrap();
    let ran = dbready(&["check", "--url", database.url()]).exits(1);
    let claim = "schema.signal_greeks.index.idx_signal_greeks_signal_id";
    let ran = ran.prints(&["REFUTED", claim, "CREATE INDEX"]);
    let at = |text: &str| ran.stdout.find(text).unwrap_or(usize::MAX);
    assert!(at("REFUTED") < at("UNPROVEN"), "{ran:#?}");
    let json = dbready(&["check", "--format", "json", "--url", database.url()]).exits(1).json();
    assert_adds_up(&json);
    assert!(ids(&json, "refuted").contains(&claim), "{:?}", ids(&json, "refuted"));
}

#[test]
fn a_check_changes_nothing() {
    let database = migrated();
    let size = "SELECT pg_current_wal_lsn(), (SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) \
                FROM pg_stat_user_tables)";
    // The server's own statistics of this database; the log is shared with other tests.
    let written = || database.run_sql(size).unwrap().split('|').nth(1).unwrap().to_owned();
    let before = written();
    dbready(&["check", "--url", database.url()]).exits(1);
    assert_eq!(written(), before);
    // And it works where nothing may be written.
    let readonly = "ALTER DATABASE CURRENT_NAME SET default_transaction_read_only = on";
    database.run_sql(&readonly.replace("CURRENT_NAME", database.name())).unwrap();
    let json = dbready(&["check", "--format", "json", "--url", database.url()]).exits(1).json();
    assert_eq!(ids(&json, "refuted"), [""; 0]);
}

#[test]
fn the_reports_of_a_check_hold_no_password() {
    let database = migrated();
    let role = role(&database, "reporter");
    database.run_sql(&format!("GRANT pg_read_all_data TO {role}")).unwrap();
    let url = with_credentials(database.url(), &format!("{role}:{CANARY}"));
    let out = TempDir::new().unwrap();
    let folder = out.path().join("new/report");
    let mut command = program();
    command.args(["check", "-vvv", "--out"]).arg(&folder).env("DATABASE_URL", &url);
    run(&mut command).exits(1).prints(&["certificate.html"]);
    let names = ["certificate.html", "certificate.json", "certificate.md", "junit.xml"];
    assert_eq!(entries(&folder), names);
    for name in names {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        assert!(!text.contains(CANARY), "{name}");
        assert!(text.contains("schema.signal_greeks"), "{name}");
    }
    for format in ["terminal", "markdown", "json", "html", "junit"] {
        let ran = dbready(&["check", "--format", format, "--url", &url]).exits(1);
        assert!(ran.stdout.len() > 500, "{format}: {ran:#?}");
    }
}

#[test]
fn the_certificate_names_the_schema_and_the_program_by_their_digests() {
    let (one, other) = (migrated(), migrated());
    let look = |database: &TestDatabase| {
        let check = dbready(&["check", "--format", "json", "--url", database.url()]);
        let certificate = check.json();
        let digest = |value: &Value| value.as_str().unwrap().to_owned();
        (digest(&certificate["server"]["schema_digest"]), digest(&certificate["tool_digest"]))
    };
    let (schema, program) = look(&one);
    assert_eq!(schema, look(&other).0, "one structure, one digest");
    other.run_sql("ALTER TABLE signal_greeks ALTER COLUMN delta SET DEFAULT 0").unwrap();
    assert_ne!(schema, look(&other).0);
    let bytes = fs::read(env!("CARGO_BIN_EXE_dbready")).unwrap();
    let expected: Vec<String> = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(program, expected.concat());
}
