//! Data aggregated to a custom timeframe.

use jiff::Timestamp;

use super::json::{JsonObject, check_json};
use super::time::check_timestamp;
use crate::keys::{InstrumentKey, SignalType, Timeframe};
use crate::violation::Violation;

/// Data of one custom timeframe. Instrument, type, timeframe and timestamp are its
/// key: a second write of the same key replaces the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomTimeframe {
    /// The instrument.
    pub instrument_key: InstrumentKey,
    /// What kind of data it is.
    pub signal_type: SignalType,
    /// The length of the timeframe.
    pub timeframe: Timeframe,
    /// The instant that the data hold for, in whole microseconds.
    pub timestamp: Timestamp,
    /// The aggregated values.
    pub data: JsonObject,
}

impl CustomTimeframe {
    /// Checks everything that the contract asks of the record, which is not to be
    /// older than `oldest`; see [`oldest_writable`](crate::oldest_writable).
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(&self, oldest: Timestamp) -> Result<(), Violation> {
        check_timestamp(self.timestamp, oldest)?;
        check_json("data", &self.data)
    }
}
