//! Migrations: ordered scripts, each in one transaction, recorded with their checksums.
//!
//! Every applied migration has a row in the contract's version table, which its own script writes,
//! and a row in the runner's table `dbready.migration`, which holds the checksum. One run at a time
//! holds the advisory lock [`MIGRATION_LOCK`] for its session; through a pooler in transaction mode
//! that lock would mean nothing, so connect to the server itself.
//!
//! Dropping a future of this module ends the session, and with it the open transaction and the lock.

mod error;
mod ledger;
mod script;
pub mod verify;

use std::time::Duration;

use semver::Version;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

pub use error::Error;
pub use ledger::Status;

use crate::contract::{Contract, Migration};
use crate::sql::MIGRATION_LOCK;
use ledger::State;

/// How a run behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest wait for another runner to finish.
    pub lock_wait: Duration,
    /// Longest wait of one statement for a lock on a table; a migration that waits longer holds up
    /// everybody behind it.
    pub lock_timeout: Duration,
    /// Record versions that were applied without this runner, instead of refusing them.
    pub adopt: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lock_wait: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            adopt: false,
        }
    }
}

/// One step of a run, in words: `applied 1.1.0 …`.
pub type Progress<'a> = dyn Fn(&str) + Send + Sync + 'a;

/// Which migrations are applied and which are pending. Reads only, and takes no lock.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn status(client: &mut Client, contract: &Contract) -> Result<Status, Error> {
    let state = State::read(client, contract).await?;
    Ok(state.status(contract))
}

/// Applies every pending migration up to and with `to`, or all; gives the versions applied.
///
/// # Errors
///
/// [`Error::Locked`] when another run does not finish in time; [`Error::Refused`] when the database
/// and the contract do not fit together; [`Error::Target`] when `to` is no version of the contract;
/// [`Error::Script`] when a script fails, with its line, [`Error::ExtensionMissing`] when an extension
/// may be what it lacked, [`Error::NoVersionRow`] and
/// [`Error::TransactionEnded`] when it misbehaves — the transaction is rolled back, and what was
/// applied before stays; [`Error::Unknown`] when the connection broke during COMMIT;
/// [`Error::Database`].
pub async fn up(
    client: &mut Client,
    contract: &Contract,
    to: Option<&Version>,
    options: &Options,
    progress: &Progress<'_>,
) -> Result<Vec<Version>, Error> {
    if let Some(to) = to {
        known(contract, to)?;
    }
    take_lock(client, options, progress).await?;
    let outcome = up_locked(client, contract, to, options, progress).await;
    release_lock(client, outcome).await
}

async fn up_locked(
    client: &mut Client,
    contract: &Contract,
    to: Option<&Version>,
    options: &Options,
    progress: &Progress<'_>,
) -> Result<Vec<Version>, Error> {
    let mut state = State::read(client, contract).await?;
    if options.adopt {
        let adopted = ledger::adopt(client, contract, &state).await?;
        for version in &adopted {
            progress(&format!("adopted {version}"));
        }
        state = State::read(client, contract).await?;
    }
    state.verify(contract)?;
    let pending: Vec<&Migration> = contract
        .migrations
        .iter()
        .skip(state.applied())
        .filter(|migration| to.is_none_or(|to| migration.version <= *to))
        .collect();
    if !pending.is_empty() {
        ledger::create(client).await?;
    }
    let mut applied = Vec::new();
    for migration in pending {
        let started = Instant::now();
        if let Err(error) = script::apply(client, contract, migration, options).await {
            return Err(explained(client, contract, error).await);
        }
        let (version, description) = (&migration.version, &migration.description);
        let seconds = started.elapsed().as_secs_f64();
        progress(&format!("applied {version} in {seconds:.2} s: {description}"));
        applied.push(version.clone());
    }
    Ok(applied)
}

/// The error of a script with what the database lacks, if it lacks an extension.
async fn explained(client: &Client, contract: &Contract, error: Error) -> Error {
    if !matches!(error, Error::Script { .. }) {
        return error;
    }
    let wanted = &contract.model.server.extensions;
    let names: Vec<&str> = wanted.iter().map(|extension| extension.name.as_str()).collect();
    let query = "SELECT name FROM unnest($1::text[]) AS wanted (name) \
                 WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = name)";
    let Ok(rows) = client.query(query, &[&names]).await else { return error };
    let extensions: Vec<String> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
    if extensions.is_empty() {
        return error;
    }
    Error::ExtensionMissing { cause: Box::new(error), extensions }
}

/// Rolls back every migration above `to`, newest first; `None` rolls back all. Gives the versions
/// rolled back.
///
/// # Errors
///
/// As [`up`].
pub async fn down(
    client: &mut Client,
    contract: &Contract,
    to: Option<&Version>,
    options: &Options,
    progress: &Progress<'_>,
) -> Result<Vec<Version>, Error> {
    if let Some(to) = to {
        known(contract, to)?;
    }
    take_lock(client, options, progress).await?;
    let outcome = down_locked(client, contract, to, options, progress).await;
    release_lock(client, outcome).await
}

async fn down_locked(
    client: &mut Client,
    contract: &Contract,
    to: Option<&Version>,
    options: &Options,
    progress: &Progress<'_>,
) -> Result<Vec<Version>, Error> {
    let state = State::read(client, contract).await?;
    state.verify(contract)?;
    let newest_first = contract.migrations.iter().take(state.applied()).rev();
    let mut undone = Vec::new();
    for migration in newest_first.filter(|one| to.is_none_or(|to| one.version > *to)) {
        script::undo(client, contract, migration, options).await?;
        progress(&format!("rolled back {}", migration.version));
        undone.push(migration.version.clone());
    }
    if undone.len() == state.applied() && !undone.is_empty() {
        ledger::remove(client).await?;
    }
    Ok(undone)
}

fn known(contract: &Contract, version: &Version) -> Result<(), Error> {
    if contract.migrations.iter().any(|migration| migration.version == *version) {
        return Ok(());
    }
    let versions = contract.migrations.iter().map(|one| one.version.to_string());
    Err(Error::Target { version: version.clone(), known: versions.collect::<Vec<_>>().join(", ") })
}

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(200);

async fn take_lock(
    client: &Client,
    options: &Options,
    progress: &Progress<'_>,
) -> Result<(), Error> {
    let started = Instant::now();
    let mut told = false;
    loop {
        let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
        if row.try_get(0)? {
            return Ok(());
        }
        let holders = ledger::holders(client).await?;
        if started.elapsed() >= options.lock_wait {
            return Err(Error::Locked { waited: options.lock_wait, holders });
        }
        if !told {
            progress(&format!("waiting for another run or check to end ({holders})"));
            told = true;
        }
        sleep(PAUSE).await;
    }
}

/// Gives the lock back; when that fails the session is of no use, and ends with its client.
async fn release_lock<T>(client: &Client, outcome: Result<T, Error>) -> Result<T, Error> {
    let released = client.query_one("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await;
    let value = outcome?;
    released?;
    Ok(value)
}
