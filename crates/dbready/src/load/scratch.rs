//! A schema of the load tests' own, for everything that they write.

use pg_session::Config;
use tokio_postgres::Client;

use crate::Error;
use crate::sql::quote_ident;

/// A schema that is made for one run and dropped after it. Nothing else is written to.
#[derive(Debug)]
pub struct Scratch {
    schema: String,
    config: Config,
}

impl Scratch {
    /// Makes the schema in the database of `config`.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] when the role may not make schemas there.
    pub async fn create(client: &Client, config: &Config) -> Result<Self, Error> {
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

    /// The bare name of the schema.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Drops it with everything in it.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] when the connection is lost.
    pub async fn remove(self, client: &Client) -> Result<(), Error> {
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", quote_ident(&self.schema));
        client.batch_execute(&drop).await?;
        Ok(())
    }
}
