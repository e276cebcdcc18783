//! What a pool is doing.

use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as StdInstant};

use super::{Pool, lock};
use crate::Error;
use crate::journal;

/// A snapshot of a pool's use. Counts run from the opening of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Connections that the pool may open.
    pub max: u32,
    /// Connections open and free.
    pub idle: usize,
    /// Sessions that callers hold, and connections being closed after them.
    pub out: usize,
    /// Callers waiting for a session.
    pub waiting: usize,
    /// Sessions handed out.
    pub acquired: u64,
    /// Acquires that failed.
    pub acquire_failures: u64,
    /// Connections opened.
    pub opened: u64,
    /// Connections closed.
    pub closed: u64,
    /// Connections closed because a call on them was given up or in doubt.
    pub quarantined: u64,
}

impl Status {
    /// The share of places in use, from 0 to 1.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        f64::from(u32::try_from(self.out).unwrap_or(u32::MAX)) / f64::from(self.max)
    }

    /// The share of sessions that ran on a connection opened earlier, from 0 to
    /// 1; none before the first session.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub fn reuse(&self) -> Option<f64> {
        let fresh = self.opened.min(self.acquired);
        (self.acquired > 0).then(|| 1.0 - fresh as f64 / self.acquired as f64)
    }
}

/// A session that a caller holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Where in the caller's code it was acquired.
    pub location: &'static Location<'static>,
    /// For how long it has been held.
    pub held: Duration,
}

/// The answer to a health question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The time for acquiring a session and one round trip.
    pub latency: Duration,
    /// The pool's use after the answer.
    pub status: Status,
}

impl Pool {
    /// What the pool is doing now.
    #[must_use]
    pub fn status(&self) -> Status {
        let counts = &self.0.counts;
        Status {
            max: self.0.options.max,
            idle: lock(&self.0.idle).len(),
            out: lock(&self.0.holders).known.len(),
            waiting: counts.waiting.load(Ordering::Relaxed),
            acquired: counts.acquired.load(Ordering::Relaxed),
            acquire_failures: counts.acquire_failures.load(Ordering::Relaxed),
            opened: counts.opened.load(Ordering::Relaxed),
            closed: counts.closed.load(Ordering::Relaxed),
            quarantined: counts.quarantined.load(Ordering::Relaxed),
        }
    }

    /// The sessions held for at least `threshold`, the longest first. After
    /// everything is returned, a threshold of zero must find none.
    #[must_use]
    pub fn held_longer_than(&self, threshold: Duration) -> Vec<Holder> {
        let mut held: Vec<Holder> = lock(&self.0.holders)
            .known
            .values()
            .map(|hold| Holder { location: hold.location, held: hold.since.elapsed() })
            .filter(|holder| holder.held >= threshold)
            .collect();
        held.sort_by_key(|holder| std::cmp::Reverse(holder.held));
        held
    }

    /// Asks the server for a sign of life through the pool.
    ///
    /// # Errors
    /// [`Error::Acquire`] if no session can be had, the errors of a query otherwise.
    pub async fn health(&self) -> Result<Health, Error> {
        let begun = StdInstant::now();
        let mut session = self.acquire().await.map_err(Box::new)?;
        session.fetch_value::<i32>("SELECT 1", &[]).await?;
        drop(session);
        journal::ran("health");
        Ok(Health { latency: begun.elapsed(), status: self.status() })
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn shares_are_of_what_there_is() {
        let status = |out, opened, acquired| Status {
            max: 8,
            idle: 0,
            out,
            waiting: 0,
            acquired,
            acquire_failures: 0,
            opened,
            closed: 0,
            quarantined: 0,
        };
        for (out, share) in [(0, 0.0), (2, 0.25), (8, 1.0)] {
            assert!((status(out, 0, 0).utilisation() - share).abs() < 1e-9, "{out}");
        }
        // What was opened and not yet lent is no session.
        for (opened, acquired, share) in [(5, 20, 0.75), (1, 1, 0.0), (2, 1, 0.0)] {
            let found = status(0, opened, acquired).reuse().unwrap();
            assert!((found - share).abs() < 1e-9, "{opened} {acquired}: {found}");
        }
        assert_eq!(status(0, 2, 0).reuse(), None);
    }
}
