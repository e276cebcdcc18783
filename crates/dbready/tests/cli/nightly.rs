//! `dbready nightly`: thirty nights, histories that are damaged, certificates that do not fit.

use std::fs;
use std::path::Path;

use dbready::claim::{Claim, Severity, Target};
use dbready::contract::{Contract, source};
use dbready::evidence::{Evidence, Finding, Outcome};
use dbready::report::{Certificate, ContractFacts, Inputs};
use dbready::score::{self, Scope};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, entries, program, run};

/// Evidence that proves a claim; figures sway a little from night to night.
fn proof(claim: &Claim, night: u32) -> Outcome {
    let sway = 1.0 + f64::from(night % 5) / 100.0;
    let measured = |value: f64, unit: &str| Outcome::Measured {
        n: 1_000,
        n_needed: 59,
        value,
        bound: value,
        unit: unit.to_owned(),
        statistics: Vec::new(),
    };
    match &claim.target {
        Target::NoDifference => {
            Outcome::Compared { n: 1, found: "as stated".to_owned(), findings: Vec::new() }
        }
        Target::NoneWrong { .. } => Outcome::Counted {
            trials: 1_000,
            population: Some(1_000),
            wrong: 0,
            findings: Vec::new(),
        },
        Target::AtMost { limit, unit, .. } => measured(limit / 2.0 * sway, unit),
        Target::AtLeast { limit, unit, .. } if unit == "%" => measured(limit.max(100.0), unit),
        Target::AtLeast { limit, unit, .. } => measured(limit * 2.0 / sway, unit),
    }
}

fn broken() -> Outcome {
    let finding = Finding {
        object: "public.signal_greeks.delta".to_owned(),
        expected: "numeric(10,6)".to_owned(),
        found: "real".to_owned(),
        remedy: Some("ALTER TABLE signal_greeks ALTER delta TYPE numeric(10,6)".to_owned()),
    };
    Outcome::Compared { n: 1, found: String::new(), findings: vec![finding] }
}

fn time(night: u32) -> String {
    format!("2026-09-{night:02}T03:00:00Z")
}

/// The certificate of a night, on which `change` has worked.
fn certificate(contract: &Contract, night: u32, change: &dyn Fn(&Claim, &mut Outcome)) -> String {
    let claims = dbready::run::plan(contract);
    let evidence = claims.iter().map(|claim| {
        let mut outcome = proof(claim, night);
        change(claim, &mut outcome);
        Evidence::new(claim.id.clone(), "simulated", outcome)
    });
    let evidence = evidence.collect();
    Certificate::assemble(Inputs {
        command: "certify".to_owned(),
        profile: None,
        scope: Scope::Whole,
        started_at: time(night),
        finished_at: time(night),
        contract: ContractFacts::from(contract),
        server: None,
        tool_digest: None,
        weights: score::weights(&contract.model.score),
        claims,
        evidence,
        statements: std::collections::BTreeMap::new(),
        timings: std::collections::BTreeMap::new(),
        notes: Vec::new(),
        problems: Vec::new(),
        suppressions: Vec::new(),
    })
    .to_json()
}

fn nightly(folder: &Path, night: u32, text: &str, args: &[&str]) -> Ran {
    fs::write(folder.join("run.json"), text).unwrap();
    let at = time(night);
    let fixed = ["nightly", "--history", "history", "--certificate", "run.json", "--at", &at];
    run(program().current_dir(folder).args(fixed).args(args))
}

