//! What a drill saw: trials with their proof, their timeline and what did not hold. It is recorded, not
//! judged.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::examiner::Statement;
use super::journal::Answer;
use crate::evidence::{Evidence, Finding, Outcome, Statements};
use crate::statistics::rate_bound_of_none;

/// What must hold in every drill, and what a violation of it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Invariant {
    /// I1: no acknowledged write is lost.
    NoLoss,
    /// I2: no write takes effect twice.
    NoDuplicate,
    /// I3: nothing is there that was reported as not applied, or that nobody sent.
    NoPhantom,
    /// I4: every call returns at its deadline.
    BoundedWait,
    /// I5: every error is typed, with class and outcome.
    TypedError,
    /// I6: the pool serves all its places again.
    PoolRestores,
    /// I7: no session, transaction, lock or prepared transaction is left.
    NoLeak,
    /// I8: a borrowed session is as new.
    CleanSession,
    /// I10: no secret in what was written.
    NoSecret,
    /// What this drill claims beyond the others.
    Claimed,
}

impl Invariant {
    /// Its number and name, as the pages of the drills have them.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoLoss => "I1 no loss",
            Self::NoDuplicate => "I2 no duplicate",
            Self::NoPhantom => "I3 no phantom",
            Self::BoundedWait => "I4 bounded wait",
            Self::TypedError => "I5 typed error",
            Self::PoolRestores => "I6 pool restores",
            Self::NoLeak => "I7 no leak",
            Self::CleanSession => "I8 clean session",
            Self::NoSecret => "I10 no secret",
            Self::Claimed => "claim",
        }
    }
}

/// Something that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// What must hold.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// What became of the operations of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Acknowledged by the layer.
    pub acknowledged: u64,
    /// Reported as not applied.
    pub not_applied: u64,
    /// Reported as unknown.
    pub unknown: u64,
    /// Under way when the fault came.
    pub in_flight: u64,
    /// Unknown ones that turned out to be there.
    pub unknown_present: u64,
}

impl Counts {
    /// Counts one more answer.
    pub(crate) fn add(&mut self, answer: Answer) {
        match answer {
            Answer::Acknowledged => self.acknowledged += 1,
            Answer::NotApplied => self.not_applied += 1,
            Answer::Unknown => self.unknown += 1,
        }
    }
}

/// One fault and what came of it, in milliseconds from the fault.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Timeline {
    /// The first error that a caller saw (`T_detect`).
    pub first_error_ms: Option<f64>,
    /// The first success of a call begun after the first error (`T_first`).
    pub first_success_ms: Option<f64>,
    /// All places of the pool serve again (`T_full`).
    pub full_recovery_ms: Option<f64>,
    /// When the fault was taken away.
    pub cleared_ms: Option<f64>,
    /// The longest call.
    pub longest_call_ms: f64,
    /// Errors by class.
    pub errors: BTreeMap<String, u64>,
}

/// One fault injected, and what was observed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// Which one.
    pub name: String,
    /// How it is known that the fault took place and met work under way.
    pub proof: Vec<String>,
    /// What shows that it did not; such a trial does not count.
    pub invalid: Option<String>,
    /// When what happened.
    pub timeline: Option<Timeline>,
    /// What became of the operations.
    pub counts: Option<Counts>,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// Further observations.
    pub facts: BTreeMap<String, Value>,
    /// The statements that what held was seen by, with their texts; they stand in a certificate.
    #[serde(skip)]
    pub statements: Statements,
}

impl Trial {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            proof: Vec::new(),
            invalid: None,
            timeline: None,
            counts: None,
            violations: Vec::new(),
            facts: BTreeMap::new(),
            statements: Statements::new(),
        }
    }

    /// Evidence that the fault took place, by other means than the layer's answers.
    pub(crate) fn proof(&mut self, holds: bool, how: impl Into<String>) {
        let how = how.into();
        if holds {
            self.proof.push(how);
        } else if self.invalid.is_none() {
            self.invalid = Some(format!("the fault is not proven: {how}"));
        }
    }

    /// States that something must hold.
    pub(crate) fn expect(
        &mut self,
        invariant: Invariant,
        holds: bool,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        if !holds {
            let (expected, found) = (expected.into(), found.into());
            self.violations.push(Violation { invariant, expected, found });
        }
    }

    /// States that two values are the same.
    pub(crate) fn expect_same<T: PartialEq + std::fmt::Debug>(
        &mut self,
        invariant: Invariant,
        what: &str,
        expected: &T,
        found: &T,
    ) {
        let (wanted, seen) = (format!("{what}: {expected:?}"), format!("{found:?}"));
        self.expect(invariant, expected == found, wanted, seen);
    }

    /// Notes a statement that went through the layer, whose answer shows whether it serves.
    pub(crate) fn asked<'a>(&mut self, statement: impl Into<Statement<'a>>) {
        statement.into().note(&mut self.statements);
    }

    pub(crate) fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }

    fn is_valid(&self) -> bool {
        self.invalid.is_none() && !self.proof.is_empty()
    }
}

/// Everything that one run of a drill saw. Written as `drills/NAME.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// `dbready-drill`.
    pub format: &'static str,
    /// Version of the format.
    pub format_version: u32,
    /// Name of the drill.
    pub drill: &'static str,
    /// What it injects.
    pub injects: &'static str,
    /// The seed of its random choices.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// Faults injected, each proven.
    pub faults_injected: u64,
    /// Upper 95 % bound of the rate of faults that end wrongly; none when some did, or when the trials
    /// are all there are.
    pub failure_rate_bound: Option<f64>,
    /// Whether the trials are all cases there are, and no sample.
    pub exhaustive: bool,
    /// Why the drill could not be run here.
    pub unproven: Option<String>,
    /// The server that took the faults: version and what decides about durability.
    pub server: BTreeMap<String, String>,
    /// Every fault.
    pub trials: Vec<Trial>,
    /// Samples for figures of the contract, by name, in the figure's unit.
    pub figures: BTreeMap<String, Vec<f64>>,
}

