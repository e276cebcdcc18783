//! `dbready report`: a stored run, judged and rendered again.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use dbready::Error;
use dbready::report::{Certificate, MAX_BYTES};

use super::options::ReportArgs;
use super::output::{deliver, of_file};
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready report dbready-report/certificate.json
  dbready report certificate.json --format markdown > summary.md
  dbready report - --format html --out report < certificate.json

Every claim is judged again by the evidence in the file; no database is needed. Exit codes: 0 all
required claims proven, 1 some refuted or unproven, 2 the file cannot be used.";

/// Render a stored run in any format.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StoredArgs {
    /// A certificate.json; `-` for standard input.
    file: PathBuf,
    #[command(flatten)]
    report: ReportArgs,
}

pub(crate) fn run(args: &StoredArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let mut text = String::new();
    // One byte more than allowed, so that too much is noticed.
    let limit = MAX_BYTES as u64 + 1;
    let unusable = |error: std::io::Error| {
        Error::Usage(format!("{}: cannot be read: {error}", args.file.display()))
    };
    if args.file.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_string(&mut text).map_err(unusable)?;
    } else {
        let file = File::open(&args.file).map_err(unusable)?;
        if file.metadata().map_err(of_file(&args.file))?.is_dir() {
            return Err(Error::Usage(format!(
                "{}: expected a certificate.json, found a folder",
                args.file.display()
            )));
        }
        file.take(limit).read_to_string(&mut text).map_err(unusable)?;
    }
    let certificate = Certificate::from_json(&text)
        .map_err(|error| Error::Usage(format!("{}: {error}", args.file.display())))?;
    deliver(&certificate, &args.report, terminal.color)
}
