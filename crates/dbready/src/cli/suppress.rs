//! Baselines and suppressions of a run.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use dbready::Error;
use dbready::report::Certificate;
use dbready::suppressions::{MAX_BYTES, baseline, read};
use dbready::verdict::acceptance::{Source, Suppression};

use super::output::{of_file, write_whole};

/// Which open claims may stay so.
#[derive(Debug, Default, Args)]
pub(crate) struct SuppressArgs {
    /// What was open when this file was written may stay open, until the file says otherwise; exit 1
    /// only for more than that. The report lists it, and the score is what it is without it.
    #[arg(long, value_name = "FILE", conflicts_with = "write_baseline")]
    baseline: Option<PathBuf>,

    /// Write what is open now as a baseline, which holds for 180 days.
    #[arg(long, value_name = "FILE")]
    write_baseline: Option<PathBuf>,

    /// Claims that may stay open, each with `claim`, `reason` and `expires`; see docs/SUPPRESSIONS.md.
    #[arg(long, value_name = "FILE")]
    suppressions: Option<PathBuf>,
}

/// Suppressions that were read before the run.
#[derive(Debug)]
pub(crate) struct Suppressions {
    list: Vec<Suppression>,
    write: Option<PathBuf>,
}

impl SuppressArgs {
    /// Reads the files, before the work whose result would otherwise be lost.
    pub(crate) fn load(&self) -> Result<Suppressions, Error> {
        let mut list = Vec::new();
        for (path, source) in
            [(&self.suppressions, Source::Suppression), (&self.baseline, Source::Baseline)]
        {
            if let Some(path) = path {
                list.extend(read(&text(path)?, &path.display().to_string(), source)?);
            }
        }
        Ok(Suppressions { list, write: self.write_baseline.clone() })
    }
}

impl Suppressions {
    /// The certificate with them; a baseline is written first and then holds, too.
    pub(crate) fn apply(mut self, certificate: Certificate) -> Result<Certificate, Error> {
        let Some(path) = &self.write else { return Ok(certificate.suppress(self.list)) };
        let text = baseline(&certificate)?;
        write_whole(path, &text)?;
        self.list.extend(read(&text, &path.display().to_string(), Source::Baseline)?);
        Ok(certificate.suppress(self.list))
    }
}

/// The text of a file that may not be what it should.
fn text(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let file = File::open(path).map_err(of_file(path))?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(of_file(path))?;
    Ok(text)
}
