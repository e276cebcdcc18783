//! Certificates of several producers as one night's certificate.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::contract::Contract;
use crate::evidence::{Evidence, Outcome, Statements};
use crate::report::{Certificate, ContractFacts, Inputs, counts_for};
use crate::run;
use crate::score::{self, Scope};
use crate::suppressions;

/// Why certificates cannot be merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// None was given.
    #[error("no certificate was given")]
    Nothing,
    /// A certificate is about another contract.
    #[error(
        "{name}: judged against another contract (digest {found}…, expected {expected}…); measure again"
    )]
    OtherContract {
        /// The certificate.
        name: String,
        /// The first digits of its contract's digest.
        found: String,
        /// The first digits of this contract's digest.
        expected: String,
    },
    /// The end of a run is no instant.
    #[error("{name}: the end of the run, `{found}`, is no time (RFC 3339)")]
    NoTime {
        /// The certificate.
        name: String,
        /// What stands there.
        found: String,
    },
}

/// Adds the statements of the certificate `of` to all. Gives the new names of those whose name stands
/// for another text already.
fn rename(statements: Statements, of: &str, all: &mut Statements) -> BTreeMap<String, String> {
    let mut renamed = BTreeMap::new();
    for (name, sql) in statements {
        let mut free = name.clone();
        while all.get(&free).is_some_and(|known| *known != sql) {
            free = format!("{free} in {of}");
        }
        if free != name {
            renamed.insert(name, free.clone());
        }
        all.insert(free, sql);
    }
    renamed
}

/// Judges the whole contract by the evidence of several certificates, given with their names, as of
/// `at`.
///
/// Evidence that is too old at that time does not count, nor does "not measured" of one run where
/// another has measured. Otherwise of several pieces the worst counts, as ever.
///
/// # Errors
///
/// [`MergeError`] when none is given, one is about another contract, or its time cannot be read.
pub fn merge(
    contract: &Contract,
    certificates: Vec<(String, Certificate)>,
    at: Timestamp,
) -> Result<Certificate, MergeError> {
    let first = certificates.first().map(|(_, one)| one.clone()).ok_or(MergeError::Nothing)?;
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    let mut by_claim: BTreeMap<String, Vec<Evidence>> = BTreeMap::new();
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    let mut statements = Statements::new();
    let (mut timings, mut server, mut started) = (BTreeMap::new(), None, first.started_at);
    for (name, certificate) in certificates {
        if certificate.contract.digest != contract.digest {
            return Err(MergeError::OtherContract {
                name,
                found: short(&certificate.contract.digest),
                expected: short(&contract.digest),
            });
        }
        let ended: Timestamp = certificate.finished_at.parse().map_err(|_| MergeError::NoTime {
            name: name.clone(),
            found: certificate.finished_at.chars().take(40).collect(),
        })?;
        let age = at.duration_since(ended);
        let mut stale = BTreeSet::new();
        let others = rename(certificate.statements, &name, &mut statements);
        for mut claim in certificate.claims {
            for named in claim.evidence.iter_mut().flat_map(|one| &mut one.statements) {
                if let Some(other) = others.get(named) {
                    other.clone_into(named);
                }
            }
            if claim.evidence.is_empty() {
                continue;
            }
            if age > counts_for(claim.producer) {
                stale.insert(format!("{:?}", claim.producer).to_lowercase());
            } else {
                by_claim.entry(claim.id).or_default().append(&mut claim.evidence);
            }
        }
        for producer in stale {
            problems
                .push(format!("{name}: the evidence of {producer} is too old and does not count"));
        }
        problems.extend(certificate.problems.iter().map(|problem| format!("{name}: {problem}")));
        notes.extend(certificate.notes);
        timings.extend(certificate.timings);
        server = server.or(certificate.server);
        started = started.min(certificate.started_at);
        notes.push(format!(
            "evidence of `{}`, which ended {}",
            certificate.command, certificate.finished_at
        ));
    }
    let measured = |one: &Evidence| !matches!(one.outcome, Outcome::NotMeasured { .. });
    let evidence = by_claim.into_values().flat_map(|mut pieces| {
        if pieces.iter().any(measured) {
            pieces.retain(measured);
        }
        pieces
    });
    Ok(Certificate::assemble(Inputs {
        command: "nightly".to_owned(),
        profile: None,
        scope: Scope::Whole,
        started_at: started,
        finished_at: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        contract: ContractFacts::from(contract),
        server,
        tool_digest: run::program_digest(),
        weights: score::weights(&contract.model.score),
        claims: run::plan(contract),
        evidence: evidence.collect(),
        statements,
        timings,
        notes,
        problems,
        suppressions: suppressions::of_contract(contract),
    }))
}
