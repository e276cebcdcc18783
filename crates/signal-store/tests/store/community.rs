//! What only the Community edition has: compressed chunks, and policies that compress
//! and remove by themselves.

use std::time::Duration;

use signal_store::ingest::BatchId;
use signal_store::jiff::{SignedDuration, Timestamp};
use signal_store::pg_session::{Class, MaybeDatabaseError};
use signal_store::{BucketWidth, Greeks, Retention, now};

use crate::records::{greeks, number};
use crate::support::{Bench, bench, range};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const KEY: &str = "NSE@TCS@EQ";

/// Compresses all chunks of the Greeks, and gives their number.
async fn compress(bench: &Bench) -> i64 {
    let sql = "SELECT count(compress_chunk(chunk, if_not_compressed => true)) \
               FROM show_chunks('signal_greeks') AS chunk";
    bench.count(sql).await
}

async fn compressed(bench: &Bench) -> i64 {
    let sql = "SELECT count(*) FROM timescaledb_information.chunks \
               WHERE hypertable_name = 'signal_greeks' AND is_compressed";
    bench.count(sql).await
}

/// Runs the contract's policy of that kind for the Greeks.
async fn run_policy(bench: &Bench, kind: &str) {
    let sql = "SELECT job_id FROM timescaledb_information.jobs \
               WHERE hypertable_name = 'signal_greeks' AND proc_name = $1";
    let job: i32 = bench.observer.query_one(sql, &[&kind]).await.unwrap().get(0);
    bench.observer.batch_execute(&format!("CALL run_job({job})")).await.unwrap();
}

async fn rows(bench: &Bench) -> i64 {
    bench.count("SELECT count(*) FROM signal_greeks").await
}

/// Days with a record at every hour, beginning that long ago.
async fn store_days(bench: &Bench, days: &[i64]) -> i64 {
    let hour = SignedDuration::from_hours(1);
    let records: Vec<Greeks> = days
        .iter()
        .flat_map(|days| {
            (0..24).map(move |hours| now() - DAY * i32::try_from(*days).unwrap() + hour * hours)
        })
        .map(|at| greeks(KEY, at))
        .collect();
    let report = bench.store.ingest().batch(BatchId::new(), &records).await.unwrap();
    assert_eq!(report.stored(), records.len());
    i64::try_from(records.len()).unwrap()
}