/// Violations that evidence names; the record keeps all.
const SHOWN: usize = 20;

impl Record {
    pub(crate) fn new(drill: &'static str, injects: &'static str, seed: u64) -> Self {
        Self {
            format: "dbready-drill",
            format_version: 1,
            drill,
            injects,
            seed,
            seconds: 0.0,
            faults_injected: 0,
            failure_rate_bound: None,
            exhaustive: false,
            unproven: None,
            server: BTreeMap::new(),
            trials: Vec::new(),
            figures: BTreeMap::new(),
        }
    }

    /// Takes up a trial that is over.
    pub(crate) fn close(&mut self, trial: Trial) {
        self.trials.push(trial);
    }

    /// Adds a sample for a figure of the contract.
    pub(crate) fn sample(&mut self, figure: &str, value: f64) {
        self.figures.entry(figure.to_owned()).or_default().push(value);
    }

    /// Fills in what follows from the trials.
    pub(crate) fn sum_up(&mut self, seconds: f64) {
        self.seconds = seconds;
        let valid: Vec<&Trial> = self.trials.iter().filter(|trial| trial.is_valid()).collect();
        self.faults_injected = valid.len() as u64;
        let clean = valid.iter().all(|trial| trial.violations.is_empty());
        let bounded = clean && !self.exhaustive && !valid.is_empty();
        self.failure_rate_bound = bounded.then(|| rate_bound_of_none(self.faults_injected));
    }

    /// What this says about the drill's claim.
    ///
    /// A trial whose fault is not proven does not count, and makes the whole drill unproven: what went
    /// well without a fault shows nothing.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let method = if self.exhaustive {
            format!("every case of: {}", self.injects)
        } else {
            self.injects.to_owned()
        };
        let names = self.statements().into_keys();
        Evidence::new(format!("drill.{}", self.drill), method, self.outcome()).by(names)
    }

    /// The statements of all trials.
    pub(super) fn statements(&self) -> Statements {
        self.trials.iter().flat_map(|trial| trial.statements.clone()).collect()
    }

    fn outcome(&self) -> Outcome {
        let valid: Vec<&Trial> = self.trials.iter().filter(|trial| trial.is_valid()).collect();
        let wrong = valid.iter().filter(|trial| !trial.violations.is_empty()).count() as u64;
        let findings = valid.iter().flat_map(|trial| findings(self.drill, trial));
        let findings: Vec<Finding> = findings.take(SHOWN).collect();
        if wrong == 0 {
            if let Some(reason) = &self.unproven {
                return Outcome::NotMeasured { reason: reason.clone() };
            }
            let invalid = self.trials.iter().find(|trial| !trial.is_valid());
            if let Some(trial) = invalid {
                let why = trial.invalid.as_deref().unwrap_or("nothing shows that the fault came");
                return Outcome::NotMeasured { reason: format!("{}: {why}", trial.name) };
            }
        }
        let trials = valid.len() as u64;
        let population = self.exhaustive.then_some(trials);
        Outcome::Counted { trials, population, wrong, findings }
    }
}

fn findings<'a>(drill: &'a str, trial: &'a Trial) -> impl Iterator<Item = Finding> + 'a {
    trial.violations.iter().map(move |violation| Finding {
        object: format!("{drill}: {}", trial.name),
        expected: format!("{}: {}", violation.invariant.name(), violation.expected),
        found: violation.found.clone(),
        remedy: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(trials: impl IntoIterator<Item = (Option<&'static str>, bool)>) -> Record {
        let mut record = Record::new("a_drill", "a fault", 1);
        for (proof, right) in trials {
            let mut trial = Trial::new("one");
            if let Some(proof) = proof {
                trial.proof(true, proof);
            }
            trial.expect(Invariant::NoLoss, right, "all there", "one missing");
            record.close(trial);
        }
        record.sum_up(1.0);
        record
    }

    #[test]
    fn proven_faults_are_counted_and_bound_the_rate() {
        let record = record([(Some("log"), true); 59]);
        assert_eq!(record.faults_injected, 59);
        assert!(record.failure_rate_bound.is_some_and(|bound| bound < 0.05));
        assert!(matches!(record.outcome(), Outcome::Counted { trials: 59, wrong: 0, .. }));
    }

    #[test]
    fn a_fault_that_is_not_proven_settles_nothing() {
        let record = record([(Some("log"), true), (None, false)]);
        assert_eq!(record.faults_injected, 1);
        let Outcome::NotMeasured { reason } = record.outcome() else { panic!("{record:?}") };
        assert!(reason.contains("nothing shows"), "{reason}");
    }

    #[test]
    fn a_violation_counts_also_beside_what_is_not_proven() {
        let record = record([(Some("log"), false), (None, true)]);
        assert_eq!(record.failure_rate_bound, None);
        let Outcome::Counted { trials: 1, wrong: 1, findings, .. } = record.outcome() else {
            panic!("{record:?}")
        };
        assert_eq!(findings[0].expected, "I1 no loss: all there");
    }

    #[test]
    fn a_record_without_trials_settles_nothing() {
        assert!(matches!(record([]).outcome(), Outcome::Counted { trials: 0, .. }));
    }
}
