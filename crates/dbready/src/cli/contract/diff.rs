//! `dbready contract diff`: what changed between two contracts, and what must follow.

use clap::{Args, ValueEnum};
use dbready::{Error, diff};

use super::super::Exit;
use super::super::output::print;
use super::side::SidesArgs;

const EXAMPLES: &str = "\
Examples:
  dbready contract diff old/contract new/contract
  dbready contract diff v1.1.0:contract ./contract
  dbready contract diff --git main HEAD --path crates/signal-store/contract --format markdown

Exit codes: 0 the declared version and notice fit, 1 they do not, 2 wrong usage or contract.";

/// What changed between two contracts, what it means, and the version and notice that must follow.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    sides: SidesArgs,

    /// How it is printed: for people, for programs, or for a pull request.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Markdown,
}

pub(crate) fn run(args: &DiffArgs) -> Result<Exit, Error> {
    let (old, new) = args.sides.load()?;
    let found = diff::diff(&old, &new);
    print(&match args.format {
        Format::Text => diff::text(&found),
        Format::Json => diff::json(&found),
        Format::Markdown => diff::markdown(&found),
    })?;
    Ok(if found.release.fits() { Exit::Success } else { Exit::NotProven })
}
