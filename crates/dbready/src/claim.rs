//! Claims: statements about a database that can be true or false.

use serde::{Deserialize, Serialize};

/// One statement that can be proven or refuted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Dotted name, unique in a plan: `schema.signal_greeks.column.delta`.
    pub id: String,
    /// Key of its area in the contract's score.
    pub area: String,
    /// The statement in one sentence.
    pub statement: String,
    /// How bad it is when refuted.
    pub severity: Severity,
    /// Whether certification needs it.
    pub required: bool,
    /// Weight inside its area.
    pub weight: f64,
    /// Who brings its evidence.
    pub producer: Producer,
    /// What the evidence must show.
    pub target: Target,
}

impl Claim {
    /// A required claim of weight one that a check settles, by finding no difference. What is other of
    /// a claim stands before it: `Claim { weight: 3.0, ..Claim::new(…) }`.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        area: &str,
        severity: Severity,
        statement: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            area: area.to_owned(),
            statement: statement.into(),
            severity,
            required: true,
            weight: 1.0,
            producer: Producer::Check,
            target: Target::NoDifference,
        }
    }
}

/// How bad a refuted claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing: an object that the contract does not mention.
    Minor,
    /// Consumers are slowed or misled.
    Major,
    /// Consumers break or data is wrong.
    Critical,
}

/// The four producers of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Producer {
    /// A read-only look at a live database.
    Check,
    /// A fault injected into a disposable server.
    Drill,
    /// A measured workload.
    Load,
    /// Test-coverage reports.
    Coverage,
}

impl Producer {
    /// The word for it, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Drill => "drill",
            Self::Load => "load",
            Self::Coverage => "coverage",
        }
    }
}

/// What the evidence for a claim must show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// Expected and found agree: no finding.
    NoDifference,
    /// Not one of the trials went wrong.
    NoneWrong {
        /// What a trial is: `rows`, `commits`.
        unit: String,
    },
    /// A statistic stays at or below a limit.
    AtMost {
        /// Which statistic: `p95`, `mean`.
        statistic: String,
        /// The limit, included.
        limit: f64,
        /// Its unit.
        unit: String,
    },
    /// A statistic stays at or above a limit.
    AtLeast {
        /// Which statistic.
        statistic: String,
        /// The limit, included.
        limit: f64,
        /// Its unit.
        unit: String,
    },
}
