//! The JUnit report: one test suite for each area, one test case for each claim.
//!
//! It is red exactly when the certificate is not accepted:
//!
//! | claim | test case |
//! |---|---|
//! | proven | passed |
//! | required and refuted | failure |
//! | required and unproven | error: silence is not a pass |
//! | optional or suppressed, and not proven | skipped, with the reason |
//!
//! A problem of the run is an error in a suite of its own, and so is an area that counts and has no
//! claims.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::certificate::{Certificate, ClaimResult};
use super::text::{headline, lines, one_line};
use crate::verdict::Status;
use crate::verdict::acceptance::Suppression;

/// Renders the report as JUnit XML.
///
/// Characters that XML cannot hold are shown by their code points.
#[must_use]
pub fn junit(certificate: &Certificate) -> String {
    let contract = &certificate.contract;
    let mut report = Report::new(format!(
        "dbready: {} {}",
        one_line(&contract.name),
        one_line(&contract.version)
    ));
    for area in certificate.refinements.iter().flat_map(|refinement| &refinement.areas) {
        let mut suite = TestSuite::new(one_line(&area.name));
        let claims = certificate.claims.iter().filter(|claim| claim.area == area.name);
        suite.add_test_cases(
            claims.map(|claim| test_case(claim, certificate.suppression(&claim.id))),
        );
        if suite.test_cases.is_empty() && area.score.is_some() {
            let text = "the area counts in the score and has no claims";
            suite.add_test_case(error("claims", text));
        }
        if !suite.test_cases.is_empty() {
            report.add_test_suite(suite);
        }
    }
    if !certificate.problems.is_empty() {
        let mut suite = TestSuite::new("run");
        for (at, problem) in certificate.problems.iter().enumerate() {
            suite.add_test_case(error(&format!("problem {}", at + 1), problem));
        }
        report.add_test_suite(suite);
    }
    // Writing into memory cannot fail; an empty document would be refused by every reader.
    let mut text = report.to_string().unwrap_or_default();
    debug_assert!(!text.is_empty(), "{}", headline(certificate));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn error(name: &str, message: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("problem").set_message(one_line(message));
    TestCase::new(name, status)
}

fn test_case(claim: &ClaimResult, suppression: Option<&Suppression>) -> TestCase {
    let reason = one_line(claim.reason.as_deref().unwrap_or_default());
    let mut status = match (claim.status, claim.required) {
        (Status::Proven, _) => TestCaseStatus::success(),
        (Status::Refuted | Status::Unproven, true) if suppression.is_some() => {
            TestCaseStatus::skipped()
        }
        (Status::Refuted, true) => TestCaseStatus::non_success(NonSuccessKind::Failure),
        (Status::Unproven, true) => TestCaseStatus::non_success(NonSuccessKind::Error),
        (Status::Refuted | Status::Unproven, false) => TestCaseStatus::skipped(),
    };
    if claim.status != Status::Proven {
        let optional = match (suppression, claim.required) {
            (Some(one), _) => {
                format!(", suppressed until {} ({})", one.expires, one_line(&one.reason))
            }
            (None, true) => String::new(),
            (None, false) => ", optional".to_owned(),
        };
        status
            .set_type(claim.status.word())
            .set_message(format!("{}{optional}: {reason}", claim.status.word()))
            .set_description(description(claim));
    }
    let mut case = TestCase::new(one_line(&claim.id), status);
    case.set_classname(one_line(&claim.area));
    case
}

fn description(claim: &ClaimResult) -> String {
    let mut text = vec![
        one_line(&claim.statement),
        format!("target: {}", one_line(&claim.target)),
        format!("observed: {}", one_line(&claim.observed)),
    ];
    for finding in claim.findings().take(50) {
        text.push(format!("object: {}", one_line(&finding.object)));
        text.push(format!("  expected: {}", one_line(&finding.expected)));
        text.push(format!("  found: {}", one_line(&finding.found)));
        for line in finding.remedy.as_deref().into_iter().flat_map(lines) {
            text.push(format!("  remedy: {line}"));
        }
    }
    text.join("\n")
}
