//! Single records that share commits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pg_session::Outcome;
use tokio::sync::{Mutex as Door, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::attempts::{Attempts, is_refusal};
use super::batch::insert;
use super::record::IngestRecord;
use super::{BatchId, Ingest};
use crate::error::Error;
use crate::models::{now, oldest_writable};

/// How a writer works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// Commits under way at once, each with a session of its own. Default 2: while
    /// they wait for the disk, records gather for the next.
    pub commits: usize,
    /// Records of one commit at most. Default 500.
    pub records: usize,
    /// Records that wait at most; further callers wait for their place. Default
    /// 10,000.
    pub waiting: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { commits: 2, records: 500, waiting: 10_000 }
    }
}

/// One record and whoever waits for it.
struct Job<R> {
    record: R,
    answer: oneshot::Sender<Result<(), Arc<Error>>>,
}

/// Takes single records from many tasks and stores those that come together in
/// one commit.
///
/// Every record is acknowledged after its commit and not before. A record that the
/// server refuses does not keep its neighbours back. Memory is bounded: when
/// [`waiting`](WriterOptions::waiting) records wait, [`write`](Self::write) waits
/// too. A lost connection is survived: what was not applied is sent again, and so
/// is what may have been, under the same batch id, which makes it take effect once.
pub struct Writer<R> {
    /// None once the writer is closed.
    jobs: Mutex<Option<mpsc::Sender<Job<R>>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Ingest {
    /// Starts a writer. It runs until [`Writer::close`], or until it is dropped and
    /// has stored what it had taken.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn writer<R: IngestRecord>(&self, options: WriterOptions) -> Writer<R> {
        let (jobs, receiver) = mpsc::channel(options.waiting.max(1));
        let receiver = Arc::new(Door::new(receiver));
        let tasks = (0..options.commits.max(1)).map(|_| {
            let work = work(self.clone(), Arc::clone(&receiver), options.records.max(1));
            tokio::spawn(work)
        });
        Writer { tasks: Mutex::new(tasks.collect()), jobs: Mutex::new(Some(jobs)) }
    }
}

impl<R: IngestRecord> Writer<R> {
    /// Stores a record and returns once it is committed. Dropping the future before
    /// that leaves open whether the record is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] at once for a record that breaks the contract;
    /// [`Error::Shared`] with the error of the record's commit: the record is then
    /// not stored, unless the outcome is unknown; [`Error::WriterClosed`].
    pub async fn write(&self, record: R) -> Result<(), Error> {
        record.check(oldest_writable(now()))?;
        let (answer, answered) = oneshot::channel();
        let jobs = lock(&self.jobs).clone();
        let closed = |outcome| Error::WriterClosed { outcome };
        let jobs = jobs.ok_or(closed(Outcome::NotApplied))?;
        let sent = jobs.send(Job { record, answer }).await;
        sent.map_err(|_| closed(Outcome::NotApplied))?;
        answered.await.map_err(|_| closed(Outcome::Unknown))?.map_err(Error::Shared)
    }

    /// Takes no more records, and returns once those that were taken are stored or
    /// their writers were told why not.
    pub async fn close(&self) {
        drop(lock(&self.jobs).take());
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        for task in tasks {
            // A task that panicked has dropped its records, whose writers were told.
            let _ = task.await;
        }
    }
}

/// Nothing that panics runs while one of these is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stores groups of records until no writer is left.
async fn work<R: IngestRecord>(
    ingest: Ingest,
    jobs: Arc<Door<mpsc::Receiver<Job<R>>>>,
    most: usize,
) {
    loop {
        let mut group = Vec::new();
        // Those who come while this waits for the next record find the door closed
        // and form the group after it.
        let taken = jobs.lock().await.recv_many(&mut group, most).await;
        if taken == 0 {
            return;
        }
        store(&ingest, group).await;
    }
}

/// Stores a group, or the parts of it that the server takes.
async fn store<R: IngestRecord>(ingest: &Ingest, group: Vec<Job<R>>) {
    let mut left = vec![group];
    while let Some(mut group) = left.pop() {
        match commit(ingest, &group).await {
            Ok(()) => answer(group, || Ok(())),
            Err(error) if group.len() > 1 && is_refusal(&error) => {
                let second = group.split_off(group.len() / 2);
                left.extend([second, group]);
            }
            Err(error) => {
                let error = Arc::new(Error::from(error));
                answer(group, || Err(Arc::clone(&error)));
            }
        }
    }
}

fn answer<R>(group: Vec<Job<R>>, answer: impl Fn() -> Result<(), Arc<Error>>) {
    for job in group {
        // Whoever no longer waits does not want to know.
        let _ = job.answer.send(answer());
    }
}

/// One statement, which is its own transaction, under an id of its own.
async fn commit<R: IngestRecord>(
    ingest: &Ingest,
    group: &[Job<R>],
) -> Result<(), pg_session::Error> {
    let id = BatchId::new();
    let records: Vec<&R> = group.iter().map(|job| &job.record).collect();
    let mut attempts = Attempts::new(ingest.retry);
    loop {
        let attempt = async {
            let mut session = ingest.pool.acquire().await.map_err(Box::new)?;
            insert(&mut session, Some(id), &records).await
        };
        match attempt.await {
            Ok(()) => return Ok(()),
            Err(error) => attempts.again(error).await?,
        }
    }
}
