//! How much was computed, and how late.

use rust_decimal::Decimal;

use super::Store;
use crate::error::Error;
use crate::range::TimeRange;
use crate::records::{Columns, Record, read};
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

impl Record for ComputationMetrics {
    fn read(columns: &mut Columns<'_>) -> Result<Self, Error> {
        Ok(Self {
            greeks_total: columns.next()?,
            greeks_instruments: columns.next()?,
            greeks_average_delay_seconds: columns.next()?,
            indicators_total: columns.next()?,
            indicators_names: columns.next()?,
            indicators_instruments: columns.next()?,
        })
    }
}

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
        let mut session = self.session().await?;
        read(&session.fetch_one(COMPUTATION_METRICS, &[&range.from(), &range.to()]).await?)
    }
}
