//! The verdict: the only place that judges evidence against targets.
//!
//! Silence is never a pass: a claim without evidence, with evidence of the wrong kind, with too few
//! samples or with a figure that is not a number is unproven, and its [`Judgement`] says why.

pub mod acceptance;

use serde::{Deserialize, Serialize};

use crate::claim::{Claim, Target};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::statistics::rate_bound_of_none;

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The evidence contradicts it.
    Refuted,
    /// There is no evidence, or not enough.
    Unproven,
    /// The evidence shows it.
    Proven,
}

impl Status {
    /// The word for it: `refuted`, `unproven` or `proven`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refuted => "refuted",
            Self::Unproven => "unproven",
            Self::Proven => "proven",
        }
    }
}

/// Trials that a sample needs before "none went wrong" proves anything about what was not sampled:
/// with 299, the rate of wrong ones is below 1 % with 95 % confidence.
pub const MIN_SAMPLE: u64 = 299;

/// Reason of a claim that no producer has spoken about.
pub const NOT_MEASURED: &str = "not measured yet";

/// What the evidence says about one claim, in words and figures for a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Proven, refuted or unproven.
    pub status: Status,
    /// What the evidence had to show, for people: `p95 ≤ 50 ms`.
    pub target: String,
    /// What was observed, for people.
    pub observed: String,
    /// Things compared, trials made or samples taken; `None` when nothing was observed.
    pub n: Option<u64>,
    /// The 95 % confidence bound, where there is one: of the rate of wrong trials (a share, 0 to 1),
    /// or of the measured statistic (in its unit).
    pub bound: Option<f64>,
    /// Why the claim is not proven; `None` when it is.
    pub reason: Option<String>,
    /// Every difference reported.
    pub findings: Vec<Finding>,
}

/// Judges one claim by one piece of evidence, or by its absence.
#[must_use]
pub fn judge(claim: &Claim, evidence: Option<&Evidence>) -> Judgement {
    let judged = match evidence {
        None => unproven("nothing", NOT_MEASURED),
        Some(evidence) if evidence.claim != claim.id => unproven(
            "nothing",
            format!("the evidence speaks of another claim, `{}`", evidence.claim),
        ),
        Some(evidence) => match (&evidence.outcome, &claim.target) {
            (Outcome::NotMeasured { reason }, _) => unproven("nothing", not_blank(reason)),
            (Outcome::Compared { n, found, findings }, Target::NoDifference) => {
                compared(*n, found, findings)
            }
            (
                Outcome::Counted { trials, population, wrong, findings },
                Target::NoneWrong { unit },
            ) => counted(*trials, *population, *wrong, findings, unit),
            (
                Outcome::Measured { n, n_needed, value, bound, unit, .. },
                Target::AtMost { limit, unit: wanted, .. },
            ) => {
                let figure =
                    Measurement { n: *n, n_needed: *n_needed, value: *value, bound: *bound };
                measured(figure, unit, Limit { side: Side::Most, wall: *limit, unit: wanted })
            }
            (
                Outcome::Measured { n, n_needed, value, bound, unit, .. },
                Target::AtLeast { limit, unit: wanted, .. },
            ) => {
                let figure =
                    Measurement { n: *n, n_needed: *n_needed, value: *value, bound: *bound };
                measured(figure, unit, Limit { side: Side::Least, wall: *limit, unit: wanted })
            }
            (outcome, target) => unproven(
                "nothing that fits the target",
                format!(
                    "the target asks for {}, the evidence holds {}",
                    asked_for(target),
                    held(outcome)
                ),
            ),
        },
    };
    Judgement { target: describe(&claim.target), ..judged }
}

/// Judges one claim by all evidence given for it: the worst piece counts.
#[must_use]
pub fn judge_all(claim: &Claim, evidence: &[Evidence]) -> Judgement {
    evidence
        .iter()
        .map(|one| judge(claim, Some(one)))
        .min_by_key(|judgement| judgement.status)
        .unwrap_or_else(|| judge(claim, None))
}

