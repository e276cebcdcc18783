//! What must follow from the changes: the version, the notice, and where the new contract falls short.

use jiff::civil::Date;
use semver::Version;
use serde::Serialize;

use super::{Change, Impact};
use crate::contract::{Announcement, Contract};

/// What follows from the changes, and whether the new contract declares it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Release {
    /// The gravest impact of any change; `None` when there is none.
    pub impact: Option<Impact>,
    /// The version that the old contract declares.
    pub old_version: String,
    /// The version that the new one declares.
    pub declared_version: String,
    /// The lowest version that the changes allow.
    pub required_version: String,
    /// The notice that is due, in days: zero without a breaking change.
    pub notice_days: u32,
    /// The announcements between the two versions.
    pub announced: Vec<Notice>,
    /// Where declared version or notice do not fit; empty when they do.
    pub problems: Vec<String>,
}

/// An announcement with the notice that it gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The version announced.
    pub version: String,
    /// The day on which consumers were told.
    pub announced: Date,
    /// The first day on which it may take effect.
    pub effective: Date,
    /// Days between the two.
    pub days: i32,
    /// Whether the old contract announced it already, so that its readers could know.
    pub in_old_contract: bool,
}

impl Release {
    /// Whether declared version and notice fit.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The lowest version for a change of that impact.
fn required(old: &Version, impact: Option<Impact>) -> Version {
    let Version { major, minor, patch, .. } = *old;
    match impact {
        None | Some(Impact::Editorial) => old.clone(),
        Some(Impact::Breaking) if major > 0 => Version::new(major + 1, 0, 0),
        // Before 1.0.0 the second number does what the first does later.
        Some(Impact::Breaking) => Version::new(0, minor + 1, 0),
        Some(Impact::Compatible) if major > 0 => Version::new(major, minor + 1, 0),
        Some(Impact::Compatible) => Version::new(0, minor, patch + 1),
    }
}

pub(super) fn release(old: &Contract, new: &Contract, changes: &[Change]) -> Release {
    let impact = changes.iter().map(|change| change.impact).max();
    let (from, to) = (&old.model.service.version, &new.model.service.version);
    let required = required(from, impact);
    let breaking = impact == Some(Impact::Breaking);
    let notice_days = if breaking { old.model.versioning.notice_days } else { 0 };
    let announced = announced(old, new);
    let mut problems = Vec::new();
    if old.model.service.name != new.model.service.name {
        problems.push(format!(
            "the contracts are of two services, `{}` and `{}`",
            old.model.service.name, new.model.service.name
        ));
    }
    if to < from {
        problems.push(format!("version {to} comes before {from}"));
    } else if *to < required {
        let word = if breaking { "a breaking change" } else { "a compatible change" };
        problems.push(format!("version {to} is declared, {word} asks for {required} at least"));
    }
    if breaking && notice_days > 0 {
        problems.extend(notice_problems(to.max(&required), notice_days, &announced));
    }
    let in_schema = |change: &Change| {
        change.impact == Impact::Breaking
            && matches!(change.section.as_str(), "table" | "continuous_aggregate")
    };
    let since: Vec<_> = new.migrations.iter().filter(|one| one.version > *from).collect();
    if changes.iter().any(in_schema) && !since.iter().any(|one| one.breaking) {
        problems.push(format!(
            "the schema changes in a breaking way, yet no migration after {from} declares `breaking: yes`"
        ));
    }
    Release {
        impact,
        old_version: from.to_string(),
        declared_version: to.to_string(),
        required_version: required.to_string(),
        notice_days,
        announced,
        problems,
    }
}

fn announced(old: &Contract, new: &Contract) -> Vec<Notice> {
    let (from, to) = (&old.model.service.version, &new.model.service.version);
    let told = &old.model.versioning.announcements;
    let between = |one: &&Announcement| one.version > *from && one.version <= *to;
    let announcements = new.model.versioning.announcements.iter().filter(between);
    announcements
        .map(|one| Notice {
            version: one.version.to_string(),
            announced: one.announced,
            effective: one.effective,
            days: one.announced.until(one.effective).map_or(0, |span| span.get_days()),
            in_old_contract: told.iter().any(|other| {
                other.version == one.version
                    && other.announced <= one.announced
                    && other.effective <= one.effective
            }),
        })
        .collect()
}

fn notice_problems(version: &Version, days: u32, announced: &[Notice]) -> Vec<String> {
    if announced.is_empty() {
        return vec![format!(
            "{days} days' notice are due, and nothing announces {version}; add \
             [[versioning.announcement]] with `version`, `announced`, `effective` and `what`"
        )];
    }
    let short = announced.iter().filter(|one| i64::from(one.days) < i64::from(days));
    short
        .map(|one| {
            let earliest = one
                .announced
                .checked_add(jiff::Span::new().days(i64::from(days)))
                .map_or_else(|_| "never".to_owned(), |day| day.to_string());
            format!(
                "{days} days' notice are due; version {} was announced on {} and takes effect on {}, \
                 {} days later: not before {earliest}",
                one.version, one.announced, one.effective, one.days
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_semantic_versioning() {
        for (old, impact, expected) in [
            ("1.2.3", Some(Impact::Breaking), "2.0.0"),
            ("1.2.3", Some(Impact::Compatible), "1.3.0"),
            ("1.2.3", Some(Impact::Editorial), "1.2.3"),
            ("1.2.3", None, "1.2.3"),
            ("0.2.3", Some(Impact::Breaking), "0.3.0"),
            ("0.2.3", Some(Impact::Compatible), "0.2.4"),
        ] {
            assert_eq!(required(&old.parse().unwrap(), impact).to_string(), expected);
        }
    }
}
