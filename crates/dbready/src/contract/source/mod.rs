//! Reading a contract directory: the only part of `contract` that does I/O.

mod git;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

pub use git::load_revision;

use super::Error;
use super::error::Problem;
use super::layout::{Place, UNKNOWN, is_beside, is_folder};
use super::model::Contract;
use super::parse::parse;

/// Largest directory, all files together, in bytes.
const TOTAL: u64 = 64 << 20;
/// Most files and folders.
const ENTRIES: usize = 2_000;
/// Deepest folder below the contract directory.
const DEPTH: usize = 4;

/// Reads the contract in a directory; without one, the contract of Signal Service that this program
/// carries. A directory within a git repository gets its revision.
///
/// # Errors
///
/// [`Error`] when a file cannot be read, is no regular file, is too large, is not UTF-8, has no
/// place in a contract directory, or when the contract in it is wrong.
pub fn load(directory: Option<&Path>) -> Result<Contract, Error> {
    let Some(directory) = directory else {
        let text = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        return parse(&signal_store::CONTRACT.iter().map(text).collect());
    };
    let contract = parse(&read(directory)?)?;
    Ok(Contract { revision: git::revision(directory, &contract.digest), ..contract })
}

/// The texts of a contract directory by their relative paths.
fn read(directory: &Path) -> Result<BTreeMap<String, String>, Error> {
    let shown = directory.display().to_string();
    let metadata = fs::metadata(directory).map_err(|error| {
        Problem::of_file(&shown, format!("expected a contract directory: {error}"))
    })?;
    if !metadata.is_dir() {
        let message = "expected a contract directory, found a file; name the folder it lies in";
        return Err(Problem::of_file(&shown, message).into());
    }
    let mut reader = Reader { files: BTreeMap::new(), problems: Vec::new(), bytes: 0, entries: 0 };
    // What stops the walk is among the problems.
    let _ = reader.folder(directory, "", 0);
    Error::check(reader.problems)?;
    Ok(reader.files)
}

/// The walk has come to an end before all was seen.
struct Stopped;

struct Reader {
    files: BTreeMap<String, String>,
    problems: Vec<Problem>,
    bytes: u64,
    entries: usize,
}

impl Reader {
    fn problem(&mut self, file: &str, message: impl Into<String>) {
        self.problems.push(Problem::of_file(file, message));
    }

    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Stopped> {
        let shown = if prefix.is_empty() { "." } else { prefix };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.problem(shown, format!("cannot list this folder: {error}"));
                return Ok(());
            }
        };
        for entry in entries {
            self.entries += 1;
            if self.entries > ENTRIES {
                self.problem(shown, format!("expected at most {ENTRIES} files, found more"));
                return Err(Stopped);
            }
            match entry {
                Ok(entry) => self.entry(&entry, prefix, depth)?,
                Err(error) => self.problem(shown, format!("cannot list this folder: {error}")),
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &fs::DirEntry, prefix: &str, depth: usize) -> Result<(), Stopped> {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let shown = format!("{prefix}{}", name.to_string_lossy());
            self.problem(&shown, "expected a name in UTF-8; rename it");
            return Ok(());
        };
        let path = format!("{prefix}{name}");
        if is_beside(&path) {
            return Ok(());
        }
        // `file_type` does not follow links.
        match entry.file_type() {
            Err(error) => self.problem(&path, format!("cannot look at it: {error}")),
            Ok(kind) if kind.is_symlink() => {
                self.problem(&path, "expected a file, found a symbolic link; copy what it names");
            }
            Ok(kind) if kind.is_dir() && !is_folder(&path) => self.problem(&path, UNKNOWN),
            Ok(kind) if kind.is_dir() && depth == DEPTH => {
                self.problem(&path, format!("expected at most {DEPTH} folders in each other"));
            }
            Ok(kind) if kind.is_dir() => {
                return self.folder(&entry.path(), &format!("{path}/"), depth + 1);
            }
            Ok(kind) if !kind.is_file() => {
                self.problem(&path, "expected a regular file; remove it");
            }
            Ok(_) => match Place::of(&path) {
                Some(place) => return self.file(&entry.path(), path, place.limit()),
                None => self.problem(&path, UNKNOWN),
            },
        }
        Ok(())
    }

    fn file(&mut self, file: &Path, path: String, limit: u64) -> Result<(), Stopped> {
        let left = TOTAL - self.bytes;
        match read_file(file, limit.min(left)) {
            Ok(text) => {
                self.bytes += text.len() as u64;
                self.files.insert(path, text);
            }
            Err(Unreadable::TooLarge) if left < limit => {
                self.problem(&path, format!("expected at most {TOTAL} bytes in all files"));
                return Err(Stopped);
            }
            Err(Unreadable::TooLarge) => {
                self.problem(&path, format!("expected at most {limit} bytes, found more"));
            }
            Err(Unreadable::Other(message)) => self.problem(&path, message),
        }
        Ok(())
    }
}

/// Why a file has no text.
enum Unreadable {
    TooLarge,
    Other(String),
}

/// The text of a file of at most `limit` bytes; the limit holds before and while reading.
fn read_file(file: &Path, limit: u64) -> Result<String, Unreadable> {
    let failed = |error: std::io::Error| Unreadable::Other(format!("cannot read it: {error}"));
    let open = File::open(file).map_err(failed)?;
    let metadata = open.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Unreadable::Other("expected a regular file; remove it".to_owned()));
    }
    if metadata.len() > limit {
        return Err(Unreadable::TooLarge);
    }
    let mut bytes = Vec::new();
    open.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Unreadable::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Unreadable::Other(format!("expected UTF-8; the byte at offset {offset} is not"))
    })
}
