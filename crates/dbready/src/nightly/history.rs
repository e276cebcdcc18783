//! The nights before, one JSON file each. What cannot be read is kept aside and reported.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::evidence::Outcome;
use crate::report::{Certificate, ContractFacts};
use crate::score::{Percent, Tally};
use crate::verdict::Status;

/// What the key `format` of every file says.
pub const FORMAT: &str = "dbready-night";

/// The version of the format that this program writes.
pub const FORMAT_VERSION: u32 = 1;

/// Longest file that is read, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// What is remembered of one night.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Night {
    /// [`FORMAT`].
    pub format: String,
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// When it ended (RFC 3339, UTC).
    pub at: String,
    /// The contract judged against.
    pub contract: ContractFacts,
    /// The whole score.
    pub score: Percent,
    /// The areas in the order of the contract.
    pub areas: Vec<NightArea>,
    /// What became of each claim.
    pub claims: BTreeMap<String, Status>,
    /// Measured figures by claim.
    pub figures: BTreeMap<String, Figure>,
}

/// One area of the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NightArea {
    /// Key.
    pub name: String,
    /// Heading.
    pub title: String,
    /// Key of its refinement.
    pub refinement: String,
    /// Weight within the refinement.
    pub weight: f64,
    /// Its score, if it counts.
    pub score: Option<Percent>,
    /// Its claims.
    pub claims: Tally,
}

/// A measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: String,
}

impl Night {
    /// What is to be remembered of a certificate.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        let areas = certificate.refinements.iter().flat_map(|refinement| {
            refinement.areas.iter().map(|area| NightArea {
                name: area.name.clone(),
                title: area.title.clone(),
                refinement: refinement.name.clone(),
                weight: area.weight,
                score: area.score,
                claims: area.claims,
            })
        });
        let figure = |evidence: &crate::evidence::Evidence| match &evidence.outcome {
            Outcome::Measured { value, unit, .. } => {
                Some(Figure { value: *value, unit: unit.clone() })
            }
            _ => None,
        };
        let figures = certificate
            .claims
            .iter()
            .filter_map(|claim| Some((claim.id.clone(), claim.evidence.iter().find_map(figure)?)));
        Self {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            at: certificate.finished_at.clone(),
            contract: certificate.contract.clone(),
            score: certificate.score,
            areas: areas.collect(),
            claims: certificate.claims.iter().map(|one| (one.id.clone(), one.status)).collect(),
            figures: figures.collect(),
        }
    }

    fn read(path: &Path) -> Result<Self, String> {
        let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
        if length > MAX_BYTES {
            return Err(format!("{length} bytes, at most {MAX_BYTES} are read"));
        }
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let night: Self = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if night.format != FORMAT || night.format_version != FORMAT_VERSION {
            return Err("another format or version".to_owned());
        }
        if night.at.parse::<jiff::Timestamp>().is_err() {
            return Err("`at` is no time (RFC 3339)".to_owned());
        }
        Ok(night)
    }
}

/// A folder of nights.
#[derive(Debug)]
pub struct History {
    folder: PathBuf,
    /// The nights, the oldest first.
    pub nights: Vec<Night>,
    /// Files that could not be read, kept aside with `.corrupt` behind their names.
    pub problems: Vec<String>,
}

impl History {
    /// Reads a folder, which is made when it is missing. A file that cannot be read is renamed, so that
    /// it is there to look at and in nobody's way.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when the folder cannot be made, listed, or a file in it not renamed.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { path: folder.display().to_string(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        let (mut nights, mut problems) = (Vec::new(), Vec::new());
        for path in paths {
            match Night::read(&path) {
                Ok(night) => nights.push(night),
                Err(reason) => {
                    let aside = path.with_extension("json.corrupt");
                    fs::rename(&path, &aside).map_err(failed)?;
                    problems.push(format!(
                        "{}: {reason}; kept as {}",
                        path.display(),
                        aside.display()
                    ));
                }
            }
        }
        nights.sort_by(|one, other| one.at.cmp(&other.at));
        Ok(Self { folder: folder.to_path_buf(), nights, problems })
    }

    /// Adds a night and forgets all but the last `keep`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when it cannot be written, or an old one not removed.
    pub fn keep(&mut self, night: Night, keep: usize) -> Result<(), Error> {
        let path = self.path(&night);
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| Error::File { path, source }
        };
        let text = serde_json::to_string_pretty(&night).unwrap_or_default() + "\n";
        let beside = path.with_extension("tmp");
        fs::write(&beside, text).map_err(failed(&beside))?;
        fs::rename(&beside, &path).map_err(failed(&path))?;
        self.nights.retain(|one| one.at != night.at);
        self.nights.push(night);
        self.nights.sort_by(|one, other| one.at.cmp(&other.at));
        let surplus = self.nights.len().saturating_sub(keep.max(1));
        for old in self.nights.drain(..surplus).collect::<Vec<_>>() {
            let path = self.path(&old);
            // A file that somebody has renamed is theirs.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(&path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn path(&self, night: &Night) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = night.at.chars().map(plain).collect();
        self.folder.join(format!("{name}.json"))
    }
}
