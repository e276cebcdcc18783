//! Ingest on a real server: each batch and each record takes effect once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod batches;
#[path = "../rollups/database.rs"]
#[allow(dead_code)]
mod database;
#[path = "../support/failing.rs"]
mod failing;
mod faults;
mod ledger;
#[path = "../support/records.rs"]
#[allow(dead_code)]
mod records;
#[path = "../../../pg-session/tests/support/relay.rs"]
#[allow(dead_code)]
mod relay;
mod writers;

use std::time::Duration;

use pg_local::testing::TestDatabase;
use signal_store::Greeks;
use signal_store::ingest::Ingest;
use signal_store::pg_session::tokio_postgres::Client;
use signal_store::pg_session::{Config, Pool, PoolOptions, RetryPolicy};

use relay::Relay;

/// A database, an observer beside the pool, and ingest through the pool.
struct Bench {
    ingest: Ingest,
    pool: Pool,
    observer: Client,
    database: TestDatabase,
}

async fn ingest(url: &str) -> (Pool, Ingest) {
    let options = PoolOptions {
        min: 1,
        max: 6,
        acquire_timeout: Duration::from_secs(20),
        command_timeout: Duration::from_secs(20),
        ..PoolOptions::default()
    };
    let config = Config::from_url(url).unwrap().application_name("ingest");
    let pool = Pool::open(config, options).await.unwrap();
    let retry = RetryPolicy { attempts: 12, ..RetryPolicy::default() };
    (pool.clone(), Ingest::new(pool).retry(retry))
}

/// One that gives up after two attempts, and whose server is gone when it has heard `word`.
async fn forsaken(bench: &Bench, word: &'static str) -> Ingest {
    let relay = Relay::to(bench.database.url()).await;
    let (pool, ingest) = ingest(relay.url()).await;
    // A session that can be lost.
    drop(pool.acquire().await.unwrap());
    relay.refuse(true);
    relay.cut_after(word);
    ingest.retry(RetryPolicy { attempts: 2, ..RetryPolicy::default() })
}

/// As [`Bench`], for a database that was made outside the runtime.
async fn bench(database: TestDatabase) -> Bench {
    let observer = database::connect(database.url()).await;
    let (pool, ingest) = ingest(database.url()).await;
    Bench { ingest, pool, observer, database }
}

impl Bench {
    async fn count(&self, what: &str) -> i64 {
        database::count(&self.observer, what).await
    }
}

/// Records that differ, a second apart.
fn many(count: i64) -> Vec<Greeks> {
    let record = |n: i64| {
        let mut record = records::greeks(&format!("NSE@STOCK{}@EQ", n % 7), records::ago(600));
        record.timestamp += signal_store::jiff::SignedDuration::from_secs(n);
        record.signal_id = format!("signal_20260117_{n:06}").parse().unwrap();
        record
    };
    (0..count).map(record).collect()
}
