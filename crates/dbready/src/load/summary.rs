//! Figures of recordings: quantiles with their bounds, rates, timelines.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sample::{CENSORED, Recording, Sample, micros};
use crate::evidence::Outcome;
use crate::statistics::{self, effective_samples, rank, samples_needed, upper_bound_index};

/// Blocks into which a series is cut to see how alike neighbours are.
const BLOCKS: usize = 25;

/// Quantiles of latencies, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
    /// The greatest.
    pub max: f64,
    /// The arithmetic mean.
    pub mean: f64,
}

impl Quantiles {
    /// Of latencies in microseconds; `None` when there are none.
    #[must_use]
    pub fn of(latencies: impl Iterator<Item = u32>) -> Option<Self> {
        let mut sorted: Vec<u32> = latencies.collect();
        sorted.sort_unstable();
        Self::of_sorted(&sorted)
    }

    fn of_sorted(sorted: &[u32]) -> Option<Self> {
        let max = milliseconds(*sorted.last()?);
        let at = |quantile| milliseconds(sorted[rank(sorted.len(), quantile)]);
        Some(Self {
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max,
            mean: mean(sorted.iter().map(|one| milliseconds(*one))),
        })
    }
}

/// A quantile with its upper confidence bound, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bounded {
    /// Which quantile, from 0 to 1.
    pub quantile: f64,
    /// The sample quantile by the nearest rank.
    pub value: f64,
    /// The upper 95 % bound by order statistics, from as many samples as the series is worth; `None`
    /// when these are too few.
    pub bound: Option<f64>,
    /// Independent samples that the series is worth for this quantile.
    pub n_effective: f64,
}

/// A statistic of latencies in the order in which their operations were due, with its bound.
///
/// `statistic` is `pNN` (`p95`, `p99.9`), `mean` or `max`. Where neighbours are so alike that the
/// series is worth too few independent samples for a bound, the bound is [`CENSORED`]: nothing
/// tighter is known.
#[must_use]
pub fn latency(latencies: &[u32], statistic: &str, unit: &str) -> Outcome {
    let Some(scale) = from_milliseconds(unit) else {
        return not_measured(format!("latencies are measured in ms or s, not in `{unit}`"));
    };
    let Some(quantiles) = Quantiles::of(latencies.iter().copied()) else {
        return not_measured("no operation was due within the measurement");
    };
    let quantile = match statistic {
        "max" => {
            return measured(
                latencies.len(),
                1,
                (quantiles.max, quantiles.max),
                unit,
                scale,
                &quantiles,
            );
        }
        "mean" => {
            // Blocks keep neighbours together, so that their likeness widens the bound.
            let blocks: Vec<(f64, f64)> = blocks(latencies)
                .map(|block| {
                    let sum = block.iter().map(|one| milliseconds(*one)).sum();
                    (sum, count(block.len()))
                })
                .collect();
            let of = |blocks: &[(f64, f64)]| {
                let (sum, n) = blocks.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
                sum / n
            };
            let bound =
                statistics::bootstrap(&blocks, ROUNDS, 1, of).map_or(f64::NAN, |both| both.1);
            let bound = bound.max(quantiles.mean);
            return measured(latencies.len(), 30, (quantiles.mean, bound), unit, scale, &quantiles);
        }
        _ => match quantile_of(statistic) {
            Some(quantile) => quantile,
            None => {
                return not_measured(format!(
                    "`{statistic}` is no statistic of latencies; expected p50 … p99.9, mean or max"
                ));
            }
        },
    };
    let needed = samples_needed(quantile);
    match bounded(latencies, quantile) {
        Some(Bounded { value, bound, .. }) => {
            let bound = bound.unwrap_or(censored());
            measured(latencies.len(), needed, (value, bound), unit, scale, &quantiles)
        }
        None => not_measured("no operation was due within the measurement"),
    }
}

/// Resamples of a bootstrap.
pub const ROUNDS: usize = 2_000;

