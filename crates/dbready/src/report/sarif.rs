//! The SARIF report (OASIS SARIF 2.1.0): each claim is a rule, each claim that is not proven a
//! result.
//!
//! Every claim of the run is declared as a rule, also the proven ones, so that a reader that keeps
//! alerts can close those that are gone.
//!
//! | claim | kind | level |
//! |---|---|---|
//! | refuted, critical or required and major | `fail` | `error` |
//! | refuted otherwise | `fail` | `warning`, minor ones `note` |
//! | unproven | `open` | `none`: nobody knows |

use std::collections::BTreeMap;

use serde_sarif::sarif::{
    ArtifactLocation, Invocation, Location, LogicalLocation, Message, MultiformatMessageString,
    Notification, PhysicalLocation, ReportingConfiguration, ReportingDescriptor,
    Result as SarifResult, ResultKind, ResultLevel, Run, SCHEMA_URL, Sarif, Suppression, Tool,
    ToolComponent, Version,
};

use super::certificate::{Certificate, ClaimResult};
use super::text::one_line;
use crate::claim::Severity;
use crate::verdict::Status;
use crate::verdict::acceptance::Source;

/// The file that states every claim, relative to the contract directory.
const CONTRACT_FILE: &str = "contract.toml";

/// Objects named in one result.
const OBJECTS_SHOWN: usize = 20;

/// Renders the report as a SARIF log.
#[must_use]
pub fn sarif(certificate: &Certificate) -> String {
    let rules: Vec<_> = certificate.claims.iter().map(rule).collect();
    let results: Vec<_> = (0_i64..)
        .zip(&certificate.claims)
        .filter(|(_, claim)| claim.status != Status::Proven)
        .map(|(at, claim)| {
            let mut result = result(at, claim);
            result.suppressions = certificate.suppression(&claim.id).map(|one| {
                let justification = format!("{}, until {}", one_line(&one.reason), one.expires);
                // A waiver stands in the file that the result is about.
                let kind = match one.source {
                    Source::Waiver => "inSource",
                    Source::Baseline | Source::Suppression => "external",
                };
                let kind = serde_json::json!(kind);
                vec![Suppression::builder().kind(kind).justification(justification).build()]
            });
            result
        })
        .collect();
    let problems: Vec<_> = certificate
        .problems
        .iter()
        .map(|problem| Notification::builder().message(message(problem)).level("error").build())
        .collect();
    let mut invocation = Invocation::builder()
        .execution_successful(problems.is_empty())
        .tool_execution_notifications(problems)
        .build();
    invocation.start_time_utc = instant(&certificate.started_at);
    invocation.end_time_utc = instant(&certificate.finished_at);
    let driver = ToolComponent::builder()
        .name("dbready")
        .semantic_version(certificate.tool_version.clone())
        .rules(rules)
        .build();
    let run = Run::builder()
        .tool(Tool::builder().driver(driver).build())
        .invocations([invocation])
        .results(results)
        .build();
    let log = Sarif::builder()
        .schema(SCHEMA_URL)
        .version(serde_json::json!(Version::V2_1_0.to_string()))
        .runs([run])
        .build();
    // Keys are strings and figures finite, so that writing into memory cannot fail.
    let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
    text.push('\n');
    text
}

/// An instant as SARIF writes it; a stored certificate may state anything.
fn instant(text: &str) -> Option<String> {
    text.parse::<jiff::Timestamp>().ok().map(|instant| instant.to_string())
}

fn message(text: &str) -> Message {
    Message::builder().text(one_line(text)).build()
}

fn rule(claim: &ClaimResult) -> ReportingDescriptor {
    let statement = MultiformatMessageString::builder().text(one_line(&claim.statement)).build();
    let target = MultiformatMessageString::builder()
        .text(format!("Target: {}.", one_line(&claim.target)))
        .build();
    ReportingDescriptor::builder()
        .id(one_line(&claim.id))
        .short_description(statement)
        .full_description(target)
        .default_configuration(
            ReportingConfiguration::builder().level(serde_json::json!(level(claim))).build(),
        )
        .build()
}

/// How grave the claim is when it is refuted.
fn level(claim: &ClaimResult) -> ResultLevel {
    match (claim.severity, claim.required) {
        (Severity::Critical, _) | (Severity::Major, true) => ResultLevel::Error,
        (Severity::Major, false) => ResultLevel::Warning,
        (Severity::Minor, _) => ResultLevel::Note,
    }
}

fn result(rule_index: i64, claim: &ClaimResult) -> SarifResult {
    let (kind, level) = match claim.status {
        Status::Refuted => (ResultKind::Fail, level(claim)),
        Status::Proven | Status::Unproven => (ResultKind::Open, ResultLevel::None),
    };
    let reason = claim.reason.as_deref().unwrap_or_default();
    let mut text = format!("{} ({}: {reason})", claim.statement, claim.status.word());
    for finding in claim.findings().take(OBJECTS_SHOWN) {
        text = format!(
            "{text}; {}: expected {}, found {}",
            finding.object, finding.expected, finding.found
        );
    }
    let file = ArtifactLocation::builder().uri(CONTRACT_FILE).build();
    let objects: Vec<_> = claim
        .findings()
        .take(OBJECTS_SHOWN)
        .map(|finding| {
            LogicalLocation::builder().fully_qualified_name(one_line(&finding.object)).build()
        })
        .collect();
    let location = Location::builder()
        .physical_location(PhysicalLocation::builder().artifact_location(file).build())
        .logical_locations(objects)
        .build();
    let fingerprint = BTreeMap::from([("claim/v1".to_owned(), one_line(&claim.id))]);
    SarifResult::builder()
        .rule_id(one_line(&claim.id))
        .rule_index(rule_index)
        .kind(kind)
        .level(level)
        .message(message(&text))
        .locations([location])
        .partial_fingerprints(fingerprint)
        .build()
}
