//! Statements that may fail without ending the examination.

use futures_util::future::join;
use pg_session::Class;
use tokio_postgres::Transaction;

use crate::Error;

/// What came of looking at one thing.
#[derive(Debug, Clone, PartialEq)]
pub enum Look<T> {
    /// It was seen.
    Seen(T),
    /// The server refused the statement.
    Refused(Refusal),
    /// There was no way to look, and this is why.
    NotLooked(String),
}

impl<T> Look<T> {
    /// The same look at a part of what was seen.
    pub(super) fn map<U>(self, part: impl FnOnce(T) -> U) -> Look<U> {
        match self {
            Self::Seen(seen) => Look::Seen(part(seen)),
            Self::Refused(refusal) => Look::Refused(refusal),
            Self::NotLooked(reason) => Look::NotLooked(reason),
        }
    }
}

impl<T> From<Result<T, Refusal>> for Look<T> {
    fn from(answer: Result<T, Refusal>) -> Self {
        match answer {
            Ok(seen) => Self::Seen(seen),
            Err(refusal) => Self::Refused(refusal),
        }
    }
}

/// An error that the server reported for a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its SQLSTATE.
    pub sqlstate: String,
    /// The report on one line, made fit for printing.
    pub message: String,
    /// How it is to be treated.
    pub class: Class,
}

impl Refusal {
    /// Whether the refusal says something about this examination and not about the thing looked at:
    /// a missing privilege, a time limit, a lock that was not free, a server out of resources.
    #[must_use]
    pub fn is_circumstance(&self) -> bool {
        matches!(
            self.class,
            Class::Privilege | Class::Timeout | Class::Conflict | Class::Resource | Class::ReadOnly
        )
    }
}

/// Runs `work` in a savepoint of its own and rolls it back, so that a refusal ends neither the
/// transaction nor the examination. The savepoint is sent together with what comes first of the work.
///
/// # Errors
///
/// [`Error::Database`] when the connection is lost, [`Error::Catalog`] when an answer could not be
/// read.
pub(super) async fn attempt<T>(
    transaction: &mut Transaction<'_>,
    work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, tokio_postgres::Error>,
) -> Result<Result<T, Refusal>, Error> {
    let transaction = &*transaction;
    let savepoint = transaction.batch_execute("SAVEPOINT attempt");
    let (begun, answer) = join(savepoint, work(transaction)).await;
    begun?;
    let answer = match answer {
        Ok(seen) => Ok(seen),
        Err(error) => Err(refusal(error.into())?),
    };
    let end = "ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt";
    transaction.batch_execute(end).await?;
    Ok(answer)
}

/// What the server said, unless the connection ended with it or nobody answered.
fn refusal(error: pg_session::Error) -> Result<Refusal, Error> {
    let Some(report) = error.server().filter(|report| !report.is_fatal()) else {
        return Err(error.into());
    };
    Ok(Refusal {
        sqlstate: report.sqlstate().to_owned(),
        message: report.to_string(),
        class: report.class(),
    })
}
