//! Suppressions: claims that may stay open for a while, with a reason and an end.
//!
//! A suppression changes no status, no count and no score: what is refuted stays refuted, and a run
//! with open claims is never certified. It only decides whether the run is *accepted*: every required
//! claim is proven or suppressed, and nothing is amiss with the run itself.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Status;
use crate::evidence::{Evidence, Outcome};

/// Where a suppression comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// What was open when a baseline was written.
    Baseline,
    /// A decision of its own.
    Suppression,
    /// What the contract itself states.
    Waiver,
}

/// One claim that may stay open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// Id of the claim.
    pub claim: String,
    /// Why it may stay open.
    pub reason: String,
    /// The last day on which it may.
    pub expires: Date,
    /// Where it comes from.
    pub source: Source,
    /// What was open when it was written; more than that is not covered. `None` covers everything.
    pub covers: Option<Covered>,
}

/// What was open when a baseline was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covered {
    /// Refuted or unproven.
    pub status: Status,
    /// Trials that had gone wrong, where trials were counted.
    pub wrong: Option<u64>,
    /// The differences, where things were compared.
    pub differences: Vec<Difference>,
}

/// One difference that was there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The object.
    pub object: String,
    /// What was found.
    pub found: String,
}

/// What became of a suppression in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its claim is open, and it covers that.
    Active,
    /// Its claim is open in another way than it covers.
    Exceeded,
    /// Its last day is over, or the day of the run is not known.
    Expired,
    /// Its claim is proven: it can go.
    Unused,
    /// No claim of this run has that id.
    NotPlanned,
}

/// A suppression, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppressed {
    /// The suppression.
    pub suppression: Suppression,
    /// What became of it.
    pub state: State,
    /// Why it does not cover its claim; `None` when it does.
    pub note: Option<String>,
}

impl Suppressed {
    /// What is amiss with a run whose contract states this; only an expired waiver is.
    #[must_use]
    pub(crate) fn problem(&self) -> Option<String> {
        let Suppression { claim, source, .. } = &self.suppression;
        let why = self.note.as_ref().filter(|_| self.state == State::Expired)?;
        (*source == Source::Waiver).then(|| {
            format!(
                "the contract waives `{claim}`, and {why}: remove the waiver, or decide anew and \
                 give it another day"
            )
        })
    }
}

impl Covered {
    /// What is open in a claim that came to this end by this evidence.
    #[must_use]
    pub fn of(status: Status, evidence: &[Evidence]) -> Self {
        let mut wrong = None;
        let mut differences = Vec::new();
        for one in evidence {
            match &one.outcome {
                Outcome::Counted { wrong: some, .. } => wrong = Some(wrong.unwrap_or(0) + some),
                Outcome::Compared { findings, .. } => {
                    differences.extend(findings.iter().map(|one| Difference {
                        object: one.object.clone(),
                        found: one.found.clone(),
                    }));
                }
                Outcome::Measured { .. } | Outcome::NotMeasured { .. } => {}
            }
        }
        differences.sort();
        differences.dedup();
        Self { status, wrong, differences }
    }

    /// In which way `now` is more than this; `None` when it is not.
    fn exceeded_by(&self, now: &Self) -> Option<String> {
        if self.status == Status::Unproven && now.status == Status::Refuted {
            return Some("it was unproven then, and is refuted now".to_owned());
        }
        if let Some(more) = now.wrong.filter(|wrong| *wrong > self.wrong.unwrap_or(0)) {
            return Some(format!("{} were wrong then, {more} are now", self.wrong.unwrap_or(0)));
        }
        let new = now.differences.iter().find(|one| !self.differences.contains(one))?;
        Some(format!("`{}` was not found `{}` then", new.object, new.found))
    }
}

/// Judges suppressions by what became of the claims, on the day of the run.
#[must_use]
pub fn judge_suppressions(
    suppressions: Vec<Suppression>,
    claims: &BTreeMap<&str, Covered>,
    day: Option<Date>,
) -> Vec<Suppressed> {
    let judged = suppressions.into_iter().map(|one| {
        let (state, note) = judge(&one, claims.get(one.claim.as_str()), day);
        Suppressed { suppression: one, state, note }
    });
    judged.collect()
}

