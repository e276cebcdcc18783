//! When operations are due, whatever becomes of earlier ones.

use std::time::Duration;

use serde::Serialize;

/// How arrivals follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// At equal distances.
    Constant,
    /// Independent of each other, as callers who know nothing of each other are.
    Poisson,
}

/// The instants at which operations are due, counted from the start; it never ends.
#[derive(Debug, Clone)]
pub struct Schedule {
    arrivals: Arrivals,
    /// Mean distance in seconds.
    distance: f64,
    random: fastrand::Rng,
    next: f64,
}

impl Schedule {
    /// Arrivals at `rate` a second; the same seed gives the same instants.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate: f64, seed: u64) -> Self {
        let mut schedule = Self {
            arrivals,
            distance: 1.0 / rate,
            random: fastrand::Rng::with_seed(seed),
            next: 0.0,
        };
        // Streams of equal rate do not all begin at once.
        schedule.next = match arrivals {
            Arrivals::Constant => schedule.random.f64() * schedule.distance,
            Arrivals::Poisson => schedule.step(),
        };
        schedule
    }

    fn step(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Constant => self.distance,
            // The inverse of the exponential distribution; 1 − u is never zero.
            Arrivals::Poisson => -(1.0 - self.random.f64()).ln() * self.distance,
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let due = self.next;
        self.next += self.step();
        Duration::try_from_secs_f64(due).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_arrivals_are_equally_far_apart() {
        let due: Vec<Duration> = Schedule::new(Arrivals::Constant, 100.0, 1).take(1_001).collect();
        assert!(due[0] < Duration::from_millis(10));
        for pair in due.windows(2) {
            let apart = pair[1].abs_diff(pair[0]).as_secs_f64();
            assert!((apart - 0.01).abs() < 1e-6, "{apart}");
        }
    }

    #[test]
    fn poisson_arrivals_have_their_rate_and_spread() {
        let due: Vec<f64> = Schedule::new(Arrivals::Poisson, 1_000.0, 42)
            .take(100_000)
            .map(|due| due.as_secs_f64())
            .collect();
        let apart: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let n = 99_999.0;
        let mean = apart.iter().sum::<f64>() / n;
        let spread = (apart.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / n).sqrt();
        // The standard deviation of an exponential distribution is its mean.
        assert!((mean * 1_000.0 - 1.0).abs() < 0.02, "{mean}");
        assert!((spread / mean - 1.0).abs() < 0.03, "{spread}");
    }

    #[test]
    fn a_seed_gives_the_same_instants_again() {
        let first =
            |seed| Schedule::new(Arrivals::Poisson, 50.0, seed).take(50).collect::<Vec<_>>();
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
    }
}
