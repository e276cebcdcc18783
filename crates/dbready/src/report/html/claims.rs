//! Every claim in the page: what is wrong first, then all of them by area.

use maud::{Markup, html as markup};

use super::figures::{self, Scales};
use super::{anchor, prose, when_and_where};
use crate::claim::{Producer, Severity};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::report::beside::Beside;
use crate::report::certificate::{Certificate, ClaimResult};
use crate::report::text::{
    lines, one_line, open_by_reason, ran, severity_word, suppressions, tally_words, with_status,
};
use crate::score::AreaScore;
use crate::verdict::{Status, grouped};

/// Findings shown of one claim.
const FINDINGS_SHOWN: usize = 100;

pub(super) fn problems(certificate: &Certificate) -> Markup {
    markup! {
        @if !certificate.problems.is_empty() {
            h2 id="problems" {
                "Problems of the run" span.count { (certificate.problems.len()) }
            }
            div.card.problems {
                ul { @for problem in &certificate.problems { li { (one_line(problem)) } } }
            }
        }
    }
}

pub(super) fn suppressed(certificate: &Certificate) -> Markup {
    markup! {
        @if !certificate.suppressions.is_empty() {
            h2 id="suppressions" {
                "Suppressions" span.count { (certificate.suppressions.len()) }
            }
            div.card.listed {
                ul { @for one in &suppressions(certificate) { li { (one_line(one)) } } }
            }
        }
    }
}

pub(super) fn refuted(certificate: &Certificate, scales: &Scales) -> Markup {
    let claims = with_status(certificate, Status::Refuted);
    markup! {
        @if !claims.is_empty() {
            h2 id="refuted" { "Refuted" span.count { (claims.len()) } }
            @for claim in claims {
                article.card.wrong {
                    div.top {
                        h3.id { (one_line(&claim.id)) }
                        (severity(claim.severity))
                        @if !claim.required { span.chip { "optional" } }
                    }
                    p { (prose(&claim.statement)) }
                    @if claim.findings().next().is_none() {
                        dl.finding.pairs {
                            dt { "Target" } dd.was { (one_line(&claim.target)) }
                            dt { "Observed" } dd.is { (prose(&claim.observed)) }
                        }
                        (figures::strip(claim, scales))
                    }
                    (findings(claim))
                    p.more { a href=(format!("#{}", anchor(certificate, claim))) { "Its evidence" } }
                }
            }
        }
    }
}

pub(crate) fn severity(severity: Severity) -> Markup {
    let word = severity_word(severity);
    markup! { span class=(format!("chip {word}")) { (word) } }
}

pub(crate) fn findings(claim: &ClaimResult) -> Markup {
    let findings: Vec<&Finding> = claim.findings().collect();
    markup! {
        @for finding in findings.iter().take(FINDINGS_SHOWN) {
            dl.finding.pairs {
                dt { "Object" } dd { code { (one_line(&finding.object)) } }
                dt { "Expected" } dd.was { code { (one_line(&finding.expected)) } }
                dt { "Found" } dd.is { code { (one_line(&finding.found)) } }
                @if let Some(remedy) = &finding.remedy {
                    dt { "What to do" }
                    dd { pre { code { (lines(remedy).collect::<Vec<_>>().join("\n")) } } }
                }
            }
        }
        @if findings.len() > FINDINGS_SHOWN {
            p.muted { "… and " (findings.len() - FINDINGS_SHOWN) " more in certificate.json" }
        }
    }
}

