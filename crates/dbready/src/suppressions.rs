//! Suppressions from files, written by hand or as a baseline of what is open, and from the contract.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::claim::Claim;
use crate::contract::{Contract, Danger, DangerKind};
use crate::markup::one_line;
use crate::report::{Certificate, ClaimResult};
use crate::verdict::Status;
use crate::verdict::acceptance::{Covered, Source, Suppression};

/// Version of the file format.
const FORMAT: u32 = 1;
/// Largest file, in bytes.
pub const MAX_BYTES: u64 = 4 << 20;
/// How long a baseline holds, in days.
pub const BASELINE_DAYS: i32 = 180;
/// How long a waiver may last before lint speaks of it, in days.
pub const WAIVER_DAYS: i32 = 365;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    suppressions: u32,
    #[serde(default, rename = "suppression")]
    list: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    claim: String,
    reason: String,
    expires: Date,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    covers: Option<Covered>,
}

/// Reads a file of suppressions; `path` is named in errors.
///
/// # Errors
///
/// [`Error::Usage`] with the line, for anything but a list of suppressions of distinct claims, each with
/// a reason and a last day.
pub fn read(text: &str, path: &str, source: Source) -> Result<Vec<Suppression>, Error> {
    let wrong = |at: Option<usize>, message: String| {
        let line =
            at.map_or_else(String::new, |at| format!(":{}", text[..at].matches('\n').count() + 1));
        Error::Usage(format!("{path}{line}: {}", one_line(&message)))
    };
    if text.len() as u64 > MAX_BYTES {
        return Err(wrong(None, format!("expected at most {MAX_BYTES} bytes, found more")));
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let start = error.span().map(|span| span.start).filter(|at| text.is_char_boundary(*at));
        wrong(start, error.message().to_owned())
    })?;
    if file.suppressions != FORMAT {
        let message = format!("expected suppressions = {FORMAT}, found {}", file.suppressions);
        return Err(wrong(None, message));
    }
    let mut claims = BTreeSet::new();
    for entry in &file.list {
        if entry.reason.trim().is_empty() {
            return Err(wrong(
                None,
                format!("the suppression of `{}` gives no reason", entry.claim),
            ));
        }
        if !claims.insert(&entry.claim) {
            return Err(wrong(None, format!("`{}` is suppressed twice; keep one", entry.claim)));
        }
    }
    let entries = file.list.into_iter();
    Ok(entries
        .map(|Entry { claim, reason, expires, covers }| Suppression {
            claim,
            reason,
            expires,
            source,
            covers,
        })
        .collect())
}

/// The waivers of a contract.
#[must_use]
pub fn of_contract(contract: &Contract) -> Vec<Suppression> {
    let waivers = contract.model.waivers.iter();
    waivers
        .map(|one| Suppression {
            claim: one.claim.clone(),
            reason: one.reason.clone(),
            expires: one.expires,
            source: Source::Waiver,
            covers: None,
        })
        .collect()
}

/// Waivers of a contract that cannot hold or are dangerous: expired ones, those of no claim among all
/// those `planned`, and those that outlast [`WAIVER_DAYS`].
#[must_use]
pub fn dangers(contract: &Contract, planned: &[Claim], today: Date) -> Vec<Danger> {
    let claims: BTreeSet<&str> = planned.iter().map(|claim| claim.id.as_str()).collect();
    let danger = |claim: &str, kind, rule, what, remedy| Danger {
        kind,
        rule,
        object: claim.to_owned(),
        what,
        remedy,
    };
    let waivers = contract.model.waivers.iter();
    waivers
        .filter_map(|one| {
            let last = one.expires;
            let days = today.until(last).map_or(i32::MAX, |span| span.get_days());
            if days < 0 {
                let what = format!("a waiver that expired on {last}: every run fails");
                let remedy = "remove it, or decide anew and give it another day";
                Some(danger(&one.claim, DangerKind::Impossible, "expired_waiver", what, remedy))
            } else if !claims.contains(one.claim.as_str()) {
                let what = "a waiver of no claim of this contract".to_owned();
                let remedy = "write the id as reports show it, or remove it";
                Some(danger(&one.claim, DangerKind::Dangerous, "idle_waiver", what, remedy))
            } else if days > WAIVER_DAYS {
                let what = format!("a waiver until {last}, in {days} days: nobody looks again");
                let remedy = "an earlier day, at which somebody decides anew";
                Some(danger(&one.claim, DangerKind::Dangerous, "long_waiver", what, remedy))
            } else {
                None
            }
        })
        .collect()
}

/// A baseline of a run: every claim that is open in it may stay so, and no more than it is; those that
/// the contract waives need no entry.
///
/// # Errors
///
/// [`Error::Usage`] when the day of the run is not known.
pub fn baseline(certificate: &Certificate) -> Result<String, Error> {
    let unknown =
        || Error::Usage(format!("the run has no day: {}", one_line(&certificate.finished_at)));
    let day = certificate.day().ok_or_else(unknown)?;
    let expires = day.checked_add(jiff::Span::new().days(BASELINE_DAYS)).map_err(|_| unknown())?;
    let is_open = |claim: &&ClaimResult| {
        claim.status != Status::Proven && certificate.suppression(&claim.id).is_none()
    };
    let open = certificate.claims.iter().filter(is_open);
    let list = open.map(|claim| Entry {
        claim: claim.id.clone(),
        reason: format!("open when the baseline was written on {day}"),
        expires,
        covers: Some(Covered::of(claim.status, &claim.evidence)),
    });
    let file = File { suppressions: FORMAT, list: list.collect() };
    let text = toml::to_string_pretty(&file)
        .map_err(|error| Error::Usage(format!("the baseline cannot be written: {error}")))?;
    Ok(format!(
        "# What was open in {} {} on {day}. Each entry covers that much and no more, until it expires.\n\
         # Remove entries as claims are mended; `dbready` names those that are no longer used.\n{text}",
        one_line(&certificate.contract.name),
        one_line(&certificate.contract.version)
    ))
}
