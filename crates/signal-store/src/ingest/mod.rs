//! Ingest: batches by COPY, and single records that share commits. Each batch takes
//! effect once, however often it is sent.
//!
//! A batch has an id, and a row in the ledger `signal_ingest_batch` that the same
//! transaction writes. When the answer to a commit is lost, the batch is sent again
//! under the same id: either the ledger knows it, or it was never applied. The
//! ledger forgets after a while, see [`Ingest::prune_batches`]; a batch is not to
//! be sent again after that.

mod attempts;
mod batch;
mod id;
mod record;
mod writer;

use std::time::Duration;

use pg_session::{Pool, RetryPolicy};

pub use self::batch::{BatchReport, Verdict};
pub use self::id::BatchId;
pub use self::record::IngestRecord;
pub(crate) use self::record::sealed::Sealed;
pub use self::writer::{Writer, WriterOptions};
use crate::error::Error;
use crate::patience::Patience;
use crate::statements::INGEST_PRUNE;

/// Stores many records. Cloning gives another handle.
#[derive(Clone)]
pub struct Ingest {
    pool: Pool,
    retry: RetryPolicy,
}

impl Ingest {
    /// Records per batch at most.
    pub const MOST_RECORDS: usize = 200_000;

    /// Ingest through the sessions of a pool.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool, retry: RetryPolicy::default() }
    }

    /// The same with other limits for repeating what was not applied, or whose
    /// outcome is not known.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Forgets batches that were stored longer ago than `age`, and gives their
    /// number. Keep them for as long as anybody might send a batch again.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn prune_batches(&self, age: Duration) -> Result<u64, Error> {
        let mut patience = Patience::new(self.retry);
        loop {
            let attempt = async {
                let mut session = self.pool.acquire().await?;
                Ok(session.execute(INGEST_PRUNE, &[&age.as_secs_f64()]).await?)
            };
            match attempt.await {
                Err(Error::Database(error)) if patience.again(&error).await => {}
                other => return other,
            }
        }
    }
}