/// What a target asks for, in words for a report.
#[must_use]
pub fn describe(target: &Target) -> String {
    match target {
        Target::NoDifference => "no difference".to_owned(),
        Target::NoneWrong { unit } => format!("none wrong among {unit}"),
        Target::AtMost { statistic, limit, unit } => {
            format!("{statistic} ≤ {}", with_unit(*limit, unit))
        }
        Target::AtLeast { statistic, limit, unit } => {
            format!("{statistic} ≥ {}", with_unit(*limit, unit))
        }
    }
}

fn compared(n: u64, found: &str, findings: &[Finding]) -> Judgement {
    let things = count(n, "comparison");
    if !findings.is_empty() {
        let many = findings.len() as u64;
        return Judgement {
            n: Some(n),
            findings: findings.to_vec(),
            ..refuted(
                format!("{} in {things}", count(many, "difference")),
                match findings {
                    [one] => format!("expected {}, found {}", one.expected, one.found),
                    _ => format!("{} found", count(many, "difference")),
                },
            )
        };
    }
    if n == 0 {
        return Judgement { n: Some(0), ..unproven("nothing", "nothing was compared") };
    }
    let observed = if found.trim().is_empty() {
        format!("no difference in {things}")
    } else {
        found.to_owned()
    };
    Judgement { n: Some(n), ..proven(observed) }
}

fn counted(
    trials: u64,
    population: Option<u64>,
    wrong: u64,
    findings: &[Finding],
    unit: &str,
) -> Judgement {
    let made = grouped(trials);
    let judged = if wrong > 0 || !findings.is_empty() {
        let wrong = wrong.max(findings.len() as u64);
        let text = format!("{} wrong in {made} {unit}", grouped(wrong));
        refuted(text.clone(), text)
    } else if trials == 0 {
        unproven(format!("no {unit}"), format!("no {unit} to look at"))
    } else if let Some(all) = population.filter(|all| *all < trials) {
        unproven(
            format!("{made} {unit}"),
            format!(
                "{made} {unit} looked at, yet only {} exist: the evidence contradicts itself",
                grouped(all)
            ),
        )
    } else if population == Some(trials) {
        proven(format!("none wrong in all {made} {unit}"))
    } else {
        let bound = rate_bound_of_none(trials);
        let rate = format!("at most {} % wrong with 95 % confidence", number(bound * 100.0));
        match population {
            Some(all) => {
                let text = format!("none wrong in a sample of {made} of {} {unit}", grouped(all));
                let judged = if trials < MIN_SAMPLE {
                    unproven(
                        text,
                        format!("a sample of {made} {unit} is too small; {MIN_SAMPLE} are needed"),
                    )
                } else {
                    proven(format!("{text}; {rate}"))
                };
                Judgement { bound: Some(bound), ..judged }
            }
            None => Judgement {
                bound: Some(bound),
                ..proven(format!("none wrong in {made} {unit}; {rate}"))
            },
        }
    };
    Judgement { n: Some(trials), findings: findings.to_vec(), ..judged }
}

#[derive(Clone, Copy)]
struct Measurement {
    n: u64,
    n_needed: u64,
    value: f64,
    bound: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Most,
    Least,
}

#[derive(Clone, Copy)]
struct Limit<'a> {
    side: Side,
    wall: f64,
    unit: &'a str,
}

impl Limit<'_> {
    fn keeps(self, value: f64) -> bool {
        match self.side {
            Side::Most => value <= self.wall,
            Side::Least => value >= self.wall,
        }
    }
}

fn measured(figure: Measurement, unit: &str, limit: Limit<'_>) -> Judgement {
    let Measurement { n, n_needed, value, bound } = figure;
    if ![value, bound, limit.wall].into_iter().all(f64::is_finite) {
        let judged = unproven("no figure", "a figure is not a finite number");
        return Judgement { n: Some(n), ..judged };
    }
    let (beyond, confines) = match limit.side {
        Side::Most => ("exceeds", bound >= value),
        Side::Least => ("falls below", bound <= value),
    };
    let observed = format!("{} (95 % bound {})", with_unit(value, unit), with_unit(bound, unit));
    let wall = with_unit(limit.wall, limit.unit);
    let judged = if unit != limit.unit {
        unproven(observed, format!("measured in `{unit}`, the target is in `{}`", limit.unit))
    } else if !confines {
        unproven(
            observed,
            "the bound lies on the wrong side of the figure: the evidence contradicts itself",
        )
    } else if n == 0 || n < n_needed {
        let needed = grouped(n_needed.max(1));
        unproven(observed, format!("{}, {needed} are needed", count(n, "sample")))
    } else if !limit.keeps(value) {
        let text = format!("{} {beyond} {wall}", with_unit(value, unit));
        refuted(observed, text)
    } else if limit.keeps(bound) {
        proven(observed)
    } else {
        unproven(observed, format!("the 95 % bound {beyond} {wall}; more samples may decide"))
    };
    Judgement { n: Some(n), bound: Some(bound), ..judged }
}

