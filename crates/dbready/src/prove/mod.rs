//! Detection power: every claim of the checks is broken on a twin, and must be the one that notices.
//!
//! The sabotages are derived from the contract; what may fall with each of them is asked from the
//! server. A sabotage is made inside a transaction, the examiner looks from within it, and it is
//! rolled back; that is why hundreds of them take a minute.

mod derive;
mod ground;
mod report;
mod sabotage;
mod twin;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::try_join_all;
use pg_local::{Cluster, Step};
use tokio_postgres::{IsolationLevel, Transaction};

pub use report::{Collateral, Family, Miss, OfClaim, Refused, Report, Without};

use crate::catalog::{self, Observation};
use crate::contract::Contract;
use crate::verdict::{Judgement, Status, judge};
use crate::{Error, check};
use ground::Ground;
use report::Parts;
use sabotage::{Break, Sabotage};
use twin::{Twin, Twins};

/// Twins that are worked on at a time at most.
const TWINS: usize = 4;

/// What became of one sabotage.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    target: String,
    what: String,
    fate: Fate,
    /// Claims that it does not concern and that it refuted.
    collateral: Vec<String>,
}

#[derive(Debug, Clone)]
enum Fate {
    Noticed,
    /// What was seen instead.
    Missed(String),
    /// Why the server does not allow it.
    NotApplied(String),
}

/// Makes every sabotage that the contract's claims imply, on twins on a server of our own.
///
/// Dropping the future ends the sessions; the server is the caller's to stop.
///
/// # Errors
///
/// [`Error::Migration`] when the contract's migrations fail on an empty database;
/// [`Error::Database`] when its seed does or the server goes away; [`Error::Catalog`].
pub async fn run(
    cluster: &Cluster,
    contract: &Contract,
    progress: &pg_local::Progress<'_>,
) -> Result<Report, Error> {
    let started = Instant::now();
    let said = |doing: &str| progress(Step { doing: doing.to_owned(), share: None });
    said("making the twin");
    let twins = Twins::prepare(cluster, contract, &said).await?;
    let mut first = twins.copy(0).await?;
    said("asking what hangs on what");
    let ground = Ground::read(&mut first.client, contract).await?;
    let options = catalog::Options::default();
    let untouched = catalog::observe(&mut first.client, contract, &options).await?;
    let whole = judgements(contract, &untouched);
    let open: BTreeMap<String, String> = whole
        .iter()
        .filter(|(_, judgement)| judgement.status != Status::Proven)
        .map(|(id, judgement)| {
            let reason = judgement.reason.clone().unwrap_or_default();
            (id.clone(), format!("{} on the untouched twin: {reason}", judgement.status.word()))
        })
        .collect();
    let mut sabotages = derive::all(&ground);
    sabotages.retain(|one| ground.claims.contains(&one.target) && !open.contains_key(&one.target));
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(TWINS);
    let mut others = Vec::new();
    for number in 1..workers {
        others.push(twins.copy(number).await?);
    }
    let work = Work {
        contract,
        sabotages: &sabotages,
        refuted: refuted(&whole),
        next: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        trials: Mutex::new(Vec::new()),
        progress,
    };
    let all = std::iter::once(first).chain(others);
    try_join_all(all.map(|twin| work.on(twin))).await?;
    let mut trials = work.trials.into_inner().unwrap_or_else(PoisonError::into_inner);
    trials.sort_by_key(|(at, _)| *at);
    let trials: Vec<Trial> = trials.into_iter().map(|(_, trial)| trial).collect();
    Ok(Report::new(&Parts {
        contract,
        server: &untouched.server,
        seconds: started.elapsed().as_secs_f64(),
        refuted_untouched: work.refuted.len(),
        open,
        trials: &trials,
    }))
}

/// The sabotages of one run, shared by the twins.
struct Work<'a> {
    contract: &'a Contract,
    sabotages: &'a [Sabotage],
    /// What the untouched twin refutes.
    refuted: BTreeSet<String>,
    next: AtomicUsize,
    done: AtomicUsize,
    trials: Mutex<Vec<(usize, Trial)>>,
    progress: &'a pg_local::Progress<'a>,
}

