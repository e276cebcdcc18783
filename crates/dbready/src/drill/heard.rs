//! What a caller of the layer was told.

use std::time::Duration;

use pg_session::{Class, MaybeDatabaseError, Outcome};

use super::journal::Answer;
use super::record::{Invariant, Trial};

/// The answer to one call, as the layer gave it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    /// What it says about the work.
    pub(crate) answer: Answer,
    /// The error's class; none for a success.
    pub(crate) class: Option<Class>,
    /// The error's SQLSTATE, if the server sent one.
    pub(crate) sqlstate: Option<String>,
    /// The error's text, or `ok`.
    pub(crate) text: String,
    /// How long the caller waited.
    pub(crate) took: Duration,
}

/// An error of a layer, in the words that all its layers share.
pub(crate) trait Told: std::fmt::Display {
    fn class(&self) -> Class;
    fn outcome(&self) -> Outcome;
    fn sqlstate(&self) -> Option<&str>;
}

impl Told for pg_session::Error {
    fn class(&self) -> Class {
        self.class()
    }

    fn outcome(&self) -> Outcome {
        self.outcome()
    }

    fn sqlstate(&self) -> Option<&str> {
        self.sqlstate()
    }
}

impl Told for signal_store::Error {
    fn class(&self) -> Class {
        self.class()
    }

    fn outcome(&self) -> Outcome {
        self.outcome()
    }

    fn sqlstate(&self) -> Option<&str> {
        self.database_error().and_then(pg_session::Error::sqlstate)
    }
}

impl Heard {
    pub(crate) fn of<T, E: Told>(result: &Result<T, E>, took: Duration) -> Self {
        match result {
            Ok(_) => Self {
                answer: Answer::Acknowledged,
                class: None,
                sqlstate: None,
                text: "ok".to_owned(),
                took,
            },
            Err(error) => Self {
                answer: match error.outcome() {
                    Outcome::NotApplied => Answer::NotApplied,
                    Outcome::Unknown => Answer::Unknown,
                },
                class: Some(error.class()),
                sqlstate: error.sqlstate().map(str::to_owned),
                text: error.to_string(),
                took,
            },
        }
    }

    /// For a report: class, SQLSTATE and text.
    pub(crate) fn in_words(&self) -> String {
        let class = self.class.map_or("success", Class::name);
        let code = self.sqlstate.as_deref().unwrap_or("no SQLSTATE");
        format!("{class}, {code}, {:?}, after {:?}: {}", self.answer, self.took, self.text)
    }
}

impl Trial {
    /// States that a call ended in an error of one of these classes, after which nothing was applied.
    pub(crate) fn expect_refusal(&mut self, what: &str, heard: &Heard, classes: &[Class]) {
        let names: Vec<&str> = classes.iter().map(|class| class.name()).collect();
        self.expect(
            Invariant::TypedError,
            heard.class.is_some_and(|class| classes.contains(&class))
                && heard.answer == Answer::NotApplied,
            format!("{what}: an error of class {}, nothing applied", names.join(" or ")),
            heard.in_words(),
        );
    }

    /// States that a call's error has this SQLSTATE.
    pub(crate) fn expect_sqlstate(&mut self, what: &str, heard: &Heard, sqlstate: &str) {
        let holds = heard.sqlstate.as_deref() == Some(sqlstate);
        let expected = format!("{what}: SQLSTATE {sqlstate}");
        self.expect(Invariant::TypedError, holds, expected, heard.in_words());
    }

    /// States that a call succeeded.
    pub(crate) fn expect_success(&mut self, what: &str, heard: &Heard) {
        let holds = heard.answer == Answer::Acknowledged && heard.class.is_none();
        self.expect(Invariant::Claimed, holds, format!("{what}: success"), heard.in_words());
    }

    /// States that a call came back within its time, give or take a twentieth and 250 ms.
    pub(crate) fn expect_within(&mut self, what: &str, took: Duration, deadline: Duration) {
        let limit = bounded(deadline);
        let expected = format!("{what}: an answer within {limit:?}");
        self.expect(Invariant::BoundedWait, took <= limit, expected, format!("{took:?}"));
    }
}

/// A deadline with the tolerance that every drill allows: 250 ms or a twentieth.
pub(crate) fn bounded(deadline: Duration) -> Duration {
    deadline + (deadline / 20).max(Duration::from_millis(250))
}
