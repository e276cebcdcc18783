//! What became of the operations of one stream.

use std::collections::BTreeMap;
use std::time::Duration;

/// The latency that stands for an operation that failed or never ended: it was slower than this.
///
/// Far beyond every deadline of a pool, so that no failure can make a figure better.
pub const CENSORED: Duration = Duration::from_mins(2);

/// One operation. All times are in microseconds; those of its course count from the instant at which
/// it was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it was due, from the start of the measurement.
    pub due: u64,
    /// When it began: how far the generator lagged behind.
    pub began: u32,
    /// When it had its connection.
    pub served: u32,
    /// When its answer was whole.
    pub done: u32,
    /// How long the statement took.
    pub working: u32,
    /// How long it held the connection.
    pub held: u32,
    /// The class of its error; `None` when it succeeded.
    pub failure: Option<&'static str>,
}

impl Sample {
    /// From the due instant to the answer; [`CENSORED`] when there was none.
    #[must_use]
    pub fn response(&self) -> u32 {
        self.or_censored(self.done)
    }

    /// From the real beginning to the answer: what the generator's lag has no part in.
    #[must_use]
    pub fn since_begun(&self) -> u32 {
        self.or_censored(self.done.saturating_sub(self.began))
    }

    /// The time with a connection in hand.
    #[must_use]
    pub fn service(&self) -> u32 {
        self.or_censored(self.working)
    }

    /// From the due instant to the connection.
    #[must_use]
    pub fn wait(&self) -> u32 {
        // An operation that failed with a connection in hand did not wait for ever.
        if self.failure.is_some() && self.held == 0 { censored() } else { self.served }
    }

    fn or_censored(&self, time: u32) -> u32 {
        if self.failure.is_some() { censored() } else { time }
    }
}

/// A time in microseconds, at most [`CENSORED`].
#[must_use]
pub fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX).min(censored())
}

fn censored() -> u32 {
    u32::try_from(CENSORED.as_micros()).unwrap_or(u32::MAX)
}

/// Everything that was recorded of one stream of operations while it was measured.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// The operations that were due within the measurement, in the order in which they were due.
    pub samples: Vec<Sample>,
    /// Operations due in the measurement whose answer had not come when it was over; each is in
    /// `samples` as a failure of the class `pending`.
    pub pending: u64,
    /// Operations a second that were to be begun.
    pub offered: f64,
    /// How long was measured.
    pub measured: Duration,
    /// Operations of the warm-up, which count nowhere else.
    pub warmed_up: u64,
    /// How the run went.
    pub course: Course,
}

/// How a run went as a whole.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// Intervals of the schedule in which operations were due.
    pub intervals: u64,
    /// Those in which an operation began too late.
    pub late_intervals: u64,
    /// Whether it was stopped because operations piled up.
    pub saturated: bool,
    /// Whether it was stopped from outside.
    pub interrupted: bool,
}

impl Course {
    /// The share of intervals in which the generator fell behind.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn late_share(&self) -> f64 {
        if self.intervals == 0 { 0.0 } else { self.late_intervals as f64 / self.intervals as f64 }
    }

    /// Why nothing can be proven by this run, if so.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        if self.interrupted {
            return Some("interrupted before the measurement was complete".to_owned());
        }
        let share = self.late_share();
        (share > MAX_LATE_SHARE).then(|| {
            format!(
                "the generator fell behind its schedule in {:.1} % of intervals (at most {:.0} % \
                 allowed); the machine is too busy to measure on",
                share * 100.0,
                MAX_LATE_SHARE * 100.0
            )
        })
    }
}

/// The share of intervals in which the generator may fall behind.
pub const MAX_LATE_SHARE: f64 = 0.01;

impl Recording {
    /// Operations that succeeded.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.samples.iter().filter(|sample| sample.failure.is_none()).count() as u64
    }

    /// Operations that failed, by class.
    #[must_use]
    pub fn failures(&self) -> BTreeMap<&'static str, u64> {
        let mut classes = BTreeMap::new();
        for class in self.samples.iter().filter_map(|sample| sample.failure) {
            *classes.entry(class).or_default() += 1;
        }
        classes
    }

    /// Operations a second that succeeded.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn achieved(&self) -> f64 {
        let seconds = self.measured.as_secs_f64();
        if seconds > 0.0 { self.succeeded() as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Sample =
        Sample { due: 0, began: 10, served: 15, done: 40, working: 20, held: 26, failure: None };

    #[test]
    fn a_failure_is_slower_than_everything() {
        let failed = Sample { failure: Some("lost"), ..GOOD };
        assert_eq!(GOOD.response(), 40);
        assert_eq!(GOOD.since_begun(), 30);
        assert_eq!(failed.response(), 120_000_000);
        assert_eq!(failed.service(), 120_000_000);
        assert_eq!(failed.wait(), 15, "it had its connection");
        assert_eq!(Sample { held: 0, ..failed }.wait(), 120_000_000);
        assert_eq!(micros(Duration::from_hours(9)), 120_000_000);
    }

    #[test]
    fn a_late_generator_raises_doubt() {
        let course = |late| Course { intervals: 1_000, late_intervals: late, ..Course::default() };
        assert_eq!(course(10).doubt(), None);
        assert!(course(11).doubt().unwrap().contains("1.1 % of intervals"));
        let stopped = Course { interrupted: true, ..Course::default() };
        assert!(stopped.doubt().unwrap().contains("interrupted"));
    }
}
