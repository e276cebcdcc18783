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

/// Puts `items` in a random order.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    for end in (1..items.len()).rev() {
        let limit = u64::try_from(end + 1).unwrap_or(1);
        items.swap(end, usize::try_from(below(limit)).unwrap_or(0));
    }
}
