//! Everything that a first contract is drafted from: the catalog of some schemas, and the statements
//! that build them again.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::snapshot::{Snapshot, SnapshotQuery};
use super::{Options, begin_plain, facts};
use crate::Error;
use crate::evidence::ServerFacts;

/// A table and, for a comment on a column, the column.
type Commented = (String, String, Option<String>);

/// What was read about some schemas.
#[derive(Debug)]
pub struct Survey {
    /// The server.
    pub server: ServerFacts,
    /// Every schema of the database that is not the system's or an extension's.
    pub schemas: Vec<String>,
    /// The catalog of the schemas asked for, and of `public`.
    pub snapshot: Snapshot,
    /// Statements that build the schemas in an empty database, in their order.
    pub statements: Vec<Statement>,
    /// What no statement carries over: the thing, and what of it.
    pub beside: Vec<(String, String)>,
    /// Comments by schema, table and column.
    pub comments: BTreeMap<Commented, String>,
}

/// One statement that builds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The statement, without its semicolon.
    pub text: String,
    /// What takes the thing away again, when it does not go with another.
    pub undo: Option<String>,
}

/// Reads what a first contract for these schemas is drafted from, in one read-only transaction.
///
/// # Errors
///
/// As [`super::observe`].
pub async fn survey(client: &mut Client, schemas: &[String]) -> Result<Survey, Error> {
    let options = Options::default();
    let transaction = begin_plain(client).await?;
    let facts = facts::read_server(&transaction).await?;
    super::settle(&transaction, &options).await?;
    let has_timescaledb = facts.timescaledb.is_some();
    let wanted: Vec<&str> = schemas.iter().map(String::as_str).collect();
    let query = SnapshotQuery::of_schemas(wanted, has_timescaledb);
    let (snapshot, _) = query.read(&transaction).await?;
    let with_far = |text: &str| {
        text.replace("SELECT NULL::oid WHERE false /* far */", include_str!("survey_far.sql"))
    };
    let mut text = with_far(include_str!("survey_statements.sql"));
    let mut beside = with_far(include_str!("survey_beside.sql"));
    if has_timescaledb {
        let chunk = include_str!("snapshot_chunk.sql");
        beside = beside.replace("false /* chunk */", chunk);
        text = text
            .replace("false /* chunk */", &chunk.replace("c.oid", "r.oid"))
            .replace("WHERE false /* hypertables */", &{
                format!("WHERE false\n    {}", include_str!("survey_hypertables.sql"))
            });
    }
    let rows = transaction.query(&text, &[&schemas]).await?;
    let statements = rows
        .iter()
        .map(|row| Ok(Statement { text: row.try_get(0)?, undo: row.try_get(1)? }))
        .collect::<Result<_, tokio_postgres::Error>>()?;
    let rows = transaction.query(&beside, &[&schemas]).await?;
    let beside = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, tokio_postgres::Error>>()?;
    let mut comments = BTreeMap::new();
    for row in transaction.query(include_str!("survey_comments.sql"), &[&schemas]).await? {
        comments.insert((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?), row.try_get(3)?);
    }
    let known = "SELECT n.nspname::text FROM pg_namespace n
        WHERE n.nspname !~ '^(pg_|_timescaledb|timescaledb_|information_schema$|toolkit_|dbready$)'
        ORDER BY n.nspname";
    let rows = transaction.query(known, &[]).await?;
    let all = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    transaction.commit().await?;
    Ok(Survey { server: facts, schemas: all, snapshot, statements, beside, comments })
}
