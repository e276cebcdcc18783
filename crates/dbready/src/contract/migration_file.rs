//! Migration files: their names and headers.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use sha2::{Digest, Sha256};

use super::control;
use super::error::{Problem, quoted};
use super::layout::MIGRATIONS;
use super::model::{Accepted, Migration};
use super::names::plain_version;

const UP: &str = ".up.sql";
const DOWN: &str = ".down.sql";

/// What the folder of migrations holds.
#[derive(Debug, Default)]
pub(super) struct Migrations {
    /// The sound ones, in the order of their versions.
    pub(super) sound: Vec<Migration>,
    /// The versions of all, sound or not.
    pub(super) versions: BTreeSet<Version>,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
}

impl Migrations {
    /// Reads the migrations among the files of a contract directory.
    pub(super) fn read(files: &BTreeMap<String, String>) -> Self {
        let mut all = Self::default();
        let mut taken: BTreeMap<Version, &str> = BTreeMap::new();
        for (file, text) in files.range(MIGRATIONS.to_owned()..) {
            let Some(name) = file.strip_prefix(MIGRATIONS) else { break };
            // A folder has no place here, which is reported for every such file.
            if name.contains('/') {
                continue;
            }
            if let Some(stem) = name.strip_suffix(UP) {
                let Some(version) = all.version(file, stem) else { continue };
                if let Some(other) = taken.insert(version.clone(), file) {
                    let message = format!("version {version} is already that of {other}");
                    all.problems.push(Problem::of_file(file, message));
                }
                all.forward(file, stem, text, version, files);
            } else if let Some(stem) = name.strip_suffix(DOWN) {
                all.rollback(file, stem, text, files);
            } else if !super::layout::is_beside(file) {
                let message = format!(
                    "expected a name such as 1.2.0_add_rollups{UP} or 1.2.0_add_rollups{DOWN}; \
                     rename or remove it"
                );
                all.problems.push(Problem::of_file(file, message));
            }
        }
        all.versions = taken.into_keys().collect();
        all.sound.sort_by(|one, other| one.version.cmp(&other.version));
        all
    }

    /// The version in a file's name.
    fn version(&mut self, file: &str, stem: &str) -> Option<Version> {
        let (version, slug) = stem.split_once('_').unwrap_or((stem, ""));
        let parsed = Version::parse(version).ok().filter(plain_version);
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if parsed.is_none() || slug.is_empty() || !slug.chars().all(fits) {
            let message = format!(
                "expected a name of a version and words, such as 1.2.0_add_rollups{UP}, found `{}`",
                quoted(stem)
            );
            self.problems.push(Problem::of_file(file, message));
            return None;
        }
        parsed
    }

    fn forward(
        &mut self,
        file: &str,
        stem: &str,
        text: &str,
        version: Version,
        files: &BTreeMap<String, String>,
    ) {
        let before = self.problems.len();
        let header = Header::read(text);
        header.version(file, &version, true, &mut self.problems);
        header.is_plain(file, &mut self.problems);
        let description = match header.get("description") {
            Ok((line, "")) => {
                self.problems.push(Problem::at(file, line, "expected a description, found none"));
                ""
            }
            Ok((_, description)) => description,
            Err(problem) => {
                self.problems.push(problem.into_problem(file, "description"));
                ""
            }
        };
        let breaking = match header.get("breaking") {
            Ok((_, "yes")) => true,
            Ok((_, "no")) => false,
            Ok((line, other)) => {
                let message = format!("expected `yes` or `no`, found `{}`", quoted(other));
                self.problems.push(Problem::at(file, line, message));
                false
            }
            Err(problem) => {
                self.problems.push(problem.into_problem(file, "breaking"));
                false
            }
        };
        let accepts = header.accepts(file, &mut self.problems);
        let down_file = format!("{MIGRATIONS}{stem}{DOWN}");
        let Some(down_sql) = files.get(&down_file) else {
            let message =
                format!("expected its rollback script {down_file}, found none; write one");
            self.problems.push(Problem::of_file(file, message));
            return;
        };
        if self.problems.len() > before {
            return;
        }
        self.sound.push(Migration {
            version,
            description: description.to_owned(),
            breaking,
            accepts,
            up_file: file.to_owned(),
            up_sql: text.to_owned(),
            down_file,
            down_sql: down_sql.clone(),
            checksum: digest([text]),
        });
    }

