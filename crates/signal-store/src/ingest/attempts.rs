//! Attempts at work under one batch id.

use pg_session::{Class, Error, Outcome, RetryPolicy};

use crate::patience::Patience;

/// How often work under one id was tried, and whether that may have applied it.
pub(super) struct Attempts {
    patience: Patience,
    /// The first error that left open what became of the work.
    unknown: Option<Error>,
}

impl Attempts {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { patience: Patience::new(policy), unknown: None }
    }

    /// Returns when it is time to try again after `error`.
    ///
    /// # Errors
    /// The error to be told when the work is given up. An attempt that may have been
    /// applied stays in doubt when those after it could not ask.
    pub(super) async fn again(&mut self, error: Error) -> Result<(), Error> {
        if self.patience.again(&error).await {
            if error.outcome() == Outcome::Unknown {
                self.unknown.get_or_insert(error);
            }
            return Ok(());
        }
        // Rows are refused only under an id that was free: nothing was applied before.
        if is_refusal(&error) {
            return Err(error);
        }
        Err(self.unknown.take().unwrap_or(error))
    }
}

/// Whether the server refused a row, and not the work.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(error.class(), Class::Constraint | Class::Data | Class::Raised)
}