pub(super) fn unproven(certificate: &Certificate) -> Markup {
    let groups = open_by_reason(certificate);
    markup! {
        @if !groups.is_empty() {
            h2 id="unproven" { "Unproven" span.count { (grouped(certificate.counts.unproven)) } }
            div.card.rows.reason {
                @for group in groups {
                    details {
                        summary {
                            span.count { (group.claims.len()) }
                            span {
                                span.says { (prose(group.reason)) }
                                @if let Some(advice) = group.advice {
                                    span.todo { "What to do: " (prose(advice)) }
                                }
                            }
                            (turn())
                        }
                        div.body {
                            ul.plain {
                                @for claim in group.claims {
                                    li {
                                        a href=(format!("#{}", anchor(certificate, claim))) {
                                            (prose(&claim.statement))
                                        }
                                        " " code.muted { (one_line(&claim.id)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn turn() -> Markup {
    markup! { span.turn aria-hidden="true" { "›" } }
}

pub(super) fn all(certificate: &Certificate, beside: &Beside, scales: &Scales) -> Markup {
    let areas: Vec<&AreaScore> =
        certificate.refinements.iter().flat_map(|refinement| &refinement.areas).collect();
    let of = |name: &str| certificate.claims.iter().filter(|claim| claim.area == name).collect();
    let homeless: Vec<&ClaimResult> = certificate
        .claims
        .iter()
        .filter(|claim| !areas.iter().any(|area| area.name == claim.area))
        .collect();
    let rows = |at: usize, title: &str, tally: &str, claims: Vec<&ClaimResult>| {
        markup! {
            section.claims id=(format!("area-{at}")) {
                div.area { h3 { (one_line(title)) } span.tally { (tally) } }
                div.card.rows {
                    @for claim in claims { (row(certificate, claim, at, beside, scales)) }
                }
            }
        }
    };
    markup! {
        h2 id="claims" { "All claims" span.count { (grouped(certificate.counts.expected)) } }
        (tools(&areas, !homeless.is_empty()))
        div #list {
            @for (at, area) in areas.iter().enumerate().filter(|(_, area)| area.claims.total() > 0) {
                (rows(at, &area.title, &tally_words(area.claims), of(&area.name)))
            }
            @if !homeless.is_empty() {
                (rows(areas.len(), "Areas without weight", "", homeless))
            }
        }
        p.none #none hidden { "No claim fits." }
    }
}

/// What the script of the page filters by; without it nothing is hidden, and this is not shown.
fn tools(areas: &[&AreaScore], has_homeless: bool) -> Markup {
    markup! {
        div.card.tools #tools role="search" aria-label="Claims" hidden {
            input #search type="search" placeholder="Search claims and evidence" aria-label="Search"
                aria-keyshortcuts="/" autocomplete="off" spellcheck="false";
            fieldset {
                legend.sr { "Status" }
                @for (value, word) in
                    [("", "All"), ("refuted", "Refuted"), ("unproven", "Unproven"), ("proven", "Proven")]
                {
                    label {
                        input type="radio" name="status" value=(value) checked[value.is_empty()];
                        span { (word) }
                    }
                }
            }
            select #area aria-label="Area" {
                option value="" { "All areas" }
                @for (at, area) in areas.iter().enumerate().filter(|(_, area)| area.claims.total() > 0) {
                    option value=(at) { (one_line(&area.title)) }
                }
                @if has_homeless { option value=(areas.len()) { "Areas without weight" } }
            }
            button #open type="button" { "Open all" }
            output #told for="search area" {}
        }
    }
}

fn row(
    certificate: &Certificate,
    claim: &ClaimResult,
    area: usize,
    beside: &Beside,
    scales: &Scales,
) -> Markup {
    let seen = match claim.status {
        Status::Unproven => claim.reason.as_deref().unwrap_or_default(),
        Status::Proven | Status::Refuted => &claim.observed,
    };
    let glyph = match claim.status {
        Status::Proven => "✓",
        Status::Refuted => "✕",
        Status::Unproven => "?",
    };
    markup! {
        details id=(anchor(certificate, claim)) data-status=(claim.status.word()) data-area=(area) {
            summary {
                span class=(format!("mark {}", claim.status.word())) {
                    span aria-hidden="true" { (glyph) }
                    span.sr { (claim.status.word()) }
                }
                span {
                    span.says { (prose(&claim.statement)) }
                    span.id { (one_line(&claim.id)) }
                }
                span.seen { (clip(&one_line(seen))) }
                (turn())
            }
            div.body {
                (pairs(certificate, claim))
                (figures::strip(claim, scales))
                @if let Some(drill) = beside.drill(certificate, &claim.id) {
                    (figures::trials(drill, scales))
                }
                (findings(claim))
            }
        }
    }
}

/// A text short enough for one row; the whole text stands below it.
fn clip(text: &str) -> String {
    const LENGTH: usize = 90;
    if text.chars().count() <= LENGTH {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(LENGTH - 1).collect();
    short.push('…');
    short
}

fn pairs(certificate: &Certificate, claim: &ClaimResult) -> Markup {
    markup! {
        dl.pairs {
            dt { "Target" } dd { (one_line(&claim.target)) }
            dt { "Observed" } dd { (prose(&claim.observed)) }
            @if let Some(reason) = &claim.reason {
                dt { "Verdict" } dd { (claim.status.word()) ": " (prose(reason)) }
            }
            @if let Some(n) = claim.n {
                dt { "n" } dd { (grouped(n)) (population(claim)) }
            }
            @if let Some(bound) = claim.bound {
                dt { "95 % bound" } dd { (bound_words(claim, bound)) }
            }
            @for evidence in &claim.evidence { (method(evidence)) }
            @for (name, sql) in ran(certificate, claim) { (statement(certificate, name, sql)) }
            @if !claim.evidence.is_empty() {
                dt { "Seen" } dd { (when_and_where(certificate, claim.producer)) }
            }
            dt { "Counts as" }
            dd {
                (severity_word(claim.severity)) ", "
                @if claim.required { "required" } @else { "optional" }
                ", weight " (claim.weight) ", settled by " (producer(claim.producer))
            }
        }
    }
}

/// Longest statement, in lines, that stands under each claim for which it was run.
const SHORT_LINES: usize = 40;

/// A statement that was run for a claim; a long one stands below, once for all.
fn statement(certificate: &Certificate, name: &str, sql: &str) -> Markup {
    let count = sql.lines().count();
    markup! {
        dt { "SQL" }
        dd {
            a href=(format!("#{}", place(certificate, name))) { (one_line(name)) }
            @if count > SHORT_LINES {
                span.muted { " (" (count) " lines)" }
            } @else {
                (text_of(sql))
            }
        }
    }
}

fn text_of(sql: &str) -> Markup {
    markup! { pre.sql tabindex="0" { code { (lines(sql).collect::<Vec<_>>().join("\n")) } } }
}

/// The name by which links lead to a statement.
fn place(certificate: &Certificate, name: &str) -> String {
    let at = certificate.statements.keys().position(|one| one == name);
    format!("sql-{}", at.unwrap_or_default())
}

/// Every statement that was run, once.
pub(super) fn statements(certificate: &Certificate) -> Markup {
    markup! {
        @if !certificate.statements.is_empty() {
            h2 id="statements" {
                "Statements run" span.count { (certificate.statements.len()) }
            }
            div.card.rows.sql #texts {
                @for (name, sql) in &certificate.statements {
                    details id=(place(certificate, name)) {
                        summary {
                            span.says { (one_line(name)) }
                            span.seen { (sql.lines().count()) " lines" }
                            (turn())
                        }
                        div.body { (text_of(sql)) }
                    }
                }
            }
        }
    }
}

/// Of how many a sample was taken.
fn population(claim: &ClaimResult) -> String {
    let of = |evidence: &Evidence| match evidence.outcome {
        Outcome::Counted { trials, population: Some(all), .. } if all > trials => Some(all),
        _ => None,
    };
    claim
        .evidence
        .iter()
        .find_map(of)
        .map_or_else(String::new, |all| format!(" of {}", grouped(all)))
}

fn bound_words(claim: &ClaimResult, bound: f64) -> String {
    let unit = claim.evidence.iter().find_map(|evidence| match &evidence.outcome {
        Outcome::Measured { unit, .. } => Some(unit),
        _ => None,
    });
    match unit {
        Some(unit) => format!("{} {}", rounded(bound), one_line(unit)),
        None => format!("at most {} % of trials go wrong", rounded(bound * 100.0)),
    }
}

fn method(evidence: &Evidence) -> Markup {
    markup! {
        dt { "Method" } dd { (one_line(&evidence.method)) }
        @if let Outcome::Measured { n_needed, statistics, unit, .. } = &evidence.outcome {
            dt { "n needed" } dd { (grouped(*n_needed)) }
            @for (name, value) in statistics {
                dt { (one_line(name)) } dd { (rounded(*value)) " " (one_line(unit)) }
            }
        }
    }
}

/// A figure with at most four digits behind its point.
fn rounded(figure: f64) -> String {
    let text = format!("{figure:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn producer(producer: Producer) -> &'static str {
    match producer {
        Producer::Check => "a check",
        Producer::Drill => "a drill",
        Producer::Load => "a load test",
        Producer::Coverage => "a coverage report",
    }
}
