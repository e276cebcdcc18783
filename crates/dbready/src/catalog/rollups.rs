//! Rollups compared with the rows that they were computed from.
//!
//! A small source is compared whole. Of a larger one windows are: the first and the last bucket of
//! chunks, where ranges are cut; the buckets of the rows that were written last in each, since data
//! that come late, and changes, are where rollups go wrong; and buckets from all over each.

use tokio_postgres::{Statement, Transaction};

use super::attempt::{Look, Refusal, attempt};
use super::data::estimate;
use super::snapshot::Snapshot;
use super::text_value::{TextValue, parameters};
use crate::Error;
use crate::contract::{Contract, Rollup, RollupSql};
use crate::evidence::Statements;
use crate::sql::{qualified, quote_ident, split_name};

/// Chunks of which a large source's windows are taken: the newest, the oldest and others.
const CHUNKS: i64 = 24;

/// Pages, over all chunks, of which the buckets are compared: the last of each chunk and one more at
/// least.
const PAGES: i64 = 24;

/// Rows of a source up to which it is compared whole. Reading rows is cheap; adding them up and
/// comparing every sum takes some ten times as long.
const WHOLE_ROWS: u64 = 50_000;

/// Differences that are shown.
const EXAMPLES: usize = 5;

/// What came of comparing one rollup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Buckets compared.
    pub buckets: u64,
    /// Windows in which they were, when the source was not compared whole.
    pub windows: Option<u64>,
    /// Buckets that differ.
    pub wrong: u64,
    /// Some of these.
    pub examples: Vec<Difference>,
}

/// One row that only one of the two statements returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whether it is computed from the rows; it is served otherwise.
    pub raw: bool,
    /// The row as JSON, cut.
    pub row: String,
}

/// A half-open range of time, as text.
struct Window {
    from: String,
    to: String,
}

/// Compares every rollup of the contract, in its order.
pub(super) async fn observe(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
    snapshot: &Snapshot,
    whole_rows: u64,
    ran: &mut Statements,
) -> Result<Vec<Look<Reconciliation>>, Error> {
    let mut seen = Vec::new();
    for (rollup, sql) in contract.model.rollups.iter().zip(&contract.rollup_sql) {
        seen.push(reconcile(transaction, snapshot, rollup, sql, whole_rows, ran).await?);
    }
    Ok(seen)
}

async fn reconcile(
    transaction: &mut Transaction<'_>,
    snapshot: &Snapshot,
    rollup: &Rollup,
    sql: &RollupSql,
    whole_rows: u64,
    ran: &mut Statements,
) -> Result<Look<Reconciliation>, Error> {
    let (schema, table) = split_name(&rollup.source);
    let Some(relation) = snapshot.relation(schema, table) else {
        return Ok(Look::NotLooked(format!("the table {} is missing", rollup.source)));
    };
    let whole = estimate(transaction, relation).await? <= whole_rows.min(WHOLE_ROWS);
    let windows = if whole {
        vec![Window { from: "-infinity".to_owned(), to: "infinity".to_owned() }]
    } else {
        match windows(transaction, snapshot, rollup).await? {
            Look::Seen(windows) => windows,
            other => return Ok(other.map(|_| Reconciliation::default())),
        }
    };
    let statement = comparison(sql);
    ran.insert(comparison_name(&rollup.name), statement.clone());
    let mut all = Reconciliation {
        windows: (!whole).then_some(windows.len() as u64),
        ..Reconciliation::default()
    };
    let prepared = attempt(transaction, async |inner| inner.prepare(&statement).await).await?;
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(refusal) => return Ok(Look::Refused(refusal)),
    };
    for window in windows {
        match compare(transaction, &prepared, window).await? {
            Ok(found) => {
                all.buckets += found.buckets;
                all.wrong += found.wrong;
                all.examples.extend(found.examples);
                all.examples.truncate(EXAMPLES);
            }
            Err(refusal) => return Ok(Look::Refused(refusal)),
        }
    }
    Ok(Look::Seen(all))
}

