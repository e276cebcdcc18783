//! The journal: what was sent and what became of it, in a file outside the database.
//!
//! A line is written before an operation is sent and another after its outcome. What has only the
//! first line counts as unknown.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// What a caller was told about its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// It is applied.
    Acknowledged,
    /// It is not applied.
    NotApplied,
    /// It may be applied.
    Unknown,
}

/// An append-only file.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

impl Journal {
    /// Begins a new journal.
    pub(crate) fn create(path: PathBuf) -> Result<Self, Error> {
        let file = File::options().create_new(true).append(true).open(&path);
        let file = Mutex::new(file.map_err(of_file(&path))?);
        Ok(Self { path, file })
    }

    /// Before the operation is sent.
    pub(crate) fn sent(&self, operation: i64) -> Result<(), Error> {
        self.line('S', operation)
    }

    /// After its outcome.
    pub(crate) fn ended(&self, operation: i64, answer: Answer) -> Result<(), Error> {
        let letter = match answer {
            Answer::Acknowledged => 'A',
            Answer::NotApplied => 'N',
            Answer::Unknown => 'U',
        };
        self.line(letter, operation)
    }

    fn line(&self, letter: char, operation: i64) -> Result<(), Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // One write for one line, so that lines are whole.
        file.write_all(format!("{letter} {operation}\n").as_bytes()).map_err(of_file(&self.path))
    }

    /// Every operation that was sent, with the last word about it.
    pub(crate) fn read(&self) -> Result<BTreeMap<i64, Answer>, Error> {
        read(&self.path)
    }
}

/// Reads a journal; what has no outcome is unknown.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<i64, Answer>, Error> {
    let text = fs::read_to_string(path).map_err(of_file(path))?;
    let mut operations = BTreeMap::new();
    for line in text.lines() {
        let parsed = line.split_once(' ').and_then(|(letter, number)| {
            let answer = match letter {
                "S" | "U" => Answer::Unknown,
                "A" => Answer::Acknowledged,
                "N" => Answer::NotApplied,
                _ => return None,
            };
            Some((number.parse().ok()?, answer))
        });
        let Some((operation, answer)) = parsed else {
            let source = std::io::Error::other(format!("expected a line of a journal: {line:?}"));
            return Err(Error::File { path: path.display().to_string(), source });
        };
        operations.insert(operation, answer);
    }
    Ok(operations)
}

fn of_file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_no_word_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path().join("journal")).unwrap();
        for operation in 1..=4 {
            journal.sent(operation).unwrap();
        }
        journal.ended(1, Answer::Acknowledged).unwrap();
        journal.ended(2, Answer::NotApplied).unwrap();
        journal.ended(3, Answer::Unknown).unwrap();
        let read = journal.read().unwrap();
        let expected = [Answer::Acknowledged, Answer::NotApplied, Answer::Unknown, Answer::Unknown];
        assert_eq!(read.into_values().collect::<Vec<_>>(), expected);
        assert!(Journal::create(folder.path().join("journal")).is_err(), "never written over");
    }
}
