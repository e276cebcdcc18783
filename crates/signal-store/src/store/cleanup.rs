//! Removing what is older than it is kept: whole chunks where that is possible,
//! which is quick and gives the space back, and single rows for the rest.

use jiff::{SignedDuration, Timestamp};
use pg_session::TransactionOptions;

use super::{Store, repeat};
use crate::error::Error;
use crate::range::stored_not_before;
use crate::statements::{
    CLEANUP_CHUNKS, CLEANUP_CUSTOM_TIMEFRAMES, CLEANUP_DROP_CHUNKS, CLEANUP_GREEKS,
    CLEANUP_INDICATORS, CLEANUP_LOCK, CLEANUP_MONEYNESS_GREEKS, OLD_CUSTOM_TIMEFRAMES, OLD_GREEKS,
    OLD_INDICATORS, OLD_MONEYNESS_GREEKS, SERVER_TIME,
};

/// For how many days of 24 hours records are kept; none for ever. The default is
/// the contract's: 90 days of Greeks and indicators, 180 of moneyness aggregates,
/// and all custom timeframes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Greeks.
    pub greeks: Option<u32>,
    /// Indicators.
    pub indicators: Option<u32>,
    /// Moneyness aggregates.
    pub moneyness: Option<u32>,
    /// Custom timeframes.
    pub custom_timeframes: Option<u32>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            greeks: Some(90),
            indicators: Some(90),
            moneyness: Some(180),
            custom_timeframes: None,
        }
    }
}

impl Retention {
    /// The same number of days for every table.
    #[must_use]
    pub fn days(days: u32) -> Self {
        let days = Some(days);
        Self { greeks: days, indicators: days, moneyness: days, custom_timeframes: days }
    }
}

/// What was removed, table by table.
#[derive(Debug)]
#[must_use = "a table may have failed"]
pub struct Cleanup {
    /// The tables that have a retention.
    pub tables: Vec<TableCleanup>,
}

/// What was removed from one table.
#[derive(Debug)]
pub struct TableCleanup {
    /// The table.
    pub table: &'static str,
    /// Older rows were to be removed.
    pub before: Timestamp,
    /// Chunks dropped as a whole.
    pub chunks: u64,
    /// Rows in these chunks, counted just before they were dropped.
    pub rows_in_chunks: u64,
    /// Rows deleted from the chunk that is old in part.
    pub rows_deleted: u64,
    /// Why the rest was not removed, if it was not. What is counted above is
    /// removed for good, and the next call goes on from there.
    pub failure: Option<Error>,
}

impl Cleanup {
    /// Rows removed in all.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows_in_chunks + table.rows_deleted).sum()
    }

    /// The first failure, if a table failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        self.tables.iter().find_map(|table| table.failure.as_ref())
    }
}

/// The statements of one table.
struct Table {
    name: &'static str,
    count: &'static str,
    delete: &'static str,
}

const GREEKS: Table = Table { name: "signal_greeks", count: OLD_GREEKS, delete: CLEANUP_GREEKS };
const INDICATORS: Table =
    Table { name: "signal_indicators", count: OLD_INDICATORS, delete: CLEANUP_INDICATORS };
const MONEYNESS: Table = Table {
    name: "signal_moneyness_greeks",
    count: OLD_MONEYNESS_GREEKS,
    delete: CLEANUP_MONEYNESS_GREEKS,
};
const CUSTOM_TIMEFRAMES: Table = Table {
    name: "signal_custom_timeframes",
    count: OLD_CUSTOM_TIMEFRAMES,
    delete: CLEANUP_CUSTOM_TIMEFRAMES,
};

impl Store {
    /// Removes what is older than it is kept, by the server's clock. Chunks are
    /// dropped one at a time, so that writers and
    /// readers wait for moments only; a conflict with them is retried. Calling it
    /// again, or from several places at once, does no harm. On the Community
    /// edition the retention policies of the contract do the same by themselves.
    ///
    /// # Errors
    /// [`Error::Database`] before anything is removed; later failures are in the
    /// answer, table by table.
    pub async fn cleanup_old_data(&self, retention: &Retention) -> Result<Cleanup, Error> {
        let now: Timestamp = self.reader.fetch_value(SERVER_TIME, &[]).await?;
        let mut tables = Vec::new();
        for (table, days) in [
            (GREEKS, retention.greeks),
            (INDICATORS, retention.indicators),
            (MONEYNESS, retention.moneyness),
            (CUSTOM_TIMEFRAMES, retention.custom_timeframes),
        ] {
            let Some(days) = days else { continue };
            let before = now
                .checked_sub(SignedDuration::from_hours(24 * i64::from(days)))
                .unwrap_or(Timestamp::MIN);
            let before = stored_not_before(before);
            let mut done = TableCleanup {
                table: table.name,
                before,
                chunks: 0,
                rows_in_chunks: 0,
                rows_deleted: 0,
                failure: None,
            };
            done.failure = self.clean(&table, &mut done).await.err();
            tables.push(done);
        }
        Ok(Cleanup { tables })
    }

    async fn clean(&self, table: &Table, done: &mut TableCleanup) -> Result<(), Error> {
        let before = done.before;
        let chunks = self.read_alone(CLEANUP_CHUNKS, &[&table.name, &before]).await?;
        for row in chunks {
            let end = row.try_get(0).map_err(pg_session::Error::from)?;
            let (chunks, rows) = self.drop_chunk(table, end).await?;
            done.chunks += chunks;
            done.rows_in_chunks += rows;
        }
        if table.name == GREEKS.name && done.chunks > 0 {
            // They are no longer read; now they no longer take space either.
            self.rollups().prune_rollups().await?;
        }
        let deleted: Result<u64, Error> = repeat!(self, async {
            Ok(self.session().await?.execute(table.delete, &[&before]).await?)
        });
        done.rows_deleted = deleted?;
        Ok(())
    }

    /// Drops the chunks that end at or before `end`, which is one when the older
    /// ones are gone, and gives their number and that of the rows in them. Two that
    /// drop at the same time would deadlock in the catalog: one waits for the other.
    async fn drop_chunk(&self, table: &Table, end: Timestamp) -> Result<(u64, u64), Error> {
        repeat!(self, async {
            let mut session = self.session().await?;
            let rows: i64 = session.fetch_value(table.count, &[&end]).await?;
            let mut transaction = session.begin(&TransactionOptions::default()).await?;
            transaction.execute(CLEANUP_LOCK, &[]).await?;
            // Those that are left; another cleanup may have been faster.
            for row in transaction.fetch(CLEANUP_CHUNKS, &[&table.name, &end]).await? {
                let lock: String = row.try_get(1).map_err(pg_session::Error::from)?;
                transaction.batch(&lock).await?;
            }
            let dropped = transaction.fetch(CLEANUP_DROP_CHUNKS, &[&table.name, &end]).await?.len();
            transaction.commit().await?;
            // Where another cleanup was faster, the rows are counted by it.
            let rows = if dropped == 0 { 0 } else { rows };
            Ok((dropped as u64, rows.unsigned_abs()))
        })
    }
}
