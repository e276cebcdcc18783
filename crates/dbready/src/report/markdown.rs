//! The Markdown report: reads well on code-hosting sites and as plain text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::certificate::{Certificate, ClaimResult};
use super::text::{
    Open, headline, lines, meaning, milliseconds, open_by_reason, ran, server_versions,
    severity_word, suppressions, timing_name, with_status,
};
use crate::evidence::Finding;
use crate::markup::{block, cell_code, code, text};
use crate::score::Percent;
use crate::verdict::{Status, grouped};

/// Findings shown of one claim.
const FINDINGS_SHOWN: usize = 50;

/// Renders the report as Markdown (GitHub flavour).
///
/// Whatever the run brought in (names, texts, values) is escaped: it can open no tag, link, table
/// cell or code block of its own.
#[must_use]
pub fn markdown(certificate: &Certificate) -> String {
    let mut out = String::new();
    head(&mut out, certificate);
    scores(&mut out, certificate);
    list(&mut out, "Problems of the run", &certificate.problems);
    list(&mut out, "Suppressions", &suppressions(certificate));
    refuted(&mut out, certificate);
    unproven(&mut out, certificate);
    claims(&mut out, certificate);
    run(&mut out, certificate);
    list(&mut out, "Notes", &certificate.notes);
    out
}

/// Appends one line; writing to a String cannot fail.
macro_rules! line {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($rest:tt)*) => { let _ = writeln!($out, $($rest)*); };
}

fn head(out: &mut String, certificate: &Certificate) {
    line!(
        out,
        "# {}: {} {}",
        headline(certificate),
        text(&certificate.contract.name),
        text(&certificate.contract.version)
    );
    line!(out);
    line!(out, "**{}** proven. {}", certificate.score, text(&meaning(certificate)));
    line!(out);
    let counts = certificate.counts;
    line!(out, "| claims expected | settled | proven | refuted | unproven |");
    line!(out, "|---:|---:|---:|---:|---:|");
    line!(
        out,
        "| {} | {} | {} | {} | {} |",
        grouped(counts.expected),
        grouped(counts.settled),
        grouped(counts.proven),
        grouped(counts.refuted),
        grouped(counts.unproven)
    );
    line!(out);
}

fn scores(out: &mut String, certificate: &Certificate) {
    line!(out, "## Score\n");
    line!(out, "| | score | proven | refuted | unproven |");
    line!(out, "|---|---:|---:|---:|---:|");
    for refinement in &certificate.refinements {
        line!(out, "| **{}** | **{}** | | | |", text(&refinement.title), share(refinement.score));
        for area in &refinement.areas {
            line!(
                out,
                "| {} | {} | {} | {} | {} |",
                text(&area.title),
                share(area.score),
                grouped(area.claims.proven),
                grouped(area.claims.refuted),
                grouped(area.claims.unproven)
            );
        }
    }
    line!(out);
}

fn share(score: Option<Percent>) -> String {
    score.map_or_else(|| "–".to_owned(), |score| score.to_string())
}

fn refuted(out: &mut String, certificate: &Certificate) {
    let claims = with_status(certificate, Status::Refuted);
    if claims.is_empty() {
        return;
    }
    line!(out, "## Refuted ({})\n", claims.len());
    for claim in claims {
        let optional = if claim.required { "" } else { ", optional" };
        let severity = severity_word(claim.severity);
        line!(out, "### {} ({severity}{optional})\n", code(&claim.id));
        line!(out, "{}\n", text(&claim.statement));
        line!(out, "- target: {}", text(&claim.target));
        line!(out, "- observed: {}{}", text(&claim.observed), sample(claim));
        for name in ran(certificate, claim).keys() {
            line!(out, "- run: {}", code(name));
        }
        line!(out);
        findings(out, claim);
    }
    statements(out, certificate);
}

/// The statements that were run for what is refuted, each once.
fn statements(out: &mut String, certificate: &Certificate) {
    let claims = with_status(certificate, Status::Refuted).into_iter();
    let all: BTreeMap<&str, &str> = claims.flat_map(|claim| ran(certificate, claim)).collect();
    if all.is_empty() {
        return;
    }
    line!(out, "### Statements run for the refuted claims\n");
    for (name, sql) in all {
        let sql = lines(sql).collect::<Vec<_>>().join("\n");
        line!(out, "{}\n\n{}\n", code(name), block("sql", &sql));
    }
}

