//! The score: proven weight ÷ total weight over the required claims, rounded down.
//!
//! A refinement's share is the weighted mean of its areas, an area's that of its required claims.
//! Refuted and unproven claims count nothing and nothing is estimated. An area of the contract for
//! which a whole run has no claim counts as zero: what is not claimed cannot be proven. Optional
//! claims are counted and shown, and do not move the figure, so that 100 % means exactly that every
//! required claim is proven.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::claim::Claim;
use crate::contract;
use crate::verdict::Status;

/// A share in percent with one decimal, from 0 to 100, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Percent(u16);

impl Percent {
    /// 100 %.
    pub const FULL: Self = Self(1000);

    /// The share rounded down; below 100 % unless `complete`, and 100 % then.
    #[must_use]
    fn floor(share: f64, complete: bool) -> Self {
        if complete {
            return Self::FULL;
        }
        // The small addend undoes the rounding of sums such as 0.1 + 0.2; it is far below a tenth.
        let tenths = (share.clamp(0.0, 1.0) * 1000.0 + 1e-7).floor().min(999.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 999")]
        Self(tenths as u16)
    }

    /// The figure, 0 to 100.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 10.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{} %", self.0 / 10, self.0 % 10)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value())
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        let tenths = (value * 10.0).round();
        if !(0.0..=1000.0).contains(&tenths) || (value * 10.0 - tenths).abs() > 1e-6 {
            return Err(de::Error::custom(format!(
                "expected a percentage from 0 to 100 with one decimal, found {value}"
            )));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        Ok(Self(tenths as u16))
    }
}

/// How much of the contract a run speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All of it: an area without claims counts as zero.
    Whole,
    /// Some areas: those without claims are left out of the score, and shown as left out.
    Part,
}

/// One refinement of the contract's score with its areas: the weights, as a run was judged by them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefinementWeight {
    /// Key.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Weight relative to the other refinements; zero leaves it out of the score.
    pub weight: f64,
    /// Its areas.
    pub areas: Vec<AreaWeight>,
}

/// One area of a refinement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaWeight {
    /// Key.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Weight relative to the other areas of the refinement; zero leaves it out of the score.
    pub weight: f64,
}

/// The weights that a contract states, refinement by refinement.
#[must_use]
pub fn weights(score: &contract::Score) -> Vec<RefinementWeight> {
    let areas = |refinement: &str| {
        let mine = score.areas.iter().filter(|area| area.refinement == refinement);
        mine.map(|area| AreaWeight {
            name: area.name.clone(),
            title: area.title.clone(),
            weight: area.weight,
        })
        .collect()
    };
    let refinements = score.refinements.iter();
    refinements
        .map(|refinement| RefinementWeight {
            name: refinement.name.clone(),
            title: refinement.title.clone(),
            weight: refinement.weight,
            areas: areas(&refinement.name),
        })
        .collect()
}

/// How many claims came to which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Claims proven.
    pub proven: u64,
    /// Claims refuted.
    pub refuted: u64,
    /// Claims unproven.
    pub unproven: u64,
}

impl Tally {
    /// All claims.
    #[must_use]
    pub fn total(self) -> u64 {
        self.proven + self.refuted + self.unproven
    }

    /// Counts one more claim.
    pub fn add(&mut self, status: Status) {
        match status {
            Status::Proven => self.proven += 1,
            Status::Refuted => self.refuted += 1,
            Status::Unproven => self.unproven += 1,
        }
    }
}

/// The score of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The whole.
    pub percent: Percent,
    /// Its refinements, in the order of the weights.
    pub refinements: Vec<RefinementScore>,
}

/// The score of one refinement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefinementScore {
    /// Key.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Relative weight.
    pub weight: f64,
    /// Its share; `None` when nothing in it counts in this run.
    pub score: Option<Percent>,
    /// Its areas.
    pub areas: Vec<AreaScore>,
}

/// The score of one area.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaScore {
    /// Key.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Relative weight within the refinement.
    pub weight: f64,
    /// Its share; `None` when it does not count in this run.
    pub score: Option<Percent>,
    /// Its claims, required and optional.
    pub claims: Tally,
}

/// A share with its weight among its siblings.
struct Part {
    weight: f64,
    share: f64,
    complete: bool,
}

/// Joins weighted shares to one; `None` when nothing counts.
fn join(parts: impl Iterator<Item = Part>) -> Option<(f64, bool)> {
    let counting: Vec<Part> = parts.filter(|part| part.weight > 0.0).collect();
    let total: f64 = counting.iter().map(|part| part.weight).sum();
    let sum: f64 = counting.iter().map(|part| part.weight * part.share).sum();
    let complete = counting.iter().all(|part| part.complete);
    (!counting.is_empty()).then(|| (if complete { 1.0 } else { sum / total }, complete))
}

/// A weight that sums can bear: what is negative or not a finite number weighs nothing.
fn sound(weight: f64) -> f64 {
    if weight.is_finite() { weight.clamp(0.0, 1e12) } else { 0.0 }
}

