//! Traffic: writers that go through the layer while a fault is injected, and what they were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pg_session::{Class, Commit, Pool, TransactionOptions};
use tokio::task::JoinSet;

use super::heard::Heard;
use super::journal::{Answer, Journal};
use super::record::{Counts, Timeline};
use super::sabotage::Sabotage;
use super::scene::Scene;
use crate::Error;

/// How writers behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// How many write at once.
    pub(crate) writers: u32,
    /// Whether a commit whose answer is lost is looked up by the layer.
    pub(crate) resolves: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { writers: 8, resolves: false }
    }
}

/// One write and what its caller was told.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) heard: Heard,
}

/// Writers at work.
pub(crate) struct Traffic {
    shared: Arc<Shared>,
    writers: JoinSet<Result<(), Error>>,
    fault: Option<Instant>,
    cleared: Option<Instant>,
}

struct Shared {
    pool: Pool,
    manner: Manner,
    journal: Journal,
    sabotage: Sabotage,
    next: AtomicI64,
    operations: Mutex<Vec<Operation>>,
    /// When writes under way began, by number.
    pending: Mutex<BTreeMap<i64, Instant>>,
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

/// What the writers of a trial went through.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) journal: BTreeMap<i64, Answer>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) fault: Option<Instant>,
    pub(crate) cleared: Option<Instant>,
    /// Operations that had no answer when the traffic ended.
    pub(crate) unanswered: usize,
}

/// The longest that callers still waiting are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(40);

