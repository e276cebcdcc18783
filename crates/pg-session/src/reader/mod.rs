//! Short reads that share connections.
//!
//! A read does not need a connection to itself: the server answers in the order
//! of the questions, so many callers can have questions under way on one
//! connection. Every read runs in a task of its own, so that a caller who gives
//! up, or is slow to look at its answer, holds up no one behind it.

mod hub;
mod line;
mod value;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::FromSqlOwned;

use self::hub::{Hub, Time};
use self::value::Value;
use crate::config::TargetSession;
use crate::connection::Params;
use crate::error::{Class, Error, Outcome};
use crate::executor::{count, deadline_for};
use crate::journal;
use crate::pool::Pool;
use crate::retry::RetryPolicy;

/// Reads that may be under way on one connection.
const DEPTH: u32 = 64;
/// How often a read is tried: it changes nothing, so it may be repeated.
const ATTEMPTS: u32 = 3;
/// How often it is tried when what is in its way is another transaction, such as one
/// that drops chunk after chunk, and the longest pause between two attempts then.
const CONFLICTS: (u32, Duration) = (10, Duration::from_millis(100));

/// How a [`Reader`] works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderOptions {
    /// Connections kept open, beside those of the pool. Default 4.
    pub connections: u32,
    /// Rows that a read may give at most. Default 10 000.
    pub row_limit: usize,
    /// The kind of server to read from, where it is not the pool's. Default: the pool's.
    pub target: Option<TargetSession>,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self { connections: 4, row_limit: 10_000, target: None }
    }
}

impl ReaderOptions {
    /// Refuses limits that cannot work.
    fn check(&self) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::Config(format!("reader: {reason}")));
        let connections = self.connections;
        if connections == 0 || connections > 1000 {
            return refuse(format!("connections is {connections}, expected 1 to 1000"));
        }
        if self.row_limit == 0 {
            return refuse("row_limit is 0, expected at least 1 row".to_owned());
        }
        Ok(())
    }

    /// Reads that may be under way on all connections.
    fn seats(&self) -> u32 {
        self.connections * DEPTH
    }
}

/// What a reader is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderStatus {
    /// Connections open.
    pub connections: usize,
    /// Reads under way, also those whose callers have given up.
    pub reads: usize,
    /// Callers waiting for their turn.
    pub waiting: usize,
}

/// Short reads of many callers on few connections, made by [`Pool::reader`].
/// Cloning gives another handle.
///
/// Each read is one statement and sees what is committed when it starts. It is
/// repeated, within the command timeout, when its connection is lost, its statement
/// is stale, or another transaction or a standby's recovery was in its way. A long read delays the reads that follow on its
/// connection: use a session for those.
///
/// A read whose future is dropped runs to its end on the server, within the
/// command timeout, and its rows are thrown away; nobody else's read is
/// cancelled by it.
///
/// # Errors
/// [`Error::Acquire`] if no connection can be had, [`Error::Client`] if the
/// statement is not a read that leaves nothing behind, [`Error::ReadOnly`] if it
/// writes, [`Error::TooManyRows`]; otherwise those of
/// [`Executor`](crate::Executor).
#[derive(Clone)]
pub struct Reader(Arc<Hub>);

impl Pool {
    /// Shares connections among short reads. They have the pool's address, limits
    /// and statement names, are kept open beside the pool's own, and stay open
    /// until the pool is closed or the last handle of the reader is dropped.
    ///
    /// # Errors
    /// [`Error::Config`] for options that cannot work.
    pub fn reader(&self, options: ReaderOptions) -> Result<Reader, Error> {
        Hub::open(self, options).map(Reader)
    }
}

impl Reader {
    /// Runs a query and gives all its rows.
    ///
    /// # Errors
    /// See [`Reader`].
    pub async fn fetch(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        let limit = self.0.options.row_limit;
        let (rows, complete) = self.read(sql, params, limit).await?;
        if complete { Ok(rows) } else { Err(count(Error::TooManyRows { limit })) }
    }

