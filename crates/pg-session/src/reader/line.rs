//! One connection that many reads share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use tokio_postgres::{Client, Statement};

use crate::connect::{Link, Said};
use crate::lineage::Descent;
use crate::pool::{PoolOptions, lifetime, lock};
use crate::statements::{Effect, Prepared, Statements};

/// A line that owes an answer for longer is avoided.
const STUCK_AFTER: Duration = Duration::from_millis(20);

pub(super) struct Line {
    pub(super) client: Client,
    pub(super) said: Said,
    task: AbortHandle,
    opened: Instant,
    expires: Instant,
    descent: Option<Descent>,
    retired: AtomicBool,
    reads: AtomicUsize,
    /// When the last answer came, or the first question after a rest was asked;
    /// in microseconds since the line was opened.
    progress: AtomicU64,
    known: Mutex<Known>,
}

/// What the line has prepared, and since which change of the schema.
struct Known {
    statements: Statements,
    generation: u64,
}

impl Known {
    fn enter(&mut self, generation: u64, client: &Client) {
        if self.generation != generation {
            self.generation = generation;
            self.statements.clear();
            client.clear_type_cache();
        }
    }
}

impl Line {
    /// The line, and the task that ends with its connection.
    pub(super) fn new(
        link: Link,
        options: &PoolOptions,
        generation: u64,
    ) -> (Self, JoinHandle<()>) {
        let now = Instant::now();
        let opened = Self {
            client: link.client,
            said: link.said,
            task: link.task.abort_handle(),
            opened: now,
            expires: now + lifetime(options),
            descent: link.descent,
            retired: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
            progress: AtomicU64::new(0),
            known: Mutex::new(Known { statements: Statements::new(options), generation }),
        };
        (opened, link.task)
    }

    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// Whether it may take another read.
    pub(super) fn is_fit(&self, now: Instant) -> bool {
        !self.retired.load(Ordering::Acquire)
            && !self.client.is_closed()
            && now < self.expires
            && self.descent.as_ref().is_none_or(Descent::is_current)
    }

    /// Whether nothing more is to come from it and it is not to be used.
    pub(super) fn is_over(&self) -> bool {
        self.client.is_closed() || (!self.is_fit(Instant::now()) && self.reads() == 0)
    }

    /// Lets reads under way come to their end and takes no others.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Ends the connection, whatever is under way.
    pub(super) fn abort(&self) {
        self.retire();
        self.task.abort();
    }

    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::Acquire)
    }

    /// How little this line is to be preferred.
    pub(super) fn burden(&self, now: Instant) -> (bool, usize) {
        let reads = self.reads();
        let owed_for = self.age(now).saturating_sub(self.progress.load(Ordering::Relaxed));
        (reads > 0 && u128::from(owed_for) > STUCK_AFTER.as_micros(), reads)
    }

    pub(super) fn begin_read(&self, now: Instant) {
        if self.reads.fetch_add(1, Ordering::AcqRel) == 0 {
            self.note_progress(now);
        }
    }

    pub(super) fn end_read(&self, now: Instant) {
        self.note_progress(now);
        self.reads.fetch_sub(1, Ordering::AcqRel);
    }

    fn note_progress(&self, now: Instant) {
        self.progress.store(self.age(now), Ordering::Relaxed);
    }

    fn age(&self, now: Instant) -> u64 {
        u64::try_from((now - self.opened).as_micros()).unwrap_or(u64::MAX)
    }

    /// The statement that was prepared for `sql`.
    pub(super) fn prepared(&self, sql: &str, generation: u64) -> Option<Prepared> {
        let mut known = lock(&self.known);
        known.enter(generation, &self.client);
        known.statements.get(sql)
    }

    /// Keeps what was prepared for `sql`.
    pub(super) fn keep(&self, sql: &str, statement: Statement, effect: Effect) -> Prepared {
        lock(&self.known).statements.put(sql, statement, effect)
    }
}
