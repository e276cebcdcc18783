//! Detection power on the contract of the format's page: everything broken, everything noticed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod shop;

use std::future::Future;

use dbready::contract::{Contract, parse};
use dbready::prove::{Options, Report, run as sabotage};
use pg_local::{Cluster, Profile, Runtime};

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn prove(contract: &Contract) -> Report {
    let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
    let cluster = Cluster::temporary(&runtime, Profile::Fast).unwrap();
    run(sabotage(&cluster, contract, Options::default(), &|_| ())).unwrap()
}

#[test]
fn every_sabotage_is_noticed_by_the_right_claim_and_by_no_stranger() {
    let report = prove(&parse(&shop::files()).unwrap());
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

/// Nothing is proven by claims that do not hold, however much is noticed.
#[test]
fn a_claim_that_the_untouched_twin_refutes_is_named_and_nothing_is_proven() {
    let mut contract = parse(&shop::files()).unwrap();
    contract.model.queries.clear();
    contract.query_sql.clear();
    contract.model.tables.truncate(1);
    contract.model.tables[0].row_security = true;
    let claim = format!("schema.{}.row_security", contract.model.tables[0].name);
    let report = prove(&contract);
    assert!(!report.is_proven());
    assert!(report.untouched_refutations.iter().any(|one| one.claim == claim), "{}", report.text());
    assert_eq!(report.refuted_untouched, report.untouched_refutations.len());
    assert!(report.without_sabotage.iter().all(|one| one.claim != claim));
}
