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

/// The contract of the page with a role and a function that it may call.
fn with_roles() -> Contract {
    let mut files = shop::files();
    let mut change = |file: &str, from: &str, to: &str| {
        let text = files.get_mut(file).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        *text = text.replacen(from, to, 1);
    };
    let role = r#"
[known]
functions = ["price", "touch"]

[[role]]
name = "shop_clerk"
meaning = "takes orders"
since = "1.1.0"
usage = ["public"]
execute = ["price"]
table = [{ name = "customer_order", privileges = ["SELECT", "INSERT"] }]

[pool]
"#;
    change("contract.toml", "\n[pool]\n", role);
    let add = "ALTER TABLE customer_order ADD COLUMN note text;";
    let grant = format!(
        "{add}
        CREATE ROLE shop_clerk NOLOGIN;
        CREATE FUNCTION price() RETURNS integer LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION touch(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';
        REVOKE EXECUTE ON FUNCTION price(), touch(integer) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION price() TO shop_clerk;
        GRANT USAGE ON SCHEMA public TO shop_clerk;
        GRANT SELECT, INSERT ON customer_order TO shop_clerk;"
    );
    change("migrations/1.1.0_note.up.sql", add, &grant);
    parse(&files).unwrap()
}

#[test]
fn every_sabotage_is_noticed_by_the_right_claim_and_by_no_stranger() {
    let report = prove(&with_roles());
    let of_roles = report.by_claim.iter().filter(|one| one.claim.starts_with("role."));
    assert_eq!(of_roles.count(), 2, "{}", report.text());
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
