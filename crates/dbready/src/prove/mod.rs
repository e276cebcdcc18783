//! Detection power: every claim of the checks is broken on a twin, and must be the one that notices.
//!
//! The sabotages are derived from the contract; what may fall with each of them is asked from the
//! server. A sabotage is made inside a transaction, the examiner looks from within it, and it is
//! rolled back; that is why hundreds of them take a minute or two.
//!
//! The examiner reads the whole catalog and has every query prepared each time. Rows, plans and
//! values it looks at where the sabotage has touched what they are read from, as the server's locks
//! tell; after every tenth sabotage at everything.

mod derive;
mod ground;
mod held;
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

use crate::catalog::{self, Earlier, Observation, Part, Relations};
use crate::contract::Contract;
use crate::verdict::{Judgement, Status, judge};
use crate::{Error, check};
use ground::Ground;
use report::Parts;
use sabotage::{Break, Sabotage};
use twin::{Twin, Twins};

/// Twins that are worked on at a time at most.
const TWINS: usize = 4;

/// After one in so many sabotages everything is looked at.
const WHOLE_EVERY: usize = 10;

/// How sabotages are looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Look at everything after every sabotage, instead of after every tenth; takes many times as long.
    pub whole: bool,
}

/// What became of one sabotage.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    target: String,
    what: String,
    fate: Fate,
    /// Claims that it does not concern and that it refuted.
    collateral: Vec<String>,
    /// Whether everything was looked at.
    whole: bool,
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
    options: Options,
    progress: &pg_local::Progress<'_>,
) -> Result<Report, Error> {
    let started = Instant::now();
    let said = |doing: &str| progress(Step { doing: doing.to_owned(), share: None });
    said("making the twin");
    let mut twins = Twins::prepare(cluster, contract, &said).await?;
    let mut first = twins.copy(0).await?;
    said("asking what hangs on what");
    let untouched =
        catalog::observe(&mut first.client, contract, &catalog::Options::default()).await?;
    let reach = reach(&mut first, contract).await?;
    let ground = Ground::read(&mut first.client, contract, &untouched, &reach).await?;
    let judged = judgements(contract, &untouched);
    let mut sabotages = derive::all(&ground);
    sabotages.retain(|one| {
        ground.claims.contains(&one.target)
            && judged.get(&one.target).is_none_or(|own| own.status == Status::Proven)
    });
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(TWINS);
    let mut others = Vec::new();
    for number in 1..workers {
        others.push(twins.copy(number).await?);
    }
    let work = Work {
        contract,
        options,
        sabotages: &sabotages,
        untouched: &untouched,
        reach: &reach,
        refuted: of_status(&judged, Status::Refuted),
        next: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        trials: Mutex::new(Vec::new()),
        progress,
    };
    let all = std::iter::once(first).chain(others);
    try_join_all(all.map(|twin| work.on(twin))).await?;
    twins.close().await?;
    let mut trials = work.trials.into_inner().unwrap_or_else(PoisonError::into_inner);
    trials.sort_by_key(|(at, _)| *at);
    let trials: Vec<Trial> = trials.into_iter().map(|(_, trial)| trial).collect();
    Ok(Report::new(&Parts {
        contract,
        server: &untouched.server,
        seconds: started.elapsed().as_secs_f64(),
        unproven: of_status(&judged, Status::Unproven),
        refuted: work.refuted,
        trials: &trials,
    }))
}

