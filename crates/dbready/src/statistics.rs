//! Bounds for measured quantiles and for counts of zero.

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