    fn rollback(&mut self, file: &str, stem: &str, text: &str, files: &BTreeMap<String, String>) {
        let up_file = format!("{MIGRATIONS}{stem}{UP}");
        if !files.contains_key(&up_file) {
            let message = format!("a rollback without its migration; expected {up_file}");
            self.problems.push(Problem::of_file(file, message));
            return;
        }
        let named = stem.split('_').next().unwrap_or_default();
        if let Ok(version) = Version::parse(named) {
            Header::read(text).version(file, &version, false, &mut self.problems);
        }
    }
}

/// The `-- key: value` comments before the first statement.
struct Header<'a> {
    /// Key, line and column, value.
    entries: Vec<(&'a str, (usize, usize), &'a str)>,
}

/// Why a header has no value for a key.
enum NoValue {
    Missing,
    Twice((usize, usize)),
}

impl NoValue {
    fn into_problem(self, file: &str, key: &str) -> Problem {
        match self {
            Self::Missing => {
                let message = format!("expected a line `-- {key}: …` at the top, found none");
                Problem::at(file, (1, 1), message)
            }
            Self::Twice(position) => {
                Problem::at(file, position, format!("`{key}` is stated twice"))
            }
        }
    }
}

impl<'a> Header<'a> {
    fn read(text: &'a str) -> Self {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let Some(comment) = line.strip_prefix("--") else {
                if line.is_empty() {
                    continue;
                }
                break;
            };
            if let Some((key, value)) = comment.split_once(':') {
                entries.push((key.trim(), (index + 1, 1), value.trim()));
            }
        }
        Self { entries }
    }

    fn get(&self, key: &str) -> Result<((usize, usize), &'a str), NoValue> {
        let mut named = self.entries.iter().filter(|(name, ..)| *name == key);
        match (named.next(), named.next()) {
            (None, _) => Err(NoValue::Missing),
            (Some((_, position, value)), None) => Ok((*position, value)),
            (_, Some((_, position, _))) => Err(NoValue::Twice(*position)),
        }
    }

    /// Refuses control characters in what is shown to people.
    fn is_plain(&self, file: &str, problems: &mut Vec<Problem>) {
        let shown =
            self.entries.iter().filter(|(key, ..)| ["description", "accepts"].contains(key));
        for (key, position, text) in shown {
            if let Some(refused) = control::first(text, true) {
                let found = refused.escape_debug();
                let message = format!("`{key}`: expected no control characters, found `{found}`");
                problems.push(Problem::at(file, *position, message));
            }
        }
    }

    /// The lines `-- accepts: kind: reason`.
    fn accepts(&self, file: &str, problems: &mut Vec<Problem>) -> Vec<Accepted> {
        let lines = self.entries.iter().filter(|(key, ..)| *key == "accepts");
        let mut all = Vec::new();
        for (_, position, text) in lines {
            match text.split_once(':').map(|(kind, reason)| (kind.trim(), reason.trim())) {
                Some((kind, reason)) if !kind.is_empty() && !reason.is_empty() => {
                    all.push(Accepted { kind: kind.to_owned(), reason: reason.to_owned() });
                }
                _ => {
                    let message = format!(
                        "expected a kind of finding, a colon and the reason, found `{}`",
                        quoted(text)
                    );
                    problems.push(Problem::at(file, *position, message));
                }
            }
        }
        all
    }

    /// Compares the stated version with that of the file's name.
    fn version(&self, file: &str, named: &Version, needed: bool, problems: &mut Vec<Problem>) {
        match self.get("version") {
            Err(NoValue::Missing) if !needed => {}
            Err(problem) => problems.push(problem.into_problem(file, "version")),
            Ok((position, stated)) => {
                if Version::parse(stated).ok().as_ref() != Some(named) {
                    let message = format!(
                        "expected version {named} as in the file's name, found `{}`",
                        quoted(stated)
                    );
                    problems.push(Problem::at(file, position, message));
                }
            }
        }
    }
}

/// SHA-256 of texts one after the other, each preceded by its length, in hexadecimal.
pub(super) fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    let texts: Vec<&str> = texts.into_iter().collect();
    for text in &texts {
        // One text alone hashes as `sha256sum` would.
        if texts.len() > 1 {
            hash.update((text.len() as u64).to_be_bytes());
        }
        hash.update(text.as_bytes());
    }
    hexadecimal(&hash.finalize())
}

/// Two digits a byte, in lower case.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
