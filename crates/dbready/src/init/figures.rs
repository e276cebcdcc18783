//! Limits proposed from what a server remembers of a statement.

use std::fmt::Write as _;

use crate::catalog::Executed;

/// The execution times of a statement, as the server keeps them: no distribution.
#[derive(Debug, Default)]
pub(super) struct Figures {
    entries: usize,
    calls: f64,
    /// Sum of the times, in milliseconds.
    total: f64,
    /// Sum of their squares.
    squares: f64,
    /// The longest, where it is known.
    slowest: Option<f64>,
    /// Seconds over which calls were counted, where they are known.
    seconds: Option<f64>,
}

/// At most one call in twenty lies so many standard deviations above the mean, whatever the distribution
/// (Cantelli's inequality): the root of 19.
const DEVIATIONS: f64 = 4.358_898_943_540_674;

impl Figures {
    /// Adds another entry of the same statement.
    pub(super) fn add(&mut self, entry: &Executed) {
        let is_first = self.entries == 0;
        let greatest = |one: Option<f64>, other: Option<f64>| {
            if is_first { other } else { one.zip(other).map(|(one, other)| one.max(other)) }
        };
        self.slowest = greatest(self.slowest, entry.slowest);
        self.seconds = greatest(self.seconds, entry.seconds);
        self.entries += 1;
        self.calls += entry.calls;
        self.total += entry.calls * entry.mean;
        self.squares += entry.calls * (entry.deviation.powi(2) + entry.mean.powi(2));
    }

    /// Milliseconds of all calls together.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    fn mean(&self) -> f64 {
        self.total / self.calls
    }

    fn deviation(&self) -> f64 {
        (self.squares / self.calls - self.mean().powi(2)).max(0.0).sqrt()
    }

    /// Milliseconds that 95 of 100 calls did not exceed.
    fn p95(&self) -> f64 {
        let bound = self.mean() + DEVIATIONS * self.deviation();
        self.slowest.map_or(bound, |slowest| slowest.min(bound))
    }

    /// What was observed, as a comment, and the limits that it proposes.
    pub(super) fn write(&self, out: &mut String) -> std::fmt::Result {
        let slowest =
            self.slowest.map_or_else(String::new, |one| format!(", slowest {}", rounded_up(one)));
        let seconds = self.seconds.filter(|seconds| *seconds > 0.0);
        let over = seconds.map_or_else(
            || "an unknown time".to_owned(),
            |seconds| format!("{} s", rounded_up(seconds)),
        );
        writeln!(
            out,
            "# Observed: {} calls in {over}; milliseconds in the server: mean {}, standard deviation {}{slowest}.",
            self.calls,
            rounded_up(self.mean()),
            rounded_up(self.deviation()),
        )?;
        let Some(seconds) = seconds.filter(|_| self.p95() > 0.0) else { return Ok(()) };
        let (p95, rate) = (rounded_up(self.p95()), rounded_up(self.calls / seconds));
        writeln!(
            out,
            "# Proposed from that, for want of percentiles: 95 of 100 calls were within the least of the\n\
             # slowest and the mean plus 4.36 standard deviations (Cantelli), at the mean rate.\n\
             sla = {{ p95_ms = {p95}, per_second = {rate} }}"
        )
    }
}

/// Three digits, rounded up.
fn rounded_up(value: f64) -> String {
    if value <= 0.0 {
        return "0".to_owned();
    }
    let (mut scaled, mut decimals) = (value, 0_u8);
    while scaled < 100.0 && decimals < 12 {
        scaled *= 10.0;
        decimals += 1;
    }
    // What a sum of fractions is off by is no further digit.
    let whole = (scaled - 1e-9).ceil();
    let text = format!("{:.*}", usize::from(decimals), whole / 10_f64.powi(i32::from(decimals)));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(calls: f64, mean: f64, deviation: f64, slowest: Option<f64>) -> Executed {
        Executed { text: None, calls, mean, deviation, slowest, seconds: Some(50.0) }
    }

    #[test]
    fn the_proposed_limit_is_above_the_observed_percentile() {
        // 94 calls of 1 ms and 6 of 10 ms: the 95th percentile is 10 ms.
        let (mean, deviation) = (1.54, (94.0 * 0.54_f64.powi(2) + 6.0 * 8.46_f64.powi(2)) / 100.0);
        let mut one = Figures::default();
        one.add(&entry(100.0, mean, deviation.sqrt(), Some(10.0)));
        assert!((one.p95() - 10.0).abs() < 1e-9, "{}", one.p95());
        let mut unbounded = Figures::default();
        unbounded.add(&entry(100.0, mean, deviation.sqrt(), None));
        assert!(unbounded.p95() >= 10.0, "{}", unbounded.p95());
    }

    #[test]
    fn entries_of_one_text_are_one_sample() {
        // 2, 4 and 6, 8 together have the mean 5 and the variance 5.
        let mut both = Figures::default();
        both.add(&entry(2.0, 3.0, 1.0, Some(4.0)));
        both.add(&entry(2.0, 7.0, 1.0, Some(8.0)));
        assert_eq!((both.mean(), both.slowest), (5.0, Some(8.0)));
        assert!((both.deviation().powi(2) - 5.0).abs() < 1e-9);
        both.add(&entry(1.0, 5.0, 0.0, None));
        assert_eq!(both.slowest, None, "what is not known of all calls is not known");
    }

    #[test]
    fn figures_are_rounded_up_to_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.012_341, "0.0124"),
            (0.2, "0.2"),
            (3.0, "3"),
            (99.91, "100"),
            (100.0, "100"),
            (1234.1, "1235"),
            (1e-9, "0.000000001"),
        ] {
            assert_eq!(rounded_up(value), text);
        }
    }
}
