//! Which relations each part of an examination reads, asked from the server: by the locks that it takes.
//!
//! What has not touched a relation cannot change what a part sees that does not read it. Whoever
//! examines one database many times over leaves such parts to an earlier observation.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Transaction;

use super::Observation;
use super::attempt::{Look, attempt};
use super::queries::sample;
use super::text_value::{TextValue, parameters};
use crate::Error;
use crate::contract::{Contract, data_clauses};
use crate::evidence::Statements;

/// The first number of a relation that is not the server's own.
pub(super) const FIRST_OWN: u32 = 16_384;

/// `pg_attribute`, `pg_class`, `pg_depend` and `pg_index`, whose numbers never change.
const DESCRIBING: [u32; 4] = [1_249, 1_259, 2_608, 2_610];

/// A part of an examination that reads rows or travels values. Everything else is read every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Plan, run and hostile runs of a query, by its place in the contract. What the server says when
    /// it prepares the query is asked every time.
    Query(usize),
    /// The scan of a table, by its place in the contract.
    Data(usize),
    /// All rollups beside their rows.
    Rollups,
    /// Values sent and read back.
    Values,
}

/// Relations by number. A chunk or partition counts as its table, an index too.
pub(crate) type Relations = BTreeSet<u32>;

/// An earlier observation of the same database, and the parts of it that still hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Earlier<'a>(Option<(&'a Observation, &'a BTreeSet<Part>)>);

impl<'a> Earlier<'a> {
    /// What was seen, and the parts to which nothing has happened since.
    pub(crate) fn new(seen: &'a Observation, parts: &'a BTreeSet<Part>) -> Self {
        Self(Some((seen, parts)))
    }

    /// The statements that were run for the earlier observation.
    pub(super) fn statements(self) -> Statements {
        self.0.map(|(seen, _)| seen.statements.clone()).unwrap_or_default()
    }

    /// The earlier observation, if that part of it still holds.
    pub(super) fn of(self, part: Part) -> Option<&'a Observation> {
        self.0.filter(|(_, parts)| parts.contains(&part)).map(|(seen, _)| seen)
    }
}

/// The relations that each part reads. A part that could not be run is not in the answer: it may read
/// anything.
///
/// Statements are run, also those that write: the transaction is to be rolled back.
///
/// # Errors
///
/// [`Error::Database`] when the connection is lost.
pub(crate) async fn reach(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
) -> Result<BTreeMap<Part, Relations>, Error> {
    let mut found = BTreeMap::from([(Part::Values, Relations::new())]);
    for (at, (query, sql)) in contract.model.queries.iter().zip(&contract.query_sql).enumerate() {
        let values = match sample(transaction, sql, query.parameters.len()).await? {
            Look::Seen(values) => Some(values),
            _ => None,
        };
        if let Some(relations) = of(transaction, &sql.statement, values).await? {
            found.insert(Part::Query(at), relations);
        }
    }
    let of_rollups = reach_of_rollups(transaction, contract).await?;
    found.extend(of_rollups.map(|relations| (Part::Rollups, relations)));
    for clause in data_clauses(contract) {
        let tables = contract.model.tables.iter();
        let Some(at) = tables.clone().position(|table| std::ptr::eq(table, clause.table)) else {
            continue;
        };
        let number = "SELECT to_regclass($1)::oid";
        let row = transaction.query_one(number, &[&clause.table.qualified()]).await?;
        if let Some(number) = row.try_get(0)? {
            found.insert(Part::Data(at), Relations::from([number]));
        }
    }
    Ok(found)
}

/// The relations that the statements of rollups read; `None` when one of them could not be run.
///
/// # Errors
///
/// As [`reach`].
pub(crate) async fn reach_of_rollups(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
) -> Result<Option<Relations>, Error> {
    let mut all = Relations::new();
    for statement in contract.rollup_sql.iter().flat_map(|sql| [&sql.served, &sql.raw]) {
        let Some(own) = of(transaction, statement, Some(ALL_TIME.map(bound).into())).await? else {
            return Ok(None);
        };
        all.extend(own);
    }
    Ok(Some(all))
}

/// One text computed from a row that a rollup serves; `None` when it serves none, or the server
/// refuses to.
///
/// # Errors
///
/// As [`reach`].
pub(crate) async fn of_one_served(
    transaction: &mut Transaction<'_>,
    served: &str,
    text: &str,
) -> Result<Option<String>, Error> {
    let served = served.trim_end().trim_end_matches(';');
    let statement = format!("SELECT {text} FROM (\n{served}\n) AS served LIMIT 1");
    let values = ALL_TIME.map(bound);
    let row = attempt(transaction, async |inner| {
        let row = inner.query_opt(&statement, &parameters(&values)).await?;
        row.map_or(Ok(None), |row| row.try_get(0))
    });
    Ok(row.await?.ok().flatten())
}

/// The names of the columns that a statement returns; none when the server does not prepare it.
///
/// # Errors
///
/// As [`reach`].
pub(crate) async fn columns(
    transaction: &mut Transaction<'_>,
    statement: &str,
) -> Result<Vec<String>, Error> {
    let prepared = attempt(transaction, async |inner| inner.prepare(statement).await).await?;
    Ok(prepared.map_or_else(
        |_| Vec::new(),
        |prepared| prepared.columns().iter().map(|one| one.name().to_owned()).collect(),
    ))
}

const ALL_TIME: [&str; 2] = ["-infinity", "infinity"];

fn bound(text: &str) -> TextValue {
    TextValue(Some(text.to_owned()))
}

/// The relations that a statement locks when it is prepared, explained and run; without values for its
/// parameters, when it is prepared.
async fn of(
    transaction: &mut Transaction<'_>,
    statement: &str,
    values: Option<Vec<TextValue>>,
) -> Result<Option<Relations>, Error> {
    let ran = attempt(transaction, async |inner| {
        let prepared = inner.prepare(statement).await?;
        if let Some(values) = &values {
            inner.query(&format!("EXPLAIN {statement}"), &parameters(values)).await?;
            inner.query(&prepared, &parameters(values)).await?;
        }
        locked(inner, true).await
    });
    Ok(ran.await?.ok().map(|mut relations| {
        relations.retain(|relation| *relation >= FIRST_OWN);
        relations
    }))
}

/// The relations that the open transaction has locked for more than reading; `None` when that says
/// nothing, because it has locked none, or tables of the server's own. In those that describe
/// relations it may have written what describes one of those that it has locked.
///
/// # Errors
///
/// [`Error::Database`] when the connection is lost.
pub(crate) async fn touched(transaction: &Transaction<'_>) -> Result<Option<Relations>, Error> {
    let mut relations = locked(transaction, false).await?;
    relations.retain(|relation| !DESCRIBING.contains(relation));
    let is_own = |relation: &u32| *relation >= FIRST_OWN;
    Ok((!relations.is_empty() && relations.iter().all(is_own)).then_some(relations))
}

/// The relations that the open transaction has locked: also for reading, where that counts.
pub(super) async fn locked(
    transaction: &Transaction<'_>,
    for_reading: bool,
) -> Result<Relations, tokio_postgres::Error> {
    let rows = transaction.query(include_str!("reach_locks.sql"), &[&for_reading]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}
