//! What must be measured, and how it weighs: the score, figures, drills, coverage and alerts, with
//! waivers and the departures from the document that a contract was made from.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::model::Edition;
use super::period::Period;

/// One alert rule.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Name.
    pub name: String,
    /// What is watched.
    pub metric: String,
    /// Threshold.
    pub above: f64,
    /// Unit of the threshold.
    pub unit: String,
    /// Over how long.
    pub over: Period,
}

/// The weights of the score.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// The refinements; their weights are relative to each other.
    #[serde(rename = "refinement")]
    pub refinements: Vec<Refinement>,
    /// The areas; the weights of a refinement's areas add up to 1.
    #[serde(rename = "area")]
    pub areas: Vec<Area>,
}

/// One refinement: a chapter of the certificate.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Refinement {
    /// Key.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Relative weight.
    pub weight: f64,
}

/// One area of claims.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Key, as [`crate::claim::Area`] names it.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Name of its refinement.
    pub refinement: String,
    /// Share within the refinement.
    pub weight: f64,
}

/// Who measures a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FigureSource {
    /// A load test.
    Load,
    /// A failure drill.
    Drill,
}

/// One figure that must be measured.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Claim id without its first segment: `pool.acquire`.
    pub name: String,
    /// Area.
    pub area: String,
    /// Who measures it.
    pub source: FigureSource,
    /// The claim in one sentence.
    pub statement: String,
    /// The statistic compared: `p95`, `mean`, `rate`, `ratio`, `max`.
    pub statistic: String,
    /// Unit.
    pub unit: String,
    /// Limit from above, included.
    pub at_most: Option<f64>,
    /// Limit from below, included.
    pub at_least: Option<f64>,
    /// Edition needed.
    #[serde(default)]
    pub edition: Edition,
    /// What the original document said had been reached, for comparison only.
    pub said: Option<String>,
    /// The statement whose time is the figure, where the figure's name does not say it.
    pub workload: Option<Workload>,
}

/// A statement that is timed, one run after the other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// What is done on which data, in one sentence.
    pub meaning: String,
    /// File with a script that makes the data, run on a managed server only.
    pub prepare: Option<String>,
    /// File with the statement.
    pub statement: String,
    /// File with a query that gives rows of its parameters.
    pub parameters: Option<String>,
    /// File with another statement that gives the same answer; the figure is then its time over that
    /// of the first.
    pub against: Option<String>,
    /// The least profile that measures it.
    #[serde(default)]
    pub profile: LeastProfile,
}

impl Workload {
    /// The files that it names, by key.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let optional = [
            ("prepare", self.prepare.as_deref()),
            ("parameters", self.parameters.as_deref()),
            ("against", self.against.as_deref()),
        ];
        let named = optional.into_iter().filter_map(|(key, file)| Some((key, file?)));
        std::iter::once(("statement", self.statement.as_str())).chain(named)
    }
}

/// The least profile that measures a workload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeastProfile {
    /// Every profile has enough data.
    #[default]
    Quick,
    /// It needs the data of `standard`.
    Standard,
}

/// The limit of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// From above, included.
    AtMost(f64),
    /// From below, included.
    AtLeast(f64),
}

impl Figure {
    /// Its limit. Validation sees to it that a figure states exactly one; a figure that states none
    /// would have a limit that nothing meets.
    #[must_use]
    pub fn limit(&self) -> Limit {
        match (self.at_most, self.at_least) {
            (Some(limit), _) => Limit::AtMost(limit),
            (None, limit) => Limit::AtLeast(limit.unwrap_or(f64::INFINITY)),
        }
    }
}

/// One drill that must have been run.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// Name.
    pub name: String,
    /// The invariant in one sentence.
    pub statement: String,
}

/// What test coverage must show.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Least share of lines in percent.
    pub percent: f64,
    /// Modules that must reach it.
    pub modules: Vec<String>,
    /// Critical methods, each run by a test against a real server.
    pub methods: Vec<String>,
    /// Paths through several methods that must have been exercised whole.
    #[serde(default, rename = "critical_path")]
    pub critical_paths: Vec<CriticalPath>,
    /// Least share of faults put into the modules that tests notice, in percent.
    pub mutation_percent: Option<f64>,
}

/// One critical path.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CriticalPath {
    /// Name.
    pub name: String,
    /// The claim in one sentence.
    pub statement: String,
    /// Methods that a test must run to follow it.
    #[serde(default)]
    pub methods: Vec<String>,
}

/// One claim that may stay open until a day.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Id of the claim.
    pub claim: String,
    /// Why it may stay open.
    pub reason: String,
    /// The last day on which it may.
    pub expires: Date,
}

/// One departure from the original contract.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// What it is about.
    pub about: String,
    /// What was stated.
    pub stated: String,
    /// Why it cannot work.
    pub fact: String,
    /// What holds instead.
    pub ours: String,
}