fn measured(
    n: usize,
    n_needed: u64,
    (value, bound): (f64, f64),
    unit: &str,
    scale: f64,
    quantiles: &Quantiles,
) -> Outcome {
    let Quantiles { p50, p90, p95, p99, p999, max, mean } = *quantiles;
    let all = [
        ("mean", mean),
        ("p50", p50),
        ("p90", p90),
        ("p95", p95),
        ("p99", p99),
        ("p99.9", p999),
        ("max", max),
    ];
    Outcome::Measured {
        n: n as u64,
        n_needed,
        value: value * scale,
        bound: bound * scale,
        unit: unit.to_owned(),
        statistics: all.map(|(name, value)| (name.to_owned(), value * scale)).into(),
    }
}

/// Nothing could be measured, and why.
pub(super) fn not_measured(reason: impl Into<String>) -> Outcome {
    Outcome::NotMeasured { reason: reason.into() }
}

/// `p95` → 0.95.
fn quantile_of(statistic: &str) -> Option<f64> {
    let percent: f64 = statistic.strip_prefix('p')?.parse().ok()?;
    // 99.9 / 100 is a little more than 0.999, and its rank would be the next one.
    (percent > 0.0 && percent < 100.0).then_some((percent * 1e7).round() / 1e9)
}

pub(super) fn from_milliseconds(unit: &str) -> Option<f64> {
    match unit {
        "ms" => Some(1.0),
        "s" => Some(1e-3),
        "µs" | "us" => Some(1e3),
        _ => None,
    }
}

/// A quantile of latencies in the order of their operations, with its bound; `None` without any.
///
/// The bound is an order statistic for the number of independent samples that the series is worth
/// ([`effective_samples`]), and never below the quantile.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of samples is small and positive"
)]
pub fn bounded(latencies: &[u32], quantile: f64) -> Option<Bounded> {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let value = *sorted.get(rank(sorted.len(), quantile))?;
    let worth = |is_slow: &dyn Fn(u32) -> bool| {
        let slow: Vec<(u64, u64)> = blocks(latencies)
            .map(|block| {
                let slow = block.iter().filter(|one| is_slow(**one)).count();
                (slow as u64, block.len() as u64)
            })
            .collect();
        effective_samples(&slow)
    };
    // Where many latencies are equal, only one of the two tells the slow ones apart.
    let n_effective = worth(&|one| one > value).min(worth(&|one| one >= value));
    let worth = n_effective as usize;
    let bound = upper_bound_index(worth, quantile).map(|index| {
        let share = count(index + 1) / count(worth);
        milliseconds(sorted[rank(sorted.len(), share)].max(value))
    });
    Some(Bounded { quantile, value: milliseconds(value), bound, n_effective })
}

fn blocks(latencies: &[u32]) -> impl Iterator<Item = &[u32]> {
    latencies.chunks(latencies.len().div_ceil(BLOCKS).max(1))
}

/// One second of a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Second {
    /// The second, from the start of the measurement.
    pub second: u64,
    /// Operations due in it.
    pub due: u64,
    /// Those that failed or never ended.
    pub failed: u64,
    /// The median of their response times, in milliseconds.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The greatest.
    pub max: f64,
}

/// What one stream showed, for artifacts.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Operations due within the measurement.
    pub n: u64,
    /// Seconds measured.
    pub seconds: f64,
    /// Operations a second that were to be begun.
    pub offered_per_second: f64,
    /// Operations a second that succeeded.
    pub achieved_per_second: f64,
    /// Operations of the warm-up, which count in no figure.
    pub warmed_up: u64,
    /// Operations without an answer at the end.
    pub pending: u64,
    /// Failures by class.
    pub failures: BTreeMap<&'static str, u64>,
    /// From the due instant to the answer.
    pub response_ms: Option<Quantiles>,
    /// The statement alone.
    pub service_ms: Option<Quantiles>,
    /// From the due instant to the connection.
    pub wait_ms: Option<Quantiles>,
    /// Quantiles of the response time with their bounds.
    pub bounds: Vec<Bounded>,
    /// Share of the schedule's intervals in which the generator fell behind.
    pub generator_late_share: f64,
    /// The greatest lag of the generator, in milliseconds.
    pub generator_lag_max_ms: f64,
    /// Whether it was stopped at saturation.
    pub saturated: bool,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Second by second.
    pub timeline: Vec<Second>,
}

