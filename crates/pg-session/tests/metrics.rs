//! What a pool publishes through the `metrics` facade.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use pg_session::{Class, PoolOptions, RetryPolicy, TransactionOptions};
use support::{bench, options};

/// Counts and last values, by name and label value.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

struct Tally(Arc<AtomicU64>);

impl HistogramFn for Tally {
    fn record(&self, value: f64) {
        assert!(value >= 0.0);
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Book {
    fn entry(&self, key: &Key) -> Arc<AtomicU64> {
        let mut name = key.name().to_owned();
        for label in key.labels() {
            name = format!("{name} {}", label.value());
        }
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    fn count(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |count| count.load(Ordering::SeqCst))
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.count(name))
    }
}

impl Recorder for Book {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.entry(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.entry(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Tally(self.entry(key))))
    }
}

/// Waits until `condition` holds, which takes the pool's maintenance a few rounds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still waiting for {what}");
}

#[tokio::test]
async fn every_event_is_counted() {
    let book = Book::default();
    metrics::set_global_recorder(book.clone()).ok().unwrap();
    let names = BTreeMap::from([("SELECT 1".to_owned(), "one".to_owned())]);
    let limits = PoolOptions {
        max: 2,
        acquire_timeout: Duration::from_secs(2),
        leak_after: Duration::from_millis(1),
        statement_names: Arc::new(names),
        ..options()
    };
    let bench = bench(limits).await;
    let mut session = bench.pool.acquire().await.unwrap();
    for _ in 0..3 {
        session.execute("SELECT 1", &[]).await.unwrap();
        session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap();
    }
    session.fetch("SELECT 2", &[]).await.unwrap();
    session.fetch("SELECT 1 / 0", &[]).await.unwrap_err();
    assert_eq!(book.count("pg_session_statement_seconds one"), 6);
    assert_eq!(book.count("pg_session_statement_seconds other"), 2);
    assert_eq!(book.count("pg_session_errors_total data"), 1);
    assert_eq!(book.count("pg_session_acquire_seconds"), 1);

    // All places in use: an alert, a leak, a failed acquire, and the figures of the pool.
    let other = bench.pool.acquire().await.unwrap();
    assert!(bench.pool.acquire().await.is_err());
    assert_eq!(book.count("pg_session_acquire_failures_total"), 1);
    let told = || (book.count("pg_session_alerts_total"), book.count("pg_session_leaks_total"));
    until("an alert and two leaks", || told().0 > 0 && told().1 >= 2).await;
    assert!((book.gauge("pg_session_utilisation") - 1.0).abs() < 1e-9);
    assert!((book.gauge("pg_session_out") - 2.0).abs() < 1e-9);
    // A round later nothing of it is told again.
    let pool = bench.pool.clone();
    let waiter = tokio::spawn(async move { while pool.acquire().await.is_err() {} });
    until("a caller who waits", || book.gauge("pg_session_waiting") > 0.0).await;
    assert_eq!(told(), (1, 2));
    waiter.abort();
    assert!(waiter.await.unwrap_err().is_cancelled());
    other.close();
    drop(session);
    bench.until_returned().await;
    assert_eq!(book.count("pg_session_quarantined_total"), 1);
    until("places that are free", || book.gauge("pg_session_out") < 0.5).await;

    let mut failed = false;
    let result: Result<(), pg_session::Error> = bench
        .pool
        .transact(&TransactionOptions::default(), &RetryPolicy::default(), async |transaction| {
            if !std::mem::replace(&mut failed, true) {
                let sql = "DO $$ BEGIN RAISE deadlock_detected; END $$";
                let error = transaction.execute(sql, &[]).await.unwrap_err();
                assert_eq!(error.class(), Class::Conflict);
                return Err(error);
            }
            Ok(())
        })
        .await;
    result.unwrap();
    assert_eq!(book.count("pg_session_retries_total"), 1);
    // None of these errors says that the server is the wrong one.
    assert_eq!(book.count("pg_session_evictions_total"), 0);
}
