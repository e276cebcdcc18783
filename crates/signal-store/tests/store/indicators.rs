//! Indicators.

use signal_store::serde_json::json;
use signal_store::{Error, Found, IndicatorName, InstrumentKey, now};

use crate::records::{ago, indicator, object};
use crate::support::bench;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_of_an_indicator_is_found() {
    let bench = bench().await;
    let key: InstrumentKey = "NSE@M&M@EQ".parse().unwrap();
    let name: IndicatorName = "RSI".parse().unwrap();
    assert_eq!(bench.store.get_latest_indicator(&key, &name).await.unwrap(), None);
    let newest = indicator("NSE@M&M@EQ", "RSI", ago(1));
    let id = bench.store.save_indicator(&newest).await.unwrap();
    bench.store.save_indicator(&indicator("NSE@M&M@EQ", "RSI", ago(2))).await.unwrap();
    bench.store.save_indicator(&indicator("NSE@M&M@EQ", "MACD", now())).await.unwrap();
    bench.store.save_indicator(&indicator("NSE@TCS@EQ", "RSI", now())).await.unwrap();
    let latest = bench.store.get_latest_indicator(&key, &name).await.unwrap().unwrap();
    assert_eq!(latest.id, id);
    assert_eq!(latest.signal_id, newest.signal_id);
    assert_eq!(latest.instrument_key, key);
    assert_eq!(latest.timestamp, newest.timestamp);
    assert_eq!(latest.indicator_name, name);
    assert_eq!(latest.parameters, newest.parameters);
    assert_eq!(latest.values, newest.values);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_data_is_an_empty_object() {
    let bench = bench().await;
    let mut record = indicator("NSE@TCS@EQ", "RSI", now());
    record.parameters = object(json!({}));
    record.values = object(json!({}));
    bench.store.save_indicator(&record).await.unwrap();
    let found = bench
        .store
        .get_latest_indicator(&record.instrument_key, &record.indicator_name)
        .await
        .unwrap()
        .unwrap();
    assert!(found.parameters.is_empty() && found.values.is_empty());
    let sql =
        "SELECT count(*) FROM signal_indicators WHERE parameters = '{}' AND \"values\" = '{}'";
    assert_eq!(bench.count(sql).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_is_refused_before_it_is_sent() {
    let bench = bench().await;
    let mut record = indicator("NSE@TCS@EQ", "RSI", now());
    record.parameters = object(json!({"a": "\0"}));
    let error = bench.store.save_indicator(&record).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(v) if (v.field, v.found) == ("parameters", Found::Nul)));
    assert_eq!(bench.count("SELECT count(*) FROM signal_indicators").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_breaks_the_contract_is_an_error_not_a_record() {
    let bench = bench().await;
    bench
        .observer
        .batch_execute(
            "ALTER TABLE signal_indicators DROP CONSTRAINT signal_indicators_values_check;
             INSERT INTO signal_indicators
                 (signal_id, instrument_key, \"timestamp\", indicator_name, parameters, \"values\")
             VALUES ('signal_20260117_000001', 'NSE@TCS@EQ', now(), 'RSI', '{}', '[1]')",
        )
        .await
        .unwrap();
    let (key, name) = ("NSE@TCS@EQ".parse().unwrap(), "RSI".parse().unwrap());
    let error = bench.store.get_latest_indicator(&key, &name).await.unwrap_err();
    assert!(error.to_string().contains("expected a map"), "{error}");
    bench
        .observer
        .batch_execute(
            "ALTER TABLE signal_indicators DROP CONSTRAINT signal_indicators_signal_id_check;
             UPDATE signal_indicators SET signal_id = 'other', \"values\" = '{}'",
        )
        .await
        .unwrap();
    let error = bench.store.get_latest_indicator(&key, &name).await.unwrap_err();
    assert!(error.to_string().contains("expected signal_YYYYMMDD_NNNNNN"), "{error}");
}
