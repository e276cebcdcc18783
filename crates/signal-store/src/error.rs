//! The one error type of the store.

use pg_session::{AcquireError, Class, MaybeDatabaseError, Outcome};

use crate::violation::Violation;

/// Everything that can go wrong between a caller and its records. How to treat an
/// error is in [`class`](Self::class) and [`outcome`](Self::outcome), in the words
/// of [`pg_session::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A record or parameter breaks the contract; nothing was sent.
    #[error(transparent)]
    Invalid(#[from] Violation),
    /// The database or the way to it failed.
    #[error(transparent)]
    Database(#[from] pg_session::Error),
}

impl Error {
    /// How the error is to be treated.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Invalid(_) => Class::Data,
            Self::Database(error) => error.class(),
        }
    }

    /// What became of the call's work.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Database(error) => error.outcome(),
            Self::Invalid(_) => Outcome::NotApplied,
        }
    }
}

impl From<AcquireError> for Error {
    fn from(error: AcquireError) -> Self {
        Self::Database(Box::new(error).into())
    }
}

impl MaybeDatabaseError for Error {
    fn database_error(&self) -> Option<&pg_session::Error> {
        match self {
            Self::Database(error) => Some(error),
            Self::Invalid(_) => None,
        }
    }
}
