//! Detection power on the contract of the format's page: everything broken, everything noticed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::future::Future;

use dbready::contract::{Contract, parse};
use dbready::prove::{self, Report};
use pg_local::{Cluster, Profile, Runtime};

/// The files of the example in `docs/CONTRACT_FORMAT.md`: each block is named in its first line.
fn example() -> BTreeMap<String, String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONTRACT_FORMAT.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut files = BTreeMap::new();
    for block in page.split("\n```").skip(1).step_by(2) {
        let (head, text) = block.split_once('\n').unwrap();
        if let Some((_, file)) = head.split_once(' ') {
            files.insert(file.to_owned(), format!("{text}\n"));
        }
    }
    files
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn proven(contract: &Contract) -> Report {
    let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
    let cluster = Cluster::temporary(&runtime, Profile::Fast).unwrap();
    run(prove::run(&cluster, contract, &|_| ())).unwrap()
}

#[test]
fn every_sabotage_is_noticed_by_the_right_claim_and_by_no_stranger() {
    let report = proven(&parse(&example()).unwrap());
    assert!(report.is_proven(), "{}", report.text());
    assert_eq!((report.missed, report.collateral), (0, 0));
    assert_eq!(report.noticed, report.sabotages);
    assert!(report.sabotages > 120, "{}", report.text());
    assert!(report.share_percent >= 100.0);
    // What the example has no rows or too few rows for, and nothing else.
    for left in &report.without_sabotage {
        assert!(left.reason.starts_with("unproven on the untouched twin: "), "{left:?}");
    }
    // Each family that has claims is broken.
    for family in &report.families {
        assert!(family.sabotages > 0, "{}: {}", family.check, report.text());
    }
}
