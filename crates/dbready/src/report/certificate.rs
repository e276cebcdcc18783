//! The certificate: every claim of one run with its evidence, the score and the verdict.
//!
//! It is what crosses the boundary to other programs and later versions, so it has a format version
//! of its own and carries all that judging needs: targets, evidence and weights.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::claim::{Claim, Producer, Severity, Target};
use crate::contract::{Contract, Revision};
use crate::evidence::{Evidence, Finding, Outcome, ServerFacts, Statements};
use crate::score::{self, Percent, RefinementScore, RefinementWeight, Scope, Tally};
use crate::verdict::acceptance::{Covered, State, Suppressed, Suppression, judge_suppressions};
use crate::verdict::{Judgement, Status, judge_all};

/// What the key `format` of every certificate says.
pub const FORMAT: &str = "dbready-certificate";

/// The version of the format that this program writes.
pub const FORMAT_VERSION: u32 = 6;

/// Whether the database holds to its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every required claim of the run is proven, and nothing is amiss with the run itself.
    Certified,
    /// Anything else.
    NotCertified,
}

/// The report of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// [`FORMAT`].
    pub format: String,
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Whether the database holds to its contract.
    pub verdict: Verdict,
    /// Proven weight ÷ total weight of the required claims, in percent, rounded down.
    pub score: Percent,
    /// Whether the run speaks about the whole contract.
    pub scope: Scope,
    /// How many claims came to which end.
    pub counts: Counts,
    /// The command that was run: `certify`, `check`.
    pub command: String,
    /// Its profile, if it has one.
    pub profile: Option<String>,
    /// Version of the program that measured.
    pub tool_version: String,
    /// SHA-256 of that program's file, in hexadecimal; `None` when it is not known.
    pub tool_digest: Option<String>,
    /// When the run began, as the caller states it (RFC 3339).
    pub started_at: String,
    /// When it ended.
    pub finished_at: String,
    /// The contract judged against.
    pub contract: ContractFacts,
    /// The server looked at; `None` when the run needed none.
    pub server: Option<ServerReport>,
    /// What went wrong with the run itself; any entry forbids certification.
    pub problems: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Durations by name, in milliseconds: `snapshot_ms`, `check_ms`.
    pub timings: BTreeMap<String, f64>,
    /// The score by refinement and area, with the weights.
    pub refinements: Vec<RefinementScore>,
    /// Every claim, in the order of the plan.
    pub claims: Vec<ClaimResult>,
    /// Evidence for claims that were not planned.
    pub unplanned: Vec<Evidence>,
    /// The texts of the statements that evidence names, as they were sent, by name.
    pub statements: Statements,
    /// Whether every required claim is proven or actively suppressed, and nothing is amiss with the run
    /// itself. Never makes a run certified, and moves no score.
    pub accepted: bool,
    /// Every suppression that the run was given, with what became of it.
    pub suppressions: Vec<Suppressed>,
    /// The seal: SHA-256 over the last claim's digest and everything but the claims, in hexadecimal.
    pub digest: String,
}

/// How many claims came to which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Claims planned.
    pub expected: u64,
    /// Claims proven or refuted.
    pub settled: u64,
    /// Claims that certification needs.
    pub required: u64,
    /// Claims proven.
    pub proven: u64,
    /// Claims refuted.
    pub refuted: u64,
    /// Claims neither proven nor refuted.
    pub unproven: u64,
}

/// The contract judged against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractFacts {
    /// Name of the service.
    pub name: String,
    /// Version of the contract.
    pub version: String,
    /// SHA-256 over its files, in hexadecimal.
    pub digest: String,
    /// The commit that it belongs to; `None` outside of a git repository.
    pub revision: Option<Revision>,
}

impl From<&Contract> for ContractFacts {
    fn from(contract: &Contract) -> Self {
        Self {
            name: contract.model.service.name.clone(),
            version: contract.model.service.version.to_string(),
            digest: contract.digest.clone(),
            revision: contract.revision.clone(),
        }
    }
}

/// The server looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerReport {
    /// Host and port or socket, and database; never a password.
    pub address: String,
    /// Database name.
    pub database: String,
    /// Role that looked.
    pub role: String,
    /// Version of `PostgreSQL`.
    pub postgresql: String,
    /// The same as the server's number, `170005`.
    pub postgresql_num: u32,
    /// Version of `TimescaleDB`, when it is installed in the database.
    pub timescaledb: Option<String>,
    /// Edition of `TimescaleDB`: `apache` or `community`.
    pub edition: Option<String>,
    /// SHA-256 over what the catalog said of the contract's schemas, in hexadecimal; `None` when
    /// nobody looked at it.
    pub schema_digest: Option<String>,
    /// Settings worth knowing beside any figure.
    pub settings: BTreeMap<String, String>,
}

