//! Whether work that is safe to send again is sent again.

use pg_session::{Class, Error, Outcome, RetryPolicy};
use tokio::time::{Instant, sleep};

/// How often work under one batch id was tried, and until when it is.
pub(crate) struct Patience {
    policy: RetryPolicy,
    begun: Instant,
    failed: u32,
}

impl Patience {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, begun: Instant::now(), failed: 0 }
    }

    /// Whether to try again after `error`, once a pause is over. Lost answers are
    /// asked for again: the ledger knows whether the work was applied.
    pub(crate) async fn again(&mut self, error: &Error) -> bool {
        let passes = match error.class() {
            Class::Conflict
            | Class::StaleStatement
            | Class::Lost
            | Class::Unavailable
            | Class::Connect
            | Class::ReadOnly => true,
            _ => error.outcome() == Outcome::Unknown,
        };
        self.failed += 1;
        if !passes || self.failed >= self.policy.attempts {
            return false;
        }
        let pause = self.policy.pause_after(self.failed);
        if self.begun.elapsed() + pause > self.policy.deadline {
            return false;
        }
        sleep(pause).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn no_attempt_begins_after_the_deadline() {
        let lost = Error::Lost { outcome: Outcome::NotApplied, cause: None };
        let policy = RetryPolicy { deadline: Duration::ZERO, ..RetryPolicy::default() };
        assert!(!Patience::new(policy).again(&lost).await);
        let mut patience = Patience::new(RetryPolicy::default());
        for _ in 1..RetryPolicy::default().attempts {
            assert!(patience.again(&lost).await);
        }
        assert!(!patience.again(&lost).await, "attempts are limited");
        let refused = Error::Config(String::new());
        assert!(!Patience::new(RetryPolicy::default()).again(&refused).await);
    }
}
