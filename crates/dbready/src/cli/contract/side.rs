//! The two contracts of a comparison: directories, or folders in revisions of a git repository.

use std::path::{Path, PathBuf};

use clap::Args;
use dbready::Error;
use dbready::contract::{Contract, source};

/// Which two contracts.
#[derive(Debug, Args)]
pub(crate) struct SidesArgs {
    /// The contract that consumers rely on: a directory, or REVISION:FOLDER of the git repository.
    old: String,

    /// The contract that is to follow.
    new: String,

    /// OLD and NEW are revisions of the git repository; --path names the folder in both.
    #[arg(long)]
    git: bool,

    /// Contract folder in the repository, with --git.
    #[arg(long, value_name = "FOLDER", default_value = "contract", requires = "git")]
    path: String,

    /// The git repository.
    #[arg(long, value_name = "DIR", default_value = ".")]
    repository: PathBuf,
}

impl SidesArgs {
    /// Reads both.
    pub(crate) fn load(&self) -> Result<(Contract, Contract), Error> {
        Ok((self.side(&self.old)?, self.side(&self.new)?))
    }

    fn side(&self, written: &str) -> Result<Contract, Error> {
        if self.git {
            return Ok(source::load_revision(&self.repository, written, &self.path)?);
        }
        let directory = Path::new(written);
        match written.split_once(':') {
            Some((revision, folder)) if !revision.is_empty() && !directory.exists() => {
                Ok(source::load_revision(&self.repository, revision, folder)?)
            }
            _ => Ok(source::load(Some(directory))?),
        }
    }
}
