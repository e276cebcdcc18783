//! The table that load tests ingest into, and the statement that writes a batch.

use tokio_postgres::Client;

use super::scratch::Scratch;
use crate::Error;
use crate::evidence::ServerFacts;
use crate::sql::quote_literal;

/// Its bare name.
const TABLE: &str = "load_ingest";

/// The keys of its rows.
const KEYS: usize = 200;

/// A table in the schema of the run: a hypertable with chunks of an hour where the database has
/// `TimescaleDB`.
#[derive(Debug, Clone)]
pub(super) struct Ingest {
    schema: String,
    /// Quoted and qualified.
    table: String,
    /// The statement that writes a [`Batch`].
    insert: String,
}

/// The values of one batch, as they are sent.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    keys: Vec<String>,
    data: Vec<String>,
}

impl Batch {
    pub(super) fn of(rows: usize) -> Self {
        let keys = (0..rows).map(|nth| format!("NSE@STOCK{}@EQ", nth % KEYS)).collect();
        let data = (0..rows).map(|nth| format!("{{\"delta\": 0.{:03}}}", nth % 1_000)).collect();
        Self { keys, data }
    }
}

impl Ingest {
    pub(super) async fn make(
        client: &Client,
        scratch: &Scratch,
        server: &ServerFacts,
    ) -> Result<Self, Error> {
        let table = scratch.name(TABLE);
        let make = format!(
            "CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, \
             key text NOT NULL, data jsonb NOT NULL, PRIMARY KEY (id, at)); \
             CREATE INDEX ON {table} (key, at DESC)"
        );
        client.batch_execute(&make).await?;
        if server.timescaledb.is_some() {
            let divide = format!(
                "SELECT create_hypertable({}, by_range('at', INTERVAL '1 hour'))",
                quote_literal(&table)
            );
            client.batch_execute(&divide).await?;
        }
        let insert = format!(
            "INSERT INTO {table} (at, key, data) SELECT now(), key, data::jsonb \
             FROM unnest($1::text[], $2::text[]) AS new_row (key, data)"
        );
        Ok(Self { schema: scratch.schema().to_owned(), table, insert })
    }

    /// Fills the last `hours` hours with rows, so that the chunks of each are there.
    pub(super) async fn fill(&self, client: &Client, hours: i32) -> Result<(), Error> {
        let fill = format!(
            "INSERT INTO {} (at, key, data) \
             SELECT now() - make_interval(hours => hour), 'NSE@STOCK' || nth || '@EQ', '{{}}' \
             FROM generate_series(1, $1::integer) AS hour, generate_series(1, {KEYS}) AS nth",
            self.table
        );
        client.execute(&fill, &[&hours]).await?;
        Ok(())
    }

    /// Writes a batch; gives its rows.
    pub(super) async fn write(
        &self,
        client: &Client,
        batch: &Batch,
    ) -> Result<u64, tokio_postgres::Error> {
        client.execute(&self.insert, &[&batch.keys, &batch.data]).await
    }

    /// Its quoted, qualified name.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Its bare schema and name.
    pub(super) fn names(&self) -> (&str, &str) {
        (&self.schema, TABLE)
    }
}
