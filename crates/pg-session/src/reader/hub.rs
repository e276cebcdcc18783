//! The lines of a reader: opened in the background, chosen for each read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::{Row, Statement};

use super::line::Line;
use super::value::Value;
use super::{ReaderOptions, ReaderStatus};
use crate::config::Config;
use crate::connection::Failed;
use crate::error::{Error, Outcome};
use crate::pool::{
    AcquireError, AcquireFailure, ConnectFailure, Pool, RECONNECT_PAUSE, REFUSAL_MEMORY, Shared,
    Waiting, lock,
};
use crate::random::Backoff;
use crate::statements::{Effect, Prepared, effect};

/// How often the lines are looked after when nothing calls for it.
const INTERVAL: Duration = Duration::from_secs(1);

/// What all handles of a reader, its reads and its maintenance share.
pub(super) struct Hub {
    pub(super) pool: Arc<Shared>,
    pub(super) options: ReaderOptions,
    config: Config,
    lines: Mutex<Vec<Arc<Line>>>,
    seats: Arc<Semaphore>,
    waiting: AtomicUsize,
    last_connect_error: Mutex<Option<ConnectFailure>>,
    /// Wakes callers: there is a new line, or none can be had.
    changed: Notify,
    /// Wakes the maintenance task.
    attention: Arc<Notify>,
}

/// A read's place on a line.
pub(super) struct Seat {
    hub: Arc<Hub>,
    line: Arc<Line>,
    _permit: OwnedSemaphorePermit,
}

/// The time that a read has.
#[derive(Clone, Copy)]
pub(super) struct Time {
    pub(super) deadline: Instant,
    pub(super) allowed: Duration,
}

impl Time {
    /// When a line that still owes an answer is taken for dead. What is queued on
    /// it behind a read that came late gets its own time.
    fn patience(self) -> Instant {
        self.deadline + self.allowed
    }
}

/// The rows of a read and whether these are all.
type Answer = Result<(Vec<Row>, bool), Error>;

impl Hub {
    pub(super) fn open(pool: &Pool, options: ReaderOptions) -> Result<Arc<Self>, Error> {
        options.check()?;
        let pool = Arc::clone(pool.shared());
        let mut config = pool.config.clone();
        config.read_only = true;
        if let Some(target) = options.target {
            config = config.target_session(target);
        }
        let seats = usize::try_from(options.seats()).unwrap_or(usize::MAX);
        let hub = Arc::new(Self {
            pool,
            options,
            config,
            lines: Mutex::default(),
            seats: Arc::new(Semaphore::new(seats)),
            waiting: AtomicUsize::new(0),
            last_connect_error: Mutex::default(),
            changed: Notify::new(),
            attention: Arc::new(Notify::new()),
        });
        look_after(&hub);
        Ok(hub)
    }

    pub(super) fn status(&self) -> ReaderStatus {
        let lines = lock(&self.lines);
        ReaderStatus {
            connections: lines.len(),
            reads: lines.iter().map(|line| line.reads()).sum(),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    /// Takes a place on the line with the least to do.
    pub(super) async fn board(self: &Arc<Self>) -> Result<Seat, Error> {
        let deadline = Instant::now() + self.pool.options.acquire_timeout;
        self.still_open()?;
        if let Ok(permit) = Arc::clone(&self.seats).try_acquire_owned()
            && let Some(line) = self.pick()
        {
            return Ok(Seat { hub: Arc::clone(self), line, _permit: permit });
        }
        let waiting = Waiting::begin(&self.waiting);
        let permit = timeout_at(deadline, Arc::clone(&self.seats).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            drop(waiting);
            return Err(self.failure(AcquireFailure::Exhausted));
        };
        loop {
            let changed = self.changed.notified();
            self.still_open()?;
            if let Some(line) = self.pick() {
                return Ok(Seat { hub: Arc::clone(self), line, _permit: permit });
            }
            let refused =
                lock(&self.last_connect_error).as_ref().is_some_and(ConnectFailure::is_final);
            if refused || timeout_at(deadline, changed).await.is_err() {
                return Err(self.failure(AcquireFailure::Connect));
            }
        }
    }

    fn pick(&self) -> Option<Arc<Line>> {
        let now = Instant::now();
        let lines = lock(&self.lines);
        let fit = lines.iter().filter(|line| line.is_fit(now));
        let line = fit.min_by_key(|line| line.burden(now));
        if let Some(line) = line {
            line.begin_read(now);
        } else {
            self.attention.notify_one();
        }
        line.map(Arc::clone)
    }

    /// Puts no more reads on lines that were there at that instant: what has ended one of
    /// them, such as a crash of the server, may have ended all, and only this one told.
    pub(super) fn retire_older(&self, instant: Instant) {
        let lines = lock(&self.lines);
        lines.iter().filter(|line| line.opened() <= instant).for_each(|line| line.retire());
        self.attention.notify_one();
    }

    /// Ends all lines but those with reads under way, which come to their end; whether
    /// there is none left.
    fn retire_all(&self) -> bool {
        let mut lines = lock(&self.lines);
        lines.iter().for_each(|line| line.retire());
        lines.retain(|line| !line.is_over());
        lines.is_empty()
    }

    /// That the pool is not closed.
    fn still_open(&self) -> Result<(), Error> {
        if self.pool.is_closed() {
            return Err(self.failure(AcquireFailure::Closed));
        }
        Ok(())
    }

    fn failure(&self, failure: AcquireFailure) -> Error {
        metrics::counter!("pg_session_acquire_failures_total").increment(1);
        let status = self.status();
        let last = lock(&self.last_connect_error).clone();
        Error::Acquire(Box::new(AcquireError {
            failure,
            waiting: status.waiting,
            out: status.reads,
            max: self.options.seats(),
            after: self.pool.options.acquire_timeout,
            last_connect_error: last.map(|last| last.error),
        }))
    }

    /// Forgets lines that are over and says how many there should be more.
    fn tidy(&self) -> usize {
        let mut lines = lock(&self.lines);
        lines.retain(|line| !line.is_over());
        usize::try_from(self.options.connections).unwrap_or(usize::MAX).saturating_sub(lines.len())
    }

    async fn connect(&self) -> Result<(), ConnectFailure> {
        let deadline = Instant::now() + self.pool.options.acquire_timeout;
        let link = self.pool.link(&self.config, deadline).await.map_err(ConnectFailure::now)?;
        let (opened, ended) = Line::new(link, &self.pool.options, self.pool.generation());
        let attention = Arc::clone(&self.attention);
        tokio::spawn(async move {
            let _ = ended.await;
            attention.notify_one();
        });
        lock(&self.lines).push(Arc::new(opened));
        Ok(())
    }
}

/// Starts the task that keeps the lines open. It ends when the last handle of
/// the reader is dropped or the pool is closed.
fn look_after(hub: &Arc<Hub>) {
    let weak = Arc::downgrade(hub);
    let attention = Arc::clone(&hub.attention);
    hub.pool.runtime.spawn(async move {
        let mut backoff = Backoff::new(RECONNECT_PAUSE);
        loop {
            let Some(hub) = weak.upgrade() else { return };
            if hub.pool.is_closed() {
                hub.changed.notify_waiters();
                if hub.retire_all() {
                    return;
                }
                drop(hub);
                let _ = timeout(INTERVAL, attention.notified()).await;
                continue;
            }
            if hub.tidy() > 0 {
                let failure = hub.connect().await.err();
                let wait = match &failure {
                    // Repeated logins with a wrong password get roles locked.
                    Some(failure) if failure.is_final() => Some(REFUSAL_MEMORY),
                    Some(_) => Some(backoff.pause()),
                    None => None,
                };
                *lock(&hub.last_connect_error) = failure;
                hub.changed.notify_waiters();
                drop(hub);
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => backoff.reset(),
                }
                continue;
            }
            drop(hub);
            let _ = timeout(INTERVAL, attention.notified()).await;
        }
    });
}

impl Seat {
    pub(super) fn line(&self) -> Arc<Line> {
        Arc::clone(&self.line)
    }

