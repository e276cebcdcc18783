//! Whole runs: from a contract and a server to a certificate.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio_postgres::Client;

use crate::claim::Claim;
use crate::contract::Contract;
use crate::evidence::{Evidence, ServerFacts};
use crate::report::{Certificate, ContractFacts, Inputs};
use crate::score::{self, Scope};
use crate::{Error, catalog, check, coverage, drill, load, nulls};

/// What a run gathered.
#[derive(Debug)]
pub struct Gathered {
    /// The server looked at.
    pub server: ServerFacts,
    /// Everything observed.
    pub evidence: Vec<Evidence>,
    /// Durations by name, in milliseconds.
    pub timings: BTreeMap<String, f64>,
}

/// Who asked for a run, and when it took place.
#[derive(Debug, Clone)]
pub struct Occasion {
    /// The command that was run.
    pub command: String,
    /// Its profile, if it has one.
    pub profile: Option<String>,
    /// When the run began (RFC 3339).
    pub started_at: String,
    /// When it ended.
    pub finished_at: String,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Every claim of a contract, whoever settles it.
#[must_use]
pub fn plan(contract: &Contract) -> Vec<Claim> {
    let mut claims = check::plan(contract);
    claims.extend(nulls::plan(contract));
    claims.extend(coverage::plan(contract));
    claims.extend(drill::plan(contract));
    claims.extend(load::plan(contract));
    claims
}

/// Runs the check producer on a live database; reads only.
///
/// # Errors
///
/// As [`catalog::observe`].
pub async fn check(
    client: &mut Client,
    contract: &Contract,
    options: &catalog::Options,
) -> Result<Gathered, Error> {
    let started = Instant::now();
    let observation = catalog::observe(client, contract, options).await?;
    let evidence = check::examine(contract, &observation);
    let timings = BTreeMap::from([
        ("check".to_owned(), started.elapsed().as_secs_f64() * 1_000.0),
        ("snapshot".to_owned(), observation.snapshot_time.as_secs_f64() * 1_000.0),
    ]);
    Ok(Gathered { server: observation.server, evidence, timings })
}

/// Judges what a run gathered for its plan of claims.
#[must_use]
pub fn certificate(
    contract: &Contract,
    claims: Vec<Claim>,
    scope: Scope,
    gathered: Gathered,
    occasion: Occasion,
) -> Certificate {
    Certificate::assemble(Inputs {
        command: occasion.command,
        profile: occasion.profile,
        scope,
        started_at: occasion.started_at,
        finished_at: occasion.finished_at,
        contract: ContractFacts::from(contract),
        server: Some((&gathered.server).into()),
        weights: score::weights(&contract.model.score),
        claims,
        evidence: gathered.evidence,
        timings: gathered.timings,
        notes: occasion.notes,
        problems: Vec::new(),
    })
}
