//! The examiner: everything that is read from a live database, as one observation.
//!
//! It only reads: one read-only transaction, each statement with a time limit, on a plain connection
//! that shares no code with the workload. Nothing here judges what it sees.

mod answers;
mod attempt;
mod data;
mod facts;
mod lock;
mod plan;
mod queries;
mod reach;
mod rights;
mod rollups;
mod snapshot;
mod survey;
mod text_value;
mod values;
mod workload;

use std::time::Duration;

use pg_session::Config;
use tokio_postgres::{Client, IsolationLevel, Transaction};

pub use answers::{Answer, Rows, Samples, answers, samples};
pub(crate) use answers::{answers_within, begin_scratch, samples_within};
pub use attempt::{Look, Refusal};
pub use data::{DataObservation, Example, TRY_FORMAT, Values};
pub use facts::{Access, LEDGER_SCHEMA, LEDGER_TABLE};
pub use lock::Lock;
pub use plan::{Parent, PlanFacts, Scan};
pub use queries::{EXPLAIN, HostileRun, QueryObservation, Run, Signature};
pub(crate) use reach::{
    Earlier, Part, Relations, columns, of_one_served, reach, reach_of_rollups, touched,
};
pub use rights::{Grant, ObjectKind, Owned, Rights, RoleFacts};
pub use rollups::{Difference, Reconciliation, comparison_name};
pub use snapshot::*;
pub use survey::{Statement, Survey, survey};
pub use values::{CLASSES, RoundTrip, ValueClass};
pub(crate) use workload::{
    Described, Executed, LONGEST, OWN, Touched, Workload, describe, pg_stat_statements, workload,
};

use self::snapshot::SnapshotQuery;
use crate::Error;
use crate::contract::Contract;
use crate::evidence::{ServerFacts, Statements};

/// How an examination behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the server is, for people: host, port and database, never a password.
    pub address: String,
    /// How long to wait for a migration in flight to end.
    pub lock_wait: Duration,
    /// Longest time for one statement.
    pub statement_timeout: Duration,
    /// Longest wait for a lock on a table.
    pub lock_timeout: Duration,
    /// Tables up to this estimated number of rows are scanned whole, larger ones sampled. Rollups
    /// are compared whole up to this number at most.
    pub full_scan_rows: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: String::new(),
            lock_wait: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(2),
            full_scan_rows: 1_000_000,
        }
    }
}

/// Everything that was read from one database.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The server.
    pub server: ServerFacts,
    /// Whether the schema stood still meanwhile.
    pub lock: Lock,
    /// Whether the contract's version table can be read.
    pub version_access: Access,
    /// Whether the migration runner's table can be read.
    pub migration_access: Access,
    /// The catalog.
    pub snapshot: Snapshot,
    /// Time of the round trip that read the catalog.
    pub snapshot_time: Duration,
    /// The contract's queries, in its order.
    pub queries: Vec<QueryObservation>,
    /// The rows.
    pub data: DataObservation,
    /// The contract's rollups beside their rows, in its order.
    pub rollups: Vec<Look<Reconciliation>>,
    /// Values sent and read back, for each of [`CLASSES`].
    pub values: Vec<Vec<RoundTrip>>,
    /// The statements of the program that were run for it; those of the contract are run as they stand
    /// there.
    pub statements: Statements,
}

/// Name of the statement that asks the server about itself.
pub const FACTS: &str = "catalog/facts.sql";
/// Name of the statement that reads the catalog.
pub const SNAPSHOT: &str = "catalog/snapshot.sql";

/// Reads everything that the checks of a contract need.
///
/// READ COMMITTED on purpose: the migration lock comes first and each statement sees what was
/// committed before it, so that the snapshot cannot predate the lock; and a long scan does not hold
/// back the server's clean-up.
///
/// # Errors
///
/// [`Error::Database`] when the connection is lost or the server refuses a catalog query;
/// [`Error::Catalog`] when its answer has not the expected form.
pub async fn observe(
    client: &mut Client,
    contract: &Contract,
    options: &Options,
) -> Result<Observation, Error> {
    let (mut transaction, facts) = begin(client, contract, options).await?;
    let observation = look(&mut transaction, contract, facts, options, Earlier::default()).await?;
    transaction.commit().await?;
    Ok(observation)
}

/// Reads the catalog alone: of queries, rows, rollups and values nothing is in the observation.
///
/// # Errors
///
/// As [`observe`].
pub async fn observe_catalog(
    client: &mut Client,
    contract: &Contract,
    options: &Options,
) -> Result<Observation, Error> {
    let (transaction, facts) = begin(client, contract, options).await?;
    let observation = look_at_catalog(&transaction, contract, facts, options).await?;
    transaction.commit().await?;
    Ok(observation)
}

/// Reads the same from within a transaction that is open already, and sees what that has changed.
///
/// It looks from within a savepoint, read-only as [`observe`], and leaves the transaction as it was.
/// Settings are those of the transaction. Parts of an earlier observation that still hold are taken
/// from there.
///
/// # Errors
///
/// As [`observe`]; the transaction is then of no further use.
pub(crate) async fn observe_within(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
    options: &Options,
    earlier: Earlier<'_>,
) -> Result<Observation, Error> {
    let mut savepoint = transaction.transaction().await?;
    savepoint.batch_execute("SET LOCAL transaction_read_only = on").await?;
    let facts = prepare(&savepoint, contract, options).await?;
    let observation = look(&mut savepoint, contract, facts, options, earlier).await?;
    savepoint.rollback().await?;
    Ok(observation)
}

