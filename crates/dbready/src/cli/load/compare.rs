//! `dbready load compare`: two runs, or two servers in turns, second by second.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::Args;
use dbready::load::compare::{Compared, Stored, Verdict, compare, in_turns};
use dbready::load::{Bench, Progress, Writes};
use dbready::{Error, catalog};
use pg_session::Config;

use super::{ListFormat, tell};
use crate::cli::options::{ContractArgs, Profile};
use crate::cli::output::{of_file, print};
use crate::cli::stop::Stop;
use crate::cli::{Exit, Terminal};

pub(super) const EXAMPLES: &str = "\
Examples:
  dbready load --profile standard --out before
  dbready load --profile standard --out after
  dbready load compare before after
  dbready load compare before after --tolerance 5 --format json
  dbready load compare postgres://…/old postgres://…/new --turns 6

Two URLs are measured in turns by the contract's queries, only read: A B, B A, A B and so on, so that what \
the machine does meanwhile falls on both. Ctrl-C compares the turns made until then.

The seconds of both runs are paired: with the same seed the same operations were due in them. The ratio \
of the means of their p95 is taken, and its 90 % interval by resampling pairs. A stream is slower when the \
whole interval lies above the tolerance. A stream that one of the runs lacks, as a query that one of the \
servers cannot run, is left out by name. Exit codes: 0 none is slower, 1 some are, or the second server \
cannot run a query that the first can, 2 the runs cannot be compared.";

/// Runs to compare.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Folder or `database_performance_results.json` of the first run, or the URL of a server.
    first: String,
    /// The same of the second.
    second: String,
    /// How often each of two servers is measured [default: 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    turns: Option<u32>,
    #[command(flatten)]
    contract: ContractArgs,
    /// How much slower or faster counts as the same, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    tolerance: f64,
    /// Format: terminal or json.
    #[arg(long, value_enum, default_value = "terminal")]
    format: ListFormat,
}

/// Turns when none are asked for: some minutes.
const TURNS: u32 = 4;

pub(super) async fn run(
    args: &CompareArgs,
    terminal: &Terminal,
    stop: &Stop,
) -> Result<Exit, Error> {
    if !(0.0..100.0).contains(&args.tolerance) {
        let found = args.tolerance;
        return Err(Error::Usage(format!(
            "--tolerance: expected a share from 0 to 100 percent, found {found}"
        )));
    }
    let runs = match (is_url(&args.first), is_url(&args.second)) {
        (true, true) => in_turns_on(args, terminal, stop).await?,
        (false, false) if args.turns.is_none() => {
            vec![(read(args.first.as_ref())?, read(args.second.as_ref())?)]
        }
        (false, false) => {
            let problem = "--turns: expected two URLs to measure in turns, found stored runs";
            return Err(Error::Usage(problem.to_owned()));
        }
        _ => {
            let problem = "expected two stored runs or two URLs, found one of each";
            return Err(Error::Usage(problem.to_owned()));
        }
    };
    let found = compare(&runs, args.tolerance / 100.0).map_err(Error::Usage)?;
    show(&found, args.format)?;
    Ok(if found.is_worse() { Exit::NotProven } else { Exit::Success })
}

fn is_url(text: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

async fn in_turns_on(
    args: &CompareArgs,
    terminal: &Terminal,
    stop: &Stop,
) -> Result<Vec<(Stored, Stored)>, Error> {
    let contract = args.contract.load()?;
    let screen = terminal.screen();
    let profile = Profile::Quick.load();
    let telling = |progress: &Progress| tell(&screen, progress);
    let bench = async |url: &str| -> Result<Bench<'_>, Error> {
        let config = Config::resolve(Some(url))?.default_application_name("dbready");
        Ok(Bench {
            contract: &contract,
            server: catalog::server_facts(&config, &contract).await?,
            config,
            profile,
            span: profile.span(),
            seed: 0,
            writes: Writes::No,
            pgbench: None,
            stop: stop.heed(),
            progress: &telling,
        })
    };
    let (mut first, mut second) = (bench(&args.first).await?, bench(&args.second).await?);
    let runs = in_turns(&mut first, &mut second, args.turns.unwrap_or(TURNS)).await;
    stop.ignore();
    screen.clear();
    runs
}

fn show(found: &Compared, format: ListFormat) -> Result<(), Error> {
    match format {
        ListFormat::Json => {
            // Keys are strings, so that writing into memory cannot fail.
            print(&serde_json::to_string_pretty(found).unwrap_or_default())
        }
        ListFormat::Terminal => {
            let mut text = String::new();
            for one in &found.streams {
                let word = match one.verdict {
                    Verdict::Slower => "slower",
                    Verdict::Faster => "faster",
                    Verdict::Same => "the same",
                    Verdict::Open => "open: measure longer",
                };
                let _ = writeln!(
                    text,
                    "{:<36} p95 {:8.2} → {:8.2} ms  × {:.3} [{:.3}, {:.3}]  {word}",
                    one.stream,
                    one.p95_ms.0,
                    one.p95_ms.1,
                    one.ratio,
                    one.interval.0,
                    one.interval.1
                );
            }
            for one in &found.left_out {
                let _ = writeln!(text, "left out  {one}");
            }
            print(&text)
        }
    }
}

fn read(path: &Path) -> Result<Stored, Error> {
    let file = if path.is_dir() {
        path.join("database_performance_results.json")
    } else {
        path.to_path_buf()
    };
    let text = fs::read_to_string(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::Usage(format!("expected a run at {}, found none", path.display()))
        }
        _ => of_file(&file)(error),
    })?;
    Stored::from_json(&text).map_err(|error| Error::Usage(format!("{}: {error}", file.display())))
}
