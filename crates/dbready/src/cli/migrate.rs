//! `dbready migrate`: versioned migrations of any database.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use dbready::migrate::{self, Options};
use dbready::{Error, seed};
use semver::Version;
use serde_json::json;

use super::options::{ContractArgs, Profile, ServerArgs};
use super::output::{Shape, prepare_folder, print, write_reports};
use super::{Exit, Terminal, managed};

const EXAMPLES: &str = "\
Examples:
  dbready migrate status --url postgres://…
  dbready migrate up --url postgres://…
  dbready migrate down --to 1.0.0 --yes --url postgres://…
  dbready migrate verify --contract ./contract

Each script runs in one transaction under an advisory lock. A file that was changed after it had been \
applied, that is missing, or that comes out of order is refused, and nothing is changed. \
Exit codes: 0 done, or nothing pending; 1 status: migrations are pending or would be refused, \
verify: something was found; 2 refused, or a script failed; 3 no server, no privilege, or the lock was not free.";

const UP: &str = "\
Examples:
  dbready migrate up --url postgres://…
  dbready migrate up --to 1.0.0 --contract ./contract
  dbready migrate up --seed quick  and fill the empty database";

const DOWN: &str = "\
Examples:
  dbready migrate down --to 1.0.0          says what would be rolled back
  dbready migrate down --to none --yes --url postgres://…";

const STATUS: &str = "\
Examples:
  dbready migrate status --url postgres://…
  dbready migrate status --format json";

const VERIFY: &str = "\
Examples:
  dbready migrate verify  the contract built into this program
  dbready migrate verify --contract ./contract --format json --out verified

Each migration is tried on a temporary local server, and judged by what it does and not by its \
text: to the catalogs, against what its header declares; rolled back, with the rows that can be \
kept; applied to the contract's data while readers and writers are at work. \
Exit codes: 0 nothing was found; 1 something was; 2 wrong usage or contract, or a script failed; \
3 no local server.";

