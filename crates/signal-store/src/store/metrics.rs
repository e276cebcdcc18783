//! How much was computed, and how late.

use rust_decimal::Decimal;

use super::Store;
use crate::error::Error;
use crate::range::TimeRange;
use crate::records::{in_order, read};
use crate::statements::COMPUTATION_METRICS;

/// What was computed in a range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComputationMetrics {
    /// Calculations of Greeks.
    pub greeks_total: i64,
    /// Instruments among them.
    pub greeks_instruments: i64,
    /// Seconds from the instant that values hold for to their writing, on average;
    /// none if there are no Greeks.
    pub greeks_average_delay_seconds: Option<Decimal>,
    /// Calculations of indicators.
    pub indicators_total: i64,
    /// Different indicators among them.
    pub indicators_names: i64,
    /// Instruments among them.
    pub indicators_instruments: i64,
}

in_order!(
    ComputationMetrics: greeks_total, greeks_instruments, greeks_average_delay_seconds,
    indicators_total, indicators_names, indicators_instruments,
);

impl Store {
    /// Counts what was computed in a range. Looks at every row of the range, and
    /// takes a session for its time.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn get_computation_metrics(
        &self,
        range: &TimeRange,
    ) -> Result<ComputationMetrics, Error> {
        let rows = self.read_alone(COMPUTATION_METRICS, &[&range.from(), &range.to()]).await?;
        read(rows.first().ok_or(pg_session::Error::RowCount { found: 0 })?)
    }
}
