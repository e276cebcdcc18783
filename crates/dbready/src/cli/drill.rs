//! `dbready drill`: failure drills on disposable servers.

use std::fs;
use std::path::Path;

use clap::{Args, Subcommand};
use dbready::claim::Claim;
use dbready::contract::Contract;
use dbready::drill::{self, Drill, Record, Step};
use dbready::evidence::Outcome;
use dbready::score::Scope;
use dbready::{Error, run};
use pg_local::Runtime;

use super::managed::blocking;
use super::options::{ContractArgs, Profile, ReportArgs};
use super::output::{Delivery, of_file, print, write_whole};
use super::screen::Screen;
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready drill                             the quick ones, three minutes
  dbready drill --all --profile standard    every drill with many faults each
  dbready drill server_killed --repeat 100  one drill, a hundred crashes
  dbready drill --out report --format json  also drills/NAME.json
  dbready drill list

Servers are started for the drills and removed after them; no drill reaches a server of yours. Exit \
codes: 0 what was tried is proven, 1 some refuted or unproven, 2 wrong usage or contract, 3 no server.";

/// The arguments with which this program acts as a client.
pub(super) const CLIENT: &[&str] = &["drill-client"];

/// Failure drills: faults injected into disposable servers while work goes on.
///
/// Writers go through the database layer; crashes, cut networks, full disks and the like meet them; a
/// reader of its own then looks whether anything acknowledged was lost or doubled. A fault that cannot
/// be proven to have happened leaves its claim unproven.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct DrillArgs {
    #[command(subcommand)]
    action: Option<Action>,

    /// Names of drills [default: those of the profile].
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Every drill, also those that the quick profile leaves out.
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// How many faults each drill injects.
    #[arg(long, value_enum, default_value_t = Profile::Quick)]
    profile: Profile,

    /// Faults in each drill, instead of the profile's number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: Option<u32>,

    /// Number that random choices are made from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    contract: ContractArgs,

    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(ListArgs),
}

const LIST_EXAMPLES: &str = "\
Examples:
  dbready drill list
  dbready drill list --format json";

/// Names of all drills, what they inject and what they claim.
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
struct ListArgs {
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = ListFormat::Terminal)]
    format: ListFormat,

    #[command(flatten)]
    contract: ContractArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ListFormat {
    Terminal,
    Json,
}

pub(crate) async fn run(args: DrillArgs, terminal: &Terminal) -> Result<Exit, Error> {
    if let Some(Action::List(list)) = &args.action {
        return print_list(list);
    }
    let contract = args.contract.load()?;
    let drills = chosen(&args)?;
    let delivery = Delivery::prepare(&args.report)?;
    let screen = terminal.screen();
    let started_at = dbready::run::now();
    let options = drill::Options {
        thorough: args.profile != Profile::Quick,
        repeat: args.repeat,
        seed: args.seed,
        client: CLIENT,
    };
    let outcome = perform(&contract, &drills, &options, &screen).await;
    screen.clear();
    let gathered = outcome?;
    if let Some(folder) = &args.report.out {
        write_records(folder, &gathered)?;
    }
    let claims = claims(&contract, &drills, &gathered);
    let occasion = run::Occasion {
        command: "drill".to_owned(),
        profile: Some(args.profile.word().to_owned()),
        started_at,
        finished_at: dbready::run::now(),
        notes: notes(&contract, &drills, args.seed),
    };
    let gathered = run::Gathered::of(gathered.server.clone(), &gathered);
    let certificate = run::certificate(&contract, claims, Scope::Part, gathered, occasion);
    delivery.deliver(&certificate, terminal)
}

/// Runs drills with their progress on the screen.
pub(super) async fn perform(
    contract: &Contract,
    drills: &[Drill],
    options: &drill::Options,
    screen: &Screen,
) -> Result<drill::Gathered, Error> {
    let steps = screen.clone();
    let runtime =
        blocking(move || Ok(Runtime::locate_or_install(&|step| steps.step(&step))?)).await?;
    screen.doing("starting a server for the drills");
    drill::run(&runtime, contract, drills, options, &|step| match step {
        Step::Begins { drill, at, of } => {
            screen.doing(&format!("drill {} of {of}: {}", at + 1, drill.name));
        }
        Step::Ended { record } => screen.done(&summary(record)),
    })
    .await
}