fn score_area(
    area: &AreaWeight,
    scope: Scope,
    judged: &[(&Claim, Status)],
) -> (AreaScore, Option<Part>) {
    let mine = judged.iter().filter(|(claim, _)| claim.area == area.name);
    let (mut claims, mut all, mut proven) = (Tally::default(), 0.0, 0.0);
    let (mut required, mut complete) = (0_u64, true);
    for (claim, status) in mine {
        claims.add(*status);
        if claim.required {
            required += 1;
            all += sound(claim.weight);
            if *status == Status::Proven {
                proven += sound(claim.weight);
            } else {
                complete = false;
            }
        }
    }
    let share = if claims.total() == 0 {
        (scope == Scope::Whole).then_some((0.0, false))
    } else if required == 0 {
        None
    } else if complete {
        Some((1.0, true))
    } else {
        Some((if all > 0.0 { proven / all } else { 0.0 }, false))
    };
    let share = share.filter(|_| sound(area.weight) > 0.0);
    let scored = AreaScore {
        name: area.name.clone(),
        title: area.title.clone(),
        weight: area.weight,
        score: share.map(|(share, complete)| Percent::floor(share, complete)),
        claims,
    };
    let part = share.map(|(share, complete)| Part { weight: sound(area.weight), share, complete });
    (scored, part)
}