impl From<&ServerFacts> for ServerReport {
    fn from(facts: &ServerFacts) -> Self {
        let edition =
            if facts.is_community() { Some("community".to_owned()) } else { facts.license.clone() };
        Self {
            address: facts.address.clone(),
            database: facts.database.clone(),
            role: facts.role.clone(),
            postgresql: facts.postgresql.clone(),
            postgresql_num: facts.postgresql_num,
            timescaledb: facts.timescaledb.clone(),
            edition,
            schema_digest: None,
            settings: facts.settings.iter().cloned().collect(),
        }
    }
}

/// One claim and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimResult {
    /// Dotted name, unique in the certificate.
    pub id: String,
    /// Key of its area.
    pub area: String,
    /// The statement in one sentence.
    pub statement: String,
    /// Proven, refuted or unproven.
    pub status: Status,
    /// How bad it is when refuted.
    pub severity: Severity,
    /// Whether certification needs it.
    pub required: bool,
    /// What the evidence had to show, for people.
    pub target: String,
    /// What was observed, for people.
    pub observed: String,
    /// Things compared, trials made or samples taken.
    pub n: Option<u64>,
    /// The 95 % confidence bound: of the rate of wrong trials (0 to 1), or of the statistic.
    pub bound: Option<f64>,
    /// Why it is not proven.
    pub reason: Option<String>,
    /// Who brings its evidence.
    pub producer: Producer,
    /// Weight inside its area.
    pub weight: f64,
    /// What the evidence had to show, for judging.
    pub goal: Target,
    /// Everything observed for it; of several pieces the worst counts.
    pub evidence: Vec<Evidence>,
    /// The seal: SHA-256 over the digest of the claim before it and this claim, in hexadecimal.
    pub digest: String,
}

impl ClaimResult {
    fn new(claim: Claim, evidence: Vec<Evidence>) -> Self {
        let Judgement { status, target, observed, n, bound, reason, findings: _ } =
            judge_all(&claim, &evidence);
        Self {
            id: claim.id,
            area: claim.area,
            statement: claim.statement,
            status,
            severity: claim.severity,
            required: claim.required,
            target,
            observed,
            n,
            bound,
            reason,
            producer: claim.producer,
            weight: claim.weight,
            goal: claim.target,
            evidence,
            digest: String::new(),
        }
    }

    fn claim(&self) -> Claim {
        Claim {
            id: self.id.clone(),
            area: self.area.clone(),
            statement: self.statement.clone(),
            severity: self.severity,
            required: self.required,
            weight: self.weight,
            producer: self.producer,
            target: self.goal.clone(),
        }
    }

    /// Every difference reported for it.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.evidence.iter().flat_map(|evidence| match &evidence.outcome {
            Outcome::Compared { findings, .. } | Outcome::Counted { findings, .. } => {
                findings.as_slice()
            }
            Outcome::Measured { .. } | Outcome::NotMeasured { .. } => &[],
        })
    }
}

/// What a certificate is assembled from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The command that was run.
    pub command: String,
    /// Its profile, if it has one.
    pub profile: Option<String>,
    /// Whether the run speaks about the whole contract.
    pub scope: Scope,
    /// When the run began (RFC 3339).
    pub started_at: String,
    /// When it ended.
    pub finished_at: String,
    /// The contract judged against.
    pub contract: ContractFacts,
    /// The server looked at.
    pub server: Option<ServerReport>,
    /// SHA-256 of this program's file.
    pub tool_digest: Option<String>,
    /// The weights of the score; see [`score::weights`].
    pub weights: Vec<RefinementWeight>,
    /// The plan: every claim that the run was expected to settle.
    pub claims: Vec<Claim>,
    /// Everything observed.
    pub evidence: Vec<Evidence>,
    /// The texts of the statements that it names; others are left out.
    pub statements: Statements,
    /// Durations by name, in milliseconds.
    pub timings: BTreeMap<String, f64>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// What went wrong with the run itself; any entry forbids certification.
    pub problems: Vec<String>,
    /// Claims that may stay open, known before the run: the waivers of the contract.
    pub suppressions: Vec<Suppression>,
}

