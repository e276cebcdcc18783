//! The contract's queries as the server sees them: prepared, explained and run once.

use std::collections::BTreeMap;

use futures_util::{TryStreamExt, pin_mut};
use pg_session::Class;
use tokio_postgres::{SimpleQueryMessage, Statement, Transaction};

use super::attempt::{Look, Refusal, attempt};
use super::plan::{self, PlanFacts};
use super::text_value::{Raw, TextValue, parameters};
use super::{Earlier, Part};
use crate::Error;
use crate::contract::{Contract, Query, QuerySql};

/// How a plan is asked for, before the statement.
pub const EXPLAIN: &str = "EXPLAIN (FORMAT JSON, VERBOSE)";

/// Rows of a result that are looked at.
const ROWS: usize = 1_000;

/// What the server says about one query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryObservation {
    /// Parameter and result types, when the server prepares the statement.
    pub signature: Result<Signature, Refusal>,
    /// Its plan for one row of sampled parameter values, when the contract says something about it.
    pub plan: Look<PlanFacts>,
    /// Its result for the same values; only for statements that return rows and write nothing.
    pub run: Look<Run>,
    /// Hostile texts in the place of its text parameters.
    pub hostile: Look<Vec<HostileRun>>,
}

/// Types of a prepared statement, by `format_type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Parameters in order.
    pub parameters: Vec<String>,
    /// Names and types of the result's columns in order.
    pub results: Vec<(String, String)>,
}

/// One run of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Rows read, 1,000 at most.
    pub rows: u64,
    /// Nulls in each column of these rows.
    pub nulls: Vec<u64>,
}

/// One run of a query with a hostile text in one of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostileRun {
    /// The parameter, counted from one.
    pub parameter: usize,
    /// The text.
    pub text: &'static str,
    /// Rows it returned, 1,000 at most, or why it was refused.
    pub rows: Result<u64, Refusal>,
}

/// Looks at every query of the contract, in its order. A query that is prepared as it was in the
/// `earlier` observation, if that still holds, has its plan and rows.
pub(super) async fn observe(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
    hostile: &[&'static str],
    earlier: Earlier<'_>,
) -> Result<Vec<QueryObservation>, Error> {
    let mut statements = Vec::with_capacity(contract.query_sql.len());
    for sql in &contract.query_sql {
        let statement = &sql.statement;
        statements.push(attempt(transaction, async |inner| inner.prepare(statement).await).await?);
    }
    hidden(transaction, &mut statements).await?;
    let names = type_names(transaction, &statements).await?;
    let mut seen = Vec::with_capacity(statements.len());
    let texts = contract.model.queries.iter().zip(&contract.query_sql).enumerate();
    for ((at, (query, sql)), statement) in texts.zip(statements) {
        let earlier = earlier.of(Part::Query(at)).and_then(|seen| seen.queries.get(at));
        let same = statement.as_ref().ok().zip(earlier).filter(|(statement, earlier)| {
            earlier.signature.as_ref() == Ok(&signature(statement, &names))
        });
        if let Some((_, earlier)) = same {
            seen.push(earlier.clone());
            continue;
        }
        seen.push(match statement {
            Err(refusal) => QueryObservation {
                plan: Look::Refused(refusal.clone()),
                run: Look::Refused(refusal.clone()),
                hostile: Look::Refused(refusal.clone()),
                signature: Err(refusal),
            },
            Ok(statement) => {
                let signature = signature(&statement, &names);
                let values = sample(transaction, sql, statement.params().len()).await?;
                QueryObservation {
                    plan: explain(transaction, query, &sql.statement, &values).await?,
                    run: run(transaction, query, &statement, &values).await?,
                    hostile: attack(transaction, query, &statement, &values, hostile).await?,
                    signature: Ok(signature),
                }
            }
        });
    }
    Ok(seen)
}

/// Tables and functions of a schema that a role may not use are not found, rather than denied: the
/// refusals are put as what they are, since they say nothing about the objects.
async fn hidden(
    transaction: &Transaction<'_>,
    statements: &mut [Result<Statement, Refusal>],
) -> Result<(), Error> {
    let unfound = |refusal: &&mut Refusal| ["42P01", "42883"].contains(&refusal.sqlstate.as_str());
    let mut unfound = statements.iter_mut().filter_map(|one| one.as_mut().err()).filter(unfound);
    let Some(first) = unfound.next() else { return Ok(()) };
    // Bare names are looked up in `public` only.
    let usable = "SELECT coalesce(has_schema_privilege(to_regnamespace('public'), 'USAGE'), true)";
    if transaction.query_one(usable, &[]).await?.try_get(0)? {
        return Ok(());
    }
    for refusal in std::iter::once(first).chain(unfound) {
        *refusal = Refusal {
            sqlstate: "42501".to_owned(),
            message: "this role may not use the schema `public`; grant it USAGE".to_owned(),
            class: Class::Privilege,
        };
    }
    Ok(())
}

pub(super) type TypeNames = BTreeMap<(u32, i32), String>;

/// The names of all types in question, in one round trip.
pub(super) async fn type_names(
    transaction: &Transaction<'_>,
    statements: &[Result<Statement, Refusal>],
) -> Result<TypeNames, Error> {
    let mut keys: Vec<(u32, i32)> = Vec::new();
    for statement in statements.iter().flatten() {
        keys.extend(statement.params().iter().map(|one| (one.oid(), -1)));
        keys.extend(statement.columns().iter().map(|one| (one.type_().oid(), one.type_modifier())));
    }
    keys.sort_unstable();
    keys.dedup();
    let (oids, modifiers): (Vec<u32>, Vec<i32>) = keys.into_iter().unzip();
    let rows = transaction
        .query(
            "SELECT oid, modifier, format_type(oid, modifier)
             FROM unnest($1::oid[], $2::int4[]) AS wanted(oid, modifier)",
            &[&oids, &modifiers],
        )
        .await?;
    rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}

pub(super) fn signature(statement: &Statement, names: &TypeNames) -> Signature {
    let name = |oid, modifier| names.get(&(oid, modifier)).cloned().unwrap_or_default();
    let results = statement.columns().iter().map(|column| {
        (column.name().to_owned(), name(column.type_().oid(), column.type_modifier()))
    });
    Signature {
        parameters: statement.params().iter().map(|one| name(one.oid(), -1)).collect(),
        results: results.collect(),
    }
}

/// Parameter values for a query: one row of its sample statement, as text.
pub(super) async fn sample(
    transaction: &mut Transaction<'_>,
    sql: &QuerySql,
    parameters: usize,
) -> Result<Look<Vec<TextValue>>, Error> {
    let Some(sql) = &sql.sample else {
        return Ok(match parameters {
            0 => Look::Seen(Vec::new()),
            _ => Look::NotLooked("the contract gives no sample of its parameters".to_owned()),
        });
    };
    let answer = attempt(transaction, async |inner| inner.simple_query(sql).await).await?;
    let row = match answer {
        Err(refusal) => {
            return Ok(Look::NotLooked(format!("its sample fails: {}", refusal.message)));
        }
        Ok(messages) => messages.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        }),
    };
    let Some(row) = row else {
        return Ok(Look::NotLooked("there are no rows to sample its parameters from".to_owned()));
    };
    if row.len() != parameters {
        let found = row.len();
        return Ok(Look::NotLooked(format!(
            "its sample gives {found} values for {parameters} parameters"
        )));
    }
    let values = (0..row.len()).map(|at| Ok(TextValue(row.try_get(at)?.map(str::to_owned))));
    Ok(Look::Seen(values.collect::<Result<_, tokio_postgres::Error>>()?))
}

