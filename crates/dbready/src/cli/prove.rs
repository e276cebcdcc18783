//! `dbready prove`: detection power, every sabotage on a twin, or of every drill.

use clap::Args;
use dbready::contract::Contract;
use dbready::drill::{self, Sabotaging};
use dbready::{Error, prove};
use pg_local::{Cluster, Runtime};

use super::managed::blocking;
use super::options::ContractArgs;
use super::output::{Shape, print, write_reports};
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready prove  the contract built into this program
  dbready prove --contract ./contract --out detection
  dbready prove --whole                           look at everything every time
  dbready prove --format json | jq '.sabotages, .missed, .misses'
  dbready prove --drills                          every drill with a layer that is broken
  dbready prove --drills deadlock,lock_queue      the sabotages of two drills

Every claim that `check` makes is broken on a twin of the contract: columns dropped and retyped, \
constraints weakened, indexes replaced under their names, rows made wrong. The claim meant for it must \
turn to refuted, and no other that it does not concern. Nothing but a temporary local server is \
touched. With --drills the failure drills are tried instead: each must be refuted with a layer \
that is broken on purpose, and be left unproven by an injector that does nothing. Exit codes: 0 \
everything was noticed by the right claim, 1 something was not, 2 wrong usage or contract, 3 no \
local server.";

/// Detection power: every claim broken on a twin, its refutation seen.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ProveArgs {
    #[command(flatten)]
    contract: ContractArgs,

    /// The sabotages of the failure drills: all, or those named. They take a quarter of an hour.
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        default_missing_value = "all",
        value_delimiter = ','
    )]
    drills: Vec<String>,

    /// Format on standard output.
    #[arg(long, value_enum, default_value_t = Shape::Text)]
    format: Shape,

    /// Also write prove.json and prove.md into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<std::path::PathBuf>,

    /// Exit 1 also when a claim has no sabotage.
    #[arg(long)]
    strict: bool,

    /// Look at everything after every sabotage, instead of after every tenth; takes many times as long.
    #[arg(long)]
    whole: bool,
}

pub(crate) async fn run(args: ProveArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let contract = args.contract.load()?;
    if let Some(folder) = &args.out {
        super::output::prepare_folder(folder)?;
    }
    if !args.drills.is_empty() {
        return drills(&args, &contract, terminal).await;
    }
    let screen = terminal.screen();
    let steps = screen.clone();
    let cluster = blocking(move || {
        let runtime = Runtime::locate_or_install(&|step| steps.step(&step))?;
        steps.doing("starting a server");
        // Twins are thrown away, so that nothing has to survive a crash.
        Ok(Cluster::temporary(&runtime, pg_local::Profile::Fast)?)
    })
    .await?;
    let options = prove::Options { whole: args.whole };
    let report = prove::run(&cluster, &contract, options, &|step| screen.step(&step)).await;
    blocking(move || {
        drop(cluster);
        Ok(())
    })
    .await?;
    screen.clear();
    let report = report?;
    let json = serde_json::to_string_pretty(&report)
        .map_err(|error| Error::Catalog(format!("the report is not JSON: {error}")))?;
    let text = report.text();
    if let Some(folder) = &args.out {
        write_reports(folder, &[("prove.json", &json), ("prove.md", &text)])?;
    }
    print(match args.format {
        Shape::Text => &text,
        Shape::Json => &json,
    })?;
    let open = args.strict && report.claims_without_sabotage > 0;
    Ok(if report.is_proven() && !open { Exit::Success } else { Exit::NotProven })
}

/// The sabotages of drills.
async fn drills(args: &ProveArgs, contract: &Contract, terminal: &Terminal) -> Result<Exit, Error> {
    let chosen = match args.drills.as_slice() {
        [all] if all == "all" => drill::all(),
        names => super::drill::named(names)?,
    };
    let screen = terminal.screen();
    let steps = screen.clone();
    let runtime =
        blocking(move || Ok(Runtime::locate_or_install(&|step| steps.step(&step))?)).await?;
    screen.doing("starting a server for the drills");
    let client = super::drill::CLIENT;
    let score = drill::prove(&runtime, contract, &chosen, client, &|step| match step {
        Sabotaging::Begins { drill, what, at, of } => {
            screen.doing(&format!("sabotage {} of {of}: {drill}: {what}", at + 1));
        }
        Sabotaging::Ended { trial } => {
            screen.done(&format!("{}: {}: {}", trial.drill, trial.sabotage, trial.fate));
        }
    })
    .await;
    screen.clear();
    let score = score?;
    let json = serde_json::to_string_pretty(&score)
        .map_err(|error| Error::Catalog(format!("the report is not JSON: {error}")))?;
    let text = score.text();
    if let Some(folder) = &args.out {
        write_reports(folder, &[("prove-drills.json", &json), ("prove-drills.md", &text)])?;
    }
    print(match args.format {
        Shape::Text => &text,
        Shape::Json => &json,
    })?;
    Ok(if score.is_proven() { Exit::Success } else { Exit::NotProven })
}
