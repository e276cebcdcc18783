//! `dbready contract export` and `import`: contracts in the formats of others.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dbready::{Error, odcs};

use super::super::Exit;
use super::super::options::ContractArgs;
use super::super::output::{of_file, print, write_whole};

const EXPORT_EXAMPLES: &str = "\
Examples:
  dbready contract export --format odcs > contract.odcs.yaml
  dbready contract export --format odcs --contract ./contract --out contract.odcs.yaml";

const IMPORT_EXAMPLES: &str = "\
Examples:
  dbready contract import --format odcs contract.odcs.yaml --out ./contract";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Open Data Contract Standard, version 3
    Odcs,
}

/// Write a contract in another format.
#[derive(Debug, Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    contract: ContractArgs,

    /// Format: odcs.
    #[arg(long, value_enum)]
    format: Format,

    /// File that is written instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Make a contract directory from another format.
#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub(crate) struct ImportArgs {
    /// Format: odcs.
    #[arg(long, value_enum)]
    format: Format,

    /// The document.
    file: PathBuf,

    /// Contract directory that is made; it must not exist, or be empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn export(args: &ExportArgs) -> Result<Exit, Error> {
    let contract = args.contract.load()?;
    let Format::Odcs = args.format;
    let text = odcs::export(&contract)?;
    match &args.out {
        None => print(&text)?,
        Some(path) => {
            write_whole(path, &text)?;
            print(&format!("wrote {}", path.display()))?;
        }
    }
    Ok(Exit::Success)
}

pub(crate) fn import(args: &ImportArgs) -> Result<Exit, Error> {
    let Format::Odcs = args.format;
    let mut text = String::new();
    let file = File::open(&args.file).map_err(of_file(&args.file))?;
    file.take(odcs::MAX_BYTES + 1).read_to_string(&mut text).map_err(of_file(&args.file))?;
    let files = odcs::import(&text)?;
    empty(&args.out)?;
    for (name, text) in &files {
        let path = args.out.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(of_file(folder))?;
        }
        write_whole(&path, text)?;
    }
    print(&format!("wrote {} files to {}", files.len(), args.out.display()))?;
    Ok(Exit::Success)
}

/// Sees that a folder has nothing in it that could be overwritten.
fn empty(folder: &Path) -> Result<(), Error> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(of_file(folder)(error)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::Usage(format!(
                "--out {}: expected a new or empty folder, found files",
                folder.display()
            ))),
        },
    }
}
