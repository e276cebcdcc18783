//! The one error type of the store.

use std::sync::Arc;

use pg_session::{AcquireError, Class, MaybeDatabaseError, Outcome};

use crate::ingest::BatchId;
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
    /// The database's schema is not of a version that this program works with.
    #[error(
        "expected schema version {needed} or a later one that is compatible, found {} — run the migrations of this version",
        .found.as_deref().unwrap_or("none")
    )]
    SchemaVersion {
        /// The version that this program was made for.
        needed: &'static str,
        /// The version that was applied last, if there is one.
        found: Option<String>,
    },
    /// More at once than one call takes; nothing was sent.
    #[error("expected at most {limit} {what} at once, found {found} — divide the work")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there is, or could be.
        found: u64,
        /// How much a call takes.
        limit: u64,
    },
    /// Other records were stored under the name of this batch; nothing was changed.
    #[error("batch {id} was stored before with other records — give each batch a name of its own")]
    BatchReused {
        /// The name.
        id: BatchId,
    },
    /// The writer is closed, or its task has ended.
    #[error("the writer takes no more records; {}", match .outcome {
        Outcome::NotApplied => "this one is not stored",
        Outcome::Unknown => "this one may be stored",
    })]
    WriterClosed {
        /// Whether the record may be stored.
        outcome: Outcome,
    },
    /// The commit that a record shared with others failed.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// The database or the way to it failed.
    #[error(transparent)]
    Database(#[from] pg_session::Error),
}

impl Error {
    /// How the error is to be treated.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Invalid(_) | Self::TooMany { .. } | Self::BatchReused { .. } => Class::Data,
            Self::WriterClosed { .. } => Class::Bug,
            Self::Shared(error) => error.class(),
            Self::SchemaVersion { .. } => Class::Drift,
            Self::Database(error) => error.class(),
        }
    }

    /// What became of the call's work.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::WriterClosed { outcome } => *outcome,
            Self::Shared(error) => error.outcome(),
            other => other.database_error().map_or(Outcome::NotApplied, pg_session::Error::outcome),
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
            Self::Shared(error) => error.database_error(),
            _ => None,
        }
    }
}
