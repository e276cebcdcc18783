//! `dbready local`: the managed local server.

use std::os::unix::process::CommandExt;

use clap::{Args, Subcommand};
use dbready::Error;
use pg_local::{Cluster, Named, Runtime};

use super::managed::blocking;
use super::output::print;
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready local start                   prints its URL on standard output
  URL=$(dbready local start --name ci)  a server of its own name, beside others
  dbready local psql -- -c 'SELECT version()'
  dbready local stop --all --remove

DBREADY_PG_BIN=/path/to/bin uses a PostgreSQL of your own; DBREADY_CACHE=DIR keeps runtime and data there.";

const INSTALL: &str = "\
Examples:
  dbready local install
  DBREADY_CACHE=/var/tmp/dbready dbready local install";

const START: &str = "\
Examples:
  dbready local start  prints the URL, which holds the password
  dbready check --url \"$(dbready local start)\"
  dbready local start --name ci --profile fast --port 5433";

const STOP: &str = "\
Examples:
  dbready local stop                     the data stay for the next start
  dbready local stop --name ci --remove
  dbready local stop --all --remove";

const STATUS: &str = "\
Examples:
  dbready local status";

const PSQL: &str = "\
Examples:
  dbready local psql
  dbready local psql --name ci --database app -- -c 'SELECT version()'";

/// The managed local server: install, start, stop, status, psql.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LocalArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Args)]
struct Name {
    /// Which cluster.
    #[arg(long, default_value = "default")]
    name: String,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Profile {
    /// An acknowledged commit survives a crash.
    Durable,
    /// Nothing waits for the disk; for tests.
    Fast,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Install PostgreSQL and `TimescaleDB` privately, when they are not there.
    #[command(after_help = INSTALL)]
    Install,
    /// Start a server that stays, and print its URL.
    #[command(after_help = START)]
    Start {
        #[command(flatten)]
        name: Name,
        /// What it promises about data, when it is made.
        #[arg(long, value_enum, default_value = "durable")]
        profile: Profile,
        /// Port on the loopback address [default: a free one].
        #[arg(long)]
        port: Option<u16>,
    },
    /// Stop a server.
    #[command(after_help = STOP)]
    Stop {
        #[command(flatten)]
        name: Name,
        /// Stop every cluster.
        #[arg(long, conflicts_with = "name")]
        all: bool,
        /// Remove its data, too.
        #[arg(long)]
        remove: bool,
    },
    /// Say which clusters there are.
    #[command(after_help = STATUS)]
    Status,
    /// Run psql on a server.
    #[command(after_help = PSQL)]
    Psql {
        #[command(flatten)]
        name: Name,
        /// Database.
        #[arg(long, default_value = "postgres")]
        database: String,
        /// Arguments for psql.
        #[arg(last = true)]
        args: Vec<String>,
    },
}

pub(crate) async fn run(args: LocalArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let screen = terminal.screen();
    let steps = screen.clone();
    let runtime = move || Runtime::locate_or_install(&|step| steps.step(&step));
    match args.action {
        Action::Install => {
            let runtime = blocking(move || Ok(runtime()?)).await?;
            screen.clear();
            print(&about(&runtime))?;
        }
        Action::Start { name, profile, port } => {
            let profile = match profile {
                Profile::Durable => pg_local::Profile::Durable,
                Profile::Fast => pg_local::Profile::Fast,
            };
            screen.passing("starting the server");
            let named =
                blocking(move || Ok(Named::start(&runtime()?, &name.name, profile, port)?)).await?;
            screen.clear();
            print(&named.cluster().url("postgres"))?;
        }
        Action::Stop { name, all, remove } => {
            let runtime = installed()?;
            let named = if all { Named::all(&runtime)? } else { vec![find(&runtime, &name.name)?] };
            for one in named {
                let stopped = format!("stopped {}", one.name());
                blocking(move || Ok(one.stop(remove)?)).await?;
                screen.done(&stopped);
            }
        }
        Action::Status => status()?,
        Action::Psql { name, database, args } => {
            let runtime = installed()?;
            let named = find(&runtime, &name.name)?;
            if named.cluster().process_id().is_none() {
                return Err(Error::Usage(format!(
                    "the cluster `{0}` is stopped; `dbready local start --name {0}` starts it",
                    named.name()
                )));
            }
            // Replaces this program, so that signals and the exit code are psql's own.
            let error = named.cluster().psql(&database).args(args).exec();
            return Err(Error::File { path: "psql".to_owned(), source: error });
        }
    }
    Ok(Exit::Success)
}

fn status() -> Result<(), Error> {
    let Some(runtime) = Runtime::locate()? else {
        return print("no runtime is installed; `dbready local install` installs one");
    };
    let mut lines = vec![about(&runtime)];
    for named in Named::all(&runtime)? {
        let cluster = named.cluster();
        let state = match cluster.process_id() {
            Some(process) => {
                let edition = edition(&runtime, cluster)?;
                format!("port {}, process {process}, {edition}", cluster.port())
            }
            None => "stopped".to_owned(),
        };
        let folder = cluster.folder().display();
        lines.push(format!("{}: {state}, in {folder}", named.name()));
    }
    print(&lines.join("\n"))
}

/// The edition of `TimescaleDB` on a running server, in words. Only the extension's own library knows
/// it, and that is loaded in databases which have the extension; `postgres` need not be one.
fn edition(runtime: &Runtime, cluster: &Cluster) -> Result<&'static str, Error> {
    let preloaded = cluster.run_sql("postgres", "SHOW shared_preload_libraries")?;
    let Some(version) = runtime.timescaledb().filter(|_| preloaded.contains("timescaledb")) else {
        return Ok("no TimescaleDB");
    };
    let ask = format!("LOAD 'timescaledb-{version}'; SHOW timescaledb.license");
    Ok(match cluster.run_sql("postgres", &ask)?.trim() {
        "timescale" => "Community edition",
        "apache" => "Apache edition",
        _ => "unknown edition",
    })
}

fn about(runtime: &Runtime) -> String {
    format!(
        "PostgreSQL {}, TimescaleDB {}, in {}",
        runtime.version(),
        runtime.timescaledb().unwrap_or("not there"),
        runtime.bin().display()
    )
}

fn installed() -> Result<Runtime, Error> {
    Runtime::locate()?.ok_or_else(|| {
        Error::Usage("no runtime is installed; `dbready local install` installs one".to_owned())
    })
}

fn find(runtime: &Runtime, name: &str) -> Result<Named, Error> {
    Named::find(runtime, name)?.ok_or_else(|| {
        Error::Usage(format!(
            "there is no cluster `{name}`; `dbready local start --name {name}` makes one"
        ))
    })
}
