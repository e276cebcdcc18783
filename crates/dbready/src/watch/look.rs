//! One look at a server: everything that the clauses need, in one short read-only transaction.

use std::collections::HashMap;
use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

use crate::Error;
use crate::catalog;
use crate::contract::Contract;
use crate::sql::quote_ident;

/// Longest time for one statement of a look.
pub(super) const STATEMENT: Duration = Duration::from_secs(5);
/// Longest wait for a lock.
pub(super) const LOCK: Duration = Duration::from_millis(500);

/// Why something could not be seen, for people.
pub(super) type Unseen = String;

/// What one look saw.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) database: Database,
    pub(super) sessions: Sessions,
    /// Rows inserted into each table of the contract, in its order.
    pub(super) inserted: Vec<Option<f64>>,
    pub(super) statements: Result<Statements, Unseen>,
    /// Seconds by which a standby is behind; `None` when there is no standby.
    pub(super) lag: Result<Option<f64>, Unseen>,
    /// `None` without `TimescaleDB`.
    pub(super) chunks: Result<Option<ChunksByTable>, Unseen>,
    /// `None` without `TimescaleDB`.
    pub(super) workers: Result<Option<Workers>, Unseen>,
}

/// What counts up in the database.
#[derive(Debug, Clone)]
pub(super) struct Database {
    pub(super) committed: f64,
    pub(super) rolled_back: f64,
    pub(super) deadlocks: f64,
    pub(super) sessions: f64,
    pub(super) in_recovery: bool,
    /// When the server started (RFC 3339).
    pub(super) started: String,
}

/// The sessions of the service.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    pub(super) open: f64,
    /// Those in a statement or a transaction; unseen without the privilege.
    pub(super) at_work: Result<f64, Unseen>,
    /// Sessions that this program holds.
    pub(super) own: f64,
}

/// Calls of each statement and the milliseconds that they took, since the statistics began.
pub(super) type Statements = HashMap<(u32, i64, bool), (f64, f64)>;

/// Chunks by schema and name of their hypertable.
pub(super) type ChunksByTable = HashMap<(String, String), Chunks>;

/// The chunks of one hypertable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunks {
    pub(super) count: f64,
    /// Days since the end of the oldest; `None` where something else than time partitions.
    pub(super) days_over: Option<f64>,
}

/// `TimescaleDB`'s background workers.
#[derive(Debug, Clone)]
pub(super) struct Workers {
    /// Whether they are started at all; unseen without the privilege.
    pub(super) launched: Result<bool, Unseen>,
    pub(super) jobs: f64,
    /// Jobs whose last run failed.
    pub(super) failed: Vec<String>,
}

const PRIVILEGE: &str =
    "this role does not see the sessions of others; GRANT pg_monitor TO it in this server";

/// Looks once. What the server refuses to show is unseen; the look goes on without it.
pub(super) async fn look(client: &mut Client, contract: &Contract) -> Result<Look, Error> {
    let builder = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    let mut transaction = builder.read_only(true).start().await?;
    let limits = format!(
        "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; SET LOCAL jit = off; \
         SET LOCAL search_path = pg_catalog, pg_temp",
        STATEMENT.as_millis(),
        LOCK.as_millis()
    );
    transaction.batch_execute(&limits).await?;
    let row = one(&transaction, include_str!("look_database.sql"), &[]).await?;
    let database = Database {
        committed: row.try_get("committed")?,
        rolled_back: row.try_get("rolled_back")?,
        deadlocks: row.try_get("deadlocks")?,
        sessions: row.try_get("sessions")?,
        in_recovery: row.try_get("in_recovery")?,
        started: row.try_get("started")?,
    };
    let timescaledb: bool = row.try_get("timescaledb")?;
    let service = &contract.model.pool.application_name;
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(service, Type::TEXT)];
    let row = one(&transaction, include_str!("look_sessions.sql"), &parameters).await?;
    let sessions = Sessions {
        open: row.try_get("open")?,
        at_work: visible(&row, "at_work")?,
        own: row.try_get("own")?,
    };
    let inserted = inserted(&transaction, contract).await?;
    let statements = match catalog::pg_stat_statements(&transaction).await? {
        Ok(known) => {
            let ask =
                async |savepoint: &Transaction<'_>| statements(savepoint, &known.schema).await;
            optional(&mut transaction, ask).await?.and_then(|seen| seen)
        }
        Err(reason) => Err(reason),
    };
    let lag = optional(&mut transaction, lag).await?.and_then(|seen| seen);
    let (chunks, workers) = if timescaledb {
        let chunks = optional(&mut transaction, chunks).await?.map(Some);
        (chunks, optional(&mut transaction, workers).await?.map(Some))
    } else {
        (Ok(None), Ok(None))
    };
    transaction.commit().await?;
    Ok(Look { database, sessions, inserted, statements, lag, chunks, workers })
}

