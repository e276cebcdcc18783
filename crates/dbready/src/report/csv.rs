//! The claims as CSV (RFC 4180), one a row, for spreadsheets.

use csv::{Terminator, WriterBuilder};

use super::certificate::{Certificate, ClaimResult};
use super::text::{one_line, severity_word};

const HEAD: [&str; 12] = [
    "id",
    "area",
    "statement",
    "status",
    "severity",
    "required",
    "producer",
    "target",
    "observed",
    "n",
    "bound",
    "reason",
];

/// Renders the claims as CSV with a head, in the order of the plan.
///
/// A text that a spreadsheet would take for a formula begins with an apostrophe.
#[must_use]
pub fn csv(certificate: &Certificate) -> String {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    let rows = certificate.claims.iter().map(row);
    let written = writer
        .write_record(HEAD)
        .and_then(|()| rows.into_iter().try_for_each(|row| writer.write_record(row)));
    // Every row has the cells of the head, and writing into memory cannot fail.
    debug_assert!(written.is_ok(), "{written:?}");
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn row(claim: &ClaimResult) -> [String; 12] {
    let number = |figure: Option<String>| figure.unwrap_or_default();
    [
        cell(&claim.id),
        cell(&claim.area),
        cell(&claim.statement),
        claim.status.word().to_owned(),
        severity_word(claim.severity).to_owned(),
        claim.required.to_string(),
        claim.producer.word().to_owned(),
        cell(&claim.target),
        cell(&claim.observed),
        number(claim.n.map(|n| n.to_string())),
        number(claim.bound.map(|bound| bound.to_string())),
        cell(claim.reason.as_deref().unwrap_or_default()),
    ]
}

/// Text that stays text in a spreadsheet (OWASP, CSV injection).
fn cell(text: &str) -> String {
    let text = one_line(text);
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    if is_formula { format!("'{text}") } else { text }
}
