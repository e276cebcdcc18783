//! Which PostgreSQL a local server runs: found on the machine, or installed privately.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

use crate::error::Error;
use crate::install;
use crate::progress::Progress;
use crate::run::output;

/// Environment variable with a PostgreSQL bin folder to use.
pub const PG_BIN: &str = "DBREADY_PG_BIN";
/// Environment variable with the cache folder to use.
pub const CACHE: &str = "DBREADY_CACHE";
/// Oldest PostgreSQL that is used when found on the machine.
const OLDEST: u32 = 15;

/// A PostgreSQL installation that servers can be run from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    bin: PathBuf,
    version: String,
    timescaledb: Option<String>,
}

impl Runtime {
    /// The runtime to use: `DBREADY_PG_BIN`, else a PostgreSQL of the system with `TimescaleDB`,
    /// else the private one, which is installed when it is not there yet.
    ///
    /// # Errors
    ///
    /// [`Error::PgBin`] when `DBREADY_PG_BIN` is set and unusable; [`Error::Install`] when the
    /// private runtime cannot be installed; [`Error::File`] when the cache folder cannot be used.
    pub fn locate_or_install(progress: &Progress<'_>) -> Result<Self, Error> {
        match Self::locate()? {
            Some(runtime) => Ok(runtime),
            None => Self::install(progress),
        }
    }

    /// The runtime to use, without installing anything; `None` when there is none yet.
    ///
    /// # Errors
    ///
    /// As [`Runtime::locate_or_install`], without installation.
    pub fn locate() -> Result<Option<Self>, Error> {
        if let Some(folder) = env::var_os(PG_BIN).filter(|folder| !folder.is_empty()) {
            let folder = PathBuf::from(folder);
            return Self::at(&folder).map(Some).map_err(|reason| Error::PgBin { folder, reason });
        }
        if let Some(runtime) = Self::of_system() {
            return Ok(Some(runtime));
        }
        let Some(bin) = install::installed(&cache_folder()?)? else { return Ok(None) };
        Self::at(&bin).map(Some).map_err(|reason| Error::Install { reason })
    }

    /// Installs the private runtime, or finishes at once when it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Install`], [`Error::File`].
    pub fn install(progress: &Progress<'_>) -> Result<Self, Error> {
        let bin = install::install(&cache_folder()?, progress)?;
        Self::at(&bin).map_err(|reason| Error::Install { reason })
    }

    /// The newest suitable PostgreSQL where distributions put it.
    fn of_system() -> Option<Self> {
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
            .filter(|(version, _)| *version >= OLDEST)
            .collect();
        versions.sort();
        let found =
            versions.into_iter().rev().filter_map(|(_, path)| Self::at(&path.join("bin")).ok());
        found.into_iter().find(|runtime| runtime.timescaledb.is_some())
    }

    /// The installation whose programs are in `bin`.
    fn at(bin: &Path) -> Result<Self, String> {
        for program in ["postgres", "initdb", "psql"] {
            if !bin.join(program).is_file() {
                return Err(format!("there is no program `{program}`"));
            }
        }
        let said = output(Command::new(bin.join("postgres")).arg("--version"))
            .map_err(|error| error.to_string())?;
        // `postgres (PostgreSQL) 17.5 (Debian 17.5-1)`
        let version = said
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            .ok_or_else(|| format!("its version is not to be read from `{}`", said.trim()))?;
        Ok(Self {
            bin: bin.to_path_buf(),
            version: version.to_owned(),
            timescaledb: timescaledb_version(bin),
        })
    }

    /// The folder with its programs.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Version of PostgreSQL, such as `17.5`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Version of `TimescaleDB`, when the installation has it. The edition is the server's to tell.
    #[must_use]
    pub fn timescaledb(&self) -> Option<&str> {
        self.timescaledb.as_deref()
    }

    /// A command for one of its programs.
    pub(crate) fn command(&self, program: &str) -> Command {
        Command::new(self.bin.join(program))
    }
}

/// The version in the extension's control file.
fn timescaledb_version(bin: &Path) -> Option<String> {
    let share = if let Ok(folder) = output(Command::new(bin.join("pg_config")).arg("--sharedir")) {
        PathBuf::from(folder.trim())
    } else {
        // Debian ships pg_config apart: …/lib/postgresql/17/bin goes with …/share/postgresql/17.
        let version = bin.parent()?;
        let prefix = version.parent()?.parent()?.parent()?;
        prefix.join("share/postgresql").join(version.file_name()?)
    };
    let control = fs::read_to_string(share.join("extension/timescaledb.control")).ok()?;
    let line = control.lines().find(|line| line.trim_start().starts_with("default_version"))?;
    Some(line.split('\'').nth(1)?.to_owned())
}

/// The folder for the runtime and for clusters that stay.
///
/// `DBREADY_CACHE`, else for root `/var/cache/dbready`, whose path is open to the server's user,
/// else `XDG_CACHE_HOME/dbready`, else `~/.cache/dbready`.
pub(crate) fn cache_folder() -> Result<PathBuf, Error> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = if let Some(folder) = set(CACHE) {
        folder
    } else if geteuid().is_root() {
        PathBuf::from("/var/cache/dbready")
    } else if let Some(folder) = set("XDG_CACHE_HOME") {
        folder.join("dbready")
    } else if let Some(home) = set("HOME") {
        home.join(".cache/dbready")
    } else {
        return Err(Error::Usage(format!("expected HOME or {CACHE} to be set, found neither")));
    };
    std::path::absolute(&folder).map_err(Error::file(&folder))
}
