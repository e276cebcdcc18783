//! All records of one signal.

use signal_store::serde_json::json;
use signal_store::{Error, Found, MoneynessLevel, SavedSignal, Signal, now};

use crate::records::{greeks, indicator, moneyness, object, timeframe};
use crate::support::{Bench, bench, days};

const OLD: &str = "2020-01-01T00:00:00Z";

pub(crate) fn signal() -> Signal {
    let at = now();
    Signal {
        greeks: vec![greeks("NSE@NIFTY@CE@20000", at), greeks("NSE@NIFTY@PE@20000", at)],
        indicators: vec![indicator("NSE@NIFTY@EQ", "RSI", at)],
        moneyness: vec![moneyness("NIFTY", MoneynessLevel::Atm, at)],
        timeframes: vec![timeframe("NSE@NIFTY@EQ", 5, at)],
    }
}

fn another(signal: &mut Signal) {
    signal.indicators[0].signal_id = "signal_20260117_000002".parse().unwrap();
}

/// How many rows each table has.
pub(crate) async fn rows(bench: &Bench) -> [i64; 4] {
    let sql = "SELECT (SELECT count(*) FROM signal_greeks),
                   (SELECT count(*) FROM signal_indicators),
                   (SELECT count(*) FROM signal_moneyness_greeks),
                   (SELECT count(*) FROM signal_custom_timeframes)";
    let row = bench.observer.query_one(sql, &[]).await.unwrap();
    [row.get(0), row.get(1), row.get(2), row.get(3)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_records_are_stored_together() {
    let bench = bench().await;
    let mut signal = signal();
    // Twice the same key: the last counts.
    let mut twin = signal.timeframes[0].clone();
    twin.data = object(json!({"delta": 0.75}));
    signal.timeframes.push(twin);
    let saved = bench.store.save_signal(&signal).await.unwrap();
    assert_eq!((saved.greeks.len(), saved.indicators.len(), saved.moneyness.len()), (2, 1, 1));
    assert_eq!(rows(&bench).await, [2, 1, 1, 1]);
    let put = &signal.greeks[1].instrument_key;
    let latest = bench.store.get_latest_greeks(put).await.unwrap().unwrap();
    assert_eq!(latest.id, saved.greeks[1]);
    let one = &signal.timeframes[0];
    let data = bench
        .store
        .get_custom_timeframe_data(&one.instrument_key, one.signal_type, one.timeframe, &days(1))
        .await
        .unwrap();
    assert_eq!(data[0].data, object(json!({"delta": 0.75})));
    let empty = bench.store.save_signal(&Signal::default()).await.unwrap();
    assert_eq!(empty, SavedSignal::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_breaks_the_contract_keeps_all_back() {
    let bench = bench().await;
    let refuse = async |change: fn(&mut Signal)| {
        let mut signal = signal();
        change(&mut signal);
        match bench.store.save_signal(&signal).await.unwrap_err() {
            Error::Invalid(violation) => (violation.field, violation.found),
            other => panic!("{other}"),
        }
    };
    assert_eq!(
        refuse(|signal| signal.greeks[1].delta = Some(6.into())).await,
        ("delta", Found::AboveRange)
    );
    let too_old = [
        refuse(|signal| signal.indicators[0].timestamp = OLD.parse().unwrap()).await,
        refuse(|signal| signal.moneyness[0].timestamp = OLD.parse().unwrap()).await,
        refuse(|signal| signal.timeframes[0].timestamp = OLD.parse().unwrap()).await,
    ];
    assert_eq!(too_old, [("timestamp", Found::TooOld); 3]);
    assert_eq!(refuse(another).await, ("signal_id", Found::Another));
    let mut mixed = signal();
    another(&mut mixed);
    assert_eq!(
        bench.store.save_signal(&mixed).await.unwrap_err().to_string(),
        "signal_id: expected the same signal in all records, found another one"
    );
    // Records of every kind count.
    let many = Signal { greeks: vec![signal().greeks[0].clone(); 998], ..signal() };
    let error = bench.store.save_signal(&many).await.unwrap_err();
    assert!(matches!(error, Error::TooMany { found: 1001, limit: 1000, .. }), "{error}");
    assert_eq!(rows(&bench).await, [0; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_at_any_step_leaves_nothing() {
    for table in [
        "signal_greeks",
        "signal_indicators",
        "signal_moneyness_greeks",
        "signal_custom_timeframes",
    ] {
        let bench = bench().await;
        let sql = format!("ALTER TABLE {table} ADD CONSTRAINT no_more CHECK (id < 0)");
        bench.observer.batch_execute(&sql).await.unwrap();
        let error = bench.store.save_signal(&signal()).await.unwrap_err();
        let Error::Database(pg_session::Error::Constraint(server)) = &error else {
            panic!("{error}")
        };
        assert_eq!(server.constraint(), Some("no_more"));
        assert_eq!(rows(&bench).await, [0; 4], "{table}");
    }
}
