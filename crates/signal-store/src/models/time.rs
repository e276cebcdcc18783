//! The rules of instants.

use jiff::{Span, Timestamp, tz::TimeZone};

use crate::violation::{Found, Rule, Violation};

/// The present instant in whole microseconds, as the database stores it.
#[must_use]
pub fn now() -> Timestamp {
    whole_microseconds(Timestamp::now())
}

fn whole_microseconds(instant: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(instant.as_microsecond()).unwrap_or(instant)
}

/// The oldest instant that a record written at `now` may have: one year before it,
/// by the calendar in UTC.
#[must_use]
pub fn oldest_writable(now: Timestamp) -> Timestamp {
    let oldest = now.to_zoned(TimeZone::UTC).checked_sub(Span::new().years(1));
    oldest.map_or(Timestamp::MIN, |oldest| oldest.timestamp())
}

/// Refuses an instant before `oldest`, and one that the database would round.
pub(super) fn check_timestamp(timestamp: Timestamp, oldest: Timestamp) -> Result<(), Violation> {
    let refuse = |rule, found| Err(Violation { field: "timestamp", rule, found });
    if timestamp < oldest {
        return refuse(Rule::WithinOneYear, Found::TooOld);
    }
    if timestamp.subsec_nanosecond() % 1000 != 0 {
        return refuse(Rule::WholeMicroseconds, Found::PartOfMicrosecond);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_is_counted_by_the_calendar() {
        for (now, oldest) in [
            ("2026-06-15T10:00:00.000001Z", "2025-06-15T10:00:00.000001Z"),
            ("2024-02-29T12:00:00Z", "2023-02-28T12:00:00Z"),
            ("2025-03-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        ] {
            assert_eq!(oldest_writable(now.parse().unwrap()), oldest.parse().unwrap());
        }
        assert_eq!(oldest_writable(Timestamp::MIN), Timestamp::MIN);
    }

    #[test]
    fn instants_are_whole_microseconds() {
        assert_eq!(now().subsec_nanosecond() % 1000, 0);
        assert_eq!(
            whole_microseconds("2026-01-01T00:00:00.123456789Z".parse().unwrap()),
            "2026-01-01T00:00:00.123456Z".parse().unwrap()
        );
    }
}
