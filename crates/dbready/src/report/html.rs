//! The HTML report: one self-contained page without scripts, with what is wrong first.
//!
//! Its content security policy forbids everything but its own style sheet, which is named by its
//! hash: were escaping ever to fail, an injected script, image, style or form would still be dead.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use sha2::{Digest, Sha256};

use super::certificate::{Certificate, ClaimResult};
use super::text::{
    headline, lines, meaning, milliseconds, one_line, server_versions, severity_word, suppressions,
    timing_name, unproven_by_reason, with_status,
};
use crate::claim::{Producer, Severity};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::score::{AreaScore, Percent, RefinementScore, Tally};
use crate::verdict::{Status, grouped};

const STYLE: &str = include_str!("html.css");

/// Findings shown of one claim.
const FINDINGS_SHOWN: usize = 100;

/// Renders the report as one HTML page.
///
/// Whatever the run brought in is escaped, and control characters and marks that reorder text are
/// shown by their code points.
#[must_use]
pub fn html(certificate: &Certificate) -> String {
    let contract = &certificate.contract;
    let title = format!(
        "{}: {} {}",
        headline(certificate),
        one_line(&contract.name),
        one_line(&contract.version)
    );
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(STYLE.as_bytes()))
    );
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="generator" content="dbready";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (hero(certificate))
                main {
                    (scores(certificate))
                    (problems(certificate))
                    (suppressed(certificate))
                    (refuted(certificate))
                    (unproven(certificate))
                    (all_claims(certificate))
                    (run(certificate))
                }
                footer {
                    p {
                        "Rendered from " code { "certificate.json" } ", which holds every claim with \
                         its evidence. " code { "dbready report certificate.json" } " judges it again. \
                         Nothing is estimated: what was not measured is unproven."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn hero(certificate: &Certificate) -> Markup {
    let good = certificate.is_certified();
    let counts = certificate.counts;
    markup! {
        header {
            p.eyebrow {
                "Readiness certificate · " strong { (one_line(&certificate.contract.name)) }
                " contract " (one_line(&certificate.contract.version))
            }
            div.card.hero.good[good] {
                (ring(certificate.score))
                div {
                    h1 { (sentence(headline(certificate))) }
                    p.meaning { (meaning(certificate)) }
                    @if let Some(server) = &certificate.server {
                        p.where {
                            (server_versions(server)) " at " code { (one_line(&server.address)) }
                        }
                    }
                    p.where {
                        code { "dbready " (one_line(&certificate.command)) }
                        @if let Some(profile) = &certificate.profile {
                            ", profile " (one_line(profile))
                        }
                        " · " (one_line(&certificate.finished_at))
                    }
                }
            }
            dl.tiles {
                div.card.tile.proven { dt { "Proven" } dd { (grouped(counts.proven)) } }
                div.card.tile.refuted { dt { "Refuted" } dd { (grouped(counts.refuted)) } }
                div.card.tile.unproven { dt { "Unproven" } dd { (grouped(counts.unproven)) } }
                div.card.tile {
                    dt { "Settled of expected" }
                    dd { (grouped(counts.settled)) small { " of " (grouped(counts.expected)) } }
                }
            }
            nav aria-label="Sections" {
                a href="#score" { "Score" }
                @if !certificate.problems.is_empty() { a href="#problems" { "Problems" } }
                @if counts.refuted > 0 { a href="#refuted" { "Refuted" } }
                @if counts.unproven > 0 { a href="#unproven" { "Unproven" } }
                a href="#claims" { "All claims" }
                a href="#run" { "Server and run" }
            }
        }
    }
}

/// `NOT CERTIFIED` → `Not certified`.
fn sentence(capitals: &str) -> String {
    let mut out = capitals.to_lowercase();
    if let Some(first) = out.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    out
}

fn ring(score: Percent) -> Markup {
    let label = format!("Score: {score} of the required weight is proven");
    markup! {
        svg.ring viewBox="0 0 120 120" role="img" aria-label=(label) {
            circle.track cx="60" cy="60" r="52" {}
            @if score > Percent::default() {
                circle.value cx="60" cy="60" r="52" pathLength="100" transform="rotate(-90 60 60)"
                    stroke-dasharray=(format!("{} 100", score.value())) {}
            }
            text x="60" y="64" { (score) }
            text.small x="60" y="80" { "proven" }
        }
    }
}

fn scores(certificate: &Certificate) -> Markup {
    markup! {
        h2 id="score" { "Score" }
        div.scores { @for one in &certificate.refinements { (refinement(one)) } }
        p.legend {
            span { i.proven {} "proven" }
            span { i.refuted {} "refuted" }
            span { i.unproven {} "unproven" }
            span { "Bars of areas count claims; figures weigh the required ones, rounded down." }
        }
    }
}

fn refinement(refinement: &RefinementScore) -> Markup {
    markup! {
        section.card.score {
            div.top {
                h3 { (one_line(&refinement.title)) }
                span.figure { (share(refinement.score)) }
            }
            @if let Some(score) = refinement.score { (score_bar(score)) }
            ul { @for area in &refinement.areas { (area_line(area)) } }
        }
    }
}

fn area_line(area: &AreaScore) -> Markup {
    markup! {
        li {
            span { (one_line(&area.title)) }
            (tally_bar(area.claims))
            span.figure { (share(area.score)) }
        }
    }
}

fn share(score: Option<Percent>) -> String {
    score.map_or_else(|| "not run".to_owned(), |score| score.to_string())
}

fn score_bar(score: Percent) -> Markup {
    markup! {
        svg.bar viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true" {
            rect.share.full[score == Percent::FULL] width=(score.value()) height="1" {}
        }
    }
}

fn tally_bar(tally: Tally) -> Markup {
    let (proven, refuted) = (tally.proven, tally.refuted);
    let label = tally_words(tally);
    markup! {
        svg.bar viewBox=(format!("0 0 {} 1", tally.total().max(1))) preserveAspectRatio="none"
            role="img" aria-label=(label) {
            rect.proven width=(proven) height="1" {}
            rect.refuted x=(proven) width=(refuted) height="1" {}
        }
    }
}

fn tally_words(tally: Tally) -> String {
    if tally.total() == 0 {
        return "no claims".to_owned();
    }
    let parts =
        [(tally.proven, "proven"), (tally.refuted, "refuted"), (tally.unproven, "unproven")];
    let named = parts.into_iter().filter(|(n, _)| *n > 0);
    named.map(|(n, word)| format!("{} {word}", grouped(n))).collect::<Vec<_>>().join(" · ")
}

fn problems(certificate: &Certificate) -> Markup {
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

fn suppressed(certificate: &Certificate) -> Markup {
    markup! {
        @if !certificate.suppressions.is_empty() {
            h2 id="suppressions" {
                "Suppressions" span.count { (certificate.suppressions.len()) }
            }
            div.card {
                ul { @for one in &suppressions(certificate) { li { (one_line(one)) } } }
            }
        }
    }
}

fn refuted(certificate: &Certificate) -> Markup {
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
                        div.finding { (pairs(claim)) }
                    }
                    (findings(claim))
                }
            }
        }
    }
}

