//! The repository: every method of the contract, on one database.

mod cleanup;
mod greeks;
mod indicators;
mod maintenance;
mod metrics;
mod moneyness;
mod signal;
mod timeframes;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use pg_session::tokio_postgres::Row;
use pg_session::{
    Config, Params, Pool, PoolOptions, Reader, ReaderOptions, ReaderStatus, RetryPolicy, Session,
    Status,
};
use semver::Version;

pub use self::cleanup::{Cleanup, Retention, TableCleanup};
pub use self::greeks::{GreeksBucket, LatestGreeks, stream_historical_greeks};
pub use self::indicators::LatestIndicator;
pub use self::maintenance::{Maintained, Maintainer, Maintenance};
pub use self::metrics::ComputationMetrics;
pub use self::moneyness::{MoneynessRecord, stream_moneyness_greeks};
pub use self::signal::{SavedSignal, Signal};
pub use self::timeframes::{
    TimeframeRecord, TimeframesSaved, Verdict, stream_custom_timeframe_data,
};
use crate::error::Error;
use crate::ingest::{Ingest, IngestRecord};
use crate::models::{now, oldest_writable};
use crate::records::{Record, in_order, read};
use crate::rollups::Rollups;
use crate::statements::{self, HEALTH};

/// The version of the contract that this program was made for. A database of a
/// later version of the same major number serves as well.
pub const SCHEMA_VERSION: &str = "1.5.0";

/// The name by which the server knows the store's connections.
pub const APPLICATION_NAME: &str = "signal_service";

/// How a store works. The defaults are the contract's: ten connections in all, of
/// which four are shared by short reads and six lent to writers and long reads.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The connections that are lent to one caller at a time.
    pub pool: PoolOptions,
    /// The connections that short reads share.
    pub reader: ReaderOptions,
    /// How often a write is repeated where nothing was applied.
    pub retry: RetryPolicy,
}

impl Default for StoreOptions {
    fn default() -> Self {
        let statement_names = statements::statement_names();
        Self {
            pool: PoolOptions { max: 6, statement_names, ..PoolOptions::default() },
            reader: ReaderOptions::default(),
            retry: RetryPolicy::default(),
        }
    }
}

/// The records of Signal Service in one database. Cloning gives another handle.
///
/// Records are checked before they are sent. Single reads share connections;
/// aggregations, long reads and writes have one to themselves. Every call ends
/// within the pool's deadlines, and its future may be dropped at any await: what
/// it had under way is stopped, or, for a single write whose answer was not
/// awaited, may be applied.
///
/// # Errors
/// All calls give [`Error::Database`] when the database or the way to it fails,
/// and [`Error::Invalid`] for a record that breaks the contract, before anything
/// is sent. A write is repeated by [`StoreOptions::retry`] as long as nothing was
/// applied; an error whose outcome is
/// [`Unknown`](pg_session::Outcome::Unknown) says that the answer was lost.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    reader: Reader,
    retry: RetryPolicy,
}

/// The answer to a health question.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Health {
    /// The schema's version.
    pub schema_version: String,
    /// When it was applied, if that is known.
    pub applied_at: Option<Timestamp>,
    /// The time for a round trip on both kinds of connections.
    pub latency: Duration,
    /// The use of the connections that are lent.
    pub pool: Status,
    /// The use of the connections that reads share.
    pub reader: ReaderStatus,
}

struct Applied {
    version: String,
    applied_at: Option<Timestamp>,
}

in_order!(Applied: version, applied_at);

impl Store {
    /// Opens the connections and looks whether the schema is of a version that
    /// this program works with. The connections are called `signal_service` unless
    /// the configuration names them. Where it names several servers, it should ask
    /// for one that accepts writes, by `target_session_attrs=read-write`.
    ///
    /// # Errors
    /// [`Error::SchemaVersion`] for a database of another version, or without one;
    /// otherwise as [`Pool::open`].
    pub async fn connect(config: Config, options: StoreOptions) -> Result<Self, Error> {
        let config = config.default_application_name(APPLICATION_NAME);
        let pool = Pool::open(config, options.pool).await?;
        let reader = match pool.reader(options.reader) {
            Ok(reader) => reader,
            Err(error) => {
                pool.close();
                return Err(error.into());
            }
        };
        let store = Self { pool, reader, retry: options.retry };
        match store.applied().await {
            Ok(_) => Ok(store),
            Err(error) => {
                store.pool.close();
                Err(error)
            }
        }
    }

