//! Sums over a sliding window of time, in memory that does not grow.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Cells of a window at most; what came within one cell leaves the window together.
const CELLS: u32 = 120;

/// What can be summed up.
pub(super) trait Sum: Default {
    /// Adds what came later.
    fn add(&mut self, other: &Self);
}

/// What came within the last `length`.
#[derive(Debug)]
pub(super) struct Window<T> {
    length: Duration,
    cells: VecDeque<Cell<T>>,
}

#[derive(Debug)]
struct Cell<T> {
    since: Instant,
    n: u64,
    sum: T,
}

impl<T: Sum> Window<T> {
    pub(super) fn new(length: Duration) -> Self {
        Self { length, cells: VecDeque::new() }
    }

    pub(super) fn add(&mut self, at: Instant, sum: &T) {
        let width = self.length / CELLS;
        if self.cells.back().is_none_or(|cell| at.duration_since(cell.since) >= width) {
            self.cells.push_back(Cell { since: at, n: 0, sum: T::default() });
        }
        if let Some(cell) = self.cells.back_mut() {
            cell.n += 1;
            cell.sum.add(sum);
        }
        let length = self.length;
        while self.cells.front().is_some_and(|cell| at.duration_since(cell.since) >= length) {
            self.cells.pop_front();
        }
    }

    /// How many times something was added within the window that ends now, and all of it.
    pub(super) fn total(&self, now: Instant) -> (u64, T) {
        let mut total = (0, T::default());
        for cell in self.cells.iter().filter(|one| now.duration_since(one.since) < self.length) {
            total.0 += cell.n;
            total.1.add(&cell.sum);
        }
        total
    }
}

/// A numerator and a denominator.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Share {
    pub(super) part: f64,
    pub(super) whole: f64,
}

impl Share {
    /// A figure of its own, of which the mean is asked for.
    pub(super) fn figure(value: f64) -> Self {
        Self { part: value, whole: 1.0 }
    }

    /// The part over the whole; `None` when there is none.
    pub(super) fn ratio(self) -> Option<f64> {
        (self.whole > 0.0).then(|| self.part / self.whole)
    }
}

impl Sum for Share {
    fn add(&mut self, other: &Self) {
        self.part += other.part;
        self.whole += other.whole;
    }
}

/// Steps of a histogram for each factor of e: neighbours differ by 2 %.
const STEPS: f64 = 50.0;

/// How often something took how long; times are known to 2 %.
#[derive(Debug, Clone, Default)]
pub(super) struct Times(BTreeMap<i16, f64>);

impl Times {
    /// `count` calls took `milliseconds` each.
    pub(super) fn record(&mut self, milliseconds: f64, count: f64) {
        // From a nanosecond to a month.
        let bounded = milliseconds.clamp(1e-6, 3e9);
        #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
        let step = (bounded.ln() * STEPS).ceil() as i16;
        *self.0.entry(step).or_default() += count;
    }

    /// A time in milliseconds within which this share of the calls ended, never understated.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let all: f64 = self.0.values().sum();
        let mut seen = 0.0;
        self.0.iter().find_map(|(step, count)| {
            seen += count;
            (seen >= share * all).then(|| (f64::from(*step) / STEPS).exp())
        })
    }
}

impl Sum for Times {
    fn add(&mut self, other: &Self) {
        for (step, count) in &other.0 {
            *self.0.entry(*step).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_counts_no_more() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut window = Window::new(Duration::from_mins(1));
        for second in 0..100 {
            window.add(at(second), &Share::figure(if second < 40 { 100.0 } else { 50.0 }));
        }
        let (n, sum) = window.total(at(99));
        assert_eq!((n, sum.ratio()), (60, Some(50.0)));
        assert_eq!(window.total(at(159)).0, 0, "nothing came for a minute");
    }

    #[test]
    fn a_window_of_an_hour_has_no_more_cells_than_any_other() {
        let begun = Instant::now();
        let mut window = Window::new(Duration::from_hours(1));
        for tenth in 0..72_000 {
            window.add(begun + Duration::from_millis(100 * tenth), &Share::figure(1.0));
        }
        assert!(window.cells.len() <= CELLS as usize + 1, "{}", window.cells.len());
    }

    #[test]
    fn quantiles_are_known_to_two_percent_and_never_understated() {
        let mut times = Times::default();
        assert_eq!(times.quantile(0.95), None);
        times.record(1.0, 94.0);
        times.record(40.0, 6.0);
        let found = times.quantile(0.95).unwrap();
        assert!((40.0..=40.9).contains(&found), "{found}");
        let found = times.quantile(0.94).unwrap();
        assert!((1.0..=1.03).contains(&found), "{found}");
        times.record(0.0, 1.0);
        times.record(f64::INFINITY, 1.0);
    }
}
