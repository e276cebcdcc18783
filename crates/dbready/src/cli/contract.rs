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
use dbready::contract::source;

use super::output::print;
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
  dbready contract lint                the contract built into this program";

/// Contract directories: init, lint, docs, diff, matrix, export, import.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ContractCommandArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read a contract strictly and say what is wrong with it, with file and line.
    #[command(after_help = LINT_EXAMPLES)]
    Lint {
        /// Contract directory.
        directory: Option<PathBuf>,
    },
    Docs(docs::DocsArgs),
    Diff(diff::DiffArgs),
    Matrix(matrix::MatrixArgs),
    Init(init::InitArgs),
    Export(exchange::ExportArgs),
    Import(exchange::ImportArgs),
}

pub(crate) async fn run(args: &ContractCommandArgs, terminal: &Terminal) -> Result<Exit, Error> {
    match &args.action {
        Action::Lint { directory } => lint(directory.as_ref()),
        Action::Docs(args) => docs::run(args),
        Action::Diff(args) => diff::run(args),
        Action::Matrix(args) => matrix::run(args, terminal).await,
        Action::Init(args) => init::run(args, terminal).await,
        Action::Export(args) => exchange::export(args),
        Action::Import(args) => exchange::import(args),
    }
}

fn lint(directory: Option<&PathBuf>) -> Result<Exit, Error> {
    let contract = source::load(directory.map(PathBuf::as_path))?;
    let model = &contract.model;
    print(&format!(
        "{} {}: {} tables, {} queries, {} migrations, {} formats, {} figures, {} drills",
        model.service.name,
        model.service.version,
        model.tables.len(),
        model.queries.len(),
        contract.migrations.len(),
        model.formats.len(),
        model.figures.len(),
        model.drills.len()
    ))?;
    Ok(Exit::Success)
}
