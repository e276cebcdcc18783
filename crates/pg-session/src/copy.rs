//! COPY in both directions. A COPY that does not end well closes its
//! connection: the driver does not keep such a connection in step.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout_at;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CopyInSink, CopyOutStream};

use crate::connection::Failed;
use crate::error::Error;
use crate::executor::{Executor, Flight};
use crate::journal::Pending;

/// Marks the connection unfit after any error.
fn closing<T>(result: Result<T, tokio_postgres::Error>) -> Result<T, Failed> {
    result.map_err(|error| Failed { usable: false, ..Failed::from(error) })
}

/// Starts a COPY to the server; the executor keeps the connection if it was
/// refused before it was sent.
async fn start_in(
    executor: &mut Executor,
    sql: &str,
) -> Result<(Flight, CopyInSink<Bytes>), Error> {
    let mut flight = executor.depart()?;
    let deadline = flight.deadline;
    let connection = flight.connection()?;
    let started = timeout_at(deadline, async {
        let prepared = connection.prepare(sql).await?;
        closing(connection.client.copy_in(&prepared.statement).await)
    });
    let started = started.await;
    match executor.check(&mut flight, started) {
        Ok(sink) => Ok((flight, sink)),
        Err(error) => {
            executor.land(flight);
            Err(error)
        }
    }
}

/// `COPY … FROM STDIN` under way. Dropping it before [`finish`](Self::finish) aborts it.
pub struct CopyIn<'e> {
    executor: &'e mut Executor,
    sink: Pin<Box<CopyInSink<Bytes>>>,
    flight: Flight,
    pending: Pending,
}

impl<'e> CopyIn<'e> {
    pub(crate) async fn begin(executor: &'e mut Executor, sql: &str) -> Result<Self, Error> {
        let pending = Pending::new("copy", &executor.shared().options, sql);
        let (flight, sink) = start_in(executor, sql).await?;
        Ok(Self { executor, sink: Box::pin(sink), flight, pending })
    }

    /// Sends data in the format that the statement names.
    ///
    /// # Errors
    /// The errors of [`Executor`]. The server's refusal of a row may come later.
    pub async fn send(&mut self, data: Bytes) -> Result<(), Error> {
        let deadline = self.flight.deadline;
        let sink = &mut self.sink;
        let sent = timeout_at(deadline, async {
            match sink.send(data).await {
                Ok(()) => Ok(()),
                // The sink only knows that it is closed; the reason comes at the end.
                Err(error) => Err(sink.as_mut().finish().await.err().unwrap_or(error)),
            }
        });
        let sent = sent.await.map(closing);
        self.executor.check(&mut self.flight, sent)
    }

    /// Ends the COPY and gives the number of rows that it stored.
    ///
    /// # Errors
    /// The errors of [`Executor`].
    pub async fn finish(self) -> Result<u64, Error> {
        let Self { executor, mut sink, flight, pending } = self;
        let finished = timeout_at(flight.deadline, sink.as_mut().finish()).await.map(closing);
        executor.arrive(flight, finished).inspect(|_| pending.ran())
    }
}

/// `COPY … FROM STDIN (FORMAT binary)` under way. Dropping it before
/// [`finish`](Self::finish) aborts it.
pub struct BinaryCopyIn<'e> {
    executor: &'e mut Executor,
    writer: Pin<Box<BinaryCopyInWriter>>,
    flight: Flight,
    pending: Pending,
}

impl<'e> BinaryCopyIn<'e> {
    pub(crate) async fn begin(
        executor: &'e mut Executor,
        sql: &str,
        types: &[Type],
    ) -> Result<Self, Error> {
        let pending = Pending::new("copy", &executor.shared().options, sql);
        let (flight, sink) = start_in(executor, sql).await?;
        let writer = Box::pin(BinaryCopyInWriter::new(sink, types));
        Ok(Self { executor, writer, flight, pending })
    }

    /// Sends one row: a value for each of the types.
    ///
    /// # Errors
    /// The errors of [`Executor`]. The server's refusal of a row may come later.
    pub async fn write(&mut self, row: &[&(dyn ToSql + Sync)]) -> Result<(), Error> {
        let deadline = self.flight.deadline;
        let writer = &mut self.writer;
        let written = timeout_at(deadline, async {
            match writer.as_mut().write(row).await {
                Ok(()) => Ok(()),
                Err(error) if error.is_closed() => {
                    Err(writer.as_mut().finish().await.err().unwrap_or(error))
                }
                Err(error) => Err(error),
            }
        });
        let written = written.await.map(closing);
        self.executor.check(&mut self.flight, written)
    }

    /// Ends the COPY and gives the number of rows that it stored.
    ///
    /// # Errors
    /// The errors of [`Executor`].
    pub async fn finish(self) -> Result<u64, Error> {
        let Self { executor, mut writer, flight, pending } = self;
        let finished = timeout_at(flight.deadline, writer.as_mut().finish()).await.map(closing);
        executor.arrive(flight, finished).inspect(|_| pending.ran())
    }
}

/// `COPY … TO STDOUT` under way. Dropping it before the end cancels it.
pub struct CopyOut<'e> {
    executor: &'e mut Executor,
    stream: Pin<Box<CopyOutStream>>,
    flight: Option<Flight>,
}

impl<'e> CopyOut<'e> {
    pub(crate) async fn begin(executor: &'e mut Executor, sql: &str) -> Result<Self, Error> {
        let mut flight = executor.depart()?;
        let deadline = flight.deadline;
        let connection = flight.connection()?;
        let started = timeout_at(deadline, async {
            let prepared = connection.prepare(sql).await?;
            closing(connection.client.copy_out(&prepared.statement).await)
        });
        let started = started.await;
        match executor.check(&mut flight, started) {
            Ok(stream) => Ok(Self { executor, stream: Box::pin(stream), flight: Some(flight) }),
            Err(error) => {
                executor.land(flight);
                Err(error)
            }
        }
    }

    /// The next piece of data; none after the last, and after an error.
    ///
    /// # Errors
    /// The errors of [`Executor`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(flight) = &mut self.flight else { return Ok(None) };
        let piece = timeout_at(flight.deadline, self.stream.next()).await;
        let piece = piece.map(|piece| closing(piece.transpose()));
        let piece = self.executor.check(flight, piece);
        if !matches!(piece, Ok(Some(_)))
            && let Some(flight) = self.flight.take()
        {
            self.executor.land(flight);
        }
        piece
    }
}