/// The sabotages of one run, shared by the twins.
struct Work<'a> {
    contract: &'a Contract,
    options: Options,
    sabotages: &'a [Sabotage],
    /// What was seen on the untouched twin.
    untouched: &'a Observation,
    /// What each part of an examination reads.
    reach: &'a BTreeMap<Part, Relations>,
    /// The claims that the untouched twin refutes, and why.
    refuted: BTreeMap<String, String>,
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
            let trial = self.attempt(&mut twin, at, sabotage).await?;
            self.trials.lock().unwrap_or_else(PoisonError::into_inner).push((at, trial));
            let done = self.done.fetch_add(1, Ordering::Relaxed) as u64 + 1;
            let share = Some((done, self.sabotages.len() as u64));
            (self.progress)(Step { doing: "sabotaging".to_owned(), share });
        }
        let left =
            catalog::observe(&mut twin.client, self.contract, &catalog::Options::default()).await?;
        let left = of_status(&judgements(self.contract, &left), Status::Refuted);
        let gone = self.refuted.keys().filter(|id| !left.contains_key(*id));
        let new = left.keys().filter(|id| !self.refuted.contains_key(*id));
        let changed: Vec<&str> = gone.chain(new).map(String::as_str).collect();
        if changed.is_empty() {
            return Ok(());
        }
        Err(Error::Catalog(format!(
            "a sabotage outlived its transaction; after all of them these claims changed: {}",
            changed.join(", ")
        )))
    }

    async fn attempt(
        &self,
        twin: &mut Twin,
        at: usize,
        sabotage: &Sabotage,
    ) -> Result<Trial, Error> {
        let mut trial = Trial {
            target: sabotage.target.clone(),
            what: sabotage.what.clone(),
            fate: Fate::Noticed,
            collateral: Vec::new(),
            whole: self.options.whole || at.is_multiple_of(WHOLE_EVERY),
        };
        let contract = match &sabotage.breaks {
            Break::Sql(_) => None,
            Break::Query(at, text) => {
                let mut contract = self.contract.clone();
                if let Some(sql) = contract.query_sql.get_mut(*at) {
                    text.clone_into(&mut sql.statement);
                }
                Some(contract)
            }
            Break::Contract(change) => {
                let mut contract = self.contract.clone();
                change(&mut contract);
                Some(contract)
            }
        };
        let contract = contract.as_ref().unwrap_or(self.contract);
        let seen = match self.look(twin, contract, &sabotage.breaks, &mut trial.whole).await {
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
        let refuted = of_status(&judgements, Status::Refuted);
        if !refuted.contains_key(&sabotage.target) {
            let own = judgements.get(&sabotage.target);
            trial.fate = Fate::Missed(own.map_or_else(
                || "the claim is no longer planned".to_owned(),
                |own| {
                    let reason = own.reason.as_deref().unwrap_or(&own.observed);
                    format!("{}: {reason}", own.status.word())
                },
            ));
        }
        let strangers = refuted.into_keys().filter(|id| {
            *id != sabotage.target && !sabotage.falls.contains(id) && !self.refuted.contains_key(id)
        });
        trial.collateral = strangers.collect();
        Ok(trial)
    }

    /// Breaks the twin and looks at it, within one transaction that is rolled back; the inner error is
    /// why the server does not allow the break. `whole` says whether everything is to be looked at, and
    /// then whether it was.
    async fn look(
        &self,
        twin: &mut Twin,
        contract: &Contract,
        breaks: &Break,
        whole: &mut bool,
    ) -> Result<Result<Observation, String>, Error> {
        let builder = twin.client.build_transaction();
        let mut transaction =
            builder.isolation_level(IsolationLevel::ReadCommitted).start().await?;
        let touched = match breaks {
            Break::Sql(ways) => {
                if let Err(reason) = break_it(&mut transaction, ways).await? {
                    transaction.rollback().await?;
                    return Ok(Err(reason));
                }
                catalog::touched(&transaction).await?
            }
            Break::Query(..) => Some(Relations::new()),
            Break::Contract(_) => None,
        };
        *whole |= touched.is_none();
        let parts: BTreeSet<Part> = match touched {
            Some(touched) if !*whole => self.spared(breaks, &touched),
            _ => BTreeSet::new(),
        };
        let earlier = Earlier::new(self.untouched, &parts);
        let options = catalog::Options::default();
        let seen = catalog::observe_within(&mut transaction, contract, &options, earlier).await?;
        transaction.rollback().await?;
        Ok(Ok(seen))
    }

    /// The parts of an examination that read none of these relations, nor a query that is changed.
    fn spared(&self, breaks: &Break, touched: &Relations) -> BTreeSet<Part> {
        let spared = self.reach.iter().filter(|(part, relations)| {
            let is_changed =
                matches!((breaks, part), (Break::Query(at, _), Part::Query(of)) if at == of);
            !is_changed && relations.is_disjoint(touched)
        });
        spared.map(|(part, _)| *part).collect()
    }
}

/// What each part of an examination reads on an untouched twin.
async fn reach(twin: &mut Twin, contract: &Contract) -> Result<BTreeMap<Part, Relations>, Error> {
    let mut transaction = twin.client.transaction().await?;
    transaction.batch_execute("SET LOCAL search_path = public, pg_temp").await?;
    let found = catalog::reach(&mut transaction, contract).await?;
    transaction.rollback().await?;
    Ok(found)
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

/// The claims of one status, and why they have it.
fn of_status(judgements: &BTreeMap<String, Judgement>, status: Status) -> BTreeMap<String, String> {
    let found = judgements.iter().filter(|(_, judgement)| judgement.status == status);
    found.map(|(id, one)| (id.clone(), one.reason.clone().unwrap_or_default())).collect()
}
