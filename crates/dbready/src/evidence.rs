//! Evidence: what was observed for a claim, by which method, when and on which server.
//!
//! Producers record evidence and never judge it; [`crate::verdict`] does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a reason begins that says of a claim that it needs another edition of `TimescaleDB`.
pub const NEEDS_COMMUNITY: &str = "needs the Community edition of TimescaleDB";

/// What one producer observed for one claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Id of the claim.
    pub claim: String,
    /// How it was observed, in a few words: `pg_catalog snapshot`, `EXPLAIN`.
    pub method: String,
    /// Names of the statements that were run for it, of those in [`Statements`].
    pub statements: Vec<String>,
    /// What was observed.
    pub outcome: Outcome,
}

/// The texts of statements as they were sent, by name: the file that holds the text, or what it does
/// where it is composed for the object that it looks at.
pub type Statements = BTreeMap<String, String>;

impl Evidence {
    /// Evidence for which no statement is named.
    #[must_use]
    pub fn new(claim: impl Into<String>, method: impl Into<String>, outcome: Outcome) -> Self {
        let (claim, method) = (claim.into(), method.into());
        Self { claim, method, statements: Vec::new(), outcome }
    }

    /// The same with statements that were run for it.
    #[must_use]
    pub fn by<T: Into<String>>(mut self, statements: impl IntoIterator<Item = T>) -> Self {
        self.statements.extend(statements.into_iter().map(Into::into));
        self
    }
}

/// What was observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// Expected and found were compared, thing by thing.
    Compared {
        /// How many things were compared; zero settles nothing.
        n: u64,
        /// What was found, in a few words, for the reader of a proven claim.
        found: String,
        /// Every difference.
        findings: Vec<Finding>,
    },
    /// Trials were counted.
    Counted {
        /// Trials made; zero settles nothing.
        trials: u64,
        /// Trials there could have been, when only a sample was taken.
        population: Option<u64>,
        /// Trials that went wrong.
        wrong: u64,
        /// Some of those that went wrong.
        findings: Vec<Finding>,
    },
    /// A statistic was measured.
    Measured {
        /// Samples taken.
        n: u64,
        /// Samples needed for the bound to mean anything.
        n_needed: u64,
        /// The statistic.
        value: f64,
        /// The bound of its 95 % confidence interval on the side of the limit.
        bound: f64,
        /// Unit.
        unit: String,
        /// Further statistics by name, in the same unit.
        statistics: Vec<(String, f64)>,
    },
    /// Nothing could be observed.
    NotMeasured {
        /// Why.
        reason: String,
    },
}

/// One difference between what the contract states and what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The object: `public.signal_greeks.delta`.
    pub object: String,
    /// What the contract states.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// The statement that would mend it, or what to do.
    pub remedy: Option<String>,
}

/// Facts about the server that the evidence comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerFacts {
    /// Host and port or socket, and database; never a password.
    pub address: String,
    /// Database name.
    pub database: String,
    /// Role that looked.
    pub role: String,
    /// `server_version`, such as `17.5`.
    pub postgresql: String,
    /// `server_version_num`.
    pub postgresql_num: u32,
    /// Version of the timescaledb extension, when it is installed in the database.
    pub timescaledb: Option<String>,
    /// Edition, when the extension is installed: `apache` or `timescale` (Community), from `timescaledb.license`.
    pub license: Option<String>,
    /// Settings worth knowing beside any figure: `fsync`, `TimeZone`, `shared_buffers` …
    pub settings: Vec<(String, String)>,
}

impl ServerFacts {
    /// The value of one of [`Self::settings`], whatever the case of its name; `None` when the role may
    /// not see it.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        let mut settings = self.settings.iter();
        let found = settings.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the server runs the Community edition of `TimescaleDB`.
    #[must_use]
    pub fn is_community(&self) -> bool {
        self.timescaledb.is_some() && self.license.as_deref() == Some("timescale")
    }

    /// Why what needs the Community edition is not settled on a server without it.
    #[must_use]
    pub fn without_community(&self) -> String {
        let found = self.license.as_deref().unwrap_or("no TimescaleDB");
        format!("{NEEDS_COMMUNITY}; the server has `{found}`")
    }
}
