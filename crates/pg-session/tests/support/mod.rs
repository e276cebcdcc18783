//! What the tests on a real server share.
#![allow(dead_code)]

pub(crate) mod relay;

use std::time::Duration;

use pg_local::testing::TestDatabase;
use pg_session::tokio_postgres::Client;
use pg_session::{Config, Pool, PoolOptions, connect};

/// A database of the test's own, a pool on it, and an observer outside the pool.
pub(crate) struct Bench {
    pub(crate) pool: Pool,
    pub(crate) observer: Client,
    pub(crate) database: TestDatabase,
}

/// Limits that make a test short: few connections, short waits.
pub(crate) fn options() -> PoolOptions {
    PoolOptions {
        min: 1,
        max: 3,
        acquire_timeout: Duration::from_secs(10),
        command_timeout: Duration::from_secs(10),
        ..PoolOptions::default()
    }
}

pub(crate) async fn bench(options: PoolOptions) -> Bench {
    let database = TestDatabase::empty().unwrap();
    let config = Config::from_url(database.url()).unwrap();
    let observer = connect(&config.clone().application_name("observer")).await.unwrap();
    let pool = Pool::open(config.application_name("pooled"), options).await.unwrap();
    Bench { pool, observer, database }
}

impl Bench {
    /// The number of the pool's sessions on the server for which `condition` holds.
    pub(crate) async fn sessions_where(&self, condition: &str) -> i64 {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'pooled' AND ({condition})"
        );
        self.observer.query_one(&sql, &[]).await.unwrap().get(0)
    }

    /// Waits until `condition` holds for `count` of the pool's sessions.
    pub(crate) async fn until_sessions(&self, condition: &str, count: i64) {
        let mut found = -1;
        for _ in 0..1000 {
            found = self.sessions_where(condition).await;
            if found == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{found} sessions, expected {count}, where {condition}");
    }

    pub(crate) async fn until_returned(&self) {
        until_returned(&self.pool).await;
    }

    pub(crate) async fn value(&self, sql: &str) -> i64 {
        self.observer.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// Waits until no session is out and none is being closed.
pub(crate) async fn until_returned(pool: &Pool) {
    for _ in 0..1000 {
        if pool.status().out == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still out: {:?}", pool.held_longer_than(Duration::ZERO));
}
