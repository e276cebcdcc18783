//! The rules of numbers, and numbers from floating point.

use std::cmp::Ordering;
use std::ops::Bound::{Excluded, Included, Unbounded};

use rust_decimal::Decimal;

use crate::violation::{Found, NumberRule, Rule, Violation};

pub(super) const DELTA: NumberRule =
    NumberRule { precision: 10, scale: 6, lower: Included(-5), upper: Included(5) };
pub(super) const GAMMA: NumberRule =
    NumberRule { precision: 10, scale: 6, lower: Included(0), upper: Included(10) };
/// Theta, vega and rho.
pub(super) const SENSITIVITY: NumberRule =
    NumberRule { precision: 10, scale: 6, lower: Unbounded, upper: Unbounded };
pub(super) const VOLATILITY: NumberRule =
    NumberRule { precision: 8, scale: 6, lower: Excluded(0), upper: Included(5) };
pub(super) const PRICE: NumberRule =
    NumberRule { precision: 12, scale: 4, lower: Unbounded, upper: Unbounded };
pub(super) const YEARS: NumberRule =
    NumberRule { precision: 8, scale: 6, lower: Included(0), upper: Unbounded };

impl NumberRule {
    /// Refuses a number that the column would refuse, or would not keep as it is.
    pub(super) fn check(
        &self,
        field: &'static str,
        value: impl Into<Option<Decimal>>,
    ) -> Result<(), Violation> {
        let Some(value) = value.into() else { return Ok(()) };
        let beyond = |bound, side| match bound {
            Included(bound) => value.cmp(&Decimal::from(bound)) == side,
            Excluded(bound) => value.cmp(&Decimal::from(bound)) != side.reverse(),
            Unbounded => false,
        };
        let (below, above) =
            (beyond(self.lower, Ordering::Less), beyond(self.upper, Ordering::Greater));
        let limit = Decimal::from(10_u64.pow(self.precision - self.scale));
        let found = if below {
            Found::BelowRange
        } else if above {
            Found::AboveRange
        } else if value.abs() >= limit {
            Found::TooManyDigits
        } else if value.scale() > self.scale && value.normalize().scale() > self.scale {
            Found::TooManyDecimals
        } else {
            return Ok(());
        };
        Err(Violation { field, rule: Rule::Number(*self), found })
    }
}

/// A number of at most `decimals` digits after the point, rounded half to even:
/// 6 for Greeks and volatilities, 4 for prices.
///
/// # Errors
/// The [`Violation`] of a value that is infinite, not a number, or beyond 28 digits.
pub fn number_from_f64(
    field: &'static str,
    value: f64,
    decimals: u32,
) -> Result<Decimal, Violation> {
    let found = if value.is_nan() {
        Found::NotANumber
    } else if value.is_infinite() {
        Found::Infinite
    } else if let Some(number) = Decimal::from_f64_retain(value) {
        return Ok(number.round_dp(decimals));
    } else {
        Found::TooManyDigits
    };
    Err(Violation { field, rule: Rule::Finite, found })
}
