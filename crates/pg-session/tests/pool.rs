//! The pool on a real server: bounded, warm, and clear about why it cannot serve.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use pg_session::{AcquireFailure, Class, Config, Error, Pool, PoolOptions};
use support::{bench, options};

#[tokio::test]
async fn an_exhausted_pool_says_who_holds_what() {
    let limits = PoolOptions { max: 2, acquire_timeout: Duration::from_millis(200), ..options() };
    let bench = bench(limits).await;
    let _one = bench.pool.acquire().await.unwrap();
    let two = bench.pool.acquire().await.unwrap();
    let line = line!() - 1;
    let waiter = tokio::spawn(bench.pool.acquire());
    let error = bench.pool.acquire().await.err().unwrap();
    assert_eq!((error.failure, error.out, error.max), (AcquireFailure::Exhausted, 2, 2));
    assert!(error.last_connect_error.is_none());
    assert!(error.to_string().starts_with("no session within 200ms: 2 of 2 are in use"), "{error}");
    waiter.await.unwrap().err().unwrap();
    let held = bench.pool.held_longer_than(Duration::ZERO);
    assert!(
        held.iter().any(|h| h.location.file().ends_with("pool.rs") && h.location.line() == line)
    );
    drop(two);
    bench.pool.acquire().await.unwrap();
    assert_eq!(bench.pool.status().waiting, 0);
}

#[tokio::test]
async fn waiters_that_give_up_take_no_place_with_them() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let holder = bench.pool.acquire().await.unwrap();
    for _ in 0..50 {
        let given_up = tokio::time::timeout(Duration::from_millis(1), bench.pool.acquire()).await;
        assert!(given_up.is_err());
    }
    assert_eq!(bench.pool.status().waiting, 0);
    drop(holder);
    for delay in 0..100 {
        let limit = Duration::from_micros(delay * 50);
        let _ = tokio::time::timeout(limit, async {
            let mut session = bench.pool.acquire().await.unwrap();
            session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap();
        })
        .await;
    }
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn fifty_callers_share_ten_connections() {
    let bench = bench(PoolOptions { max: 10, ..options() }).await;
    let tasks: Vec<_> = (0..50)
        .map(|number: i32| {
            let pool = bench.pool.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let mut session = pool.acquire().await.unwrap();
                    let value: i32 =
                        session.fetch_value("SELECT $1::int", &[&number]).await.unwrap();
                    assert_eq!(value, number);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let status = bench.pool.status();
    assert_eq!((status.acquired, status.out, status.waiting), (1000, 0, 0));
    assert!(status.opened <= 10 && status.reuse().unwrap() > 0.95, "{status:?}");
    assert!(bench.sessions_where("true").await <= 10);
}

#[tokio::test]
async fn the_minimum_is_kept_warm() {
    let bench = bench(PoolOptions { min: 2, ..options() }).await;
    bench.until_sessions("true", 2).await;
    bench
        .observer
        .batch_execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'pooled' AND datname = current_database()")
        .await
        .unwrap();
    bench.until_sessions("true", 2).await;
    // Callers do not see the connections that died.
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn sessions_carry_the_contracts_settings() {
    let bench = bench(PoolOptions { command_timeout: Duration::from_secs(30), ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    for (name, value) in
        [("statement_timeout", "30s"), ("jit", "off"), ("application_name", "pooled")]
    {
        let found: String =
            session.fetch_value("SELECT current_setting($1)", &[&name]).await.unwrap();
        assert_eq!(found, value, "{name}");
    }
}

#[tokio::test]
async fn a_closed_pool_serves_no_one() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let holder = bench.pool.acquire().await.unwrap();
    let waiter = tokio::spawn(bench.pool.acquire());
    while bench.pool.status().waiting == 0 {
        tokio::task::yield_now().await;
    }
    bench.pool.close();
    assert_eq!(waiter.await.unwrap().err().unwrap().failure, AcquireFailure::Closed);
    assert_eq!(bench.pool.acquire().await.err().unwrap().failure, AcquireFailure::Closed);
    drop(holder);
    bench.until_sessions("true", 0).await;
}

#[tokio::test]
async fn dropping_the_pool_ends_its_connections() {
    let bench = bench(PoolOptions { min: 2, ..options() }).await;
    bench.until_sessions("true", 2).await;
    let support::Bench { pool, observer, database } = bench;
    drop(pool);
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pooled' AND datname = current_database()";
    let mut left = -1;
    for _ in 0..1000 {
        left = observer.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(left, 0);
    drop(database);
}

#[tokio::test]
async fn health_and_leaks_are_told() {
    let bench = bench(PoolOptions { leak_after: Duration::from_millis(1), ..options() }).await;
    let health = bench.pool.health().await.unwrap();
    assert_eq!(health.status.out, 0);
    let session = bench.pool.acquire().await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(bench.pool.held_longer_than(Duration::from_millis(5)).len(), 1);
    drop(session);
    assert!(bench.pool.held_longer_than(Duration::ZERO).is_empty());
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let runtime = pg_local::Runtime::locate_or_install(&|_| {}).unwrap();
    let mut cluster = pg_local::Cluster::temporary(&runtime, pg_local::Profile::Fast).unwrap();
    let config = Config::from_url(&cluster.url("postgres")).unwrap();
    let limits = PoolOptions { acquire_timeout: Duration::from_millis(500), ..options() };
    let pool = Pool::open(config, limits).await.unwrap();
    let mut session = pool.acquire().await.unwrap();
    cluster.kill().unwrap();
    let error = session.execute("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(error.class(), Class::Lost, "{error}");
    drop(session);
    let error = pool.acquire().await.err().unwrap();
    assert_eq!(error.failure, AcquireFailure::Connect);
    assert!(matches!(error.last_connect_error.as_deref(), Some(Error::Connect { .. })), "{error}");
    let error = pool.health().await.unwrap_err();
    assert_eq!(error.class(), Class::Connect);
    cluster.start().unwrap();
    let mut session = pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn senseless_limits_and_wrong_logins_are_refused_at_once() {
    let bench = bench(options()).await;
    let config = Config::from_url(bench.database.url()).unwrap();
    let refuse = async |config: Config, options| Pool::open(config, options).await.err().unwrap();
    let error = refuse(config.clone(), PoolOptions { max: 0, ..options() }).await;
    assert_eq!(error.class(), Class::Config);
    let error = refuse(config.clone().with_dbname("no such"), options()).await;
    assert!(matches!(&error, Error::DatabaseMissing { database, .. } if database == "no such"));
    let error =
        refuse(config.clone().with_user("nobody", Some("canary-9".into())), options()).await;
    assert_eq!(
        (error.class(), error.sqlstate()),
        (Class::Authentication, Some("28P01")),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("canary-9"));
    let error = refuse(config.with_user("nobody", None), options()).await;
    assert!(error.to_string().contains("asks for a password"), "{error}");
}
