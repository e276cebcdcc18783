//! What a database was asked, as `pg_stat_statements` remembers it, and what the server says of such a text.

use tokio_postgres::{Client, Transaction};

use super::attempt::{Look, Refusal, attempt};
use super::queries::{Signature, signature, type_names};
use super::reach::{FIRST_OWN, locked};
use super::{Options, begin_plain, settle};
use crate::Error;
use crate::sql::quote_ident;

/// Entries that are read.
const ENTRIES: i64 = 1_000;
/// Longest text that is read, in bytes.
pub(crate) const LONGEST: i32 = 1 << 16;

/// Begins statements on tables that the examiner makes, so that nobody takes them for the service's.
pub(crate) const OWN: &str = "/* dbready */";

/// What `pg_stat_statements` holds of one database.
#[derive(Debug, Default)]
pub(crate) struct Workload {
    /// Entries, those with the most time in total first.
    pub(crate) entries: Vec<Executed>,
    /// Entries of other roles, whose texts this one may not see.
    pub(crate) hidden: u64,
    /// Entries with less time in total, which were not read.
    pub(crate) unread: u64,
}

/// One entry: a statement that was executed.
#[derive(Debug, Clone)]
pub(crate) struct Executed {
    /// Its text as the extension keeps it; `None` where it is longer than [`LONGEST`].
    pub(crate) text: Option<String>,
    /// How often.
    pub(crate) calls: f64,
    /// Mean of its execution times in the server, in milliseconds.
    pub(crate) mean: f64,
    /// Their standard deviation, over all calls, in milliseconds.
    pub(crate) deviation: f64,
    /// The longest of them, where it is known of all calls.
    pub(crate) slowest: Option<f64>,
    /// Seconds over which calls were counted, where they are known.
    pub(crate) seconds: Option<f64>,
}

/// What the server says of a text when it prepares it.
#[derive(Debug)]
pub(crate) struct Described {
    /// Parameter and result types.
    pub(crate) signature: Signature,
    /// The relations that it reads or writes, other than the server's own, by schema and name.
    pub(crate) relations: Vec<Touched>,
    /// Whether it is one statement that reads or changes rows and can be made a part of another.
    pub(crate) is_query: bool,
}

/// A relation that a statement reads or writes.
#[derive(Debug)]
pub(crate) struct Touched {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) is_foreign: bool,
    pub(crate) of_extension: bool,
}

/// `pg_stat_statements` as a database has it.
#[derive(Debug)]
pub(crate) struct PgStatStatements {
    /// Its schema.
    pub(crate) schema: String,
    /// Whether it says since when it counts.
    says_since: bool,
}

/// Finds `pg_stat_statements`, or says why it is of no use and what to do.
///
/// # Errors
///
/// As [`super::observe`].
pub(crate) async fn pg_stat_statements(
    transaction: &Transaction<'_>,
) -> Result<Result<PgStatStatements, String>, Error> {
    let installed = "SELECT n.nspname::text,
            EXISTS (SELECT FROM pg_class c
                WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements_info'),
            EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements'
                  AND a.attname = 'mean_exec_time')
        FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace
        WHERE x.extname = 'pg_stat_statements'";
    let Some(row) = transaction.query_typed(installed, &[]).await?.pop() else {
        let problem = "pg_stat_statements is not installed; CREATE EXTENSION pg_stat_statements, with \
                       the library in shared_preload_libraries";
        return Ok(Err(problem.to_owned()));
    };
    if !row.try_get::<_, bool>(2)? {
        let problem = "pg_stat_statements is older than version 1.8; ALTER EXTENSION \
                       pg_stat_statements UPDATE";
        return Ok(Err(problem.to_owned()));
    }
    Ok(Ok(PgStatStatements { schema: row.try_get(0)?, says_since: row.try_get(1)? }))
}

