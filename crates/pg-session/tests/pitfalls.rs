//! What the driver alone, or with deadpool in front of it, does on a real server,
//! and what this crate does instead. Each control fails when the libraries learn
//! better, and then what stands against it here may go.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::TcpListener;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use futures_util::StreamExt;
use pg_session::tokio_postgres::{Client, NoTls, types::ToSql};
use pg_session::{AcquireFailure, Class, Config, Error, Pool, PoolOptions, connect};
use support::{Random, bench, options};

/// How long a control is given to show that it hangs.
const HANGS: Duration = Duration::from_millis(400);

async fn driver(url: &str, name: &str) -> Client {
    connect(&Config::from_url(url).unwrap().application_name(name)).await.unwrap()
}

/// A deadpool of one connection.
fn deadpool(url: &str, recycling_method: RecyclingMethod) -> deadpool_postgres::Pool {
    let config: pg_session::tokio_postgres::Config = url.parse().unwrap();
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method });
    deadpool_postgres::Pool::builder(manager).max_size(1).build().unwrap()
}

#[tokio::test]
async fn no_way_of_recycling_ends_an_open_transaction() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let url = bench.database.url();
    bench.observer.batch_execute("CREATE TABLE t (a int PRIMARY KEY)").await.unwrap();
    let open = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL";
    for method in [RecyclingMethod::Fast, RecyclingMethod::Verified, RecyclingMethod::Clean] {
        let pool = deadpool(url, method.clone());
        let client = pool.get().await.unwrap();
        client.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
        drop(client);
        let client = pool.get().await.unwrap();
        let found: bool = client.query_one(open, &[]).await.unwrap().get(0);
        assert!(found, "deadpool has learnt to end transactions: {method:?}");
    }

    // Ours finds out, closes, and the next caller has a session of its own.
    let mut session = bench.pool.acquire().await.unwrap();
    let error = session.batch("BEGIN; INSERT INTO t VALUES (1)").await.unwrap_err();
    assert!(matches!(error, Error::TransactionMisplaced), "{error}");
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    assert!(!session.fetch_value::<bool>(open, &[]).await.unwrap());
}

#[tokio::test]
async fn a_caller_waits_for_ever_where_nobody_set_a_limit() {
    let patience = Duration::from_millis(100);
    let bench = bench(PoolOptions { max: 1, acquire_timeout: patience, ..options() }).await;
    let naive = deadpool(bench.database.url(), RecyclingMethod::Fast);
    let _held = naive.get().await.unwrap();
    let next = tokio::time::timeout(HANGS, naive.get()).await;
    assert!(next.is_err(), "deadpool has learnt to give up");

    let _held = bench.pool.acquire().await.unwrap();
    let error = bench.pool.acquire().await.err().unwrap();
    assert_eq!(error.failure, AcquireFailure::Exhausted, "{error}");
}

#[tokio::test]
async fn what_a_session_was_set_to_reaches_the_next_caller() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let changes = "SET statement_timeout = '7s'; SELECT pg_advisory_lock(1); SET ROLE pg_monitor";
    let state = "SELECT concat_ws(' ', current_setting('statement_timeout'), current_user, \
                 (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))";
    for method in [RecyclingMethod::Fast, RecyclingMethod::Verified] {
        let pool = deadpool(bench.database.url(), method.clone());
        pool.get().await.unwrap().batch_execute(changes).await.unwrap();
        let found: String = pool.get().await.unwrap().query_one(state, &[]).await.unwrap().get(0);
        assert_eq!(found, "7s pg_monitor 1", "deadpool has learnt to clean: {method:?}");
    }

    let mut session = bench.pool.acquire().await.unwrap();
    session.batch(changes).await.unwrap();
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<String>(state, &[]).await.unwrap(), "10s postgres 0");
}