impl Work<'_> {
    /// Makes sabotages on one twin until none is left, and sees that the twin is whole afterwards.
    async fn on(&self, mut twin: Twin) -> Result<(), Error> {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(sabotage) = self.sabotages.get(at) else { break };
            let trial = self.attempt(&mut twin, sabotage).await?;
            self.trials.lock().unwrap_or_else(PoisonError::into_inner).push((at, trial));
            let done = self.done.fetch_add(1, Ordering::Relaxed) as u64 + 1;
            let share = Some((done, self.sabotages.len() as u64));
            (self.progress)(Step { doing: "sabotaging".to_owned(), share });
        }
        let options = catalog::Options::default();
        let left = catalog::observe(&mut twin.client, self.contract, &options).await?;
        let left = refuted(&judgements(self.contract, &left));
        if left == self.refuted {
            return Ok(());
        }
        let changed: Vec<&str> =
            left.symmetric_difference(&self.refuted).map(String::as_str).collect();
        Err(Error::Catalog(format!(
            "a sabotage outlived its transaction; after all of them these claims changed: {}",
            changed.join(", ")
        )))
    }

    async fn attempt(&self, twin: &mut Twin, sabotage: &Sabotage) -> Result<Trial, Error> {
        let mut trial = Trial {
            target: sabotage.target.clone(),
            what: sabotage.what.clone(),
            fate: Fate::Noticed,
            collateral: Vec::new(),
        };
        let contract = match &sabotage.breaks {
            Break::Sql(_) => None,
            Break::Contract(change) => {
                let mut contract = self.contract.clone();
                change(&mut contract);
                Some(contract)
            }
        };
        let contract = contract.as_ref().unwrap_or(self.contract);
        let seen = match look(twin, contract, &sabotage.breaks).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(reason)) => {
                trial.fate = Fate::NotApplied(reason);
                return Ok(trial);
            }
            // A look that breaks is no refutation; a server that is gone ends the run.
            Err(error) => {
                twin.revive().await?;
                trial.fate = Fate::Missed(format!("the examination failed: {error}"));
                return Ok(trial);
            }
        };
        let judgements = judgements(contract, &seen);
        let refuted = refuted(&judgements);
        if !refuted.contains(&sabotage.target) {
            let own = judgements.get(&sabotage.target);
            trial.fate = Fate::Missed(own.map_or_else(
                || "the claim is no longer planned".to_owned(),
                |own| {
                    let reason = own.reason.as_deref().unwrap_or(&own.observed);
                    format!("{}: {reason}", own.status.word())
                },
            ));
        }
        let strangers = refuted.into_iter().filter(|id| {
            *id != sabotage.target && !sabotage.falls.contains(id) && !self.refuted.contains(id)
        });
        trial.collateral = strangers.collect();
        Ok(trial)
    }
}

/// Breaks the twin and looks at it, within one transaction that is rolled back; the inner error is
/// why the server does not allow the break.
async fn look(
    twin: &mut Twin,
    contract: &Contract,
    breaks: &Break,
) -> Result<Result<Observation, String>, Error> {
    let builder = twin.client.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let mut transaction = builder.start().await?;
    if let Break::Sql(ways) = breaks
        && let Err(reason) = break_it(&mut transaction, ways).await?
    {
        transaction.rollback().await?;
        return Ok(Err(reason));
    }
    let options = catalog::Options::default();
    let seen = catalog::observe_within(&mut transaction, contract, &options).await?;
    transaction.rollback().await?;
    Ok(Ok(seen))
}

/// Takes the first way that the server allows.
async fn break_it(
    transaction: &mut Transaction<'_>,
    ways: &[String],
) -> Result<Result<(), String>, Error> {
    let mut reason = "nothing on this twin can be changed so".to_owned();
    for way in ways {
        let savepoint = transaction.transaction().await?;
        match savepoint.batch_execute(way).await {
            Ok(()) => {
                savepoint.commit().await?;
                return Ok(Ok(()));
            }
            Err(error) => {
                let error = pg_session::Error::from(error);
                let Some(report) = error.server() else { return Err(error.into()) };
                // The first way is the plain one, and its refusal the one that says something.
                if reason.starts_with("nothing on") {
                    reason = report.to_string();
                }
                savepoint.rollback().await?;
            }
        }
    }
    Ok(Err(reason))
}

/// Every judgement of a contract's claims, by id.
fn judgements(contract: &Contract, observation: &Observation) -> BTreeMap<String, Judgement> {
    let evidence = check::examine(contract, observation);
    let by_claim: BTreeMap<&str, _> =
        evidence.iter().map(|one| (one.claim.as_str(), one)).collect();
    check::plan(contract)
        .into_iter()
        .map(|claim| {
            let judgement = judge(&claim, by_claim.get(claim.id.as_str()).copied());
            (claim.id, judgement)
        })
        .collect()
}

/// The ids of the claims that are refuted.
fn refuted(judgements: &BTreeMap<String, Judgement>) -> BTreeSet<String> {
    let found = judgements.iter().filter(|(_, judgement)| judgement.status == Status::Refuted);
    found.map(|(id, _)| id.clone()).collect()
}
