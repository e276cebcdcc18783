//! Running statements on one connection, each within its deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::FromSqlOwned;

use crate::connection::{Connection, Failed, Params};
use crate::copy::{BinaryCopyIn, CopyIn, CopyOut};
use crate::error::{Class, Error, Outcome};
use crate::journal::{self, Pending};
use crate::pool::{Lease, Shared};
use crate::rows::Rows;
use crate::transaction::TransactionOptions;

/// What runs statements: a [`Session`](crate::Session) outside, a
/// [`Transaction`](crate::Transaction) inside a transaction. Functions that serve
/// both take `&mut Executor`.
///
/// Each call has the pool's command deadline. A call whose future is dropped
/// before it ends is cancelled on the server and its connection closed; the
/// executor then answers [`Error::SessionClosed`].
///
/// Statements are prepared once for each connection. One that no longer fits the
/// schema is prepared again, on all connections, and outside a transaction the
/// call is repeated once: the server refuses such a statement before it runs.
///
/// # Errors
/// All calls give the server's errors by class, [`Error::Lost`] when the
/// connection ends, [`Error::Deadline`] when the server does not answer, and
/// [`Error::Client`] when a parameter does not fit or the statement begins or ends
/// a transaction. After a lost connection or a passed deadline the error's
/// [`Outcome`] is not-applied inside a transaction and unknown outside.
pub struct Executor {
    lease: Option<Lease>,
    shared: Arc<Shared>,
    in_transaction: bool,
    /// Whether the transaction was begun to refuse writes.
    read_only: bool,
    /// The time for a command in the transaction, where it is not the pool's.
    command_timeout: Option<Duration>,
}

/// A connection with a call under way. Dropped half-way it stops the call.
pub(crate) struct Flight {
    lease: Option<Lease>,
    pub(crate) deadline: Instant,
    begun: Instant,
}

impl Flight {
    pub(crate) fn connection(&mut self) -> Result<&mut Connection, Error> {
        let lease = self.lease.as_mut().ok_or(Error::SessionClosed)?;
        Ok(&mut lease.connection)
    }

    /// The time that the call had.
    fn allowed(&self) -> Duration {
        self.deadline.duration_since(self.begun)
    }
}

impl Flight {
    /// The connection after the call, its time recorded.
    fn release(&mut self) -> Option<Lease> {
        let mut lease = self.lease.take()?;
        lease.connection.record_time(self.begun);
        Some(lease)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(lease) = self.release() {
            lease.quarantine();
        }
    }
}

impl Executor {
    pub(crate) fn new(lease: Lease) -> Self {
        let shared = Arc::clone(&lease.shared);
        Self {
            lease: Some(lease),
            shared,
            in_transaction: false,
            read_only: false,
            command_timeout: None,
        }
    }

    /// Runs a statement and gives the number of rows that it affected.
    ///
    /// # Errors
    /// See [`Executor`].
    pub async fn execute(&mut self, sql: &str, params: Params<'_>) -> Result<u64, Error> {
        let mut healed = false;
        loop {
            let mut flight = self.depart()?;
            let deadline = flight.deadline;
            let result = timeout_at(deadline, flight.connection()?.execute(sql, params)).await;
            match self.arrive(flight, result) {
                Err(error) if self.heals(&error, &mut healed) => {}
                other => return self.ran("execute", sql, other),
            }
        }
    }

    /// Runs a query and gives all its rows. For results without a known bound
    /// use [`stream`](Self::stream).
    ///
    /// # Errors
    /// See [`Executor`].
    pub async fn fetch(&mut self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        let mut healed = false;
        loop {
            let mut flight = self.depart()?;
            let deadline = flight.deadline;
            let result = timeout_at(deadline, flight.connection()?.query(sql, params)).await;
            match self.arrive(flight, result) {
                Err(error) if self.heals(&error, &mut healed) => {}
                other => return self.ran("fetch", sql, other),
            }
        }
    }

    /// Runs a query that gives one row at most.
    ///
    /// # Errors
    /// [`Error::RowCount`] if there are several; otherwise see [`Executor`].
    pub async fn fetch_opt(&mut self, sql: &str, params: Params<'_>) -> Result<Option<Row>, Error> {
        let row = self.at_most_one(sql, params).await;
        self.ran("fetch", sql, row)
    }

    async fn at_most_one(&mut self, sql: &str, params: Params<'_>) -> Result<Option<Row>, Error> {
        let mut rows = self.open_stream(sql, params, None).await?;
        let first = rows.next().await?;
        let mut several = false;
        while rows.next().await?.is_some() {
            several = true;
        }
        if several { Err(Error::RowCount { found: 2 }) } else { Ok(first) }
    }

