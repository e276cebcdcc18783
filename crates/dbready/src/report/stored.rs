//! Stored certificates: read as untrusted input and judged again.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::certificate::{Certificate, FORMAT, FORMAT_VERSION};

/// Longest document that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Why a stored document cannot be read as a certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// It is longer than any certificate.
    #[error("the document has {bytes} bytes; a certificate has at most {MAX_BYTES}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It is not JSON, or JSON of something else.
    #[error("this is no certificate of dbready: {0}")]
    Foreign(String),
    /// It was written in another version of the format.
    #[error(
        "the certificate has format version {found}; this program reads versions 1 to \
         {FORMAT_VERSION}: use the dbready that wrote it"
    )]
    Version {
        /// The version that it states.
        found: u64,
    },
    /// It departs from the format.
    #[error("the certificate is damaged: {0}")]
    Damaged(String),
}

/// A stored certificate as it was read, with what it states.
pub(super) struct Stored {
    /// The version of the format that the file is in.
    pub(super) version: u32,
    /// What it states, in the present format.
    pub(super) stated: Certificate,
    /// The file as it stands, over which its seal was taken.
    file: Value,
}

/// Reads a stored certificate without judging it; errors as [`Certificate::from_json`].
pub(super) fn read(text: &str) -> Result<Stored, StoredError> {
    if text.len() > MAX_BYTES {
        return Err(StoredError::TooLong { bytes: text.len() });
    }
    let header: Header =
        serde_json::from_str(text).map_err(|error| StoredError::Foreign(error.to_string()))?;
    if header.format != FORMAT {
        return Err(StoredError::Foreign(format!(
            "expected the format `{FORMAT}`, found `{}`",
            header.format.escape_debug()
        )));
    }
    let damaged = |error: serde_json::Error| StoredError::Damaged(error.to_string());
    let Ok(version @ 1..=FORMAT_VERSION) = u32::try_from(header.format_version) else {
        return Err(StoredError::Version { found: header.format_version });
    };
    let file: Value = serde_json::from_str(text).map_err(damaged)?;
    let stated: Certificate = if version == FORMAT_VERSION {
        serde_json::from_str(text).map_err(damaged)?
    } else {
        let new = upgraded(file.clone(), version).ok_or_else(|| {
            StoredError::Damaged(format!(
                "a key or word that format version {version} has not stands in it"
            ))
        })?;
        serde_json::from_value(new).map_err(damaged)?
    };
    stated.check_shape().map_err(StoredError::Damaged)?;
    Ok(Stored { version, stated, file })
}

/// A file of an older version in the present format; `None` where keys of a later one stand in it.
fn upgraded(mut file: Value, version: u32) -> Option<Value> {
    let whole = file.as_object_mut()?;
    whole.insert("format_version".to_owned(), FORMAT_VERSION.into());
    let mut fresh = true;
    // Version 2 brought digests.
    if version < 2 {
        fresh &= whole.insert("digest".to_owned(), "".into()).is_none();
        if let Some(Value::Array(claims)) = whole.get_mut("claims") {
            for claim in claims.iter_mut().filter_map(Value::as_object_mut) {
                fresh &= claim.insert("digest".to_owned(), "".into()).is_none();
            }
        }
    }
    // Version 3 brought suppressions.
    if version < 3 {
        let certified = whole.get("verdict").is_some_and(|verdict| verdict == "certified");
        fresh &= whole.insert("accepted".to_owned(), certified.into()).is_none();
        fresh &= whole.insert("suppressions".to_owned(), Value::Array(Vec::new())).is_none();
    }
    // Version 4 brought waivers among them.
    let given = whole.get("suppressions").and_then(Value::as_array).into_iter().flatten();
    if version < 4 {
        fresh &=
            given.filter_map(|one| one.pointer("/suppression/source")).all(|of| of != "waiver");
    }
    // Version 5 brought the revision, and the digests of schema and program.
    if version < 5 {
        fresh &= whole.insert("tool_digest".to_owned(), Value::Null).is_none();
        for (part, key) in [("contract", "revision"), ("server", "schema_digest")] {
            if let Some(Value::Object(part)) = whole.get_mut(part) {
                fresh &= part.insert(key.to_owned(), Value::Null).is_none();
            }
        }
    }
    // Version 6 brought the statements.
    fresh &= whole.insert("statements".to_owned(), Value::Object(Map::new())).is_none();
    for key in ["claims", "unplanned"] {
        for one in whole.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            let pieces = match one.get_mut("evidence").and_then(Value::as_array_mut) {
                Some(pieces) => pieces.as_mut_slice(),
                None => std::slice::from_mut(one),
            };
            for piece in pieces.iter_mut().filter_map(Value::as_object_mut) {
                fresh &= piece.insert("statements".to_owned(), Value::Array(Vec::new())).is_none();
            }
        }
    }
    fresh.then_some(file)
}

