//! Annotations of a GitHub Actions run: workflow commands on standard output.
//!
//! GitHub shows ten annotations of each level for a step; what is graver stands first, and the rest
//! is counted in the last one.

use super::certificate::{Certificate, ClaimResult};
use super::text::{headline, meaning, one_line, open_by_reason, with_status};
use crate::claim::Severity;
use crate::verdict::Status;

/// Annotations that GitHub shows of each level.
const SHOWN: usize = 10;

/// Renders problems of the run and refuted claims as annotations, unproven claims by their reason,
/// and the verdict.
#[must_use]
pub fn github(certificate: &Certificate) -> String {
    let refuted = with_status(certificate, Status::Refuted);
    let is_error = |claim: &&ClaimResult| claim.required && claim.severity != Severity::Minor;
    let (suppressed, refuted): (Vec<_>, Vec<_>) =
        refuted.into_iter().partition(|claim| certificate.suppression(&claim.id).is_some());
    let (errors, warnings): (Vec<_>, Vec<_>) = refuted.into_iter().partition(is_error);
    let mut lines = Vec::new();
    let problems = certificate.problems.iter().map(|text| ("run".to_owned(), text.clone()));
    annotations(&mut lines, "error", problems.chain(errors.into_iter().map(refutation)).collect());
    let unproven = open_by_reason(certificate).into_iter().map(|open| {
        let first = open.claims.first().map_or("", |claim| claim.id.as_str());
        let more = match open.claims.len() {
            0 | 1 => first.to_owned(),
            n => format!("{first} and {} more", n - 1),
        };
        (format!("unproven: {}", open.reason), more)
    });
    let warnings = warnings.into_iter().map(refutation).chain(unproven).collect();
    annotations(&mut lines, "warning", warnings);
    let verdict = format!("{}, {} proven", headline(certificate), certificate.score);
    let suppressed = suppressed.into_iter().map(|claim| {
        let (title, message) = refutation(claim);
        (format!("suppressed, {title}"), message)
    });
    let notices = std::iter::once((verdict, meaning(certificate))).chain(suppressed).collect();
    annotations(&mut lines, "notice", notices);
    lines.concat()
}

fn refutation(claim: &ClaimResult) -> (String, String) {
    let reason = claim.reason.as_deref().unwrap_or_default();
    (format!("refuted: {}", claim.id), format!("{}; {reason}", claim.statement))
}

fn annotations(lines: &mut Vec<String>, level: &str, all: Vec<(String, String)>) {
    let rest = all.len().saturating_sub(SHOWN);
    let shown = if rest == 0 { SHOWN } else { SHOWN - 1 };
    for (title, message) in all.into_iter().take(shown) {
        lines.push(command(level, &title, &message));
    }
    if rest > 0 {
        let message = format!("{} more; the certificate holds them all", rest + 1);
        lines.push(command(level, "and more", &message));
    }
}

/// One workflow command; `%` and what would end the property or the line are written as codes.
fn command(level: &str, title: &str, message: &str) -> String {
    let message = one_line(message).replace('%', "%25");
    let title = one_line(title).replace('%', "%25").replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{message}\n")
}