impl Summary {
    /// Of one recording.
    #[must_use]
    pub fn of(recording: &Recording) -> Self {
        let samples = &recording.samples;
        let response: Vec<u32> = samples.iter().map(Sample::response).collect();
        Self {
            n: samples.len() as u64,
            seconds: recording.measured.as_secs_f64(),
            offered_per_second: recording.offered,
            achieved_per_second: recording.achieved(),
            warmed_up: recording.warmed_up,
            pending: recording.pending,
            failures: recording.failures(),
            response_ms: Quantiles::of(response.iter().copied()),
            service_ms: Quantiles::of(samples.iter().map(Sample::service)),
            wait_ms: Quantiles::of(samples.iter().map(Sample::wait)),
            bounds: [0.5, 0.9, 0.95, 0.99, 0.999]
                .into_iter()
                .filter_map(|quantile| bounded(&response, quantile))
                .collect(),
            generator_late_share: recording.course.late_share(),
            generator_lag_max_ms: samples
                .iter()
                .map(|sample| milliseconds(sample.began))
                .fold(0.0, f64::max),
            saturated: recording.course.saturated,
            interrupted: recording.course.interrupted,
            timeline: timeline(samples),
        }
    }
}

fn timeline(samples: &[Sample]) -> Vec<Second> {
    let second = |sample: &Sample| sample.due / 1_000_000;
    samples
        .chunk_by(|one, next| second(one) == second(next))
        .filter_map(|chunk| {
            let quantiles = Quantiles::of(chunk.iter().map(Sample::response))?;
            Some(Second {
                second: second(chunk.first()?),
                due: chunk.len() as u64,
                failed: chunk.iter().filter(|sample| sample.failure.is_some()).count() as u64,
                p50: quantiles.p50,
                p95: quantiles.p95,
                max: quantiles.max,
            })
        })
        .collect()
}

/// [`CENSORED`] in milliseconds.
pub(super) fn censored() -> f64 {
    milliseconds(micros(CENSORED))
}

