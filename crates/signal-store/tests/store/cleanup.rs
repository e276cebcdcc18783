//! Retention: whole chunks are dropped, the rest is deleted, nothing younger goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pg_session::RetryPolicy;
use signal_store::jiff::{SignedDuration, Timestamp};
use signal_store::{Cleanup, Error, MoneynessLevel, Retention, Store, TableCleanup, now};

use crate::records::{greeks, indicator, moneyness, timeframe};
use crate::support::{Bench, bench, options};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// One record of every kind at that instant.
async fn save_all(store: &Store, at: Timestamp) {
    store.save_greeks(&greeks("NSE@TCS@EQ", at)).await.unwrap();
    store.save_indicator(&indicator("NSE@TCS@EQ", "RSI", at)).await.unwrap();
    let level = moneyness("NIFTY", MoneynessLevel::Atm, at);
    store.save_moneyness_greeks(&level).await.unwrap();
    let _ = store.save_custom_timeframe_data(&[timeframe("NSE@TCS@EQ", 5, at)]).await.unwrap();
}

fn table<'a>(cleanup: &'a Cleanup, name: &str) -> &'a TableCleanup {
    cleanup.tables.iter().find(|table| table.table == name).unwrap()
}

async fn oldest(bench: &Bench, table: &str) -> Timestamp {
    let sql = format!("SELECT min(\"timestamp\") FROM {table}");
    bench.observer.query_one(&sql, &[]).await.unwrap().get(0)
}

