//! What is recorded about applied migrations, in the contract's version table and in our own.

use std::collections::BTreeMap;

use semver::Version;
use serde::Serialize;
use tokio_postgres::Client;

use super::error::Error;
use crate::catalog::{LEDGER_SCHEMA, LEDGER_TABLE};
use crate::contract::{Contract, Migration};
use crate::sql::{MIGRATION_LOCK, qualified, split_name};

/// Which migrations are applied and which are pending, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Versions that are applied, oldest first.
    pub applied: Vec<Version>,
    /// Versions that the next `up` would apply, in order.
    pub pending: Vec<Version>,
    /// Why `up` and `down` would refuse; empty when they would not.
    pub problems: Vec<String>,
}

/// What a database says about its migrations.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Checksums by version, from our own table.
    recorded: BTreeMap<String, String>,
    /// Versions in the contract's table.
    versions: Vec<String>,
}

/// Our own table, quoted.
pub(super) fn table() -> String {
    qualified(LEDGER_SCHEMA, LEDGER_TABLE)
}

/// The contract's version table, quoted.
pub(super) fn version_table(contract: &Contract) -> String {
    let (schema, name) = split_name(&contract.model.versioning.table);
    qualified(schema, name)
}

impl State {
    pub(super) async fn read(client: &mut Client, contract: &Contract) -> Result<Self, Error> {
        let transaction = client.build_transaction().read_only(true).start().await?;
        let exists = "SELECT to_regclass($1) IS NOT NULL, to_regclass($2) IS NOT NULL";
        let there = transaction.query_one(exists, &[&table(), &version_table(contract)]).await?;
        let mut state = Self::default();
        if there.try_get(0)? {
            let rows = format!("SELECT version, checksum FROM {}", table());
            for row in transaction.query(&rows, &[]).await? {
                state.recorded.insert(row.try_get(0)?, row.try_get(1)?);
            }
        }
        if there.try_get(1)? {
            let rows = format!("SELECT version::text FROM {}", version_table(contract));
            for row in transaction.query(&rows, &[]).await? {
                state.versions.push(row.try_get(0)?);
            }
        }
        transaction.commit().await?;
        Ok(state)
    }

    /// How many migrations of the contract are applied; they are its first ones, once verified.
    pub(super) fn applied(&self) -> usize {
        self.recorded.len()
    }

    pub(super) fn status(&self, contract: &Contract) -> Status {
        let is_applied = |one: &&Migration| self.recorded.contains_key(&one.version.to_string());
        let (applied, pending): (Vec<_>, Vec<_>) = contract.migrations.iter().partition(is_applied);
        let versions = |list: Vec<&Migration>| list.iter().map(|one| one.version.clone()).collect();
        Status {
            applied: versions(applied),
            pending: versions(pending),
            problems: self.problems(contract),
        }
    }

    pub(super) fn verify(&self, contract: &Contract) -> Result<(), Error> {
        let problems = self.problems(contract);
        if problems.is_empty() { Ok(()) } else { Err(Error::Refused(problems)) }
    }

