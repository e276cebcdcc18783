//! Connecting, disconnecting, health.

use std::time::Duration;

use pg_session::{Class, Config, Outcome, PoolOptions, ReaderOptions};
use signal_store::{APPLICATION_NAME, Error, SCHEMA_VERSION, Store, StoreOptions};

use crate::records::{ago, greeks};
use crate::support::{Bench, bench, contract, database, options, plain};

async fn connect(url: &str) -> Result<Store, Error> {
    Store::connect(Config::from_url(url).unwrap(), options()).await
}

/// Waits until the server knows that many connections of stores.
async fn until_connections(bench: &Bench, count: i64) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = '{APPLICATION_NAME}'"
    );
    for _ in 0..1000 {
        if bench.count(&sql).await == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} connections, expected {count}", bench.count(&sql).await);
}

#[test]
fn the_defaults_are_the_contracts() {
    let options = StoreOptions::default();
    let pool = &contract().model.pool;
    assert_eq!(options.pool.min, pool.min);
    assert_eq!(options.pool.max + options.reader.connections, pool.max);
    assert_eq!(options.pool.acquire_timeout, Duration::from_millis(pool.acquire_timeout_ms));
    assert_eq!(options.pool.command_timeout, Duration::from_millis(pool.command_timeout_ms));
    assert_eq!(APPLICATION_NAME, pool.application_name);
    assert_eq!(SCHEMA_VERSION, contract().model.service.version.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_have_the_contracts_settings() {
    let bench = bench().await;
    let mut session = bench.store.session().await.unwrap();
    let mut setting = async |name: &str| {
        session.fetch_value::<String>("SELECT current_setting($1)", &[&name]).await.unwrap()
    };
    assert_eq!(setting("application_name").await, APPLICATION_NAME);
    assert_eq!(setting("jit").await, "off");
    assert_eq!(setting("statement_timeout").await, "20s");
    assert_eq!(setting("default_transaction_isolation").await, "read committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_tells_version_and_use() {
    let bench = bench().await;
    let health = bench.store.health().await.unwrap();
    assert_eq!(health.schema_version, SCHEMA_VERSION);
    assert!(health.applied_at.is_some());
    assert!(health.latency > Duration::ZERO);
    assert_eq!(health.pool.max, 6);
    assert!(health.reader.connections >= 1);
    assert!(bench.store.reader().status().connections >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_schema_version_is_refused_by_name() {
    let refuse = async |sql: &str| {
        let database = database();
        database.run_sql(sql).unwrap();
        let error = connect(database.url()).await.err().unwrap();
        assert_eq!((error.class(), error.outcome()), (Class::Drift, Outcome::NotApplied));
        error.to_string()
    };
    let needed = format!(
        "expected schema version {SCHEMA_VERSION} or a later one that is compatible, found "
    );
    assert_eq!(
        refuse("DELETE FROM schema_version WHERE version <> '1.0.0'").await,
        format!("{needed}1.0.0 — run the migrations of this version")
    );
    assert!(
        refuse("INSERT INTO schema_version (version) VALUES ('2.0.0')")
            .await
            .starts_with(&format!("{needed}2.0.0 "))
    );
    let none = format!("{needed}none ");
    assert!(refuse("DELETE FROM schema_version").await.starts_with(&none));
    assert!(refuse("DROP TABLE schema_version").await.starts_with(&none));
    // Another fault is told as what it is.
    let other = refuse("ALTER TABLE schema_version RENAME COLUMN version TO away").await;
    assert!(other.contains("42703"), "{other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_notices_that_the_version_has_changed() {
    let bench = bench().await;
    let insert = "INSERT INTO schema_version (version) VALUES ('1.99.0')";
    bench.observer.batch_execute(insert).await.unwrap();
    assert_eq!(bench.store.health().await.unwrap().schema_version, "1.99.0");
    bench.observer.batch_execute("DELETE FROM schema_version").await.unwrap();
    let error = bench.store.health().await.unwrap_err();
    assert!(matches!(error, Error::SchemaVersion { found: None, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_leaves_none_open() {
    let bench = bench().await;
    until_connections(&bench, 6).await;
    let config = || Config::from_url(bench.database.url()).unwrap();
    let wrong = ReaderOptions { connections: 0, ..ReaderOptions::default() };
    let error = Store::connect(config(), StoreOptions { reader: wrong, ..options() }).await;
    assert_eq!(error.err().unwrap().class(), Class::Config);
    let wrong = PoolOptions { max: 0, ..PoolOptions::default() };
    let error = Store::connect(config(), StoreOptions { pool: wrong, ..options() }).await;
    assert_eq!(error.err().unwrap().class(), Class::Config);
    bench.observer.batch_execute("DELETE FROM schema_version").await.unwrap();
    assert!(Store::connect(config(), options()).await.is_err());
    until_connections(&bench, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_waits_for_calls_under_way_and_refuses_new_ones() {
    let bench = bench().await;
    until_connections(&bench, 6).await;
    let blocker = plain(bench.database.url()).await;
    blocker.batch_execute("BEGIN; LOCK TABLE signal_greeks").await.unwrap();
    let store = bench.store.clone();
    let write = tokio::spawn(async move { store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await });
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while bench.count(waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let closing = tokio::spawn(bench.store.clone().disconnect());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!closing.is_finished());
    blocker.batch_execute("COMMIT").await.unwrap();
    closing.await.unwrap();
    write.await.unwrap().unwrap();
    until_connections(&bench, 0).await;
    let error = bench.store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap_err();
    assert!(error.to_string().contains("the pool is closed"), "{error}");
    let error = bench.store.get_latest_greeks(&"NSE@TCS@EQ".parse().unwrap()).await.unwrap_err();
    assert!(matches!(&error, Error::Database(pg_session::Error::Acquire(_))), "{error}");
    let error = bench.store.health().await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied);
    bench.store.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_waits_for_reads_under_way_and_not_for_the_deadline() {
    let bench = bench().await;
    let pool = PoolOptions { command_timeout: Duration::from_hours(1), ..options().pool };
    let config = Config::from_url(bench.database.url()).unwrap();
    let store = Store::connect(config, StoreOptions { pool, ..options() }).await.unwrap();
    let blocker = plain(bench.database.url()).await;
    blocker.batch_execute("BEGIN; LOCK TABLE signal_greeks").await.unwrap();
    let reader = store.clone();
    let read =
        tokio::spawn(async move { reader.get_latest_greeks(&"NSE@TCS@EQ".parse().unwrap()).await });
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while bench.count(waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let closing = tokio::spawn(store.disconnect());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!closing.is_finished());
    blocker.batch_execute("COMMIT").await.unwrap();
    read.await.unwrap().unwrap();
    let closed = tokio::time::timeout(Duration::from_mins(1), closing).await;
    closed.expect("no call is under way").unwrap();
}