    /// Closes the connections: idle ones now, others as the calls on them end.
    /// Waits for these, for as long as a command may take.
    pub async fn disconnect(self) {
        let pause = Duration::from_millis(5);
        let end = Instant::now() + self.pool.options().command_timeout;
        self.pool.close();
        let in_use = || self.pool.status().out > 0 || self.reader.status().reads > 0;
        while in_use() && Instant::now() < end {
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks for a sign of life through both kinds of connections.
    ///
    /// # Errors
    /// [`Error::SchemaVersion`] if the schema is no longer of a version that this
    /// program works with; otherwise see [`Store`].
    pub async fn health(&self) -> Result<Health, Error> {
        let begun = Instant::now();
        self.pool.health().await?;
        let applied = self.applied().await?;
        Ok(Health {
            latency: begun.elapsed(),
            schema_version: applied.version,
            applied_at: applied.applied_at,
            pool: self.pool.status(),
            reader: self.reader.status(),
        })
    }

    /// A session for statements of the caller's own, and for streams.
    ///
    /// # Errors
    /// [`Error::Database`] if none can be had within the acquire deadline.
    #[track_caller]
    pub fn session(&self) -> impl Future<Output = Result<Session, Error>> + Send + use<> {
        let session = self.pool.acquire();
        async move { Ok(session.await?) }
    }

    /// What stores many records, batches and single ones.
    #[must_use]
    pub fn ingest(&self) -> Ingest {
        Ingest::new(self.pool.clone()).retry(self.retry)
    }

    /// What looks after the rollups that coarse histories are served from.
    #[must_use]
    pub fn rollups(&self) -> Rollups {
        Rollups::new(self.pool.clone())
    }

    /// The connections that are lent to one caller at a time.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The connections that short reads share.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Stores one record and gives its row's number.
    async fn save<R: IngestRecord>(&self, record: &R) -> Result<i64, Error> {
        record.check(oldest_writable(now()))?;
        repeat!(self, async {
            let mut session = self.session().await?;
            Ok(record.save(&mut session).await?)
        })
    }

    /// The record of a short read, if there is one.
    async fn read_opt<T: Record>(&self, sql: &str, params: Params<'_>) -> Result<Option<T>, Error> {
        self.reader.fetch_opt(sql, params).await?.as_ref().map(read).transpose()
    }

    /// All rows of a read that has a session to itself. It is repeated where that may
    /// help, also when its connection is lost.
    async fn read_alone(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        let mut retries = self.pool.retries(&self.retry).harmless();
        loop {
            let attempt = async { Ok(self.session().await?.fetch(sql, params).await?) };
            match attempt.await {
                Ok(rows) => {
                    retries.succeeded();
                    return Ok(rows);
                }
                Err(Error::Database(error)) if retries.again(&error).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The version that was applied last, if it will do.
    async fn applied(&self) -> Result<Applied, Error> {
        let refuse = |found| Err(Error::SchemaVersion { needed: SCHEMA_VERSION, found });
        let row = match self.reader.fetch_opt(HEALTH, &[]).await {
            // There is no table of versions.
            Err(error) if error.sqlstate() == Some("42P01") => return refuse(None),
            other => other?,
        };
        let Some(row) = row else { return refuse(None) };
        let applied: Applied = read(&row)?;
        if is_compatible(&applied.version) { Ok(applied) } else { refuse(Some(applied.version)) }
    }
}

/// Runs an attempt until it succeeds, or is not to be repeated. A macro, since an
/// async closure that borrows makes a future which no task can run.
macro_rules! repeat {
    ($store:expr, $attempt:expr) => {{
        let mut retries = $store.pool.retries(&$store.retry);
        loop {
            let error = match $attempt.await {
                Ok(value) => {
                    retries.succeeded();
                    break Ok(value);
                }
                Err(error) => error,
            };
            let again = match &error {
                Error::Database(error) => retries.again(error).await,
                _ => false,
            };
            if !again {
                break Err(error);
            }
        }
    }};
}
use repeat;

/// Whether a database of that version serves this program.
fn is_compatible(found: &str) -> bool {
    match (Version::parse(found), Version::parse(SCHEMA_VERSION)) {
        (Ok(found), Ok(needed)) => {
            found.major == needed.major && found >= needed && found.pre.is_empty()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{SCHEMA_VERSION, is_compatible};

    #[test]
    fn later_versions_of_the_same_major_number_serve() {
        for version in [SCHEMA_VERSION, "1.5.1", "1.20.0"] {
            assert!(is_compatible(version), "{version}");
        }
        for version in ["1.4.9", "0.9.0", "2.0.0", "1.6.0-beta", "", "latest"] {
            assert!(!is_compatible(version), "{version}");
        }
    }
}
