//! `dbready coverage`: what tests have run.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use dbready::Error;
use dbready::coverage::{self, FailUnder, MAX_BYTES, Mapping, Modules, Paths, Report, Share};
use serde_json::json;

use super::options::ContractArgs;
use super::output::{of_file, print, write_whole};
use super::screen::say;
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready coverage gate --fail-under 100 --modules src/db,src/repository lcov.info
  dbready coverage gate --modules app.errors --format github coverage.xml unit.info
  dbready coverage badges --modules src/db --out badges lcov.info

Reports are LCOV, Cobertura XML or the JSON of llvm-cov, of any language; several are merged line by
line. Every figure is counted from the records of lines and rounded down.";

/// What tests have run: a gate and badges from coverage reports.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CoverageArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Gate(GateArgs),
    Badges(BadgesArgs),
}

const GATE_EXAMPLES: &str = "\
Examples:
  dbready coverage gate --fail-under 100 --modules src/db lcov.info
  dbready coverage gate --format markdown lcov.info >> \"$GITHUB_STEP_SUMMARY\"
  dbready coverage gate --map /build=. --numeric a.info b.xml

A module is the beginning of a path or a dotted name; one that no report speaks of is NO DATA and never
passes. Exit codes: 0 every module reaches the share, 1 one is below it or has no data, 2 a report is
missing or cannot be read.";

/// Pass only if tests run enough lines of every module; names each line that is not run.
#[derive(Debug, Args)]
#[command(after_help = GATE_EXAMPLES)]
struct GateArgs {
    #[command(flatten)]
    source: SourceArgs,

    /// How to say it on standard output.
    #[arg(long, value_enum, default_value_t = Shape::Text)]
    format: Shape,

    /// Print only the share of all modules' lines together, in percent.
    #[arg(long, conflicts_with = "format")]
    numeric: bool,
}

const BADGES_EXAMPLES: &str = "\
Examples:
  dbready coverage badges --modules src/db,src/errors --out badges lcov.info

Writes NAME.svg and NAME.json (for img.shields.io/endpoint) for each module, whatever its share. Exit
codes: 0 written, 2 a report is missing or cannot be read.";

/// A badge for each module: SVG and shields.io endpoint JSON.
#[derive(Debug, Args)]
#[command(after_help = BADGES_EXAMPLES)]
struct BadgesArgs {
    #[command(flatten)]
    source: SourceArgs,

    /// The folder that they are written into.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Which reports, and which modules in them.
#[derive(Debug, Args)]
struct SourceArgs {
    /// Coverage reports: LCOV, Cobertura XML or the JSON of llvm-cov.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Modules, as beginnings of paths or dotted names [default: those of the contract].
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    modules: Vec<String>,

    /// Least share of lines in percent, with up to four decimals [default: that of the contract].
    #[arg(long, value_name = "N")]
    fail_under: Option<FailUnder>,

    #[command(flatten)]
    paths: PathArgs,

    #[command(flatten)]
    contract: ContractArgs,
}

/// How paths of reports become paths of the project.
#[derive(Debug, Args)]
pub(crate) struct PathArgs {
    /// What stands for the beginning of paths in the reports; may be repeated.
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<Mapping>,

