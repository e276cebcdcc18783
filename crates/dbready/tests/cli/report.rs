//! `dbready report`: stored runs, and files that are none.

use std::fs;
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, dbready, entries, migrated, program, run};

/// A stored run as text.
fn stored() -> &'static str {
    static STORED: OnceLock<String> = OnceLock::new();
    STORED.get_or_init(|| {
        let database = migrated();
        dbready(&["check", "--format", "json", "--url", database.url()]).exits(1).stdout
    })
}

/// Renders this text as if it were a stored run, with `--out`; gives what was written, too.
fn render(text: &[u8], format: &str) -> (Ran, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let (file, out) = (folder.path().join("run.json"), folder.path().join("out"));
    fs::write(&file, text).unwrap();
    let mut command = program();
    command.args(["report", "--format", format]).arg(&file).arg("--out").arg(&out);
    let ran = run(&mut command);
    let written = if out.exists() { entries(&out) } else { Vec::new() };
    (ran, written)
}

#[track_caller]
fn refused(text: &[u8], parts: &[&str]) {
    let (ran, written) = render(text, "terminal");
    ran.exits(2).says_in_one_line(&["run.json: "]).says(parts);
    assert_eq!(written, [""; 0]);
}

#[test]
fn a_stored_run_is_verified_and_a_changed_one_is_not() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("run.json");
    let verify = || run(program().args(["report", "verify"]).arg(&file));
    fs::write(&file, stored()).unwrap();
    assert!(verify().exits(0).stdout.contains("as it was written on"));
    fs::write(&file, stored().replacen("\"severity\": \"critical\"", "\"severity\": \"minor\"", 1))
        .unwrap();
    let ran = verify().exits(1);
    assert!(ran.stdout.contains("the seal of `"), "{}", ran.stdout);
    fs::write(&file, "{}").unwrap();
    verify().exits(2).says_in_one_line(&["run.json: this is no certificate"]);
}

#[test]
fn the_summary_of_a_github_step_is_added_to_its_file() {
    let folder = TempDir::new().unwrap();
    let (file, summary) = (folder.path().join("run.json"), folder.path().join("summary.md"));
    fs::write(&file, stored()).unwrap();
    fs::write(&summary, "before\n").unwrap();
    let report = || {
        let mut command = program();
        command.args(["report", "--format", "github"]).arg(&file);
        run(command.env("GITHUB_STEP_SUMMARY", &summary)).exits(1)
    };
    assert!(report().stdout.contains("::notice title=NOT CERTIFIED"));
    let text = fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n# "), "{text}");
    assert!(text.contains("## The run"), "{text}");
    fs::write(&summary, vec![b'\n'; 1024 * 1024 - 200]).unwrap();
    report();
    let text = fs::read_to_string(&summary).unwrap();
    assert!(text.len() < 1024 * 1024 && text.ends_with("see the certificate.\n"));
}

#[test]
fn a_stored_run_is_rendered_in_every_format() {
    let starts = [
        ("terminal", "NOT CERTIFIED"),
        ("markdown", "# "),
        ("json", "{"),
        ("html", "<!DOCTYPE html>"),
        ("junit", "<?xml"),
        ("sarif", "{"),
        ("csv", "id,area,"),
        ("github", "::"),
    ];
    for (format, start) in starts {
        let (ran, written) = render(stored().as_bytes(), format);
        let ran = ran.exits(1);
        assert!(ran.stdout.starts_with(start), "{format}: {ran:#?}");
        assert_eq!(ran.stderr, "", "{format}");
        assert_eq!(written.len(), 4, "{written:?}");
    }
    let (ran, _) = render(stored().as_bytes(), "json");
    assert_eq!(ran.stdout, stored(), "the document comes back as it was");
}

#[test]
fn a_run_can_come_from_standard_input() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("run.json");
    fs::write(&file, stored()).unwrap();
    let mut command = program();
    command.args(["report", "-", "--format", "markdown"]);
    command.stdin(Stdio::from(fs::File::open(&file).unwrap()));
    run(&mut command).exits(1).prints(&["# "]);
}

#[test]
fn a_file_that_is_no_certificate_is_refused() {
    refused(b"", &["no certificate"]);
    refused(b"nonsense", &["no certificate"]);
    refused(b"{}", &["no certificate"]);
    refused(b"[1, 2]", &["no certificate"]);
    refused(b"\xff\xfe\x00", &["UTF-8"]);
    refused(br#"{"format": "other", "format_version": 1}"#, &["dbready-certificate", "other"]);
    let deep = "[".repeat(100_000);
    refused(deep.as_bytes(), &["no certificate"]);
}

#[test]
fn a_truncated_certificate_is_refused() {
    for share in [1, 5, 9] {
        refused(&stored().as_bytes()[..stored().len() * share / 10], &["no certificate"]);
    }
}

#[test]
fn an_oversized_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("run.json");
    // Sparse: it takes no room on the disk.
    fs::File::create(&file).unwrap().set_len(10 << 30).unwrap();
    let out = folder.path().join("out");
    let ran = dbready(&["report", file.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    ran.exits(2).says_in_one_line(&["run.json: ", "at most"]);
    assert!(!out.exists());
}

#[test]
fn a_certificate_that_departs_from_the_format_is_refused() {
    let change = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(stored()).unwrap();
        change(&mut value);
        value.to_string()
    };
    let extra = change(&|value| value["surprise"] = json!(1));
    refused(extra.as_bytes(), &["damaged", "surprise"]);
    let lacking = change(&|value| drop(value.as_object_mut().unwrap().remove("claims")));
    refused(lacking.as_bytes(), &["damaged", "claims"]);
    let twice = change(&|value| {
        let first = value["claims"][0].clone();
        value["claims"].as_array_mut().unwrap().push(first);
    });
    refused(twice.as_bytes(), &["damaged", "stands twice"]);
    let newer = change(&|value| value["format_version"] = json!(99));
    refused(newer.as_bytes(), &["format version 99"]);
}

/// A well-formed document is judged again: what it claims about itself counts for nothing.
#[test]
fn a_verdict_that_was_tampered_with_is_told_and_not_believed() {
    let mut value: Value = serde_json::from_str(stored()).unwrap();
    value["verdict"] = json!("certified");
    value["score"] = json!(100.0);
    for claim in value["claims"].as_array_mut().unwrap() {
        claim["status"] = json!("proven");
    }
    let (ran, _) = render(value.to_string().as_bytes(), "json");
    let again = ran.exits(1).json();
    assert_eq!(again["verdict"], "not_certified");
    let original: Value = serde_json::from_str(stored()).unwrap();
    assert_eq!(again["counts"], original["counts"]);
    let problems = again["problems"].to_string();
    assert!(problems.contains("another verdict") && problems.contains("score"), "{problems}");
}

#[test]
fn a_file_that_is_not_there_or_is_a_folder_is_told() {
    dbready(&["report", "/nonexistent/run.json"])
        .exits(2)
        .says_in_one_line(&["/nonexistent/run.json", "No such file"]);
    dbready(&["report", "/tmp"]).exits(2).says_in_one_line(&["/tmp", "found a folder"]);
}