    /// Runs a query that gives exactly one row.
    ///
    /// # Errors
    /// [`Error::RowCount`] if there is none or several; otherwise see [`Executor`].
    pub async fn fetch_one(&mut self, sql: &str, params: Params<'_>) -> Result<Row, Error> {
        let row = self.exactly_one(sql, params).await;
        self.ran("fetch", sql, row)
    }

    async fn exactly_one(&mut self, sql: &str, params: Params<'_>) -> Result<Row, Error> {
        self.at_most_one(sql, params).await?.ok_or(Error::RowCount { found: 0 })
    }

    /// Runs a query that gives exactly one row and reads its first column.
    ///
    /// # Errors
    /// [`Error::RowCount`] if there is no row or several, [`Error::Client`] if the
    /// value is not a `T`; otherwise see [`Executor`].
    pub async fn fetch_value<T: FromSqlOwned>(
        &mut self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<T, Error> {
        let value = self.exactly_one(sql, params).await.and_then(|row| Ok(row.try_get(0)?));
        self.ran("fetchval", sql, value)
    }

    /// Runs a query and gives its rows as they come. The command deadline covers
    /// the whole result. Dropping the stream before its end cancels the query and
    /// closes the connection.
    ///
    /// # Errors
    /// See [`Executor`].
    pub async fn stream(&mut self, sql: &str, params: Params<'_>) -> Result<Rows<'_>, Error> {
        let pending = Pending::new("fetch", &self.shared.options, sql);
        self.open_stream(sql, params, Some(pending)).await
    }

    async fn open_stream(
        &mut self,
        sql: &str,
        params: Params<'_>,
        pending: Option<Pending>,
    ) -> Result<Rows<'_>, Error> {
        let mut healed = false;
        loop {
            let mut flight = self.depart()?;
            let deadline = flight.deadline;
            let result = timeout_at(deadline, flight.connection()?.stream(sql, params)).await;
            match self.check(&mut flight, result) {
                Ok(stream) => return Ok(Rows::new(self, flight, stream, pending)),
                Err(error) => {
                    self.land(flight);
                    if !self.heals(&error, &mut healed) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Runs several statements without parameters. What they leave in the session
    /// is undone before another caller gets the connection. Text from outside has
    /// no place in `sql`.
    ///
    /// # Errors
    /// [`Error::TransactionMisplaced`] if `sql` begins a transaction and leaves it
    /// open, or ends the one that it runs in; otherwise see [`Executor`].
    pub async fn batch(&mut self, sql: &str) -> Result<(), Error> {
        let mut flight = self.depart()?;
        let deadline = flight.deadline;
        let inside = self.in_transaction;
        let connection = flight.connection()?;
        let result = timeout_at(deadline, connection.foreign_batch(sql, inside)).await;
        self.arrive(flight, result)
    }

    /// Starts `COPY … FROM STDIN`, whose data the caller gives as the server
    /// wants it.
    ///
    /// # Errors
    /// See [`Executor`]. A COPY that fails closes the connection.
    pub async fn copy_in(&mut self, sql: &str) -> Result<CopyIn<'_>, Error> {
        CopyIn::begin(self, sql).await
    }

    /// Starts `COPY … FROM STDIN (FORMAT binary)` for rows of values of `types`.
    ///
    /// # Errors
    /// See [`Executor`]. A COPY that fails closes the connection.
    pub async fn copy_in_binary(
        &mut self,
        sql: &str,
        types: &[tokio_postgres::types::Type],
    ) -> Result<BinaryCopyIn<'_>, Error> {
        BinaryCopyIn::begin(self, sql, types).await
    }

    /// Starts `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// See [`Executor`]. A COPY that fails or is dropped early closes the connection.
    pub async fn copy_out(&mut self, sql: &str) -> Result<CopyOut<'_>, Error> {
        CopyOut::begin(self, sql).await
    }

    /// Notes a statement that succeeded.
    fn ran<T>(&self, call: &'static str, sql: &str, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_ok() {
            journal::ran_statement(call, &self.shared.options, sql);
        }
        result
    }

    /// Takes the connection for a call.
    pub(crate) fn depart(&mut self) -> Result<Flight, Error> {
        let mut lease = self.lease.take().ok_or(Error::SessionClosed)?;
        if lease.connection.client.is_closed() {
            // Nothing is sent, so nothing can have been applied.
            let cause = lease.connection.said.last_words().map(Box::new);
            lease.quarantine();
            return Err(count(Error::Lost { outcome: Outcome::NotApplied, cause }));
        }
        lease.connection.enter_generation(self.shared.generation());
        let begun = Instant::now();
        let limit = self.command_timeout.unwrap_or(self.shared.options.command_timeout);
        let deadline = begun + deadline_for(limit);
        Ok(Flight { lease: Some(lease), deadline, begun })
    }

    /// Ends a call: the connection is kept if it is fit for use.
    pub(crate) fn arrive<T>(
        &mut self,
        mut flight: Flight,
        result: Result<Result<T, Failed>, tokio::time::error::Elapsed>,
    ) -> Result<T, Error> {
        let result = self.check(&mut flight, result);
        self.land(flight);
        result
    }

    /// Keeps the connection of a call that has ended.
    pub(crate) fn land(&mut self, mut flight: Flight) {
        self.lease = flight.release();
    }

    /// Reads the result of a call, or of a step of it. A connection that is unfit
    /// is closed.
    pub(crate) fn check<T>(
        &self,
        flight: &mut Flight,
        result: Result<Result<T, Failed>, tokio::time::error::Elapsed>,
    ) -> Result<T, Error> {
        let outcome = if self.in_transaction { Outcome::NotApplied } else { Outcome::Unknown };
        let failed = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(failed)) => failed,
            Err(_) => {
                let after = flight.allowed();
                Failed { error: Error::Deadline { after, outcome }, usable: false }
            }
        };
        let mut error = failed.error;
        if let Error::Lost { outcome: found, cause } = &mut error {
            // What stands between us and the server may itself not know.
            let unsure = cause.as_ref().is_some_and(|report| is_unsure(report.sqlstate()));
            *found = if unsure { Outcome::Unknown } else { outcome };
            if cause.is_none() {
                let said = flight.lease.as_ref().and_then(|l| l.connection.said.last_words());
                *cause = said.map(Box::new);
            }
        }
        if error.class() == Class::ReadOnly && !self.read_only {
            self.shared.evict();
        }
        if !failed.usable
            && let Some(lease) = flight.release()
        {
            lease.quarantine();
        }
        Err(count(error))
    }

    /// Whether to repeat a call that met a stale statement. Only the first time,
    /// and never inside a transaction, which the error has aborted.
    fn heals(&self, error: &Error, healed: &mut bool) -> bool {
        if error.class() != Class::StaleStatement {
            return false;
        }
        self.shared.forget_statements();
        let first = !std::mem::replace(healed, true);
        first && !self.in_transaction
    }

    /// From here on a lost connection means that nothing was applied.
    pub(crate) fn enter_transaction(&mut self, options: &TransactionOptions) {
        self.in_transaction = true;
        self.read_only = options.read_only;
        self.command_timeout = options.command_timeout;
    }

    /// The commit follows: from here on the outcome of a call that is lost is unknown.
    pub(crate) fn expect_commit(&mut self) {
        self.in_transaction = false;
    }

    pub(crate) fn leave_transaction(&mut self) {
        self.in_transaction = false;
        self.read_only = false;
        self.command_timeout = None;
    }

    pub(crate) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Begins or ends a transaction or savepoint.
    pub(crate) async fn control(&mut self, sql: &str) -> Result<(), Error> {
        let mut flight = self.depart()?;
        let deadline = flight.deadline;
        let result = timeout_at(deadline, flight.connection()?.batch(sql)).await;
        self.arrive(flight, result)
    }

    /// Sends SQL without waiting for the answer, which the driver discards. What
    /// is sent next runs after it.
    pub(crate) fn send(&mut self, sql: &str) {
        use futures_util::FutureExt;
        if let Some(lease) = &mut self.lease {
            let _ = lease.connection.client.batch_execute(sql).now_or_never();
        }
    }

    /// Closes the connection, stopping whatever runs on it.
    pub(crate) fn close_connection(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.quarantine();
        }
    }

    pub(crate) fn unreplicated_commits(&self) -> u64 {
        self.lease.as_ref().map_or(0, |lease| lease.connection.said.unreplicated())
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        match self.lease.take() {
            // A transaction was leaked, so its own drop did not end it.
            Some(lease) if self.in_transaction => lease.quarantine(),
            Some(lease) => lease.give_back(),
            None => {}
        }
    }
}

/// Whether a SQLSTATE says that the fate of a statement or transaction is unknown.
fn is_unsure(sqlstate: &str) -> bool {
    matches!(sqlstate, "08007" | "40003")
}

/// When a caller stops waiting for a command that the server should have ended
/// within `limit`: late enough that the server's own report comes first.
pub(crate) fn deadline_for(limit: Duration) -> Duration {
    limit.saturating_add((limit / 25).max(Duration::from_millis(200)))
}

pub(crate) fn count(error: Error) -> Error {
    journal::failed(&error);
    metrics::counter!("pg_session_errors_total", "class" => error.class().name()).increment(1);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_wait_a_little_longer_than_the_server() {
        for (limit, waited) in [(1, 201), (1000, 1200), (5000, 5200), (30_000, 31_200)] {
            let found = deadline_for(Duration::from_millis(limit));
            assert_eq!(found, Duration::from_millis(waited));
        }
        assert_eq!(deadline_for(Duration::MAX), Duration::MAX);
    }
}
