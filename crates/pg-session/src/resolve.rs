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

/// What tells whether a primary has crashed, or another was promoted: its timeline, and
/// when its statistics began, which a crash discards and a clean restart keeps. A reset
/// by hand looks like a crash. Every role may ask.
macro_rules! era {
    () => {
        "CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.concat_ws(' ', \
         pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8), \
         (SELECT extract(epoch FROM stats_reset) FROM pg_catalog.pg_stat_bgwriter)) END"
    };
}

/// The number of the transaction in progress, or none if it has written nothing.
pub(crate) const WHICH: &str =
    concat!("SELECT pg_catalog.pg_current_xact_id_if_assigned()::text, ", era!());

/// The fate of transaction `$1`; on a standby, which may not know it yet, none.
const FATE: &str = concat!(
    "SELECT ",
    era!(),
    ", CASE WHEN NOT pg_catalog.pg_is_in_recovery() \
     THEN pg_catalog.pg_xact_status($1::text::xid8) END"
);

/// "Transaction ID … is in the future": this server has never given the number out.
const IN_THE_FUTURE: &str = "22023";

/// A transaction, so that its fate can be asked for on another connection.
pub(crate) struct Transaction {
    pub(crate) number: String,
    /// The server's [`era`] when it ran.
    pub(crate) era: Option<String>,
}

enum Fate {
    Applied,
    NotApplied,
    /// The server does not remember, or speaks of another transaction.
    Unknown,
    NotYet,
}

/// Asks for the fate of a transaction on other connections, for as long as the command
/// deadline; `lost` is the error of the commit, given back when the fate stays unknown.
///
/// A number whose records had not reached the disk is given out again after a crash, and
/// a standby that lagged may give it out once promoted. So *committed* counts only in the
/// era in which the transaction ran. That it is not committed counts in every era: the
/// number of a transaction that is durably committed is never given out again.
pub(crate) async fn lost_commit(
    shared: &Arc<Shared>,
    transaction: &Transaction,
    lost: Error,
) -> Result<Commit, Error> {
    let deadline = Instant::now() + shared.options.command_timeout;
    while Instant::now() < deadline {
        match ask(shared, transaction).await {
            Ok(Fate::Applied) => return Ok(Commit::Applied),
            Ok(Fate::NotApplied) => return Err(not_applied(lost)),
            Ok(Fate::Unknown) => return Err(lost),
            Ok(Fate::NotYet) | Err(_) => sleep(PAUSE).await,
        }
    }
    Err(lost)
}

/// The server's word on a transaction.
async fn ask(shared: &Arc<Shared>, transaction: &Transaction) -> Result<Fate, Error> {
    let session = Shared::acquire(shared, Instant::now(), Location::caller());
    let mut session = session.await.map_err(Box::new)?;
    let row = match session.fetch_one(FATE, &[&transaction.number]).await {
        Err(error) if error.sqlstate() == Some(IN_THE_FUTURE) => return Ok(Fate::NotApplied),
        answer => answer?,
    };
    let Some(era) = row.get::<_, Option<String>>(0) else { return Ok(Fate::NotYet) };
    let same = transaction.era.as_ref() == Some(&era);
    Ok(match row.get::<_, Option<&str>>(1) {
        Some("committed") if same => Fate::Applied,
        Some("committed") | None => Fate::Unknown,
        Some("aborted") => Fate::NotApplied,
        Some(_) => Fate::NotYet,
    })
}

/// The same error, now that the fate is known.
fn not_applied(mut error: Error) -> Error {
    if let Error::Lost { outcome, .. } | Error::Deadline { outcome, .. } = &mut error {
        *outcome = Outcome::NotApplied;
    }
    error
}