async fn explain(
    transaction: &mut Transaction<'_>,
    query: &Query,
    sql: &str,
    values: &Look<Vec<TextValue>>,
) -> Result<Look<PlanFacts>, Error> {
    if query.plan.is_none() {
        return Ok(Look::NotLooked("the contract says nothing about its plan".to_owned()));
    }
    let values = match values {
        Look::Seen(values) => values,
        other => return Ok(other.clone().map(|_| PlanFacts::default())),
    };
    let explain = format!("{EXPLAIN} {sql}");
    let document = attempt(transaction, async |inner| {
        let row = inner.query_one(&explain, &parameters(values)).await?;
        row.try_get::<_, Raw>(0).map(|raw| raw.0.to_vec())
    });
    match document.await? {
        Ok(document) => plan::read(transaction, &document).await.map(Look::Seen),
        Err(refusal) => Ok(Look::Refused(refusal)),
    }
}

async fn run(
    transaction: &mut Transaction<'_>,
    query: &Query,
    statement: &Statement,
    values: &Look<Vec<TextValue>>,
) -> Result<Look<Run>, Error> {
    if query.results.is_empty() {
        return Ok(Look::NotLooked("it returns no rows".to_owned()));
    }
    let values = match values {
        Look::Seen(values) => values,
        other => return Ok(other.clone().map(|_| Run { rows: 0, nulls: Vec::new() })),
    };
    Ok(attempt(transaction, async |inner| fetch(inner, statement, values).await).await?.into())
}

/// Runs a statement and counts rows and nulls, leaving off after [`ROWS`] rows.
async fn fetch(
    transaction: &Transaction<'_>,
    statement: &Statement,
    values: &[TextValue],
) -> Result<Run, tokio_postgres::Error> {
    let portal = transaction.bind(statement, &parameters(values)).await?;
    let limit = i32::try_from(ROWS).unwrap_or(i32::MAX);
    let rows = transaction.query_portal_raw(&portal, limit).await?;
    pin_mut!(rows);
    let mut run = Run { rows: 0, nulls: vec![0; statement.columns().len()] };
    while let Some(row) = rows.try_next().await? {
        run.rows += 1;
        for (at, nulls) in run.nulls.iter_mut().enumerate() {
            *nulls += u64::from(row.try_get::<_, Option<Raw>>(at)?.is_none());
        }
    }
    Ok(run)
}

/// Runs a query that reads with each hostile text in each of its text parameters.
async fn attack(
    transaction: &mut Transaction<'_>,
    query: &Query,
    statement: &Statement,
    values: &Look<Vec<TextValue>>,
    hostile: &[&'static str],
) -> Result<Look<Vec<HostileRun>>, Error> {
    let values = match values {
        _ if query.results.is_empty() => {
            return Ok(Look::NotLooked("it returns no rows".to_owned()));
        }
        Look::Seen(values) => values,
        other => return Ok(other.clone().map(|_| Vec::new())),
    };
    let texts = ["text", "varchar", "bpchar", "name"];
    let mut runs = Vec::new();
    for (at, kind) in statement.params().iter().enumerate() {
        if !texts.contains(&kind.name()) {
            continue;
        }
        for &text in hostile {
            let mut values = values.clone();
            values[at] = TextValue(Some(text.to_owned()));
            let run = attempt(transaction, async |inner| fetch(inner, statement, &values).await);
            let rows = run.await?.map(|run| run.rows);
            runs.push(HostileRun { parameter: at + 1, text, rows });
        }
    }
    Ok(Look::Seen(runs))
}
