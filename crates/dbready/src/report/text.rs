//! Words and texts that the renderers share: safe to print, grouped, in one order.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::certificate::{Certificate, ClaimResult, ServerReport, Verdict};
use crate::claim::{Producer, Severity};
use crate::evidence::{NEEDS_COMMUNITY, Outcome};
pub(super) use crate::markup::{lines, one_line};
use crate::score::{Scope, Tally};
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

/// Unproven claims that have one reason, and for which the same is to be done.
pub(super) struct Open<'a> {
    /// Why they are not proven.
    pub(super) reason: &'a str,
    /// What would settle them, where the program knows.
    pub(super) advice: Option<&'static str>,
    /// The claims, in the order of the plan.
    pub(super) claims: Vec<&'a ClaimResult>,
}

/// Unproven claims by reason and remedy, the most frequent first.
pub(super) fn open_by_reason(certificate: &Certificate) -> Vec<Open<'_>> {
    let mut groups: Vec<Open<'_>> = Vec::new();
    for claim in certificate.claims.iter().filter(|claim| claim.status == Status::Unproven) {
        let reason = claim.reason.as_deref().unwrap_or_default();
        let advice = advice(claim);
        match groups.iter_mut().find(|group| group.reason == reason && group.advice == advice) {
            Some(group) => group.claims.push(claim),
            None => groups.push(Open { reason, advice, claims: vec![claim] }),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.claims.len()));
    groups
}

/// What would settle an unproven claim.
fn advice(claim: &ClaimResult) -> Option<&'static str> {
    if claim.evidence.is_empty() {
        return match claim.producer {
            Producer::Check => None,
            Producer::Drill => Some("run the failure drills: `dbready certify --drills`"),
            Producer::Load => Some("run the load tests: `dbready load`"),
            Producer::Coverage => Some(
                "measure what tests run: `dbready coverage report`, and join the certificates by \
                 `dbready nightly --certificate`",
            ),
        };
    }
    let outcomes = || claim.evidence.iter().map(|evidence| &evidence.outcome);
    let needs_community = |outcome: &Outcome| match outcome {
        Outcome::NotMeasured { reason } => reason.starts_with(NEEDS_COMMUNITY),
        _ => false,
    };
    if outcomes().any(needs_community) {
        return Some(
            "use a server with that edition: `compose.yaml` starts one, `--url` names one",
        );
    }
    let is_short = |outcome: &Outcome| matches!(outcome, Outcome::Measured { .. });
    outcomes()
        .all(is_short)
        .then_some("measure longer, on a machine that does nothing else: `--profile standard`")
}

/// `2 proven · 1 refuted`.
pub(super) fn tally_words(tally: Tally) -> String {
    if tally.total() == 0 {
        return "no claims".to_owned();
    }
    let parts =
        [(tally.proven, "proven"), (tally.refuted, "refuted"), (tally.unproven, "unproven")];
    let named = parts.into_iter().filter(|(n, _)| *n > 0);
    named.map(|(n, word)| format!("{} {word}", grouped(n))).collect::<Vec<_>>().join(" · ")
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
        Source::Waiver => "waiver",
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

/// The statements that were run for a claim, each once, with their names.
pub(super) fn ran<'a>(
    certificate: &'a Certificate,
    claim: &ClaimResult,
) -> BTreeMap<&'a str, &'a str> {
    let names = claim.evidence.iter().flat_map(|evidence| &evidence.statements);
    let known = names.filter_map(|name| certificate.statements.get_key_value(name));
    known.map(|(name, sql)| (name.as_str(), sql.as_str())).collect()
}
