//! `dbready load compare`: two runs, second by second.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use dbready::Error;
use dbready::load::compare::{Stored, Verdict, compare};

use super::ListFormat;
use crate::cli::Exit;
use crate::cli::output::{of_file, print};

pub(super) const EXAMPLES: &str = "\
Examples:
  dbready load --profile standard --out before
  dbready load --profile standard --out after
  dbready load compare before after
  dbready load compare before after --tolerance 5 --format json

The seconds of both runs are paired: with the same seed the same operations were due in them. The ratio \
of the means of their p95 is taken, and its 90 % interval by resampling pairs. A stream is slower when the \
whole interval lies above the tolerance. Exit codes: 0 none is slower, 1 some are, 2 the runs cannot be \
compared.";

/// Runs to compare.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Folder or `database_performance_results.json` of the first run.
    first: PathBuf,
    /// The same of the second run.
    second: PathBuf,
    /// How much slower or faster counts as the same, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    tolerance: f64,
    /// Format: terminal or json.
    #[arg(long, value_enum, default_value = "terminal")]
    format: ListFormat,
}

pub(super) fn run(args: &CompareArgs) -> Result<Exit, Error> {
    if !(0.0..100.0).contains(&args.tolerance) {
        let found = args.tolerance;
        return Err(Error::Usage(format!(
            "--tolerance: expected a share from 0 to 100 percent, found {found}"
        )));
    }
    let (first, second) = (read(&args.first)?, read(&args.second)?);
    let found = compare(&first, &second, args.tolerance / 100.0).map_err(Error::Usage)?;
    let is_slower = found.iter().any(|one| one.verdict == Verdict::Slower);
    match args.format {
        ListFormat::Json => {
            // Keys are strings, so that writing into memory cannot fail.
            print(&serde_json::to_string_pretty(&found).unwrap_or_default())?;
        }
        ListFormat::Terminal => {
            let mut text = String::new();
            for one in &found {
                let word = match one.verdict {
                    Verdict::Slower => "slower",
                    Verdict::Faster => "faster",
                    Verdict::Same => "the same",
                    Verdict::Open => "open: measure longer",
                };
                let _ = writeln!(
                    text,
                    "{:<36} p95 {:8.2} → {:8.2} ms  × {:.3} [{:.3}, {:.3}]  {word}",
                    one.stream,
                    one.p95_ms.0,
                    one.p95_ms.1,
                    one.ratio,
                    one.interval.0,
                    one.interval.1
                );
            }
            print(&text)?;
        }
    }
    Ok(if is_slower { Exit::NotProven } else { Exit::Success })
}

fn read(path: &Path) -> Result<Stored, Error> {
    let file = if path.is_dir() {
        path.join("database_performance_results.json")
    } else {
        path.to_path_buf()
    };
    let text = fs::read_to_string(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::Usage(format!("expected a run at {}, found none", path.display()))
        }
        _ => of_file(&file)(error),
    })?;
    Stored::from_json(&text).map_err(|error| Error::Usage(format!("{}: {error}", file.display())))
}
