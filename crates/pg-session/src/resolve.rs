//! Finding out what became of a commit whose answer was lost.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Error, Outcome};
use crate::pool::Shared;
use crate::transaction::Commit;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks for the fate of transaction `xid` on other connections, for as long as
/// the command deadline; `lost` is the error of the commit, given back when the
/// fate stays unknown. After an asynchronous failover the number may belong to
/// another transaction: do not ask for resolution then.
pub(crate) async fn lost_commit(
    shared: &Arc<Shared>,
    xid: &str,
    lost: Error,
) -> Result<Commit, Error> {
    let deadline = Instant::now() + shared.options.command_timeout;
    while Instant::now() < deadline {
        match ask(shared, xid).await {
            Ok(Some(status)) if status == "committed" => return Ok(Commit::Applied),
            Ok(Some(status)) if status == "aborted" => return Err(not_applied(lost)),
            Ok(None) => return Err(lost),
            Ok(Some(_)) | Err(_) => sleep(PAUSE).await,
        }
    }
    Err(lost)
}

/// The server's word on a transaction; none if it no longer remembers.
async fn ask(shared: &Arc<Shared>, xid: &str) -> Result<Option<String>, Error> {
    let session = Shared::acquire(shared, Instant::now(), Location::caller());
    let mut session = session.await.map_err(Box::new)?;
    session.fetch_value("SELECT pg_catalog.pg_xact_status($1::text::xid8)", &[&xid]).await
}

fn not_applied(error: Error) -> Error {
    match error {
        Error::Lost { cause, .. } => Error::Lost { outcome: Outcome::NotApplied, cause },
        Error::Deadline { after, .. } => Error::Deadline { after, outcome: Outcome::NotApplied },
        other => other,
    }
}
