//! Custom timeframes.

use signal_store::jiff::SignedDuration;
use signal_store::serde_json::json;
use signal_store::{
    CustomTimeframe, Error, Found, InstrumentKey, SignalType, Timeframe, Verdict, Violation, now,
    stream_custom_timeframe_data,
};

use crate::records::{ago, object, timeframe};
use crate::support::{bench, days};

fn key() -> InstrumentKey {
    "NSE@TCS@EQ".parse().unwrap()
}

fn five() -> Timeframe {
    Timeframe::minutes(5).unwrap()
}

fn with_data(minutes_ago: i64, value: i64) -> CustomTimeframe {
    let mut record = timeframe("NSE@TCS@EQ", 5, ago(0) - SignedDuration::from_mins(minutes_ago));
    record.data = object(json!({ "value": value }));
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_write_replaces_the_first() {
    let bench = bench().await;
    let first = with_data(10, 1);
    let saved = bench.store.save_custom_timeframe_data(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!((saved.inserted, saved.updated), (1, 0));
    let mut second = first.clone();
    second.data = object(json!({"value": 2}));
    let saved = bench.store.save_custom_timeframe_data(&[second, with_data(5, 3)]).await.unwrap();
    assert_eq!((saved.inserted, saved.updated), (1, 1));
    let found = bench
        .store
        .get_custom_timeframe_data(&key(), SignalType::Greeks, five(), &days(1))
        .await
        .unwrap();
    let values: Vec<_> = found.iter().map(|one| one.data["value"].as_i64().unwrap()).collect();
    assert_eq!(values, [2, 3]);
    assert_eq!(found[0].timestamp, first.timestamp);
    assert!(found[0].updated_at > found[0].created_at);
    assert_eq!(found[1].updated_at, found[1].created_at);

    let mut session = bench.store.session().await.unwrap();
    let mut stream =
        stream_custom_timeframe_data(&mut session, &key(), SignalType::Greeks, five(), &days(1))
            .await
            .unwrap();
    let mut streamed = Vec::new();
    while let Some(record) = stream.next().await.unwrap() {
        streamed.push(record);
    }
    assert_eq!(streamed, found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_differ_in_each_of_their_parts() {
    let bench = bench().await;
    let base = with_data(10, 1);
    let mut others = vec![base.clone(); 5];
    others[1].instrument_key = "NSE@INFY@EQ".parse().unwrap();
    others[2].signal_type = SignalType::Indicators;
    others[3].timeframe = Timeframe::minutes(15).unwrap();
    others[4].timestamp += SignedDuration::from_micros(1);
    let saved = bench.store.save_custom_timeframe_data(&others).await.unwrap();
    assert_eq!(saved.verdicts, [Verdict::Saved; 5]);
    assert_eq!(saved.inserted, 5);
    let found = bench
        .store
        .get_custom_timeframe_data(&key(), SignalType::Indicators, five(), &days(1))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_of_a_batch_gets_its_verdict() {
    let bench = bench().await;
    let (one, other) = (with_data(10, 1), with_data(5, 2));
    let mut last = one.clone();
    last.data = object(json!({"value": 3}));
    let mut bad = with_data(1, 4);
    bad.data = object(json!({"a": "\0"}));
    let mut old = with_data(1, 5);
    old.timestamp = now() - SignedDuration::from_hours(24 * 367);
    // The bad record of the same key does not supersede a good one.
    let mut bad_twin = one.clone();
    bad_twin.data = object(json!({"\0": 1}));
    let batch = [one, bad, other, last, old, bad_twin];
    let saved = bench.store.save_custom_timeframe_data(&batch).await.unwrap();
    let refused = |verdict: &Verdict| match verdict {
        Verdict::Refused(Violation { field, found, .. }) => Some((*field, *found)),
        _ => None,
    };
    assert_eq!(saved.verdicts[0], Verdict::Superseded);
    assert_eq!(refused(&saved.verdicts[1]), Some(("data", Found::Nul)));
    assert_eq!(saved.verdicts[2], Verdict::Saved);
    assert_eq!(saved.verdicts[3], Verdict::Saved);
    assert_eq!(refused(&saved.verdicts[4]), Some(("timestamp", Found::TooOld)));
    assert_eq!(refused(&saved.verdicts[5]), Some(("data", Found::Nul)));
    assert_eq!((saved.inserted, saved.updated), (2, 0));
    let sql = "SELECT count(*) FROM signal_custom_timeframes WHERE data IN
                   ('{\"value\": 2}', '{\"value\": 3}')";
    assert_eq!(bench.count(sql).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_without_good_records_and_of_too_many_send_nothing() {
    let bench = bench().await;
    let none = bench.store.save_custom_timeframe_data(&[]).await.unwrap();
    assert_eq!((none.verdicts.len(), none.inserted, none.updated), (0, 0, 0));
    let mut bad = with_data(1, 1);
    bad.timestamp += SignedDuration::from_nanos(1);
    let refused = bench.store.save_custom_timeframe_data(std::slice::from_ref(&bad)).await.unwrap();
    assert!(matches!(refused.verdicts[..], [Verdict::Refused(_)]));
    let many = vec![bad; 10_001];
    let error = bench.store.save_custom_timeframe_data(&many).await.unwrap_err();
    assert!(matches!(error, Error::TooMany { found: 10_001, limit: 10_000, .. }), "{error}");
    assert_eq!(bench.store.pool().status().acquired, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_several_statements_is_stored_as_a_whole() {
    let bench = bench().await;
    let batch: Vec<_> = (0..1201).map(|minute| with_data(minute, minute)).collect();
    let saved = bench.store.save_custom_timeframe_data(&batch).await.unwrap();
    assert_eq!(saved.inserted, 1201);
    let again = bench.store.save_custom_timeframe_data(&batch).await.unwrap();
    // The instants have moved on by a moment, so that the keys are new.
    assert_eq!(again.inserted + again.updated, 1201);
    // The last statement fails: nothing of the first is kept.
    bench
        .observer
        .batch_execute(
            "TRUNCATE signal_custom_timeframes;
             ALTER TABLE signal_custom_timeframes ADD CONSTRAINT first_only
                 CHECK (data->>'value' <> '0')",
        )
        .await
        .unwrap();
    let error = bench.store.save_custom_timeframe_data(&batch).await.unwrap_err();
    assert!(matches!(&error, Error::Database(pg_session::Error::Constraint(_))), "{error}");
    assert_eq!(bench.count("SELECT count(*) FROM signal_custom_timeframes").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_overlap_do_not_deadlock() {
    let bench = bench().await;
    let batch: Vec<_> = (0..50).map(|minute| with_data(minute, minute)).collect();
    let writers = (0..8).map(|writer| {
        let store = bench.store.clone();
        let mut batch = batch.clone();
        if writer % 2 == 0 {
            batch.reverse();
        }
        tokio::spawn(async move {
            for _ in 0..10 {
                let saved = store.save_custom_timeframe_data(&batch).await.unwrap();
                assert_eq!(saved.inserted + saved.updated, 50);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(bench.count("SELECT count(*) FROM signal_custom_timeframes").await, 50);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(bench.count(deadlocks).await, 0);
}
