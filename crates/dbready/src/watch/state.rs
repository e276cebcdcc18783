//! What the watch knows now: what every reader of it sees, and what has changed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::time::Instant;

use super::clause::{Clauses, REACHABLE};
use super::look::{Database, Look, Sessions};
use crate::claim::Claim;
use crate::evidence::{Evidence, Outcome};
use crate::markup::one_line;
use crate::report::{Certificate, ContractFacts};
use crate::run::now;
use crate::verdict::{self, Judgement, Status};

/// Events kept for readers; older ones have been sent, and are forgotten.
const EVENTS: usize = 200;
/// Figures kept of each clause for its drawing.
const HISTORY: usize = 240;

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    /// It was refuted.
    Firing,
    /// It was refuted, and is proven again.
    Resolved,
    /// Something worth knowing, which is no claim's.
    Note,
}

impl Change {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Note => "note",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Event {
    /// When (RFC 3339).
    pub(super) at: String,
    pub(super) change: Change,
    /// Id of the claim, or what the note is about.
    pub(super) claim: String,
    pub(super) statement: String,
    /// What was found, on one line.
    pub(super) found: String,
}

/// One clause as it stands.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) claim: Claim,
    pub(super) judgement: Judgement,
    /// The last figure, in the unit of the claim's target.
    pub(super) value: Option<f64>,
    pub(super) history: VecDeque<f64>,
}

/// The last look, as far as it is published as figures.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) database: Database,
    pub(super) sessions: Sessions,
    pub(super) inserted: Vec<(String, Option<f64>)>,
    pub(super) lag: Option<f64>,
    /// By hypertable: chunks, and days since the end of the oldest.
    pub(super) chunks: Vec<(String, f64, Option<f64>)>,
    /// Jobs, and those whose last run failed.
    pub(super) jobs: Option<(f64, f64)>,
    pub(super) launched: Option<bool>,
}

/// Whether the database answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reach {
    /// Nobody has asked it yet.
    Unknown,
    Answers,
    Silent,
}

/// Everything that counts up.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) looks: u64,
    pub(super) failures: u64,
    pub(super) connections: u64,
    pub(super) events: [u64; 3],
}

/// What the watch knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) started_at: String,
    pub(super) contract: ContractFacts,
    pub(super) address: String,
    pub(super) pool: f64,
    pub(super) reach: Reach,
    /// When the database was last asked, whatever it said, and the last answer (RFC 3339).
    pub(super) asked: Option<Instant>,
    pub(super) answered_at: Option<String>,
    pub(super) look_seconds: Option<f64>,
    pub(super) readings: Vec<Reading>,
    pub(super) figures: Option<Figures>,
    pub(super) certificate: Option<Arc<Certificate>>,
    /// When it was drawn up, and why the catalog could not be read since.
    pub(super) certified: Option<Instant>,
    pub(super) unread: Option<String>,
    pub(super) events: VecDeque<Event>,
    pub(super) counts: Counts,
    firing: BTreeSet<String>,
    server_started: Option<String>,
}

impl State {
    pub(super) fn new(contract: ContractFacts, address: String, clauses: &Clauses) -> Self {
        let readings = clauses.all.iter().map(|clause| Reading {
            claim: clause.claim.clone(),
            judgement: verdict::judge(&clause.claim, None),
            value: None,
            history: VecDeque::new(),
        });
        Self {
            started_at: now(),
            contract,
            address,
            pool: clauses.pool(),
            reach: Reach::Unknown,
            asked: None,
            answered_at: None,
            look_seconds: None,
            readings: readings.collect(),
            figures: None,
            certificate: None,
            certified: None,
            unread: None,
            events: VecDeque::new(),
            counts: Counts::default(),
            firing: BTreeSet::new(),
            server_started: None,
        }
    }

    /// Takes in the evidence of a look that was answered; gives what has changed.
    pub(super) fn answered(&mut self, look: &Look, clauses: &Clauses, seconds: f64) -> Vec<Event> {
        self.counts.looks += 1;
        self.reach = Reach::Answers;
        self.answered_at = Some(now());
        self.look_seconds = Some(seconds);
        let mut changed = Vec::new();
        let started = look.database.started.clone();
        if self.server_started.as_ref().is_some_and(|before| *before != started) {
            changed.push(self.happened(
                Change::Note,
                "server",
                "the server was started again",
                &format!("it runs since {started}"),
            ));
        }
        self.server_started = Some(started);
        let names = clauses.tables().iter().cloned();
        let seen = look.chunks.as_ref().ok().and_then(Option::as_ref);
        let workers = look.workers.as_ref().ok().and_then(Option::as_ref);
        let mut chunks: Vec<(String, f64, Option<f64>)> = seen
            .into_iter()
            .flatten()
            .map(|((schema, name), chunks)| {
                (crate::sql::spoken_name(schema, name), chunks.count, chunks.days_over)
            })
            .collect();
        chunks.sort_by(|a, b| a.0.cmp(&b.0));
        self.figures = Some(Figures {
            database: look.database.clone(),
            sessions: look.sessions.clone(),
            inserted: names.zip(look.inserted.iter().copied()).collect(),
            lag: look.lag.clone().ok().flatten(),
            chunks,
            #[expect(clippy::cast_precision_loss, reason = "jobs are few")]
            jobs: workers.map(|seen| (seen.jobs, seen.failed.len() as f64)),
            launched: workers.and_then(|seen| seen.launched.clone().ok()),
        });
        changed
    }

