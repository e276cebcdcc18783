//! All records of one signal, stored together or not at all.

use pg_session::TransactionOptions;

use super::timeframes::refuse_more_than;
use super::{Store, repeat, timeframes};
use crate::error::Error;
use crate::ingest::Sealed as _;
use crate::keys::SignalId;
use crate::models::{CustomTimeframe, Greeks, Indicator, MoneynessGreeks, now, oldest_writable};
use crate::violation::{Found, Rule, Violation};

/// The most records of one signal.
const MOST_RECORDS: usize = 1000;

/// What one signal consists of. Greeks and indicators carry its id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signal {
    /// Greeks of options.
    pub greeks: Vec<Greeks>,
    /// Indicators of instruments.
    pub indicators: Vec<Indicator>,
    /// Aggregates by moneyness level.
    pub moneyness: Vec<MoneynessGreeks>,
    /// Data of custom timeframes; a key that is there already gets the new data.
    pub timeframes: Vec<CustomTimeframe>,
}

/// The rows of a signal that was stored, in the order of its records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedSignal {
    /// The rows' numbers of the Greeks.
    pub greeks: Vec<i64>,
    /// The rows' numbers of the indicators.
    pub indicators: Vec<i64>,
    /// The rows' numbers of the aggregates.
    pub moneyness: Vec<i64>,
}

impl Signal {
    /// Checks every record, and that all carry the same signal id.
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(&self, oldest: jiff::Timestamp) -> Result<(), Violation> {
        self.greeks.iter().try_for_each(|record| record.check(oldest))?;
        self.indicators.iter().try_for_each(|record| record.check(oldest))?;
        self.moneyness.iter().try_for_each(|record| record.check(oldest))?;
        self.timeframes.iter().try_for_each(|record| record.check(oldest))?;
        let mut ids = self.ids();
        let first = ids.next();
        if ids.all(|id| Some(id) == first) {
            return Ok(());
        }
        Err(Violation { field: "signal_id", rule: Rule::SameSignal, found: Found::Another })
    }

    fn ids(&self) -> impl Iterator<Item = &SignalId> {
        let greeks = self.greeks.iter().map(|record| &record.signal_id);
        greeks.chain(self.indicators.iter().map(|record| &record.signal_id))
    }

    fn len(&self) -> usize {
        self.greeks.len() + self.indicators.len() + self.moneyness.len() + self.timeframes.len()
    }
}

impl Store {
    /// Stores all records of one signal in one transaction. It is repeated as a
    /// whole after a conflict and after a connection that was lost with nothing
    /// applied; a commit whose answer was lost is looked up on the server, so that
    /// every record is stored once.
    ///
    /// # Errors
    /// [`Error::TooMany`] for more than 1,000 records. Otherwise see [`Store`];
    /// after any error but one of unknown outcome none of the records is stored.
    pub async fn save_signal(&self, signal: &Signal) -> Result<SavedSignal, Error> {
        refuse_more_than(MOST_RECORDS, signal.len())?;
        signal.check(oldest_writable(now()))?;
        let timeframes = timeframes::last_of_each_key(&signal.timeframes);
        let options = TransactionOptions::default().resolve_lost_commit();
        repeat!(self, async {
            let mut session = self.session().await?;
            let mut transaction = session.begin(&options).await?;
            let mut saved = SavedSignal::default();
            for record in &signal.greeks {
                saved.greeks.push(record.save(&mut transaction).await?);
            }
            for record in &signal.indicators {
                saved.indicators.push(record.save(&mut transaction).await?);
            }
            for record in &signal.moneyness {
                saved.moneyness.push(record.save(&mut transaction).await?);
            }
            timeframes::upsert(&mut transaction, &timeframes).await?;
            transaction.commit().await?;
            Ok(saved)
        })
    }
}