/// One line about a drill that has ended. What it proves is the verdict's to say.
fn summary(record: &Record) -> String {
    let seconds = record.seconds;
    let saw = match record.evidence().outcome {
        Outcome::Counted { trials, wrong: 0, .. } => {
            format!("{trials} faults, nothing wrong")
        }
        Outcome::Counted { trials, wrong, findings, .. } => {
            let first = findings.first().map_or_else(String::new, |one| {
                format!(": expected {}, found {}", one.expected, one.found)
            });
            format!("{wrong} of {trials} faults went wrong{first}")
        }
        Outcome::NotMeasured { reason } => format!("settles nothing: {reason}"),
        Outcome::Compared { .. } | Outcome::Measured { .. } => String::new(),
    };
    format!("{}: {saw} ({seconds:.1} s)", record.drill)
}

fn chosen(args: &DrillArgs) -> Result<Vec<Drill>, Error> {
    let all = drill::all();
    if args.names.is_empty() {
        let quick_only = args.profile == Profile::Quick && !args.all;
        return Ok(all.into_iter().filter(|drill| drill.quick || !quick_only).collect());
    }
    named(&args.names)
}

/// Drills by their names, each once.
pub(super) fn named(names: &[String]) -> Result<Vec<Drill>, Error> {
    let all = drill::all();
    let mut chosen: Vec<Drill> = Vec::new();
    for name in names {
        let drill = all.iter().find(|drill| drill.name == name).ok_or_else(|| {
            Error::Usage(format!("there is no drill `{name}`; `dbready drill list` names them all"))
        })?;
        if !chosen.iter().any(|one| one.name == drill.name) {
            chosen.push(*drill);
        }
    }
    Ok(chosen)
}

/// The claims that these drills settle: their own, and the figures they took samples for.
fn claims(contract: &Contract, drills: &[Drill], gathered: &drill::Gathered) -> Vec<Claim> {
    let figures = gathered.evidence.iter().map(|evidence| evidence.claim.as_str());
    let mut wanted: Vec<&str> = figures.filter(|claim| claim.starts_with("load.")).collect();
    let ids: Vec<String> = drills.iter().map(|drill| format!("drill.{}", drill.name)).collect();
    wanted.extend(ids.iter().map(String::as_str));
    run::plan(contract).into_iter().filter(|claim| wanted.contains(&claim.id.as_str())).collect()
}

fn notes(contract: &Contract, drills: &[Drill], seed: u64) -> Vec<String> {
    let mut notes = vec![format!(
        "the faults were injected into disposable servers of this machine, with random choices from \
         seed {seed}; killing processes shows nothing about a loss of power"
    )];
    let named = |drill: &&Drill| !contract.model.drills.iter().any(|one| one.name == drill.name);
    let strangers: Vec<&str> = drills.iter().filter(named).map(|drill| drill.name).collect();
    if !strangers.is_empty() {
        notes.push(format!("the contract does not name these drills: {}", strangers.join(", ")));
    }
    notes
}

/// Writes the details that a certificate has no place for: `drills/NAME.json`, and the server's log of a
/// drill in which something did not hold.
pub(super) fn write_records(folder: &Path, gathered: &drill::Gathered) -> Result<(), Error> {
    let folder = folder.join("drills");
    fs::create_dir_all(&folder).map_err(of_file(&folder))?;
    for (record, log) in &gathered.records {
        // Its keys are strings, so that writing into memory cannot fail.
        let mut text = serde_json::to_string_pretty(record).unwrap_or_default();
        text.push('\n');
        write_whole(&folder.join(format!("{}.json", record.drill)), &text)?;
        if let Some(log) = log {
            write_whole(&folder.join(format!("{}.log", record.drill)), log)?;
        }
    }
    Ok(())
}

fn print_list(args: &ListArgs) -> Result<Exit, Error> {
    let contract = args.contract.load()?;
    let statement = |drill: &Drill| {
        let named = contract.model.drills.iter().find(|one| one.name == drill.name);
        named.map(|one| one.statement.clone())
    };
    let drills = drill::all();
    let text = match args.format {
        ListFormat::Json => {
            let list: Vec<serde_json::Value> = drills
                .iter()
                .map(|drill| {
                    serde_json::json!({
                        "name": drill.name,
                        "claim": statement(drill).map(|_| format!("drill.{}", drill.name)),
                        "statement": statement(drill),
                        "injects": drill.injects,
                        "profile": if drill.quick { "quick" } else { "standard" },
                    })
                })
                .collect();
            serde_json::to_string_pretty(&list).unwrap_or_default()
        }
        ListFormat::Terminal => {
            let lines = drills.iter().map(|drill| {
                let profile = if drill.quick { "quick" } else { "standard" };
                let claim = statement(drill).unwrap_or_else(|| "not in this contract".to_owned());
                let (name, injects) = (drill.name, drill.injects);
                format!("{name} ({profile})\n  injects  {injects}\n  claims   {claim}\n")
            });
            lines.collect()
        }
    };
    print(&text)?;
    Ok(Exit::Success)
}