/// A sentence on one line, with what stands between backticks set as code.
fn prose(text: &str) -> Markup {
    let line = one_line(text);
    let parts: Vec<&str> = line.split('`').collect();
    // An odd backtick has no partner and stays what it is.
    let paired = parts.len() % 2 == 1;
    markup! {
        @if paired {
            @for (at, part) in parts.iter().enumerate() {
                @if at % 2 == 1 { code { (part) } } @else { (part) }
            }
        } @else {
            (line)
        }
    }
}

fn severity(severity: Severity) -> Markup {
    let word = severity_word(severity);
    markup! { span class=(format!("chip {word}")) { (word) } }
}

fn findings(claim: &ClaimResult) -> Markup {
    let findings: Vec<&Finding> = claim.findings().collect();
    markup! {
        @for finding in findings.iter().take(FINDINGS_SHOWN) {
            dl.finding.pairs {
                dt { "Object" } dd { code { (one_line(&finding.object)) } }
                dt { "Expected" } dd.was { code { (one_line(&finding.expected)) } }
                dt { "Found" } dd.is { code { (one_line(&finding.found)) } }
                @if let Some(remedy) = &finding.remedy {
                    dt { "Remedy" }
                    dd { pre { code { (lines(remedy).collect::<Vec<_>>().join("\n")) } } }
                }
            }
        }
        @if findings.len() > FINDINGS_SHOWN {
            p.muted { "… and " (findings.len() - FINDINGS_SHOWN) " more in certificate.json" }
        }
    }
}

