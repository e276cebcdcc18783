//! The contract's queries as operations on a pool.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use pg_session::Pool;
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::Test;
use super::found::Found;
use super::generator::Answer;
use crate::Error;
use crate::contract::{Contract, QuerySql, Sla};
use crate::markup::one_line;

/// Why nothing is measured where no query can be loaded.
pub(super) const NONE_RUNS: &str = "no query of the contract with limits (`sla`) can be run";

/// Rows of parameters taken from the data of one query.
pub const PARAMETER_ROWS: usize = 1_000;

/// A value of any type, in the binary form in which the server sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawValue(Option<Bytes>);

impl<'a> FromSql<'a> for RawValue {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(Bytes::copy_from_slice(raw))))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for RawValue {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match &self.0 {
            Some(bytes) => {
                out.put_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A query of the contract that has limits under load, with parameters from the data.
#[derive(Debug, Clone)]
pub struct LoadedQuery {
    /// Its name.
    pub name: String,
    /// The contract's file with its statement.
    pub file: String,
    /// Its limits.
    pub sla: Sla,
    /// Its statement.
    pub sql: Arc<str>,
    /// Rows of parameters.
    pub parameters: Arc<Vec<Vec<RawValue>>>,
}

/// Why a query cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unloadable {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The queries with limits under load, and those that cannot be run, each in the contract's order.
///
/// Parameters are the rows that the query's own sampling query gives, at most [`PARAMETER_ROWS`],
/// in the types of its parameters.
///
/// # Errors
///
/// [`Error::Database`] when the connection is lost.
pub async fn queries(
    client: &Client,
    contract: &Contract,
) -> Result<(Vec<LoadedQuery>, Vec<Unloadable>), Error> {
    let (mut loaded, mut unloadable) = (Vec::new(), Vec::new());
    for (query, sql) in contract.model.queries.iter().zip(&contract.query_sql) {
        let Some(sla) = query.sla.clone() else { continue };
        let parameters = match (client.prepare(&sql.statement).await, &sql.sample) {
            (Err(error), _) if client.is_closed() => return Err(error.into()),
            (Err(error), _) => {
                Err(format!("the server does not prepare it: {}", pg_session::Error::from(error)))
            }
            (Ok(_), Some(sample)) => sampled(client, sql, sample).await?,
            (Ok(_), None) if query.parameters.is_empty() => Ok(vec![Vec::new()]),
            (Ok(_), None) => Err("the contract gives no sample of its parameters".to_owned()),
        };
        let name = query.name.clone();
        match parameters {
            Ok(parameters) => loaded.push(LoadedQuery {
                name,
                file: query.file.clone(),
                sla,
                sql: sql.statement.as_str().into(),
                parameters: Arc::new(parameters),
            }),
            Err(reason) => unloadable.push(Unloadable { name, reason }),
        }
    }
    Ok((loaded, unloadable))
}

/// The queries of a test that settles no claim; what it leaves out, and why, is noted in `found`.
pub(super) async fn queries_of(
    test: Test,
    client: &Client,
    contract: &Contract,
    found: &mut Found,
) -> Result<Vec<LoadedQuery>, Error> {
    let (loaded, unloadable) = queries(client, contract).await?;
    let test = test.name();
    found.notes.extend(
        unloadable.iter().map(|query| {
            format!("{test}: {} is left out: {}", query.name, one_line(&query.reason))
        }),
    );
    if loaded.is_empty() {
        found.notes.push(format!("{test}: {NONE_RUNS}"));
    }
    Ok(loaded)
}

async fn sampled(
    client: &Client,
    sql: &QuerySql,
    sample: &str,
) -> Result<Result<Vec<Vec<RawValue>>, String>, Error> {
    let rows = match rows_of(client, &sql.statement, sample).await {
        Ok(rows) => rows,
        Err(error) if client.is_closed() => return Err(error.into()),
        Err(error) => {
            return Ok(Err(format!("its sample fails: {}", pg_session::Error::from(error))));
        }
    };
    Ok(if rows.is_empty() {
        Err("there are no rows to sample its parameters from".to_owned())
    } else {
        Ok(rows)
    })
}

/// Rows of parameters for a statement from a sampling query, in the types of the parameters.
pub(super) async fn rows_of(
    client: &Client,
    statement: &str,
    sample: &str,
) -> Result<Vec<Vec<RawValue>>, tokio_postgres::Error> {
    let statement = client.prepare(statement).await?;
    let oids: Vec<u32> = statement.params().iter().map(Type::oid).collect();
    // The server writes the names of its types so that it understands them.
    let ask = "SELECT array_agg(format_type(oid, NULL) ORDER BY n) \
               FROM unnest($1::oid[]) WITH ORDINALITY AS type (oid, n)";
    let types: Option<Vec<String>> = client.query_one(ask, &[&oids]).await?.try_get(0)?;
    let cast: Vec<String> = types
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(at, name)| format!("p{at}::{name}"))
        .collect();
    let columns: Vec<String> = (0..oids.len()).map(|at| format!("p{at}")).collect();
    let wrapped = format!(
        "SELECT {} FROM (\n{}\n) AS sample ({}) LIMIT {PARAMETER_ROWS}",
        cast.join(", "),
        sample.trim_end().trim_end_matches(';'),
        columns.join(", ")
    );
    let rows = client.query(&wrapped, &[]).await?;
    rows.iter().map(|row| (0..row.len()).map(|at| row.try_get(at)).collect()).collect()
}

/// The first row of a query's parameters in the server's text form; no parameter is null there.
///
/// # Errors
///
/// [`Error::Database`] when the server does not understand them.
pub async fn as_text(client: &Client, query: &LoadedQuery) -> Result<Vec<String>, Error> {
    let statement = client.prepare(&query.sql).await?;
    let mut texts = Vec::new();
    for (value, kind) in query.parameters[0].iter().zip(statement.params()) {
        let types = std::slice::from_ref(kind);
        let ask = client.prepare_typed("SELECT coalesce($1::text, '')", types).await?;
        texts.push(client.query_one(&ask, &[value]).await?.try_get(0)?);
    }
    Ok(texts)
}

/// An operation under way.
pub type Call = std::pin::Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What a caller does with its session when the answer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It gives the session back.
    Prompt,
    /// It keeps the session for as long again: to see that this is noticed.
    #[cfg(test)]
    Dawdling,
}

/// Runs one query once through a session of the pool, with the parameters of row `pick`.
#[must_use]
pub fn call(
    pool: Pool,
    sql: Arc<str>,
    rows: Arc<Vec<Vec<RawValue>>>,
    pick: usize,
    manner: Manner,
) -> Call {
    Box::pin(async move {
        let began = Instant::now();
        let session = pool.acquire().await;
        let served = Instant::now();
        let mut session = match session {
            Ok(session) => session,
            Err(error) => {
                return unserved(began, served, &pg_session::Error::from(Box::new(error)));
            }
        };
        let parameters: Vec<&(dyn ToSql + Sync)> =
            rows[pick].iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        let asked = Instant::now();
        let answer = session.fetch(&sql, &parameters).await;
        let done = Instant::now();
        match manner {
            Manner::Prompt => {}
            #[cfg(test)]
            Manner::Dawdling => tokio::time::sleep(done - asked).await,
        }
        drop(session);
        Answer {
            began,
            served,
            done,
            working: done - asked,
            held: served.elapsed(),
            failure: answer.err().map(|error| error.class().name()),
        }
    })
}

/// The answer of an operation that got no connection.
pub(super) fn unserved(began: Instant, now: Instant, error: &pg_session::Error) -> Answer {
    let zero = std::time::Duration::ZERO;
    let failure = Some(error.class().name());
    Answer { began, served: now, done: now, working: zero, held: zero, failure }
}
