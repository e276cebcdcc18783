//! Failures: what is retried takes effect once, what cannot be known is said.

use std::time::Duration;

use pg_session::{Class, Config, Outcome};
use signal_store::{BucketWidth, Error, Store};

use crate::failing::CONFLICT;
use crate::records::{ago, greeks, timeframe};
use crate::relay::Relay;
use crate::signal::{rows, signal};
use crate::support::{Bench, bench, days, options};

/// A store behind a relay, beside the bench's own.
async fn relayed() -> (Bench, Relay, Store) {
    let bench = bench().await;
    let relay = Relay::to(bench.database.url()).await;
    let config = Config::from_url(relay.url()).unwrap();
    let mut limits = options();
    // What was idle is found dead at the first use, not before.
    limits.pool.min = 1;
    let store = Store::connect(config, limits).await.unwrap();
    (bench, relay, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_whose_connection_is_cut_is_stored_once() {
    // Before a statement, before the commit, and after the commit was carried out.
    for (arrives, word) in
        [(false, "NSE@NIFTY@PE@20000"), (false, "COMMIT"), (true, "NIFTY"), (true, "COMMIT")]
    {
        let (bench, relay, store) = relayed().await;
        if arrives {
            relay.cut_after(word);
        } else {
            relay.cut_before(word);
        }
        let saved = store.save_signal(&signal()).await.unwrap();
        assert_eq!(saved.greeks.len(), 2);
        assert_eq!(rows(&bench).await, [2, 1, 1, 1], "{word}, arrives: {arrives}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_connection_is_cut_is_stored_once() {
    for arrives in [false, true] {
        let (bench, relay, store) = relayed().await;
        if arrives {
            relay.cut_after("COMMIT");
        } else {
            relay.cut_before("COMMIT");
        }
        let batch = [timeframe("NSE@TCS@EQ", 5, ago(1)), timeframe("NSE@TCS@EQ", 5, ago(2))];
        let saved = store.save_custom_timeframe_data(&batch).await.unwrap();
        assert_eq!((saved.inserted, saved.updated), (2, 0));
        let updated = "SELECT count(*) FROM signal_custom_timeframes WHERE updated_at > created_at";
        assert_eq!(rows(&bench).await[3], 2);
        assert_eq!(bench.count(updated).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_write_whose_answer_is_lost_is_unknown_and_not_repeated() {
    let (bench, relay, store) = relayed().await;
    relay.cut_after("NSE@TCS@EQ");
    let error = store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap_err();
    assert_eq!((error.class(), error.outcome()), (Class::Lost, Outcome::Unknown));
    assert_eq!(rows(&bench).await[0], 1);
    // The next call has another connection.
    store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap();
    assert_eq!(rows(&bench).await[0], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_whose_connection_is_cut_is_repeated() {
    let (_bench, relay, store) = relayed().await;
    store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap();
    relay.cut_before("NSE@TCS@EQ");
    let latest = store.get_latest_greeks(&"NSE@TCS@EQ".parse().unwrap()).await.unwrap();
    assert!(latest.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_whose_connection_is_cut_is_repeated() {
    let (_bench, relay, store) = relayed().await;
    store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap();
    let (key, width) = ("NSE@TCS@EQ".parse().unwrap(), Duration::from_mins(5));
    let width = BucketWidth::new(width).unwrap();
    for arrives in [false, true] {
        if arrives {
            relay.cut_after("NSE@TCS@EQ");
        } else {
            relay.cut_before("NSE@TCS@EQ");
        }
        let history = store.get_historical_greeks(&key, &days(1), width).await.unwrap();
        assert_eq!(history.len(), 1, "arrives: {arrives}");
    }
    store.clone().disconnect().await;
    let error = store.get_historical_greeks(&key, &days(1), width).await.unwrap_err();
    assert!(matches!(error, Error::Database(pg_session::Error::Acquire(_))), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_met_a_conflict_is_repeated_and_takes_effect_once() {
    let bench = bench().await;
    // The first two attempts fail as a deadlock's victim would.
    bench.fail_inserts(2, CONFLICT).await;
    bench.store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap();
    assert_eq!(bench.count("SELECT last_value FROM attempts").await, 3);
    assert_eq!(rows(&bench).await[0], 1);
    bench.observer.batch_execute("ALTER SEQUENCE attempts RESTART").await.unwrap();
    bench.store.save_signal(&signal()).await.unwrap();
    assert_eq!(rows(&bench).await, [3, 1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_chunk_was_dropped_meanwhile_is_repeated() {
    let bench = bench().await;
    // The first two attempts open a table that is no longer there, as a row for a chunk
    // does that another transaction has dropped.
    bench.fail_inserts(2, "PERFORM gin_clean_pending_list(4000000000::oid::regclass);").await;
    // The naive way meets an internal error of the server.
    let insert = "INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\") \
                  VALUES ('signal_20260117_000001', 'NSE@TCS@EQ', now())";
    let error = pg_session::Error::from(bench.observer.batch_execute(insert).await.unwrap_err());
    assert_eq!((error.sqlstate(), error.class()), (Some("XX000"), Class::Conflict));
    bench.observer.batch_execute("ALTER SEQUENCE attempts RESTART").await.unwrap();
    bench.store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap();
    assert_eq!(bench.count("SELECT last_value FROM attempts").await, 3);
    assert_eq!(rows(&bench).await[0], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_is_not_repeated() {
    let bench = bench().await;
    bench.fail_inserts(i64::MAX, "RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation';").await;
    let error = bench.store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap_err();
    assert_eq!((error.class(), error.outcome()), (Class::Constraint, Outcome::NotApplied));
    assert_eq!(bench.count("SELECT last_value FROM attempts").await, 1);
    assert!(bench.store.save_signal(&signal()).await.is_err());
    assert_eq!(bench.count("SELECT last_value FROM attempts").await, 2);
    assert_eq!(rows(&bench).await, [0; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_column_is_drift_by_name() {
    let bench = bench().await;
    let key = "NSE@TCS@EQ".parse().unwrap();
    bench.store.get_latest_greeks(&key).await.unwrap();
    bench
        .observer
        .batch_execute("ALTER TABLE signal_greeks DROP COLUMN rho CASCADE")
        .await
        .unwrap();
    let error = bench.store.get_latest_greeks(&key).await.unwrap_err();
    assert_eq!(error.class(), Class::Drift);
    assert!(error.to_string().contains("\"rho\" does not exist"), "{error}");
    let error = bench.store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap_err();
    assert_eq!(error.class(), Class::Drift);
    assert!(error.to_string().contains("\"rho\""), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_privilege_that_is_missing_is_said() {
    let bench = bench().await;
    let role = format!("reader_{}", bench.database.name());
    let sql = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'secret';
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    );
    bench.observer.batch_execute(&sql).await.unwrap();
    let config =
        Config::from_url(bench.database.url()).unwrap().with_user(&role, Some("secret".into()));
    let store = Store::connect(config, options()).await.unwrap();
    assert_eq!(store.get_latest_greeks(&"NSE@TCS@EQ".parse().unwrap()).await.unwrap(), None);
    let error = store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap_err();
    assert_eq!(error.class(), Class::Privilege);
    assert!(error.to_string().contains("signal_greeks"), "{error}");
    store.disconnect().await;
    let sql = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    bench.observer.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_leaves_nothing_behind() {
    let bench = bench().await;
    bench.observer.batch_execute("BEGIN; LOCK TABLE signal_custom_timeframes").await.unwrap();
    let signal = signal();
    let call = bench.store.save_signal(&signal);
    let waited = tokio::time::timeout(Duration::from_millis(300), call).await;
    assert!(waited.is_err(), "the last table is locked");
    bench.observer.batch_execute("COMMIT").await.unwrap();
    while bench.store.pool().status().out > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(rows(&bench).await, [0; 4]);
    let saved: Result<_, Error> = bench.store.save_signal(&signal).await;
    assert!(saved.is_ok());
}
