//! A connection on loan, and every way in which it comes back.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::Shared;
use crate::connection::Connection;

/// The time for telling the server to stop what an abandoned call began.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);
/// The time for resetting a session before the next caller gets it.
const RESET_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that a caller holds, with its place in the pool. The place is
/// free again only when the connection is back or gone.
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    pub(crate) shared: Arc<Shared>,
    place: Place,
}

/// One of the pool's places, and the record of who holds it.
pub(crate) struct Place {
    shared: Arc<Shared>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(super) fn take(
        shared: &Arc<Shared>,
        permit: OwnedSemaphorePermit,
        location: &'static Location<'static>,
    ) -> Self {
        let number = shared.record_holder(location);
        Self { shared: Arc::clone(shared), number, _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.forget_holder(self.number);
    }
}

impl Lease {
    pub(super) fn new(connection: Connection, shared: Arc<Shared>, place: Place) -> Self {
        Self { connection, shared, place }
    }

    /// Hands the connection to the next caller; closes it if it is worn out,
    /// resets it first if something was run that outlives a transaction.
    pub(crate) fn give_back(mut self) {
        let shared = Arc::clone(&self.shared);
        self.connection.returned = Instant::now();
        if shared.is_closed() || !self.connection.is_fit(shared.era()) {
            shared.count_closed();
        } else if self.connection.needs_reset {
            let runtime = shared.runtime.clone();
            runtime.spawn(self.reset());
        } else {
            shared.put_idle(self.connection);
            drop(self.place);
        }
    }

    /// `DISCARD ALL` fails inside a transaction, so what comes back clean has none.
    async fn reset(mut self) {
        let reset = self.connection.batch("DISCARD ALL");
        if matches!(timeout(RESET_TIMEOUT, reset).await, Ok(Ok(()))) {
            self.connection.forget_statements();
            self.connection.needs_reset = false;
            self.shared.put_idle(self.connection);
            drop(self.place);
        } else {
            self.stop().await;
        }
    }

    /// Closes a connection on which a command may still be running, after
    /// telling the server to stop it. The connection is never used again, so the
    /// request cannot hit another command.
    pub(crate) fn quarantine(self) {
        let runtime = self.shared.runtime.clone();
        runtime.spawn(self.stop());
    }

    async fn stop(self) {
        let Self { connection, shared, place } = self;
        let Connection { client, mut task, .. } = connection;
        if !client.is_closed() {
            let request = client.cancel_token();
            let cancel = request.cancel_query(shared.connector.for_attempt());
            if !matches!(timeout(CANCEL_TIMEOUT, cancel).await, Ok(Ok(()))) {
                tracing::debug!("the cancel request did not reach the server");
            }
        }
        // The driver says goodbye once the server has answered what was asked.
        drop(client);
        if timeout(CANCEL_TIMEOUT, &mut task).await.is_err() {
            task.abort();
        }
        shared.count_quarantined();
        drop(place);
    }
}
