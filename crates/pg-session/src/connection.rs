//! One connection of a pool: the driver's client with its prepared statements.

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, RowStream};

use crate::Error;
use crate::connect::{Link, Said};
use crate::error::ServerError;
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
        let usable = match error.as_db_error() {
            // The server has answered and waits for the next command.
            Some(report) => !ServerError::from(report).is_fatal(),
            // A parameter that does not convert is found before anything is sent.
            None => {
                crate::error::io_source(&error).is_none()
                    && std::error::Error::source(&error).is_some()
            }
        };
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
    pub(crate) opened: Instant,
    pub(crate) returned: Instant,
    /// Whether something was run that may outlive its transaction.
    pub(crate) needs_reset: bool,
    statements: Statements,
    generation: u64,
}

impl Connection {
    pub(crate) fn new(link: Link, statement_limit: usize, generation: u64) -> Self {
        let now = Instant::now();
        Self {
            client: link.client,
            task: link.task,
            said: link.said,
            opened: now,
            returned: now,
            needs_reset: false,
            statements: Statements::new(statement_limit),
            generation,
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
            let prepared = Prepared { statement, effect };
            self.statements.put(sql, prepared.clone());
            prepared
        };
        self.needs_reset |= prepared.effect == Effect::Session;
        Ok(prepared)
    }

    async fn prepare_for(&mut self, sql: &str, params: Params<'_>) -> Result<Prepared, Failed> {
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

    /// Runs statements without parameters, as one message.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), Failed> {
        Ok(self.client.batch_execute(sql).await?)
    }
}