pub(super) fn milliseconds(micros: u32) -> f64 {
    f64::from(micros) / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(super) fn count(n: usize) -> f64 {
    n as f64
}

/// The arithmetic mean; not a number without values.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (n, sum) = values.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
    sum / n
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// Latencies 1 … n milliseconds in an order without pattern.
    fn shuffled(n: u32) -> Vec<u32> {
        let mut all: Vec<u32> = (1..=n).map(|one| one * 1_000).collect();
        fastrand::Rng::with_seed(5).shuffle(&mut all);
        all
    }

    #[test]
    fn quantiles_of_a_known_sample() {
        let quantiles = Quantiles::of(shuffled(1_000).into_iter()).unwrap();
        assert_eq!(
            (quantiles.p50, quantiles.p90, quantiles.p95, quantiles.p99, quantiles.p999),
            (500.0, 900.0, 950.0, 990.0, 999.0)
        );
        assert_eq!((quantiles.max, quantiles.mean), (1_000.0, 500.5));
        assert_eq!(Quantiles::of([].into_iter()), None);
    }

    #[test]
    fn each_statistic_in_its_unit() {
        let latencies = shuffled(1_000);
        let of = |statistic, unit| match latency(&latencies, statistic, unit) {
            Outcome::Measured { value, bound, .. } => (value, bound),
            other => panic!("{other:?}"),
        };
        let (p95, bound) = of("p95", "ms");
        assert!((p95 - 950.0).abs() < 1e-9 && (960.0..975.0).contains(&bound), "{p95} {bound}");
        assert!((of("p99", "s").0 - 0.99).abs() < 1e-9);
        assert_eq!(of("max", "ms"), (1_000.0, 1_000.0));
        let (mean, bound) = of("mean", "ms");
        assert!((mean - 500.5).abs() < 1e-9 && (501.0..530.0).contains(&bound), "{mean} {bound}");
        for (statistic, unit) in [("p95", "%"), ("ratio", "ms"), ("p0", "ms"), ("p100", "ms")] {
            let outcome = latency(&latencies, statistic, unit);
            assert!(matches!(outcome, Outcome::NotMeasured { .. }), "{statistic} {unit}");
        }
        // Too few for a bound of p99.9: it is not known to be below anything.
        assert_eq!(of("p99.9", "ms"), (999.0, 120_000.0));
        let nothing = latency(&[], "p95", "ms");
        assert!(matches!(nothing, Outcome::NotMeasured { .. }), "{nothing:?}");
    }

    #[test]
    fn one_standstill_is_worth_few_samples() {
        let mut latencies = vec![1_000; 10_000];
        latencies[5_000..5_600].fill(900_000);
        let bounded = bounded(&latencies, 0.95).unwrap();
        assert!(bounded.n_effective < 100.0, "{bounded:?}");
        assert!((bounded.value - 900.0).abs() < 1e-9, "{bounded:?}");
    }

    #[test]
    fn a_timeline_has_a_row_for_each_second() {
        let sample = |due, failure| Sample {
            due,
            began: 0,
            served: 0,
            done: 2_000,
            working: 1_000,
            held: 1_000,
            failure,
        };
        let samples = [sample(0, None), sample(999_999, Some("lost")), sample(2_000_000, None)];
        let recording = Recording {
            samples: samples.to_vec(),
            offered: 1.0,
            measured: Duration::from_secs(4),
            ..Recording::default()
        };
        let summary = Summary::of(&recording);
        let seconds: Vec<_> =
            summary.timeline.iter().map(|one| (one.second, one.due, one.failed)).collect();
        assert_eq!(seconds, [(0, 2, 1), (2, 1, 0)]);
        assert!((summary.achieved_per_second - 0.5).abs() < 1e-9);
        assert_eq!(summary.failures, [("lost", 1)].into());
    }

    #[test]
    fn bounds_cover_the_true_quantile_as_often_as_they_promise() {
        let mut random = fastrand::Rng::with_seed(11);
        let covered = (0..1_000)
            .filter(|_| {
                // Uniform between 0 and 1 s: the true p95 is 950 ms.
                let latencies: Vec<u32> = (0..600).map(|_| random.u32(0..1_000_000)).collect();
                bounded(&latencies, 0.95).unwrap().bound.unwrap() >= 950.0
            })
            .count();
        // 95 % of 1,000 within four standard deviations.
        assert!(covered >= 922, "{covered}");
    }

    proptest! {
        #[test]
        fn a_bound_is_a_sample_at_or_above_its_quantile(
            latencies in proptest::collection::vec(0_u32..1_000_000, 1..2_000),
            quantile in 0.01_f64..0.999,
        ) {
            let bounded = bounded(&latencies, quantile).unwrap();
            let found = |value: f64| latencies.iter().any(|one| (milliseconds(*one) - value).abs() < 1e-9);
            prop_assert!(found(bounded.value));
            if let Some(bound) = bounded.bound {
                prop_assert!(found(bound) && bound >= bounded.value);
            }
            prop_assert!(bounded.n_effective <= count(latencies.len()));
        }

        #[test]
        fn a_slower_operation_makes_no_figure_better(
            mut latencies in proptest::collection::vec(0_u32..1_000_000, 100..500),
            at in 0_usize..100,
        ) {
            let before = Quantiles::of(latencies.iter().copied()).unwrap();
            latencies[at] = 120_000_000;
            let after = Quantiles::of(latencies.iter().copied()).unwrap();
            prop_assert!(after.p50 >= before.p50 && after.p95 >= before.p95 && after.mean >= before.mean);
        }
    }
}
