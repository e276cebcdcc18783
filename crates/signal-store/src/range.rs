//! Ranges of time that reads are about, and the buckets in them.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::BytesMut;
use jiff::Timestamp;
use pg_session::tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::violation::{Found, Rule, Violation};

/// A closed range of time: both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    from: Timestamp,
    to: Timestamp,
}

impl TimeRange {
    /// The range between two instants, which may be the same. Parts of a
    /// microsecond and years before 4713 BC, which no stored instant has, are cut off.
    ///
    /// # Errors
    /// The [`Violation`] of an end before the start.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, Violation> {
        if from <= to {
            return Ok(Self { from: stored_not_before(from), to: stored_not_after(to) });
        }
        Err(Violation { field: "to", rule: Rule::Ordered, found: Found::Reversed })
    }

    /// Its first instant.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// Its last instant.
    #[must_use]
    pub fn to(&self) -> Timestamp {
        self.to
    }
}

/// The first instant that PostgreSQL stores, in microseconds.
const FIRST: i64 = -210_866_803_200_000_000;

fn stored(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros.max(FIRST)).unwrap_or(Timestamp::MAX)
}

/// The first instant that PostgreSQL stores which is not before this one.
pub(crate) fn stored_not_before(instant: Timestamp) -> Timestamp {
    let whole = stored(instant.as_microsecond());
    if whole < instant { stored(instant.as_microsecond() + 1) } else { whole }
}

fn stored_not_after(instant: Timestamp) -> Timestamp {
    let whole = stored(instant.as_microsecond());
    if whole > instant { stored(instant.as_microsecond() - 1) } else { whole }
}

/// The width of a bucket. A day is 24 hours: buckets are counted in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketWidth(i64);

const LONGEST: Duration = Duration::from_hours(366 * 24);

impl BucketWidth {
    /// A width of one second to 366 days.
    ///
    /// # Errors
    /// The [`Violation`] of a shorter or longer one, and of parts of a microsecond.
    pub fn new(width: Duration) -> Result<Self, Violation> {
        let refuse = |rule, found| Err(Violation { field: "bucket_width", rule, found });
        let limits = Rule::Seconds(1, LONGEST.as_secs());
        if width < Duration::from_secs(1) {
            return refuse(limits, Found::TooShort);
        }
        if width > LONGEST {
            return refuse(limits, Found::TooLong);
        }
        if !width.subsec_nanos().is_multiple_of(1000) {
            return refuse(Rule::WholeMicroseconds, Found::PartOfMicrosecond);
        }
        Ok(Self(i64::try_from(width.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Its microseconds.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// The most buckets that a range can touch.
    #[must_use]
    pub fn buckets_in(self, range: &TimeRange) -> u64 {
        let micros = (i128::from(range.to.as_microsecond())
            - i128::from(range.from.as_microsecond()))
            / i128::from(self.0);
        u64::try_from(micros + 2).unwrap_or(u64::MAX)
    }
}

/// An `interval` of that many microseconds, without days and months.
impl ToSql for BucketWidth {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        out.extend_from_slice(&[0; 8]);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::INTERVAL
    }

    to_sql_checked!();
}
