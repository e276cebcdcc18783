//! Whole runs: from a contract and a server to a certificate.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;
use std::time::Instant;

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use crate::claim::Claim;
use crate::contract::{Contract, hexadecimal};
use crate::evidence::{Evidence, ServerFacts, Statements};
use crate::report::{Certificate, ContractFacts, Inputs, ServerReport};
use crate::score::{self, Scope};
use crate::{Error, catalog, check, coverage, drill, load, nulls, suppressions};

/// What a run gathered.
#[derive(Debug)]
pub struct Gathered {
    /// The server looked at.
    pub server: ServerFacts,
    /// SHA-256 over what the catalog said, when it was looked at.
    pub schema_digest: Option<String>,
    /// Everything observed.
    pub evidence: Vec<Evidence>,
    /// The statements of the program that its evidence names; those of the contract need not be here.
    pub statements: Statements,
    /// Durations by name, in milliseconds.
    pub timings: BTreeMap<String, f64>,
}

/// What one producer brings to a run.
#[derive(Debug, Default)]
pub struct Part {
    evidence: Vec<Evidence>,
    statements: Statements,
    timings: BTreeMap<String, f64>,
}

impl From<&load::Found> for Part {
    fn from(found: &load::Found) -> Self {
        let (evidence, statements) = (found.evidence.clone(), found.statements.clone());
        Self { evidence, statements, timings: BTreeMap::new() }
    }
}

impl From<&drill::Gathered> for Part {
    fn from(found: &drill::Gathered) -> Self {
        let (evidence, statements) = (found.evidence.clone(), found.statements.clone());
        let records = found.records.iter().map(|(record, _)| record);
        let timings = records.map(|one| (format!("drill.{}", one.drill), one.seconds * 1_000.0));
        Self { evidence, statements, timings: timings.collect() }
    }
}

impl Gathered {
    /// What one producer found on a server whose catalog was not looked at.
    #[must_use]
    pub fn of(server: ServerFacts, part: impl Into<Part>) -> Self {
        let Part { evidence, statements, timings } = part.into();
        Self { server, schema_digest: None, evidence, statements, timings }
    }

    /// Adds what another producer found.
    pub fn add(&mut self, part: impl Into<Part>) {
        let Part { evidence, statements, timings } = part.into();
        self.evidence.extend(evidence);
        self.statements.extend(statements);
        self.timings.extend(timings);
    }
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
    let schema_digest = Some(observation.snapshot.digest());
    let statements = observation.statements;
    Ok(Gathered { server: observation.server, schema_digest, evidence, statements, timings })
}

/// Runs the checks that the catalog alone settles: cheap enough to be run all the time.
///
/// # Errors
///
/// As [`catalog::observe_catalog`].
pub async fn check_catalog(
    client: &mut Client,
    contract: &Contract,
    options: &catalog::Options,
) -> Result<Gathered, Error> {
    let observation = catalog::observe_catalog(client, contract, options).await?;
    let evidence = check::examine_catalog(contract, &observation);
    let snapshot = observation.snapshot_time.as_secs_f64() * 1_000.0;
    let timings = BTreeMap::from([("snapshot".to_owned(), snapshot)]);
    let schema_digest = Some(observation.snapshot.digest());
    let statements = observation.statements;
    Ok(Gathered { server: observation.server, schema_digest, evidence, statements, timings })
}

/// SHA-256 of this program's own file, in hexadecimal; `None` where it cannot be read.
#[must_use]
pub fn program_digest() -> Option<String> {
    static DIGEST: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let mut file = File::open(std::env::current_exe().ok()?).ok()?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer).ok()? {
                0 => return Some(hexadecimal(&digest.finalize())),
                n => digest.update(&buffer[..n]),
            }
        }
    };
    DIGEST.get_or_init(read).clone()
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
    let of_contract = contract.statements().map(|(file, sql)| (file.to_owned(), sql.to_owned()));
    let mut statements = gathered.statements;
    statements.extend(of_contract);
    Certificate::assemble(Inputs {
        command: occasion.command,
        profile: occasion.profile,
        scope,
        started_at: occasion.started_at,
        finished_at: occasion.finished_at,
        contract: ContractFacts::from(contract),
        server: Some(ServerReport {
            schema_digest: gathered.schema_digest,
            ..(&gathered.server).into()
        }),
        tool_digest: program_digest(),
        weights: score::weights(&contract.model.score),
        claims,
        evidence: gathered.evidence,
        statements,
        timings: gathered.timings,
        notes: occasion.notes,
        problems: Vec::new(),
        suppressions: suppressions::of_contract(contract),
    })
}

/// The time now, in UTC to the second (RFC 3339).
#[must_use]
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
