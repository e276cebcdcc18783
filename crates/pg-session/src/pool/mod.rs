//! Connections kept open and lent out one caller at a time.
//!
//! The pool is its own rather than a wrapper around deadpool: it has to decide
//! at the return, not at the next checkout, whether a connection is fit for
//! another caller; it has to bound the statement memory; and its acquire error
//! has to carry the typed connect error. What remains is a semaphore and a list.

mod error;
mod lease;
mod maintenance;
mod options;
mod status;

use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

pub use self::error::{AcquireError, AcquireFailure};
pub(crate) use self::lease::Lease;
use self::lease::Place;
pub use self::options::PoolOptions;
pub(crate) use self::options::lifetime;
pub use self::status::{Health, Holder, Status};
use crate::Secret;
use crate::config::{Config, Credentials, TargetSession};
use crate::connect;
use crate::connection::Connection;
use crate::error::{Class, Error};
use crate::journal;
use crate::lineage::Lineage;
use crate::random::Backoff;
use crate::session::Session;
use crate::tls::Connector;

/// The pauses between attempts to connect: from, and to at most.
pub(crate) const RECONNECT_PAUSE: (Duration, Duration) =
    (Duration::from_millis(20), Duration::from_millis(500));

/// The time for a sign of life of a connection that has been idle for long.
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);

/// For how long a refused login is not tried again, whoever asks.
pub(crate) const REFUSAL_MEMORY: Duration = Duration::from_secs(1);

/// For how long other credentials are waited for when the server refuses those with
/// which it took us before, and how often they are looked at.
const RENEWAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(50));

/// The time between two evictions.
const EVICTION_PAUSE: Duration = Duration::from_secs(1);

/// Connections to one database, lent to one caller at a time. Cloning gives
/// another handle to the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

/// What all handles, sessions and the maintenance task share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// The password that [`Pool::set_password`] has given.
    password: Mutex<Option<Secret>>,
    pub(crate) connector: Connector,
    pub(crate) options: PoolOptions,
    pub(crate) runtime: tokio::runtime::Handle,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    holders: Mutex<Holders>,
    last_connect_error: Mutex<Option<ConnectFailure>>,
    closed: AtomicBool,
    /// Wakes the maintenance task.
    attention: Arc<Notify>,
    /// Counts schema changes noticed; connections forget their statements when it moves.
    generation: AtomicU64,
    /// Counts evictions; connections of an earlier era are closed instead of lent.
    era: AtomicU64,
    last_eviction: Mutex<Option<Instant>>,
    /// What its primaries have in common, where several servers are named.
    lineage: Option<Arc<Lineage>>,
    pub(crate) retry_budget: crate::retry::Budget,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    waiting: AtomicUsize,
    acquired: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
    quarantined: AtomicU64,
    acquire_failures: AtomicU64,
}

#[derive(Default)]
struct Holders {
    next: u64,
    known: HashMap<u64, Hold>,
}

/// An attempt to connect that failed.
#[derive(Clone)]
pub(crate) struct ConnectFailure {
    pub(crate) error: Arc<Error>,
    at: Instant,
}

impl ConnectFailure {
    pub(crate) fn now(error: Error) -> Self {
        tracing::debug!(%error, "connecting failed");
        journal::failed(&error);
        metrics::counter!("pg_session_connect_failures_total").increment(1);
        Self { error: Arc::new(error), at: Instant::now() }
    }

    /// Whether trying again soon could end better.
    fn may_pass(&self) -> bool {
        matches!(self.error.class(), Class::Connect | Class::Unavailable | Class::Lost)
    }

    /// Whether the deadline cut the attempt short.
    fn is_timeout(&self) -> bool {
        matches!(*self.error, Error::ConnectTimeout { .. })
    }

    /// Whether the server itself refused, at that instant or later.
    fn is_refusal_since(&self, begun: Option<Instant>) -> bool {
        self.error.server().is_some() && begun.is_none_or(|begun| self.at >= begun)
    }

    /// Whether callers are told of it instead of trying again: repeated logins
    /// with a wrong password get roles locked.
    pub(crate) fn is_final(&self) -> bool {
        !self.may_pass() && self.at.elapsed() < REFUSAL_MEMORY
    }
}

