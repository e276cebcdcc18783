//! What the tests on a real server share.
#![allow(dead_code)]

pub(crate) mod relay;

use std::pin::pin;
use std::task::Poll;
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

    /// Waits until the server knows at most `count` of the pool's sessions: it
    /// takes a moment to notice the end of a connection.
    pub(crate) async fn until_at_most(&self, count: i64) {
        let mut found = i64::MAX;
        for _ in 0..1000 {
            found = self.sessions_where("true").await;
            if found <= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{found} sessions, expected {count} at most");
    }

    pub(crate) async fn until_returned(&self) {
        until_returned(&self.pool).await;
    }

    pub(crate) async fn value(&self, sql: &str) -> i64 {
        self.observer.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// Numbers that a seed determines.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Polls `call` at most `polls` times, then drops it.
pub(crate) async fn give_up_after<T>(polls: u32, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    let mut left = polls;
    std::future::poll_fn(|context| {
        left -= 1;
        match call.as_mut().poll(context) {
            // The next poll may be long in coming; this was the last one.
            Poll::Pending if left == 0 => Poll::Ready(None),
            other => other.map(Some),
        }
    })
    .await
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