    /// Runs a query that gives one row at most.
    ///
    /// # Errors
    /// [`Error::RowCount`] if there are several; otherwise see [`Reader`].
    pub async fn fetch_opt(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, Error> {
        let (mut rows, complete) = self.read(sql, params, 1).await?;
        if complete { Ok(rows.pop()) } else { Err(count(Error::RowCount { found: 2 })) }
    }

    /// Runs a query that gives exactly one row.
    ///
    /// # Errors
    /// [`Error::RowCount`] if there is none or several; otherwise see [`Reader`].
    pub async fn fetch_one(&self, sql: &str, params: Params<'_>) -> Result<Row, Error> {
        self.fetch_opt(sql, params).await?.ok_or_else(|| count(Error::RowCount { found: 0 }))
    }

    /// Runs a query that gives exactly one row and reads its first column.
    ///
    /// # Errors
    /// [`Error::RowCount`] if there is no row or several, [`Error::Client`] if the
    /// value is not a `T`; otherwise see [`Reader`].
    pub async fn fetch_value<T: FromSqlOwned>(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<T, Error> {
        Ok(self.fetch_one(sql, params).await?.try_get(0)?)
    }

    /// What the reader is doing now.
    #[must_use]
    pub fn status(&self) -> ReaderStatus {
        self.0.status()
    }

    /// The rows of a read, `limit` at most, and whether these are all.
    async fn read(
        &self,
        sql: &str,
        params: Params<'_>,
        limit: usize,
    ) -> Result<(Vec<Row>, bool), Error> {
        let last_start = Instant::now() + self.0.pool.options.command_timeout;
        let mut attempts = 1;
        loop {
            let begun = Instant::now();
            let error = match self.attempt(sql, params, limit).await {
                Ok(answer) => {
                    journal::ran_statement("fetch", &self.0.pool.options, sql);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let mut pause = Duration::ZERO;
            let most = match error.class() {
                Class::StaleStatement => {
                    self.0.pool.forget_statements();
                    ATTEMPTS
                }
                Class::Lost => {
                    self.0.retire_older(begun);
                    if matches!(error, Error::Acquire(_)) { 0 } else { ATTEMPTS }
                }
                Class::Conflict => {
                    let (most, longest_pause) = CONFLICTS;
                    let policy = RetryPolicy { longest_pause, ..RetryPolicy::default() };
                    pause = policy.pause_after(attempts - 1);
                    most
                }
                _ => 0,
            };
            if attempts >= most || Instant::now() + pause >= last_start {
                return Err(count(error));
            }
            sleep(pause).await;
            attempts += 1;
        }
    }

    async fn attempt(
        &self,
        sql: &str,
        params: Params<'_>,
        limit: usize,
    ) -> Result<(Vec<Row>, bool), Error> {
        let seat = self.0.board().await?;
        let line = seat.line();
        let begun = Instant::now();
        let allowed = deadline_for(self.0.pool.options.command_timeout);
        let time = Time { deadline: begun + allowed, allowed };
        let late = || {
            // It may be dead, or have a long read before this one: none are added.
            line.retire();
            Error::Deadline { after: allowed, outcome: Outcome::NotApplied }
        };
        let prepared = timeout_at(time.deadline, seat.prepare(sql, time)).await;
        let prepared = prepared.unwrap_or_else(|_| Err(late()))?;
        let values = Value::encode(&prepared.statement, params)?;
        let (sender, answer) = oneshot::channel();
        let statement = prepared.statement.clone();
        self.0.pool.runtime.spawn(seat.ride(statement, values, limit, time, sender));
        let answer = timeout_at(time.deadline, answer).await;
        prepared.timing.record(begun.elapsed());
        match answer {
            Ok(Ok(answer)) => answer,
            // The read has given up at the same deadline.
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ReaderOptions;

    #[test]
    fn the_number_of_connections_is_bounded() {
        let options = |connections| ReaderOptions { connections, ..ReaderOptions::default() };
        for connections in [1, 1000] {
            options(connections).check().unwrap();
        }
        for connections in [0, 1001, u32::MAX] {
            let shown = options(connections).check().unwrap_err().to_string();
            assert!(shown.contains(&format!("connections is {connections}")), "{shown}");
        }
        assert_eq!(options(3).seats(), 192);
    }
}
