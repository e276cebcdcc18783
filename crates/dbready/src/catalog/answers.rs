//! What queries answer: types and rows, to be compared between databases, and nulls.

use std::fmt::Write as _;

use futures_util::{TryStreamExt, pin_mut};
use sha2::{Digest, Sha256};
use tokio_postgres::{Client, Statement, Transaction};

use super::attempt::{Look, Refusal, attempt};
use super::queries::{Signature, TypeNames, sample, signature, type_names};
use super::text_value::{Raw, TextValue, parameters};
use crate::Error;
use crate::contract::Contract;

/// Rows of an answer that are read.
const ROWS: usize = 10_000;

/// Parameter values for each query of a contract, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples(Vec<Look<Vec<TextValue>>>);

/// What one query answers on one database.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Parameter and result types, when the server prepares the statement.
    pub signature: Result<Signature, Refusal>,
    /// Its rows for the sampled values; only for statements that return rows.
    pub rows: Look<Rows>,
}

/// The rows of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// Rows read, 10,000 at most.
    pub count: u64,
    /// Whether there were no more.
    pub complete: bool,
    /// Nulls in each column of these rows.
    pub nulls: Vec<u64>,
    /// SHA-256 over them, whatever their order.
    pub digest: String,
}

/// Samples parameter values for the queries of a contract from a database.
///
/// # Errors
///
/// [`Error::Database`] when the connection is lost.
pub async fn samples(client: &mut Client, contract: &Contract) -> Result<Samples, Error> {
    let mut transaction = begin_scratch(client, true).await?;
    let found = samples_within(&mut transaction, contract).await?;
    transaction.rollback().await?;
    Ok(found)
}

/// The same within an open transaction.
pub(crate) async fn samples_within(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
) -> Result<Samples, Error> {
    let mut found = Vec::with_capacity(contract.query_sql.len());
    for (query, sql) in contract.model.queries.iter().zip(&contract.query_sql) {
        found.push(sample(transaction, sql, query.parameters.len()).await?);
    }
    Ok(Samples(found))
}

/// Prepares and runs the queries of a contract with these values, in a transaction that only reads.
///
/// # Errors
///
/// As [`samples`].
pub async fn answers(
    client: &mut Client,
    contract: &Contract,
    samples: &Samples,
) -> Result<Vec<Answer>, Error> {
    let mut transaction = begin_scratch(client, true).await?;
    let found = answers_within(&mut transaction, contract, samples).await?;
    transaction.rollback().await?;
    Ok(found)
}

/// The same within an open transaction, which stays as it was: each query runs in a savepoint.
pub(crate) async fn answers_within(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
    samples: &Samples,
) -> Result<Vec<Answer>, Error> {
    let mut statements = Vec::with_capacity(contract.query_sql.len());
    for sql in &contract.query_sql {
        let text = &sql.statement;
        statements.push(attempt(transaction, async |inner| inner.prepare(text).await).await?);
    }
    let names: TypeNames = type_names(transaction, &statements).await?;
    let mut found = Vec::with_capacity(statements.len());
    for (statement, values) in statements.into_iter().zip(&samples.0) {
        found.push(match statement {
            Err(refusal) => {
                Answer { rows: Look::Refused(refusal.clone()), signature: Err(refusal) }
            }
            Ok(statement) => Answer {
                rows: rows(transaction, &statement, values).await?,
                signature: Ok(signature(&statement, &names)),
            },
        });
    }
    Ok(found)
}

/// A transaction in which types, times and names are printed as in every examination.
pub(crate) async fn begin_scratch(
    client: &mut Client,
    read_only: bool,
) -> Result<Transaction<'_>, Error> {
    let transaction = client.build_transaction().read_only(read_only).start().await?;
    transaction
        .batch_execute(
            "SET LOCAL search_path = public, pg_temp; SET LOCAL TimeZone = 'UTC'; \
             SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; \
             SET LOCAL extra_float_digits = 1; SET LOCAL jit = off; \
             SET LOCAL statement_timeout = '30s'; SET LOCAL lock_timeout = '5s'",
        )
        .await?;
    Ok(transaction)
}

async fn rows(
    transaction: &mut Transaction<'_>,
    statement: &Statement,
    values: &Look<Vec<TextValue>>,
) -> Result<Look<Rows>, Error> {
    if statement.columns().is_empty() {
        return Ok(Look::NotLooked("it returns no rows".to_owned()));
    }
    let values = match values {
        Look::Seen(values) if values.len() == statement.params().len() => values,
        Look::Seen(values) => {
            return Ok(Look::NotLooked(format!(
                "its sample gives {} values for {} parameters",
                values.len(),
                statement.params().len()
            )));
        }
        Look::Refused(refusal) => return Ok(Look::Refused(refusal.clone())),
        Look::NotLooked(reason) => return Ok(Look::NotLooked(reason.clone())),
    };
    Ok(attempt(transaction, async |inner| fetch(inner, statement, values).await).await?.into())
}

async fn fetch(
    transaction: &Transaction<'_>,
    statement: &Statement,
    values: &[TextValue],
) -> Result<Rows, tokio_postgres::Error> {
    let portal = transaction.bind(statement, &parameters(values)).await?;
    let limit = i32::try_from(ROWS).unwrap_or(i32::MAX);
    let stream = transaction.query_portal_raw(&portal, limit).await?;
    pin_mut!(stream);
    let mut nulls = vec![0; statement.columns().len()];
    let mut seen: Vec<[u8; 32]> = Vec::new();
    while let Some(row) = stream.try_next().await? {
        let mut hash = Sha256::new();
        for (at, nulls) in nulls.iter_mut().enumerate() {
            match row.try_get::<_, Option<Raw>>(at)? {
                None => {
                    *nulls += 1;
                    hash.update([0]);
                }
                Some(Raw(bytes)) => {
                    hash.update([1]);
                    hash.update((bytes.len() as u64).to_be_bytes());
                    hash.update(bytes);
                }
            }
        }
        seen.push(hash.finalize().into());
    }
    seen.sort_unstable();
    let mut digest = String::new();
    for byte in Sha256::digest(seen.concat()) {
        // Writing to a String cannot fail.
        let _ = write!(digest, "{byte:02x}");
    }
    Ok(Rows { count: seen.len() as u64, complete: seen.len() < ROWS, nulls, digest })
}
