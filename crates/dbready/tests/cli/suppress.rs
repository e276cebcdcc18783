//! Baselines and suppressions of the program.

use std::fs;

use pg_local::testing::TestDatabase;
use tempfile::TempDir;

use crate::prove::example;
use crate::support::{Ran, dbready, migrated};

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

/// A database that keeps the example of the format's page, and waivers in that contract.
struct Waiving {
    folder: TempDir,
    database: TestDatabase,
    document: String,
}

impl Waiving {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let contract = example(folder.path());
        let document = fs::read_to_string(contract.join("contract.toml")).unwrap();
        let seed = fs::read_to_string(contract.join("seed.sql")).unwrap();
        let one = Self { folder, database: TestDatabase::empty().unwrap(), document };
        one.run("migrate", &["up"]).exits(0);
        one.sql(&format!("SET signal.seed_profile = 'quick'; {seed}; ANALYZE"));
        one
    }

    fn sql(&self, sql: &str) {
        self.database.run_sql(sql).unwrap();
    }

    fn run(&self, command: &str, more: &[&str]) -> Ran {
        let contract = self.folder.path().join("contract");
        let fixed = ["--contract", contract.to_str().unwrap(), "--url", self.database.url()];
        dbready(&[&[command], more, &fixed].concat())
    }

    fn waive(&self, claim: &str, expires: &str) {
        let waiver =
            format!("claim = \"{claim}\"\nreason = \"ticket 4711\"\nexpires = \"{expires}\"");
        let text = format!("{}\n[[waiver]]\n{waiver}\n", self.document);
        fs::write(self.folder.path().join("contract/contract.toml"), text).unwrap();
    }
}

#[test]
fn a_refuted_claim_that_the_contract_waives_passes_until_its_day() {
    let claim = "schema.customer_order.column.note";
    let one = Waiving::new();
    one.run("check", &[]).exits(0).prints(&["CERTIFIED"]);
    one.sql("ALTER TABLE customer_order ALTER COLUMN note TYPE varchar(40)");
    one.run("check", &[]).exits(1);

    one.waive(claim, "2999-12-31");
    let document = one.run("check", &["--format", "json", "--strict"]).exits(0).json();
    assert_eq!(document["accepted"], true);
    assert_eq!(document["verdict"], "not_certified");
    let claims = document["claims"].as_array().unwrap();
    assert_eq!(claims.iter().find(|one| one["id"] == claim).unwrap()["status"], "refuted");
    let given = &document["suppressions"][0];
    assert_eq!(
        (&given["state"], &given["suppression"]["source"], &given["suppression"]["reason"]),
        (&"active".into(), &"waiver".into(), &"ticket 4711".into())
    );
    let printed = ["NOT CERTIFIED", "accepted.", "SUPPRESSIONS", claim, "waiver until 2999-12-31"];
    one.run("check", &[]).exits(0).prints(&printed);
    // What the contract waives needs no entry in a baseline.
    let baseline = one.folder.path().join("baseline.toml");
    one.run("check", &["--write-baseline", baseline.to_str().unwrap()]).exits(0);
    assert!(!fs::read_to_string(&baseline).unwrap().contains(claim));

    one.waive(claim, "2020-01-01");
    let expired = ["PROBLEMS", "it expired on 2020-01-01", "expired, waiver until 2020-01-01"];
    one.run("check", &[]).exits(1).prints(&expired);
    // It fails by itself, too, when its claim has been mended.
    one.sql("ALTER TABLE customer_order ALTER COLUMN note TYPE text");
    one.run("check", &[]).exits(1).prints(&expired);
}

#[test]
fn a_waiver_of_no_claim_or_of_a_proven_one_is_named() {
    let one = Waiving::new();
    one.waive("schema.customer_order.column.nte", "2999-12-31");
    one.run("check", &[]).exits(0).prints(&["no such claim, waiver until 2999-12-31"]);
    one.waive("schema.customer_order.column.note", "2999-12-31");
    one.run("check", &[]).exits(0).prints(&["unused, waiver until 2999-12-31"]);
}
