//! What a measurement works with: the contract, the server, how long it may take, and who watches.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pg_session::{Config, Pool, PoolOptions};
use tokio::time::Instant;

use super::baseline::Pgbench;
use super::closed;
use super::generator::{Answer, Span, Stop, Stream, run};
use super::sample::Recording;
use super::watch::{Activity, Watch};
use crate::Error;
use crate::contract::Contract;
use crate::evidence::ServerFacts;

/// How long and how much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Under a minute in all.
    Quick,
    /// Minutes; every claim that the server can support.
    Standard,
    /// As standard, with phases ten times as long.
    Soak,
}

impl Profile {
    /// How long a phase measures under load.
    #[must_use]
    pub fn span(self) -> Span {
        let seconds = |warm_up, measured| Span {
            warm_up: Duration::from_secs(warm_up),
            measured: Duration::from_secs(measured),
            drain: Duration::from_secs(6),
        };
        match self {
            Self::Quick => seconds(2, 8),
            Self::Standard => seconds(5, 60),
            Self::Soak => seconds(10, 600),
        }
    }
}

/// What is being done, for people who wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// In a few words.
    pub doing: String,
    /// Operations a second over the last second.
    pub rate: Option<f64>,
    /// How long it still takes.
    pub left: Option<Duration>,
}

/// Whether and where a run may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Not at all; claims that need writing are unproven.
    No,
    /// In a schema of its own.
    Scratch,
    /// Anywhere: the server was made for the run and goes with it.
    Anywhere,
}

/// The surroundings of one measurement.
pub struct Bench<'a> {
    /// What is to be proven.
    pub contract: &'a Contract,
    /// Where the server is.
    pub config: Config,
    /// What it is.
    pub server: ServerFacts,
    /// How much is measured.
    pub profile: Profile,
    /// How long a phase measures under load; [`Profile::span`] unless there is a reason.
    pub span: Span,
    /// What all randomness starts with.
    pub seed: u64,
    /// Whether it may write.
    pub writes: Writes,
    /// pgbench, for the floor of the queries.
    pub pgbench: Option<Pgbench>,
    /// Turns true when the run is to end early.
    pub stop: Stop,
    /// Takes what is being done.
    pub progress: &'a (dyn Fn(&Progress) + Send + Sync),
}

impl std::fmt::Debug for Bench<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { config, profile, seed, writes, .. } = self;
        write!(out, "Bench({}, {profile:?}, seed {seed}, writes {writes:?})", config.address())
    }
}

impl Bench<'_> {
    /// Opens a pool as the contract has it, to `config`.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] when the server cannot be reached or the contract's limits cannot work.
    pub async fn pool(&self, config: Config) -> Result<Pool, Error> {
        let pool = &self.contract.model.pool;
        self.pool_of(config, pool.min, pool.max).await
    }

    /// The same with other numbers of connections.
    ///
    /// # Errors
    ///
    /// As [`Bench::pool`].
    pub async fn pool_of(&self, config: Config, min: u32, max: u32) -> Result<Pool, Error> {
        let pool = &self.contract.model.pool;
        let jit = if pool.jit { "on" } else { "off" };
        let config =
            config.application_name(pool.application_name.clone()).with_parameter("jit", jit);
        let options = PoolOptions {
            min,
            max,
            acquire_timeout: Duration::from_millis(pool.acquire_timeout_ms),
            command_timeout: Duration::from_millis(pool.command_timeout_ms),
            ..PoolOptions::default()
        };
        Ok(Pool::open(config, options).await?)
    }

    /// Where the queries of a contract may be run that is not trusted to read only.
    #[must_use]
    pub fn read_only(&self) -> Config {
        self.config.clone().with_parameter("default_transaction_read_only", "on")
    }

    /// Whether the run was asked to end.
    #[must_use]
    pub fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the run is asked to end.
    pub async fn until_stopped(&self) {
        if self.stop.clone().wait_for(|stop| *stop).await.is_err() {
            // Nobody is left who could ask for it.
            std::future::pending::<()>().await;
        }
    }

    /// Says what is being done.
    pub fn say(&self, doing: &str) {
        (self.progress)(&Progress { doing: doing.to_owned(), rate: None, left: None });
    }

    /// Runs streams of operations, tells how it goes, and watches the server meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] when the watching connection cannot be had.
    pub async fn open_loop<O, F>(
        &self,
        doing: &str,
        streams: &[Stream],
        span: Span,
        operate: O,
    ) -> Result<(Vec<Recording>, Activity), Error>
    where
        O: Fn(usize, u64) -> F,
        F: Future<Output = Answer> + Send + 'static,
    {
        let done = Arc::new(AtomicU64::new(0));
        let counted = |stream, nth| {
            let (operation, done) = (operate(stream, nth), Arc::clone(&done));
            async move {
                let answer = operation.await;
                done.fetch_add(1, Ordering::Relaxed);
                answer
            }
        };
        let work = run(streams, span, self.seed, &self.stop, counted);
        self.watched(doing, span, &done, work).await
    }

    /// Runs callers in a closed loop, as many as the first number says, on as many streams as the second
    /// says; tells how it goes, and watches the server meanwhile. See [`closed::run`].
    ///
    /// # Errors
    ///
    /// As [`Bench::open_loop`].
    pub async fn closed_loop<O, F>(
        &self,
        doing: &str,
        (callers, streams): (usize, usize),
        span: Span,
        operate: O,
    ) -> Result<(Vec<Recording>, Activity), Error>
    where
        O: Fn(usize, u64) -> (usize, F) + Clone + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let done = Arc::new(AtomicU64::new(0));
        let answers = Arc::clone(&done);
        let counted = move |caller, nth| {
            let ((stream, operation), done) = (operate(caller, nth), Arc::clone(&answers));
            let operation = async move {
                let answer = operation.await;
                done.fetch_add(1, Ordering::Relaxed);
                answer
            };
            (stream, operation)
        };
        let work = closed::run(callers, streams, span, &self.stop, counted);
        self.watched(doing, span, &done, work).await
    }

    /// Does some work of a known length under the eyes of a [`Watch`]; `done` counts its operations.
    ///
    /// # Errors
    ///
    /// As [`Bench::open_loop`].
    pub async fn watched<T>(
        &self,
        doing: &str,
        span: Span,
        done: &AtomicU64,
        work: impl Future<Output = T>,
    ) -> Result<(T, Activity), Error> {
        let watch = Watch::begin(&self.config, span.warm_up).await?;
        let begun = Instant::now();
        let whole = span.warm_up + span.measured;
        let telling = async {
            let mut before = 0;
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            loop {
                ticks.tick().await;
                let now = done.load(Ordering::Relaxed);
                #[expect(clippy::cast_precision_loss, reason = "a rate of one second")]
                let rate = (before > 0).then_some((now - before) as f64);
                before = now;
                let left = whole.saturating_sub(begun.elapsed());
                (self.progress)(&Progress { doing: doing.to_owned(), rate, left: Some(left) });
            }
        };
        let result = tokio::select! {
            result = work => result,
            never = telling => never,
        };
        Ok((result, watch.end().await))
    }
}
