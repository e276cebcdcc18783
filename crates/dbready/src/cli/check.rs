//! `dbready check`: a read-only look at a live database.

use clap::Args;
use dbready::score::Scope;
use dbready::{Error, catalog, check, run};

use super::options::{ContractArgs, ReportArgs, ServerArgs};
use super::output::Delivery;
use super::suppress::SuppressArgs;
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready check --url postgres://readonly@db.example:5432/signals
  dbready check --contract ./contract --format json
  DATABASE_URL=postgres://… dbready check --out report
  dbready check --write-baseline baseline.toml  adopt it with old sins
  dbready check --baseline baseline.toml        fail for what is new

It only reads: one read-only transaction in which every statement has a time limit. Exit codes: \
0 all required claims proven, waived by the contract or suppressed, 1 some refuted or unproven, 2 wrong usage or contract, 3 no server.";

/// Schema, queries, data formats and migrations of a live database; read-only.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    contract: ContractArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    suppress: SuppressArgs,
    #[command(flatten)]
    report: ReportArgs,
}

pub(crate) async fn run(args: CheckArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let contract = args.contract.load()?;
    let suppressions = args.suppress.load()?;
    let delivery = Delivery::prepare(&args.report)?;
    let started_at = dbready::run::now();
    let screen = terminal.screen();
    screen.passing("connecting");
    let (mut client, address) = args.server.connect().await?;
    screen.passing(&format!("examining {address}"));
    let options = catalog::Options { address, ..catalog::Options::default() };
    let gathered = run::check(&mut client, &contract, &options).await?;
    let occasion = run::Occasion {
        command: "check".to_owned(),
        profile: None,
        started_at,
        finished_at: dbready::run::now(),
        notes: Vec::new(),
    };
    let claims = check::plan(&contract);
    let certificate = run::certificate(&contract, claims, Scope::Part, gathered, occasion);
    screen.clear();
    let certificate = suppressions.apply(certificate)?;
    delivery.deliver(&certificate, terminal)
}
