//! Prepared statements are bounded, on the server and here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::SystemTime;

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use pg_session::tokio_postgres::NoTls;
use pg_session::{PoolOptions, ReaderOptions, Session};
use support::{bench, options};

const KEPT: &str = "SELECT count(*) FROM pg_prepared_statements";

#[tokio::test]
async fn deadpool_keeps_every_text() {
    let bench = bench(options()).await;
    let config = bench.database.url().parse().unwrap();
    let method = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, NoTls, method);
    let pool = deadpool_postgres::Pool::builder(manager).max_size(1).build().unwrap();
    let client = pool.get().await.unwrap();
    for number in 0..1000 {
        client.prepare_cached(&format!("SELECT {number}")).await.unwrap();
    }
    let kept: i64 = client.query_one(KEPT, &[]).await.unwrap().get(0);
    assert!(kept >= 1000, "{kept} kept");
}

/// Kilobytes that this process and the server's have in use.
async fn memory(session: &mut Session) -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let ours = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let sql = "SELECT sum(total_bytes)::bigint / 1024 FROM pg_backend_memory_contexts";
    let servers: i64 = session.fetch_value(sql, &[]).await.unwrap();
    (ours, u64::try_from(servers).unwrap())
}

#[tokio::test]
async fn a_hundred_thousand_texts_leave_no_trace() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let mut early = (0, 0);
    for number in 0..100_000 {
        session.execute(&format!("SELECT {number}"), &[]).await.unwrap();
        if number == 2000 {
            early = memory(&mut session).await;
        }
    }
    let late = memory(&mut session).await;
    let limit = i64::try_from(bench.pool.options().statements).unwrap();
    let kept: i64 = session.fetch_value(KEPT, &[]).await.unwrap();
    // The one just evicted may be on its way.
    assert!(kept > limit / 2 && kept <= limit + 1, "{kept} kept of {limit}");
    assert!(late.0 < early.0 + 8_192, "{early:?} kB before, {late:?} kB after");
    assert!(late.1 < early.1 + 2_048, "{early:?} kB before, {late:?} kB after");
}

#[tokio::test]
async fn what_was_used_of_late_is_kept() {
    let bench = bench(PoolOptions { max: 1, statements: 4, ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let since = "SELECT max(prepare_time) FROM pg_prepared_statements WHERE statement = 'SELECT 0'";
    let mut first = None;
    for number in 1..=50 {
        session.execute("SELECT 0", &[]).await.unwrap();
        let prepared: Option<SystemTime> = session.fetch_value(since, &[]).await.unwrap();
        assert!(prepared.is_some() && prepared == *first.get_or_insert(prepared), "{number}");
        session.execute(&format!("SELECT {number}"), &[]).await.unwrap();
    }
}

#[tokio::test]
async fn long_texts_are_not_kept() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    for (length, kept) in [(65_536, 1), (65_537, 0)] {
        let head = "SELECT 1 --";
        let text = format!("{head}{}", "x".repeat(length - head.len()));
        session.execute(&text, &[]).await.unwrap();
        let sql = "SELECT count(*) FROM pg_prepared_statements WHERE length(statement) = $1::int";
        let length = i32::try_from(length).unwrap();
        assert_eq!(session.fetch_value::<i64>(sql, &[&length]).await.unwrap(), kept);
    }
}

#[tokio::test]
async fn a_reader_forgets_as_well() {
    let bench = bench(PoolOptions { min: 0, statements: 8, ..options() }).await;
    let options = ReaderOptions { connections: 1, ..ReaderOptions::default() };
    let reader = bench.pool.reader(options).unwrap();
    for number in 0..100 {
        let found: i32 = reader.fetch_value(&format!("SELECT {number}"), &[]).await.unwrap();
        assert_eq!(found, number);
    }
    assert!(reader.fetch_value::<i64>(KEPT, &[]).await.unwrap() <= 9);
}