/// Name of the statement that compares a rollup with its rows.
#[must_use]
pub fn comparison_name(rollup: &str) -> String {
    format!("comparison of {rollup}")
}

/// Both statements in one, which sees one state of the database.
fn comparison(sql: &RollupSql) -> String {
    let statement = |text: &str| text.trim_end().trim_end_matches(';').to_owned();
    include_str!("rollups_compare.sql")
        .replacen("SELECT /* served */", &statement(&sql.served), 1)
        .replacen("SELECT /* raw */", &statement(&sql.raw), 1)
}

async fn compare(
    transaction: &mut Transaction<'_>,
    statement: &Statement,
    window: Window,
) -> Result<Result<Reconciliation, Refusal>, Error> {
    let values = [TextValue(Some(window.from)), TextValue(Some(window.to))];
    attempt(transaction, async |inner| {
        let row = inner.query_one(statement, &parameters(&values)).await?;
        let count = |name| row.try_get::<_, i64>(name).map(i64::unsigned_abs);
        let raw: Vec<bool> = row.try_get("examples_raw")?;
        let rows: Vec<String> = row.try_get("examples")?;
        let examples = raw.into_iter().zip(rows);
        Ok(Reconciliation {
            buckets: count("buckets")?,
            windows: None,
            wrong: count("wrong")?,
            examples: examples.map(|(raw, row)| Difference { raw, row }).collect(),
        })
    })
    .await
}

/// The windows of a large source.
async fn windows(
    transaction: &mut Transaction<'_>,
    snapshot: &Snapshot,
    rollup: &Rollup,
) -> Result<Look<Vec<Window>>, Error> {
    let (schema, table) = split_name(&rollup.source);
    let time = snapshot.hypertable(schema, table).and_then(|found| found.dimensions.first());
    let Some(time) = time else {
        return Ok(Look::NotLooked(format!("{} is no hypertable", rollup.source)));
    };
    let width = format!("{} seconds", rollup.bucket.duration().as_secs());
    let chunks = include_str!("rollups_chunks.sql");
    let chunks = attempt(transaction, async |inner| {
        let rows = inner.query(chunks, &[&schema, &table, &width, &CHUNKS]).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)))
            .collect::<Result<Vec<(String, String, i64, Vec<String>)>, _>>()
    });
    let chunks = match chunks.await? {
        Ok(chunks) => chunks,
        Err(refusal) => return Ok(Look::Refused(refusal)),
    };
    let of_each = (PAGES / i64::try_from(chunks.len().max(1)).unwrap_or(PAGES)).max(2);
    let mut starts: Vec<String> = Vec::new();
    let mut statements = Vec::new();
    for (chunk_schema, chunk, pages, edges) in chunks {
        starts.extend(edges);
        let (chunk, time) = (qualified(&chunk_schema, &chunk), quote_ident(&time.column));
        let last = (pages - 1).max(0);
        let of_page = |page: i64| {
            format!(
                "(SELECT {time} FROM {chunk} WHERE ctid >= '({page},0)' AND ctid < '({},0)' LIMIT 50)",
                page + 1
            )
        };
        statements
            .extend((1..=of_each.min(pages.max(1))).map(|part| of_page(last * part / of_each)));
    }
    let edges: Vec<&str> = starts.iter().map(String::as_str).collect();
    let sql = include_str!("rollups_windows.sql").replacen(
        "SELECT /* instants */",
        &statements.join(" UNION ALL "),
        1,
    );
    let windows = attempt(transaction, async |inner| {
        let rows = inner.query(&sql, &[&width, &edges]).await?;
        rows.iter().map(|row| Ok(Window { from: row.try_get(0)?, to: row.try_get(1)? })).collect()
    });
    Ok(windows.await?.into())
}
