//! The pool on a real server: bounded, warm, and clear about why it cannot serve.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "pool/credentials.rs"]
mod credentials;
mod support;

use std::time::Duration;

use pg_session::{AcquireFailure, Class, Config, Error, Pool, PoolOptions};
use support::relay::Relay;
use support::{bench, give_up_after, options, until_returned};

#[tokio::test]
async fn an_exhausted_pool_says_who_holds_what() {
    let limits = PoolOptions { max: 2, acquire_timeout: Duration::from_secs(1), ..options() };
    let bench = bench(limits).await;
    let _one = bench.pool.acquire().await.unwrap();
    let two = bench.pool.acquire().await.unwrap();
    let line = line!() - 1;
    let waiter = tokio::spawn(bench.pool.acquire());
    let error = bench.pool.acquire().await.err().unwrap();
    assert_eq!((error.failure, error.out, error.max), (AcquireFailure::Exhausted, 2, 2));
    assert!(error.last_connect_error.is_none());
    assert!(error.to_string().starts_with("no session within 1s: 2 of 2 are in use"), "{error}");
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
    bench.until_at_most(10).await;
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
    drop(session);
    // Each has its successor, and this caller may have made one more.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(bench.pool.status().opened <= 5, "{:?}", bench.pool.status());
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
    let limits = PoolOptions { acquire_timeout: Duration::from_secs(2), ..options() };
    let pool = Pool::open(config, limits).await.unwrap();
    let mut session = pool.acquire().await.unwrap();
    cluster.kill().unwrap();
    // A process of the server may outlive it for a moment, but not while it waits.
    let error = session.execute("SELECT pg_sleep(8)", &[]).await.unwrap_err();
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
async fn a_refusal_is_told_though_a_later_attempt_ends_at_the_deadline() {
    let bench = bench(options()).await;
    let relay = Relay::to(bench.database.url()).await;
    let role = format!("{}_shut", bench.database.name());
    let create = format!("CREATE ROLE \"{role}\" LOGIN PASSWORD 'right' CONNECTION LIMIT 0");
    bench.observer.batch_execute(&create).await.unwrap();
    let config = Config::from_url(relay.url()).unwrap().with_user(&role, Some("right".into()));
    let limits = PoolOptions { min: 0, acquire_timeout: Duration::from_secs(3), ..options() };
    let pool = Pool::open(config, limits).await.unwrap();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.acquire().await.err().unwrap() }
    });
    // The second attempt begins when the first has been refused.
    while relay.accepted() < 2 {
        assert!(!waiting.is_finished());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    relay.mute(true);
    let error = waiting.await.unwrap();
    assert_eq!(error.failure, AcquireFailure::Connect);
    assert_eq!(Error::from(Box::new(error)).sqlstate(), Some("53300"));
    // A wait in which nothing was said is told as what it is.
    let error = pool.acquire().await.err().unwrap();
    let cause = error.last_connect_error.as_deref();
    assert!(matches!(cause, Some(Error::ConnectTimeout { .. })), "{error}");
    bench.observer.batch_execute(&format!("DROP ROLE \"{role}\"")).await.unwrap();
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

#[tokio::test]
async fn a_refused_login_is_not_repeated_by_every_caller() {
    let bench = bench(options()).await;
    let relay = Relay::to(bench.database.url()).await;
    let role = format!("{}_reader", bench.database.name());
    let create = format!("CREATE ROLE \"{role}\" LOGIN PASSWORD 'right'");
    bench.observer.batch_execute(&create).await.unwrap();
    let config = Config::from_url(relay.url()).unwrap().with_user(&role, Some("wrong".into()));
    let limits = PoolOptions { min: 0, max: 4, ..options() };
    let pool = Pool::open(config, limits).await.unwrap();
    for refusal in futures_util::future::join_all((0..50).map(|_| pool.acquire())).await {
        let error = refusal.err().unwrap();
        assert_eq!(error.failure, AcquireFailure::Connect);
        let cause = error.last_connect_error.as_deref().unwrap();
        assert_eq!(cause.class(), Class::Authentication, "{error}");
    }
    assert!(relay.accepted() <= 4, "{} logins tried", relay.accepted());
    let status = pool.status();
    assert_eq!((status.acquire_failures, status.out, status.waiting), (50, 0, 0));
    let mend = format!("ALTER ROLE \"{role}\" PASSWORD 'wrong'");
    bench.observer.batch_execute(&mend).await.unwrap();
    // The refusal is remembered for a moment only.
    let mut tries = 0;
    while let Err(error) = pool.acquire().await {
        tries += 1;
        assert!(tries < 1000, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    pool.close();
    bench.until_sessions("true", 1).await;
    while bench
        .value(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'"))
        .await
        > 0
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.observer.batch_execute(&format!("DROP ROLE \"{role}\"")).await.unwrap();
}

#[tokio::test]
async fn a_network_that_comes_back_is_used_by_those_who_wait() {
    let bench = bench(options()).await;
    let relay = Relay::to(bench.database.url()).await;
    relay.refuse(true);
    let limits = PoolOptions { min: 0, max: 4, ..options() };
    let pool = Pool::open(Config::from_url(relay.url()).unwrap(), limits).await.unwrap();
    let callers: Vec<_> = (0..20).map(|_| tokio::spawn(pool.acquire())).collect();
    while relay.accepted() < 8 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    relay.refuse(false);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    let status = pool.status();
    assert!(status.opened <= 4, "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_callers_loses_no_place() {
    let bench = bench(PoolOptions { max: 3, ..options() }).await;
    let callers = (0..600_u64).map(|number| {
        let pool = bench.pool.clone();
        tokio::spawn(async move {
            // Every third caller gives up, at some moment.
            let patience = if number % 3 == 0 { number * 37 % 20_000 } else { 60_000_000 };
            let call = async {
                let mut session = pool.acquire().await?;
                session.fetch_value::<i64>("SELECT pg_backend_pid()::bigint", &[]).await.unwrap();
                Ok::<_, pg_session::AcquireError>(())
            };
            tokio::time::timeout(Duration::from_micros(patience), call).await
        })
    });
    let results = futures_util::future::join_all(callers).await;
    let served = results.iter().filter(|result| matches!(result, Ok(Ok(Ok(()))))).count();
    assert!(served >= 400, "{served} served");
    assert!(results.iter().all(|result| !matches!(result, Ok(Ok(Err(_))))));
    bench.until_returned().await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(bench.pool.acquire().await.unwrap());
    }
    bench.until_at_most(3).await;
    assert_eq!(bench.pool.status().waiting, 0);
}

#[tokio::test]
async fn callers_are_served_in_the_order_in_which_they_came() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let holder = bench.pool.acquire().await.unwrap();
    let (order, mut served) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..20 {
        let (acquire, order) = (bench.pool.acquire(), order.clone());
        tokio::spawn(async move {
            let session = acquire.await.unwrap();
            order.send(number).unwrap();
            drop(session);
        });
        while bench.pool.status().waiting <= number {
            tokio::task::yield_now().await;
        }
    }
    drop(holder);
    for number in 0..20 {
        assert_eq!(served.recv().await.unwrap(), number);
    }
}

#[tokio::test]
async fn connections_that_are_not_needed_are_closed() {
    let limits = PoolOptions { max: 3, max_idle: Duration::from_millis(1), ..options() };
    let bench = bench(limits).await;
    let all = [bench.pool.acquire().await, bench.pool.acquire().await, bench.pool.acquire().await];
    bench.until_sessions("true", 3).await;
    drop(all);
    bench.until_sessions("true", 1).await;
    assert_eq!(bench.pool.status().idle, 1);
    // The server may know of it before it is counted.
    while bench.pool.status().closed < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(bench.pool.status().closed, 2);
}

#[tokio::test]
async fn old_connections_are_replaced() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    drop(bench.pool.acquire().await.unwrap());
    assert_eq!(bench.pool.status().opened, 1);
    let limits = PoolOptions { max: 1, max_lifetime: Duration::from_millis(1), ..options() };
    let config = Config::from_url(bench.database.url()).unwrap();
    let pool = Pool::open(config, limits).await.unwrap();
    for _ in 0..3 {
        let mut session = pool.acquire().await.unwrap();
        session.execute("SELECT pg_sleep(0.002)", &[]).await.unwrap();
        drop(session);
        assert_eq!(pool.status().idle, 0, "it is closed when it comes back");
    }
    assert!(pool.status().opened >= 3, "{:?}", pool.status());
}

#[tokio::test]
async fn a_connection_idle_for_long_is_asked_for_a_sign_of_life() {
    let bench = bench(PoolOptions { max: 1, check_after: Duration::ZERO, ..options() }).await;
    for _ in 0..3 {
        let mut session = bench.pool.acquire().await.unwrap();
        assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
    }
    assert_eq!(bench.pool.status().opened, 1);
}

/// It would cost every caller a round trip.
#[tokio::test]
async fn a_connection_used_of_late_is_lent_unasked() {
    let bench = bench(options()).await;
    let relay = Relay::to(bench.database.url()).await;
    let limits = PoolOptions { min: 0, max: 1, ..options() };
    let pool = Pool::open(Config::from_url(relay.url()).unwrap(), limits).await.unwrap();
    drop(pool.acquire().await.unwrap());
    relay.mute(true);
    pool.acquire().await.unwrap();
    assert_eq!((pool.status().opened, relay.accepted()), (1, 1));
}

/// Callers with less patience than a connection takes do not keep the pool from
/// ever having one.
#[tokio::test]
async fn what_a_caller_began_who_gave_up_serves_the_next() {
    let bench = bench(options()).await;
    let relay = Relay::to(bench.database.url()).await;
    let limits = PoolOptions { min: 0, max: 1, ..options() };
    let pool = Pool::open(Config::from_url(relay.url()).unwrap(), limits).await.unwrap();
    assert!(give_up_after(1, pool.acquire()).await.is_none());
    until_returned(&pool).await;
    assert_eq!((pool.status().idle, relay.accepted()), (1, 1));
    let mut session = pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
    assert_eq!(relay.accepted(), 1);
}

#[tokio::test]
async fn the_pool_says_where_it_leads_and_what_its_limits_are() {
    let bench = bench(options()).await;
    assert_eq!(bench.pool.options(), &options());
    let config = Config::from_url(bench.database.url()).unwrap();
    assert_eq!(bench.pool.address(), config.address());
    assert!(!bench.pool.address().contains('@'));
}

#[tokio::test]
async fn a_search_that_nobody_waits_for_ends() {
    let bench = bench(options()).await;
    let relay = Relay::to(bench.database.url()).await;
    relay.refuse(true);
    let limits = PoolOptions { min: 0, max: 1, ..options() };
    let pool = Pool::open(Config::from_url(relay.url()).unwrap(), limits).await.unwrap();
    assert!(give_up_after(1, pool.acquire()).await.is_none());
    // Long before the deadline of the acquire.
    let waited = tokio::time::timeout(Duration::from_secs(8), until_returned(&pool)).await;
    assert!(waited.is_ok());
    relay.refuse(false);
    pool.acquire().await.unwrap();
}

/// What is idle and gives no sign of life, or is worn out, is not lent.
#[tokio::test]
async fn connections_that_rest_badly_are_replaced() {
    let bench = bench(options()).await;
    let relay = Relay::to(bench.database.url()).await;
    let limits = PoolOptions {
        min: 0,
        max: 1,
        check_after: Duration::ZERO,
        acquire_timeout: Duration::from_secs(2),
        ..options()
    };
    let config = Config::from_url(relay.url()).unwrap();
    let pool = Pool::open(config.clone(), limits).await.unwrap();
    drop(pool.acquire().await.unwrap());
    relay.mute(true);
    let error = pool.acquire().await.err().unwrap();
    assert_eq!(error.failure, AcquireFailure::Connect);
    assert_eq!((pool.status().closed, pool.status().idle), (1, 0));
    relay.mute(false);
    pool.acquire().await.unwrap();

    let lifetime = Duration::from_millis(100);
    let limits = PoolOptions { min: 0, max: 1, max_lifetime: lifetime, ..options() };
    let pool = Pool::open(config, limits).await.unwrap();
    for round in 1..=5 {
        drop(pool.acquire().await.unwrap());
        tokio::time::sleep(lifetime).await;
        assert!(pool.status().opened >= round, "{:?}", pool.status());
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_reset_is_closed() {
    let bench = bench(options()).await;
    let relay = Relay::to(bench.database.url()).await;
    let limits = PoolOptions { min: 0, max: 1, ..options() };
    let pool = Pool::open(Config::from_url(relay.url()).unwrap(), limits).await.unwrap();
    let mut session = pool.acquire().await.unwrap();
    session.batch("SET work_mem = '1MB'").await.unwrap();
    // No answer comes, and no request to cancel arrives.
    relay.mute(true);
    relay.refuse(true);
    drop(session);
    until_returned(&pool).await;
    let status = pool.status();
    assert_eq!((status.quarantined, status.closed, status.idle), (1, 1, 0), "{status:?}");
}

#[tokio::test]
async fn a_session_that_is_reset_while_the_pool_closes_is_closed_too() {
    let bench = bench(options()).await;
    let mut session = bench.pool.acquire().await.unwrap();
    session.batch("SET work_mem = '1MB'").await.unwrap();
    drop(session);
    bench.pool.close();
    bench.until_sessions("true", 0).await;
    assert_eq!(bench.pool.status().idle, 0);
}

/// Writers that meet a server which refuses writes agree that it is left.
#[tokio::test]
async fn a_server_that_refuses_writes_is_left_once() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let read_only = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";
    let mut writers = Vec::new();
    for _ in 0..2 {
        let mut session = bench.pool.acquire().await.unwrap();
        session.execute(read_only, &[]).await.unwrap();
        writers.push(session);
    }
    for session in &mut writers {
        let error = session.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap_err();
        assert_eq!((error.class(), error.sqlstate()), (Class::ReadOnly, Some("25006")), "{error}");
    }
    drop(writers);
    until_returned(&bench.pool).await;
    let status = bench.pool.status();
    assert!(status.closed >= 2, "{status:?}");
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(session.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap(), 1);
}