fn judgement(status: Status, observed: impl Into<String>, reason: Option<String>) -> Judgement {
    Judgement {
        status,
        target: String::new(),
        observed: observed.into(),
        n: None,
        bound: None,
        reason,
        findings: Vec::new(),
    }
}

fn proven(observed: impl Into<String>) -> Judgement {
    judgement(Status::Proven, observed, None)
}

fn refuted(observed: impl Into<String>, reason: impl Into<String>) -> Judgement {
    judgement(Status::Refuted, observed, Some(reason.into()))
}

fn unproven(observed: impl Into<String>, reason: impl Into<String>) -> Judgement {
    judgement(Status::Unproven, observed, Some(reason.into()))
}

fn not_blank(reason: &str) -> &str {
    if reason.trim().is_empty() { "not measured, and no reason was given" } else { reason }
}

fn asked_for(target: &Target) -> &'static str {
    match target {
        Target::NoDifference => "a comparison",
        Target::NoneWrong { .. } => "a count of trials",
        Target::AtMost { .. } | Target::AtLeast { .. } => "a measured figure",
    }
}

fn held(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Compared { .. } => "a comparison",
        Outcome::Counted { .. } => "a count of trials",
        Outcome::Measured { .. } => "a measured figure",
        Outcome::NotMeasured { .. } => "nothing",
    }
}

