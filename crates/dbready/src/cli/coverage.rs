//! `dbready coverage`: what tests have run.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use dbready::Error;
use dbready::coverage::{
    self, Execution, FailUnder, MAX_BYTES, MAX_JOURNAL, Mapping, Modules, Mutants, Paths, Report,
    Share, Sources,
};
use dbready::report::{Certificate, ContractFacts, Inputs};
use dbready::score::{self, Scope};
use dbready::suppressions;
use serde_json::json;

use super::options::{ContractArgs, ReportArgs};
use super::output::{Delivery, of_file, print, write_whole};
use super::screen::complain;
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready coverage gate --fail-under 100 --modules src/db,src/repository lcov.info
  dbready coverage gate --modules app.errors --format github coverage.xml unit.info
  dbready coverage badges --modules src/db --out badges lcov.info
  dbready coverage report --execution journals --out report lcov.info

Reports are LCOV, Cobertura XML or the JSON of llvm-cov, of any language; several are merged line by \
line. Every figure is counted from the records of lines and rounded down.";

/// What tests have run: a gate, badges and the coverage claims of the contract.
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
    Report(ClaimsArgs),
}

const REPORT_EXAMPLES: &str = "\
Examples:
  DBREADY_EXECUTION_LOG=journals cargo test
  dbready coverage report --execution journals --out report lcov.info
  dbready coverage report --mutants mutants.out/outcomes.json --mutants-in-all 240 lcov.info

Settles the contract's coverage claims: lines from reports, methods and critical paths from the journals \
that pg-session writes while tests run on real servers, faults noticed from cargo-mutants. With --out, \
coverage.md lists what ran, which tables were written, and what no test exercised. Nothing is read from \
source code. Exit codes: 0 all required coverage claims proven, 1 some refuted or unproven, 2 a \
file is missing or cannot be read.";

/// The coverage claims of the contract, as a certificate; names what no test exercised.
#[derive(Debug, Args)]
#[command(after_help = REPORT_EXAMPLES)]
struct ClaimsArgs {
    /// Coverage reports: LCOV, Cobertura XML or the JSON of llvm-cov.
    #[arg(value_name = "FILE", required_unless_present_any = ["execution", "mutants"])]
    files: Vec<PathBuf>,

    /// A folder of journals, written by tests under `DBREADY_EXECUTION_LOG`; may be repeated.
    #[arg(long, value_name = "DIR")]
    execution: Vec<PathBuf>,

    /// An `outcomes.json` of cargo-mutants; may be repeated, and of a mutant in several the last counts.
    #[arg(long, value_name = "FILE")]
    mutants: Vec<PathBuf>,

    /// How many mutants there are in all; without it those tested count as a sample.
    #[arg(long, value_name = "N", requires = "mutants")]
    mutants_in_all: Option<u64>,

    #[command(flatten)]
    paths: PathArgs,
    #[command(flatten)]
    contract: ContractArgs,
    #[command(flatten)]
    report: ReportArgs,
}

const GATE_EXAMPLES: &str = "\
Examples:
  dbready coverage gate --fail-under 100 --modules src/db lcov.info
  dbready coverage gate --format markdown lcov.info >> \"$GITHUB_STEP_SUMMARY\"
  dbready coverage gate --map /build=. --numeric a.info b.xml

A module is the beginning of a path or a dotted name; one that no report speaks of is NO DATA and never \
passes. Exit codes: 0 every module reaches the share, 1 one is below it or has no data, 2 a report is \
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

Writes NAME.svg and NAME.json (for img.shields.io/endpoint) for each module, whatever its share. Exit \
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

pub(crate) fn run(args: &CoverageArgs, terminal: &Terminal) -> Result<Exit, Error> {
    match &args.command {
        Command::Report(args) => claims(args, terminal),
        Command::Gate(args) => gate(args, terminal),
        Command::Badges(args) => badges(args, terminal),
    }
}

