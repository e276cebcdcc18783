//! Indicators: stored one by one, the newest read.

use jiff::Timestamp;
use pg_session::tokio_postgres::types::Json;

use super::Store;
use crate::error::Error;
use crate::keys::{IndicatorName, InstrumentKey, SignalId};
use crate::models::{Indicator, JsonObject};
use crate::records::{Columns, Record};
use crate::statements::LATEST_INDICATOR;

/// The newest values of an indicator of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestIndicator {
    /// The row's number.
    pub id: i64,
    /// The signal that it belongs to.
    pub signal_id: SignalId,
    /// The instrument.
    pub instrument_key: InstrumentKey,
    /// The instant that the values hold for.
    pub timestamp: Timestamp,
    /// Which indicator it is.
    pub indicator_name: IndicatorName,
    /// Its parameters.
    pub parameters: JsonObject,
    /// Its values.
    pub values: JsonObject,
}

impl Record for LatestIndicator {
    fn read(columns: &mut Columns<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: columns.next()?,
            signal_id: columns.next()?,
            instrument_key: columns.next()?,
            timestamp: columns.next()?,
            indicator_name: columns.next()?,
            parameters: columns.next::<Json<JsonObject>>()?.0,
            values: columns.next::<Json<JsonObject>>()?.0,
        })
    }
}

impl Store {
    /// Stores one record and gives its row's number.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn save_indicator(&self, record: &Indicator) -> Result<i64, Error> {
        self.save(record).await
    }

    /// The newest record of an indicator of an instrument, if there is any.
    ///
    /// # Errors
    /// See [`Store`].
    pub async fn get_latest_indicator(
        &self,
        instrument: &InstrumentKey,
        indicator: &IndicatorName,
    ) -> Result<Option<LatestIndicator>, Error> {
        self.read_opt(LATEST_INDICATOR, &[instrument, indicator]).await
    }
}
