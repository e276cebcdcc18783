//! Rows as they come.

use std::pin::Pin;

use futures_util::StreamExt;
use tokio::time::timeout_at;
use tokio_postgres::{Row, RowStream};

use crate::connection::Failed;
use crate::error::Error;
use crate::executor::{Executor, Flight};
use crate::journal::Pending;

/// The rows of a query that is under way. Dropping it before the end cancels the
/// query and closes the connection.
///
/// Nothing else can be asked of the session meanwhile, which would wait for the
/// rows that it keeps from being read:
///
/// ```compile_fail,E0499
/// # async fn run(session: &mut pg_session::Session) -> Result<(), pg_session::Error> {
/// let mut rows = session.stream("SELECT a FROM t", &[]).await?;
/// while let Some(row) = rows.next().await? {
///     session.execute("UPDATE t SET b = 0 WHERE a = $1", &[&row.get::<_, i32>(0)]).await?;
/// }
/// # Ok(()) }
/// ```
pub struct Rows<'e> {
    executor: &'e mut Executor,
    stream: Pin<Box<RowStream>>,
    flight: Option<Flight>,
    pending: Option<Pending>,
}

impl<'e> Rows<'e> {
    pub(crate) fn new(
        executor: &'e mut Executor,
        flight: Flight,
        stream: RowStream,
        pending: Option<Pending>,
    ) -> Self {
        Self { executor, stream: Box::pin(stream), flight: Some(flight), pending }
    }

    /// The next row; none after the last, and after an error.
    ///
    /// # Errors
    /// The errors of [`Executor`].
    pub async fn next(&mut self) -> Result<Option<Row>, Error> {
        let Some(flight) = &mut self.flight else { return Ok(None) };
        let row = timeout_at(flight.deadline, self.stream.next()).await;
        let row = row.map(|row| row.transpose().map_err(Failed::from));
        let row = self.executor.check(flight, row);
        if !matches!(row, Ok(Some(_)))
            && let Some(flight) = self.flight.take()
        {
            self.executor.land(flight);
            if let (Ok(None), Some(pending)) = (&row, &self.pending) {
                pending.ran();
            }
        }
        row
    }
}