fn summary(folder: &Path) -> Value {
    let text = fs::read_to_string(folder.join("dbready-nightly/nightly.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

const PLANTED: &str = "schema.signal_greeks.column.delta";

#[test]
fn of_thirty_nights_the_one_with_the_regression_names_it_first() {
    let folder = TempDir::new().unwrap();
    let contract = source::load(None).unwrap();
    let planted = dbready::run::plan(&contract).into_iter().find(|one| one.id == PLANTED).unwrap();
    assert_eq!(planted.severity, Severity::Critical);
    for night in 1..=30 {
        let change = |claim: &Claim, outcome: &mut Outcome| {
            // Lesser trouble on the same night, before and after it in the order of claims.
            let lesser = night == 20 && claim.severity == Severity::Minor;
            if (night == 20 && claim.id == PLANTED) || lesser {
                *outcome = broken();
            }
            if night == 20 && claim.id.starts_with("critical_path.") {
                *outcome = Outcome::NotMeasured { reason: "no test follows it".to_owned() };
            }
        };
        let text = certificate(&contract, night, &change);
        let ran = nightly(folder.path(), night, &text, &["--keep", "25"]);
        let told = summary(folder.path());
        if night == 20 {
            let ran = ran.exits(1);
            assert_eq!(told["worse"][0]["id"], PLANTED);
            let before = ran.stdout.find("Worse since 2026-09-19T03:00:00Z").unwrap();
            let named = ran.stdout.find(PLANTED).unwrap();
            assert!(before < named && named < ran.stdout.find("Score by area").unwrap());
            let remedies = told["recommendations"].to_string();
            assert!(remedies.contains("ALTER TABLE signal_greeks"), "{remedies}");
            let html =
                fs::read_to_string(folder.path().join("dbready-nightly/nightly.html")).unwrap();
            assert!(html.contains("<svg") && html.contains(PLANTED));
            let page = folder.path().join("dbready-nightly/certificate.html");
            assert!(fs::read_to_string(page).unwrap().contains("The score of 20 nights"));
        } else {
            ran.exits(0);
            assert_eq!(told["worse"], Value::Array(Vec::new()), "night {night}");
            assert_eq!(told["recommendations"], Value::Array(Vec::new()));
        }
        if night == 21 {
            let better = told["better"].to_string();
            assert!(better.contains(PLANTED), "{better}");
        }
        assert_eq!(told["trend"].as_array().unwrap().len(), night.min(26) as usize);
    }
    assert_eq!(entries(&folder.path().join("history")).len(), 25);
    for picture in ["score.svg", "coverage.svg", "latency.svg"] {
        assert!(folder.path().join("dbready-nightly").join(picture).is_file(), "{picture}");
    }
}

#[test]
fn a_figure_that_grows_slow_is_named_while_its_claim_still_holds() {
    let folder = TempDir::new().unwrap();
    let contract = source::load(None).unwrap();
    let slow = |claim: &Claim, outcome: &mut Outcome| {
        if claim.id == "figure.pool.acquire" || claim.id.ends_with("pool.acquire") {
            *outcome = match proof(claim, 0) {
                Outcome::Measured { n, n_needed, value, unit, statistics, .. } => {
                    let value = value * 1.6;
                    Outcome::Measured { n, n_needed, value, bound: value, unit, statistics }
                }
                other => other,
            };
        }
    };
    for night in 1..=3 {
        nightly(folder.path(), night, &certificate(&contract, night, &|_, _| {}), &[]).exits(0);
    }
    nightly(folder.path(), 4, &certificate(&contract, 4, &slow), &[]).exits(0);
    let worse = summary(folder.path())["worse"].clone();
    assert_eq!(worse.as_array().unwrap().len(), 1, "{worse}");
    assert!(worse[0]["id"].as_str().unwrap().ends_with("pool.acquire"), "{worse}");
}

#[test]
fn a_damaged_history_is_reported_kept_aside_and_survived() {
    let folder = TempDir::new().unwrap();
    let contract = source::load(None).unwrap();
    for night in 1..=2 {
        nightly(folder.path(), night, &certificate(&contract, night, &|_, _| {}), &[]).exits(0);
    }
    let history = folder.path().join("history");
    fs::write(history.join("2026-09-02T03-00-00Z.json"), "{\"format\":").unwrap();
    fs::write(history.join("other.json"), "{\"format\":\"dbready-night\",\"more\":1}").unwrap();
    let ran = nightly(folder.path(), 3, &certificate(&contract, 3, &|_, _| {}), &[]).exits(0);
    ran.prints(&["Amiss with the run or the history", "other.json", "Worse since 2026-09-01"]);
    let there = entries(&history);
    assert!(there.contains(&"other.json.corrupt".to_owned()), "{there:?}");
    assert!(there.contains(&"2026-09-02T03-00-00Z.json.corrupt".to_owned()), "{there:?}");
    let quiet = nightly(folder.path(), 4, &certificate(&contract, 4, &|_, _| {}), &[]).exits(0);
    assert!(!quiet.stdout.contains("Amiss"), "{quiet:?}");
}

#[test]
fn old_evidence_and_foreign_certificates_do_not_count() {
    let folder = TempDir::new().unwrap();
    let contract = source::load(None).unwrap();
    let text = certificate(&contract, 1, &|_, _| {});
    // Checks count for a day.
    let stale = nightly(folder.path(), 4, &text, &[]).exits(1);
    stale.prints(&["the evidence of check is too old"]);
    let foreign = text.replace(&contract.digest, &"0".repeat(64));
    nightly(folder.path(), 1, &foreign, &[]).exits(2).says(&["another contract"]);
    nightly(folder.path(), 1, "{}", &[]).exits(2);
    let args = ["nightly", "--history", "history", "--certificate", "none.json"];
    run(program().current_dir(folder.path()).args(args)).exits(2);
}
