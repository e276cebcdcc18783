//! What one drill works with: its server and database, its choices, its record.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pg_local::proxy::Proxy;
use pg_local::{Cluster, Runtime};
use pg_session::{Class, Config, Pool, PoolOptions, ReaderOptions, Session};
use signal_store::{Store, StoreOptions};
use tokio_postgres::Client;

use super::client::Process;
use super::examiner::{Asked, Examiner, Statement};
use super::heard::{Heard, Told};
use super::journal::Journal;
use super::random::Random;
use super::record::{Record, Trial};
use super::sabotage::Sabotage;
use super::server::Server;
use super::work::{READERS, RETRIES};
use crate::contract::source;
use crate::sql::quote_ident;
use crate::{Error, migrate};

/// Under which name the layer's sessions are known to the server.
pub(crate) const LAYER: &str = "drill";

/// What a setting is on the server.
const SETTING: &str = "SELECT current_setting($1)";

/// What one drill works with.
pub(crate) struct Scene {
    pub(crate) runtime: Runtime,
    /// The server to break.
    pub(crate) server: Server,
    /// Whether to inject many faults rather than few.
    pub(crate) thorough: bool,
    pub(crate) random: Random,
    pub(crate) record: Record,
    pub(crate) sabotage: Sabotage,
    asked: Asked,
    repeat: Option<u32>,
    client: &'static [&'static str],
    database: String,
}

impl Scene {
    pub(crate) fn new(
        runtime: Runtime,
        server: Server,
        record: Record,
        options: &super::Options,
    ) -> Self {
        Self {
            runtime,
            server,
            thorough: options.thorough,
            random: Random::new(options.seed, record.drill),
            sabotage: Sabotage::default(),
            asked: Asked::default(),
            repeat: options.repeat,
            client: options.client,
            database: format!("drill_{}", record.drill),
            record,
        }
    }

    /// How many faults to inject: few in the quick profile, more in the standard one, or as asked.
    pub(crate) fn faults(&self, few: u32, many: u32) -> u32 {
        self.repeat.unwrap_or(if self.thorough { many } else { few })
    }

    /// Makes the drill's own database anew, with the tables of the ledger.
    pub(crate) async fn database(&mut self) -> Result<(), Error> {
        let examiner = self.bare_database().await?;
        if let Some(sql) = self.sabotage.sql() {
            examiner.batch_execute(sql).await?;
        }
        Ok(())
    }

    async fn bare_database(&mut self) -> Result<Examiner, Error> {
        let admin = pg_session::connect(&self.server.config("postgres")?).await?;
        let name = quote_ident(&self.database);
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        let examiner = self.examiner().await?;
        examiner.batch_execute(include_str!("ledger.sql")).await?;
        self.know_server(&examiner).await?;
        Ok(examiner)
    }

    /// As [`Scene::database`], with `TimescaleDB` in it.
    pub(crate) async fn timescale_database(&mut self) -> Result<(), Error> {
        self.database().await?;
        let examiner = self.examiner().await?;
        Ok(examiner.batch_execute("CREATE EXTENSION IF NOT EXISTS timescaledb").await?)
    }

    /// As [`Scene::database`], with all that the contract of Signal Service wants in it.
    pub(crate) async fn store_database(&mut self) -> Result<(), Error> {
        let mut examiner = self.bare_database().await?;
        examiner.batch_execute("CREATE EXTENSION IF NOT EXISTS timescaledb").await?;
        let contract = source::load(None)?;
        migrate::up(&mut examiner, &contract, None, &migrate::Options::default(), &|_| ()).await?;
        if let Some(sql) = self.sabotage.sql() {
            examiner.batch_execute(sql).await?;
        }
        Ok(())
    }

    /// Removes the drill's database, whoever is connected to it.
    pub(crate) async fn clear(&self) -> Result<(), Error> {
        let admin = pg_session::connect(&self.server.config("postgres")?).await?;
        let name = quote_ident(&self.database);
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        Ok(admin.batch_execute(&drop).await?)
    }