    /// The project's folder, which paths are shown relative to [default: the current folder].
    #[arg(long, value_name = "DIR")]
    root: Option<String>,
}

impl PathArgs {
    /// Reads and merges reports.
    pub(crate) fn read(&self, files: &[PathBuf]) -> Result<Report, Error> {
        let root = match &self.root {
            Some(root) => root.clone(),
            None => std::env::current_dir().map_err(of_file(Path::new(".")))?.display().to_string(),
        };
        let paths = Paths::new(&root, self.map.clone());
        let mut merged = Report::default();
        for file in files {
            merged.merge(read(file)?.mapped(&paths));
        }
        Ok(merged)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// A line for each module, then every line not run as `file:line`.
    Text,
    /// A table for a pull request.
    Markdown,
    /// Annotations for GitHub, then the text.
    Github,
    /// One document.
    Json,
}

pub(crate) fn run(args: &CoverageArgs, _terminal: &Terminal) -> Result<Exit, Error> {
    match &args.command {
        Command::Gate(args) => gate(args),
        Command::Badges(args) => badges(args),
    }
}

fn gate(args: &GateArgs) -> Result<Exit, Error> {
    let (modules, least) = args.source.read()?;
    if args.numeric {
        match coverage::numeric(&modules) {
            Some(figure) => print(&figure)?,
            None => say("NO DATA: no report speaks of any line of one of the modules"),
        }
    } else {
        print(&match args.format {
            Shape::Text => coverage::summary(&modules, least),
            Shape::Markdown => coverage::markdown(&modules, least),
            Shape::Github => {
                let annotations = coverage::annotations(&modules, least);
                annotations + &coverage::summary(&modules, least)
            }
            Shape::Json => document(&modules, least),
        })?;
    }
    Ok(if modules.pass(least) { Exit::Success } else { Exit::NotProven })
}

fn badges(args: &BadgesArgs) -> Result<Exit, Error> {
    let (modules, least) = args.source.read()?;
    std::fs::create_dir_all(&args.out).map_err(of_file(&args.out))?;
    let mut names = std::collections::BTreeSet::new();
    for module in &modules.modules {
        let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = module.name.chars().map(plain).collect();
        let name = name.trim_matches(['-', '.']).to_owned();
        if name.is_empty() || !names.insert(name.clone()) {
            let text = format!("the badge of `{}` has no file name of its own", module.name);
            return Err(Error::Usage(text));
        }
        for (ending, text) in
            [("svg", coverage::svg(module, least)), ("json", coverage::endpoint(module, least))]
        {
            let path = args.out.join(format!("{name}.{ending}"));
            write_whole(&path, &text)?;
            print(&path.display().to_string())?;
        }
    }
    Ok(Exit::Success)
}

impl SourceArgs {
    fn read(&self) -> Result<(Modules, FailUnder), Error> {
        let (names, least) = match (self.modules.as_slice(), self.fail_under) {
            (names @ [_, ..], Some(least)) => (names.to_vec(), least),
            (names, least) => {
                let clause = self.contract.load()?.model.coverage;
                let stated = || FailUnder::try_from(clause.percent).map_err(Error::Usage);
                let least = least.map_or_else(stated, Ok)?;
                let names = if names.is_empty() { clause.modules } else { names.to_vec() };
                (names, least)
            }
        };
        let report = self.paths.read(&self.files)?;
        for note in &report.notes {
            say(&format!("note: {note}"));
        }
        let modules = Modules::of(&report, &names).map_err(Error::Usage)?;
        Ok((modules, least))
    }
}

/// Reads one report; what is missing or damaged is the caller's to mend.
fn read(path: &Path) -> Result<Report, Error> {
    let unusable = |reason: String| {
        Error::Usage(format!("{}: the report cannot be read: {reason}", path.display()))
    };
    let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unusable(error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unusable(format!("it is longer than {MAX_BYTES} bytes")));
    }
    coverage::read(&bytes).map_err(|error| unusable(error.to_string()))
}

fn document(modules: &Modules, least: FailUnder) -> String {
    let share = |share: Share| json!({ "covered": share.covered(), "total": share.total(), "percent": share.percent() });
    let each: Vec<_> = modules
        .modules
        .iter()
        .map(|module| {
            let missed = module.uncovered.iter().map(|(path, line)| format!("{path}:{line}"));
            json!({
                "name": module.name,
                "verdict": module.standing(least).key(),
                "lines": share(module.lines),
                "functions": share(module.functions),
                "branches": share(module.branches),
                "files": module.files,
                "uncovered": missed.collect::<Vec<_>>(),
            })
        })
        .collect();
    let verdict = if modules.pass(least) { "pass" } else { "fail" };
    let document = json!({
        "format": "dbready-coverage-gate",
        "format_version": 1,
        "verdict": verdict,
        "fail_under": least.to_string(),
        "total": share(modules.total),
        "modules": each,
    });
    format!("{document:#}")
}