/// Looks at everything, once the session is prepared for it.
async fn look(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
    facts: facts::Facts,
    options: &Options,
    earlier: Earlier<'_>,
) -> Result<Observation, Error> {
    let whole_rows = options.full_scan_rows;
    let mut catalog = look_at_catalog(transaction, contract, facts, options).await?;
    let mut ran = earlier.statements();
    ran.append(&mut catalog.statements);
    let snapshot = &catalog.snapshot;
    let queries = queries::observe(transaction, contract, values::INJECTIONS, earlier).await?;
    let data =
        data::observe(transaction, contract, snapshot, whole_rows, earlier, &mut ran).await?;
    let rollups = match earlier.of(Part::Rollups) {
        Some(earlier) => earlier.rollups.clone(),
        None => rollups::observe(transaction, contract, snapshot, whole_rows, &mut ran).await?,
    };
    let values = match earlier.of(Part::Values) {
        Some(earlier) => earlier.values.clone(),
        None => values::observe(transaction, &mut ran).await?,
    };
    Ok(Observation { queries, data, rollups, values, statements: ran, ..catalog })
}

/// Looks at the catalog alone, once the session is prepared for it.
async fn look_at_catalog(
    transaction: &Transaction<'_>,
    contract: &Contract,
    facts: facts::Facts,
    options: &Options,
) -> Result<Observation, Error> {
    let lock = lock::take(transaction, options.lock_wait).await?;
    let query = SnapshotQuery::new(contract, &facts);
    let (snapshot, snapshot_time) = query.read(transaction).await?;
    let facts_sql = (FACTS.to_owned(), facts::STATEMENT.to_owned());
    Ok(Observation {
        server: facts.server,
        lock,
        version_access: facts.versions,
        migration_access: facts.migrations,
        snapshot,
        snapshot_time,
        queries: Vec::new(),
        data: DataObservation::default(),
        rollups: Vec::new(),
        values: Vec::new(),
        statements: [facts_sql, (SNAPSHOT.to_owned(), query.text)].into(),
    })
}

/// Times the round trip that reads the catalog, prepared, `repeats` times one after the other, and
/// gives the statement too.
///
/// # Errors
///
/// As [`observe`].
pub async fn time_snapshots(
    client: &mut Client,
    contract: &Contract,
    options: &Options,
    repeats: usize,
) -> Result<(Vec<Duration>, String), Error> {
    let (transaction, facts) = begin(client, contract, options).await?;
    let query = SnapshotQuery::new(contract, &facts);
    let times = query.time(&transaction, repeats).await?;
    transaction.commit().await?;
    Ok((times, query.text))
}

/// Facts about the server at `config`, read on a connection of their own.
///
/// # Errors
///
/// As [`observe`].
pub async fn server_facts(config: &Config, contract: &Contract) -> Result<ServerFacts, Error> {
    let mut client = pg_session::connect(config).await?;
    let options = Options { address: config.address(), ..Options::default() };
    let (transaction, facts) = begin(&mut client, contract, &options).await?;
    transaction.commit().await?;
    Ok(facts.server)
}

/// Opens the examiner's transaction and reads the facts that the other statements depend on.
async fn begin<'a>(
    client: &'a mut Client,
    contract: &Contract,
    options: &Options,
) -> Result<(Transaction<'a>, facts::Facts), Error> {
    let transaction = begin_plain(client).await?;
    let facts = prepare(&transaction, contract, options).await?;
    Ok((transaction, facts))
}

/// Opens that transaction and nothing else.
async fn begin_plain(client: &mut Client) -> Result<Transaction<'_>, Error> {
    let builder = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    Ok(builder.read_only(true).start().await?)
}

/// Reads those facts and sets what the other statements depend on.
async fn prepare(
    transaction: &Transaction<'_>,
    contract: &Contract,
    options: &Options,
) -> Result<facts::Facts, Error> {
    let facts = facts::read(transaction, contract, &options.address).await?;
    settle(transaction, options).await?;
    Ok(facts)
}

/// Sets what the text of every answer depends on, and the limits.
async fn settle(transaction: &Transaction<'_>, options: &Options) -> Result<(), Error> {
    // Definitions are printed relative to `public`, times and dates in one form whatever the role's
    // own settings are. Rows that row-level security would hide are an error and not silence.
    // Compiling these statements takes longer than running them.
    transaction
        .batch_execute(&format!(
            "SET LOCAL search_path = public, pg_temp; SET LOCAL row_security = off; \
             SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; \
             SET LOCAL IntervalStyle = 'postgres'; SET LOCAL extra_float_digits = 1; \
             SET LOCAL jit = off; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}",
            options.statement_timeout.as_millis(),
            options.lock_timeout.as_millis(),
        ))
        .await?;
    Ok(())
}
