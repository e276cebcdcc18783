//! One sabotage: what is broken, which claim must notice, and what falls with it.

use std::collections::BTreeSet;
use std::fmt;

use crate::contract::Contract;

/// A deliberate break that must turn one claim to refuted.
pub(super) struct Sabotage {
    /// What is done, in a few words: `dropped`.
    pub(super) what: String,
    /// Id of the claim that must notice.
    pub(super) target: String,
    /// How.
    pub(super) breaks: Break,
    /// Further claims that may be refuted, because they speak of what is broken too.
    pub(super) falls: BTreeSet<String>,
}

/// How a sabotage breaks something.
pub(super) enum Break {
    /// Statements on the twin, within a transaction. The first of these ways that the server takes.
    Sql(Vec<String>),
    /// A query of the contract, by its place, has another text.
    Query(usize, String),
    /// The contract asks for something else than the twin has; where nothing on the server can be
    /// changed.
    Contract(Box<dyn Fn(&mut Contract) + Send + Sync>),
}

impl Sabotage {
    /// A sabotage of the twin by the first statement that the server takes.
    pub(super) fn sql<W: Into<String>>(
        target: impl Into<String>,
        what: impl Into<String>,
        ways: impl IntoIterator<Item = W>,
    ) -> Self {
        Self {
            what: what.into(),
            target: target.into(),
            breaks: Break::Sql(ways.into_iter().map(Into::into).collect()),
            falls: BTreeSet::new(),
        }
    }

    /// A sabotage of what the contract asks for.
    pub(super) fn contract(
        target: impl Into<String>,
        what: impl Into<String>,
        change: impl Fn(&mut Contract) + Send + Sync + 'static,
    ) -> Self {
        Self {
            what: what.into(),
            target: target.into(),
            breaks: Break::Contract(Box::new(change)),
            falls: BTreeSet::new(),
        }
    }

    /// A sabotage of the text of a query.
    pub(super) fn query(
        target: impl Into<String>,
        what: impl Into<String>,
        at: usize,
        text: String,
    ) -> Self {
        Self {
            what: what.into(),
            target: target.into(),
            breaks: Break::Query(at, text),
            falls: BTreeSet::new(),
        }
    }

    /// Adds claims that may fall with the target.
    #[must_use]
    pub(super) fn with(mut self, claims: impl IntoIterator<Item = String>) -> Self {
        self.falls.extend(claims);
        self
    }

    /// Claim and break in one line.
    #[must_use]
    pub(super) fn name(&self) -> String {
        format!("{}: {}", self.target, self.what)
    }
}

impl fmt::Debug for Sabotage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("Sabotage");
        shown.field("name", &self.name());
        if let Break::Sql(ways) = &self.breaks {
            shown.field("ways", ways);
        }
        shown.finish_non_exhaustive()
    }
}
