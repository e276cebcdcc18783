//! Facts about the server: versions, edition, settings, and which version tables can be read.

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use crate::Error;
use crate::contract::Contract;
use crate::evidence::ServerFacts;
use crate::sql::split_name;

/// Schema of the table in which the migration runner keeps what it applied.
pub const LEDGER_SCHEMA: &str = "dbready";
/// Name of that table.
pub const LEDGER_TABLE: &str = "migration";

/// Settings recorded beside every figure, whether or not the contract asks for them.
const SETTINGS: [&str; 21] = [
    "data_checksums",
    "default_transaction_isolation",
    "effective_cache_size",
    "fsync",
    "full_page_writes",
    "jit",
    "max_connections",
    "max_locks_per_transaction",
    "max_parallel_workers",
    "max_worker_processes",
    "row_security",
    "search_path",
    "server_encoding",
    "shared_buffers",
    "standard_conforming_strings",
    "synchronous_commit",
    "TimeZone",
    "timescaledb.license",
    "timescaledb.max_background_workers",
    "wal_level",
    "work_mem",
];

/// Whether a table that versions are kept in can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// There is no such table.
    Absent,
    /// It exists, but this role may not read all of it.
    Denied,
    /// Its rows can be read.
    Readable,
}

/// What the facts query tells.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The server.
    pub server: ServerFacts,
    /// The contract's version table.
    pub versions: Access,
    /// The migration runner's table.
    pub migrations: Access,
}

/// The statement that asks for them.
pub(super) const STATEMENT: &str = include_str!("facts.sql");

/// Asks the server about itself in one round trip. The settings are those of a fresh session of this
/// role, so this comes before any `SET`.
pub(super) async fn read(
    transaction: &Transaction<'_>,
    contract: &Contract,
    address: &str,
) -> Result<Facts, Error> {
    let wanted = contract.model.server.settings.iter().map(|setting| setting.name.as_str());
    let settings: Vec<&str> = SETTINGS.into_iter().chain(wanted).collect();
    ask(transaction, &settings, split_name(&contract.model.versioning.table), address).await
}

/// The same without a contract: the server alone.
pub(super) async fn read_server(transaction: &Transaction<'_>) -> Result<ServerFacts, Error> {
    let ledger = (LEDGER_SCHEMA, LEDGER_TABLE);
    Ok(ask(transaction, &SETTINGS, ledger, "").await?.server)
}

async fn ask(
    transaction: &Transaction<'_>,
    settings: &[&str],
    (schema, table): (&str, &str),
    address: &str,
) -> Result<Facts, Error> {
    let row = transaction
        .query_typed(
            STATEMENT,
            &[
                (&settings, Type::TEXT_ARRAY),
                (&schema, Type::TEXT),
                (&table, Type::TEXT),
                (&LEDGER_SCHEMA, Type::TEXT),
                (&LEDGER_TABLE, Type::TEXT),
            ],
        )
        .await?
        .pop()
        .ok_or_else(|| Error::Catalog("the facts query returned no row".to_owned()))?;
    let names: Vec<String> = row.try_get("setting_names")?;
    let values: Vec<Option<String>> = row.try_get("setting_values")?;
    let settings = names.into_iter().zip(values);
    let number: i32 = row.try_get("postgresql_num")?;
    let timescaledb: Option<String> = row.try_get("timescaledb")?;
    let license: Option<String> = row.try_get("license")?;
    Ok(Facts {
        server: ServerFacts {
            address: address.to_owned(),
            database: row.try_get("database")?,
            role: row.try_get("role")?,
            postgresql: row.try_get("postgresql")?,
            postgresql_num: number.unsigned_abs(),
            license: timescaledb.as_ref().and(license),
            timescaledb,
            settings: settings.filter_map(|(name, value)| Some((name, value?))).collect(),
        },
        versions: access(row.try_get("versions")?),
        migrations: access(row.try_get("migrations")?),
    })
}

fn access(word: &str) -> Access {
    match word {
        "absent" => Access::Absent,
        "readable" => Access::Readable,
        _ => Access::Denied,
    }
}
