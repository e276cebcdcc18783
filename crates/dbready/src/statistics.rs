//! Bounds for measured quantiles, rates, means and ratios.

/// The confidence at which every bound is stated.
pub const CONFIDENCE: f64 = 0.95;

/// Index, in ascending order, of the sample that is an upper confidence bound of a quantile.
///
/// By order statistics: the k-th smallest of `n` independent samples is at or above the quantile
/// with probability P(Binomial(n, quantile) < k), whatever the distribution is. Returns the least
/// such index (from zero) that reaches [`CONFIDENCE`], or `None` when `n` is too small: a 95 %
/// bound of p95 takes 59 samples, one of p99 takes 299.
///
/// Source: Conover, *Practical Nonparametric Statistics*, tolerance limits and quantile intervals.
#[must_use]
pub fn upper_bound_index(n: usize, quantile: f64) -> Option<usize> {
    if n == 0 || !(0.0..1.0).contains(&quantile) || quantile <= 0.0 {
        return None;
    }
    let (log_p, log_q) = (quantile.ln(), (1.0 - quantile).ln());
    let mut log_choose = 0.0;
    let mut below = 0.0;
    for k in 0..n {
        // Adds P(Binomial = k), so that `below` is P(Binomial < k + 1).
        let (done, rest) = (as_f64(k), as_f64(n - k));
        below += (log_choose + done * log_p + rest * log_q).exp();
        if below >= CONFIDENCE {
            return Some(k);
        }
        log_choose += rest.ln() - (done + 1.0).ln();
    }
    None
}

/// Fewest samples for which [`upper_bound_index`] gives a bound.
#[must_use]
pub fn samples_needed(quantile: f64) -> u64 {
    // The greatest sample is a bound when quantileⁿ ≤ 1 − confidence.
    let exact = (1.0 - CONFIDENCE).ln() / quantile.ln();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    let needed = exact.ceil() as u64;
    needed
}

/// Upper confidence bound of a rate of which no case was seen in `trials` trials.
///
/// Exact for independent trials: 1 − (1 − confidence)^(1/n), close to 3/n (the rule of three).
#[must_use]
pub fn rate_bound_of_none(trials: u64) -> f64 {
    if trials == 0 {
        return 1.0;
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    let n = trials as f64;
    1.0 - (1.0 - CONFIDENCE).powf(1.0 / n)
}

/// Upper confidence bound of a rate of which `hits` cases were seen in `trials` independent trials.
///
/// Exact (Clopper and Pearson, 1934): the greatest rate at which so few cases are seen with a
/// probability of at least 1 − [`CONFIDENCE`]. One when there were no trials.
#[must_use]
pub fn rate_bound(hits: u64, trials: u64) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    if hits == 0 {
        return rate_bound_of_none(trials);
    }
    let (mut low, mut high) = (0.0, 1.0);
    // 60 halvings leave less than the last bit of a double.
    for _ in 0..60 {
        let middle: f64 = f64::midpoint(low, high);
        if probability_of_at_most(hits, trials, middle) > 1.0 - CONFIDENCE {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// P(Binomial(n, p) ≤ k).
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn probability_of_at_most(k: u64, n: u64, p: f64) -> f64 {
    let (log_p, log_q) = (p.ln(), (1.0 - p).ln());
    let mut log_choose = 0.0;
    let mut sum = 0.0;
    for i in 0..=k {
        let (done, rest) = (i as f64, (n - i) as f64);
        sum += (log_choose + done * log_p + rest * log_q).exp();
        log_choose += rest.ln() - (done + 1.0).ln();
    }
    sum
}

/// How many independent samples the samples of a time series are worth, for the share of them that
/// lies above a value.
///
/// `blocks` holds, for consecutive stretches of the series, the samples above the value and all
/// samples. Where samples that follow each other are alike, the shares of the blocks differ by more
/// than chance allows; the ratio of the variance found to the binomial one divides the count. Never
/// more than the count itself, and zero with fewer than [`MIN_BLOCKS`] blocks.
///
/// Source: the method of batch means (Law, *Simulation Modeling and Analysis*).
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "sample counts are far below 2^52")]
pub fn effective_samples(blocks: &[(u64, u64)]) -> f64 {
    let blocks: Vec<(f64, f64)> = blocks
        .iter()
        .filter(|(_, all)| *all > 0)
        .map(|(above, all)| (*above as f64, *all as f64))
        .collect();
    if blocks.len() < MIN_BLOCKS {
        return 0.0;
    }
    let all: f64 = blocks.iter().map(|(_, all)| all).sum();
    let share = blocks.iter().map(|(above, _)| above).sum::<f64>() / all;
    if share <= 0.0 || share >= 1.0 {
        return all;
    }
    let count = blocks.len() as f64;
    let found: f64 = blocks.iter().map(|(above, size)| (above - share * size).powi(2)).sum::<f64>()
        / (count - 1.0);
    let by_chance = share * (1.0 - share) * all / count;
    all / (found / by_chance).max(1.0)
}

/// Fewest blocks from which [`effective_samples`] speaks.
pub const MIN_BLOCKS: usize = 10;

/// The 95 % bounds, below and above, of a statistic of independent units, by resampling them.
///
/// Each bound is one-sided at [`CONFIDENCE`]: the percentiles 5 and 95 of `rounds` resamples drawn
/// from a generator that starts with `seed`. `None` without units, and when the statistic of a
/// resample is not a number.
///
/// Source: Efron and Tibshirani, *An Introduction to the Bootstrap*, the percentile interval.
#[must_use]
pub fn bootstrap<T: Clone>(
    units: &[T],
    rounds: usize,
    seed: u64,
    statistic: impl Fn(&[T]) -> f64,
) -> Option<(f64, f64)> {
    if units.is_empty() || rounds == 0 {
        return None;
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut sample = units.to_vec();
    let mut found = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        for place in &mut sample {
            place.clone_from(&units[random.usize(..units.len())]);
        }
        let value = statistic(&sample);
        if value.is_nan() {
            return None;
        }
        found.push(value);
    }
    found.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| found[rank(found.len(), share)];
    Some((at(1.0 - CONFIDENCE), at(CONFIDENCE)))
}

/// Index of the nearest-rank quantile among `n` sorted samples, which are at least one.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is small and positive"
)]
pub fn rank(n: usize, quantile: f64) -> usize {
    ((as_f64(n) * quantile).ceil() as usize).clamp(1, n.max(1)) - 1
}