    /// Takes in that a look had no answer.
    pub(super) fn unanswered(&mut self) {
        self.counts.failures += 1;
        self.reach = Reach::Silent;
        self.figures = None;
    }

    /// Judges the clauses by what is known now; gives what has changed.
    pub(super) fn judge(&mut self, evidence: &[Evidence]) -> Vec<Event> {
        let mut readings = std::mem::take(&mut self.readings);
        let mut changed = Vec::new();
        for (reading, evidence) in readings.iter_mut().zip(evidence) {
            reading.judgement = verdict::judge(&reading.claim, Some(evidence));
            reading.value = match evidence.outcome {
                Outcome::Measured { value, .. } => Some(value),
                _ => None,
            };
            if let Some(value) = reading.value {
                if reading.history.len() == HISTORY {
                    reading.history.pop_front();
                }
                reading.history.push_back(value);
            }
            let Judgement { status, reason, observed, .. } = &reading.judgement;
            let found = reason.as_deref().unwrap_or(observed);
            changed.extend(self.turned(
                &reading.claim.id,
                &reading.claim.statement,
                *status,
                found,
            ));
        }
        self.readings = readings;
        changed
    }

    /// Takes in what the catalog showed; gives what has changed.
    pub(super) fn certified(&mut self, certificate: Certificate) -> Vec<Event> {
        let mut changed = Vec::new();
        for claim in &certificate.claims {
            let found = match claim.findings().next() {
                Some(one) => {
                    format!("{}: expected {}, found {}", one.object, one.expected, one.found)
                }
                None => claim.reason.clone().unwrap_or_else(|| claim.observed.clone()),
            };
            changed.extend(self.turned(&claim.id, &claim.statement, claim.status, &found));
        }
        self.certificate = Some(Arc::new(certificate));
        self.certified = Some(Instant::now());
        self.unread = None;
        changed
    }

    /// Takes in that the catalog could not be read; gives what is new about it.
    pub(super) fn uncertified(&mut self, reason: &str) -> Option<Event> {
        let is_new = self.unread.as_deref() != Some(reason);
        self.unread = Some(reason.to_owned());
        is_new.then(|| {
            self.happened(Change::Note, "catalog", "the catalog could not be looked at", reason)
        })
    }

    /// What a claim's status means after the one before: unproven changes nothing.
    fn turned(&mut self, id: &str, statement: &str, status: Status, found: &str) -> Option<Event> {
        let change = match status {
            Status::Refuted if self.firing.insert(id.to_owned()) => Change::Firing,
            Status::Proven if self.firing.remove(id) => Change::Resolved,
            _ => return None,
        };
        Some(self.happened(change, id, statement, found))
    }

    fn happened(&mut self, change: Change, claim: &str, statement: &str, found: &str) -> Event {
        let event = Event {
            at: now(),
            change,
            claim: one_line(claim),
            statement: one_line(statement),
            found: one_line(found),
        };
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
        self.counts.events[change as usize] += 1;
        event
    }

    /// How many claims, of clauses and of the catalog, came to this end.
    pub(super) fn count(&self, status: Status) -> u64 {
        let clauses = self.readings.iter().filter(|one| one.judgement.status == status).count();
        let counts = self.certificate.as_ref().map(|certificate| certificate.counts);
        let catalog = counts.map_or(0, |counts| match status {
            Status::Proven => counts.proven,
            Status::Refuted => counts.refuted,
            Status::Unproven => counts.unproven,
        });
        catalog + clauses as u64
    }

    /// Why it is not ready to be relied on, if it is not.
    pub(super) fn unready(&self) -> Option<String> {
        match self.reach {
            Reach::Unknown => Some("the database has not been asked yet".to_owned()),
            Reach::Silent => {
                let reading = self.readings.iter().find(|one| one.claim.id == REACHABLE);
                let reason = reading.and_then(|one| one.judgement.reason.clone());
                Some(reason.unwrap_or_else(|| "the database does not answer".to_owned()))
            }
            Reach::Answers => None,
        }
    }
}

/// The state, shared by the loop that looks and those who read.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// For a moment: nobody waits for anything while holding it.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
