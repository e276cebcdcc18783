//! `dbready watch`: continuous validation with a dashboard, figures and alerts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use dbready::Error;
use dbready::watch::{self, GRAFANA, Options};
use pg_session::Secret;

use super::options::{ContractArgs, ServerArgs};
use super::output::{of_file, print};
use super::stop::Stop;
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready watch --url postgres://monitor@db.example:5432/signals
  dbready watch --listen 127.0.0.1:9700 --interval 5 --drift-interval 15
  DBREADY_WEBHOOK=https://… dbready watch       alerts, with the address kept off the command line
  dbready watch rules > dbready-rules.yml       alert rules for Prometheus, from the contract
  dbready watch dashboard > dbready.json        a dashboard for Grafana

It prints the dashboard's address as its only line on standard output, and what happens on standard error. \
Beside the dashboard: /metrics (OpenMetrics), /healthz (it goes round), /readyz (the database answers), \
/certificate, /state.json. It holds one connection, reads only, and every statement has a limit; a database \
that goes away is asked again at each interval. The role needs pg_monitor to see the sessions of others. \
Ctrl-C and SIGTERM end it. Exit codes: 130 and 143 after these, 2 wrong usage or contract, 3 the address \
cannot be listened to.";

const RULES: &str = "\
Examples:
  dbready watch rules > dbready-rules.yml
  dbready watch rules --contract ./contract";

const DASHBOARD: &str = "\
Examples:
  dbready watch dashboard > dbready.json   then import it in Grafana, or put it into a provisioned folder";

/// Continuous validation: a live dashboard, figures and alerts; read-only.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct WatchArgs {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    contract: ContractArgs,
    #[command(flatten)]
    server: ServerArgs,

    /// Where the dashboard listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9688")]
    listen: SocketAddr,

    /// Let it listen to other machines: it has no login and shows the schema.
    #[arg(long)]
    allow_remote: bool,

    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,

    /// Seconds between two looks at the catalog.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    drift_interval: u64,

    /// Processes of the service that have a pool each.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pools: u32,

    /// File that holds the address alerts are sent to, which may hold a token
    /// [default: `DBREADY_WEBHOOK`].
    #[arg(long, value_name = "FILE")]
    webhook_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the contract's alert rules for Prometheus.
    #[command(after_help = RULES)]
    Rules(ContractArgs),
    /// Print a dashboard for Grafana.
    #[command(after_help = DASHBOARD)]
    Dashboard,
}

pub(crate) async fn run(args: WatchArgs, terminal: &Terminal, stop: &Stop) -> Result<Exit, Error> {
    match &args.action {
        Some(Action::Rules(contract)) => {
            print(&watch::rules(&contract.load()?))?;
            return Ok(Exit::Success);
        }
        Some(Action::Dashboard) => {
            print(GRAFANA)?;
            return Ok(Exit::Success);
        }
        None => {}
    }
    let contract = args.contract.load()?;
    let config = args.server.config()?;
    let webhook = match &args.webhook_file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(of_file(path))?),
        None => std::env::var("DBREADY_WEBHOOK").ok().filter(|url| !url.is_empty()),
    };
    let options = Options {
        listen: args.listen,
        allow_remote: args.allow_remote,
        interval: Duration::from_secs(args.interval),
        drift_interval: Duration::from_secs(args.drift_interval.max(args.interval)),
        pools: args.pools,
        webhook: webhook.map(Secret::new),
    };
    let screen = terminal.screen();
    let started = |address: SocketAddr| print(&format!("http://{address}/"));
    let said = |line: &str| screen.done(line);
    watch::run(&contract, config, options, stop.heed(), started, said).await?;
    screen.clear();
    Ok(Exit::Success)
}
