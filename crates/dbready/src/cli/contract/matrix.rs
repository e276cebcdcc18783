//! `dbready contract matrix`: {old, new} queries on {old, new} schemas.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dbready::Error;
use dbready::contract::Contract;
use dbready::matrix::{self, Matrix};
use dbready::scratch::Scratch;
use pg_session::Config;

use super::super::managed;
use super::super::output::{prepare_folder, print, write_reports};
use super::super::screen::Screen;
use super::super::{Exit, Terminal};
use super::side::SidesArgs;

const EXAMPLES: &str = "\
Examples:
  dbready contract matrix old/contract new/contract
  dbready contract matrix --git v1.1.0 HEAD --path contract --format markdown --out matrix
  dbready contract matrix v1.1.0:contract ./contract --url postgres://…/postgres --allow-writes

Without --url a managed local server is started and stopped. Exit codes: 0 released queries work on the \
new schema and the new contract holds by itself, 1 they do not, 2 wrong usage or contract, 3 no server.";

/// Run old and new queries on old and new schemas, and say which releases can run beside each other.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MatrixArgs {
    #[command(flatten)]
    sides: SidesArgs,

    /// A server of your own instead of a managed one. Databases of its own are made there and dropped.
    #[arg(long, value_name = "URL", requires = "allow_writes")]
    url: Option<String>,

    /// Allow databases to be made on --url.
    #[arg(long, requires = "url")]
    allow_writes: bool,

    /// How it is printed: for people, for programs, or for a pull request.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Also write matrix.json and matrix.md into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Markdown,
}

pub(crate) async fn run(args: &MatrixArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let (old, new) = args.sides.load()?;
    args.out.as_deref().map_or(Ok(()), prepare_folder)?;
    let screen = terminal.screen();
    let outcome = if let Some(url) = &args.url {
        on(Config::resolve(Some(url))?, &old, &new, &screen).await
    } else {
        let cluster = managed::start(pg_local::Profile::Fast, &screen).await?;
        let outcome = match Config::from_url(&cluster.url("postgres")) {
            Ok(config) => on(config, &old, &new, &screen).await,
            Err(error) => Err(error.into()),
        };
        managed::stop(cluster, &screen).await?;
        outcome
    };
    screen.clear();
    let found = outcome?;
    let (json, markdown) = (matrix::json(&found), matrix::markdown(&found));
    if let Some(folder) = &args.out {
        write_reports(folder, &[("matrix.json", &json), ("matrix.md", &markdown)])?;
    }
    print(&match args.format {
        Format::Text => matrix::text(&found),
        Format::Json => json,
        Format::Markdown => markdown,
    })?;
    Ok(if found.holds() { Exit::Success } else { Exit::NotProven })
}

async fn on(
    config: Config,
    old: &Contract,
    new: &Contract,
    screen: &Screen,
) -> Result<Matrix, Error> {
    let mut scratch = Scratch::on(config.default_application_name("dbready"));
    let found = matrix::run(&mut scratch, old, new, &|step| screen.doing(step)).await;
    scratch.close().await?;
    found
}
