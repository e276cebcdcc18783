//! `dbready contract docs`: the contract as a page for people.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use dbready::{Error, docs};

use super::super::Exit;
use super::super::options::ContractArgs;
use super::super::output::{of_file, print, write_whole};

const EXAMPLES: &str = "\
Examples:
  dbready contract docs          docs/DATABASE_CONTRACTS.md
  dbready contract docs --contract ./contract --out CONTRACT.md
  dbready contract docs --check  exit 1 when the committed page is stale";

/// Generate the page for people, or see that the committed one is up to date.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DocsArgs {
    #[command(flatten)]
    contract: ContractArgs,

    /// The page.
    #[arg(long, value_name = "FILE", default_value = "docs/DATABASE_CONTRACTS.md")]
    out: PathBuf,

    /// Write nothing; exit 1 when the page is not what the contract gives, with the first line.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &DocsArgs) -> Result<Exit, Error> {
    let page = docs::render(&args.contract.load()?);
    let path = args.out.display();
    if !args.check {
        write_whole(&args.out, &page)?;
        print(&format!("wrote {path}"))?;
        return Ok(Exit::Success);
    }
    let bytes = match fs::read(&args.out) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            print(&format!("{path} is missing; run `dbready contract docs` and commit the page"))?;
            return Ok(Exit::NotProven);
        }
        Err(error) => return Err(of_file(&args.out)(error)),
    };
    let found = String::from_utf8_lossy(&bytes);
    let Some(stale) = docs::stale(&page, &found) else {
        print(&format!("{path} is what the contract gives"))?;
        return Ok(Exit::Success);
    };
    print(&format!(
        "{path} is stale: line {} differs\n  expected: {}\n  found:    {}\n\
         run `dbready contract docs` and commit the page",
        stale.line, stale.expected, stale.found
    ))?;
    Ok(Exit::NotProven)
}
