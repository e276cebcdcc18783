//! Checks: what a read-only look at a live database can prove or refute.
//!
//! A check is a plain function of contract and observation, without I/O and without a clock. It plans
//! its claims from the contract alone and then brings evidence for each of them; a thing that could
//! not be looked at is evidence too, with the reason.

mod columns;
mod constraints;
mod continuous_aggregates;
mod data;
pub(crate) mod ddl;
mod drift;
#[cfg(test)]
mod fixture;
mod hypertables;
mod indexes;
mod migrations;
mod policies;
mod queries;
mod reconcile;
mod roles;
mod row_security;
mod server;
mod stage;
mod tables;
mod values;

use crate::catalog::{Observation, SNAPSHOT};
use crate::claim::Claim;
use crate::contract::Contract;
use crate::evidence::{Evidence, Finding, Outcome};

pub use stage::Stage;

/// One check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name, the file it lives in and its page under `docs/checks`.
    pub id: &'static str,
    /// What it looks at, in one line.
    pub summary: &'static str,
    /// Whether it looks at rows or runs queries; what the catalog alone settles is cheap enough to be
    /// looked at all the time.
    pub needs_rows: bool,
    /// The claims that it settles, from the contract alone.
    pub plan: fn(&Contract) -> Vec<Claim>,
    /// Evidence for each of these claims.
    pub examine: fn(&Contract, &Observation) -> Vec<Evidence>,
}

/// Every check, in the order in which a report lists them.
pub const ALL: &[Check] = &[
    server::CHECK,
    migrations::CHECK,
    tables::CHECK,
    columns::CHECK,
    constraints::CHECK,
    indexes::CHECK,
    hypertables::CHECK,
    policies::CHECK,
    continuous_aggregates::CHECK,
    row_security::CHECK,
    roles::CHECK,
    drift::CHECK,
    queries::CHECK,
    reconcile::CHECK,
    data::CHECK,
    values::CHECK,
];

/// The claims of every check.
#[must_use]
pub fn plan(contract: &Contract) -> Vec<Claim> {
    ALL.iter().flat_map(|check| (check.plan)(contract)).collect()
}

/// The evidence of every check.
#[must_use]
pub fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    ALL.iter().flat_map(|check| (check.examine)(contract, observation)).collect()
}

/// Area of the claims about the schema.
const SCHEMA: &str = "schema_integrity";

/// The claims of the checks that the catalog alone settles.
#[must_use]
pub fn plan_of_catalog(contract: &Contract) -> Vec<Claim> {
    of_catalog().flat_map(|check| (check.plan)(contract)).collect()
}

/// Their evidence; see [`crate::catalog::observe_catalog`].
#[must_use]
pub fn examine_catalog(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    of_catalog().flat_map(|check| (check.examine)(contract, observation)).collect()
}

fn of_catalog() -> impl Iterator<Item = &'static Check> {
    ALL.iter().filter(|check| !check.needs_rows)
}

/// Evidence from a look, or from the reason why there was none.
fn evidence(claim: String, method: &str, look: Result<Outcome, String>) -> Evidence {
    Evidence::new(claim, method, look.unwrap_or_else(|reason| Outcome::NotMeasured { reason }))
}

/// Evidence from a look at the catalog snapshot.
fn of_snapshot(claim: String, look: Result<Outcome, String>) -> Evidence {
    evidence(claim, "catalog snapshot", look).by([SNAPSHOT])
}

/// The outcome of comparing `n` things.
fn compared(n: usize, found: impl Into<String>, findings: Vec<Finding>) -> Outcome {
    let n = u64::try_from(n).unwrap_or(u64::MAX);
    Outcome::Compared { n, found: found.into(), findings }
}

/// Whether two printed expressions are one: `x IN ('a', 'b')` on a column of type varchar is printed
/// with one cast around its list, and with one on each element once that text has been run again, as
/// `pg_dump` and every restore do.
fn same_expression(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let lists = text.replace("::character varying::text", "::character varying");
        lists.replace("]::text[]", "]")
    };
    one == other || plain(one) == plain(other)
}

/// One difference that a statement mends.
fn finding(
    object: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding {
        object: object.into(),
        expected: expected.into(),
        found: found.into(),
        remedy: Some(remedy.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use fixture::{contract, observation, refuted, unproven};

    #[test]
    fn a_database_that_keeps_its_contract_proves_every_claim() {
        assert_eq!(refuted(|_| ()), [""; 0]);
        assert_eq!(unproven(|_| ()), [""; 0]);
    }

    #[test]
    fn each_claim_is_planned_once_and_gets_evidence_once() {
        let planned: Vec<String> = plan(&contract()).into_iter().map(|claim| claim.id).collect();
        let settled: Vec<String> = examine(&contract(), &observation())
            .into_iter()
            .map(|evidence| evidence.claim)
            .collect();
        assert_eq!(planned, settled);
        let unique: BTreeSet<&String> = planned.iter().collect();
        assert_eq!(unique.len(), planned.len());
    }

    #[test]
    fn a_list_is_the_same_before_and_after_a_restore() {
        let first = "CHECK (level::text = ANY (ARRAY['A'::character varying, \
                     'B'::character varying]::text[]))";
        let restored = "CHECK (level::text = ANY (ARRAY['A'::character varying::text, \
                        'B'::character varying::text]))";
        assert!(same_expression(first, restored));
        assert!(!same_expression(first, &restored.replace("'B'", "'C'")));
    }

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_page() {
        let names: BTreeSet<&str> = ALL.iter().map(|check| check.id).collect();
        assert_eq!(names.len(), ALL.len());
        for name in names {
            let page = format!("{}/../../docs/checks/{name}.md", env!("CARGO_MANIFEST_DIR"));
            assert!(std::path::Path::new(&page).is_file(), "{page} is missing");
        }
    }
}
