//! `dbready prove` from the command line, on the example of the contract format's page.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::interrupt::{Signal, interrupted, leftovers};
use crate::shop;
use crate::support::{dbready, open_folder, program_in, run};

/// Writes the files of the page's example into a folder.
pub(crate) fn example(folder: &Path) -> PathBuf {
    let directory = folder.join("contract");
    for (file, text) in shop::files() {
        let path = directory.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

#[test]
fn everything_is_noticed_and_the_counts_are_at_the_top() {
    let folder = open_folder();
    let contract = example(folder.path());
    let mut command = program_in(folder.path());
    command.args(["prove", "--format", "json", "--out", "detection", "--contract"]).arg(&contract);
    let ran = run(&mut command).exits(0).says(&["sabotaging", "sabotaging: 50 %"]);
    let report = ran.json();
    assert_eq!(report["verdict"], "proven");
    assert_eq!(report["noticed"], report["sabotages"]);
    assert_eq!((&report["missed"], &report["collateral"]), (&0.into(), &0.into()));
    assert!(report["claims_without_sabotage"].is_u64());
    let written = fs::read_to_string(folder.path().join("detection/prove.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), report);
    let text = fs::read_to_string(folder.path().join("detection/prove.md")).unwrap();
    assert!(text.starts_with("# Detection power of shop 1.1.0"), "{text}");
    assert_eq!(leftovers(folder.path()), [""; 0]);
}

#[test]
fn interrupted_it_leaves_nothing() {
    let folder = open_folder();
    let contract = example(folder.path());
    let args = ["prove", "--contract", contract.to_str().unwrap()];
    for line in ["making the twin", "sabotaging"] {
        interrupted(&folder, &args, line, Duration::from_millis(50), Signal::Interrupt);
        assert_eq!(leftovers(folder.path()), [""; 0], "{line}");
    }
}

#[test]
fn a_contract_that_is_none_is_refused() {
    dbready(&["prove", "--contract", "/nonexistent"])
        .exits(2)
        .says(&["expected a contract directory"]);
}
