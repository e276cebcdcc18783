//! Twins: databases with the contract's schema and a little of its data, on a server of our own.

use std::time::Duration;

use pg_local::Cluster;
use pg_session::Config;
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::contract::Contract;
use crate::sql::{quote_ident, quote_literal};
use crate::{Error, migrate, seed};

/// Rows that a table of a twin keeps, give or take: enough for the planner to prefer an index, few
/// enough to be rewritten hundreds of times.
const ROWS: i64 = 8_000;

/// The database that all twins are copies of.
const TEMPLATE: &str = "sabotage_template";

/// The twins of one run.
#[derive(Debug)]
pub(super) struct Twins {
    admin: Config,
}

impl Twins {
    /// Makes the template: extensions, migrations, the contract's data, thinned out.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`] and [`Error::Database`], as migrations and the seed give them.
    pub(super) async fn prepare(
        cluster: &Cluster,
        contract: &Contract,
        said: &dyn Fn(&str),
    ) -> Result<Self, Error> {
        let admin =
            Config::from_url(&cluster.url("postgres"))?.default_application_name("dbready prove");
        let client = pg_session::connect(&admin).await?;
        client.batch_execute(&format!("CREATE DATABASE {TEMPLATE}")).await?;
        let mut own = pg_session::connect(&admin.clone().with_dbname(TEMPLATE)).await?;
        for extension in &contract.model.server.extensions {
            let create = format!("CREATE EXTENSION IF NOT EXISTS {}", quote_ident(&extension.name));
            own.batch_execute(&create).await?;
        }
        said("migrating the twin");
        migrate::up(&mut own, contract, None, &migrate::Options::default(), &|_| ()).await?;
        if contract.seed_sql.is_some() {
            said("filling the twin with data");
            seed::seed(&mut own, contract, seed::Profile::Quick, 1).await?;
        }
        thin_out(&own, contract).await?;
        drop(own);
        // Nobody may be connected to the database that is copied, and TimescaleDB's workers would.
        for statement in [
            format!("ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false"),
            format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}",
                quote_literal(TEMPLATE)
            ),
        ] {
            client.batch_execute(&statement).await?;
        }
        Ok(Self { admin })
    }

    /// Makes a copy and connects to it.
    pub(super) async fn copy(&self, number: usize) -> Result<Twin, Error> {
        let name = format!("sabotage_twin_{number}");
        let client = pg_session::connect(&self.admin).await?;
        let create = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}");
        let mut tries = 0;
        // A worker may still be leaving the template.
        while let Err(error) = client.batch_execute(&create).await {
            tries += 1;
            if tries == 50 {
                return Err(error.into());
            }
            sleep(Duration::from_millis(100)).await;
        }
        let config = self.admin.clone().with_dbname(&name);
        Ok(Twin { client: pg_session::connect(&config).await?, config })
    }
}

/// One copy with a session of its own.
#[derive(Debug)]
pub(super) struct Twin {
    config: Config,
    pub(super) client: Client,
}

impl Twin {
    /// Connects again, when a sabotage has ended the session.
    pub(super) async fn revive(&mut self) -> Result<(), Error> {
        if self.client.is_closed() {
            self.client = pg_session::connect(&self.config).await?;
        }
        Ok(())
    }
}

/// Leaves a share of the rows of each large table, the same in every run. A table whose rows others
/// point at keeps them all.
async fn thin_out(client: &Client, contract: &Contract) -> Result<(), Error> {
    for table in &contract.model.tables {
        let name = table.qualified();
        let exists = "SELECT coalesce((SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = to_regclass($1)), false)";
        if !client.query_one(exists, &[&name]).await?.try_get::<_, bool>(0)? {
            continue;
        }
        let count = format!("SELECT count(*) FROM {name}");
        let rows: i64 = client.query_one(&count, &[]).await?.try_get(0)?;
        if rows > ROWS {
            client.batch_execute("SELECT setseed(0.5)").await?;
            let delete = format!("DELETE FROM {name} WHERE random() * {rows} > {ROWS}");
            match client.batch_execute(&delete).await {
                Err(error) if error.as_db_error().is_none() => return Err(error.into()),
                _ => {}
            }
            client.batch_execute(&format!("VACUUM (FULL) {name}")).await?;
        }
        client.batch_execute(&format!("ANALYZE {name}")).await?;
    }
    Ok(())
}