    /// Everything in which database and contract do not fit together.
    fn problems(&self, contract: &Contract) -> Vec<String> {
        let mut problems = Vec::new();
        let table = &contract.model.versioning.table;
        let migration =
            |text: &str| contract.migrations.iter().find(|one| one.version.to_string() == text);
        for (version, checksum) in &self.recorded {
            match migration(version) {
                None => problems.push(format!(
                    "version {version} is applied, and the contract has no migration for it; \
                     restore its files"
                )),
                Some(one) if one.checksum != *checksum => problems.push(format!(
                    "{} was changed after it had been applied: expected checksum {checksum}, \
                     found {}; restore it, and put the change into a new migration",
                    one.up_file, one.checksum
                )),
                Some(_) if !self.versions.contains(version) => problems.push(format!(
                    "version {version} is applied, and {table} has no row for it; restore the row"
                )),
                Some(_) => {}
            }
        }
        for version in &self.versions {
            if self.recorded.contains_key(version) {
                continue;
            }
            problems.push(match migration(version) {
                None => format!(
                    "{table} has version {}, which the contract does not know",
                    version.escape_debug()
                ),
                Some(_) => format!(
                    "{table} has version {version}, which this runner did not apply; when it is \
                     as the contract states, record it with `dbready migrate up --adopt`"
                ),
            });
        }
        let is_applied = |one: &&Migration| self.recorded.contains_key(&one.version.to_string());
        if let Some(newest) = contract.migrations.iter().rev().find(is_applied) {
            let skipped = contract
                .migrations
                .iter()
                .filter(|one| one.version < newest.version && !is_applied(one));
            problems.extend(skipped.map(|one| {
                format!(
                    "{} is older than the applied version {} and not applied itself; give it a \
                     higher version",
                    one.up_file, newest.version
                )
            }));
        }
        problems
    }
}

/// Makes our own schema and table, when they are not there.
pub(super) async fn create(client: &Client) -> Result<(), Error> {
    // Even IF NOT EXISTS asks for the right to make them.
    let missing = "SELECT to_regclass($1) IS NULL";
    if client.query_one(missing, &[&table()]).await?.try_get(0)? {
        client.batch_execute(include_str!("ledger.sql")).await?;
    }
    Ok(())
}

/// Removes our own schema and table again, when no migration is left.
pub(super) async fn remove(client: &Client) -> Result<(), Error> {
    Ok(client.batch_execute("DROP TABLE dbready.migration; DROP SCHEMA dbready").await?)
}

/// Records versions that were applied without this runner.
pub(super) async fn adopt(
    client: &mut Client,
    contract: &Contract,
    state: &State,
) -> Result<Vec<Version>, Error> {
    // Where only we record versions, an unrecorded schema is what the first migration found.
    let is_baseline = |one: &Migration| {
        let first = contract.migrations.first().is_some_and(|first| first.version == one.version);
        first && contract.model.versioning.is_runners_own() && state.recorded.is_empty()
    };
    let foreign = contract.migrations.iter().filter(|one| {
        let version = one.version.to_string();
        let known = state.versions.contains(&version) || is_baseline(one);
        known && !state.recorded.contains_key(&version)
    });
    let mut adopted = Vec::new();
    for migration in foreign {
        create(client).await?;
        let insert = insert();
        let no_time = 0_i64;
        client
            .execute(
                &insert,
                &[
                    &migration.version.to_string(),
                    &migration.description,
                    &migration.checksum,
                    &no_time,
                    &env!("CARGO_PKG_VERSION"),
                ],
            )
            .await?;
        adopted.push(migration.version.clone());
    }
    Ok(adopted)
}

/// The statement that records one migration.
pub(super) fn insert() -> String {
    format!(
        "INSERT INTO {} (version, description, checksum, duration_ms, tool_version) \
         VALUES ($1, $2, $3, $4, $5)",
        table()
    )
}

/// Who holds the migration lock, in words.
pub(super) async fn holders(client: &Client) -> Result<String, Error> {
    // A 64-bit key is split over classid and objid, with objsubid 1 (pg_locks documentation).
    let rows = client
        .query(
            "SELECT l.pid, coalesce(nullif(a.application_name, ''), 'unnamed') \
             FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid) \
             WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
               AND l.classid::bigint = ($1::bigint >> 32) & 4294967295 \
               AND l.objid::bigint = $1::bigint & 4294967295 \
               AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            &[&MIGRATION_LOCK],
        )
        .await?;
    let mut names = Vec::new();
    for row in rows {
        let (process, name): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
        names.push(format!("process {process}, {}", name.escape_debug()));
    }
    Ok(if names.is_empty() { "nobody any more".to_owned() } else { names.join("; ") })
}
