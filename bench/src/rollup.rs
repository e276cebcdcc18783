//! A million rows of one instrument in buckets of five minutes: from the rollups, and
//! from the rows themselves.

use std::time::{Duration, Instant};

use pg_session::{Params, PoolOptions, connect};
use signal_store::jiff::Timestamp;
use signal_store::{
    BucketWidth, Decimal, GreeksBucket, InstrumentKey, STATEMENTS, Store, StoreOptions, TimeRange,
};

use crate::Result;
use crate::figures::{Figure, Target};
use crate::setup::Bench;

const KEY: &str = "NSE@MILLION@CE@24000";
/// The slowest of 60 is an upper bound of the 95th percentile, with 95 % confidence.
const OURS: usize = 60;
const RAW: usize = 12;
const LIMIT: Duration = Duration::from_millis(100);

/// A row every second, up to the last midnight.
const FILL: &str = "
INSERT INTO signal_greeks (
    signal_id, instrument_key, \"timestamp\", delta, gamma, theta, vega, rho, implied_volatility,
    theoretical_value, underlying_price, strike_price, time_to_expiry
)
SELECT
    'signal_20260117_000001', 'NSE@MILLION@CE@24000', date_trunc('day', now()) - n * INTERVAL '1 second',
    (n % 2000 - 1000) / 1000.0, (n % 100) / 1000.0, -(n % 700) / 100.0, (n % 900) / 100.0,
    (n % 300) / 100.0, 0.1 + (n % 400) / 1000.0, 100 + n % 500, 24000 + n % 300, 24000, 0.05
FROM generate_series(1, 1000000) AS n";

pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    eprintln!("rollup: a million rows");
    let client = connect(&bench.config()?).await?;
    client.batch_execute(FILL).await?;
    let pool = PoolOptions { min: 1, ..StoreOptions::default().pool };
    let options = StoreOptions { pool, ..StoreOptions::default() };
    let store = Store::connect(bench.config()?, options).await?;
    store.rollups().refresh_rollups().await?;
    client.batch_execute("VACUUM ANALYZE").await?;
    client.batch_execute("CHECKPOINT").await?;

    let sql = "SELECT min(\"timestamp\"), max(\"timestamp\") FROM signal_greeks \
               WHERE instrument_key = $1";
    let row = client.query_one(sql, &[&KEY]).await?;
    let (from, to): (Timestamp, Timestamp) = (row.get(0), row.get(1));
    let (key, range) = (InstrumentKey::new(KEY)?, TimeRange::new(from, to)?);
    let width = BucketWidth::new(Duration::from_mins(5))?;

    let served = store.get_historical_greeks(&key, &range, width).await?;
    compare(&store, &key, &range, width, &served).await?;
    let (mut ours, mut rows) = (Vec::new(), Vec::new());
    for turn in 0..OURS {
        let begun = Instant::now();
        let found = store.get_historical_greeks(&key, &range, width).await?;
        ours.push(begun.elapsed());
        if found != served {
            return Err("two readings of the same history differ".into());
        }
        if turn % (OURS / RAW) == 0 {
            rows.push(raw(&store, &key, &range, width).await?.0);
        }
    }
    ours.sort_unstable();
    rows.sort_unstable();
    let (typical, slowest, peer) = (ours[OURS / 2], ours[OURS - 1], rows[RAW / 2]);
    let what = "1,000,000 rows in buckets of 5 minutes";
    let shown = format!("{typical:.1?}, {slowest:.1?} at most (n = {OURS})");
    Ok(vec![
        Figure {
            what,
            ours: shown.clone(),
            beside: format!("raw rows {peer:.0?} ({:.0?}–{:.0?})", rows[0], rows[RAW - 1]),
            ratio: Some(peer.as_secs_f64() / typical.as_secs_f64()),
            target: Target::Ratio(6.0),
        },
        Figure {
            what,
            ours: shown,
            beside: "–".to_owned(),
            ratio: None,
            target: Target::Limit("each < 100 ms", slowest < LIMIT),
        },
    ])
}

/// The same history from the rows, in one statement.
async fn raw(
    store: &Store,
    key: &InstrumentKey,
    range: &TimeRange,
    width: BucketWidth,
) -> Result<(Duration, Vec<pg_session::tokio_postgres::Row>)> {
    let sql = STATEMENTS.iter().find(|(name, _)| *name == "historical_greeks");
    let sql = sql.ok_or("the contract has no historical_greeks")?.1;
    let params: Params<'_> = &[&width, key, &range.from(), &range.to()];
    let begun = Instant::now();
    let rows = store.session().await?.fetch(sql, params).await?;
    Ok((begun.elapsed(), rows))
}

/// Refuses to measure two answers that differ.
async fn compare(
    store: &Store,
    key: &InstrumentKey,
    range: &TimeRange,
    width: BucketWidth,
    served: &[GreeksBucket],
) -> Result<()> {
    let (_, rows) = raw(store, key, range, width).await?;
    let points: i64 = served.iter().map(|bucket| bucket.data_points).sum();
    let same = rows.len() == served.len()
        && rows.iter().zip(served).all(|(row, bucket)| {
            row.get::<_, Timestamp>(0) == bucket.bucket
                && row.get::<_, Option<Decimal>>(1) == bucket.delta
                && row.get::<_, Option<Decimal>>(6) == bucket.implied_volatility
                && row.get::<_, i64>(10) == bucket.data_points
        });
    if same && points == 1_000_000 {
        return Ok(());
    }
    Err(format!("rollups and rows differ: {} and {} buckets", served.len(), rows.len()).into())
}