/// Scores claims with what became of them by the given weights.
///
/// A claim whose area the weights do not name cannot raise the score; when it is required and not
/// proven, it keeps the whole below 100 %.
#[must_use]
pub fn score(weights: &[RefinementWeight], scope: Scope, judged: &[(&Claim, Status)]) -> Score {
    let (refinements, shares): (Vec<_>, Vec<_>) = weights
        .iter()
        .map(|refinement| {
            let (areas, parts): (Vec<_>, Vec<_>) =
                refinement.areas.iter().map(|area| score_area(area, scope, judged)).unzip();
            let share =
                join(parts.into_iter().flatten()).filter(|_| sound(refinement.weight) > 0.0);
            let scored = RefinementScore {
                name: refinement.name.clone(),
                title: refinement.title.clone(),
                weight: refinement.weight,
                score: share.map(|(share, complete)| Percent::floor(share, complete)),
                areas,
            };
            let weight = sound(refinement.weight);
            (scored, share.map(|(share, complete)| Part { weight, share, complete }))
        })
        .unzip();
    let all_proven =
        judged.iter().all(|(claim, status)| !claim.required || *status == Status::Proven);
    let percent = join(shares.into_iter().flatten())
        .map(|(share, complete)| Percent::floor(share, complete && all_proven))
        .unwrap_or_default();
    Score { percent, refinements }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claim::Severity;

    fn claim(area: &str, weight: f64, required: bool) -> Claim {
        Claim { required, weight, ..Claim::new("", area, Severity::Major, "") }
    }

    type Row<'a> = (&'a str, &'a [(&'a str, f64)], f64);

    fn table(areas: &[Row<'_>]) -> Vec<RefinementWeight> {
        areas
            .iter()
            .map(|(name, areas, weight)| RefinementWeight {
                name: (*name).to_owned(),
                title: (*name).to_owned(),
                weight: *weight,
                areas: areas
                    .iter()
                    .map(|(name, weight)| AreaWeight {
                        name: (*name).to_owned(),
                        title: (*name).to_owned(),
                        weight: *weight,
                    })
                    .collect(),
            })
            .collect()
    }

    fn percent(weights: &[RefinementWeight], scope: Scope, claims: &[(Claim, Status)]) -> Percent {
        let judged: Vec<_> = claims.iter().map(|(claim, status)| (claim, *status)).collect();
        score(weights, scope, &judged).percent
    }

    #[test]
    fn weighs_refinement_area_and_claim() {
        let weights = table(&[("r", &[("a", 0.3), ("b", 0.7)], 1.0), ("s", &[("c", 1.0)], 3.0)]);
        let claims = [
            (claim("a", 1.0, true), Status::Proven),
            (claim("a", 3.0, true), Status::Unproven),
            (claim("b", 1.0, true), Status::Proven),
            (claim("c", 1.0, true), Status::Refuted),
        ];
        // (0.3 × 1/4 + 0.7) × 1/4
        assert_eq!(percent(&weights, Scope::Whole, &claims).to_string(), "19.3 %");
    }

    #[test]
    fn an_area_without_claims_counts_zero_in_a_whole_run_only() {
        let weights = table(&[("r", &[("a", 1.0), ("b", 1.0)], 1.0)]);
        let claims = [(claim("a", 1.0, true), Status::Proven)];
        assert_eq!(percent(&weights, Scope::Whole, &claims).to_string(), "50.0 %");
        assert_eq!(percent(&weights, Scope::Part, &claims), Percent::FULL);
        let judged = [(&claims[0].0, Status::Proven)];
        let scored = score(&weights, Scope::Whole, &judged);
        assert_eq!(scored.refinements[0].areas[1].score, Some(Percent(0)));
        let scored = score(&weights, Scope::Part, &judged);
        assert_eq!(scored.refinements[0].areas[1].score, None);
    }

    #[test]
    fn nothing_claimed_is_zero() {
        assert_eq!(percent(&[], Scope::Whole, &[]), Percent(0));
        assert_eq!(percent(&[], Scope::Part, &[]), Percent(0));
        let weights = table(&[("r", &[("a", 1.0)], 1.0)]);
        assert_eq!(percent(&weights, Scope::Part, &[]), Percent(0));
    }

    #[test]
    fn optional_claims_do_not_move_the_figure() {
        let weights = table(&[("r", &[("a", 1.0)], 1.0)]);
        let claims =
            [(claim("a", 1.0, true), Status::Proven), (claim("a", 1.0, false), Status::Refuted)];
        assert_eq!(percent(&weights, Scope::Whole, &claims), Percent::FULL);
    }

    #[test]
    fn a_required_claim_of_no_area_or_no_weight_keeps_it_below_full() {
        let weights = table(&[("r", &[("a", 1.0)], 1.0)]);
        for stray in
            [claim("nowhere", 1.0, true), claim("a", 0.0, true), claim("a", f64::NAN, true)]
        {
            let claims = [(claim("a", 1.0, true), Status::Proven), (stray, Status::Unproven)];
            assert_eq!(percent(&weights, Scope::Whole, &claims).to_string(), "99.9 %");
        }
    }

    #[test]
    fn one_of_very_many_missing_is_not_rounded_up() {
        let weights = table(&[("r", &[("a", 1.0)], 1.0)]);
        let mut claims = vec![(claim("a", 1.0, true), Status::Proven); 100_000];
        claims.push((claim("a", 1e-9, true), Status::Refuted));
        assert_eq!(percent(&weights, Scope::Whole, &claims).to_string(), "99.9 %");
    }

    #[test]
    fn is_written_and_read_as_a_number() {
        assert_eq!(serde_json::to_string(&Percent(613)).unwrap(), "61.3");
        assert_eq!(serde_json::from_str::<Percent>("61.3").unwrap(), Percent(613));
        assert_eq!(serde_json::from_str::<Percent>("100").unwrap(), Percent::FULL);
        for wrong in ["-1", "100.1", "395", "61.35", "1e300", "null"] {
            assert!(serde_json::from_str::<Percent>(wrong).is_err(), "{wrong}");
        }
    }

    fn any_status() -> impl Strategy<Value = Status> {
        prop_oneof![Just(Status::Proven), Just(Status::Refuted), Just(Status::Unproven)]
    }

    fn any_claims() -> impl Strategy<Value = Vec<(Claim, Status)>> {
        let area = prop_oneof![Just("a"), Just("b"), Just("c")];
        let one = (area, 0.001_f64..100.0, any::<bool>(), any_status());
        prop::collection::vec(one, 1..40).prop_map(|claims| {
            let build = |(area, weight, required, status)| (claim(area, weight, required), status);
            claims.into_iter().map(build).collect()
        })
    }

    fn weights_abc() -> Vec<RefinementWeight> {
        table(&[("r", &[("a", 0.3), ("b", 0.7)], 0.2), ("s", &[("c", 0.1)], 0.8)])
    }

    proptest! {
        #[test]
        fn full_exactly_when_every_required_claim_is_proven(
            mut claims in any_claims(), all in any::<bool>(),
        ) {
            for area in ["a", "b", "c"] {
                claims.push((claim(area, 1.0, true), Status::Proven));
            }
            if all {
                for (_, status) in &mut claims {
                    *status = Status::Proven;
                }
            }
            let complete =
                claims.iter().all(|(claim, status)| !claim.required || *status == Status::Proven);
            let percent = percent(&weights_abc(), Scope::Whole, &claims);
            prop_assert!(percent <= Percent::FULL);
            prop_assert_eq!(percent == Percent::FULL, complete);
        }

        #[test]
        fn proving_one_more_never_lowers_it(
            claims in any_claims(), at in any::<prop::sample::Index>(), whole in any::<bool>(),
        ) {
            let scope = if whole { Scope::Whole } else { Scope::Part };
            let before = percent(&weights_abc(), scope, &claims);
            let mut better = claims.clone();
            at.get_mut(&mut better).1 = Status::Proven;
            prop_assert!(percent(&weights_abc(), scope, &better) >= before);
        }

        #[test]
        fn hostile_weights_stay_in_bounds(
            claims in any_claims(), weight in prop::num::f64::ANY, area in prop::num::f64::ANY,
        ) {
            let mut claims = claims;
            claims[0].0.weight = weight;
            let mut weights = weights_abc();
            weights[0].areas[0].weight = area;
            weights[1].weight = area;
            let complete =
                claims.iter().all(|(claim, status)| !claim.required || *status == Status::Proven);
            let percent = percent(&weights, Scope::Part, &claims);
            prop_assert!(percent <= Percent::FULL);
            prop_assert!(percent < Percent::FULL || complete);
        }
    }
}
