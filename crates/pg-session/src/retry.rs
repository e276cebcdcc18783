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
    /// A pause whose limit has doubled `attempts` times, drawn at random: callers that
    /// failed together do not come back together.
    #[must_use]
    pub fn pause_after(&self, attempts: u32) -> Duration {
        let limit = self.pause.saturating_mul(1 << attempts.min(16)).min(self.longest_pause);
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
/// to the load. A success earns a tenth of a retry, up to ten. Deadlocks and
/// serialization failures cost nothing: where one transaction loses another goes on,
/// so they say nothing of the server's health, and many that meet may all have to
/// repeat.
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

/// Whether the transaction lost to another one, which the server lets go on.
fn another_goes_on(error: &Error) -> bool {
    matches!(error.sqlstate(), Some("40001" | "40P01"))
}

/// What [`Pool::transact`] does between its attempts, made by [`Pool::retries`].
///
/// ```
/// # use pg_session::{Error, Pool, RetryPolicy};
/// # async fn run(pool: &Pool) -> Result<u64, Error> {
/// let mut retries = pool.retries(&RetryPolicy::default());
/// loop {
///     let attempt = async {
///         let mut session = pool.acquire().await.map_err(Box::new)?;
///         session.execute("UPDATE signal SET seen = now()", &[]).await
///     };
///     match attempt.await {
///         Ok(rows) => {
///             retries.succeeded();
///             return Ok(rows);
///         }
///         Err(error) if retries.again(&error).await => {}
///         Err(error) => return Err(error),
///     }
/// }
/// # }
/// ```
pub struct Retries {
    pool: Pool,
    policy: RetryPolicy,
    end: Instant,
    /// Attempts that have failed.
    failed: u32,
    /// Whether a server that refuses writes is not met again.
    elsewhere: bool,
    /// Whether the work may be done twice.
    harmless: bool,
}

impl Retries {
    /// The same for work that may be done twice without harm, such as a read: it is
    /// tried again also when its outcome is unknown.
    #[must_use]
    pub fn harmless(self) -> Self {
        Self { harmless: true, ..self }
    }

    fn may_repeat(&self, error: &Error) -> bool {
        let passes = match error.class() {
            Class::Conflict | Class::StaleStatement | Class::Lost | Class::Unavailable => true,
            Class::ReadOnly => self.elsewhere,
            _ => false,
        };
        passes
            && (self.harmless || error.outcome() == Outcome::NotApplied)
            && !matches!(error, Error::Acquire(_))
    }

    /// Whether to try again after `error`, once a pause is over: if nothing was
    /// applied, another attempt may end better, and the policy allows it; after
    /// anything but a deadlock or a serialization failure the pool's retry budget
    /// must allow it too.
    pub async fn again(&mut self, error: &Error) -> bool {
        let pause = self.policy.pause_after(self.failed);
        self.failed += 1;
        let again = self.may_repeat(error)
            && self.failed < self.policy.attempts
            && Instant::now() + pause < self.end
            && (another_goes_on(error) || self.pool.shared().retry_budget.spend());
        if again {
            metrics::counter!("pg_session_retries_total").increment(1);
            sleep(pause).await;
        }
        again
    }

    /// Tells the pool's retry budget that an attempt has ended well.
    pub fn succeeded(self) {
        self.pool.shared().retry_budget.earn();
    }
}

impl Pool {
    /// Runs `body` in a transaction and commits it; `body` runs again in a new
    /// transaction after a conflict, a stale statement or a connection lost before
    /// the commit, as `policy` allows and, after anything but a deadlock or a
    /// serialization failure, the pool's retry budget; also when the server accepts no
    /// writes and `target_session_attrs` leads to another. A commit whose outcome is
    /// unknown is never repeated. `body` must have no effects outside its transaction.
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
        let mut retries = self.retries(policy);
        retries.elsewhere &= !options.read_only;
        loop {
            let error = match self.attempt(options, &mut body).await {
                Ok((value, _)) => {
                    retries.succeeded();
                    return Ok(value);
                }
                Err(error) => error,
            };
            let repeat = match error.database_error() {
                Some(error) => retries.again(error).await,
                None => false,
            };
            if !repeat {
                return Err(error);
            }
        }
    }

    /// The attempts of one call, for loops of the caller's own around one
    /// transaction, or around one statement outside of any.
    #[must_use]
    pub fn retries(&self, policy: &RetryPolicy) -> Retries {
        Retries {
            pool: self.clone(),
            policy: *policy,
            end: Instant::now() + policy.deadline,
            failed: 0,
            elsewhere: self.shared().seeks_writable(),
            harmless: false,
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
        // A full one earns nothing.
        let budget = Budget::default();
        budget.earn();
        assert_eq!((0..20).filter(|_| budget.spend()).count(), 10);
        (0..9).for_each(|_| budget.earn());
        assert!(!budget.spend());
    }

    #[test]
    fn pauses_grow_to_their_limit() {
        let policy = RetryPolicy::default();
        for attempt in 0..40 {
            let limit = Duration::from_millis(10).saturating_mul(1 << attempt.min(16));
            let limit = limit.min(Duration::from_secs(1));
            let longest = (0..500).map(|_| policy.pause_after(attempt)).max().unwrap();
            assert!(longest > limit / 2 && longest <= limit, "{attempt}: {longest:?} at most");
        }
    }
}
