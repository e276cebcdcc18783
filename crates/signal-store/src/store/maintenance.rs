//! What must be done again and again so that nothing grows without limit, in one call
//! and in one task.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{Cleanup, Retention, Store};
use crate::error::Error;

/// What is looked after, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// For how long records are kept. Default: as the contract says.
    pub retention: Retention,
    /// For how long the ledger remembers a batch, which is not to be sent again after
    /// that. Default 7 days.
    pub remember_batches: Duration,
    /// How often rollups are refreshed. Default one minute.
    pub refresh_every: Duration,
    /// How often what is old is removed. Default one hour.
    pub clean_every: Duration,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            remember_batches: Duration::from_hours(7 * 24),
            refresh_every: Duration::from_mins(1),
            clean_every: Duration::from_hours(1),
        }
    }
}

/// What one round of maintenance did.
#[derive(Debug)]
#[must_use = "a part may have failed"]
pub struct Maintained {
    /// Rollups that were computed anew.
    pub refreshed: u64,
    /// Records that were removed, table by table.
    pub cleanup: Option<Cleanup>,
    /// Batches that the ledger no longer remembers.
    pub forgotten: u64,
    /// Rollups of chunks that are gone.
    pub pruned: u64,
    /// Why a part was not done, or not to its end. The others were.
    pub failures: Vec<Error>,
}

impl Maintained {
    /// The first failure, also of a single table.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        let tables = self.cleanup.as_ref().and_then(Cleanup::failure);
        self.failures.first().or(tables)
    }
}

impl Store {
    /// Does everything that must be done again and again: refreshes rollups, removes
    /// records that are older than they are kept, lets the ledger forget old batches,
    /// and removes rollups of chunks that are gone. Several callers, also in other
    /// processes, do no harm to each other. A future that is dropped keeps what was
    /// done before.
    ///
    /// [`maintained`](Self::maintained) does so in a task of its own.
    pub async fn maintain(&self, maintenance: &Maintenance) -> Maintained {
        let mut failures = Vec::new();
        let mut note = |error| failures.push(error);
        let refreshed = self.rollups().refresh_rollups().await.map_err(&mut note).unwrap_or(0);
        let cleanup = self.cleanup_old_data(&maintenance.retention).await.map_err(&mut note).ok();
        let age = maintenance.remember_batches;
        let forgotten = self.ingest().prune_batches(age).await.map_err(&mut note).unwrap_or(0);
        let pruned = self.rollups().prune_rollups().await.map_err(&mut note).unwrap_or(0);
        Maintained { refreshed, cleanup, forgotten, pruned, failures }
    }

    /// Starts a task that does as [`maintain`](Self::maintain), now and so often as
    /// `maintenance` says. What fails is counted, and tried again the next time.
    /// Every service that writes should hold one of these, or call `maintain` itself:
    /// without it rollups grow stale, and table and ledger grow for ever.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use = "dropping it stops the task"]
    pub fn maintained(&self, maintenance: Maintenance) -> Maintainer {
        let (stop, stopped) = watch::channel(false);
        let failures = Arc::new(Mutex::new(Failures::default()));
        let work = work(self.clone(), maintenance, stopped, Arc::clone(&failures));
        Maintainer { stop, failures, task: tokio::spawn(work) }
    }
}

#[derive(Debug, Default)]
struct Failures {
    count: u64,
    last: Option<String>,
}

impl Failures {
    fn note(failures: &Mutex<Self>, error: &Error) {
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.count += 1;
        failures.last = Some(error.to_string());
    }
}

/// A task that looks after a store's database. Dropping this ends it at once, and
/// what it was at is cancelled.
pub struct Maintainer {
    stop: watch::Sender<bool>,
    failures: Arc<Mutex<Failures>>,
    task: JoinHandle<()>,
}

impl Maintainer {
    /// How often a round has failed, in whole or in part.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// What the last failure said.
    #[must_use]
    pub fn last_failure(&self) -> Option<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).last.clone()
    }

    /// Ends the task, after the work that it is at.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // A task that panicked has ended too.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Maintainer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn work(
    store: Store,
    maintenance: Maintenance,
    mut stopped: watch::Receiver<bool>,
    failures: Arc<Mutex<Failures>>,
) {
    let mut clean = Instant::now();
    loop {
        let begun = Instant::now();
        if begun >= clean {
            clean = begun + maintenance.clean_every;
            let done = store.maintain(&maintenance).await;
            if let Some(error) = done.failure() {
                Failures::note(&failures, error);
            }
        } else if let Err(error) = store.rollups().refresh_rollups().await {
            Failures::note(&failures, &error);
        }
        let next = begun + maintenance.refresh_every.min(maintenance.clean_every);
        if timeout_at(next, stopped.changed()).await.is_ok() {
            return;
        }
    }
}
