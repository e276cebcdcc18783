//! Technical indicators of one instrument.

use jiff::Timestamp;

use super::json::{JsonObject, check_json};
use super::time::check_timestamp;
use crate::keys::{IndicatorName, InstrumentKey, SignalId};
use crate::violation::Violation;

/// One calculation of a technical indicator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indicator {
    /// The signal that it belongs to.
    pub signal_id: SignalId,
    /// The instrument.
    pub instrument_key: InstrumentKey,
    /// The instant that the values hold for, in whole microseconds.
    pub timestamp: Timestamp,
    /// Which indicator it is.
    pub indicator_name: IndicatorName,
    /// Its parameters: `{"length": 14}`.
    pub parameters: JsonObject,
    /// Its values: `{"RSI_14": 61.5}`.
    pub values: JsonObject,
}

impl Indicator {
    /// Checks everything that the contract asks of the record, which is not to be
    /// older than `oldest`; see [`oldest_writable`](crate::oldest_writable).
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(&self, oldest: Timestamp) -> Result<(), Violation> {
        check_timestamp(self.timestamp, oldest)?;
        check_json("parameters", &self.parameters)?;
        check_json("values", &self.values)
    }
}
