//! Baselines and suppressions of the program.

use std::fs;

use tempfile::TempDir;

use crate::support::{dbready, migrated};

#[test]
fn a_baseline_lets_old_sins_pass_and_new_ones_fail() {
    let database = migrated();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("baseline.toml");
    let file = file.to_str().unwrap();
    let check = |more: &[&str]| dbready(&[&["check", "--url", database.url()], more].concat());
    database.run_sql("ALTER TABLE signal_greeks ALTER COLUMN rho TYPE numeric(12,6)").unwrap();
    check(&[]).exits(1);
    let ran = check(&["--write-baseline", file, "--format", "json"]).exits(0);
    let document = ran.json();
    assert_eq!(
        (&document["verdict"], &document["accepted"]),
        (&"not_certified".into(), &true.into())
    );
    let before = document["score"].clone();
    let ran = check(&["--baseline", file]).exits(0);
    ran.prints(&["NOT CERTIFIED", "accepted.", "SUPPRESSIONS", "rho"]);
    assert_eq!(check(&["--format", "json"]).exits(1).json()["score"], before);
    database.run_sql("ALTER TABLE signal_greeks ALTER COLUMN vega TYPE numeric(12,6)").unwrap();
    check(&["--baseline", file]).exits(1).prints(&["signal_greeks.column.vega"]);
    database.run_sql("ALTER TABLE signal_greeks ALTER COLUMN rho TYPE numeric(13,6)").unwrap();
    check(&["--baseline", file]).exits(1).prints(&["not covered"]);
    let bad = folder.path().join("bad.toml");
    fs::write(&bad, "suppressions = 1\nsurprise = 1\n").unwrap();
    check(&["--suppressions", bad.to_str().unwrap()]).exits(2).says(&["bad.toml:2", "surprise"]);
    check(&["--baseline", "/nonexistent.toml"]).exits(3).says(&["/nonexistent.toml"]);
    check(&["--baseline", file, "--write-baseline", file]).exits(2);
}
