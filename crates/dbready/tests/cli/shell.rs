//! Completions and manual pages.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{dbready, entries, open_folder};

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = dbready(&["completions", shell]).exits(0).stdout;
        for word in ["certify", "nightly", "verify", "allow-writes"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("drill-client"), "{shell} completes what is hidden");
    }
    dbready(&["completions", "cmd"]).exits(2);
}

#[test]
fn bash_takes_the_script_and_completes_by_it() {
    let script = dbready(&["completions", "bash"]).exits(0).stdout;
    let ask = "COMP_WORDS=(dbready mig) COMP_CWORD=1; _dbready dbready mig dbready; \
               echo \"${COMPREPLY[@]}\"\n";
    let mut bash = Command::new("bash");
    let mut bash = bash.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(format!("{script}\n{ask}").as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "migrate");
}

#[test]
fn every_command_has_a_page_for_man() {
    let folder = open_folder();
    let pages = folder.path().join("man1");
    dbready(&["man", "--out", pages.to_str().unwrap()]).exits(0);
    let names = entries(&pages);
    for page in ["dbready.1", "dbready-certify.1", "dbready-report-verify.1"] {
        assert!(names.iter().any(|name| name == page), "{page} in {names:?}");
    }
    let page = fs::read_to_string(pages.join("dbready-certify.1")).unwrap();
    assert!(page.starts_with(".ie") && page.contains(".SH OPTIONS"), "{page}");
    assert!(page.contains("\\-\\-drills"), "{page}");
}