fn judge(one: &Suppression, now: Option<&Covered>, day: Option<Date>) -> (State, Option<String>) {
    let over = match day {
        None => Some("the day of the run is not known".to_owned()),
        Some(day) if day > one.expires => Some(format!("it expired on {}", one.expires)),
        Some(_) => None,
    };
    // An expired waiver makes the contract untrue, whatever became of its claim.
    if let Some(why) = over.as_ref().filter(|_| one.source == Source::Waiver) {
        return (State::Expired, Some(why.clone()));
    }
    let Some(now) = now else {
        return (State::NotPlanned, Some("no claim of this run has that id".to_owned()));
    };
    if now.status == Status::Proven {
        return (State::Unused, Some("the claim is proven; remove the suppression".to_owned()));
    }
    if over.is_some() {
        return (State::Expired, over);
    }
    match one.covers.as_ref().and_then(|covers| covers.exceeded_by(now)) {
        Some(more) => (State::Exceeded, Some(more)),
        None => (State::Active, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Finding;

    fn compared(objects: &[&str]) -> Vec<Evidence> {
        let finding = |object: &&str| Finding {
            object: (*object).to_owned(),
            expected: "bigint".to_owned(),
            found: "integer".to_owned(),
            remedy: None,
        };
        let outcome = Outcome::Compared {
            n: 9,
            found: String::new(),
            findings: objects.iter().map(finding).collect(),
        };
        vec![Evidence::new("a", "test", outcome)]
    }

    fn counted(wrong: u64) -> Vec<Evidence> {
        let outcome =
            Outcome::Counted { trials: 100, population: None, wrong, findings: Vec::new() };
        vec![Evidence::new("a", "test", outcome)]
    }

    fn state(covers: Option<Covered>, now: Option<Covered>, day: &str) -> State {
        state_of(Source::Baseline, covers, now, day)
    }

    fn state_of(source: Source, covers: Option<Covered>, now: Option<Covered>, day: &str) -> State {
        let one = Suppression {
            claim: "a".to_owned(),
            reason: "old".to_owned(),
            expires: "2026-06-30".parse().unwrap(),
            source,
            covers,
        };
        let claims: BTreeMap<&str, Covered> = now.into_iter().map(|now| ("a", now)).collect();
        judge_suppressions(vec![one], &claims, day.parse().ok())[0].state
    }

    #[test]
    fn a_suppression_covers_what_it_says_until_its_last_day() {
        let open = || Some(Covered::of(Status::Refuted, &compared(&["x"])));
        assert_eq!(state(None, open(), "2026-06-30"), State::Active);
        assert_eq!(state(None, open(), "2026-07-01"), State::Expired);
        assert_eq!(state(None, open(), "no day"), State::Expired);
        assert_eq!(state(None, None, "2026-06-30"), State::NotPlanned);
        let proven = Some(Covered::of(Status::Proven, &[]));
        assert_eq!(state(None, proven.clone(), "2026-06-30"), State::Unused);
        assert_eq!(state(None, proven, "2027-06-30"), State::Unused);
    }

    #[test]
    fn an_expired_waiver_is_expired_whatever_became_of_its_claim() {
        let claims = [None, Some(Covered::of(Status::Proven, &[]))];
        for (now, before) in claims.into_iter().zip([State::NotPlanned, State::Unused]) {
            let waived = |day| state_of(Source::Waiver, None, now.clone(), day);
            assert_eq!(waived("2026-06-30"), before);
            assert_eq!(waived("2026-07-01"), State::Expired);
            assert_eq!(waived("no day"), State::Expired);
        }
    }

    #[test]
    fn a_baseline_covers_no_more_than_was_open() {
        let refuted = |evidence: &[Evidence]| Some(Covered::of(Status::Refuted, evidence));
        let day = "2026-06-01";
        let two = refuted(&compared(&["x", "y"]));
        assert_eq!(state(two.clone(), refuted(&compared(&["y"])), day), State::Active);
        assert_eq!(state(two.clone(), two.clone(), day), State::Active);
        assert_eq!(state(two.clone(), refuted(&compared(&["x", "z"])), day), State::Exceeded);
        assert_eq!(state(two, Some(Covered::of(Status::Unproven, &[])), day), State::Active);
        assert_eq!(state(refuted(&counted(7)), refuted(&counted(7)), day), State::Active);
        assert_eq!(state(refuted(&counted(7)), refuted(&counted(8)), day), State::Exceeded);
        let unproven = Some(Covered::of(Status::Unproven, &[]));
        assert_eq!(state(unproven.clone(), unproven.clone(), day), State::Active);
        assert_eq!(state(unproven, refuted(&counted(1)), day), State::Exceeded);
    }
}
