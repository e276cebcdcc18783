//! `dbready certify` from beginning to end. One run only, since it takes long.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::check::{assert_adds_up, ids};
use crate::processes::processes_of;
use crate::report::keys as keys_in;
use crate::support::{dbready, entries, open_folder, program_in, run};

#[test]
fn certify_tells_the_truth_about_a_server_of_its_own() {
    let folder = open_folder();
    let out = folder.path().join("report");
    let mut command = program_in(folder.path());
    let keys = TempDir::new().unwrap();
    let (secret, public) = keys_in(keys.path(), "ours");
    command.args(["certify", "--profile", "quick", "--sign-key", &secret, "--out"]).arg(&out);
    let ran = run(&mut command).exits(1);
    // Off a terminal: what was done, in plain lines, on standard error; the report on standard output.
    let ran = ran.says(&["started PostgreSQL", "applied 1.0.0", "filling it with data"]);
    assert!(ran.stdout.starts_with("NOT CERTIFIED"), "{ran:#?}");
    let files = ["certificate.html", "certificate.json", "certificate.md", "junit.xml"];
    let artifacts =
        ["database_performance_results.json", "queries_timeline.svg", "response_times.hlog"];
    let written = entries(&out);
    for file in files.iter().chain(&artifacts) {
        assert!(written.iter().any(|name| name == file), "no {file} in {written:?}");
    }
    let ran = ran.prints(&files).says(&["  Schema integrity "]);
    // Its page draws what the load test wrote beside it.
    let page = fs::read_to_string(out.join("certificate.html")).unwrap();
    assert!(page.contains("Second by second: queries"), "no course in the page");

    let path = out.join("certificate.json");
    dbready(&["report", "verify", path.to_str().unwrap(), "--key", &public]).exits(0);
    let text = fs::read_to_string(path).unwrap();
    let certificate: Value = serde_json::from_str(&text).unwrap();
    assert_adds_up(&certificate);
    // How fast this machine is while other tests run is not the question here.
    let mut refuted = ids(&certificate, "refuted");
    refuted.retain(|id| !id.starts_with("load."));
    assert_eq!(refuted, [""; 0], "{ran:#?}");
    assert!(ids(&certificate, "proven").len() > 100);
    names_what_ran(&certificate);
    assert_eq!(certificate["verdict"], "not_certified");
    assert_eq!(certificate["profile"], "quick");
    assert_eq!(certificate["problems"], Value::Array(Vec::new()));
    let counts = &certificate["counts"];
    let sum = format!("{} claims expected", counts["expected"]);
    ran.prints(&[&sum]);

    assert_eq!(entries(folder.path()), ["report"], "nothing else is left");
    assert_eq!(processes_of(folder.path()), []);

    // The stored run says the same, without a server.
    let mut again = program_in(folder.path());
    again.args(["report", "--format", "json"]).arg(out.join("certificate.json"));
    assert_eq!(run(&mut again).exits(1).stdout.trim_end(), text.trim_end());
}

/// Whatever was observed names the statements that were run for it, and their texts are there.
fn names_what_ran(certificate: &Value) {
    for claim in certificate["claims"].as_array().unwrap() {
        for evidence in claim["evidence"].as_array().unwrap() {
            let names = evidence["statements"].as_array().unwrap();
            let observed = evidence["outcome"]["kind"] != "not_measured";
            assert!(!observed || !names.is_empty(), "no statement: {claim:#}");
            for name in names {
                let text = certificate["statements"][name.as_str().unwrap()].as_str();
                assert!(text.is_some_and(|text| !text.trim().is_empty()), "{name}");
            }
        }
    }
}