/// What is written for an operation; a reader can tell whether it came back unharmed.
pub(crate) fn payload(operation: i64) -> String {
    format!("{:016x}", operation.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Traffic {
    /// Starts writers; their operations are numbered from `first`.
    pub(crate) fn start(
        scene: &mut Scene,
        pool: &Pool,
        manner: Manner,
        first: i64,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            pool: pool.clone(),
            manner,
            journal: scene.journal()?,
            sabotage: scene.sabotage.clone(),
            next: AtomicI64::new(first),
            operations: Mutex::default(),
            pending: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let mut writers = JoinSet::new();
        for writer in 0..manner.writers {
            writers.spawn(write_on(Arc::clone(&shared), writer));
        }
        Ok(Self { shared, writers, fault: None, cleared: None })
    }

    /// Waits until so many more writes are acknowledged; gives whether they were within `limit`.
    pub(crate) async fn acknowledges(&self, more: u64, limit: Duration) -> bool {
        let wanted = self.shared.acknowledged.load(Ordering::Acquire) + more;
        let begun = Instant::now();
        while self.shared.acknowledged.load(Ordering::Acquire) < wanted {
            if begun.elapsed() > limit {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        true
    }

    /// The fault comes now.
    pub(crate) fn fault(&mut self) {
        self.fault = Some(Instant::now());
    }

    /// The fault is taken away now.
    pub(crate) fn clear(&mut self) {
        self.cleared = Some(Instant::now());
    }

    /// How many writes are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Lets the writers end their last write and gives what they went through.
    pub(crate) async fn stop(mut self) -> Result<Tally, Error> {
        self.shared.stop.store(true, Ordering::Release);
        let ended = tokio::time::timeout(PATIENCE, async {
            while let Some(writer) = self.writers.join_next().await {
                writer.map_err(|error| Error::Interrupted(error.to_string()))??;
            }
            Ok::<_, Error>(())
        });
        if let Ok(failed @ Err(_)) = ended.await {
            failed?;
        }
        let unanswered = self.under_way();
        let operations = std::mem::take(
            &mut *self.shared.operations.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let journal = self.shared.journal.read()?;
        Ok(Tally { journal, operations, fault: self.fault, cleared: self.cleared, unanswered })
    }
}

/// One writer: writes until told to stop.
async fn write_on(shared: Arc<Shared>, writer: u32) -> Result<(), Error> {
    while !shared.stop.load(Ordering::Acquire) {
        let operation = shared.next.fetch_add(1, Ordering::AcqRel);
        shared.journal.sent(operation)?;
        let begun = Instant::now();
        let pending = || shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending().insert(operation, begun);
        let result = write(&shared.pool, shared.manner, operation, writer).await;
        let ended = Instant::now();
        let heard = shared.sabotage.answer(Heard::of(&result, ended - begun));
        shared.journal.ended(operation, heard.answer)?;
        pending().remove(&operation);
        let failed = heard.answer != Answer::Acknowledged;
        if !failed {
            shared.acknowledged.fetch_add(1, Ordering::AcqRel);
        }
        shared.operations.lock().unwrap_or_else(PoisonError::into_inner).push(Operation {
            begun,
            ended,
            heard,
        });
        if failed {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(())
}

/// Writes an operation and its row in the ledger, in one transaction.
pub(crate) async fn write(
    pool: &Pool,
    manner: Manner,
    operation: i64,
    writer: u32,
) -> Result<Commit, pg_session::Error> {
    let options = TransactionOptions {
        resolve_lost_commit: manner.resolves,
        ..TransactionOptions::default()
    };
    let mut session = pool.acquire().await.map_err(Box::new)?;
    let mut transaction = session.begin(&options).await?;
    insert(&mut transaction, operation, writer).await?;
    transaction.commit().await
}

/// The two rows of an operation.
pub(crate) async fn insert(
    executor: &mut pg_session::Executor,
    operation: i64,
    writer: u32,
) -> Result<(), pg_session::Error> {
    let payload = payload(operation);
    let writer = writer.cast_signed();
    executor
        .execute(
            "INSERT INTO drill_target (op_id, payload) VALUES ($1, $2)",
            &[&operation, &payload],
        )
        .await?;
    executor
        .execute(
            "INSERT INTO drill_ledger (op_id, writer, seq, payload) VALUES ($1, $2, $1, $3)",
            &[&operation, &writer, &payload],
        )
        .await?;
    Ok(())
}

impl Tally {
    /// Writes that were under way when the fault came.
    pub(crate) fn in_flight(&self) -> u64 {
        let Some(fault) = self.fault else { return 0 };
        let overlaps = |one: &&Operation| one.begun <= fault && fault <= one.ended;
        self.operations.iter().filter(overlaps).count() as u64 + self.unanswered as u64
    }

    /// How often each answer was given.
    pub(crate) fn counts(&self) -> Counts {
        let of = |answer| self.journal.values().filter(|one| **one == answer).count() as u64;
        Counts {
            acknowledged: of(Answer::Acknowledged),
            not_applied: of(Answer::NotApplied),
            unknown: of(Answer::Unknown),
            in_flight: self.in_flight(),
            unknown_present: 0,
        }
    }

    /// What happened when, from the fault on.
    pub(crate) fn timeline(&self) -> Timeline {
        let mut timeline = Timeline::default();
        for one in &self.operations {
            let took = one.ended - one.begun;
            timeline.longest_call_ms = timeline.longest_call_ms.max(millis(took));
            if let Some(class) = one.heard.class {
                *timeline.errors.entry(class.name().to_owned()).or_default() += 1;
            }
        }
        let Some(fault) = self.fault else { return timeline };
        timeline.cleared_ms = self.cleared.map(|at| millis(at - fault));
        let errors = self.operations.iter().filter(|one| one.heard.class.is_some());
        let first_error = errors.map(|one| one.ended).filter(|at| *at >= fault).min();
        timeline.first_error_ms = first_error.map(|at| millis(at - fault));
        if let Some(error) = first_error {
            let successes = self.operations.iter().filter(|one| one.heard.class.is_none());
            let first = successes.filter(|one| one.begun >= error).map(|one| one.ended).min();
            timeline.first_success_ms = first.map(|at| millis(at - fault));
        }
        timeline
    }

    /// The errors that callers saw, by class.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (Class, &Heard)> {
        self.operations.iter().filter_map(|one| Some((one.heard.class?, &one.heard)))
    }
}

/// Milliseconds with a fraction.
pub(crate) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