/// Versioned migrations: up, down, status, verify.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    contract: ContractArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// Format on standard output.
    #[arg(long, value_enum, default_value_t = Shape::Text)]
    format: Shape,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Apply every pending migration.
    #[command(after_help = UP)]
    Up {
        #[command(flatten)]
        common: Common,
        /// Stop after this version.
        #[arg(long, value_name = "VERSION")]
        to: Option<Version>,
        /// Record versions that were applied without this runner.
        #[arg(long)]
        adopt: bool,
        /// Afterwards fill the empty database with the contract's data.
        #[arg(long, value_enum, value_name = "PROFILE")]
        seed: Option<Profile>,
    },
    /// Roll migrations back, newest first. Data are lost.
    #[command(after_help = DOWN)]
    Down {
        #[command(flatten)]
        common: Common,
        /// The version to go back to; `none` for an empty database.
        #[arg(long, value_name = "VERSION")]
        to: String,
        /// Yes, data may be lost.
        #[arg(long)]
        yes: bool,
    },
    /// Say what is applied and what is pending; reads only.
    #[command(after_help = STATUS)]
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Judge every migration by its effect, on a temporary local server.
    #[command(after_help = VERIFY)]
    Verify {
        #[command(flatten)]
        contract: ContractArgs,
        /// Format on standard output.
        #[arg(long, value_enum, default_value_t = Shape::Text)]
        format: Shape,
        /// Also write migrations.json and migrations.md into this folder.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

pub(crate) async fn run(args: MigrateArgs, terminal: &Terminal) -> Result<Exit, Error> {
    match args.action {
        Action::Up { common, to, adopt, seed } => {
            let contract = common.contract.load()?;
            let (mut client, _) = common.server.connect().await?;
            let screen = terminal.screen();
            let options = Options { adopt, ..Options::default() };
            let progress = |line: &str| screen.done(line);
            screen.passing("migrating");
            let applied =
                migrate::up(&mut client, &contract, to.as_ref(), &options, &progress).await?;
            if let Some(profile) = seed {
                screen.doing("filling the database with data");
                seed::seed(&mut client, &contract, profile.seed(), 1).await?;
            }
            screen.clear();
            said(&common, "applied", &applied)
        }
        Action::Down { common, to, yes } => {
            let contract = common.contract.load()?;
            let to = if to == "none" {
                None
            } else {
                let wrong =
                    |_| Error::Usage(format!("--to: expected a version or none, found {to}"));
                Some(Version::parse(&to).map_err(wrong)?)
            };
            let (mut client, address) = common.server.connect().await?;
            if !yes {
                let status = migrate::status(&mut client, &contract).await?;
                let above = |one: &&Version| to.as_ref().is_none_or(|to| *one > to);
                let gone: Vec<String> =
                    status.applied.iter().filter(above).map(Version::to_string).collect();
                return Err(Error::Usage(format!(
                    "this would roll back {} on {address}, and data would be lost; \
                     say --yes if that is meant",
                    if gone.is_empty() { "nothing".to_owned() } else { gone.join(", ") }
                )));
            }
            let screen = terminal.screen();
            let options = Options::default();
            let progress = |line: &str| screen.done(line);
            let undone =
                migrate::down(&mut client, &contract, to.as_ref(), &options, &progress).await?;
            screen.clear();
            said(&common, "rolled back", &undone)
        }
        Action::Verify { contract, format, out } => {
            verify(&contract, format, out.as_deref(), terminal).await
        }
        Action::Status { common } => {
            let contract = common.contract.load()?;
            let (mut client, address) = common.server.connect().await?;
            let status = migrate::status(&mut client, &contract).await?;
            let exit = if status.pending.is_empty() && status.problems.is_empty() {
                Exit::Success
            } else {
                Exit::NotProven
            };
            if common.format == Shape::Json {
                print(&json!(status).to_string())?;
                return Ok(exit);
            }
            let list = |versions: &[Version]| {
                let words: Vec<String> = versions.iter().map(Version::to_string).collect();
                if words.is_empty() { "none".to_owned() } else { words.join(", ") }
            };
            let mut lines = vec![
                address,
                format!("  applied  {}", list(&status.applied)),
                format!("  pending  {}", list(&status.pending)),
            ];
            lines.extend(status.problems.iter().map(|problem| format!("  problem  {problem}")));
            print(&lines.join("\n"))?;
            Ok(exit)
        }
    }
}

async fn verify(
    contract: &ContractArgs,
    format: Shape,
    out: Option<&Path>,
    terminal: &Terminal,
) -> Result<Exit, Error> {
    let contract = contract.load()?;
    out.map_or(Ok(()), prepare_folder)?;
    let screen = terminal.screen();
    let cluster = managed::start(pg_local::Profile::Fast, &screen).await?;
    let report = migrate::verify::run(&cluster, &contract, &|step| screen.step(&step)).await;
    managed::stop(cluster, &screen).await?;
    screen.clear();
    let report = report?;
    let json = serde_json::to_string_pretty(&report)
        .map_err(|error| Error::Catalog(format!("the report is not JSON: {error}")))?;
    let text = report.text();
    if let Some(folder) = out {
        write_reports(folder, &[("migrations.json", &json), ("migrations.md", &text)])?;
    }
    print(match format {
        Shape::Text => &text,
        Shape::Json => &json,
    })?;
    Ok(if report.is_sound() { Exit::Success } else { Exit::NotProven })
}

fn said(common: &Common, verb: &str, versions: &[Version]) -> Result<Exit, Error> {
    let words: Vec<String> = versions.iter().map(Version::to_string).collect();
    match common.format {
        Shape::Json => print(&json!({ verb.replace(' ', "_"): words }).to_string())?,
        Shape::Text if words.is_empty() => print("nothing to do")?,
        Shape::Text => print(&format!("{verb} {}", words.join(", ")))?,
    }
    Ok(Exit::Success)
}
