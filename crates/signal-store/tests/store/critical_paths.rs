//! The critical paths that the contract names, each followed from its beginning to its end.

use std::time::Duration;

use pg_session::Config;
use pg_session::journal::CriticalPath;
use signal_store::jiff::{SignedDuration, Timestamp};
use signal_store::serde_json::json;
use signal_store::{
    BucketWidth, InstrumentKey, Retention, SignalType, Store, Timeframe, Verdict, now,
};

use crate::records::{ago, greeks, indicator, number, object, timeframe};
use crate::relay::Relay;
use crate::signal::{rows, signal};
use crate::support::{bench, days, options};

const INSTRUMENT: &str = "NSE@NIFTY@CE@20000";

fn key() -> InstrumentKey {
    INSTRUMENT.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingest_to_latest() {
    let path = CriticalPath::begin("ingest_to_latest");
    let bench = bench().await;
    // Older rows that arrive later, and other instruments, change nothing.
    for (minutes, expected) in [(30, 30), (20, 20), (25, 20), (1, 1), (10, 1)] {
        let id = bench.store.save_greeks(&greeks(INSTRUMENT, ago(minutes))).await.unwrap();
        bench.store.save_greeks(&greeks("NSE@NIFTY@PE@20000", now())).await.unwrap();
        let latest = bench.store.get_latest_greeks(&key()).await.unwrap().unwrap();
        assert_eq!(latest.id == id, minutes == expected, "{minutes} minutes ago");
        let age = now().duration_since(latest.timestamp);
        assert_eq!(age.as_mins(), expected, "{minutes} minutes ago");
    }
    // What was acknowledged does not depend on the connection that wrote it.
    let config = Config::from_url(bench.database.url()).unwrap();
    let other = Store::connect(config, options()).await.unwrap();
    let written = bench.store.get_latest_greeks(&key()).await.unwrap();
    bench.store.disconnect().await;
    assert_eq!(other.get_latest_greeks(&key()).await.unwrap(), written);
    path.held();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn save_signal() {
    let path = CriticalPath::begin("save_signal");
    let bench = bench().await;
    // Each of the four in turn cannot be stored: nothing of the signal is.
    for table in [
        "signal_greeks",
        "signal_indicators",
        "signal_moneyness_greeks",
        "signal_custom_timeframes",
    ] {
        let block = format!("ALTER TABLE {table} ADD CONSTRAINT blocked CHECK (id < 0)");
        bench.observer.batch_execute(&block).await.unwrap();
        assert!(bench.store.save_signal(&signal()).await.is_err(), "{table}");
        assert_eq!(rows(&bench).await, [0; 4], "{table}");
        let unblock = format!("ALTER TABLE {table} DROP CONSTRAINT blocked");
        bench.observer.batch_execute(&unblock).await.unwrap();
    }
    bench.store.save_signal(&signal()).await.unwrap();
    assert_eq!(rows(&bench).await, [2, 1, 1, 1]);
    // Somebody who reads meanwhile sees all of it or nothing.
    let alone = signal();
    bench.store.save_greeks(&alone.greeks[0]).await.unwrap();
    bench.store.save_indicator(&indicator("NSE@NIFTY@EQ", "MACD", now())).await.unwrap();
    bench.store.save_moneyness_greeks(&alone.moneyness[0]).await.unwrap();
    let _ = bench.store.save_custom_timeframe_data(&alone.timeframes).await.unwrap();
    let before = rows(&bench).await;
    let writer = tokio::spawn({
        let store = bench.store.clone();
        async move {
            for _ in 0..20 {
                store.save_signal(&signal()).await.unwrap();
            }
        }
    });
    let mut seen = 0;
    while !writer.is_finished() {
        let found = rows(&bench).await;
        let new = [0, 1, 2].map(|table| found[table] - before[table]);
        assert_eq!((new[0], new[2]), (new[1] * 2, new[1]), "{found:?}");
        seen += 1;
    }
    writer.await.unwrap();
    assert!(seen > 0);
    path.held();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history() {
    let path = CriticalPath::begin("history");
    let bench = bench().await;
    let minute = SignedDuration::from_mins(1);
    let width = BucketWidth::new(Duration::from_mins(5)).unwrap();
    // The beginning of a bucket, so that what is expected can be counted by hand.
    let start = Timestamp::from_second(ago(120).as_second() / 300 * 300).unwrap();
    for number_of in 0..23 {
        let mut record = greeks(INSTRUMENT, start + minute * number_of);
        record.delta = Some(number(&format!("0.{number_of:02}")));
        bench.store.save_greeks(&record).await.unwrap();
    }
    let range = crate::support::range(start, start + minute * 22);
    let expected: Vec<(Timestamp, i64, String)> =
        [(0, 5, "0.02"), (5, 5, "0.07"), (10, 5, "0.12"), (15, 5, "0.17"), (20, 3, "0.21")]
            .map(|(after, points, mean)| (start + minute * after, points, mean.to_owned()))
            .into();
    let read = async || {
        let buckets = bench.store.get_historical_greeks(&key(), &range, width).await.unwrap();
        let one = |bucket: &signal_store::GreeksBucket| {
            let mean = bucket.delta.unwrap().normalize().to_string();
            (bucket.bucket, bucket.data_points, mean)
        };
        buckets.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(read().await, expected);
    // The same once rollups serve it, and again when a row comes late.
    bench.store.rollups().refresh_rollups().await.unwrap();
    assert_eq!(read().await, expected);
    let mut late = greeks(INSTRUMENT, start + minute * 7);
    late.delta = Some(number("0.67"));
    bench.store.save_greeks(&late).await.unwrap();
    let found = read().await;
    assert_eq!(found[1], (start + minute * 5, 6, "0.17".to_owned()));
    assert_eq!((&found[0], &found[2..]), (&expected[0], &expected[2..]));
    path.held();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_timeframe_upsert() {
    let path = CriticalPath::begin("custom_timeframe_upsert");
    let bench = bench().await;
    let at = ago(10);
    let five = Timeframe::minutes(5).unwrap();
    for value in 1..=3 {
        let mut record = timeframe("NSE@TCS@EQ", 5, at);
        record.data = object(json!({ "value": value }));
        let saved = bench.store.save_custom_timeframe_data(&[record]).await.unwrap();
        assert_eq!(saved.verdicts, [Verdict::Saved]);
        assert_eq!((saved.inserted, saved.updated), if value == 1 { (1, 0) } else { (0, 1) });
        let instrument = "NSE@TCS@EQ".parse().unwrap();
        let found = bench
            .store
            .get_custom_timeframe_data(&instrument, SignalType::Greeks, five, &days(1))
            .await
            .unwrap();
        let values: Vec<_> = found.iter().map(|one| one.data["value"].as_i64().unwrap()).collect();
        assert_eq!(values, [value]);
    }
    // Writers at once on one key: one row, with the data of one of them.
    let writers: Vec<_> = (0..8)
        .map(|value| {
            let store = bench.store.clone();
            tokio::spawn(async move {
                let mut record = timeframe("NSE@TCS@EQ", 5, at);
                record.data = object(json!({ "value": 100 + value }));
                store.save_custom_timeframe_data(&[record]).await.unwrap()
            })
        })
        .collect();
    for writer in writers {
        assert_eq!(writer.await.unwrap().updated, 1);
    }
    let sql = "SELECT count(*) FROM signal_custom_timeframes WHERE (data->>'value')::int >= 100";
    assert_eq!((bench.count(sql).await, rows(&bench).await[3]), (1, 1));
    path.held();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup() {
    let path = CriticalPath::begin("cleanup");
    let bench = bench().await;
    let hours = |hours: i64| now() - SignedDuration::from_hours(hours);
    // Within a chunk of the limit and days from it, on both sides.
    let (old, young) = ([24 * 9, 24 * 8, 24 * 7 + 2], [24 * 7 - 2, 24 * 5, 1]);
    for age in old.into_iter().chain(young) {
        bench.store.save_greeks(&greeks(INSTRUMENT, hours(age))).await.unwrap();
        bench.store.save_indicator(&indicator("NSE@TCS@EQ", "RSI", hours(age))).await.unwrap();
    }
    let cleanup = bench.store.cleanup_old_data(&Retention::days(7)).await.unwrap();
    assert!(cleanup.failure().is_none(), "{cleanup:?}");
    assert_eq!(cleanup.rows(), 6);
    for table in ["signal_greeks", "signal_indicators"] {
        let kept = format!(
            "SELECT count(*) FROM {table} WHERE \"timestamp\" > now() - '7 days'::interval"
        );
        assert_eq!(bench.count(&kept).await, 3);
        assert_eq!(bench.count(&format!("SELECT count(*) FROM {table}")).await, 3);
    }
    let latest = bench.store.get_latest_greeks(&key()).await.unwrap().unwrap();
    assert!(latest.timestamp > hours(2));
    path.held();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failure_and_retry() {
    let path = CriticalPath::begin("failure_and_retry");
    let bench = bench().await;
    // As two deadlock victims, then the write goes through.
    bench
        .fail_inserts(2, "RAISE EXCEPTION 'in the way' USING ERRCODE = 'serialization_failure';")
        .await;
    bench.store.save_greeks(&greeks(INSTRUMENT, ago(1))).await.unwrap();
    assert_eq!(bench.count("SELECT last_value FROM attempts").await, 3);
    assert_eq!(rows(&bench).await, [1, 0, 0, 0]);
    bench.observer.batch_execute("DROP TRIGGER attempt ON signal_greeks").await.unwrap();
    // As a connection that breaks before the commit, and after it.
    for (arrives, stored) in [(false, 3), (true, 5)] {
        let relay = Relay::to(bench.database.url()).await;
        let mut limits = options();
        limits.pool.min = 1;
        let store = Store::connect(Config::from_url(relay.url()).unwrap(), limits).await.unwrap();
        if arrives {
            relay.cut_after("COMMIT");
        } else {
            relay.cut_before("COMMIT");
        }
        store.save_signal(&signal()).await.unwrap();
        assert_eq!(rows(&bench).await[0], stored, "arrives: {arrives}");
    }
    path.held();
}
