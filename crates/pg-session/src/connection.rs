//! One connection of a pool: the driver's client with its prepared statements.

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, RowStream, SimpleQueryMessage};

use crate::connect::{Link, Said};
use crate::error::{Error, Outcome, ServerError};
use crate::lineage::Descent;
use crate::pool::{PoolOptions, lifetime};
use crate::statements::{Effect, Prepared, Statements, effect};

/// The parameters of a statement, `$1` first.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// An error, and whether the connection is still fit for use after it.
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) usable: bool,
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(report) = error.as_db_error() {
            // The server has answered and waits for the next command.
            let usable = !ServerError::from(report).is_fatal();
            return Self { error: Error::from(error), usable };
        }
        if std::error::Error::source(&error).is_none() {
            // The end of the connection, or an answer that the driver did not expect.
            let error = Error::Lost { outcome: Outcome::Unknown, cause: None };
            return Self { error, usable: false };
        }
        // A parameter that does not convert is found before anything is sent.
        let usable = crate::error::io_source(&error).is_none();
        Self { error: Error::from(error), usable }
    }
}

/// A refusal of our own: nothing was sent.
impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, usable: true }
    }
}

pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) task: JoinHandle<()>,
    pub(crate) said: Said,
    /// When it is old enough to be replaced.
    expires: Instant,
    pub(crate) returned: Instant,
    /// Whether something was run that may outlive its transaction.
    pub(crate) needs_reset: bool,
    statements: Statements,
    generation: u64,
    /// The pool's era in which it was opened.
    era: u64,
    descent: Option<Descent>,
    /// Where to record the time of the statement under way.
    timing: Option<metrics::Histogram>,
}

impl Connection {
    pub(crate) fn new(link: Link, options: &PoolOptions, generation: u64, era: u64) -> Self {
        let now = Instant::now();
        Self {
            client: link.client,
            task: link.task,
            said: link.said,
            expires: now + lifetime(options),
            returned: now,
            needs_reset: false,
            statements: Statements::new(options),
            timing: None,
            generation,
            era,
            descent: link.descent,
        }
    }

    /// Whether it can serve another caller in the pool's present era.
    pub(crate) fn is_fit(&self, era: u64) -> bool {
        !self.client.is_closed()
            && self.era == era
            && Instant::now() < self.expires
            && self.descent.as_ref().is_none_or(Descent::is_current)
    }

    /// Records how long the statement under way took.
    pub(crate) fn record_time(&mut self, begun: Instant) {
        if let Some(timing) = self.timing.take() {
            timing.record(begun.elapsed());
        }
    }

    /// Forgets all prepared statements when the schema has changed since.
    pub(crate) fn enter_generation(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            self.statements.clear();
            self.client.clear_type_cache();
        }
    }

    /// Forgets all prepared statements: the server has dropped them.
    pub(crate) fn forget_statements(&mut self) {
        self.statements.clear();
    }

    /// The prepared statement for `sql`, from memory or from the server.
    pub(crate) async fn prepare(&mut self, sql: &str) -> Result<Prepared, Failed> {
        let prepared = if let Some(prepared) = self.statements.get(sql) {
            prepared
        } else {
            let effect = effect(sql);
            if effect == Effect::Transaction {
                let refusal =
                    "transactions are begun with begin() and ended with commit() or rollback()";
                return Err(Error::Client(refusal.to_owned()).into());
            }
            let statement = self.client.prepare(sql).await?;
            self.statements.put(sql, statement, effect)
        };
        self.timing = Some(prepared.timing.clone());
        self.needs_reset |= prepared.effect == Effect::Session;
        Ok(prepared)
    }

    async fn prepare_for(&mut self, sql: &str, params: Params<'_>) -> Result<Prepared, Failed> {
        if params.len() > usize::from(u16::MAX) {
            let found = params.len();
            let refusal = format!("a statement takes 65535 parameters at most, {found} were given");
            return Err(Error::Client(refusal).into());
        }
        let prepared = self.prepare(sql).await?;
        let expected = prepared.statement.params().len();
        if expected == params.len() {
            Ok(prepared)
        } else {
            Err(Error::Client(format!(
                "the statement takes {expected} parameters and was given {}",
                params.len()
            ))
            .into())
        }
    }

    pub(crate) async fn execute(&mut self, sql: &str, params: Params<'_>) -> Result<u64, Failed> {
        let prepared = self.prepare_for(sql, params).await?;
        Ok(self.client.execute(&prepared.statement, params).await?)
    }

    pub(crate) async fn query(
        &mut self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Failed> {
        let prepared = self.prepare_for(sql, params).await?;
        Ok(self.client.query(&prepared.statement, params).await?)
    }

    pub(crate) async fn stream(
        &mut self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<RowStream, Failed> {
        let prepared = self.prepare_for(sql, params).await?;
        let params = params.iter().map(|param| *param as &(dyn ToSql + Sync));
        Ok(self.client.query_raw(&prepared.statement, params.collect::<Vec<_>>()).await?)
    }

    /// Runs statements of our own without parameters, as one message.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), Failed> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Runs a caller's statements and looks whether the session is in the same
    /// transaction after them, or in none if it was in none: a transaction has one
    /// `now()` all its life, and without one every statement has its own.
    pub(crate) async fn foreign_batch(&mut self, sql: &str, inside: bool) -> Result<(), Failed> {
        self.needs_reset = true;
        // Sent together in this order, so there is one round trip.
        let (before, result, after) =
            tokio::join!(self.moment(), self.client.batch_execute(sql), self.moment());
        let in_order = match (before, after) {
            (Ok(before), Ok(after)) if inside => before.transaction == after.transaction,
            (_, Ok(after)) => !inside && after.transaction == after.statement,
            // The batch has failed, and with it the transaction.
            (_, Err(error)) => inside && error.as_db_error().is_some(),
        };
        match result {
            Err(error) if in_order || error.as_db_error().is_none() => Err(error.into()),
            _ if in_order => Ok(()),
            _ => Err(Failed { error: Error::TransactionMisplaced, usable: false }),
        }
    }

    async fn moment(&self) -> Result<Moment, tokio_postgres::Error> {
        let sql = "SELECT extract(epoch FROM pg_catalog.transaction_timestamp()), \
                   extract(epoch FROM pg_catalog.statement_timestamp())";
        let messages = self.client.simple_query(sql).await?;
        let mut moment = Moment::default();
        for message in messages {
            if let SimpleQueryMessage::Row(row) = message {
                let text = |at| row.get(at).unwrap_or_default().to_owned();
                moment = Moment { transaction: text(0), statement: text(1) };
            }
        }
        Ok(moment)
    }
}

/// When a session's transaction and statement began, as the server writes it.
#[derive(Default)]
struct Moment {
    transaction: String,
    statement: String,
}
