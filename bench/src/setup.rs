//! The server of the run, its data, and the facts of the machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use dbready::contract::source;
use dbready::{migrate, seed};
use pg_local::{Cluster, Profile, Runtime};
use pg_session::{Config, connect};

use crate::Result;

/// The database that is measured.
const DATABASE: &str = "bench";

pub(crate) struct Bench {
    pub(crate) cluster: Cluster,
    runtime: Runtime,
    /// Files for peers.
    pub(crate) files: tempfile::TempDir,
    pub(crate) url: String,
}

impl Bench {
    /// A durable server with the schema and the seed of the contract.
    pub(crate) async fn start() -> Result<Self> {
        eprintln!("starting a durable server and filling it");
        let runtime = Runtime::locate_or_install(&|_| {})?;
        let cluster = Cluster::temporary(&runtime, Profile::Durable)?;
        cluster.run_sql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        let url = cluster.url(DATABASE);
        let contract = source::load(None)?;
        let mut client = connect(&Config::from_url(&url)?).await?;
        client.batch_execute("CREATE EXTENSION IF NOT EXISTS timescaledb").await?;
        migrate::up(&mut client, &contract, None, &migrate::Options::default(), &|_| {}).await?;
        seed::seed(&mut client, &contract, seed::Profile::Quick, 1).await?;
        client.batch_execute("CHECKPOINT").await?;
        Ok(Self { cluster, runtime, files: tempfile::tempdir()?, url })
    }

    pub(crate) fn config(&self) -> Result<Config> {
        Ok(Config::from_url(&self.url)?)
    }

    /// A program of the server's installation, aimed at the database by its environment.
    pub(crate) fn program(&self, name: &str) -> Command {
        let aimed = self.cluster.psql(DATABASE);
        let mut command = Command::new(self.runtime.bin().join(name));
        for (name, value) in aimed.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command
    }

    pub(crate) fn has_program(&self, name: &str) -> bool {
        self.runtime.bin().join(name).is_file()
    }

    /// Writes a file for a peer.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.files.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Machine, versions and the settings that make a commit durable, as the server tells them.
    pub(crate) async fn facts(&self) -> Result<String> {
        let client = connect(&self.config()?).await?;
        let sql = "SELECT concat_ws(', ', 'PostgreSQL ' || current_setting('server_version'), \
                   (SELECT 'TimescaleDB ' || extversion FROM pg_extension WHERE extname = 'timescaledb'), \
                   'fsync ' || current_setting('fsync'), \
                   'synchronous_commit ' || current_setting('synchronous_commit'), \
                   'full_page_writes ' || current_setting('full_page_writes'), \
                   'shared_buffers ' || current_setting('shared_buffers'))";
        let server: String = client.query_one(sql, &[]).await?.get(0);
        let cores = std::thread::available_parallelism()?;
        let model = fs::read_to_string("/proc/cpuinfo")?;
        let model = model.lines().find_map(|line| line.strip_prefix("model name"));
        let model =
            model.map_or("unknown processor", |line| line.trim_start_matches([' ', '\t', ':']));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        Ok(format!(
            "Machine: {cores} cores, {model}, Linux {}; server and clients share them.\nServer: {server}.\n",
            kernel.trim()
        ))
    }
}

/// The standard output of a peer's program.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        let words = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}: {}", command.get_program().display(), words.trim()).into())
    }
}

pub(crate) fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}