#[allow(clippy::cast_precision_loss, reason = "sample counts are far below 2^52")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

/// Lower confidence bound of a share of which `successes` were seen in `trials` trials.
///
/// Exact for independent trials (Clopper and Pearson 1934): the share at which so many successes or more
/// would come with probability 1 − confidence.
#[must_use]
pub fn share_bound(successes: u64, trials: u64) -> f64 {
    if successes == 0 || trials == 0 {
        return 0.0;
    }
    let failures = trials.saturating_sub(successes);
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..60 {
        let share = f64::midpoint(low, high);
        if at_most_failures(failures, trials, 1.0 - share) > 1.0 - CONFIDENCE {
            high = share;
        } else {
            low = share;
        }
    }
    low
}

/// P(Binomial(trials, rate) ≤ failures).
#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2⁵²")]
fn at_most_failures(failures: u64, trials: u64, rate: f64) -> f64 {
    let (log_p, log_q) = (rate.ln(), (1.0 - rate).ln());
    let (mut log_choose, mut sum) = (0.0, 0.0);
    for k in 0..=failures.min(trials) {
        sum += (log_choose + k as f64 * log_p + (trials - k) as f64 * log_q).exp();
        log_choose += ((trials - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_known_sample_sizes() {
        assert_eq!(samples_needed(0.95), 59);
        assert_eq!(samples_needed(0.99), 299);
        assert_eq!(upper_bound_index(58, 0.95), None);
        assert_eq!(upper_bound_index(59, 0.95), Some(58));
        assert_eq!(upper_bound_index(298, 0.99), None);
        assert_eq!(upper_bound_index(299, 0.99), Some(298));
    }

    #[test]
    fn the_bound_lies_above_the_quantile_and_comes_closer_with_n() {
        for n in [59, 100, 1_000, 20_000] {
            let index = as_f64(upper_bound_index(n, 0.95).unwrap());
            let share = index / as_f64(n);
            assert!(share >= 0.95, "n {n}: {share}");
            assert!(
                share <= 0.95 + 1.8 * (0.95 * 0.05 / as_f64(n)).sqrt() + 0.01,
                "n {n}: {share}"
            );
        }
    }

    #[test]
    fn a_median_of_ten_has_the_textbook_bound() {
        // P(Binomial(10, 1/2) < 8) = 0.945, < 9 = 0.989: the ninth smallest.
        assert_eq!(upper_bound_index(10, 0.5), Some(8));
    }

    #[test]
    fn nonsense_gives_no_bound() {
        for quantile in [0.0, 1.0, -1.0, f64::NAN] {
            assert_eq!(upper_bound_index(100, quantile), None);
        }
        assert_eq!(upper_bound_index(0, 0.5), None);
    }

    #[test]
    fn a_rate_has_the_textbook_bound() {
        // Clopper–Pearson, one-sided: qbeta(0.95, k + 1, n - k).
        for (hits, trials, expected) in
            [(1, 10, 0.394_163), (5, 100, 0.102_259), (10, 1_000, 0.016_88)]
        {
            let bound = rate_bound(hits, trials);
            assert!((bound - expected).abs() < 1e-4, "{hits} of {trials}: {bound}");
        }
        assert_eq!((rate_bound(3, 3), rate_bound(0, 0)), (1.0, 1.0));
    }

    #[test]
    fn like_neighbours_are_worth_less_than_their_count() {
        let even: Vec<(u64, u64)> = (0..20).map(|_| (5, 100)).collect();
        assert!((effective_samples(&even) - 2_000.0).abs() < 1e-9);
        // All that is slow lies in one block of twenty, as in a freeze.
        let frozen: Vec<(u64, u64)> =
            (0..20).map(|at| if at == 7 { (100, 100) } else { (0, 100) }).collect();
        let worth = effective_samples(&frozen);
        assert!(worth < 25.0, "{worth}");
        assert!(effective_samples(&even[..9]).abs() < f64::EPSILON);
    }

    #[test]
    fn a_bootstrap_of_known_units() {
        let mean = |units: &[f64]| units.iter().sum::<f64>() / as_f64(units.len());
        let units: Vec<f64> = (0..100).map(f64::from).collect();
        let (low, high) = bootstrap(&units, 2_000, 7, mean).unwrap();
        // The mean is 49.5, its standard error 2.89, and 1.645 of them is the bound.
        assert!((low - 44.75).abs() < 0.7 && (high - 54.25).abs() < 0.7, "{low} {high}");
        assert_eq!(bootstrap(&units, 2_000, 7, mean), Some((low, high)));
        assert_eq!(bootstrap(&[], 10, 7, mean), None);
        assert_eq!(bootstrap(&[f64::NAN], 10, 7, mean), None);
    }

    proptest! {
        #[test]
        fn bounds_keep_their_side(hits in 0_u64..50, more in 1_u64..5_000, seed: u64) {
            let trials = hits + more;
            let rate = as_f64(usize::try_from(hits).unwrap()) / as_f64(usize::try_from(trials).unwrap());
            let bound = rate_bound(hits, trials);
            prop_assert!(bound >= rate && bound <= 1.0);
            prop_assert!(rate_bound(hits, trials + 1) <= bound + 1e-12);
            prop_assert!(rate_bound(hits + 1, trials + 1) >= bound - 1e-9);
            let mut random = fastrand::Rng::with_seed(seed);
            let blocks: Vec<(u64, u64)> =
                (0..random.usize(10..40)).map(|_| (random.u64(0..10), 10)).collect();
            let all: u64 = blocks.iter().map(|(_, all)| all).sum();
            let worth = effective_samples(&blocks);
            prop_assert!(worth > 0.0 && worth <= as_f64(usize::try_from(all).unwrap()));
        }
    }

    #[test]
    fn the_rule_of_three() {
        assert!((rate_bound_of_none(0) - 1.0).abs() < f64::EPSILON);
        let bound = rate_bound_of_none(1_000);
        assert!((0.002_9..0.003).contains(&bound), "{bound}");
    }

    #[test]
    fn the_bound_of_a_share_is_the_exact_one() {
        for (successes, trials, bound) in
            [(0, 0, 0.0), (0, 9, 0.0), (10, 10, 0.741_134), (98, 100, 0.938_401), (1, 2, 0.025_321)]
        {
            let found = share_bound(successes, trials);
            assert!((found - bound).abs() < 1e-4, "{successes} of {trials}: {found}");
        }
    }
}
