//! Databases of our own on a server, made for one run and dropped with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pg_session::Config;
use tokio::time::sleep;

use crate::contract::Contract;
use crate::sql::{quote_ident, quote_literal};
use crate::{Error, migrate, seed};

/// Tries to copy a database from which the last worker may still be leaving.
const COPY_TRIES: u32 = 50;
/// Pause between them.
const PAUSE: Duration = Duration::from_millis(100);

/// The scratch databases of one run. Dropping this value drops them, also when the run is interrupted.
#[derive(Debug)]
pub struct Scratch {
    admin: Config,
    prefix: String,
    made: Vec<String>,
}

impl Scratch {
    /// Databases on the server of `admin`, whose own database is only connected to. The role must be
    /// allowed to create databases.
    #[must_use]
    pub fn on(admin: Config) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let prefix = format!("dbready_{}_{}", std::process::id(), since.subsec_nanos());
        Self { admin, prefix, made: Vec::new() }
    }

    /// An empty database with the extensions that a contract asks for.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] when the role may create no database or extension.
    pub async fn create(&mut self, word: &str, contract: &Contract) -> Result<Config, Error> {
        let config = self.named(word);
        let client = pg_session::connect(&self.admin).await?;
        let create = format!("CREATE DATABASE {} TEMPLATE template0", quote_ident(config.dbname()));
        client.batch_execute(&create).await?;
        self.made.push(config.dbname().to_owned());
        let own = pg_session::connect(&config).await?;
        for extension in &contract.model.server.extensions {
            let create = format!("CREATE EXTENSION IF NOT EXISTS {}", quote_ident(&extension.name));
            own.batch_execute(&create).await?;
        }
        Ok(config)
    }

    /// A copy of a database on the same server, from which everybody is sent away.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn copy(&mut self, of: &Config, word: &str) -> Result<Config, Error> {
        let config = self.named(word);
        let client = pg_session::connect(&self.admin).await?;
        let template = quote_ident(of.dbname());
        // Nobody may be connected to the database that is copied, and TimescaleDB's workers would.
        let close = format!("ALTER DATABASE {template} ALLOW_CONNECTIONS false");
        client.batch_execute(&close).await?;
        let create =
            format!("CREATE DATABASE {} TEMPLATE {template}", quote_ident(config.dbname()));
        let leave = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}",
            quote_literal(of.dbname())
        );
        let mut tries = 0;
        let made = loop {
            client.batch_execute(&leave).await?;
            match client.batch_execute(&create).await {
                Err(_) if tries < COPY_TRIES => {
                    tries += 1;
                    sleep(PAUSE).await;
                }
                made => break made,
            }
        };
        client.batch_execute(&format!("ALTER DATABASE {template} ALLOW_CONNECTIONS true")).await?;
        made?;
        self.made.push(config.dbname().to_owned());
        Ok(config)
    }

    /// Drops the databases.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; what could not be dropped is tried once more when this value is dropped.
    pub async fn close(mut self) -> Result<(), Error> {
        drop_all(&self.admin, &mut self.made).await
    }

    fn named(&self, word: &str) -> Config {
        self.admin.clone().with_dbname(format!("{}_{word}", self.prefix))
    }
}

impl Drop for Scratch {
    /// Leaves nothing behind when a run is interrupted: a thread of its own waits for the server.
    fn drop(&mut self) {
        if self.made.is_empty() {
            return;
        }
        let (admin, mut made) = (self.admin.clone(), std::mem::take(&mut self.made));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let dropped = match runtime {
                Ok(runtime) => runtime.block_on(drop_all(&admin, &mut made)),
                Err(error) => Err(Error::Interrupted(error.to_string())),
            };
            if let Err(error) = dropped {
                tracing::warn!("scratch databases {} stay behind: {error}", made.join(", "));
            }
        });
        if dropping.join().is_err() {
            tracing::warn!("scratch databases with the prefix {} stay behind", self.prefix);
        }
    }
}

async fn drop_all(admin: &Config, made: &mut Vec<String>) -> Result<(), Error> {
    if made.is_empty() {
        return Ok(());
    }
    let client = pg_session::connect(admin).await?;
    while let Some(name) = made.last() {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote_ident(name));
        client.batch_execute(&drop).await?;
        made.pop();
    }
    Ok(())
}

/// Brings a scratch database to the contract's version and fills it with so much of its data, where it has
/// some.
///
/// # Errors
///
/// As [`migrate::up`] and [`seed::seed`].
pub async fn build(
    config: &Config,
    contract: &Contract,
    profile: seed::Profile,
) -> Result<(), Error> {
    let mut client = pg_session::connect(config).await?;
    migrate::up(&mut client, contract, None, &migrate::Options::default(), &|_| ()).await?;
    if contract.seed_sql.is_some() {
        seed::seed(&mut client, contract, profile, 1).await?;
    } else {
        client.batch_execute("ANALYZE").await?;
    }
    Ok(())
}
