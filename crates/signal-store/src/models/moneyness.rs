//! Greeks of an underlying's options, aggregated by moneyness level.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::number::{DELTA, GAMMA, PRICE, SENSITIVITY, VOLATILITY};
use super::time::check_timestamp;
use crate::keys::{MoneynessLevel, UnderlyingSymbol};
use crate::violation::{Found, Rule, Violation};

/// The earliest date that PostgreSQL stores.
const EARLIEST_DATE: Date = Date::constant(-4713, 11, 24);

/// The aggregate of one moneyness level. Averages are weighted by open interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneynessGreeks {
    /// The underlying.
    pub underlying_symbol: UnderlyingSymbol,
    /// The level.
    pub moneyness_level: MoneynessLevel,
    /// The expiry of the options, none for all expiries.
    pub expiry_date: Option<Date>,
    /// The instant that the values hold for, in whole microseconds.
    pub timestamp: Timestamp,
    /// Price of the underlying, in the quote currency.
    pub spot_price: Decimal,
    /// All options of the level.
    pub all: MoneynessGroup,
    /// The calls among them.
    pub calls: MoneynessGroup,
    /// The puts among them.
    pub puts: MoneynessGroup,
    /// The lowest strike, in the quote currency.
    pub min_strike: Option<Decimal>,
    /// The highest strike, in the quote currency.
    pub max_strike: Option<Decimal>,
    /// Strikes in the level.
    pub strike_count: Option<i32>,
}

/// Averages over a group of options, as in [`Greeks`](crate::Greeks).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MoneynessGroup {
    /// Delta, -5 to 5.
    pub delta: Option<Decimal>,
    /// Gamma, 0 to 10.
    pub gamma: Option<Decimal>,
    /// Theta.
    pub theta: Option<Decimal>,
    /// Vega.
    pub vega: Option<Decimal>,
    /// Rho.
    pub rho: Option<Decimal>,
    /// Implied volatility as a fraction: above 0, at most 5.
    pub iv: Option<Decimal>,
    /// Options in the group.
    pub count: Option<i32>,
}

/// The columns of a group: delta, gamma, theta, vega, rho, iv, count.
type GroupColumns = [&'static str; 7];

const ALL: GroupColumns =
    ["all_delta", "all_gamma", "all_theta", "all_vega", "all_rho", "all_iv", "all_count"];
const CALLS: GroupColumns = [
    "calls_delta",
    "calls_gamma",
    "calls_theta",
    "calls_vega",
    "calls_rho",
    "calls_iv",
    "calls_count",
];
const PUTS: GroupColumns =
    ["puts_delta", "puts_gamma", "puts_theta", "puts_vega", "puts_rho", "puts_iv", "puts_count"];

impl MoneynessGreeks {
    /// A record without values.
    #[must_use]
    pub fn new(
        underlying_symbol: UnderlyingSymbol,
        moneyness_level: MoneynessLevel,
        timestamp: Timestamp,
        spot_price: Decimal,
    ) -> Self {
        Self {
            underlying_symbol,
            moneyness_level,
            expiry_date: None,
            timestamp,
            spot_price,
            all: MoneynessGroup::default(),
            calls: MoneynessGroup::default(),
            puts: MoneynessGroup::default(),
            min_strike: None,
            max_strike: None,
            strike_count: None,
        }
    }

    /// Checks everything that the contract asks of the record, which is not to be
    /// older than `oldest`; see [`oldest_writable`](crate::oldest_writable).
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(&self, oldest: Timestamp) -> Result<(), Violation> {
        check_timestamp(self.timestamp, oldest)?;
        if self.expiry_date.is_some_and(|date| date < EARLIEST_DATE) {
            let (field, rule) = ("expiry_date", Rule::Date);
            return Err(Violation { field, rule, found: Found::BelowRange });
        }
        PRICE.check("spot_price", self.spot_price)?;
        self.all.check(&ALL)?;
        self.calls.check(&CALLS)?;
        self.puts.check(&PUTS)?;
        PRICE.check("min_strike", self.min_strike)?;
        PRICE.check("max_strike", self.max_strike)?;
        check_count("strike_count", self.strike_count)
    }
}

impl MoneynessGroup {
    fn check(&self, columns: &GroupColumns) -> Result<(), Violation> {
        let [delta, gamma, theta, vega, rho, iv, count] = columns;
        DELTA.check(delta, self.delta)?;
        GAMMA.check(gamma, self.gamma)?;
        SENSITIVITY.check(theta, self.theta)?;
        SENSITIVITY.check(vega, self.vega)?;
        SENSITIVITY.check(rho, self.rho)?;
        VOLATILITY.check(iv, self.iv)?;
        check_count(count, self.count)
    }
}

fn check_count(field: &'static str, count: Option<i32>) -> Result<(), Violation> {
    if count.is_none_or(|count| count >= 0) {
        return Ok(());
    }
    Err(Violation { field, rule: Rule::AtLeast(0), found: Found::BelowRange })
}