/// `1 sample`, `2,000 samples`.
pub(crate) fn count(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// A whole number with a comma between thousands.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A figure with at most three decimals, or in scientific notation when it is tiny or huge.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(0.001..1e12).contains(&size) {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn with_unit(value: f64, unit: &str) -> String {
    let unit = unit.trim();
    if unit.is_empty() { number(value) } else { format!("{} {unit}", number(value)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claim::Severity;

    fn claim(target: Target) -> Claim {
        Claim { target, ..Claim::new("a.claim", "area", Severity::Major, "It holds.") }
    }

    fn evidence(outcome: Outcome) -> Evidence {
        Evidence::new("a.claim", "test", outcome)
    }

    fn finding() -> Finding {
        Finding {
            object: "public.t".to_owned(),
            expected: "bigint".to_owned(),
            found: "integer".to_owned(),
            remedy: None,
        }
    }

    fn rows() -> Target {
        Target::NoneWrong { unit: "rows".to_owned() }
    }

    fn at_most(limit: f64) -> Target {
        Target::AtMost { statistic: "p95".to_owned(), limit, unit: "ms".to_owned() }
    }

    fn at_least(limit: f64) -> Target {
        Target::AtLeast { statistic: "rate".to_owned(), limit, unit: "/s".to_owned() }
    }

    fn sample(value: f64, bound: f64, unit: &str) -> Outcome {
        Outcome::Measured {
            n: 1000,
            n_needed: 59,
            value,
            bound,
            unit: unit.to_owned(),
            statistics: Vec::new(),
        }
    }

    fn of(target: Target, outcome: Outcome) -> Judgement {
        judge(&claim(target), Some(&evidence(outcome)))
    }

    fn counted(trials: u64, population: Option<u64>, wrong: u64) -> Outcome {
        Outcome::Counted { trials, population, wrong, findings: Vec::new() }
    }

    #[test]
    fn silence_and_strays_are_unproven() {
        let judged = judge(&claim(Target::NoDifference), None);
        assert_eq!(judged.status, Status::Unproven);
        assert_eq!(judged.reason.as_deref(), Some(NOT_MEASURED));

        let judged =
            of(Target::NoDifference, Outcome::NotMeasured { reason: "table is missing".into() });
        assert_eq!(judged.reason.as_deref(), Some("table is missing"));
        assert_eq!(judged.status, Status::Unproven);

        let judged = of(Target::NoDifference, Outcome::NotMeasured { reason: "  ".into() });
        assert!(judged.reason.is_some_and(|reason| !reason.trim().is_empty()));

        let mut other = evidence(counted(10, None, 0));
        other.claim = "another.claim".to_owned();
        let judged = judge(&claim(rows()), Some(&other));
        assert_eq!(judged.status, Status::Unproven);
        assert!(judged.reason.is_some_and(|reason| reason.contains("another.claim")));
    }

    #[test]
    fn the_kind_of_evidence_must_fit_the_target() {
        let compared = Outcome::Compared { n: 5, found: "five".into(), findings: Vec::new() };
        for (target, outcome) in [
            (rows(), compared.clone()),
            (at_most(1.0), compared),
            (Target::NoDifference, counted(5, None, 0)),
            (at_least(1.0), counted(5, None, 0)),
            (Target::NoDifference, sample(1.0, 1.0, "ms")),
            (rows(), sample(1.0, 1.0, "ms")),
        ] {
            let judged = of(target, outcome);
            assert_eq!(judged.status, Status::Unproven);
            assert!(judged.reason.is_some_and(|reason| reason.contains("the target asks for")));
        }
    }

    #[test]
    fn comparisons() {
        let compared = |n, findings| Outcome::Compared { n, found: "bigint".into(), findings };
        let good = of(Target::NoDifference, compared(3, Vec::new()));
        assert_eq!(
            (good.status, good.observed.as_str(), good.n),
            (Status::Proven, "bigint", Some(3))
        );
        assert_eq!(good.reason, None);
        assert_eq!(of(Target::NoDifference, compared(0, Vec::new())).status, Status::Unproven);
        let bad = of(Target::NoDifference, compared(3, vec![finding()]));
        assert_eq!(bad.status, Status::Refuted);
        assert_eq!(bad.findings, vec![finding()]);
        assert_eq!(bad.reason.as_deref(), Some("expected bigint, found integer"));
    }

    #[test]
    fn counts() {
        assert_eq!(of(rows(), counted(0, None, 0)).status, Status::Unproven);
        assert_eq!(of(rows(), counted(0, Some(0), 0)).status, Status::Unproven);
        assert_eq!(of(rows(), counted(100, None, 1)).status, Status::Refuted);
        assert_eq!(of(rows(), counted(0, None, 1)).status, Status::Refuted);

        let whole = of(rows(), counted(1_000, Some(1_000), 0));
        assert_eq!((whole.status, whole.bound), (Status::Proven, None));
        assert_eq!(whole.observed, "none wrong in all 1,000 rows");

        let trials = of(rows(), counted(1_000, None, 0));
        assert_eq!(trials.status, Status::Proven);
        assert!(trials.bound.is_some_and(|bound| (bound - 0.003).abs() < 1e-4));

        let sampled = of(rows(), counted(MIN_SAMPLE, Some(1_000_000), 0));
        assert_eq!(sampled.status, Status::Proven);
        assert!(sampled.bound.is_some_and(|bound| bound < 0.01), "{:?}", sampled.bound);
        let short = of(rows(), counted(MIN_SAMPLE - 1, Some(1_000_000), 0));
        assert_eq!(short.status, Status::Unproven);
        assert!(short.bound.is_some_and(|bound| bound > 0.01), "{:?}", short.bound);

        let impossible = of(rows(), counted(11, Some(10), 0));
        assert_eq!(impossible.status, Status::Unproven);

        let noted =
            Outcome::Counted { trials: 9, population: None, wrong: 0, findings: vec![finding()] };
        assert_eq!(of(rows(), noted).status, Status::Refuted);
    }

    #[test]
    fn limits_from_above_and_below() {
        let status = |target, outcome| of(target, outcome).status;
        assert_eq!(status(at_most(50.0), sample(18.0, 19.0, "ms")), Status::Proven);
        assert_eq!(status(at_most(50.0), sample(50.0, 50.0, "ms")), Status::Proven);
        assert_eq!(status(at_most(50.0), sample(51.0, 52.0, "ms")), Status::Refuted);
        let open = of(at_most(50.0), sample(49.0, 53.0, "ms"));
        assert_eq!(open.status, Status::Unproven);
        assert!(open.reason.is_some_and(|reason| reason.contains("bound exceeds 50 ms")));
        assert_eq!(status(at_most(50.0), sample(49.0, 48.0, "ms")), Status::Unproven);
        assert_eq!(status(at_most(50.0), sample(0.018, 0.019, "s")), Status::Unproven);

        assert_eq!(status(at_least(1000.0), sample(2500.0, 2400.0, "/s")), Status::Proven);
        assert_eq!(status(at_least(1000.0), sample(900.0, 800.0, "/s")), Status::Refuted);
        assert_eq!(status(at_least(1000.0), sample(1100.0, 990.0, "/s")), Status::Unproven);
        assert_eq!(status(at_least(1000.0), sample(1100.0, 1200.0, "/s")), Status::Unproven);
    }

    #[test]
    fn too_few_samples_and_figures_that_are_no_numbers_are_unproven() {
        for n in [0, 58] {
            let judged = of(
                at_most(50.0),
                Outcome::Measured {
                    n,
                    n_needed: if n == 0 { 0 } else { 59 },
                    value: 1.0,
                    bound: 2.0,
                    unit: "ms".to_owned(),
                    statistics: Vec::new(),
                },
            );
            assert_eq!(judged.status, Status::Unproven);
            assert!(judged.reason.is_some_and(|reason| reason.contains("needed")));
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for (target, outcome) in [
                (at_most(50.0), sample(bad, 1.0, "ms")),
                (at_most(50.0), sample(1.0, bad, "ms")),
                (at_most(bad), sample(1.0, 1.0, "ms")),
                (at_least(bad), sample(1.0, 1.0, "/s")),
                (at_least(0.0), sample(bad, bad, "/s")),
            ] {
                assert_eq!(of(target, outcome).status, Status::Unproven);
            }
        }
    }

    #[test]
    fn of_several_pieces_the_worst_counts() {
        let claim = claim(rows());
        let good = evidence(counted(10, None, 0));
        let bad = evidence(counted(10, None, 2));
        let silent = evidence(Outcome::NotMeasured { reason: "lost".into() });
        let status = |pieces: &[&Evidence]| {
            let pieces: Vec<_> = pieces.iter().copied().cloned().collect();
            judge_all(&claim, &pieces).status
        };
        assert_eq!(status(&[&good, &good]), Status::Proven);
        assert_eq!(status(&[&good, &silent]), Status::Unproven);
        assert_eq!(status(&[&good, &bad, &silent]), Status::Refuted);
        assert_eq!(status(&[]), Status::Unproven);
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(number(50.0), "50");
        assert_eq!(number(2.346_7), "2.347");
        assert_eq!(number(0.000_02), "2.00e-5");
        assert_eq!(describe(&at_most(50.0)), "p95 ≤ 50 ms");
        assert_eq!(describe(&at_least(1000.0)), "rate ≥ 1000 /s");
    }

    proptest! {
        #[test]
        fn only_enough_sound_figures_prove(
            n in 0_u64..200, needed in 0_u64..200,
            value in prop::num::f64::ANY, bound in prop::num::f64::ANY, limit in prop::num::f64::ANY,
        ) {
            let outcome = Outcome::Measured {
                n, n_needed: needed, value, bound, unit: "ms".to_owned(), statistics: Vec::new(),
            };
            let judged = of(at_most(limit), outcome);
            let sound = n > 0 && n >= needed && value.is_finite() && bound.is_finite() && limit.is_finite();
            prop_assert_eq!(judged.status == Status::Proven, sound && value <= bound && bound <= limit);
            prop_assert_eq!(judged.status == Status::Refuted, sound && value <= bound && value > limit);
            prop_assert_eq!(judged.reason.is_none(), judged.status == Status::Proven);
        }
    }
}
