//! Reading a contract directory out of a git repository, from any revision, without a checkout.
//!
//! The program `git` is asked for trees and blobs by their object names. Nothing is written, and
//! names in the repository are never paths on this machine.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::super::Error;
use super::super::error::{Problem, quoted};
use super::super::layout::{Place, UNKNOWN, is_beside};
use super::super::model::Contract;
use super::super::parse::parse;
use super::super::revision::Revision;
use super::{DEPTH, ENTRIES, TOTAL};

/// Longest list of a tree that is read, in bytes.
const LISTING: u64 = 4 << 20;

/// Reads the contract in the folder `path` of a revision: a commit, branch or tag.
///
/// # Errors
///
/// As [`super::load`]; also when `git` cannot be run, or knows no such revision or folder.
pub fn load_revision(repository: &Path, revision: &str, path: &str) -> Result<Contract, Error> {
    let shown = format!("{}:{}", quoted(revision), quoted(path));
    let git = Git { repository, shown };
    let commit = git.resolve(&format!("{revision}^{{commit}}"))?;
    let folder = path.trim_start_matches("./").trim_end_matches('/');
    let tree = match folder {
        "" | "." => git.resolve(&format!("{commit}^{{tree}}"))?,
        folder => git.resolve(&format!("{commit}:{folder}"))?,
    };
    let wanted = git.list(&tree)?;
    let contract = parse(&git.read(&wanted)?)?;
    Ok(Contract { revision: Some(Revision { commit, changed: false }), ..contract })
}

/// Where the contract in a directory, with its digest, stands in the repository around it; `None`
/// where there is none or `git` cannot be run.
///
/// The commit's own files are read and compared: `git status` would run what a stranger's repository
/// is configured to run.
pub(super) fn revision(directory: &Path, digest: &str) -> Option<Revision> {
    let git = Git { repository: directory, shown: String::new() };
    let commit = git.resolve("HEAD^{commit}").ok()?;
    let prefix = String::from_utf8(git.run(&["rev-parse", "--show-prefix"]).ok()?).ok()?;
    let prefix = prefix.trim_end_matches('\n');
    let changed =
        load_revision(directory, &commit, prefix).map_or(true, |one| one.digest != digest);
    Some(Revision { commit, changed })
}

/// A file of a tree that belongs to the contract.
struct Wanted {
    object: String,
    path: String,
}

struct Git<'a> {
    repository: &'a Path,
    shown: String,
}