#[tokio::test]
async fn a_peer_that_accepts_and_stays_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let short = Duration::from_millis(100);
    let mut naive = pg_session::tokio_postgres::Config::new();
    naive.host("127.0.0.1").port(address.port()).user("u").connect_timeout(short);
    let hangs = tokio::time::timeout(HANGS, naive.connect(NoTls)).await;
    assert!(hangs.is_err(), "the driver's limit has learnt to cover the start-up");

    let config = Config::from_url(&format!("postgres://u:p@{address}/d")).unwrap();
    let limits = PoolOptions { acquire_timeout: short, ..options() };
    let error = Pool::open(config.clone(), limits.clone()).await.err().unwrap();
    assert!(matches!(error, Error::ConnectTimeout { after, .. } if after == short), "{error}");
    let pool = Pool::open(config, PoolOptions { min: 0, ..limits }).await.unwrap();
    let error = pool.acquire().await.err().unwrap();
    assert_eq!((error.failure, error.after), (AcquireFailure::Connect, short));
    assert!(
        matches!(error.last_connect_error.as_deref(), Some(Error::ConnectTimeout { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_stream_dropped_early_holds_up_what_follows() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    // Many rows, and each takes its time.
    let sql = "SELECT g, pg_sleep(0.005) FROM generate_series(1, 5000) g";
    let naive = driver(bench.database.url(), "naive").await;
    {
        let rows = naive.query_raw::<_, i32, _>(sql, []).await.unwrap();
        std::pin::pin!(rows).next().await.unwrap().unwrap();
    }
    let next = tokio::time::timeout(HANGS, naive.query_one("SELECT 1", &[])).await;
    assert!(next.is_err(), "the driver has learnt to stop a query that nobody reads");

    let mut session = bench.pool.acquire().await.unwrap();
    let mut rows = session.stream(sql, &[]).await.unwrap();
    rows.next().await.unwrap().unwrap();
    drop(rows);
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
    bench.until_sessions("state = 'active'", 0).await;
}

#[tokio::test]
async fn a_request_to_cancel_meets_the_query_that_runs_when_it_arrives() {
    const SEED: u64 = 0x5eed_0005;
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let naive = driver(bench.database.url(), "naive").await;
    // Taken for one query, sent when that has ended: the next one is hit.
    let token = naive.cancel_token();
    naive.execute("SELECT 1", &[]).await.unwrap();
    let sleeping = "SELECT count(*) FROM pg_stat_activity \
                    WHERE application_name = 'naive' AND datname = current_database() \
                    AND wait_event = 'PgSleep'";
    let (innocent, ()) = tokio::join!(naive.execute("SELECT pg_sleep(30)", &[]), async {
        while bench.value(sleeping).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        token.cancel_query(NoTls).await.unwrap();
    });
    assert_eq!(Error::from(innocent.unwrap_err()).sqlstate(), Some("57014"));

    let mut random = Random(SEED);
    let mut given_up = 0;
    for round in 0..150 {
        let mut session = bench.pool.acquire().await.unwrap();
        let limit = Duration::from_micros(random.below(3000));
        let call = session.execute("SELECT pg_sleep(0.001)", &[]);
        given_up += u32::from(tokio::time::timeout(limit, call).await.is_err());
        drop(session);
        let mut session = bench.pool.acquire().await.unwrap();
        let innocent = session.execute("SELECT pg_sleep(0.002)", &[]).await;
        assert!(innocent.is_ok(), "seed {SEED:#x}, round {round}: {innocent:?}");
    }
    assert!(given_up > 20, "{given_up} given up");
}

#[tokio::test]
async fn a_copy_that_the_server_refuses_ends_the_connection() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    bench
        .observer
        .batch_execute("CREATE TABLE t (a int CONSTRAINT small CHECK (a < 10))")
        .await
        .unwrap();
    let refused = "COPY nothing FROM STDIN";
    let naive = driver(bench.database.url(), "naive").await;
    assert!(naive.copy_in::<_, bytes::Bytes>(refused).await.is_err());
    assert!(naive.query_one("SELECT 1", &[]).await.is_err(), "the driver keeps in step");

    let mut session = bench.pool.acquire().await.unwrap();
    let error = session.copy_in(refused).await.err().unwrap();
    assert_eq!(error.sqlstate(), Some("42P01"), "{error}");
    assert!(matches!(session.fetch("SELECT 1", &[]).await, Err(Error::SessionClosed)));
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);

    // A row that the server refuses: what is sent after it is taken without a
    // word, and the reason comes at the end.
    let mut copy = session.copy_in("COPY t FROM STDIN").await.unwrap();
    let rows = "11\n".repeat(10_000);
    for _ in 0..20 {
        copy.send(bytes::Bytes::copy_from_slice(rows.as_bytes())).await.unwrap();
    }
    let error = copy.finish().await.unwrap_err();
    assert_eq!(error.server().and_then(|report| report.constraint()), Some("small"), "{error}");
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<i64>("SELECT count(*) FROM t", &[]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_parameter_too_many_spoils_the_connection() {
    let bench = bench(options()).await;
    let naive = driver(bench.database.url(), "naive").await;
    let list: Vec<String> = (1..=65_536).map(|number| format!("${number}::int")).collect();
    let sql = format!("SELECT ARRAY[{}]", list.join(","));
    let given = vec![&1_i32 as &(dyn ToSql + Sync); list.len()];
    let error = naive.query(&sql, &given).await.unwrap_err();
    assert_eq!(error.code(), None, "the driver says what is wrong: {error}");

    let mut session = bench.pool.acquire().await.unwrap();
    let error = session.fetch(&sql, &given).await.unwrap_err();
    assert_eq!(error.class(), Class::Bug, "{error}");
    assert!(error.to_string().contains("65535 parameters at most"), "{error}");
}

#[tokio::test]
async fn connections_end_with_a_goodbye() {
    let sql = "SELECT sessions_abandoned FROM pg_stat_database WHERE datname = current_database()";
    let bench = bench(PoolOptions { min: 2, ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let call = session.execute("SELECT pg_sleep(30)", &[]);
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
    drop(session);
    bench.until_returned().await;
    let support::Bench { pool, observer, database } = bench;
    drop(pool);
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pooled' AND datname = current_database()";
    while observer.query_one(ours, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(observer.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);

    let naive = deadpool(database.url(), RecyclingMethod::Fast);
    drop(naive.get().await.unwrap());
    drop(naive);
    while observer.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_password_shows_when_a_configuration_is_printed() {
    let naive = deadpool_postgres::Config {
        password: Some("canary-11".to_owned()),
        ..deadpool_postgres::Config::default()
    };
    assert!(format!("{naive:?}").contains("canary-11"), "deadpool has learnt to redact");

    let config = Config::from_url("postgres://u:canary-11@h/d").unwrap();
    for text in [format!("{config:?}"), format!("{config:#?}"), config.to_string()] {
        assert!(!text.contains("canary"), "{text}");
    }
}
