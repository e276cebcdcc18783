//! Stores a signal and reads it again.
//!
//! `DATABASE_URL=postgres://… cargo run -p signal-store --example quickstart`, on a
//! database that has the contract's migrations (`dbready migrate up`).

use std::error::Error;
use std::time::Duration;

use pg_session::Config;
use signal_store::jiff::SignedDuration;
use signal_store::serde_json::{Map, json};
use signal_store::{
    BucketWidth, Greeks, Indicator, Maintenance, Signal, Store, StoreOptions, TimeRange, now,
    number_from_f64, stream_historical_greeks,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = Store::connect(Config::resolve(None)?, StoreOptions::default()).await?;
    println!("schema version {}", store.health().await?.schema_version);
    // Removes what is old and refreshes rollups, for as long as it is held.
    let maintainer = store.maintained(Maintenance::default());

    // A key that has not the form of its contract is refused where it is made.
    let option = "NSE@NIFTY@CE@24000".parse()?;
    let signal_id: signal_store::SignalId = "signal_20260117_000001".parse()?;

    let mut greeks = Greeks::new(signal_id.clone(), option, now());
    greeks.delta = Some(number_from_f64("delta", 0.512_345, 6)?);
    greeks.underlying_price = Some("24013.55".parse()?);
    let option = greeks.instrument_key.clone();
    let indicator = Indicator {
        signal_id,
        instrument_key: "NSE@NIFTY@EQ".parse()?,
        timestamp: greeks.timestamp,
        indicator_name: "RSI".parse()?,
        parameters: Map::from_iter([("length".to_owned(), json!(14))]),
        values: Map::from_iter([("RSI_14".to_owned(), json!(61.5))]),
    };

    // All of it is stored, or nothing.
    let signal = Signal { greeks: vec![greeks], indicators: vec![indicator], ..Signal::default() };
    let saved = store.save_signal(&signal).await?;
    println!("stored rows {:?} and {:?}", saved.greeks, saved.indicators);

    if let Some(latest) = store.get_latest_greeks(&option).await? {
        println!("latest delta of {option}: {:?} at {}", latest.delta, latest.timestamp);
    }

    // A history of any length, a few rows in memory at a time.
    let day = TimeRange::new(now() - SignedDuration::from_hours(24), now())?;
    let width = BucketWidth::new(Duration::from_mins(5))?;
    let mut session = store.session().await?;
    let mut history = stream_historical_greeks(&mut session, &option, &day, width).await?;
    while let Some(bucket) = history.next().await? {
        println!("{}: {} rows, delta {:?}", bucket.bucket, bucket.data_points, bucket.delta);
    }
    drop(session);

    maintainer.stop().await;
    store.disconnect().await;
    Ok(())
}
