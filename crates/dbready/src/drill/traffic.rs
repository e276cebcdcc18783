//! Traffic: writers that go through the layer while a fault is injected, and what they were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pg_session::{Class, Pool};
use tokio::task::JoinSet;

use super::examiner::Named;
use super::heard::Heard;
use super::journal::{Answer, Journal};
use super::record::{Counts, Timeline};
use super::sabotage::Sabotage;
use super::scene::Scene;
use super::work::Work;
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
    work: Work,
    journal: Journal,
    sabotage: Sabotage,
    next: AtomicI64,
    operations: Mutex<Vec<Operation>>,
    /// What came of reading acknowledged writes back.
    reads: Mutex<Vec<Heard>>,
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
    /// What came of reading acknowledged writes back.
    pub(crate) reads: Vec<Heard>,
    /// What shows the operations that are there.
    pub(crate) oracle: Named,
    /// The longest that a caller may have to wait.
    pub(crate) longest: Duration,
    /// Sessions that the workload may keep beside those of its pool.
    pub(crate) readers: u32,
}

/// The longest that callers still waiting are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(40);

impl Traffic {
    /// Starts writers of the ledger; their operations are numbered from `first`.
    pub(crate) fn start(
        scene: &mut Scene,
        pool: &Pool,
        manner: Manner,
        first: i64,
    ) -> Result<Self, Error> {
        let work = Work::Ledger { pool: pool.clone(), resolves: manner.resolves };
        Self::of(scene, work, manner.writers, first)
    }

    /// Starts writers of whatever work; their operations are numbered from `first`.
    pub(crate) fn of(
        scene: &mut Scene,
        work: Work,
        writers: u32,
        first: i64,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            work,
            journal: scene.journal()?,
            sabotage: scene.sabotage.clone(),
            next: AtomicI64::new(first),
            operations: Mutex::default(),
            reads: Mutex::default(),
            pending: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            tasks.spawn(write_on(Arc::clone(&shared), writer));
        }
        Ok(Self { shared, writers: tasks, fault: None, cleared: None })
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
        let work = &self.shared.work;
        Ok(Tally {
            journal: self.shared.journal.read()?,
            operations: taken(&self.shared.operations),
            fault: self.fault,
            cleared: self.cleared,
            unanswered,
            reads: taken(&self.shared.reads),
            oracle: work.oracle(),
            longest: work.longest(),
            readers: work.readers(),
        })
    }
}

fn taken<T>(list: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *list.lock().unwrap_or_else(PoisonError::into_inner))
}

/// One writer: writes until told to stop, and reads back what was acknowledged.
async fn write_on(shared: Arc<Shared>, writer: u32) -> Result<(), Error> {
    while !shared.stop.load(Ordering::Acquire) {
        let operation = shared.next.fetch_add(1, Ordering::AcqRel);
        shared.journal.sent(operation)?;
        let begun = Instant::now();
        let pending = || shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending().insert(operation, begun);
        let heard = shared.sabotage.answer(shared.work.write(operation, writer).await);
        let ended = Instant::now();
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
        } else if let Some(read) = shared.work.read(operation).await {
            shared.reads.lock().unwrap_or_else(PoisonError::into_inner).push(read);
        }
    }
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
        let mut counts = Counts { in_flight: self.in_flight(), ..Counts::default() };
        self.journal.values().for_each(|answer| counts.add(*answer));
        counts
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