/// Runs what the server may refuse within a savepoint, and gives its words when it does.
async fn optional<T>(
    transaction: &mut Transaction<'_>,
    ask: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, Error>,
) -> Result<Result<T, Unseen>, Error> {
    let savepoint = transaction.transaction().await?;
    match ask(&savepoint).await {
        Ok(seen) => {
            savepoint.commit().await?;
            Ok(Ok(seen))
        }
        Err(Error::Database(error)) if error.sqlstate().is_some() => {
            savepoint.rollback().await?;
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

async fn one(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Row, Error> {
    let row = transaction.query_typed(sql, parameters).await?.pop();
    row.ok_or_else(|| Error::Catalog("expected one row from the statistics, found none".to_owned()))
}

/// The figure of a row that has a column `hidden`.
fn visible<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    column: &str,
) -> Result<Result<T, Unseen>, Error> {
    let hidden: bool = row.try_get("hidden")?;
    Ok(if hidden { Err(PRIVILEGE.to_owned()) } else { Ok(row.try_get(column)?) })
}

async fn inserted(
    transaction: &Transaction<'_>,
    contract: &Contract,
) -> Result<Vec<Option<f64>>, Error> {
    let tables = &contract.model.tables;
    let schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&schemas, Type::TEXT_ARRAY), (&names, Type::TEXT_ARRAY)];
    let rows = transaction.query_typed(include_str!("look_tables.sql"), &parameters).await?;
    rows.iter().map(|row| Ok(row.try_get("inserted")?)).collect()
}

async fn statements(
    transaction: &Transaction<'_>,
    schema: &str,
) -> Result<Result<Statements, Unseen>, Error> {
    let sql = format!(
        "SELECT s.userid, s.queryid, s.toplevel, s.calls::double precision AS calls, \
         s.total_exec_time AS milliseconds FROM {}.pg_stat_statements(false) s \
         WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())",
        quote_ident(schema)
    );
    let mut found = Statements::new();
    for row in transaction.query_typed(&sql, &[]).await? {
        let Some(query) = row.try_get(1)? else { return Ok(Err(PRIVILEGE.to_owned())) };
        found.insert((row.try_get(0)?, query, row.try_get(2)?), (row.try_get(3)?, row.try_get(4)?));
    }
    Ok(Ok(found))
}

async fn lag(transaction: &Transaction<'_>) -> Result<Result<Option<f64>, Unseen>, Error> {
    let row = one(transaction, include_str!("look_lag.sql"), &[]).await?;
    visible(&row, "seconds")
}

async fn chunks(transaction: &Transaction<'_>) -> Result<ChunksByTable, Error> {
    let rows = transaction.query_typed(include_str!("look_chunks.sql"), &[]).await?;
    let mut found = ChunksByTable::new();
    for row in rows {
        let name = (row.try_get("schema")?, row.try_get("name")?);
        let chunks = Chunks { count: row.try_get("chunks")?, days_over: row.try_get("days_over")? };
        found.insert(name, chunks);
    }
    Ok(found)
}

async fn workers(transaction: &Transaction<'_>) -> Result<Workers, Error> {
    let row = one(transaction, include_str!("look_workers.sql"), &[]).await?;
    let launched: bool = row.try_get("launched")?;
    Ok(Workers {
        launched: if launched { Ok(true) } else { visible(&row, "launched")? },
        jobs: row.try_get("jobs")?,
        failed: row.try_get("failed")?,
    })
}

#[cfg(test)]
impl Look {
    /// A server with `TimescaleDB` where nothing happens.
    pub(super) fn quiet() -> Self {
        let database = Database {
            committed: 0.0,
            rolled_back: 0.0,
            deadlocks: 0.0,
            sessions: 1.0,
            in_recovery: false,
            started: "2026-01-01T00:00:00.000Z".to_owned(),
        };
        Self {
            database,
            sessions: Sessions { open: 10.0, at_work: Ok(0.0), own: 1.0 },
            inserted: Vec::new(),
            statements: Ok(HashMap::new()),
            lag: Ok(None),
            chunks: Ok(Some(HashMap::new())),
            workers: Ok(Some(Workers { launched: Ok(true), jobs: 1.0, failed: Vec::new() })),
        }
    }
}