async fn chunks(bench: &Bench, table: &str) -> i64 {
    bench.count(&format!("SELECT count(*) FROM show_chunks('{table}')")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_goes_and_nothing_else() {
    let bench = bench().await;
    // Days that are old as a whole, one that is old in part, and one that is not.
    let present = now();
    for days in [200, 185, 100, 95] {
        save_all(&bench.store, present - DAY * days).await;
    }
    let edge = SignedDuration::from_mins(1);
    for kept in [180, 90] {
        save_all(&bench.store, present - DAY * kept - edge).await;
        save_all(&bench.store, present - DAY * kept + edge).await;
    }
    save_all(&bench.store, present).await;
    let cleanup = bench.store.cleanup_old_data(&Retention::default()).await.unwrap();
    assert!(cleanup.failure().is_none(), "{cleanup:?}");
    assert_eq!(cleanup.tables.len(), 3);

    // 200, 185, twice 180, 100, 95 and 90 days and a minute.
    for name in ["signal_greeks", "signal_indicators"] {
        let done = table(&cleanup, name);
        assert_eq!(done.rows_in_chunks + done.rows_deleted, 7, "{done:?}");
        assert!(done.chunks >= 5 && done.rows_in_chunks >= 6, "{done:?}");
        assert_eq!(oldest(&bench, name).await, present - DAY * 90 + edge);
        assert_eq!(bench.count(&format!("SELECT count(*) FROM {name}")).await, 2);
        assert!(chunks(&bench, name).await <= 3);
        assert!(done.before <= now() - DAY * 90 && done.before >= present - DAY * 90);
    }
    let done = table(&cleanup, "signal_moneyness_greeks");
    assert_eq!(done.rows_in_chunks + done.rows_deleted, 3, "{done:?}");
    assert!(done.chunks >= 2);
    let kept = oldest(&bench, "signal_moneyness_greeks").await;
    assert_eq!(kept, present - DAY * 180 + edge);
    assert_eq!(bench.count("SELECT count(*) FROM signal_custom_timeframes").await, 9);
    assert_eq!(cleanup.rows(), 17);

    // A second time there is nothing to do.
    let again = bench.store.cleanup_old_data(&Retention::default()).await.unwrap();
    assert!(again.failure().is_none());
    assert_eq!((again.rows(), again.tables.iter().map(|one| one.chunks).sum::<u64>()), (0, 0));

    let all = bench.store.cleanup_old_data(&Retention::days(89)).await.unwrap();
    assert_eq!(all.tables.len(), 4);
    assert_eq!(table(&all, "signal_custom_timeframes").before, table(&all, "signal_greeks").before);
    assert_eq!(bench.count("SELECT count(*) FROM signal_custom_timeframes").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_without_rows_or_retention_are_left_alone() {
    let bench = bench().await;
    let none = bench.store.cleanup_old_data(&Retention::days(0)).await.unwrap();
    assert_eq!((none.rows(), none.tables.len()), (0, 4));
    let keep =
        Retention { greeks: None, indicators: None, moneyness: None, custom_timeframes: None };
    assert!(bench.store.cleanup_old_data(&keep).await.unwrap().tables.is_empty());
    let ages = bench.store.cleanup_old_data(&Retention::days(u32::MAX)).await.unwrap();
    assert!(ages.failure().is_none(), "{ages:?}");
    assert_eq!(ages.rows(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_fails_does_not_keep_the_others() {
    let bench = bench().await;
    save_all(&bench.store, now() - DAY * 100).await;
    bench.observer.batch_execute("DROP TABLE signal_greeks CASCADE").await.unwrap();
    let cleanup = bench.store.cleanup_old_data(&Retention::days(90)).await.unwrap();
    let failed = table(&cleanup, "signal_greeks");
    assert!(
        matches!(&failed.failure, Some(Error::Database(pg_session::Error::Drift(_)))),
        "{failed:?}"
    );
    assert!(cleanup.failure().is_some());
    assert_eq!(cleanup.rows(), 3);
    assert_eq!(bench.count("SELECT count(*) FROM signal_indicators").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_nothing_begins() {
    let bench = bench().await;
    bench.store.clone().disconnect().await;
    let error = bench.store.cleanup_old_data(&Retention::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Database(pg_session::Error::Acquire(_))), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanups_beside_each_other_count_each_chunk_once() {
    let bench = bench().await;
    for day in 0..8 {
        for _ in 0..3 {
            let record = greeks("NSE@TCS@EQ", now() - DAY * (100 + day));
            bench.store.save_greeks(&record).await.unwrap();
        }
    }
    let cleanups = (0..4).map(|_| {
        let store = bench.store.clone();
        tokio::spawn(async move { store.cleanup_old_data(&Retention::default()).await.unwrap() })
    });
    let (mut rows, mut chunks) = (0, 0);
    for cleanup in cleanups.collect::<Vec<_>>() {
        let cleanup = cleanup.await.unwrap();
        assert!(cleanup.failure().is_none(), "{cleanup:?}");
        rows += cleanup.rows();
        chunks += cleanup.tables.iter().map(|table| table.chunks).sum::<u64>();
    }
    assert_eq!((rows, chunks), (24, 8));
    assert_eq!(bench.count("SELECT count(*) FROM signal_greeks").await, 0);
}

/// Writers and readers at work on the very chunks that are dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_beside_ingest_loses_nothing_that_is_young() {
    let database = crate::support::database();
    let config = pg_session::Config::from_url(database.url()).unwrap();
    let mut limits = options();
    // Each deadlock lasts a second, and on a busy machine one follows the other.
    limits.retry = RetryPolicy { attempts: 200, deadline: Duration::from_mins(5), ..limits.retry };
    let store = Store::connect(config, limits).await.unwrap();
    let present = now();
    let stop = Arc::new(AtomicBool::new(false));
    let writers = (0..4_i64).map(|writer| {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut young = 0;
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let at = present - SignedDuration::from_micros(number * 4 + writer);
                let old = at - DAY * (91 + number % 5).try_into().unwrap();
                let saved = store.save_greeks(&greeks("NSE@TCS@EQ", old)).await;
                saved.unwrap_or_else(|error| panic!("an old row: {error:?}"));
                let saved = store.save_greeks(&greeks("NSE@TCS@EQ", at)).await;
                saved.unwrap_or_else(|error| panic!("a young row: {error:?}"));
                young += 1;
                let key = "NSE@TCS@EQ".parse().unwrap();
                let latest = store.get_latest_greeks(&key).await;
                let latest = latest.unwrap_or_else(|error| panic!("a read: {error:?}"));
                assert!(latest.unwrap().timestamp >= at);
            }
            young
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut dropped = 0;
    // A writer ends early only when it has failed.
    while dropped <= 20 && !writers.iter().any(tokio::task::JoinHandle::is_finished) {
        let cleanup = store.cleanup_old_data(&Retention::default()).await.unwrap();
        assert!(cleanup.failure().is_none(), "{cleanup:?}");
        dropped += cleanup.tables.iter().map(|table| table.chunks).sum::<u64>();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut young = 0;
    for writer in writers {
        young += writer.await.unwrap();
    }
    let cleanup = store.cleanup_old_data(&Retention::default()).await.unwrap();
    assert!(cleanup.failure().is_none(), "{cleanup:?}");
    let count: i64 = store
        .session()
        .await
        .unwrap()
        .fetch_value("SELECT count(*) FROM signal_greeks", &[])
        .await
        .unwrap();
    assert_eq!(count, young);
}

/// TimescaleDB alone locks a chunk's indexes before the chunk, against all who read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_beside_readers_meets_no_deadlock() {
    let bench = bench().await;
    let config = pg_session::Config::from_url(bench.database.url()).unwrap();
    let mut limits = options();
    limits.retry = RetryPolicy { attempts: 3, ..limits.retry };
    let store = Store::connect(config, limits).await.unwrap();
    for day in 0..20 {
        store.save_greeks(&greeks("NSE@TCS@EQ", now() - DAY * (100 + day))).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let readers = (0..4).map(|_| {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let key = "NSE@TCS@EQ".parse().unwrap();
            while !stop.load(Ordering::Relaxed) {
                let read = store.get_latest_greeks(&key).await;
                let _ = read.unwrap_or_else(|error| panic!("a read: {error:?}"));
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    let cleanup = store.cleanup_old_data(&Retention::default()).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(cleanup.failure().is_none(), "{cleanup:?}");
    assert_eq!(table(&cleanup, "signal_greeks").chunks, 20);
}
