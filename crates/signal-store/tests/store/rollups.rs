//! Rollups through the store: what is served from them, and when they go.

use std::time::Duration;

use signal_store::pg_session::Class;
use signal_store::{BucketWidth, InstrumentKey, Retention};

use crate::failing::{CONFLICT, fail};
use crate::records::{ago, greeks};
use crate::support::{Bench, bench, days};

const INSTRUMENT: &str = "NSE@NIFTY@CE@20000";

/// The average delta and the number of rows of today, in buckets of that width.
async fn history(bench: &Bench, minutes: u64) -> Vec<(String, i64)> {
    let instrument: InstrumentKey = INSTRUMENT.parse().unwrap();
    let width = BucketWidth::new(Duration::from_mins(minutes)).unwrap();
    let found = bench.store.get_historical_greeks(&instrument, &days(3), width).await.unwrap();
    found.iter().map(|one| (one.delta.unwrap().to_string(), one.data_points)).collect()
}

async fn fill(bench: &Bench) {
    for minutes in [61, 62, 90, 26 * 60] {
        bench.store.save_greeks(&greeks(INSTRUMENT, ago(minutes))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn multiples_of_five_minutes_are_served_from_rollups_and_others_are_not() {
    let bench = bench().await;
    fill(&bench).await;
    let rollups = bench.store.rollups();
    assert!(rollups.refresh_rollups().await.unwrap() > 0);
    assert_eq!(rollups.refresh_rollups().await.unwrap(), 0);
    let [fifteen, fourteen] = [history(&bench, 15).await, history(&bench, 14).await];
    assert!(fifteen.iter().all(|(delta, _)| delta.starts_with("0.512345")), "{fifteen:?}");
    // A rollup that is wrong shows which of the two was read.
    bench.observer.batch_execute("UPDATE signal_greeks_rollup SET delta_sum = 0").await.unwrap();
    assert!(
        history(&bench, 15)
            .await
            .iter()
            .all(|(delta, _)| delta.starts_with('0') && !delta.contains('5'))
    );
    assert_eq!(history(&bench, 14).await, fourteen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollups_that_are_gone_are_drift() {
    let bench = bench().await;
    let away = "ALTER TABLE signal_greeks_rollup RENAME TO away";
    bench.observer.batch_execute(away).await.unwrap();
    let error = bench.store.rollups().prune_rollups().await.unwrap_err();
    assert_eq!(error.class(), Class::Drift, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_takes_the_rollups_of_dropped_chunks_away() {
    let bench = bench().await;
    for days in [1, 100] {
        bench.store.save_greeks(&greeks(INSTRUMENT, ago(days * 24 * 60))).await.unwrap();
    }
    assert_eq!(bench.store.rollups().refresh_rollups().await.unwrap(), 2);
    let cleanup = bench.store.cleanup_old_data(&Retention::default()).await.unwrap();
    assert!(cleanup.failure().is_none(), "{cleanup:?}");
    assert_eq!(bench.count("SELECT count(*) FROM signal_greeks_rollup").await, 1);
    assert_eq!(bench.store.rollups().prune_rollups().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollups_that_meet_conflicts_are_computed_and_removed_all_the_same() {
    let bench = bench().await;
    bench.store.save_greeks(&greeks(INSTRUMENT, ago(100 * 24 * 60))).await.unwrap();
    fail(&bench.observer, "INSERT ON signal_greeks_rollup", 2, CONFLICT).await;
    assert_eq!(bench.store.rollups().refresh_rollups().await.unwrap(), 1);
    assert_eq!(bench.count("SELECT last_value FROM attempts").await, 3);
    let again = "DROP FUNCTION attempt CASCADE; DROP SEQUENCE attempts; \
                 SELECT drop_chunks('signal_greeks', older_than => now() - interval '90 days')";
    bench.observer.batch_execute(again).await.unwrap();
    fail(&bench.observer, "DELETE ON signal_greeks_rollup", 2, CONFLICT).await;
    assert_eq!(bench.store.rollups().prune_rollups().await.unwrap(), 1);
    assert_eq!(bench.count("SELECT last_value FROM attempts").await, 3);
}
