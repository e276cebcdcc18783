//! Maintenance: everything that would grow without limit, in one call and in one task.

use std::time::Duration;

use signal_store::ingest::BatchId;
use signal_store::pg_session::Class;
use signal_store::{Error, Maintenance, Retention};

use crate::records::{ago, greeks};
use crate::support::{Bench, bench};

const DAY: i64 = 24 * 60;
const STALE: &str = "SELECT count(*) FROM signal_greeks_rollup_stale";
const ROLLUPS: &str = "SELECT count(*) FROM signal_greeks_rollup";
const BATCHES: &str = "SELECT count(*) FROM signal_ingest_batch";

/// Something of everything that has to go, and its like that has to stay.
async fn fill(bench: &Bench) {
    let ingest = bench.store.ingest();
    for day in [1, 50, 100] {
        let batch = [greeks("NSE@TCS@EQ", ago(day * DAY))];
        assert_eq!(ingest.batch(BatchId::new(), &batch).await.unwrap().stored(), 1);
    }
    bench.store.rollups().refresh_rollups().await.unwrap();
    // A chunk that goes behind the store's back, and a batch of long ago.
    bench
        .observer
        .batch_execute(
            "SELECT drop_chunks('signal_greeks', older_than => now() - INTERVAL '40 days',
                newer_than => now() - INTERVAL '60 days');
             UPDATE signal_ingest_batch SET committed_at = now() - INTERVAL '8 days'
             WHERE id = (SELECT min(id::text) FROM signal_ingest_batch)::uuid",
        )
        .await
        .unwrap();
    bench.store.save_greeks(&greeks("NSE@INFY@EQ", ago(2 * DAY))).await.unwrap();
    let counts = [STALE, ROLLUPS, BATCHES].map(|sql| bench.count(sql));
    let [stale, rollups, batches] = counts;
    assert_eq!((stale.await, rollups.await, batches.await), (1, 3, 3));
}

async fn wait_until(bench: &Bench, sql: &str, wanted: i64) {
    for _ in 0..2_000 {
        if bench.count(sql).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{sql}: not {wanted} in ten seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_does_it_all() {
    let bench = bench().await;
    fill(&bench).await;
    let done = bench.store.maintain(&Maintenance::default()).await;
    assert!(done.failure().is_none(), "{done:?}");
    let cleanup = done.cleanup.as_ref().unwrap();
    // Cleanup, which dropped a chunk, took the rollups of both chunks away.
    assert_eq!((done.refreshed, cleanup.rows(), done.forgotten, done.pruned), (1, 1, 1, 0));
    assert_eq!(bench.count(STALE).await, 0);
    assert_eq!(bench.count(ROLLUPS).await, 2);
    assert_eq!(bench.count(BATCHES).await, 2);
    assert_eq!(bench.count("SELECT count(*) FROM signal_greeks").await, 2);
    let again = bench.store.maintain(&Maintenance::default()).await;
    assert_eq!((again.refreshed, again.forgotten, again.pruned), (0, 0, 0));

    // A chunk that a policy or an administrator has dropped.
    bench
        .observer
        .batch_execute(
            // That of two days ago ended with the day before yesterday, at whatever hour it is now.
            "SELECT drop_chunks('signal_greeks',
                older_than => date_trunc('day', now(), 'UTC') - INTERVAL '1 day')",
        )
        .await
        .unwrap();
    assert_eq!(bench.store.maintain(&Maintenance::default()).await.pruned, 1);
    assert_eq!(bench.count(ROLLUPS).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_fails_does_not_keep_the_others() {
    let bench = bench().await;
    fill(&bench).await;
    let away = "ALTER TABLE signal_ingest_batch RENAME TO away; DROP TABLE signal_indicators";
    bench.observer.batch_execute(away).await.unwrap();
    let done = bench.store.maintain(&Maintenance::default()).await;
    assert_eq!((done.refreshed, done.forgotten), (1, 0));
    assert_eq!(done.cleanup.as_ref().unwrap().rows(), 1);
    assert_eq!(done.failures.len(), 1);
    assert_eq!(done.failure().map(Error::class), Some(Class::Drift));
    let back = "ALTER TABLE away RENAME TO signal_ingest_batch";
    bench.observer.batch_execute(back).await.unwrap();
    // That of a single table is found too.
    let done = bench.store.maintain(&Maintenance::default()).await;
    assert!(done.failures.is_empty());
    assert_eq!(done.failure().map(Error::class), Some(Class::Drift));
    bench.store.clone().disconnect().await;
    let done = bench.store.maintain(&Maintenance::default()).await;
    assert!(done.cleanup.is_none());
    assert_eq!(done.failures.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_looks_after_everything_until_it_is_stopped() {
    let bench = bench().await;
    let often = Maintenance {
        refresh_every: Duration::from_millis(20),
        clean_every: Duration::from_millis(60),
        ..Maintenance::default()
    };
    let maintainer = bench.store.maintained(often);
    bench.store.save_greeks(&greeks("NSE@TCS@EQ", ago(100 * DAY))).await.unwrap();
    bench.store.save_greeks(&greeks("NSE@TCS@EQ", ago(DAY))).await.unwrap();
    wait_until(&bench, STALE, 0).await;
    wait_until(&bench, "SELECT count(*) FROM signal_greeks", 1).await;
    assert_eq!((maintainer.failures(), maintainer.last_failure()), (0, None));
    maintainer.stop().await;
    bench.store.save_greeks(&greeks("NSE@TCS@EQ", ago(DAY))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.count(STALE).await, 1);

    // Between two rounds of cleaning there is refreshing alone.
    let rarely = Maintenance { clean_every: Duration::from_hours(1), ..often };
    let maintainer = bench.store.maintained(rarely);
    wait_until(&bench, STALE, 0).await;
    let before = bench.count("SELECT count(*) FROM signal_greeks").await;
    // When the first is rolled up the round that cleans is over.
    for days in [1, 100, 2] {
        bench.store.save_greeks(&greeks("NSE@TCS@EQ", ago(days * DAY))).await.unwrap();
        wait_until(&bench, STALE, 0).await;
    }
    assert_eq!(bench.count("SELECT count(*) FROM signal_greeks").await, before + 3);
    maintainer.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_dropped_ends_at_once() {
    let bench = bench().await;
    bench.store.save_greeks(&greeks("NSE@TCS@EQ", ago(DAY))).await.unwrap();
    bench.observer.batch_execute("BEGIN; LOCK TABLE signal_greeks_rollup_stale").await.unwrap();
    let maintainer = bench.store.maintained(Maintenance::default());
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE wait_event_type = 'Lock' AND datname = current_database()";
    wait_until(&bench, waiting, 1).await;
    drop(maintainer);
    wait_until(&bench, waiting, 0).await;
    bench.observer.batch_execute("COMMIT").await.unwrap();
    assert_eq!(bench.count(STALE).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_counts_what_fails_and_goes_on() {
    let bench = bench().await;
    let away = "ALTER TABLE signal_greeks_rollup_stale RENAME TO away";
    bench.observer.batch_execute(away).await.unwrap();
    let often = Maintenance {
        retention: Retention { greeks: None, ..Retention::default() },
        refresh_every: Duration::from_millis(10),
        ..Maintenance::default()
    };
    let maintainer = bench.store.maintained(often);
    // The first round is whole, those after it refresh.
    for _ in 0..2_000 {
        if maintainer.failures() > 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(maintainer.failures() > 2);
    assert!(maintainer.last_failure().unwrap().contains("signal_greeks_rollup_stale"));
}
