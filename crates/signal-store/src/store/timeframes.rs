//! Custom timeframes: stored in batches, read as history.

use jiff::Timestamp;
use pg_session::tokio_postgres::types::Json;
use pg_session::{Executor, Params, TransactionOptions};

use super::{Store, repeat};
use crate::error::Error;
use crate::keys::{InstrumentKey, SignalType, Timeframe};
use crate::models::{CustomTimeframe, JsonObject, now, oldest_writable};
use crate::range::TimeRange;
use crate::records::{Columns, Record, Records, read_all};
use crate::statements::{CUSTOM_TIMEFRAME_DATA, SAVE_CUSTOM_TIMEFRAME_DATA};
use crate::violation::Violation;

/// The most records of one batch.
const MOST_RECORDS: usize = 10_000;

/// The most records of one statement; with JSON of a MiB each it stays below the
/// gigabyte that a message may have.
const AT_ONCE: usize = 500;

/// Data of a custom timeframe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeframeRecord {
    /// The instant that the data hold for.
    pub timestamp: Timestamp,
    /// The aggregated values.
    pub data: JsonObject,
    /// When the key was written first.
    pub created_at: Option<Timestamp>,
    /// When it was written last.
    pub updated_at: Option<Timestamp>,
}

impl Record for TimeframeRecord {
    fn read(columns: &mut Columns<'_>) -> Result<Self, Error> {
        Ok(Self {
            timestamp: columns.next()?,
            data: columns.next::<Json<JsonObject>>()?.0,
            created_at: columns.next()?,
            updated_at: columns.next()?,
        })
    }
}

/// What became of a record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is stored.
    Saved,
    /// A later record of the batch has the same key and is stored in its place.
    Superseded,
    /// It breaks the contract and is not stored.
    Refused(Violation),
}

/// What a batch of custom timeframes did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "records may have been refused"]
pub struct TimeframesSaved {
    /// What became of each record, in the order of the batch.
    pub verdicts: Vec<Verdict>,
    /// Keys that are new.
    pub inserted: u64,
    /// Keys whose data were replaced.
    pub updated: u64,
}

impl Store {
    /// Stores a batch as a whole; a key that is there already gets the new data.
    /// Records that break the contract are refused one by one and do not keep the
    /// others back. Of records with the same key the last counts.
    ///
    /// # Errors
    /// [`Error::TooMany`] for more than 10,000 records. Otherwise
    /// [`Error::Database`]; nothing is stored then, unless the outcome is unknown,
    /// which is after a lost connection only if the server cannot be asked.
    pub async fn save_custom_timeframe_data(
        &self,
        records: &[CustomTimeframe],
    ) -> Result<TimeframesSaved, Error> {
        refuse_more_than(MOST_RECORDS, records.len())?;
        let oldest = oldest_writable(now());
        let verdict = |record: &CustomTimeframe| match record.check(oldest) {
            Ok(()) => Verdict::Saved,
            Err(violation) => Verdict::Refused(violation),
        };
        let mut verdicts: Vec<Verdict> = records.iter().map(verdict).collect();
        let batch = sorted(records, &mut verdicts);
        if batch.is_empty() {
            return Ok(TimeframesSaved { verdicts, inserted: 0, updated: 0 });
        }
        let options = TransactionOptions::default().resolve_lost_commit();
        let saved: Result<_, Error> = repeat!(self, async {
            let mut session = self.session().await?;
            let mut transaction = session.begin(&options).await?;
            let counts = upsert(&mut transaction, &batch).await?;
            transaction.commit().await?;
            Ok(counts)
        });
        let (inserted, updated) = saved?;
        Ok(TimeframesSaved { verdicts, inserted, updated })
    }