struct Hold {
    since: Instant,
    location: &'static Location<'static>,
    reported: bool,
}

impl Pool {
    /// Opens a pool and its first `min` connections, on the current tokio runtime.
    ///
    /// Sessions get `statement_timeout` and `jit=off` unless URL or environment
    /// set them otherwise in `options`.
    ///
    /// # Errors
    /// [`Error::Config`] for limits that cannot work; the errors of
    /// [`connect`](crate::connect()) if the database cannot be reached.
    pub async fn open(config: Config, options: PoolOptions) -> Result<Self, Error> {
        options.check()?;
        let config = config
            .with_default_parameter("jit", "off")
            .with_default_parameter(
                "statement_timeout",
                &options.command_timeout.as_millis().to_string(),
            )
            .connect_timeout(options.acquire_timeout);
        let connector = Connector::new(&config)?;
        let lineage = (config.servers.len() > 1).then(Arc::default);
        let max = usize::try_from(options.max).unwrap_or(usize::MAX);
        let pool = Self(Arc::new(Shared {
            config,
            password: Mutex::default(),
            connector,
            options,
            runtime: tokio::runtime::Handle::current(),
            places: Arc::new(Semaphore::new(max)),
            idle: Mutex::default(),
            holders: Mutex::default(),
            last_connect_error: Mutex::default(),
            closed: AtomicBool::new(false),
            attention: Arc::new(Notify::new()),
            generation: AtomicU64::new(0),
            era: AtomicU64::new(0),
            last_eviction: Mutex::default(),
            lineage,
            retry_budget: crate::retry::Budget::default(),
            counts: Counts::default(),
        }));
        let deadline = Instant::now() + pool.0.options.acquire_timeout;
        for _ in 0..pool.0.options.min {
            let link = pool.0.link(&pool.0.config, deadline).await.inspect_err(journal::failed)?;
            pool.0.put_idle(pool.0.admit(link));
        }
        maintenance::start(&pool.0);
        journal::ran("connect");
        Ok(pool)
    }

    /// Lends a session to the caller until it is dropped. Callers are served in
    /// the order in which they came; while the server cannot be reached, attempts
    /// to connect go on until the deadline.
    ///
    /// # Errors
    /// [`AcquireError`] after [`PoolOptions::acquire_timeout`]; at once if the pool
    /// is closed or the server refuses the login, after a second where it took it
    /// before.
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<Session, AcquireError>> + Send + use<> {
        let location = Location::caller();
        let shared = Arc::clone(&self.0);
        async move {
            let begun = Instant::now();
            let session = Shared::acquire(&shared, begun, location).await;
            metrics::histogram!("pg_session_acquire_seconds").record(begun.elapsed());
            if let Err(error) = &session {
                journal::failed(&Error::Acquire(Box::new(error.clone())));
            }
            if session.is_ok() {
                shared.counts.acquired.fetch_add(1, Ordering::Relaxed);
            } else {
                shared.counts.acquire_failures.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("pg_session_acquire_failures_total").increment(1);
            }
            session
        }
    }