fn findings(out: &mut String, claim: &ClaimResult) {
    let findings: Vec<&Finding> = claim.findings().collect();
    if findings.is_empty() {
        return;
    }
    line!(out, "| object | expected | found |");
    line!(out, "|---|---|---|");
    for finding in findings.iter().take(FINDINGS_SHOWN) {
        let (object, expected) = (cell_code(&finding.object), cell_code(&finding.expected));
        line!(out, "| {object} | {expected} | {} |", cell_code(&finding.found));
    }
    line!(out);
    if findings.len() > FINDINGS_SHOWN {
        line!(out, "… and {} more findings.\n", findings.len() - FINDINGS_SHOWN);
    }
    let remedies = findings.iter().take(FINDINGS_SHOWN).filter_map(|one| one.remedy.as_deref());
    let remedies: Vec<String> = remedies.flat_map(lines).collect();
    if !remedies.is_empty() {
        line!(out, "Remedy:\n\n{}\n", block("sql", &remedies.join("\n")));
    }
}

fn unproven(out: &mut String, certificate: &Certificate) {
    let groups = open_by_reason(certificate);
    if groups.is_empty() {
        return;
    }
    line!(out, "## Unproven ({})\n", grouped(certificate.counts.unproven));
    line!(out, "| claims | reason | such as | what to do |");
    line!(out, "|---:|---|---|---|");
    for Open { reason, advice, claims } in groups {
        let such: Vec<String> = claims.iter().take(3).map(|claim| cell_code(&claim.id)).collect();
        let (n, such, advice) = (claims.len(), such.join(", "), advice.unwrap_or_default());
        line!(out, "| {n} | {} | {such} | {advice} |", text(reason));
    }
    line!(out);
}

fn claims(out: &mut String, certificate: &Certificate) {
    line!(out, "## All claims\n");
    let named: Vec<(&str, &str)> = certificate
        .refinements
        .iter()
        .flat_map(|refinement| &refinement.areas)
        .map(|area| (area.name.as_str(), area.title.as_str()))
        .collect();
    for (name, title) in &named {
        let claims = certificate.claims.iter().filter(|claim| claim.area == *name);
        claim_table(out, title, &claims.collect::<Vec<_>>());
    }
    let homeless = certificate
        .claims
        .iter()
        .filter(|claim| !named.iter().any(|(name, _)| *name == claim.area));
    claim_table(out, "Areas without weight", &homeless.collect::<Vec<_>>());
}

fn claim_table(out: &mut String, title: &str, claims: &[&ClaimResult]) {
    if claims.is_empty() {
        return;
    }
    line!(out, "### {} ({})\n", text(title), claims.len());
    line!(out, "| | claim | statement | target | observed |");
    line!(out, "|---|---|---|---|---|");
    for claim in claims {
        let observed = match claim.status {
            Status::Unproven => claim.reason.as_deref().unwrap_or_default(),
            Status::Proven | Status::Refuted => &claim.observed,
        };
        line!(
            out,
            "| {} | {} | {} | {} | {}{} |",
            claim.status.word(),
            cell_code(&claim.id),
            text(&claim.statement),
            text(&claim.target),
            text(observed),
            sample(claim)
        );
    }
    line!(out);
}

fn sample(claim: &ClaimResult) -> String {
    claim.n.map_or_else(String::new, |n| format!(" (n = {})", grouped(n)))
}

fn run(out: &mut String, certificate: &Certificate) {
    line!(out, "## The run\n");
    let command = match &certificate.profile {
        Some(profile) => format!("{}, profile {profile}", certificate.command),
        None => certificate.command.clone(),
    };
    line!(out, "- command: {}, dbready {}", text(&command), text(&certificate.tool_version));
    line!(out, "- from {} to {}", text(&certificate.started_at), text(&certificate.finished_at));
    line!(out, "- contract digest: {}", code(&certificate.contract.digest));
    if let Some(server) = &certificate.server {
        line!(
            out,
            "- server: {} at {}, as role {}",
            text(&server_versions(server)),
            code(&server.address),
            code(&server.role)
        );
        for (name, value) in &server.settings {
            line!(out, "- {} = {}", code(name), code(value));
        }
    }
    for (name, ms) in &certificate.timings {
        line!(out, "- {}: {}", text(&timing_name(name)), milliseconds(*ms));
    }
    line!(out);
}

fn list(out: &mut String, title: &str, remarks: &[String]) {
    if remarks.is_empty() {
        return;
    }
    line!(out, "## {title}\n");
    for remark in remarks {
        line!(out, "- {}", text(remark));
    }
    line!(out);
}
