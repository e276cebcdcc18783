//! Randomness for spreading load and retries; nothing here is a secret.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A number below `limit`; 0 when `limit` is 0.
pub(crate) fn below(limit: u64) -> u64 {
    RandomState::new().build_hasher().finish().checked_rem(limit).unwrap_or(0)
}

/// A duration from none to `limit`.
pub(crate) fn up_to(limit: Duration) -> Duration {
    let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(below(micros.saturating_add(1)))
}

/// Pauses between attempts: half of a limit and the rest by chance, under a limit that
/// doubles with each.
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    limit: Duration,
}

impl Backoff {
    /// The limits of the first pause, and of all.
    pub(crate) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest, limit: first }
    }

    /// The next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let half = self.limit / 2;
        self.limit = (self.limit * 2).min(self.longest);
        half + up_to(half)
    }

    /// Begins anew, after a success.
    pub(crate) fn reset(&mut self) {
        self.limit = self.first;
    }
}

/// Puts `items` in a random order.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    for end in (1..items.len()).rev() {
        let limit = u64::try_from(end + 1).unwrap_or(1);
        items.swap(end, usize::try_from(below(limit)).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn draws_reach_their_limit() {
        let numbers: BTreeSet<u64> = (0..500).map(|_| below(3)).collect();
        assert_eq!(numbers, BTreeSet::from([0, 1, 2]));
        assert_eq!(below(0), 0);
        let limit = Duration::from_micros(2);
        let durations: BTreeSet<Duration> = (0..500).map(|_| up_to(limit)).collect();
        let all = BTreeSet::from([Duration::ZERO, Duration::from_micros(1), limit]);
        assert_eq!(durations, all);
    }

    #[test]
    fn every_order_comes() {
        let orders: BTreeSet<[u8; 3]> = (0..500)
            .map(|_| {
                let mut items = [1, 2, 3];
                shuffle(&mut items);
                items
            })
            .collect();
        assert_eq!(orders.len(), 6, "{orders:?}");
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let millis = Duration::from_millis;
        let draw = |before: usize, reset: bool| {
            let mut backoff = Backoff::new((millis(20), millis(70)));
            for _ in 0..before {
                backoff.pause();
            }
            if reset {
                backoff.reset();
            }
            backoff.pause()
        };
        for (before, reset, limit) in
            [(0, false, 20), (1, false, 40), (2, false, 70), (9, false, 70), (9, true, 20)]
        {
            let pauses: Vec<Duration> = (0..500).map(|_| draw(before, reset)).collect();
            let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
            let limit = millis(limit);
            assert!(*least >= limit / 2 && *most <= limit, "{before}: {least:?} to {most:?}");
            // Half of the limit would be no more than three quarters of it.
            assert!(*most > limit * 3 / 4, "{before}: {most:?} at most");
        }
    }
}