    /// Closes the pool: idle connections now, others as they come back. Callers
    /// that wait get [`AcquireFailure::Closed`].
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.places.close();
        let idle = std::mem::take(&mut *lock(&self.0.idle));
        self.0.counts.closed.fetch_add(idle.len() as u64, Ordering::Relaxed);
        self.0.attention.notify_one();
        journal::ran("disconnect");
    }

    /// Gives the password for connections made from now on, those of readers
    /// included; open ones go on. It takes the place of the configuration's password
    /// and of the password file.
    ///
    /// Change the password on the server, then here: a login that is refused in
    /// between is tried once more with the new password, if that comes within a second.
    pub fn set_password(&self, password: Secret) {
        *lock(&self.0.password) = Some(password);
        // What was said of the old one is no word on this one.
        lock(&self.0.last_connect_error).take_if(|last| !last.may_pass());
        self.0.attention.notify_one();
    }

    /// The limits that the pool was opened with.
    #[must_use]
    pub fn options(&self) -> &PoolOptions {
        &self.0.options
    }

    /// `host:port/database`, without credentials.
    #[must_use]
    pub fn address(&self) -> String {
        self.0.config.address()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Shared {
    pub(crate) async fn acquire(
        shared: &Arc<Self>,
        begun: Instant,
        location: &'static Location<'static>,
    ) -> Result<Session, AcquireError> {
        let deadline = begun + shared.options.acquire_timeout;
        let permit = shared.wait_for_place(deadline).await?;
        let place = Place::take(shared, permit, location);
        if let Some(connection) = shared.take_fresh() {
            return Ok(Session::new(Lease::new(connection, Arc::clone(shared), place)));
        }
        // In a task of its own, so that what a caller began who has given up serves
        // the next one. Were it thrown away, callers with little patience would
        // keep a slow server from ever getting a connection.
        let (sender, session) = oneshot::channel();
        let task = Self::find(Arc::clone(shared), place, deadline, sender);
        shared.runtime.spawn(task);
        // The task ends without an answer only when the runtime shuts down.
        session.await.unwrap_or_else(|_| Err(shared.failure(AcquireFailure::Closed)))
    }

    /// Makes a session of an idle connection that shows a sign of life, or of a
    /// new one. One that nobody waits for any more returns to the pool.
    async fn find(
        shared: Arc<Self>,
        place: Place,
        deadline: Instant,
        answer: oneshot::Sender<Result<Session, AcquireError>>,
    ) {
        let mut backoff = Backoff::new(RECONNECT_PAUSE);
        loop {
            let may_pass = match shared.take_checked(deadline).await {
                Ok(connection) => {
                    let lease = Lease::new(connection, Arc::clone(&shared), place);
                    let _ = answer.send(Ok(Session::new(lease)));
                    return;
                }
                Err(may_pass) => may_pass,
            };
            let wait = backoff.pause();
            if !may_pass || shared.is_closed() || Instant::now() + wait >= deadline {
                drop(place);
                let _ = answer.send(Err(shared.failure(AcquireFailure::Connect)));
                return;
            }
            if answer.is_closed() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn wait_for_place(
        &self,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = Waiting::begin(&self.counts.waiting);
        let permit = timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await;
        drop(waiting);
        match permit {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(self.failure(AcquireFailure::Closed)),
            Err(_) => Err(self.failure(AcquireFailure::Exhausted)),
        }
    }

    /// The idle connection used last, if that was of late.
    fn take_fresh(&self) -> Option<Connection> {
        let mut idle = lock(&self.idle);
        let last = idle.last()?;
        let fresh = last.is_fit(self.era()) && last.returned.elapsed() < self.options.check_after;
        if fresh { idle.pop() } else { None }
    }

    /// An idle connection that shows a sign of life, or a new one; else whether
    /// trying again could end better.
    async fn take_checked(&self, deadline: Instant) -> Result<Connection, bool> {
        if let Some(connection) = self.take_idle(deadline).await {
            return Ok(connection);
        }
        if lock(&self.last_connect_error).as_ref().is_some_and(ConnectFailure::is_final) {
            return Err(false);
        }
        self.connect(deadline).await.map_err(|failure| failure.may_pass())
    }

    /// The idle connection used last, if one is alive.
    async fn take_idle(&self, deadline: Instant) -> Option<Connection> {
        loop {
            let mut connection = lock(&self.idle).pop()?;
            if connection.is_fit(self.era()) {
                let deadline = deadline.min(Instant::now() + CHECK_TIMEOUT);
                if matches!(timeout_at(deadline, connection.batch("")).await, Ok(Ok(()))) {
                    return Some(connection);
                }
                connection.task.abort();
            }
            self.count_closed();
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, ConnectFailure> {
        match self.link(&self.config, deadline).await {
            Ok(link) => Ok(self.admit(link)),
            Err(error) => {
                let failure = ConnectFailure::now(error);
                // What the server said before in this wait says more than that time is up.
                let begun = deadline.checked_sub(self.options.acquire_timeout);
                let mut last = lock(&self.last_connect_error);
                let refused = last.as_ref().is_some_and(|last| last.is_refusal_since(begun));
                if !(refused && failure.is_timeout()) {
                    *last = Some(failure.clone());
                }
                Err(failure)
            }
        }
    }

    /// Opens a connection with the credentials that are valid now. When the server
    /// refuses them it is asked once more, with other credentials if there are any:
    /// they may have changed since they were read.
    pub(crate) async fn link(
        &self,
        config: &Config,
        deadline: Instant,
    ) -> Result<connect::Link, Error> {
        let used = config.credentials(lock(&self.password).clone());
        // Boxed, for callers' futures would hold both attempts.
        let open = async |credentials: &Credentials| {
            let lineage = self.lineage.as_ref();
            let open = connect::open(config, &self.connector, credentials, lineage, deadline);
            Box::pin(open).await
        };
        let refused = match open(&used).await {
            Err(refused @ Error::Authentication { .. }) => refused,
            other => return other,
        };
        match self.renewed(config, &used, deadline).await {
            Some(renewed) => open(&renewed).await,
            None => Err(refused),
        }
    }

    /// Credentials that are not those that the server has refused. A server that let
    /// us in before has probably got the new ones a moment ago, and we follow.
    async fn renewed(
        &self,
        config: &Config,
        refused: &Credentials,
        deadline: Instant,
    ) -> Option<Credentials> {
        let known = self.counts.opened.load(Ordering::Relaxed) > 0;
        let patience = if known { RENEWAL.0 } else { Duration::ZERO };
        let until = deadline.min(Instant::now() + patience);
        loop {
            let found = config.credentials(lock(&self.password).clone());
            if found != *refused {
                return Some(found);
            }
            if self.is_closed() || Instant::now() >= until {
                return None;
            }
            tokio::time::sleep(RENEWAL.1).await;
        }
    }

    fn admit(&self, link: connect::Link) -> Connection {
        *lock(&self.last_connect_error) = None;
        self.counts.opened.fetch_add(1, Ordering::Relaxed);
        Connection::new(link, &self.options, self.generation(), self.era())
    }

    fn failure(&self, failure: AcquireFailure) -> AcquireError {
        AcquireError {
            failure,
            waiting: self.counts.waiting.load(Ordering::Relaxed),
            out: lock(&self.holders).known.len(),
            max: self.options.max,
            after: self.options.acquire_timeout,
            last_connect_error: lock(&self.last_connect_error)
                .as_ref()
                .map(|f| Arc::clone(&f.error)),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes every connection forget its prepared statements before its next use.
    pub(crate) fn forget_statements(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    /// Closes all connections, those that are out when they come back: the server
    /// is not what it was. New ones look for the right server again. Once a second
    /// at most, since connections opened after that have been looked at.
    pub(crate) fn evict(&self) {
        let mut last = lock(&self.last_eviction);
        if last.is_some_and(|last| last.elapsed() < EVICTION_PAUSE) {
            return;
        }
        *last = Some(Instant::now());
        drop(last);
        self.era.fetch_add(1, Ordering::AcqRel);
        metrics::counter!("pg_session_evictions_total").increment(1);
        tracing::warn!("the server accepts no writes: all connections of the pool are closed");
        self.attention.notify_one();
    }

    /// Whether new connections lead to servers that accept writes.
    pub(crate) fn seeks_writable(&self) -> bool {
        matches!(self.config.target_session, TargetSession::ReadWrite | TargetSession::Primary)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Keeps a connection for the next caller, unless the pool was closed.
    fn put_idle(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        if self.is_closed() {
            self.count_closed();
        } else {
            idle.push(connection);
        }
    }

    fn count_closed(&self) {
        self.counts.closed.fetch_add(1, Ordering::Relaxed);
        self.attention.notify_one();
    }

    fn count_quarantined(&self) {
        self.counts.quarantined.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("pg_session_quarantined_total").increment(1);
        self.count_closed();
    }

    fn record_holder(&self, location: &'static Location<'static>) -> u64 {
        let mut holders = lock(&self.holders);
        holders.next += 1;
        let number = holders.next;
        let hold = Hold { since: Instant::now(), location, reported: false };
        holders.known.insert(number, hold);
        number
    }

    fn forget_holder(&self, number: u64) {
        lock(&self.holders).known.remove(&number);
    }
}

/// Counts a caller that waits, also when it gives up.
pub(crate) struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    pub(crate) fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
