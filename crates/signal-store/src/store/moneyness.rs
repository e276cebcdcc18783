//! Greeks by moneyness level: stored one by one, read as history.

use jiff::Timestamp;
use jiff::civil::Date;
use pg_session::{Executor, Params};
use rust_decimal::Decimal;

use super::Store;
use crate::error::Error;
use crate::keys::{MoneynessLevel, UnderlyingSymbol};
use crate::models::{MoneynessGreeks, MoneynessGroup};
use crate::range::TimeRange;
use crate::records::{Columns, Record, Records, read_all};
use crate::statements::MONEYNESS_GREEKS;

/// The aggregate of one moneyness level, as the contract's consumers read it: of
/// calls and puts without theta, vega, rho and volatility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneynessRecord {
    /// The instant that the values hold for.
    pub timestamp: Timestamp,
    /// The level.
    pub moneyness_level: MoneynessLevel,
    /// The expiry of the options, none for all expiries.
    pub expiry_date: Option<Date>,
    /// Price of the underlying, in the quote currency.
    pub spot_price: Decimal,
    /// All options of the level.
    pub all: MoneynessGroup,
    /// Delta of the calls.
    pub calls_delta: Option<Decimal>,
    /// Gamma of the calls.
    pub calls_gamma: Option<Decimal>,
    /// The number of the calls.
    pub calls_count: Option<i32>,
    /// Delta of the puts.
    pub puts_delta: Option<Decimal>,
    /// Gamma of the puts.
    pub puts_gamma: Option<Decimal>,
    /// The number of the puts.
    pub puts_count: Option<i32>,
    /// The lowest strike.
    pub min_strike: Option<Decimal>,
    /// The highest strike.
    pub max_strike: Option<Decimal>,
    /// Strikes in the level.
    pub strike_count: Option<i32>,
}

impl Record for MoneynessRecord {
    fn read(columns: &mut Columns<'_>) -> Result<Self, Error> {
        Ok(Self {
            timestamp: columns.next()?,
            moneyness_level: columns.next()?,
            expiry_date: columns.next()?,
            spot_price: columns.next()?,
            all: MoneynessGroup {
                delta: columns.next()?,
                gamma: columns.next()?,
                theta: columns.next()?,
                vega: columns.next()?,
                rho: columns.next()?,
                iv: columns.next()?,
                count: columns.next()?,
            },
            calls_delta: columns.next()?,
            calls_gamma: columns.next()?,
            calls_count: columns.next()?,
            puts_delta: columns.next()?,
            puts_gamma: columns.next()?,
            puts_count: columns.next()?,
            min_strike: columns.next()?,
            max_strike: columns.next()?,
            strike_count: columns.next()?,
        })
    }
}

impl Store {
    /// Stores one record and gives its row's number.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn save_moneyness_greeks(&self, record: &MoneynessGreeks) -> Result<i64, Error> {
        self.save(record).await
    }

    /// The records of an underlying in a range, newest first, then by level.
    ///
    /// # Errors
    /// [`pg_session::Error::TooManyRows`] if there are more than
    /// [`row_limit`](pg_session::ReaderOptions::row_limit), 10,000 by default: use
    /// [`stream_moneyness_greeks`] then. Otherwise see [`Store`].
    pub async fn get_moneyness_greeks(
        &self,
        underlying: &UnderlyingSymbol,
        range: &TimeRange,
    ) -> Result<Vec<MoneynessRecord>, Error> {
        let params: Params<'_> = &[underlying, &range.from(), &range.to()];
        read_all(&self.reader.fetch(MONEYNESS_GREEKS, params).await?)
    }
}

/// As [`Store::get_moneyness_greeks`], for ranges of any length, on a session or
/// inside a transaction.
///
/// # Errors
/// [`Error::Database`].
pub async fn stream_moneyness_greeks<'e>(
    executor: &'e mut Executor,
    underlying: &UnderlyingSymbol,
    range: &TimeRange,
) -> Result<Records<'e, MoneynessRecord>, Error> {
    let params: Params<'_> = &[underlying, &range.from(), &range.to()];
    Records::start(executor, MONEYNESS_GREEKS, params).await
}