fn unproven(certificate: &Certificate) -> Markup {
    let groups = unproven_by_reason(certificate);
    markup! {
        @if !groups.is_empty() {
            h2 id="unproven" { "Unproven" span.count { (grouped(certificate.counts.unproven)) } }
            div.card.rows.reason {
                @for (reason, claims) in groups {
                    details {
                        summary {
                            span.count { (claims.len()) }
                            span.says { (prose(reason)) }
                            (turn())
                        }
                        div.body {
                            ul.plain {
                                @for claim in claims {
                                    li {
                                        (prose(&claim.statement)) " "
                                        code.muted { (one_line(&claim.id)) }
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

fn all_claims(certificate: &Certificate) -> Markup {
    let areas: Vec<&AreaScore> =
        certificate.refinements.iter().flat_map(|refinement| &refinement.areas).collect();
    let of = |name: &str| certificate.claims.iter().filter(|claim| claim.area == name).collect();
    let homeless: Vec<&ClaimResult> = certificate
        .claims
        .iter()
        .filter(|claim| !areas.iter().any(|area| area.name == claim.area))
        .collect();
    markup! {
        h2 id="claims" { "All claims" span.count { (grouped(certificate.counts.expected)) } }
        @for area in &areas {
            (claim_rows(&area.title, &tally_words(area.claims), of(&area.name)))
        }
        @if !homeless.is_empty() { (claim_rows("Areas without weight", "", homeless)) }
    }
}

fn claim_rows(title: &str, tally: &str, claims: Vec<&ClaimResult>) -> Markup {
    markup! {
        div.area { h3 { (one_line(title)) } span.tally { (tally) } }
        @if !claims.is_empty() {
            div.card.rows { @for claim in claims { (claim_row(claim)) } }
        }
    }
}

fn claim_row(claim: &ClaimResult) -> Markup {
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
        details {
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
            div.body { (pairs(claim)) (findings(claim)) }
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

fn pairs(claim: &ClaimResult) -> Markup {
    markup! {
        dl.pairs {
            dt { "Target" } dd { (one_line(&claim.target)) }
            dt { "Observed" } dd { (prose(&claim.observed)) }
            @if let Some(reason) = &claim.reason {
                dt { "Verdict" } dd { (claim.status.word()) ": " (prose(reason)) }
            }
            @if let Some(n) = claim.n { dt { "n" } dd { (grouped(n)) } }
            @for evidence in &claim.evidence { (method(evidence)) }
            dt { "Counts as" }
            dd {
                (severity_word(claim.severity)) ", "
                @if claim.required { "required" } @else { "optional" }
                ", weight " (claim.weight) ", settled by " (producer(claim.producer))
            }
        }
    }
}

fn method(evidence: &Evidence) -> Markup {
    markup! {
        dt { "Method" } dd { (one_line(&evidence.method)) }
        @if let Outcome::Measured { n_needed, statistics, unit, .. } = &evidence.outcome {
            dt { "n needed" } dd { (grouped(*n_needed)) }
            @for (name, value) in statistics {
                dt { (one_line(name)) } dd { (value) " " (one_line(unit)) }
            }
        }
    }
}

fn producer(producer: Producer) -> &'static str {
    match producer {
        Producer::Check => "a check",
        Producer::Drill => "a drill",
        Producer::Load => "a load test",
        Producer::Coverage => "a coverage report",
    }
}

fn run(certificate: &Certificate) -> Markup {
    markup! {
        h2 id="run" { "Server and run" }
        div.card.facts {
            @if let Some(server) = &certificate.server {
                section {
                    h3 { "Server" }
                    dl.pairs {
                        dt { "Address" } dd { code { (one_line(&server.address)) } }
                        dt { "Software" } dd { (server_versions(server)) }
                        dt { "Database" } dd { code { (one_line(&server.database)) } }
                        dt { "Role" } dd { code { (one_line(&server.role)) } }
                        @for (name, value) in &server.settings {
                            dt { (one_line(name)) } dd { code { (one_line(value)) } }
                        }
                    }
                }
            }
            section {
                h3 { "Run" }
                dl.pairs {
                    dt { "Command" } dd { code { "dbready " (one_line(&certificate.command)) } }
                    @if let Some(profile) = &certificate.profile {
                        dt { "Profile" } dd { (one_line(profile)) }
                    }
                    dt { "Version" } dd { (one_line(&certificate.tool_version)) }
                    dt { "Started" } dd { (one_line(&certificate.started_at)) }
                    dt { "Finished" } dd { (one_line(&certificate.finished_at)) }
                    dt { "Contract digest" }
                    dd { code { (one_line(&certificate.contract.digest)) } }
                    @for (name, ms) in &certificate.timings {
                        dt { (sentence(&timing_name(name))) } dd { (milliseconds(*ms)) }
                    }
                }
            }
        }
        @if !certificate.notes.is_empty() {
            h2 id="notes" { "Notes" }
            ul.notes { @for note in &certificate.notes { li { (one_line(note)) } } }
        }
    }
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                let index = (group >> (18 - 6 * digit)) & 63;
                out.push(char::from(DIGITS[index as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_in_pairs_become_code_and_nothing_escapes() {
        assert_eq!(prose("a `b<i>` c").into_string(), "a <code>b&lt;i&gt;</code> c");
        assert_eq!(prose("a ` b").into_string(), "a ` b");
    }

    #[test]
    fn base64_of_known_texts() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }
}
