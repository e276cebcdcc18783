//! Drills as a whole: their names, and on request their sabotages.
#![allow(clippy::unwrap_used)]

mod history;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pg_local::Runtime;

use super::{Drill, all, cases, prove};
use crate::contract::source;

/// The arguments with which this test program acts as a client.
const CLIENT: &[&str] = &["--ignored", "--exact", "--nocapture", "drill::tests::acts_as_a_client"];

/// No test, but what drills start as a client of their own.
#[tokio::test]
#[ignore = "reads orders from its standard input"]
async fn acts_as_a_client() {
    super::serve().await.unwrap();
}

/// Runs the sabotages of one family.
async fn all_are_noticed(family: &[Drill]) {
    let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
    let contract = source::load(None).unwrap();
    let score = prove(&runtime, &contract, family, CLIENT, &|_| ()).await.unwrap();
    let missed: Vec<_> = score.trials.iter().filter(|trial| trial.fate == "survived").collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

macro_rules! families {
    ($($family:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "minutes on servers of its own, on a machine that does nothing else"]
        async fn $family() {
            all_are_noticed(cases::$family::DRILLS).await;
        }
    )*};
}

families! {
    outcome transactions isolation timeouts values schema ingest store security pool network clients crash disk
    replication
}

#[test]
fn names_are_unique_and_every_drill_has_its_claim_and_page() {
    let drills = all();
    let names: BTreeSet<&str> = drills.iter().map(|drill| drill.name).collect();
    assert_eq!(names.len(), drills.len());
    let contract = source::load(None).unwrap();
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/drills");
    for name in &names {
        assert!(contract.model.drills.iter().any(|one| one.name == *name), "{name}: no claim");
        let page = fs::read_to_string(pages.join(format!("{name}.md"))).unwrap_or_default();
        assert!(page.starts_with(&format!("# {name}\n")), "docs/drills/{name}.md: no such page");
    }
}
