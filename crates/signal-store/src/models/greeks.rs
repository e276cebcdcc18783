//! Greeks of one option.

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::number::{DELTA, GAMMA, PRICE, SENSITIVITY, VOLATILITY, YEARS};
use super::time::check_timestamp;
use crate::keys::{InstrumentKey, SignalId};
use crate::violation::Violation;

/// One calculation of an option's Greeks. Values may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeks {
    /// The signal that it belongs to.
    pub signal_id: SignalId,
    /// The option.
    pub instrument_key: InstrumentKey,
    /// The instant that the values hold for, in whole microseconds.
    pub timestamp: Timestamp,
    /// Change of the option's price per unit of the underlying, -5 to 5.
    pub delta: Option<Decimal>,
    /// Change of delta per unit of the underlying, 0 to 10.
    pub gamma: Option<Decimal>,
    /// Change of the option's price per day.
    pub theta: Option<Decimal>,
    /// Change of the option's price per percentage point of volatility.
    pub vega: Option<Decimal>,
    /// Change of the option's price per percentage point of interest.
    pub rho: Option<Decimal>,
    /// Annual volatility implied by the price, as a fraction: above 0, at most 5.
    pub implied_volatility: Option<Decimal>,
    /// Price by the model, in the quote currency.
    pub theoretical_value: Option<Decimal>,
    /// Price of the underlying, in the quote currency.
    pub underlying_price: Option<Decimal>,
    /// Strike, in the quote currency.
    pub strike_price: Option<Decimal>,
    /// Time to expiry in years, not negative.
    pub time_to_expiry: Option<Decimal>,
}

impl Greeks {
    /// A record without values.
    #[must_use]
    pub fn new(signal_id: SignalId, instrument_key: InstrumentKey, timestamp: Timestamp) -> Self {
        Self {
            signal_id,
            instrument_key,
            timestamp,
            delta: None,
            gamma: None,
            theta: None,
            vega: None,
            rho: None,
            implied_volatility: None,
            theoretical_value: None,
            underlying_price: None,
            strike_price: None,
            time_to_expiry: None,
        }
    }

    /// Checks everything that the contract asks of the record, which is not to be
    /// older than `oldest`; see [`oldest_writable`](crate::oldest_writable).
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(&self, oldest: Timestamp) -> Result<(), Violation> {
        check_timestamp(self.timestamp, oldest)?;
        DELTA.check("delta", self.delta)?;
        GAMMA.check("gamma", self.gamma)?;
        SENSITIVITY.check("theta", self.theta)?;
        SENSITIVITY.check("vega", self.vega)?;
        SENSITIVITY.check("rho", self.rho)?;
        VOLATILITY.check("implied_volatility", self.implied_volatility)?;
        PRICE.check("theoretical_value", self.theoretical_value)?;
        PRICE.check("underlying_price", self.underlying_price)?;
        PRICE.check("strike_price", self.strike_price)?;
        YEARS.check("time_to_expiry", self.time_to_expiry)
    }
}
