//! Greeks by moneyness level.

use signal_store::{
    Error, Found, MoneynessGreeks, MoneynessLevel, Store, UnderlyingSymbol, now,
    stream_moneyness_greeks,
};

use crate::records::{ago, moneyness, number};
use crate::support::{bench, database, days, options, range};

fn symbol() -> UnderlyingSymbol {
    "NIFTY".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_newest_first_then_by_level() {
    let bench = bench().await;
    let (older, newer) = (ago(10), ago(5));
    let mut saved = Vec::new();
    for timestamp in [older, newer] {
        for level in MoneynessLevel::ALL {
            let record = moneyness("NIFTY", *level, timestamp);
            saved.push(bench.store.save_moneyness_greeks(&record).await.unwrap());
        }
    }
    bench.store.save_moneyness_greeks(&moneyness("M&M", MoneynessLevel::Atm, newer)).await.unwrap();
    assert!(saved.is_sorted());
    let all = bench.store.get_moneyness_greeks(&symbol(), &days(1)).await.unwrap();
    let places: Vec<_> = all.iter().map(|one| (one.timestamp, one.moneyness_level)).collect();
    // By name, as the server orders text.
    let levels = [
        MoneynessLevel::Atm,
        MoneynessLevel::DeepItm,
        MoneynessLevel::DeepOtm,
        MoneynessLevel::Itm,
        MoneynessLevel::Otm,
    ];
    let expected: Vec<_> =
        [newer, older].into_iter().flat_map(|at| levels.map(|level| (at, level))).collect();
    assert_eq!(places, expected);

    // The ends belong to the range.
    let part = bench.store.get_moneyness_greeks(&symbol(), &range(older, older)).await.unwrap();
    assert_eq!(part.len(), 5);

    let mut session = bench.store.session().await.unwrap();
    let mut stream = stream_moneyness_greeks(&mut session, &symbol(), &days(1)).await.unwrap();
    let mut streamed = Vec::new();
    while let Some(record) = stream.next().await.unwrap() {
        streamed.push(record);
    }
    assert_eq!(streamed, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_value_comes_back() {
    let bench = bench().await;
    let mut record = moneyness("ЖM&M '--", MoneynessLevel::DeepItm, now());
    record.all.count = Some(i32::MAX);
    bench.store.save_moneyness_greeks(&record).await.unwrap();
    let underlying = record.underlying_symbol.clone();
    let found = bench.store.get_moneyness_greeks(&underlying, &days(1)).await.unwrap();
    assert_eq!(found.len(), 1);
    let row = &found[0];
    assert_eq!(row.timestamp, record.timestamp);
    assert_eq!(row.moneyness_level, record.moneyness_level);
    assert_eq!(row.expiry_date, record.expiry_date);
    assert_eq!(row.spot_price, record.spot_price);
    assert_eq!(row.all, record.all);
    assert_eq!((row.calls_delta, row.calls_gamma), (record.calls.delta, record.calls.gamma));
    assert_eq!((row.puts_delta, row.puts_gamma), (record.puts.delta, record.puts.gamma));
    assert_eq!((row.calls_count, row.puts_count), (record.calls.count, record.puts.count));
    assert_eq!((row.min_strike, row.max_strike), (record.min_strike, record.max_strike));
    assert_eq!(row.strike_count, record.strike_count);
    // What consumers do not read is stored as well.
    let sql = "SELECT calls_theta, calls_vega, calls_rho, calls_iv,
                   puts_theta, puts_vega, puts_rho, puts_iv FROM signal_moneyness_greeks";
    let stored = bench.observer.query_one(sql, &[]).await.unwrap();
    let (calls, puts) = (record.calls, record.puts);
    let expected =
        [calls.theta, calls.vega, calls.rho, calls.iv, puts.theta, puts.vega, puts.rho, puts.iv];
    for (at, value) in expected.into_iter().enumerate() {
        assert_eq!(stored.get::<_, Option<signal_store::Decimal>>(at), value, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_values_stay_missing() {
    let bench = bench().await;
    let record = MoneynessGreeks::new(symbol(), MoneynessLevel::Otm, now(), number("24000.05"));
    bench.store.save_moneyness_greeks(&record).await.unwrap();
    let found = bench.store.get_moneyness_greeks(&symbol(), &days(1)).await.unwrap();
    assert_eq!((found[0].all, found[0].expiry_date), (record.all, None));
    assert_eq!((found[0].calls_delta, found[0].strike_count), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_is_refused_before_it_is_sent() {
    let bench = bench().await;
    let mut record = moneyness("NIFTY", MoneynessLevel::Atm, now());
    record.puts.count = Some(-1);
    let error = bench.store.save_moneyness_greeks(&record).await.unwrap_err();
    assert!(
        matches!(error, Error::Invalid(v) if (v.field, v.found) == ("puts_count", Found::BelowRange))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_rows_than_the_limit_are_refused_and_may_be_streamed() {
    let database = database();
    let mut limits = options();
    limits.reader.row_limit = 3;
    let config = pg_session::Config::from_url(database.url()).unwrap();
    let store = Store::connect(config, limits).await.unwrap();
    for minute in 0..4 {
        let record = moneyness("NIFTY", MoneynessLevel::Atm, ago(minute));
        store.save_moneyness_greeks(&record).await.unwrap();
    }
    let error = store.get_moneyness_greeks(&symbol(), &days(1)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Database(pg_session::Error::TooManyRows { limit: 3 })),
        "{error}"
    );
    let mut session = store.session().await.unwrap();
    let mut stream = stream_moneyness_greeks(&mut session, &symbol(), &days(1)).await.unwrap();
    let mut count = 0;
    while stream.next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 4);
}