impl Stored {
    /// The certificate as its evidence shows it; where it states something else, or its seal does
    /// not hold, is a problem of the result.
    pub(super) fn judge(&self) -> Certificate {
        let judged = self.stated.clone().judged_again();
        let mut doubts = judged.disagreements_with(&self.stated);
        // Version 1 had none.
        if self.version > 1 {
            doubts.extend(self.stated.broken_seals(self.file.clone()));
        }
        if doubts.is_empty() {
            return judged;
        }
        let mut doubted = judged;
        doubted.problems.extend(doubts);
        doubted.judged_again()
    }
}

#[derive(Deserialize)]
struct Header {
    format: String,
    format_version: u64,
}

impl Certificate {
    /// Reads a stored certificate and judges it again from its own evidence.
    ///
    /// What it states and what its evidence shows must agree, and its seal must hold. Every status, score and verdict of the
    /// result is what the evidence shows; each disagreement is a problem in the result, which is then
    /// not certified.
    ///
    /// # Errors
    ///
    /// [`StoredError::TooLong`] beyond [`MAX_BYTES`], [`StoredError::Foreign`] for anything that is no
    /// certificate, [`StoredError::Version`] for another format version and [`StoredError::Damaged`]
    /// for unknown or missing keys, wrong types, claims that stand twice or hold evidence of others.
    pub fn from_json(text: &str) -> Result<Self, StoredError> {
        Ok(read(text)?.judge())
    }

    fn check_shape(&self) -> Result<(), String> {
        let mut ids = BTreeSet::new();
        for claim in &self.claims {
            if !ids.insert(claim.id.as_str()) {
                return Err(format!("the claim `{}` stands twice", claim.id.escape_debug()));
            }
            if let Some(other) = claim.evidence.iter().find(|one| one.claim != claim.id) {
                return Err(format!(
                    "the claim `{}` holds evidence for `{}`",
                    claim.id.escape_debug(),
                    other.claim.escape_debug()
                ));
            }
        }
        if let Some(one) = self.unplanned.iter().find(|one| ids.contains(one.claim.as_str())) {
            return Err(format!(
                "evidence for `{}` stands among the unplanned, yet the claim is planned",
                one.claim.escape_debug()
            ));
        }
        let mut areas = BTreeSet::new();
        let mut named = self.refinements.iter().flat_map(|refinement| &refinement.areas);
        if let Some(twice) = named.find(|area| !areas.insert(area.name.as_str())) {
            return Err(format!("the area `{}` stands twice", twice.name.escape_debug()));
        }
        Ok(())
    }

    /// Where `stated` claims something else than this certificate, which was judged from the same
    /// evidence.
    fn disagreements_with(&self, stated: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (ours, theirs) in self.claims.iter().zip(&stated.claims) {
            if ours.status != theirs.status {
                found.push(format!(
                    "the stored certificate says that `{}` is {}; its evidence leaves it {}",
                    ours.id,
                    theirs.status.word(),
                    ours.status.word()
                ));
            }
        }
        if self.counts != stated.counts {
            found.push(format!(
                "the stored certificate counts {} claims, {} proven and {} refuted; it holds {}, \
                 {} and {}",
                stated.counts.expected,
                stated.counts.proven,
                stated.counts.refuted,
                self.counts.expected,
                self.counts.proven,
                self.counts.refuted,
            ));
        }
        if self.score != stated.score {
            found.push(format!(
                "the stored certificate states a score of {}; its evidence gives {}",
                stated.score, self.score
            ));
        }
        if self.accepted != stated.accepted || self.suppressions != stated.suppressions {
            found.push(
                "the stored certificate states other effects of its suppressions than its evidence"
                    .to_owned(),
            );
        }
        if self.verdict != stated.verdict {
            found
                .push("the stored certificate states another verdict than its evidence".to_owned());
        }
        found
    }
}
