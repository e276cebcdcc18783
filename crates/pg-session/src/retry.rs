//! Repeating whole transactions, where the outcome allows it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Class, Error, Outcome};
use crate::pool::Pool;
use crate::random;
use crate::transaction::{Commit, Transaction, TransactionOptions};

/// How often and for how long a transaction is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all. Default 5.
    pub attempts: u32,
    /// No attempt begins later than this after the first. Default 30 s.
    pub deadline: Duration,
    /// The first pause at most; it doubles with each attempt and is drawn at
    /// random. Default 10 ms.
    pub pause: Duration,
    /// A pause at most. Default 1 s.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            deadline: Duration::from_secs(30),
            pause: Duration::from_millis(10),
            longest_pause: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    fn pause_after(&self, attempt: u32) -> Duration {
        let limit = self.pause.saturating_mul(1 << attempt.min(16)).min(self.longest_pause);
        random::up_to(limit)
    }
}

/// An error of a transaction's body that may come from the database.
pub trait MaybeDatabaseError: From<Error> {
    /// The database's error, if this is one.
    fn database_error(&self) -> Option<&Error>;
}

impl MaybeDatabaseError for Error {
    fn database_error(&self) -> Option<&Error> {
        Some(self)
    }
}

/// What retries may cost in all: when most calls fail, repeating them only adds
/// to the load. A success earns a tenth of a retry, up to ten.
pub(crate) struct Budget(AtomicU32);

impl Budget {
    const FULL: u32 = 100;
    const RETRY: u32 = 10;

    fn earn(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tenths| {
            (tenths < Self::FULL).then(|| tenths + 1)
        });
    }

    fn spend(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tenths| {
                tenths.checked_sub(Self::RETRY)
            })
            .is_ok()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(Self::FULL))
    }
}

/// Whether the whole transaction may be run again after `error`. `elsewhere`
/// says that a server which refuses writes is not met again.
fn may_repeat(error: &Error, elsewhere: bool) -> bool {
    let passes = match error.class() {
        Class::Conflict | Class::StaleStatement | Class::Lost | Class::Unavailable => true,
        Class::ReadOnly => elsewhere,
        _ => false,
    };
    passes && error.outcome() == Outcome::NotApplied && !matches!(error, Error::Acquire(_))
}

impl Pool {
    /// Runs `body` in a transaction and commits it; `body` runs again in a new
    /// transaction after a conflict, a stale statement or a connection lost before
    /// the commit, as `policy` and the pool's retry budget allow; also when the
    /// server accepts no writes and `target_session_attrs` leads to another. A
    /// commit whose outcome is unknown is never repeated. `body` must have no
    /// effects outside its transaction.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn transact<T, E, F>(
        &self,
        options: &TransactionOptions,
        policy: &RetryPolicy,
        mut body: F,
    ) -> Result<T, E>
    where
        E: MaybeDatabaseError,
        F: AsyncFnMut(&mut Transaction<'_>) -> Result<T, E>,
    {
        let end = Instant::now() + policy.deadline;
        let budget = &self.shared().retry_budget;
        let elsewhere = !options.read_only && self.shared().seeks_writable();
        let mut attempt = 0;
        loop {
            let error = match self.attempt(options, &mut body).await {
                Ok((value, _)) => {
                    budget.earn();
                    return Ok(value);
                }
                Err(error) => error,
            };
            let pause = policy.pause_after(attempt);
            attempt += 1;
            let repeat = error.database_error().is_some_and(|error| may_repeat(error, elsewhere))
                && attempt < policy.attempts
                && Instant::now() + pause < end
                && budget.spend();
            if !repeat {
                return Err(error);
            }
            metrics::counter!("pg_session_retries_total").increment(1);
            sleep(pause).await;
        }
    }

    async fn attempt<T, E, F>(
        &self,
        options: &TransactionOptions,
        body: &mut F,
    ) -> Result<(T, Commit), E>
    where
        E: MaybeDatabaseError,
        F: AsyncFnMut(&mut Transaction<'_>) -> Result<T, E>,
    {
        let mut session = self.acquire().await.map_err(|error| Error::from(Box::new(error)))?;
        let mut transaction = session.begin(options).await?;
        let value = body(&mut transaction).await?;
        let commit = transaction.commit().await?;
        Ok((value, commit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_spent_and_earned() {
        let budget = Budget::default();
        assert_eq!((0..20).filter(|_| budget.spend()).count(), 10);
        (0..9).for_each(|_| budget.earn());
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend());
    }

    #[test]
    fn pauses_grow_to_their_limit() {
        let policy = RetryPolicy::default();
        for attempt in 0..40 {
            let limit = Duration::from_millis(10).saturating_mul(1 << attempt.min(16));
            assert!(policy.pause_after(attempt) <= limit.min(Duration::from_secs(1)));
        }
    }
}
