//! `dbready contract`: contract directories.

mod diff;
mod docs;
mod exchange;
mod init;
mod matrix;
mod side;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dbready::Error;
use dbready::contract::{Danger, DangerKind, dangers, source};
use dbready::suppressions;
use serde_json::json;

use super::output::{Shape, print};
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready contract lint ./contract
  dbready contract init --url postgres://… --out contract
  dbready contract docs --contract ./contract --out docs/DATABASE_CONTRACTS.md
  dbready contract diff v1.1.0:contract ./contract";

const LINT_EXAMPLES: &str = "\
Examples:
  dbready contract lint ./contract
  dbready contract lint                the contract built into this program
  dbready contract lint ./contract --strict --format json

Exit codes: 0 sound, 1 something that no server can give (with --strict: or that is dangerous), 2 a
contract that cannot be used.";

/// Contract directories: init, lint, docs, diff, matrix, export, import.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ContractCommandArgs {
    #[command(subcommand)]
    action: Action,
}

/// Read a contract strictly and say what is wrong with it, with file and line; name what no server can
/// give and what is dangerous, and waivers that are over, of no claim, or longer than a year.
#[derive(Debug, Args)]
#[command(after_help = LINT_EXAMPLES)]
struct LintArgs {
    /// Contract directory.
    directory: Option<PathBuf>,

    /// How it is printed: for people or for programs.
    #[arg(long, value_enum, default_value_t = Shape::Text)]
    format: Shape,

    /// Exit 1 also for what is dangerous.
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    Lint(LintArgs),
    Docs(docs::DocsArgs),
    Diff(diff::DiffArgs),
    Matrix(matrix::MatrixArgs),
    Init(init::InitArgs),
    Export(exchange::ExportArgs),
    Import(exchange::ImportArgs),
}

pub(crate) async fn run(args: &ContractCommandArgs, terminal: &Terminal) -> Result<Exit, Error> {
    match &args.action {
        Action::Lint(args) => lint(args),
        Action::Docs(args) => docs::run(args),
        Action::Diff(args) => diff::run(args),
        Action::Matrix(args) => matrix::run(args, terminal).await,
        Action::Init(args) => init::run(args, terminal).await,
        Action::Export(args) => exchange::export(args),
        Action::Import(args) => exchange::import(args),
    }
}

fn lint(args: &LintArgs) -> Result<Exit, Error> {
    let contract = source::load(args.directory.as_deref())?;
    let mut dangers = dangers(&contract);
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    dangers.extend(suppressions::dangers(&contract, &dbready::run::plan(&contract), today));
    let model = &contract.model;
    let counts = [
        ("tables", model.tables.len()),
        ("queries", model.queries.len()),
        ("migrations", contract.migrations.len()),
        ("formats", model.formats.len()),
        ("figures", model.figures.len()),
        ("drills", model.drills.len()),
    ];
    let (name, version) = (&model.service.name, model.service.version.to_string());
    print(&match args.format {
        Shape::Text => {
            let counts = counts.map(|(what, count)| format!("{count} {what}"));
            let mut lines = vec![format!("{name} {version}: {}", counts.join(", "))];
            lines.extend(dangers.iter().map(|one| {
                let word = match one.kind {
                    DangerKind::Impossible => "impossible",
                    DangerKind::Dangerous => "dangerous",
                };
                let line =
                    format!("{word}  {}: {}; {} ({})", one.object, one.what, one.remedy, one.rule);
                line.chars().filter(|c| !c.is_control()).collect()
            }));
            lines.join("\n")
        }
        Shape::Json => {
            let mut document = json!({ "contract": name, "version": version, "dangers": dangers });
            for (what, count) in counts {
                document[what] = json!(count);
            }
            document.to_string()
        }
    })?;
    let fails = |one: &Danger| args.strict || one.kind == DangerKind::Impossible;
    Ok(if dangers.iter().any(fails) { Exit::NotProven } else { Exit::Success })
}
