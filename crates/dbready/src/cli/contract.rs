//! `dbready contract`: contract directories.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dbready::Error;
use dbready::contract::source;

use super::Exit;
use super::output::print;

const EXAMPLES: &str = "\
Examples:
  dbready contract lint ./contract
  dbready contract lint                the contract built into this program";

/// Contract directories: lint.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ContractCommandArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read a contract strictly and say what is wrong with it, with file and line.
    #[command(after_help = EXAMPLES)]
    Lint {
        /// Contract directory.
        directory: Option<PathBuf>,
    },
}

pub(crate) fn run(args: &ContractCommandArgs) -> Result<Exit, Error> {
    let Action::Lint { directory } = &args.action;
    let contract = source::load(directory.as_deref())?;
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