/// The history of all days, by the store.
async fn history(bench: &Bench, end: Timestamp) -> Vec<signal_store::GreeksBucket> {
    let width = BucketWidth::new(Duration::from_hours(1)).unwrap();
    let all = range(end - DAY * 130, end);
    bench.store.get_historical_greeks(&KEY.parse().unwrap(), &all, width).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs TimescaleDB Community"]
async fn compressed_chunks_take_late_records_and_answer_the_same() {
    let bench = bench().await;
    let stored = store_days(&bench, &[100, 50, 20]).await;
    let end = now();
    let before = history(&bench, end).await;
    assert!(compress(&bench).await >= 3);
    assert_eq!(compressed(&bench).await, compress(&bench).await);
    assert_eq!(history(&bench, end).await, before);

    // Late records: one, a batch, and one through the writer.
    let late = now() - DAY * 50 + SignedDuration::from_mins(1);
    bench.store.save_greeks(&greeks(KEY, late)).await.unwrap();
    let id = BatchId::new();
    let batch = [greeks(KEY, late), greeks(KEY, late - DAY * 50)];
    for replayed in [false, true] {
        let report = bench.store.ingest().batch(id, &batch).await.unwrap();
        assert_eq!((report.stored(), report.replayed), (2, replayed));
    }
    assert_eq!(rows(&bench).await, stored + 3);
    let points = |buckets: &[signal_store::GreeksBucket]| {
        buckets.iter().map(|bucket| bucket.data_points).sum::<i64>()
    };
    let after = history(&bench, end).await;
    assert_eq!(points(&after), stored + 3);
    bench.store.rollups().refresh_rollups().await.unwrap();
    assert_eq!(history(&bench, end).await, after);
    let latest = bench.store.get_latest_greeks(&KEY.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(latest.delta, Some(number("0.512345")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs TimescaleDB Community"]
async fn cleanup_removes_compressed_chunks_and_old_rows_of_others() {
    let bench = bench().await;
    let present = now();
    let minute = SignedDuration::from_mins(1);
    store_days(&bench, &[120, 95]).await;
    // A chunk that is old in part only.
    let edge = present - DAY * 90;
    for at in [edge - minute, edge + minute, present - DAY] {
        bench.store.save_greeks(&greeks(KEY, at)).await.unwrap();
    }
    assert!(compress(&bench).await >= 5);
    let cleanup = bench.store.cleanup_old_data(&Retention::default()).await.unwrap();
    assert!(cleanup.failure().is_none(), "{cleanup:?}");
    let done = cleanup.tables.iter().find(|table| table.table == "signal_greeks").unwrap();
    assert_eq!(done.rows_in_chunks + done.rows_deleted, 49, "{done:?}");
    assert!(done.chunks >= 3 && done.rows_in_chunks >= 46, "{done:?}");
    assert_eq!(rows(&bench).await, 2);
    assert_eq!(history(&bench, now()).await.len(), 2);
    let again = bench.store.cleanup_old_data(&Retention::default()).await.unwrap();
    assert_eq!(again.rows(), 0, "{again:?}");
}

/// Sets a limit for the sessions of the database, which are opened anew.
async fn limit_decompression(bench: &Bench, limit: &str) {
    let sql = format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET \
         timescaledb.max_tuples_decompressed_per_dml_transaction = {limit}', \
         current_database()); END $$; \
         SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() \
         AND backend_type = 'client backend'"
    );
    bench.observer.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs TimescaleDB Community"]
async fn rows_that_may_not_be_decompressed_stay_and_are_told() {
    let bench = bench().await;
    let edge = now() - DAY * 90;
    let tick = SignedDuration::from_millis(1);
    let old: Vec<Greeks> = (1..=50).map(|back| greeks(KEY, edge - tick * back)).collect();
    let report = bench.store.ingest().batch(BatchId::new(), &old).await.unwrap();
    assert_eq!(report.stored(), 50);
    bench.store.save_greeks(&greeks(KEY, edge + DAY)).await.unwrap();
    assert!(compress(&bench).await >= 1);
    limit_decompression(&bench, "10").await;
    let cleanup = bench.store.cleanup_old_data(&Retention::default()).await.unwrap();
    let failure = cleanup.failure().unwrap();
    assert_eq!(failure.class(), Class::Resource, "{failure}");
    let server = failure.database_error().and_then(|error| error.server()).unwrap();
    assert_eq!(server.sqlstate(), "53400", "{failure}");
    assert!(cleanup.tables.iter().skip(1).all(|table| table.failure.is_none()), "{cleanup:?}");
    assert_eq!(rows(&bench).await, 51);
    limit_decompression(&bench, "0").await;
    let cleanup = bench.store.cleanup_old_data(&Retention::default()).await.unwrap();
    assert!(cleanup.failure().is_none(), "{cleanup:?}");
    assert_eq!((cleanup.rows(), rows(&bench).await), (50, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs TimescaleDB Community"]
async fn the_policies_of_the_contract_compress_and_remove() {
    let bench = bench().await;
    let kept = store_days(&bench, &[60, 3]).await;
    store_days(&bench, &[120]).await;
    let end = now();
    run_policy(&bench, "policy_compression").await;
    let chunks = bench.count("SELECT count(*) FROM show_chunks('signal_greeks')").await;
    let closed = compressed(&bench).await;
    assert!(closed >= 2 && closed < chunks, "{closed} of {chunks}: the last week stays open");

    run_policy(&bench, "policy_retention").await;
    assert_eq!(rows(&bench).await, kept);
    let left: i64 = history(&bench, end).await.iter().map(|bucket| bucket.data_points).sum();
    assert_eq!(left, kept, "what is gone is gone from the rollups' answers, too");
    // Nothing is left to do for the store.
    let cleanup = bench.store.cleanup_old_data(&Retention::default()).await.unwrap();
    assert!(cleanup.failure().is_none(), "{cleanup:?}");
    assert_eq!(cleanup.rows(), 0, "{cleanup:?}");
}
