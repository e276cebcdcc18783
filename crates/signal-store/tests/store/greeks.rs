//! Greeks.

use std::time::Duration;

use signal_store::jiff::{SignedDuration, Timestamp};
use signal_store::{
    BucketWidth, Error, Found, Greeks, InstrumentKey, TimeRange, now, stream_historical_greeks,
};

use crate::records::{ago, greeks, number};
use crate::support::{bench, days, range};

const INSTRUMENT: &str = "NSE@NIFTY@CE@20000";

fn key() -> InstrumentKey {
    INSTRUMENT.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_saved_last_is_the_latest() {
    let bench = bench().await;
    assert_eq!(bench.store.get_latest_greeks(&key()).await.unwrap(), None);
    let newest = greeks(INSTRUMENT, ago(1));
    let id = bench.store.save_greeks(&newest).await.unwrap();
    bench.store.save_greeks(&greeks(INSTRUMENT, ago(2))).await.unwrap();
    bench.store.save_greeks(&greeks("NSE@NIFTY@PE@20000", now())).await.unwrap();
    let latest = bench.store.get_latest_greeks(&key()).await.unwrap().unwrap();
    assert_eq!(latest.id, id);
    assert_eq!(latest.signal_id, newest.signal_id);
    assert_eq!(latest.instrument_key, newest.instrument_key);
    assert_eq!(latest.timestamp, newest.timestamp);
    assert_eq!(latest.delta, newest.delta);
    assert_eq!(latest.gamma, newest.gamma);
    assert_eq!(latest.theta, newest.theta);
    assert_eq!(latest.vega, newest.vega);
    assert_eq!(latest.rho, newest.rho);
    assert_eq!(latest.implied_volatility, newest.implied_volatility);
    assert_eq!(latest.theoretical_value, newest.theoretical_value);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_values_stay_missing() {
    let bench = bench().await;
    let record = greeks(INSTRUMENT, now());
    let empty = Greeks::new(record.signal_id, record.instrument_key, record.timestamp);
    bench.store.save_greeks(&empty).await.unwrap();
    let latest = bench.store.get_latest_greeks(&key()).await.unwrap().unwrap();
    assert_eq!((latest.delta, latest.rho, latest.theoretical_value), (None, None, None));
    let width = BucketWidth::new(Duration::from_mins(1)).unwrap();
    let history = bench.store.get_historical_greeks(&key(), &days(1), width).await.unwrap();
    assert_eq!(
        (history[0].delta, history[0].strike_price, history[0].data_points),
        (None, None, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_is_refused_before_it_is_sent() {
    let bench = bench().await;
    let mut record = greeks(INSTRUMENT, now());
    record.gamma = Some(number("10.000001"));
    let error = bench.store.save_greeks(&record).await.unwrap_err();
    assert!(
        matches!(error, Error::Invalid(v) if (v.field, v.found) == ("gamma", Found::AboveRange))
    );
    let old = greeks(INSTRUMENT, now() - SignedDuration::from_hours(24 * 367));
    let error = bench.store.save_greeks(&old).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(v) if v.found == Found::TooOld));
    assert_eq!(bench.count("SELECT count(*) FROM signal_greeks").await, 0);
}

/// Records a minute apart, with a delta that says which they are.
async fn history(bench: &crate::support::Bench, start: Timestamp, minutes: i64) {
    for minute in 0..minutes {
        let mut record = greeks(INSTRUMENT, start + SignedDuration::from_mins(minute));
        record.delta = Some(number(&format!("0.{minute:06}")));
        record.strike_price = Some(number(&minute.to_string()));
        bench.store.save_greeks(&record).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_averaged_in_buckets() {
    let bench = bench().await;
    let noon: Timestamp = (now() - SignedDuration::from_hours(24))
        .to_zoned(signal_store::jiff::tz::TimeZone::UTC)
        .date()
        .at(12, 0, 0, 0)
        .to_zoned(signal_store::jiff::tz::TimeZone::UTC)
        .unwrap()
        .timestamp();
    history(&bench, noon, 12).await;
    let width = BucketWidth::new(Duration::from_mins(5)).unwrap();
    let minute = SignedDuration::from_mins(1);
    // The ends belong to the range.
    let part = range(noon + minute, noon + minute * 10);
    let buckets = bench.store.get_historical_greeks(&key(), &part, width).await.unwrap();
    let found: Vec<_> = buckets.iter().map(|one| (one.bucket, one.data_points)).collect();
    assert_eq!(found, [(noon, 4), (noon + minute * 5, 5), (noon + minute * 10, 1)]);
    assert_eq!(buckets[0].delta, Some(number("0.0000025")));
    assert_eq!(buckets[1].delta, Some(number("0.000007")));
    assert_eq!(buckets[1].strike_price, Some(number("9")));
    assert_eq!(buckets[1].gamma, Some(number("0.001234")));
    assert_eq!(buckets[1].theta, Some(number("-12.500001")));
    assert_eq!(buckets[1].vega, Some(number("8.25")));
    assert_eq!(buckets[1].rho, Some(number("-0.75")));
    assert_eq!(buckets[1].implied_volatility, Some(number("0.185")));
    assert_eq!(buckets[1].theoretical_value, Some(number("104.1234")));
    assert_eq!(buckets[1].underlying_price, Some(number("24000.05")));

    // The same as they come, inside a transaction.
    let mut session = bench.store.session().await.unwrap();
    let options = pg_session::TransactionOptions::read_only();
    let mut transaction = session.begin(&options).await.unwrap();
    let mut stream =
        stream_historical_greeks(&mut transaction, &key(), &part, width).await.unwrap();
    let mut streamed = Vec::new();
    while let Some(bucket) = stream.next().await.unwrap() {
        streamed.push(bucket);
    }
    assert_eq!(streamed, buckets);
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_is_too_long_is_refused() {
    let bench = bench().await;
    let width = BucketWidth::new(Duration::from_secs(1)).unwrap();
    let error = bench.store.get_historical_greeks(&key(), &days(1), width).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected at most 10000 buckets at once, found 86402 — divide the work"
    );
    let from = days(1).from();
    let seconds = |n| TimeRange::new(from, from + SignedDuration::from_secs(n)).unwrap();
    let most = bench.store.get_historical_greeks(&key(), &seconds(9_998), width).await;
    assert_eq!(most.unwrap(), []);
    let error = bench.store.get_historical_greeks(&key(), &seconds(9_999), width).await;
    assert!(matches!(error, Err(Error::TooMany { found: 10_001, .. })), "{error:?}");
    // All of time in wide buckets may be asked for.
    let all = TimeRange::new(Timestamp::MIN, Timestamp::MAX).unwrap();
    let width = BucketWidth::new(Duration::from_hours(366 * 24)).unwrap();
    let error = bench.store.get_historical_greeks(&key(), &all, width).await.unwrap_err();
    assert!(matches!(error, Error::TooMany { found: 14_000..17_000, .. }), "{error}");
    let mut session = bench.store.session().await.unwrap();
    let mut none = stream_historical_greeks(&mut session, &key(), &all, width).await.unwrap();
    assert_eq!(none.next().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_what_was_computed() {
    let bench = bench().await;
    let none = bench.store.get_computation_metrics(&days(1)).await.unwrap();
    assert_eq!((none.greeks_total, none.greeks_average_delay_seconds), (0, None));
    for (instrument, minutes) in [(INSTRUMENT, 1), (INSTRUMENT, 2), ("NSE@TCS@EQ", 3)] {
        bench.store.save_greeks(&greeks(instrument, ago(minutes))).await.unwrap();
    }
    for (instrument, name) in [("NSE@TCS@EQ", "RSI"), ("NSE@TCS@EQ", "MACD")] {
        let record = crate::records::indicator(instrument, name, ago(1));
        bench.store.save_indicator(&record).await.unwrap();
    }
    let found = bench.store.get_computation_metrics(&days(1)).await.unwrap();
    assert_eq!((found.greeks_total, found.greeks_instruments), (3, 2));
    assert_eq!((found.indicators_total, found.indicators_names), (2, 2));
    assert_eq!(found.indicators_instruments, 1);
    // One, two and three minutes ago, and the time that the test took.
    let delay = found.greeks_average_delay_seconds.unwrap();
    assert!(delay >= number("120") && delay < number("240"), "{delay}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_the_store() {
    let bench = bench().await;
    let callers = (0..50_i64).map(|caller| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let instrument = format!("NSE@STOCK{caller}@EQ");
            let key: InstrumentKey = instrument.parse().unwrap();
            for round in 0..10_i64 {
                let record = greeks(&instrument, ago(100 - round));
                let id = store.save_greeks(&record).await.unwrap();
                let latest = store.get_latest_greeks(&key).await.unwrap().unwrap();
                assert_eq!((latest.id, latest.timestamp), (id, record.timestamp));
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert_eq!(bench.count("SELECT count(*) FROM signal_greeks").await, 500);
    assert!(bench.store.pool().status().opened <= 6);
}
