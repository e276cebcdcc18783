//! Greeks: stored one by one, read as the newest and as history.

use jiff::Timestamp;
use pg_session::{Executor, Params};
use rust_decimal::Decimal;

use super::Store;
use crate::error::Error;
use crate::keys::{InstrumentKey, SignalId};
use crate::models::Greeks;
use crate::range::{BucketWidth, TimeRange};
use crate::records::{Records, in_order, read_all};
use crate::rollups;
use crate::statements::{HISTORICAL_GREEKS, HISTORICAL_GREEKS_ROLLUP, LATEST_GREEKS};

/// The most buckets that are given at once.
const MOST_BUCKETS: u64 = 10_000;

/// The newest Greeks of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestGreeks {
    /// The row's number.
    pub id: i64,
    /// The signal that it belongs to.
    pub signal_id: SignalId,
    /// The option.
    pub instrument_key: InstrumentKey,
    /// The instant that the values hold for.
    pub timestamp: Timestamp,
    /// As [`Greeks::delta`].
    pub delta: Option<Decimal>,
    /// As [`Greeks::gamma`].
    pub gamma: Option<Decimal>,
    /// As [`Greeks::theta`].
    pub theta: Option<Decimal>,
    /// As [`Greeks::vega`].
    pub vega: Option<Decimal>,
    /// As [`Greeks::rho`].
    pub rho: Option<Decimal>,
    /// As [`Greeks::implied_volatility`].
    pub implied_volatility: Option<Decimal>,
    /// As [`Greeks::theoretical_value`].
    pub theoretical_value: Option<Decimal>,
}

in_order!(
    LatestGreeks: id, signal_id, instrument_key, timestamp, delta, gamma, theta, vega, rho,
    implied_volatility, theoretical_value,
);

/// The Greeks of an instrument in one bucket of time: averages of the values that
/// are there, none where all are missing. Averages have up to 28 digits after the
/// point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GreeksBucket {
    /// The start of the bucket.
    pub bucket: Timestamp,
    /// Average delta.
    pub delta: Option<Decimal>,
    /// Average gamma.
    pub gamma: Option<Decimal>,
    /// Average theta.
    pub theta: Option<Decimal>,
    /// Average vega.
    pub vega: Option<Decimal>,
    /// Average rho.
    pub rho: Option<Decimal>,
    /// Average implied volatility.
    pub implied_volatility: Option<Decimal>,
    /// Average theoretical value.
    pub theoretical_value: Option<Decimal>,
    /// Average price of the underlying.
    pub underlying_price: Option<Decimal>,
    /// The strike of the newest row.
    pub strike_price: Option<Decimal>,
    /// Rows in the bucket.
    pub data_points: i64,
}

in_order!(
    GreeksBucket: bucket, delta, gamma, theta, vega, rho, implied_volatility, theoretical_value,
    underlying_price, strike_price, data_points,
);

impl Store {
    /// Stores one record and gives its row's number.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn save_greeks(&self, record: &Greeks) -> Result<i64, Error> {
        self.save(record).await
    }

    /// The newest record of an instrument, if it has any.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn get_latest_greeks(
        &self,
        instrument: &InstrumentKey,
    ) -> Result<Option<LatestGreeks>, Error> {
        self.read_opt(LATEST_GREEKS, &[instrument]).await
    }

    /// Averages over buckets of an instrument's records in a range, oldest first;
    /// a bucket without records is left out. Widths that are multiples of five
    /// minutes are served from rollups, with the same answer. Takes a session for
    /// its time.
    ///
    /// # Errors
    /// [`Error::TooMany`] if the range could hold more than 10,000 buckets: use
    /// [`stream_historical_greeks`] then. Otherwise see [`Store`].
    pub async fn get_historical_greeks(
        &self,
        instrument: &InstrumentKey,
        range: &TimeRange,
        width: BucketWidth,
    ) -> Result<Vec<GreeksBucket>, Error> {
        let found = width.buckets_in(range);
        if found > MOST_BUCKETS {
            return Err(Error::TooMany { what: "buckets", found, limit: MOST_BUCKETS });
        }
        let params: Params<'_> = &[&width, instrument, &range.from(), &range.to()];
        read_all(&self.read_alone(history(width), params).await?)
    }
}

/// The statement that answers fastest; both give the same answer.
fn history(width: BucketWidth) -> &'static str {
    if rollups::serve(width) { HISTORICAL_GREEKS_ROLLUP } else { HISTORICAL_GREEKS }
}

/// As [`Store::get_historical_greeks`], for ranges of any length, on a session or
/// inside a transaction.
///
/// # Errors
/// [`Error::Database`].
pub async fn stream_historical_greeks<'e>(
    executor: &'e mut Executor,
    instrument: &InstrumentKey,
    range: &TimeRange,
    width: BucketWidth,
) -> Result<Records<'e, GreeksBucket>, Error> {
    let params: Params<'_> = &[&width, instrument, &range.from(), &range.to()];
    Records::start(executor, history(width), params).await
}