impl Certificate {
    /// Judges every claim by its evidence and draws up the certificate.
    ///
    /// Evidence for a claim that is not planned, a claim planned twice and a claim of an area without
    /// a weight are problems of the run and forbid certification.
    #[must_use]
    pub fn assemble(inputs: Inputs) -> Self {
        Self::draw_up(inputs, env!("CARGO_PKG_VERSION").to_owned())
    }

    fn draw_up(inputs: Inputs, tool_version: String) -> Self {
        let mut problems = inputs.problems;
        let mut statements = inputs.statements;
        let named: BTreeSet<String> =
            inputs.evidence.iter().flat_map(|one| one.statements.iter().cloned()).collect();
        statements.retain(|name, _| named.contains(name));
        for name in named.iter().filter(|name| !statements.contains_key(*name)) {
            problems.push(format!("the text of the statement `{name}` is missing"));
        }
        let mut by_claim: BTreeMap<String, Vec<Evidence>> = BTreeMap::new();
        for evidence in inputs.evidence {
            by_claim.entry(evidence.claim.clone()).or_default().push(finite(evidence));
        }
        let areas: BTreeSet<&str> = inputs
            .weights
            .iter()
            .flat_map(|refinement| &refinement.areas)
            .map(|area| area.name.as_str())
            .collect();
        let mut planned = BTreeSet::new();
        let mut claims = Vec::with_capacity(inputs.claims.len());
        for claim in inputs.claims {
            if !planned.insert(claim.id.clone()) {
                problems.push(format!("the claim `{}` is planned twice", claim.id));
                continue;
            }
            if !areas.contains(claim.area.as_str()) {
                problems.push(format!(
                    "the claim `{}` is in the area `{}`, which has no weight in the contract's score",
                    claim.id, claim.area
                ));
            }
            if !claim.weight.is_finite() || claim.weight < 0.0 {
                problems.push(format!(
                    "the claim `{}` has the weight {}; expected a number from zero up",
                    claim.id, claim.weight
                ));
            }
            let weight = if claim.weight.is_finite() { claim.weight.max(0.0) } else { 0.0 };
            let evidence = by_claim.remove(&claim.id).unwrap_or_default();
            claims.push(ClaimResult::new(Claim { weight, ..claim }, evidence));
        }
        let unplanned: Vec<Evidence> = by_claim.into_values().flatten().collect();
        for evidence in &unplanned {
            problems.push(format!(
                "unplanned evidence: `{}` is no claim of this run (method: {})",
                evidence.claim, evidence.method
            ));
        }
        let mut seen = BTreeSet::new();
        problems.retain(|problem| seen.insert(problem.clone()));
        let (counts, score) = count_and_score(&inputs.weights, inputs.scope, &claims);
        let certified = score.percent == Percent::FULL && problems.is_empty();
        Self {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            verdict: if certified { Verdict::Certified } else { Verdict::NotCertified },
            score: score.percent,
            scope: inputs.scope,
            counts,
            command: inputs.command,
            profile: inputs.profile,
            tool_version,
            tool_digest: inputs.tool_digest,
            started_at: inputs.started_at,
            finished_at: inputs.finished_at,
            contract: inputs.contract,
            server: inputs.server,
            problems,
            notes: inputs.notes,
            timings: inputs.timings.into_iter().filter(|(_, ms)| ms.is_finite()).collect(),
            refinements: score.refinements,
            claims,
            unplanned,
            statements,
            accepted: certified,
            suppressions: Vec::new(),
            digest: String::new(),
        }
        .suppress(inputs.suppressions)
    }

