//! A database made by the contract's migrations, and a store on it.

use std::error::Error as StdError;
use std::sync::OnceLock;
use std::time::Duration;

use dbready::contract::{self, Contract};
use dbready::migrate;
use pg_local::testing::TestDatabase;
use pg_session::tokio_postgres::Client;
use pg_session::{Config, PoolOptions, RetryPolicy};
use signal_store::jiff::{SignedDuration, Timestamp};
use signal_store::{Store, StoreOptions, TimeRange, now};

use crate::failing::fail;

pub(crate) struct Bench {
    pub(crate) store: Store,
    /// A plain connection beside the store's.
    pub(crate) observer: Client,
    pub(crate) database: TestDatabase,
}

pub(crate) fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| contract::source::load(None).unwrap())
}

/// A database in which all migrations were applied.
pub(crate) fn database() -> TestDatabase {
    let name = format!("store_{}", &contract().digest[..16]);
    let prepare = |url: &str| -> Result<(), Box<dyn StdError>> {
        let url = url.to_owned();
        // Within a test's runtime no other may be started on the same thread.
        let applied = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let mut client = plain(&url).await;
                let options = migrate::Options::default();
                migrate::up(&mut client, contract(), None, &options, &|_| ()).await.unwrap();
            });
        });
        applied.join().map_err(|_| "the migrations failed".into())
    };
    TestDatabase::copy_of(&name, prepare).unwrap()
}

/// A connection that shares nothing with the store.
pub(crate) async fn plain(url: &str) -> Client {
    pg_session::connect(&Config::from_url(url).unwrap()).await.unwrap()
}

/// Limits that make a test short.
pub(crate) fn options() -> StoreOptions {
    let options = StoreOptions::default();
    StoreOptions {
        pool: PoolOptions {
            acquire_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(20),
            ..options.pool
        },
        retry: RetryPolicy { attempts: 10, ..options.retry },
        ..options
    }
}

pub(crate) async fn bench() -> Bench {
    let database = database();
    let observer = plain(database.url()).await;
    let config = Config::from_url(database.url()).unwrap();
    // On the Community edition they remove and compress what a test has just written.
    let policies = "SELECT alter_job(job_id, scheduled => false) \
                    FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL";
    observer.batch_execute(policies).await.unwrap();
    let store = Store::connect(config, options()).await.unwrap();
    Bench { store, observer, database }
}

impl Bench {
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.observer.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Fails the next inserts of Greeks, that many, by a statement.
    pub(crate) async fn fail_inserts(&self, times: i64, statement: &str) {
        fail(&self.observer, "INSERT ON signal_greeks", times, statement).await;
    }
}

/// Everything of the last days and the next hour.
pub(crate) fn days(days: i64) -> TimeRange {
    let end = now() + SignedDuration::from_hours(1);
    TimeRange::new(end - SignedDuration::from_hours(24 * days), end).unwrap()
}

pub(crate) fn range(from: Timestamp, to: Timestamp) -> TimeRange {
    TimeRange::new(from, to).unwrap()
}