/// Reads what `pg_stat_statements` holds of this database, and says why where it cannot be read.
///
/// # Errors
///
/// As [`super::observe`].
pub(crate) async fn workload(client: &mut Client) -> Result<Look<Workload>, Error> {
    let mut transaction = begin(client).await?;
    let known = match pg_stat_statements(&transaction).await? {
        Ok(known) => known,
        Err(reason) => return Ok(Look::NotLooked(reason)),
    };
    let mut sql = include_str!("workload.sql").to_owned();
    if known.says_since {
        let reset = "SELECT i.stats_reset FROM extension.pg_stat_statements_info i";
        sql = sql.replace("SELECT NULL::timestamptz /* reset */", reset);
    }
    let sql = sql.replace("extension.", &format!("{}.", quote_ident(&known.schema)));
    let rows =
        attempt(&mut transaction, async |inner| inner.query(&sql, &[&ENTRIES, &LONGEST]).await);
    let rows = match rows.await? {
        Ok(rows) => rows,
        Err(refusal) => return Ok(Look::Refused(refusal)),
    };
    let mut found = Workload::default();
    for row in &rows {
        let all: i64 = row.try_get("entries")?;
        found.unread = (all - ENTRIES).max(0).unsigned_abs();
        if row.try_get("hidden")? {
            found.hidden += 1;
            continue;
        }
        found.entries.push(Executed {
            text: row.try_get("text")?,
            calls: row.try_get("calls")?,
            mean: row.try_get("mean")?,
            deviation: row.try_get("deviation")?,
            slowest: row.try_get("slowest")?,
            seconds: row.try_get("seconds")?,
        });
    }
    transaction.commit().await?;
    Ok(Look::Seen(found))
}

/// Asks the server about texts; none of them is run.
///
/// # Errors
///
/// As [`super::observe`].
pub(crate) async fn describe(
    client: &mut Client,
    texts: &[&str],
) -> Result<Vec<Result<Described, Refusal>>, Error> {
    let mut transaction = begin(client).await?;
    let mut all = Vec::with_capacity(texts.len());
    for text in texts {
        all.push(one(&mut transaction, text).await?);
    }
    transaction.commit().await?;
    Ok(all)
}

async fn begin(client: &mut Client) -> Result<Transaction<'_>, Error> {
    let transaction = begin_plain(client).await?;
    settle(&transaction, &Options::default()).await?;
    Ok(transaction)
}

async fn one(
    transaction: &mut Transaction<'_>,
    text: &str,
) -> Result<Result<Described, Refusal>, Error> {
    let seen = attempt(transaction, async |inner| {
        let statement = inner.prepare(text).await?;
        let mut relations = locked(inner, true).await?;
        relations.retain(|relation| *relation >= FIRST_OWN);
        let numbers: Vec<u32> = relations.into_iter().collect();
        let rows = inner.query(include_str!("workload_relations.sql"), &[&numbers]).await?;
        let touched = rows.iter().map(|row| {
            Ok(Touched {
                schema: row.try_get("schema")?,
                name: row.try_get("name")?,
                is_foreign: row.try_get("is_foreign")?,
                of_extension: row.try_get("of_extension")?,
            })
        });
        Ok((statement, touched.collect::<Result<Vec<_>, tokio_postgres::Error>>()?))
    });
    let (statement, relations) = match seen.await? {
        Ok(seen) => seen,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // What makes a table, like SELECT INTO, can be prepared too.
    let part = if statement.columns().is_empty() {
        format!("{text}\nRETURNING 1")
    } else {
        format!("WITH part AS (\n{text}\n)\nSELECT * FROM part")
    };
    let is_query = attempt(transaction, async |inner| inner.prepare(&part).await).await?.is_ok();
    let statement = Ok(statement);
    let names = type_names(transaction, std::slice::from_ref(&statement)).await?;
    Ok(statement.map(|one| Described { signature: signature(&one, &names), relations, is_query }))
}
