//! `dbready report`: stored runs, and files that are none.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, dbready, entries, migrated, program, run};

/// A stored run as text.
pub(crate) fn stored() -> &'static str {
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
fn a_statement_names_commit_and_binary() {
    let folder = TempDir::new().unwrap();
    let (file, app) = (folder.path().join("run.json"), folder.path().join("app"));
    fs::write(&file, stored()).unwrap();
    fs::write(&app, "abc").unwrap();
    let report = |more: &[&str]| {
        let mut command = program();
        run(command.arg("report").arg(&file).arg("--artifact").arg(&app).args(more))
    };
    let commit = "d20ace7968ba43c0219f62d71334c1095bab1602";
    let statement = report(&["--format", "in-toto", "--commit", commit]).exits(1).json();
    assert_eq!(statement["subject"][1]["digest"]["gitCommit"], commit);
    // FIPS 180-2, appendix B.1.
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(statement["subject"][2], json!({ "name": "app", "digest": { "sha256": digest } }));
    report(&["--format", "html"]).exits(2).says_in_one_line(&["belong to `--format in-toto`"]);
    report(&["--commit", "d20ace7"]).exits(2).says(&["40 or 64 hexadecimal digits"]);
    fs::remove_file(&app).unwrap();
    report(&["--format", "in-toto"]).exits(2).says_in_one_line(&["app: cannot be read"]);
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

/// The stored run in a folder.
fn kept(folder: &Path) -> String {
    let path = folder.join("certificate.json");
    fs::write(&path, stored()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The files of a new pair of keys: secret, public.
pub(crate) fn keys(folder: &Path, name: &str) -> (String, String) {
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let secret = folder.join(format!("{name}.key"));
    let public = folder.join(format!("{name}.pub"));
    fs::write(&secret, pair.sk.to_box(None).unwrap().into_string()).unwrap();
    fs::write(&public, pair.pk.to_box().unwrap().into_string()).unwrap();
    (secret.to_str().unwrap().to_owned(), public.to_str().unwrap().to_owned())
}

#[test]
fn a_signed_run_is_verified_and_each_departure_is_told() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let file = kept(folder);
    let (secret, public) = keys(folder, "ours");
    let (_, other) = keys(folder, "other");
    let verify = |key: &str| dbready(&["report", "verify", &file, "--key", key]);
    verify(&public).exits(1).prints(&["not to be relied on", "it is not signed"]);
    dbready(&["report", "sign", &file, "--sign-key", &secret]).exits(0).prints(&["signed"]);
    let ran = verify(&public);
    ran.exits(0).prints(&["as it was written", "signed by the key", "dbready certificate sealed"]);
    verify(&other).exits(1).prints(&["was made with the key"]);
    verify(&file).exits(2).says_in_one_line(&["expected a public key"]);
    // The same certificate, sealed again by somebody else.
    let text = fs::read_to_string(&file).unwrap();
    let mut changed = dbready::report::Certificate::from_json(&text).unwrap();
    changed.notes.push("somebody was here".to_owned());
    fs::write(&file, changed.suppress(Vec::new()).to_json()).unwrap();
    dbready(&["report", "verify", &file]).exits(0);
    verify(&public).exits(1).prints(&["was changed"]);
}

#[test]
fn what_is_in_doubt_is_not_signed_and_a_secret_key_is_not_printed() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let file = kept(folder);
    let (secret, _) = keys(folder, "ours");
    let whole = fs::read_to_string(&secret).unwrap();
    let word = whole.lines().nth(1).unwrap();
    fs::write(&secret, &whole[..whole.len() - 40]).unwrap();
    let ran = dbready(&["report", "sign", &file, "--sign-key", &secret]).exits(2);
    let ran = ran.says_in_one_line(&["expected a secret key", "DBREADY_SIGN_PASSWORD"]);
    assert!(!ran.stderr.contains(&word[..20]), "{ran:#?}");
    fs::write(&secret, &whole).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"score\":", "\"score\" :", 1)).unwrap();
    dbready(&["report", "sign", &file, "--sign-key", &secret])
        .exits(1)
        .prints(&["not to be relied on", "not laid out"]);
    assert!(!Path::new(&format!("{file}.minisig")).exists());
}
