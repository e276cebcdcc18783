//! A schema of the load tests' own, for everything that they write.

use pg_session::Config;
use tokio_postgres::Client;

use crate::Error;
use crate::contract::{Hypertable, Table};
use crate::sql::{quote_ident, quote_literal};

/// A schema that is made for one run and dropped after it. Nothing else is written to.
#[derive(Debug)]
pub struct Scratch {
    schema: String,
    config: Config,
}

impl Scratch {
    /// Makes the schema in the database of `config`, does the work, and drops the schema with
    /// everything in it, whether the work succeeds or not. When the future is dropped the schema
    /// stays; the next run of this process's number replaces it.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] when the role may not make schemas there or the connection is lost, and
    /// what the work gives.
    pub async fn within<T>(
        client: &Client,
        config: &Config,
        work: impl AsyncFnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let scratch = Self::create(client, config).await?;
        let done = work(&scratch).await;
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", quote_ident(&scratch.schema));
        client.batch_execute(&drop).await?;
        done
    }

    async fn create(client: &Client, config: &Config) -> Result<Self, Error> {
        let schema = format!("dbready_load_{}", std::process::id());
        let quoted = quote_ident(&schema);
        client
            .batch_execute(&format!(
                "DROP SCHEMA IF EXISTS {quoted} CASCADE; CREATE SCHEMA {quoted}"
            ))
            .await?;
        let config = config.clone().with_parameter("search_path", &format!("{quoted}, public"));
        Ok(Self { schema, config })
    }

    /// Where sessions find the schema first.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A quoted, qualified name in the schema.
    #[must_use]
    pub fn name(&self, table: &str) -> String {
        crate::sql::qualified(&self.schema, table)
    }

    /// Makes a hypertable like one of the contract, with its constraints and indexes and the rows of at
    /// most `chunks` of its chunks; gives its quoted, qualified name. Its identity and generated columns
    /// are plain ones, and it has no triggers and no foreign keys.
    ///
    /// The first chunk is left out where there are three, since it may not be full.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] when the table is not there, or cannot be partitioned so.
    pub async fn copy(
        &self,
        client: &Client,
        table: &Table,
        hypertable: &Hypertable,
        chunks: usize,
    ) -> Result<String, Error> {
        let (copy, original) = (self.name(&table.name), table.qualified());
        let time = quote_ident(&hypertable.time_column);
        let make = format!(
            "CREATE TABLE {copy} (LIKE {original} INCLUDING DEFAULTS INCLUDING CONSTRAINTS \
             INCLUDING INDEXES INCLUDING STORAGE); \
             SELECT create_hypertable({}, by_range({}, INTERVAL {}))",
            quote_literal(&copy),
            quote_literal(&hypertable.time_column),
            quote_literal(&hypertable.chunk_interval.to_string())
        );
        client.batch_execute(&make).await?;
        let ask = "SELECT range_start::text, range_end::text FROM timescaledb_information.chunks \
                   WHERE hypertable_schema = $1 AND hypertable_name = $2 ORDER BY range_start";
        let ranges = client.query(ask, &[&table.schema, &table.name]).await?;
        let skipped = usize::from(ranges.len() > 2);
        let mut taken = ranges.iter().skip(skipped).take(chunks);
        if let Some(first) = taken.next() {
            let (from, to): (String, String) =
                (first.try_get(0)?, taken.next_back().unwrap_or(first).try_get(1)?);
            let fill = format!(
                "INSERT INTO {copy} SELECT * FROM {original} WHERE {time} >= {} AND {time} < {}; \
                 ANALYZE {copy}",
                quote_literal(&from),
                quote_literal(&to)
            );
            client.batch_execute(&fill).await?;
        }
        Ok(copy)
    }

    /// The bare name of the schema.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }
}
