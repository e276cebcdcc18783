//! Words and texts that the renderers share: safe to print, grouped, in one order.

use std::fmt::Write as _;

use super::certificate::{Certificate, ClaimResult, ServerReport, Verdict};
use crate::claim::Severity;
pub(super) use crate::markup::{lines, one_line};
use crate::score::Scope;
use crate::verdict::acceptance::{Source, State};
use crate::verdict::{Status, grouped};

/// The verdict in capitals.
pub(super) fn headline(certificate: &Certificate) -> &'static str {
    match (certificate.verdict, certificate.scope) {
        (Verdict::Certified, Scope::Whole) => "CERTIFIED",
        (Verdict::Certified, Scope::Part) => "CERTIFIED IN PART",
        (Verdict::NotCertified, _) => "NOT CERTIFIED",
    }
}

/// What the verdict means for this certificate, in one sentence.
pub(super) fn meaning(certificate: &Certificate) -> String {
    if certificate.is_certified() {
        let required = grouped(certificate.counts.required);
        return match certificate.scope {
            Scope::Whole => format!("All {required} required claims are proven."),
            Scope::Part => format!(
                "All {required} required claims that `{}` examines are proven; the rest of the \
                 contract is not part of this run.",
                one_line(&certificate.command)
            ),
        };
    }
    let open = |status| {
        certificate.claims.iter().filter(|claim| claim.required && claim.status == status).count()
    };
    let (refuted, unproven) = (open(Status::Refuted), open(Status::Unproven));
    let mut parts = Vec::new();
    if refuted > 0 {
        parts.push(format!("{refuted} refuted"));
    }
    if unproven > 0 {
        parts.push(format!("{unproven} unproven"));
    }
    if parts.is_empty() {
        return match certificate.problems.len() {
            0 => {
                "An area that counts has no claims, so that nothing in it can be proven.".to_owned()
            }
            _ => "Something went wrong with the run itself; see its problems.".to_owned(),
        };
    }
    let open = format!(
        "Of {} required claims, {}",
        grouped(certificate.counts.required),
        parts.join(" and ")
    );
    if certificate.accepted {
        return format!("{open}; each of them is suppressed, and the run is accepted.");
    }
    format!("{open}.")
}

/// The claims with `status`, gravest first.
pub(super) fn with_status(certificate: &Certificate, status: Status) -> Vec<&ClaimResult> {
    let mut claims: Vec<_> =
        certificate.claims.iter().filter(|claim| claim.status == status).collect();
    claims.sort_by_key(|claim| std::cmp::Reverse((claim.required, claim.severity)));
    claims
}

/// Unproven claims by their reason, the most frequent reason first.
pub(super) fn unproven_by_reason(certificate: &Certificate) -> Vec<(&str, Vec<&ClaimResult>)> {
    let mut groups: Vec<(&str, Vec<&ClaimResult>)> = Vec::new();
    for claim in certificate.claims.iter().filter(|claim| claim.status == Status::Unproven) {
        let reason = claim.reason.as_deref().unwrap_or_default();
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, claims)) => claims.push(claim),
            None => groups.push((reason, vec![claim])),
        }
    }
    groups.sort_by_key(|(_, claims)| std::cmp::Reverse(claims.len()));
    groups
}

/// Each suppression in one line: its claim, until when, why, and what became of it.
pub(super) fn suppressions(certificate: &Certificate) -> Vec<String> {
    let all = certificate.suppressions.iter();
    all.map(|one| {
        let given = &one.suppression;
        let note = one.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
        format!(
            "{}: {}, {} until {}: {}{note}",
            given.claim,
            state_word(one.state),
            source_word(given.source),
            given.expires,
            given.reason
        )
    })
    .collect()
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Active => "suppressed",
        State::Exceeded => "not covered",
        State::Expired => "expired",
        State::Unused => "unused",
        State::NotPlanned => "no such claim",
    }
}

fn source_word(source: Source) -> &'static str {
    match source {
        Source::Baseline => "baseline",
        Source::Suppression => "suppression",
    }
}

/// `PostgreSQL 17.5, TimescaleDB 2.19.3 (Apache edition)`.
pub(super) fn server_versions(server: &ServerReport) -> String {
    let mut text = format!("PostgreSQL {}", one_line(&server.postgresql));
    match &server.timescaledb {
        Some(version) => {
            let _ = write!(text, ", TimescaleDB {}", one_line(version));
            if let Some(edition) = &server.edition {
                let _ = write!(text, " ({} edition)", edition_word(edition));
            }
        }
        None => text.push_str(", no TimescaleDB in this database"),
    }
    text
}

fn edition_word(edition: &str) -> String {
    match edition {
        "apache" => "Apache".to_owned(),
        "community" => "Community".to_owned(),
        other => one_line(other),
    }
}

/// A duration's name without its unit: `snapshot_ms` → `snapshot`.
pub(super) fn timing_name(key: &str) -> String {
    one_line(key.strip_suffix("_ms").unwrap_or(key)).replace('_', " ")
}

/// Milliseconds in the unit that reads best.
pub(super) fn milliseconds(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1_000.0)
    }
}

/// The word for a severity.
pub(super) fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Minor => "minor",
        Severity::Major => "major",
        Severity::Critical => "critical",
    }
}