    /// Notes version and durability of the server, as it tells them itself.
    async fn know_server(&mut self, examiner: &Examiner) -> Result<(), Error> {
        for name in ["server_version", "fsync", "full_page_writes", "synchronous_commit"] {
            // Asked for every drill; a trial that rests on it says so.
            let value: String = Client::query_one(examiner, SETTING, &[&name]).await?.get(0);
            self.record.server.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// States in a trial that the server keeps what it acknowledges.
    pub(crate) fn is_durable(&self, trial: &mut Trial) {
        trial.asked(SETTING);
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            let value = self.record.server.get(name).map(String::as_str);
            trial.proof(value == Some("on"), format!("{name} is {}", value.unwrap_or("unknown")));
        }
    }

    /// The name of the drill's database.
    pub(crate) fn database_name(&self) -> &str {
        &self.database
    }

    /// How the layer reaches the drill's database.
    pub(crate) fn config(&self) -> Result<Config, Error> {
        Ok(self.server.config(&self.database)?.application_name(LAYER))
    }

    /// How the layer reaches the drill's database through a port of this machine.
    pub(crate) fn config_through(&self, port: u16) -> Result<Config, Error> {
        Ok(Config::from_url(&self.url("127.0.0.1", port))?)
    }

    /// How a client in a process of its own reaches the drill's database at a host. It is a secret.
    pub(crate) fn url_at(&self, host: &str) -> String {
        self.url(host, self.server.tell(Cluster::port))
    }

    fn url(&self, host: &str, port: u16) -> String {
        let password = self.server.tell(|cluster| cluster.password().to_owned());
        let database = &self.database;
        format!(
            "postgres://postgres:{password}@{host}:{port}/{database}\
             ?sslmode=disable&application_name={LAYER}"
        )
    }

    /// Starts a client in a process of its own: this program, by the command that `run` makes of it.
    pub(crate) fn client(
        &self,
        run: impl FnOnce(PathBuf) -> std::process::Command,
    ) -> Result<Process, Error> {
        let program = std::env::current_exe();
        let path = || "this program".to_owned();
        let mut command = run(program.map_err(|source| Error::File { path: path(), source })?);
        command.args(self.client);
        Process::start(command)
    }

    /// A plain connection that goes past pool and proxy.
    pub(crate) async fn examiner(&self) -> Result<Examiner, Error> {
        let config = self.server.config(&self.database)?.application_name("examiner");
        self.examiner_at(&config).await
    }

    /// The same on another server.
    pub(crate) async fn examiner_at(&self, config: &Config) -> Result<Examiner, Error> {
        Ok(Examiner::new(pg_session::connect(config).await?, self.asked.clone()))
    }

    /// A pool of the layer on the drill's database.
    pub(crate) async fn pool(&self, options: PoolOptions) -> Result<Pool, Error> {
        self.pool_at(self.config()?, options).await
    }

    /// The store of Signal Service on the drill's database.
    pub(crate) async fn store(&self, config: Config) -> Result<Store, signal_store::Error> {
        let defaults = StoreOptions::default();
        let pool = PoolOptions { statement_names: defaults.pool.statement_names, ..limits() };
        let reader = ReaderOptions { connections: READERS, ..defaults.reader };
        let options = StoreOptions { pool: self.sabotage.limits(pool), reader, retry: RETRIES };
        Store::connect(self.sabotage.config(config), options).await
    }

    /// A pool of the layer that is reached in another way.
    pub(crate) async fn pool_at(
        &self,
        config: Config,
        options: PoolOptions,
    ) -> Result<Pool, Error> {
        Ok(Pool::open(self.sabotage.config(config), self.sabotage.limits(options)).await?)
    }

    /// Starts a proxy in front of the server.
    pub(crate) async fn proxy(&self) -> Result<Proxy, Error> {
        let address = self.server.tell(|cluster| format!("{}:{}", cluster.host(), cluster.port()));
        let address = address.parse().map_err(|error| Error::Interrupted(format!("{error}")))?;
        Proxy::start(address)
            .await
            .map_err(|error| Error::File { path: "a port for the proxy".to_owned(), source: error })
    }

    /// What the layer said, as the drill hears it.
    pub(crate) fn hear<T, E: Told>(&self, result: &Result<T, E>, begun: Instant) -> Heard {
        self.sabotage.answer(Heard::of(result, begun.elapsed()))
    }

    /// A new journal, beside the data of the server.
    pub(crate) fn journal(&self) -> Result<Journal, Error> {
        // A drill may be run again on the same server.
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name =
            format!("journal-{}-{}", self.record.drill, NEXT.fetch_add(1, Ordering::Relaxed));
        Journal::create(self.server.tell(|cluster| cluster.folder().join(name)))
    }

    /// Closes a trial. What was asked since the last one was asked for it.
    pub(crate) fn close(&mut self, mut trial: Trial) {
        trial.statements.append(&mut self.asked.take());
        self.record.close(trial);
    }
}

/// Closes a pool and waits until the server knows: the next one must not be taken for its leak.
pub(crate) async fn close(pool: &Pool, examiner: &Examiner) -> Result<(), Error> {
    pool.close();
    sessions_gone(examiner, Duration::from_secs(5)).await.map(drop)
}

/// How many sessions the layer has on the server.
pub(crate) const SESSIONS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drill'";

/// Waits until the layer has no session on the server; gives whether that came within `limit`.
pub(crate) async fn sessions_gone(examiner: &Examiner, limit: Duration) -> Result<bool, Error> {
    until(limit, async || Ok(value::<i64>(examiner, SESSIONS).await? == 0)).await
}

/// Has the server end the layer's sessions, and waits until it has.
pub(crate) async fn end_sessions(examiner: &Examiner) -> Result<(), Error> {
    let end = "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity \
               WHERE application_name = $1 AND datname = current_database()";
    examiner.query(end, &[&LAYER]).await?;
    Ok(())
}

/// A session of the layer.
pub(crate) async fn acquire(pool: &Pool) -> Result<Session, pg_session::Error> {
    Ok(pool.acquire().await.map_err(Box::new)?)
}

/// Limits under which a fault shows soon: few connections, short waits.
pub(crate) fn limits() -> PoolOptions {
    PoolOptions {
        min: 2,
        max: 8,
        acquire_timeout: Duration::from_secs(5),
        command_timeout: Duration::from_secs(2),
        ..PoolOptions::default()
    }
}

/// Classes of errors that a caller may see when a server or a connection goes away.
pub(crate) const GONE: &[Class] =
    &[Class::Lost, Class::Connect, Class::Unavailable, Class::Timeout];

/// Waits until `holds` says so, looking often; gives whether it did within `limit`.
pub(crate) async fn until(
    limit: Duration,
    mut holds: impl AsyncFnMut() -> Result<bool, Error>,
) -> Result<bool, Error> {
    let begun = Instant::now();
    loop {
        if holds().await? {
            return Ok(true);
        }
        if begun.elapsed() > limit {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A value of one row and column that the examiner reads.
pub(crate) async fn value<T: tokio_postgres::types::FromSqlOwned>(
    examiner: &Examiner,
    statement: impl Into<Statement<'_>>,
) -> Result<T, Error> {
    Ok(examiner.query_one(statement, &[]).await?.try_get(0)?)
}
