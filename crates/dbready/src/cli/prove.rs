//! `dbready prove`: detection power, every sabotage on a twin.

use clap::Args;
use dbready::{Error, prove};
use pg_local::{Cluster, Runtime};

use super::managed::blocking;
use super::options::ContractArgs;
use super::output::{Shape, print, write_reports};
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready prove                                   the contract built into this program
  dbready prove --contract ./contract --out detection
  dbready prove --format json | jq '.sabotages, .missed, .misses'

Every claim that `check` makes is broken on a twin of the contract: columns dropped and retyped,
constraints weakened, indexes replaced under their names, rows made wrong. The claim meant for it must
turn to refuted, and no other that it does not concern. Nothing but a temporary local server is
touched. Exit codes: 0 everything was noticed by the right claim, 1 something was not, 2 wrong usage
or contract, 3 no local server.";

/// Detection power: every claim broken on a twin, its refutation seen.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ProveArgs {
    #[command(flatten)]
    contract: ContractArgs,

    /// Format on standard output.
    #[arg(long, value_enum, default_value_t = Shape::Text)]
    format: Shape,

    /// Also write prove.json and prove.md into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<std::path::PathBuf>,

    /// Exit 1 also when a claim has no sabotage.
    #[arg(long)]
    strict: bool,
}

pub(crate) async fn run(args: ProveArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let contract = args.contract.load()?;
    if let Some(folder) = &args.out {
        super::output::prepare_folder(folder)?;
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
    let report = prove::run(&cluster, &contract, &|step| screen.step(&step)).await;
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