    /// The data of an instrument's timeframe in a range, oldest first.
    ///
    /// # Errors
    /// [`pg_session::Error::TooManyRows`] if there are more than
    /// [`row_limit`](pg_session::ReaderOptions::row_limit), 10,000 by default: use
    /// [`stream_custom_timeframe_data`] then. Otherwise see [`Store`].
    pub async fn get_custom_timeframe_data(
        &self,
        instrument: &InstrumentKey,
        signal_type: SignalType,
        timeframe: Timeframe,
        range: &TimeRange,
    ) -> Result<Vec<TimeframeRecord>, Error> {
        let (minutes, from, to) = (timeframe.as_minutes(), range.from(), range.to());
        let params: Params<'_> = &[instrument, &signal_type, &minutes, &from, &to];
        read_all(&self.reader.fetch(CUSTOM_TIMEFRAME_DATA, params).await?)
    }
}

/// As [`Store::get_custom_timeframe_data`], for ranges of any length, on a session
/// or inside a transaction.
///
/// # Errors
/// [`Error::Database`].
pub async fn stream_custom_timeframe_data<'e>(
    executor: &'e mut Executor,
    instrument: &InstrumentKey,
    signal_type: SignalType,
    timeframe: Timeframe,
    range: &TimeRange,
) -> Result<Records<'e, TimeframeRecord>, Error> {
    let (minutes, from, to) = (timeframe.as_minutes(), range.from(), range.to());
    let params: Params<'_> = &[instrument, &signal_type, &minutes, &from, &to];
    Records::start(executor, CUSTOM_TIMEFRAME_DATA, params).await
}

pub(super) fn refuse_more_than(limit: usize, found: usize) -> Result<(), Error> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::TooMany { what: "records", found: found as u64, limit: limit as u64 })
}

/// The records to be stored, each key once, in the order of the keys: batches that
/// overlap then wait for each other instead of deadlocking.
fn sorted<'a>(
    records: &'a [CustomTimeframe],
    verdicts: &mut [Verdict],
) -> Vec<&'a CustomTimeframe> {
    let mut order: Vec<usize> =
        (0..records.len()).filter(|at| verdicts.get(*at) == Some(&Verdict::Saved)).collect();
    // A stable sort: the last of equal keys is the one that came last.
    order.sort_by(|one, other| key(records, *one).cmp(&key(records, *other)));
    let superseded: Vec<usize> = order
        .windows(2)
        .filter(|pair| key(records, pair[0]) == key(records, pair[1]))
        .map(|pair| pair[0])
        .collect();
    for at in superseded {
        verdicts[at] = Verdict::Superseded;
    }
    order.retain(|at| verdicts[*at] == Verdict::Saved);
    order.into_iter().map(|at| &records[at]).collect()
}

/// Of each key the last record, in the order of the keys.
pub(super) fn last_of_each_key(records: &[CustomTimeframe]) -> Vec<&CustomTimeframe> {
    sorted(records, &mut vec![Verdict::Saved; records.len()])
}

type Key<'a> = (&'a InstrumentKey, SignalType, Timeframe, Timestamp);

fn key(records: &[CustomTimeframe], at: usize) -> Key<'_> {
    let record = &records[at];
    (&record.instrument_key, record.signal_type, record.timeframe, record.timestamp)
}

/// Stores records whose keys are sorted and differ; gives the numbers of new and
/// of replaced ones.
pub(super) async fn upsert(
    executor: &mut Executor,
    records: &[&CustomTimeframe],
) -> Result<(u64, u64), Error> {
    let (mut inserted, mut updated) = (0, 0);
    for part in records.chunks(AT_ONCE) {
        let instruments: Vec<_> = part.iter().map(|record| &record.instrument_key).collect();
        let types: Vec<_> = part.iter().map(|record| record.signal_type).collect();
        let minutes: Vec<_> = part.iter().map(|record| record.timeframe.as_minutes()).collect();
        let timestamps: Vec<_> = part.iter().map(|record| record.timestamp).collect();
        let data: Vec<_> = part.iter().map(|record| Json(&record.data)).collect();
        let params: Params<'_> = &[&instruments, &types, &minutes, &timestamps, &data];
        for row in executor.fetch(SAVE_CUSTOM_TIMEFRAME_DATA, params).await? {
            let replaced: Option<bool> = row.try_get(1).map_err(pg_session::Error::from)?;
            if replaced == Some(true) {
                updated += 1;
            } else {
                inserted += 1;
            }
        }
    }
    Ok((inserted, updated))
}