impl Git<'_> {
    fn problem(&self, message: impl Into<String>) -> Error {
        Problem::of_file(&self.shown, message).into()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.repository).args(arguments);
        // Neither the network nor a terminal nor replaced objects have a say.
        command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0");
        command.env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_OPTIONAL_LOCKS", "0");
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, Error> {
        let mut command = self.command(arguments);
        let failed = |error| self.problem(format!("cannot run git: {error}"));
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let mut bytes = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(LISTING + 1).read_to_end(&mut bytes).map_err(failed)?;
        }
        if bytes.len() as u64 > LISTING {
            // What git has to say further is of no use, and the error is ours.
            let _ = child.kill();
            let _ = child.wait();
            return Err(self.problem(format!("expected at most {ENTRIES} files, found more")));
        }
        let output = child.wait_with_output().map_err(failed)?;
        if output.status.success() {
            return Ok(bytes);
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        Err(self.problem(format!("git: {}", quoted(last.trim_start_matches("fatal: ")))))
    }

    /// The name of the object that a revision means.
    fn resolve(&self, revision: &str) -> Result<String, Error> {
        let bytes = self.run(&["rev-parse", "--verify", "--end-of-options", revision])?;
        let name = String::from_utf8_lossy(&bytes).trim().to_owned();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(
                self.problem("expected a revision and a folder in it, such as v1.0.0:contract")
            );
        }
        Ok(name)
    }

    /// The files of the contract in a tree, each within its limits.
    fn list(&self, tree: &str) -> Result<Vec<Wanted>, Error> {
        let listing =
            self.run(&["ls-tree", "-r", "-z", "-l", "--full-tree", "--end-of-options", tree])?;
        let mut problems = Vec::new();
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut total = 0;
        let entries = listing.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
        for (at, entry) in entries.enumerate() {
            if at == ENTRIES {
                return Err(self.problem(format!("expected at most {ENTRIES} files, found more")));
            }
            let Some((head, path)) = split(entry) else {
                return Err(self.problem("git listed something else than files"));
            };
            let Ok(path) = std::str::from_utf8(path) else {
                let shown = String::from_utf8_lossy(path);
                problems.push(Problem::of_file(&shown, "expected a name in UTF-8; rename it"));
                continue;
            };
            if is_beside(path) {
                continue;
            }
            match Self::entry(&head, path, &wanted, &mut total) {
                Ok(one) => wanted.push(one),
                Err(message) => problems.push(Problem::of_file(path, message)),
            }
        }
        Error::check(problems)?;
        Ok(wanted)
    }

    /// One entry: `mode type object size`.
    fn entry(
        head: &[&str],
        path: &str,
        known: &[Wanted],
        total: &mut u64,
    ) -> Result<Wanted, String> {
        let [mode, kind, object, size] = *head else { return Err("git listed no file".to_owned()) };
        match (mode, kind) {
            ("120000", _) => {
                return Err("expected a file, found a symbolic link; copy what it names".to_owned());
            }
            (_, "blob") => {}
            _ => return Err("expected a regular file; remove it".to_owned()),
        }
        let place = Place::of(path).ok_or_else(|| UNKNOWN.to_owned())?;
        if path.split('/').count() > DEPTH + 1 {
            return Err(format!("expected at most {DEPTH} folders in each other"));
        }
        let size: u64 = size.parse().map_err(|_| format!("git gives no size for {object}"))?;
        *total += size;
        if size > place.limit() {
            return Err(format!("expected at most {} bytes, found more", place.limit()));
        }
        if *total > TOTAL {
            return Err(format!("expected at most {TOTAL} bytes in all files"));
        }
        if known.iter().any(|one| one.path == path) {
            return Err("stands twice in its tree".to_owned());
        }
        Ok(Wanted { object: object.to_owned(), path: path.to_owned() })
    }

    /// The texts of the files by their paths.
    fn read(&self, wanted: &[Wanted]) -> Result<BTreeMap<String, String>, Error> {
        let failed = |error| self.problem(format!("cannot read objects from git: {error}"));
        let mut command = self.command(&["cat-file", "--batch"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let texts = match (child.stdin.take(), child.stdout.take()) {
            (Some(requests), Some(answers)) => {
                blobs(requests, BufReader::new(answers), wanted).map_err(failed)
            }
            _ => Err(self.problem("cannot talk to git")),
        };
        finish(&mut child).map_err(failed)?;
        let mut files = BTreeMap::new();
        let mut problems = Vec::new();
        for (one, bytes) in wanted.iter().zip(texts?) {
            match String::from_utf8(bytes) {
                Ok(text) => drop(files.insert(one.path.clone(), text)),
                Err(error) => {
                    let offset = error.utf8_error().valid_up_to();
                    let message = format!("expected UTF-8; the byte at offset {offset} is not");
                    problems.push(Problem::of_file(&one.path, message));
                }
            }
        }
        Error::check(problems)?;
        Ok(files)
    }
}

/// The words before the tab and the path after it.
fn split(entry: &[u8]) -> Option<(Vec<&str>, &[u8])> {
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    let head = std::str::from_utf8(&entry[..tab]).ok()?;
    Some((head.split_whitespace().collect(), &entry[tab + 1..]))
}

/// Asks for one blob after the other; each answer is `object blob size`, the bytes, a line end.
fn blobs(
    mut requests: ChildStdin,
    mut answers: BufReader<ChildStdout>,
    wanted: &[Wanted],
) -> std::io::Result<Vec<Vec<u8>>> {
    let mut texts = Vec::with_capacity(wanted.len());
    for one in wanted {
        writeln!(requests, "{}", one.object)?;
        requests.flush()?;
        let mut head = String::new();
        answers.read_line(&mut head)?;
        let size = match head.split_whitespace().collect::<Vec<_>>()[..] {
            [_, "blob", size] => size.parse::<u64>().ok().filter(|size| *size <= TOTAL),
            _ => None,
        };
        let Some(size) = size else {
            return Err(std::io::Error::other(format!("no blob {}", one.object)));
        };
        let mut bytes = Vec::new();
        answers.by_ref().take(size).read_to_end(&mut bytes)?;
        answers.read_exact(&mut [0])?;
        texts.push(bytes);
    }
    Ok(texts)
}

/// Waits for the end of a program whose input has been closed.
fn finish(child: &mut Child) -> std::io::Result<()> {
    child.wait().map(drop)
}
