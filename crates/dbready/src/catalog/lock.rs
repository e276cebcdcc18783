//! The migration lock, shared: while it is held, no migration starts and none is half done.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use crate::Error;
use crate::sql::MIGRATION_LOCK;

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether the schema stood still while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// The lock was held from before the first look until the end.
    Held,
    /// A migration held it all the time that we were ready to wait.
    Busy {
        /// How long that was.
        waited: Duration,
    },
}

/// Takes the lock in shared mode until the transaction ends, or gives up after `patience`.
pub(super) async fn take(transaction: &Transaction<'_>, patience: Duration) -> Result<Lock, Error> {
    let started = Instant::now();
    loop {
        let rows = transaction
            .query_typed(
                "SELECT pg_try_advisory_xact_lock_shared($1)",
                &[(&MIGRATION_LOCK, Type::INT8)],
            )
            .await?;
        let taken = rows.first().map_or(Ok(false), |row| row.try_get(0))?;
        let waited = started.elapsed();
        if taken {
            return Ok(Lock::Held);
        }
        if waited >= patience {
            return Ok(Lock::Busy { waited });
        }
        sleep(PAUSE).await;
    }
}
