//! `dbready report`: a stored run, judged and rendered again.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use dbready::Error;
use dbready::report::{self, Certificate, MAX_BYTES, StoredError};
use jiff::Timestamp;

use super::options::ReportArgs;
use super::output::{deliver, of_file, print};
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready report dbready-report/certificate.json
  dbready report certificate.json --format markdown > summary.md
  dbready report - --format html --out report < certificate.json
  dbready report verify dbready-report/certificate.json

Every claim is judged again by the evidence in the file; no database is needed. Exit codes: 0 all
required claims proven, 1 some refuted or unproven, 2 the file cannot be used.";

/// Render a stored run in any format.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct StoredArgs {
    #[command(subcommand)]
    command: Option<StoredCommand>,
    /// A certificate.json; `-` for standard input.
    #[arg(required = true)]
    file: Option<PathBuf>,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Subcommand)]
enum StoredCommand {
    Verify(VerifyArgs),
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  dbready report verify dbready-report/certificate.json

Exit codes: 0 the file is as it was written, its evidence leads to what it states and still counts;
1 it is not, each reason is named; 2 the file cannot be read as a certificate.
Verifying says nothing about the verdict: a sound certificate may say `not certified`.";

/// Say whether a stored run is as it was written, and recent enough to count.
///
/// Its seal is a chain of SHA-256 digests over every claim, so that one changed byte is noticed. It
/// shows damage, not who made the file. Evidence of checks counts for a day, that of drills, load
/// tests and coverage for a week.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_EXAMPLES)]
struct VerifyArgs {
    /// A certificate.json; `-` for standard input.
    file: PathBuf,
}

pub(crate) fn run(args: &StoredArgs, terminal: &Terminal) -> Result<Exit, Error> {
    if let Some(StoredCommand::Verify(args)) = &args.command {
        return verify(&args.file);
    }
    // Clap demands the file where there is no command.
    let file = args.file.as_deref().unwrap_or(Path::new("-"));
    let certificate = Certificate::from_json(&read(file)?).map_err(unreadable(file))?;
    deliver(&certificate, &args.report, terminal.color)
}

fn verify(file: &Path) -> Result<Exit, Error> {
    let verification = report::verify(&read(file)?, Timestamp::now()).map_err(unreadable(file))?;
    let doubts = &verification.doubts;
    let verdict = if doubts.is_empty() {
        let certificate = &verification.certificate;
        format!(
            "{}: as it was written on {}, sealed {}\n",
            file.display(),
            certificate.finished_at.escape_debug(),
            certificate.digest
        )
    } else {
        format!("{}: not to be relied on\n", file.display())
    };
    let doubts_told = doubts.iter().map(|doubt| format!("  {}\n", doubt.escape_debug()));
    print(&std::iter::once(verdict).chain(doubts_told).collect::<String>())?;
    Ok(if doubts.is_empty() { Exit::Success } else { Exit::NotProven })
}

/// For `map_err`: a file that is no certificate.
fn unreadable(file: &Path) -> impl FnOnce(StoredError) -> Error {
    let file = file.display().to_string();
    move |error| Error::Usage(format!("{file}: {error}"))
}

/// Reads a file of bounded length; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    // One byte more than allowed, so that too much is noticed.
    let limit = MAX_BYTES as u64 + 1;
    let unusable = |error: std::io::Error| {
        Error::Usage(format!("{}: cannot be read: {error}", path.display()))
    };
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_string(&mut text).map_err(unusable)?;
    } else {
        let file = File::open(path).map_err(unusable)?;
        if file.metadata().map_err(of_file(path))?.is_dir() {
            return Err(Error::Usage(format!(
                "{}: expected a certificate.json, found a folder",
                path.display()
            )));
        }
        file.take(limit).read_to_string(&mut text).map_err(unusable)?;
    }
    Ok(text)
}
