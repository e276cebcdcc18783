//! Running one script in one transaction.
//!
//! The script's text travels as a parameter and is executed from within a DO block. There the server
//! refuses BEGIN, COMMIT and ROLLBACK before they do anything, so that a script cannot leave its
//! transaction half way; that it did not is checked once more afterwards.

use tokio::time::Instant;
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::{Client, Transaction};

use super::Options;
use super::error::Error;
use super::ledger;
use crate::contract::{Contract, Migration};

const RUN: &str = "DO $run$ BEGIN EXECUTE current_setting('dbready.script'); END $run$";

/// Applies one migration and records it.
pub(super) async fn apply(
    client: &mut Client,
    contract: &Contract,
    migration: &Migration,
    options: &Options,
) -> Result<(), Error> {
    apply_and_look(client, contract, migration, options, async |_| Ok(())).await
}

/// The same with a look at the transaction just before it commits.
pub(super) async fn apply_and_look(
    client: &mut Client,
    contract: &Contract,
    migration: &Migration,
    options: &Options,
    look: impl AsyncFnOnce(&Transaction<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let started = Instant::now();
    let file = &migration.up_file;
    let transaction = client.transaction().await?;
    run(&transaction, file, &migration.up_sql, options).await?;
    look(&transaction).await?;
    let is_recorded = || rows_of_version(&transaction, contract, migration);
    if !contract.model.versioning.is_runners_own() && is_recorded().await? != 1 {
        return Err(no_row(contract, migration, file, "record"));
    }
    let duration = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    transaction
        .execute(
            &ledger::insert(),
            &[
                &migration.version.to_string(),
                &migration.description,
                &migration.checksum,
                &duration,
                &env!("CARGO_PKG_VERSION"),
            ],
        )
        .await?;
    commit(transaction, file).await
}

/// Rolls one migration back and forgets it.
pub(super) async fn undo(
    client: &mut Client,
    contract: &Contract,
    migration: &Migration,
    options: &Options,
) -> Result<(), Error> {
    let file = &migration.down_file;
    let transaction = client.transaction().await?;
    run(&transaction, file, &migration.down_sql, options).await?;
    let is_recorded = || rows_of_version(&transaction, contract, migration);
    if !contract.model.versioning.is_runners_own() && is_recorded().await? != 0 {
        return Err(no_row(contract, migration, file, "remove"));
    }
    let delete = format!("DELETE FROM {} WHERE version = $1", ledger::table());
    transaction.execute(&delete, &[&migration.version.to_string()]).await?;
    commit(transaction, file).await
}

fn no_row(contract: &Contract, migration: &Migration, file: &str, expected: &'static str) -> Error {
    Error::NoVersionRow {
        file: file.to_owned(),
        expected,
        version: migration.version.clone(),
        table: contract.model.versioning.table.clone(),
    }
}

async fn run(
    transaction: &Transaction<'_>,
    file: &str,
    script: &str,
    options: &Options,
) -> Result<(), Error> {
    // Scripts write bare names, which mean the schema `public` whatever the role's setting is.
    let settings = format!(
        "SET LOCAL search_path = public; SET LOCAL lock_timeout = {}; \
         SET LOCAL statement_timeout = 0",
        options.lock_timeout.as_millis()
    );
    transaction.batch_execute(&settings).await?;
    let number = "SELECT pg_current_xact_id()::text";
    let before: String = transaction.query_one(number, &[]).await?.try_get(0)?;
    let set = "SELECT set_config('dbready.script', $1, true)";
    transaction.query_one(set, &[&script]).await?;
    transaction.batch_execute(RUN).await.map_err(|error| of_script(error, file, script))?;
    let after: String = transaction.query_one(number, &[]).await?.try_get(0)?;
    if before != after {
        return Err(Error::TransactionEnded { file: file.to_owned() });
    }
    Ok(())
}

/// The server's error with the script's line, or the connection's.
fn of_script(error: tokio_postgres::Error, file: &str, script: &str) -> Error {
    let Some(said) = error.as_db_error() else { return error.into() };
    let line = match said.position() {
        Some(ErrorPosition::Internal { position, query }) if query == script => {
            let characters = (*position as usize).saturating_sub(1);
            Some(script.chars().take(characters).filter(|c| *c == '\n').count() + 1)
        }
        _ => None,
    };
    let message = said.message().split(['\n', '\r']).collect::<Vec<_>>().join(" ");
    Error::Script {
        file: file.to_owned(),
        line,
        sqlstate: said.code().code().to_owned(),
        message: message.chars().filter(|c| !c.is_control()).collect(),
    }
}

/// Rows that the contract's version table has for a migration; none when the table is gone.
async fn rows_of_version(
    transaction: &Transaction<'_>,
    contract: &Contract,
    migration: &Migration,
) -> Result<i64, Error> {
    let table = ledger::version_table(contract);
    let exists = transaction.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?;
    if !exists.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let count = format!("SELECT count(*) FROM {table} WHERE version::text = $1");
    let row = transaction.query_one(&count, &[&migration.version.to_string()]).await?;
    Ok(row.try_get(0)?)
}

async fn commit(transaction: Transaction<'_>, file: &str) -> Result<(), Error> {
    transaction.commit().await.map_err(|error| {
        // An answer of the server is an answer: it did not commit.
        if error.as_db_error().is_some() {
            return error.into();
        }
        Error::Unknown { file: file.to_owned(), source: error.into() }
    })
}
