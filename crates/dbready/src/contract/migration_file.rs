//! Migration files: their names and headers.

use std::collections::BTreeMap;

use semver::Version;
use sha2::{Digest, Sha256};

use super::error::{Problem, quoted};
use super::model::Migration;

/// Folder of the migrations in a contract directory.
pub(super) const FOLDER: &str = "migrations/";
const UP: &str = ".up.sql";
const DOWN: &str = ".down.sql";

/// The migrations among the files, in the order of their versions, and what is wrong with them.
pub(super) fn read(files: &BTreeMap<String, String>) -> (Vec<Migration>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut migrations: Vec<Migration> = Vec::new();
    for (file, text) in files.range(FOLDER.to_owned()..) {
        let Some(name) = file.strip_prefix(FOLDER) else { break };
        if let Some(stem) = name.strip_suffix(UP) {
            match read_one(file, stem, text, files) {
                Ok(migration) => migrations.push(migration),
                Err(problem) => problems.push(problem),
            }
        } else if let Some(stem) = name.strip_suffix(DOWN) {
            if !files.contains_key(&format!("{FOLDER}{stem}{UP}")) {
                problems.push(Problem::of_file(
                    file,
                    format!("a rollback without its migration; expected {FOLDER}{stem}{UP}"),
                ));
            }
        } else {
            problems.push(Problem::of_file(
                file,
                "expected a name such as 1.2.0_add_rollups.up.sql or …down.sql; rename or remove it",
            ));
        }
    }
    migrations.sort_by(|one, other| one.version.cmp(&other.version));
    for pair in migrations.windows(2) {
        if let [one, other] = pair
            && one.version == other.version
        {
            problems.push(Problem::of_file(
                &other.up_file,
                format!("version {} is already that of {}", other.version, one.up_file),
            ));
        }
    }
    (migrations, problems)
}

fn read_one(
    file: &str,
    stem: &str,
    text: &str,
    files: &BTreeMap<String, String>,
) -> Result<Migration, Problem> {
    let named = stem.split('_').next().unwrap_or_default();
    let version = Version::parse(named).map_err(|_| {
        Problem::of_file(
            file,
            format!(
                "expected a name that begins with a version, such as 1.2.0_add_rollups{UP}; \
                 found `{}`",
                quoted(named)
            ),
        )
    })?;
    let header = |key: &str| -> Result<(String, usize), Problem> {
        header(text, key).ok_or_else(|| {
            Problem::at(file, text, 0, format!("expected a line `-- {key}: …` at the top"))
        })
    };
    let (stated, offset) = header("version")?;
    if Version::parse(&stated).ok().as_ref() != Some(&version) {
        let message = format!(
            "expected version {version} as in the file's name, found `{}`",
            quoted(&stated)
        );
        return Err(Problem::at(file, text, offset, message));
    }
    let (description, offset) = header("description")?;
    if description.is_empty() {
        return Err(Problem::at(file, text, offset, "expected a description, found nothing"));
    }
    let (breaking, offset) = header("breaking")?;
    let breaking = match breaking.as_str() {
        "yes" => true,
        "no" => false,
        other => {
            let message = format!("expected `yes` or `no`, found `{}`", quoted(other));
            return Err(Problem::at(file, text, offset, message));
        }
    };
    let down_file = format!("{FOLDER}{stem}{DOWN}");
    let Some(down_sql) = files.get(&down_file) else {
        let message = format!("expected its rollback script {down_file}; write one");
        return Err(Problem::of_file(file, message));
    };
    Ok(Migration {
        version,
        description,
        breaking,
        up_file: file.to_owned(),
        up_sql: text.to_owned(),
        down_file,
        down_sql: down_sql.clone(),
        checksum: digest([text]),
    })
}

/// The value of `-- key: value` among the comment lines at the top, and its offset.
fn header(text: &str, key: &str) -> Option<(String, usize)> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let comment = line.trim().strip_prefix("--")?;
        if let Some(value) = comment.trim().strip_prefix(key).and_then(|v| v.strip_prefix(':')) {
            return Some((value.trim().to_owned(), offset));
        }
        offset += line.len();
    }
    None
}

/// SHA-256 of texts one after the other, each preceded by its length, in hexadecimal.
pub(super) fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    use std::fmt::Write;
    let mut hash = Sha256::new();
    let texts: Vec<&str> = texts.into_iter().collect();
    for text in &texts {
        // One text alone hashes as `sha256sum` would.
        if texts.len() > 1 {
            hash.update((text.len() as u64).to_be_bytes());
        }
        hash.update(text.as_bytes());
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