fn gate(args: &GateArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let (modules, least) = args.source.read(terminal)?;
    if args.numeric {
        match coverage::numeric(&modules) {
            Some(figure) => print(&figure)?,
            None => complain("NO DATA: no report speaks of any line of one of the modules"),
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

fn badges(args: &BadgesArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let (modules, least) = args.source.read(terminal)?;
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

/// Settles the coverage claims of the contract.
fn claims(args: &ClaimsArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let contract = args.contract.load()?;
    let delivery = Delivery::prepare(&args.report)?;
    let started_at = dbready::run::now();
    let mut sources = Sources::default();
    if !args.files.is_empty() {
        sources.lines = Some(args.paths.read(&args.files)?);
    }
    if !args.execution.is_empty() {
        sources.execution = Some(read_journals(&args.execution)?);
    }
    if !args.mutants.is_empty() {
        let mut mutants = Mutants::default();
        for path in &args.mutants {
            let text = read_text(path, MAX_JOURNAL, "outcomes of cargo-mutants")?;
            mutants.add(&text).map_err(|error| unusable(path, &error))?;
        }
        sources.mutants = Some((mutants, args.mutants_in_all));
    }
    let evidence = coverage::examine(&contract, &sources).map_err(Error::Usage)?;
    let mut notes =
        sources.lines.iter().flat_map(|report| report.notes.clone()).collect::<Vec<_>>();
    if let Some(execution) = &sources.execution {
        for (title, names) in coverage::never(&contract, execution) {
            notes.push(format!("{title}: {}", names.join(", ")));
        }
    }
    let certificate = Certificate::assemble(Inputs {
        command: "coverage".to_owned(),
        profile: None,
        scope: Scope::Part,
        started_at,
        finished_at: dbready::run::now(),
        contract: ContractFacts::from(&contract),
        server: None,
        tool_digest: dbready::run::program_digest(),
        weights: score::weights(&contract.model.score),
        claims: coverage::plan(&contract),
        evidence,
        statements: contract.statements().map(|(file, sql)| (file.into(), sql.into())).collect(),
        timings: std::collections::BTreeMap::new(),
        notes,
        problems: Vec::new(),
        suppressions: suppressions::of_contract(&contract),
    });
    if let Some(folder) = &args.report.out {
        let mut page = coverage::exercised(&contract, &sources);
        if let Some(report) = &sources.lines {
            let clause = &contract.model.coverage;
            let least = FailUnder::try_from(clause.percent).map_err(Error::Usage)?;
            let modules = Modules::of(report, &clause.modules).map_err(Error::Usage)?;
            page = format!("{page}\n{}", coverage::markdown(&modules, least));
        }
        write_whole(&folder.join("coverage.md"), &page)?;
    }
    delivery.deliver(&certificate, terminal)
}

/// Reads every journal of some folders. A folder without any is an error: nothing was collected.
fn read_journals(folders: &[PathBuf]) -> Result<Execution, Error> {
    let mut execution = Execution::default();
    for folder in folders {
        let entries =
            std::fs::read_dir(folder).map_err(|error| unusable(folder, &error.to_string()))?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(of_file(folder))?.path();
            if path.extension().is_some_and(|ending| ending == "jsonl") {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(unusable(folder, "expected journals (*.jsonl), found none"));
        }
        files.sort();
        for path in files {
            let text = read_text(&path, MAX_JOURNAL, "journal")?;
            execution.add(&text).map_err(|error| unusable(&path, &error))?;
        }
    }
    Ok(execution)
}

impl SourceArgs {
    fn read(&self, terminal: &Terminal) -> Result<(Modules, FailUnder), Error> {
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
            terminal.note(&format!("note: {note}"));
        }
        let modules = Modules::of(&report, &names).map_err(Error::Usage)?;
        Ok((modules, least))
    }
}

/// Reads one report; what is missing or damaged is the caller's to mend.
fn read(path: &Path) -> Result<Report, Error> {
    let bytes = read_bytes(path, MAX_BYTES)?;
    coverage::read(&bytes).map_err(|error| unusable(path, &error.to_string()))
}

fn read_text(path: &Path, limit: u64, what: &str) -> Result<String, Error> {
    String::from_utf8(read_bytes(path, limit)?)
        .map_err(|_| unusable(path, &format!("expected a {what} in UTF-8")))
}

fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| unusable(path, &error.to_string());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(unusable(path, &format!("it is longer than {limit} bytes")));
    }
    Ok(bytes)
}

fn unusable(path: &Path, reason: &str) -> Error {
    Error::Usage(format!("{}: the report cannot be read: {reason}", path.display()))
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