    /// The prepared statement for `sql`, from memory or from the server.
    pub(super) async fn prepare(&self, sql: &str, time: Time) -> Result<Prepared, Error> {
        let generation = self.hub.pool.generation();
        if let Some(prepared) = self.line.prepared(sql, generation) {
            return Ok(prepared);
        }
        let effect = effect(sql);
        if effect != Effect::None {
            return Err(Error::Client(
                "a shared connection takes reads that leave nothing behind — run this in a session"
                    .to_owned(),
            ));
        }
        // In a task of its own: the driver waits until someone takes its answers.
        let (line, text) = (self.line(), sql.to_owned());
        let task = self.hub.pool.runtime.spawn(async move {
            let prepared = timeout_at(time.patience(), line.client.prepare(&text)).await;
            prepared.inspect_err(|_| line.abort()).ok()
        });
        let lost = || Error::Lost { outcome: Outcome::NotApplied, cause: None };
        // No answer comes when the line is given up, and when the runtime shuts down.
        let prepared = task.await.ok().flatten().ok_or_else(lost)?;
        let statement = prepared.map_err(|error| self.judge(error))?;
        Ok(self.line.keep(sql, statement, effect))
    }

    /// Runs a read to its end, whether or not somebody still wants the answer.
    pub(super) async fn ride(
        self,
        statement: Statement,
        values: Vec<Value>,
        limit: usize,
        time: Time,
        answer: oneshot::Sender<Answer>,
    ) {
        let run = self.run(&statement, values, limit, &answer);
        match timeout_at(time.patience(), run).await {
            Ok(result) => drop(answer.send(result)),
            Err(_) => self.line.abort(),
        }
    }

    async fn run(
        &self,
        statement: &Statement,
        values: Vec<Value>,
        limit: usize,
        answer: &oneshot::Sender<Answer>,
    ) -> Answer {
        let read = async {
            let mut stream = std::pin::pin!(self.line.client.query_raw(statement, values).await?);
            let mut rows = Vec::new();
            let mut complete = true;
            while let Some(row) = stream.next().await {
                let row = row?;
                if rows.len() < limit && !answer.is_closed() {
                    rows.push(row);
                } else {
                    complete = false;
                }
            }
            Ok((rows, complete))
        };
        read.await.map_err(|error| self.judge(error))
    }

    /// An error of a read; a line that is unfit after it is given up.
    fn judge(&self, error: tokio_postgres::Error) -> Error {
        let Failed { mut error, usable } = Failed::from(error);
        if !usable {
            self.line.retire();
        }
        if let Error::Lost { outcome, cause } = &mut error {
            *outcome = Outcome::NotApplied;
            if cause.is_none() {
                *cause = self.line.said.last_words().map(Box::new);
            }
        }
        error
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let now = Instant::now();
        self.line.end_read(now);
        if !self.line.is_fit(now) {
            self.hub.attention.notify_one();
        }
    }
}
