//! Shares of lines, exactly: nothing is estimated, and nothing is rounded up.

use std::fmt;
use std::ops::Add;
use std::str::FromStr;

/// How many of how many were run. Never more than all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    covered: u64,
    total: u64,
}

impl Share {
    /// `covered` of `total`; what is beyond the total does not count.
    #[must_use]
    pub fn new(covered: u64, total: u64) -> Self {
        Self { covered: covered.min(total), total }
    }

    /// Counts things by whether they were run.
    pub fn count(things: impl IntoIterator<Item = bool>) -> Self {
        things.into_iter().fold(Self::default(), |share, was_run| Self {
            covered: share.covered + u64::from(was_run),
            total: share.total + 1,
        })
    }

    /// How many were run.
    #[must_use]
    pub fn covered(self) -> u64 {
        self.covered
    }

    /// How many there are.
    #[must_use]
    pub fn total(self) -> u64 {
        self.total
    }

    /// Whether there is anything, and all of it was run.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.total > 0 && self.covered == self.total
    }

    /// Hundredths of a percent, rounded down; `None` when there is nothing.
    fn hundredths(self) -> Option<u32> {
        let share = u128::from(self.covered) * 10_000 / u128::from(self.total).max(1);
        // At most 10,000, since no more is covered than there is.
        (self.total > 0).then(|| u32::try_from(share).unwrap_or_default())
    }

    /// The figure in percent with two decimals, rounded down; `None` when there is nothing. It is 100
    /// only when everything was run.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        self.hundredths().map(|hundredths| f64::from(hundredths) / 100.0)
    }

    /// Whether the share, unrounded, is at least `least`. Nothing is never enough.
    #[must_use]
    pub fn reaches(self, least: FailUnder) -> bool {
        let wanted = u128::from(least.0) * u128::from(self.total);
        self.total > 0 && u128::from(self.covered) * u128::from(FailUnder::FULL.0) >= wanted
    }
}

impl Add for Share {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(
            self.covered.saturating_add(other.covered),
            self.total.saturating_add(other.total),
        )
    }
}

/// The figure without a unit: `99.99`, or `no data`.
impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hundredths() {
            Some(all) => write!(out, "{}.{:02}", all / 100, all % 100),
            None => out.write_str("no data"),
        }
    }
}

/// The least share that passes, in ten-thousandths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailUnder(u32);

impl FailUnder {
    /// 100 %.
    pub const FULL: Self = Self(1_000_000);
}

impl FromStr for FailUnder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let shown: String = text.chars().take(40).collect();
            format!(
                "expected a percentage from 0 to 100 with at most four decimals, found `{}`",
                shown.escape_debug()
            )
        };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, longest| {
            (1..=longest).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(decimals, 4) {
            return Err(wrong());
        }
        let read = |part: String| part.parse::<u32>().map_err(|_| wrong());
        let value = read(whole.to_owned())? * 10_000 + read(format!("{decimals:0<4}"))?;
        if value > Self::FULL.0 { Err(wrong()) } else { Ok(Self(value)) }
    }
}

/// A limit of a contract, which is a number from 0 to 100; what is finer than a ten-thousandth of a
/// percent asks for the next one above.
impl TryFrom<f64> for FailUnder {
    type Error = String;

    fn try_from(percent: f64) -> Result<Self, String> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(format!("expected a percentage from 0 to 100, found {percent}"));
        }
        // 99.99 × 10,000 is a hair beside 999,900.
        let parts = percent * 10_000.0;
        let near = parts.round();
        let whole = if (parts - near).abs() < 1e-6 { near } else { parts.ceil() };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10⁶")]
        Ok(Self(whole as u32))
    }
}

impl fmt::Display for FailUnder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        let text = format!("{whole}.{rest:04}");
        out.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn least(text: &str) -> FailUnder {
        text.parse().unwrap()
    }

    #[test]
    fn nearly_all_is_not_all() {
        let share = Share::new(99_996, 100_000);
        assert_eq!(share.to_string(), "99.99");
        assert!(!share.reaches(FailUnder::FULL));
        assert!(share.reaches(least("99.996")));
        assert!(!share.reaches(least("99.9961")));
        let one_missing = Share::new(u64::MAX - 1, u64::MAX);
        assert_eq!(one_missing.to_string(), "99.99");
        assert!(!one_missing.reaches(FailUnder::FULL));
        assert_eq!(Share::new(7, 7).to_string(), "100.00");
    }

    #[test]
    fn nothing_is_no_figure_and_reaches_no_limit() {
        assert_eq!(Share::default().percent(), None);
        assert_eq!(Share::default().to_string(), "no data");
        assert!(!Share::default().reaches(least("0")));
    }

    #[test]
    fn limits_are_read_exactly_or_refused() {
        for (text, shown) in [("100", "100"), ("0", "0"), ("99.5", "99.5"), ("07.0001", "7.0001")] {
            assert_eq!(least(text).to_string(), shown);
        }
        for wrong in [
            "", "100.1", "101", "-1", "1e2", "NaN", "inf", "99.00001", ".5", "5.", "+5", "1000",
            " 5",
        ] {
            assert!(wrong.parse::<FailUnder>().is_err(), "{wrong}");
        }
        assert_eq!(FailUnder::try_from(99.99), Ok(least("99.99")));
        assert_eq!(FailUnder::try_from(99.999_999), Ok(FailUnder::FULL));
        for wrong in [f64::NAN, -0.1, 100.01, f64::INFINITY] {
            assert!(FailUnder::try_from(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_figure_passes_100_or_is_rounded_up(covered in any::<u64>(), total in any::<u64>()) {
            let share = Share::new(covered, total);
            if let Some(percent) = share.percent() {
                prop_assert!((0.0..=100.0).contains(&percent));
                prop_assert_eq!(percent >= 100.0, share.covered() == share.total());
                prop_assert_eq!(share.to_string() == "100.00", share.is_whole());
                // The figure as text is at most the share: figure × total ≤ covered × 100.
                let text = share.to_string().replace('.', "").parse::<u128>().unwrap();
                prop_assert!(text * u128::from(share.total()) <= u128::from(share.covered()) * 10_000);
            }
            prop_assert_eq!(share.reaches(FailUnder::FULL), share.is_whole());
        }

        #[test]
        fn sums_stay_shares(parts in prop::collection::vec((any::<u64>(), any::<u64>()), 0..20)) {
            let sum = parts.iter().fold(Share::default(), |sum, (a, b)| sum + Share::new(*a, *b));
            prop_assert!(sum.covered() <= sum.total());
        }

        #[test]
        fn texts_never_break_the_limit(text in ".{0,12}") {
            if let Ok(limit) = text.parse::<FailUnder>() {
                prop_assert!(limit <= FailUnder::FULL);
            }
        }
    }
}
