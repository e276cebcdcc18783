//! Reading a contract directory: the only part of `contract` that does I/O.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::Error;
use super::error::Problem;
use super::model::Contract;
use super::parse::{DOCUMENT, SEED, parse};

/// Largest contract document and query text, in bytes.
const MEDIUM: u64 = 1 << 20;
/// Largest migration.
const LARGE: u64 = 4 << 20;
/// Largest seed script.
const HUGE: u64 = 16 << 20;
/// Largest directory, all files together.
const TOTAL: u64 = 64 << 20;
/// Most files.
const FILES: usize = 2_000;
/// Deepest folder below the contract directory.
const DEPTH: usize = 3;

/// Reads the contract in a directory; without one, the contract of Signal Service that this program
/// carries.
///
/// # Errors
///
/// [`Error`] when a file cannot be read, is no regular file, is too large, is not UTF-8, has no
/// place in a contract directory, or when the contract in it is wrong.
pub fn load(directory: Option<&Path>) -> Result<Contract, Error> {
    let files = match directory {
        Some(directory) => read(directory)?,
        None => signal_store::CONTRACT
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
    };
    parse(&files)
}

/// The texts of a contract directory by their relative paths.
fn read(directory: &Path) -> Result<BTreeMap<String, String>, Error> {
    let shown = directory.display().to_string();
    let metadata = fs::metadata(directory).map_err(|error| {
        Problem::of_file(&shown, format!("expected a contract directory: {error}"))
    })?;
    if !metadata.is_dir() {
        return Err(Problem::of_file(&shown, "expected a contract directory, found a file").into());
    }
    let mut reader = Reader { files: BTreeMap::new(), problems: Vec::new(), bytes: 0 };
    reader.folder(directory, "", 0);
    Error::check(reader.problems)?;
    Ok(reader.files)
}

struct Reader {
    files: BTreeMap<String, String>,
    problems: Vec<Problem>,
    bytes: u64,
}

impl Reader {
    fn problem(&mut self, file: &str, message: impl Into<String>) {
        self.problems.push(Problem::of_file(file, message));
    }

    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.problem(prefix, format!("cannot list this folder: {error}")),
        };
        for entry in entries {
            if self.files.len() + self.problems.len() > FILES {
                return self.problem(prefix, format!("expected at most {FILES} files; found more"));
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.problem(prefix, format!("cannot list this folder: {error}"));
                    continue;
                }
            };
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                self.problem(&name.to_string_lossy(), "expected a name in UTF-8");
                continue;
            };
            let path = format!("{prefix}{name}");
            // `file_type` does not follow links.
            match entry.file_type() {
                Err(error) => self.problem(&path, format!("cannot look at it: {error}")),
                Ok(_) if prefix.is_empty() && is_ignored(name) => {}
                Ok(kind) if kind.is_symlink() => {
                    self.problem(&path, "expected a file, found a symbolic link; copy the file");
                }
                Ok(kind) if kind.is_dir() && depth >= DEPTH => {
                    self.problem(&path, "expected no folder this deep");
                }
                Ok(kind) if kind.is_dir() && is_known_folder(&path) => {
                    self.folder(&entry.path(), &format!("{path}/"), depth + 1);
                }
                Ok(kind) if kind.is_file() => match limit_of(&path) {
                    Some(limit) => self.file(&entry.path(), path, limit),
                    None => self.problem(&path, UNKNOWN),
                },
                Ok(kind) if kind.is_dir() => self.problem(&path, UNKNOWN),
                Ok(_) => self.problem(&path, "expected a regular file"),
            }
        }
    }

    fn file(&mut self, file: &Path, path: String, limit: u64) {
        match read_file(file, limit) {
            Err(message) => self.problem(&path, message),
            Ok(text) => {
                self.bytes += text.len() as u64;
                if self.bytes > TOTAL {
                    self.problem(&path, format!("expected at most {TOTAL} bytes in all files"));
                } else {
                    self.files.insert(path, text);
                }
            }
        }
    }
}

const UNKNOWN: &str = "a contract directory has contract.toml, seed.sql, queries/*.sql, \
                       queries/samples/*.sql and migrations/*.sql; rename or remove this";

/// What may lie beside a contract without belonging to it.
fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || name.starts_with("README") || name == "docs"
}

fn is_known_folder(path: &str) -> bool {
    matches!(path, "queries" | "queries/samples" | "migrations")
}

/// Largest size of a file with a place in a contract directory.
fn limit_of(path: &str) -> Option<u64> {
    let is_sql = Path::new(path).extension().is_some_and(|extension| extension == "sql");
    match path {
        DOCUMENT => Some(MEDIUM),
        SEED => Some(HUGE),
        _ if is_sql && path.starts_with("queries/") => Some(MEDIUM),
        _ if is_sql && path.starts_with("migrations/") => Some(LARGE),
        _ => None,
    }
}

/// The text of a file of at most `limit` bytes; the limit holds while reading, too.
fn read_file(file: &Path, limit: u64) -> Result<String, String> {
    let too_large = || format!("expected at most {limit} bytes; found more");
    let open = File::open(file).map_err(|error| format!("cannot read it: {error}"))?;
    let mut bytes = Vec::new();
    open.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read it: {error}"))?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        format!("expected UTF-8; byte {} is not", error.utf8_error().valid_up_to() + 1)
    })
}
