//! A connection lent to one caller.

use std::ops::{Deref, DerefMut};

use crate::error::Error;
use crate::executor::Executor;
use crate::journal;
use crate::pool::Lease;
use crate::transaction::{Transaction, TransactionOptions};

/// A connection lent to one caller, through [`Pool::acquire`](crate::Pool::acquire).
/// Statements run through [`Executor`]'s methods; each is its own transaction
/// unless one is begun. Dropping the session returns the connection.
pub struct Session(Executor);

impl Session {
    pub(crate) fn new(lease: Lease) -> Self {
        Self(Executor::new(lease))
    }

    /// Begins a transaction. Dropping it without a commit rolls it back.
    ///
    /// # Errors
    /// The errors of [`Executor`].
    pub async fn begin(&mut self, options: &TransactionOptions) -> Result<Transaction<'_>, Error> {
        Transaction::begin(&mut self.0, options).await
    }

    /// Closes the connection instead of returning it, stopping whatever runs on it.
    pub fn close(mut self) {
        journal::ran("close");
        self.0.close_connection();
    }
}

impl Deref for Session {
    type Target = Executor;

    fn deref(&self) -> &Executor {
        &self.0
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Executor {
        &mut self.0
    }
}