    /// The same certificate with further suppressions: they are judged on the day of the run, change no
    /// status, count or score, and may make it accepted. An expired waiver is a problem of the run.
    #[must_use]
    pub fn suppress(mut self, more: Vec<Suppression>) -> Self {
        let given = self.suppressions.into_iter().map(|one| one.suppression).chain(more).collect();
        let open: BTreeMap<&str, Covered> = self
            .claims
            .iter()
            .map(|claim| (claim.id.as_str(), Covered::of(claim.status, &claim.evidence)))
            .collect();
        self.suppressions = judge_suppressions(given, &open, day_of(&self.finished_at));
        for problem in self.suppressions.iter().filter_map(Suppressed::problem) {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        if !self.problems.is_empty() {
            self.verdict = Verdict::NotCertified;
        }
        let whole: Vec<Claim> = self.claims.iter().map(ClaimResult::claim).collect();
        let judged: Vec<_> = whole
            .iter()
            .zip(&self.claims)
            .map(|(claim, result)| match self.suppression(&claim.id) {
                Some(_) => (claim, Status::Proven),
                None => (claim, result.status),
            })
            .collect();
        // Only asked for; the score of the certificate stays what it is.
        let score = score::score(&self.weights(), self.scope, &judged);
        self.accepted = score.percent == Percent::FULL && self.problems.is_empty();
        self.sealed()
    }

    /// The active suppression of a claim.
    #[must_use]
    pub fn suppression(&self, claim: &str) -> Option<&Suppression> {
        let active = self.suppressions.iter().filter(|one| one.state == State::Active);
        active.map(|one| &one.suppression).find(|one| one.claim == claim)
    }

    /// The day of the run, in UTC; `None` when it is not known.
    #[must_use]
    pub fn day(&self) -> Option<Date> {
        day_of(&self.finished_at)
    }

    /// The weights that it was judged by.
    fn weights(&self) -> Vec<RefinementWeight> {
        self.refinements
            .iter()
            .map(|refinement| RefinementWeight {
                name: refinement.name.clone(),
                title: refinement.title.clone(),
                weight: refinement.weight,
                areas: refinement
                    .areas
                    .iter()
                    .map(|area| score::AreaWeight {
                        name: area.name.clone(),
                        title: area.title.clone(),
                        weight: area.weight,
                    })
                    .collect(),
            })
            .collect()
    }

    /// The same certificate, judged anew from its own evidence and weights.
    #[must_use]
    pub(super) fn judged_again(self) -> Self {
        let weights = self.weights();
        let suppressions = self.suppressions.into_iter().map(|one| one.suppression).collect();
        let mut evidence = self.unplanned;
        let mut claims = Vec::with_capacity(self.claims.len());
        for mut claim in self.claims {
            evidence.append(&mut claim.evidence);
            claims.push(claim.claim());
        }
        let inputs = Inputs {
            command: self.command,
            profile: self.profile,
            scope: self.scope,
            started_at: self.started_at,
            finished_at: self.finished_at,
            contract: self.contract,
            server: self.server,
            tool_digest: self.tool_digest,
            weights,
            claims,
            evidence,
            statements: self.statements,
            timings: self.timings,
            notes: self.notes,
            problems: self.problems,
            suppressions,
        };
        Self::draw_up(inputs, self.tool_version)
    }

    /// The certificate as a JSON document, indented, with a final newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Keys are strings and figures finite, so that writing into memory cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Whether the verdict is [`Verdict::Certified`].
    #[must_use]
    pub fn is_certified(&self) -> bool {
        self.verdict == Verdict::Certified
    }
}

/// The day of an instant (RFC 3339), in UTC.
fn day_of(instant: &str) -> Option<Date> {
    let instant: jiff::Timestamp = instant.parse().ok()?;
    Some(instant.to_zoned(jiff::tz::TimeZone::UTC).date())
}

fn count_and_score(
    weights: &[RefinementWeight],
    scope: Scope,
    claims: &[ClaimResult],
) -> (Counts, score::Score) {
    let whole: Vec<Claim> = claims.iter().map(ClaimResult::claim).collect();
    let judged: Vec<_> = whole.iter().zip(claims.iter().map(|claim| claim.status)).collect();
    let mut tally = Tally::default();
    for (_, status) in &judged {
        tally.add(*status);
    }
    let counts = Counts {
        expected: tally.total(),
        settled: tally.proven + tally.refuted,
        required: claims.iter().filter(|claim| claim.required).count() as u64,
        proven: tally.proven,
        refuted: tally.refuted,
        unproven: tally.unproven,
    };
    (counts, score::score(weights, scope, &judged))
}

/// Evidence that JSON can hold: a figure that is not a finite number measures nothing.
fn finite(mut evidence: Evidence) -> Evidence {
    if let Outcome::Measured { value, bound, statistics, .. } = &mut evidence.outcome {
        statistics.retain(|(_, value)| value.is_finite());
        if !value.is_finite() || !bound.is_finite() {
            let reason = "the measurement gave a figure that is not a finite number".to_owned();
            evidence.outcome = Outcome::NotMeasured { reason };
        }
    }
    evidence
}
