//! The HTML report: one self-contained page, with what is wrong first.
//!
//! The script filters and unfolds; without it everything is there.

pub(crate) mod claims;
mod figures;
pub(crate) mod page;
pub(crate) mod svg;

use maud::{Markup, html as markup};

use self::figures::Scales;
use self::page::Script;
use super::beside::Beside;
use super::certificate::{Certificate, ClaimResult};
use super::text::{
    headline, meaning, milliseconds, one_line, server_versions, tally_words, timing_name,
};
use crate::claim::Producer;
use crate::score::{AreaScore, Percent, RefinementScore, Tally};
use crate::verdict::grouped;

const SCRIPT: &str = include_str!("script.js");

/// Renders the report as one HTML page.
///
/// Whatever the run brought in is escaped, and control characters and marks that reorder text are
/// shown by their code points. What was written beside the certificate is drawn.
#[must_use]
pub fn html(certificate: &Certificate, beside: &Beside) -> String {
    let contract = &certificate.contract;
    let title = format!(
        "{}: {} {}",
        headline(certificate),
        one_line(&contract.name),
        one_line(&contract.version)
    );
    let scales = Scales::of(certificate, beside);
    let drawn = figures::section(certificate, beside, &scales);
    let body = markup! {
        a.skip href="#claims" { "Skip to all claims" }
        (hero(certificate, drawn.is_some()))
        main {
            (claims::problems(certificate))
            (claims::refuted(certificate, &scales))
            (claims::unproven(certificate))
            (scores(certificate))
            (claims::suppressed(certificate))
            @if let Some(drawn) = &drawn { (drawn) }
            (claims::all(certificate, beside, &scales))
            (claims::statements(certificate))
            (run(certificate))
        }
        footer {
            p {
                "Rendered from " code { "certificate.json" } ", which holds every claim with its \
                 evidence. " code { "dbready report certificate.json" } " judges it again. Nothing \
                 is estimated: what was not measured is unproven."
            }
            @if drawn.is_some() {
                p {
                    "Courses and timelines come from the files beside it, where these agree with it; \
                     they are drawn, not judged."
                }
            }
        }
    };
    page::page(&title, Script::Alone(SCRIPT), &body)
}

fn hero(certificate: &Certificate, is_drawn: bool) -> Markup {
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
                    p.meaning { (prose(&meaning(certificate))) }
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
                div.card.tile.proven.zero[counts.proven == 0] { dt { "Proven" } dd { (grouped(counts.proven)) } }
                div.card.tile.refuted.zero[counts.refuted == 0] { dt { "Refuted" } dd { (grouped(counts.refuted)) } }
                div.card.tile.unproven.zero[counts.unproven == 0] { dt { "Unproven" } dd { (grouped(counts.unproven)) } }
                div.card.tile {
                    dt { "Settled of expected" }
                    dd { (grouped(counts.settled)) small { " of " (grouped(counts.expected)) } }
                }
            }
            nav aria-label="Sections" {
                @if !certificate.problems.is_empty() { a href="#problems" { "Problems" } }
                @if counts.refuted > 0 { a href="#refuted" { "Refuted" } }
                @if counts.unproven > 0 { a href="#unproven" { "Unproven" } }
                a href="#score" { "Score" }
                @if is_drawn { a href="#figures" { "Measured" } }
                a href="#claims" { "All claims" }
                @if !certificate.statements.is_empty() { a href="#statements" { "SQL" } }
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
    let label = format!("Confidence: {score} of the required weight is proven");
    markup! {
        svg.ring viewBox="0 0 120 120" role="img" aria-label=(label) {
            circle.track cx="60" cy="60" r="52" {}
            @if score > Percent::default() {
                circle.value cx="60" cy="60" r="52" pathLength="100" transform="rotate(-90 60 60)"
                    stroke-dasharray=(format!("{} 100", score.value())) {}
            }
            text x="60" y="64" { (score) }
            text.small x="60" y="80" { "confidence" }
        }
    }
}

fn scores(certificate: &Certificate) -> Markup {
    markup! {
        h2 id="score" { "Score" }
        div.scores {
            @for (at, one) in certificate.refinements.iter().enumerate() {
                @let before = certificate.refinements[..at].iter().map(|one| one.areas.len()).sum();
                (refinement(one, before))
            }
        }
        p.legend {
            span { i.proven {} "proven" }
            span { i.refuted {} "refuted" }
            span { i.unproven {} "unproven" }
            span { "Bars of areas count claims; figures weigh the required ones, rounded down." }
        }
    }
}

/// A refinement; `before` areas stand in those before it.
fn refinement(refinement: &RefinementScore, before: usize) -> Markup {
    markup! {
        section.card.score {
            div.top {
                h3 { (one_line(&refinement.title)) }
                span.figure { (share(refinement.score)) }
            }
            @if let Some(score) = refinement.score { (score_bar(score)) }
            ul {
                @for (at, area) in refinement.areas.iter().enumerate() {
                    (area_line(area, before + at))
                }
            }
        }
    }
}

fn area_line(area: &AreaScore, at: usize) -> Markup {
    markup! {
        li {
            @if area.claims.total() > 0 {
                a href=(format!("#area-{at}")) { (one_line(&area.title)) }
            } @else {
                span { (one_line(&area.title)) }
            }
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

pub(crate) fn tally_bar(tally: Tally) -> Markup {
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

/// A sentence on one line, with what stands between backticks set as code.
pub(crate) fn prose(text: &str) -> Markup {
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

/// The name by which links lead to a claim: its id, or its place where the id is no plain word.
fn anchor(certificate: &Certificate, claim: &ClaimResult) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if claim.id.bytes().all(is_plain) {
        return format!("claim.{}", claim.id);
    }
    let place = certificate.claims.iter().position(|one| one.id == claim.id);
    format!("claim-{}", place.unwrap_or_default())
}

/// When and on which server a producer looked.
fn when_and_where(certificate: &Certificate, producer: Producer) -> Markup {
    markup! {
        (one_line(&certificate.started_at)) " to " (one_line(&certificate.finished_at))
        @match (producer, &certificate.server) {
            (Producer::Drill, _) => { ", on disposable servers" }
            (Producer::Coverage, _) => { ", in reports" }
            (Producer::Check | Producer::Load, Some(server)) => {
                ", at " code { (one_line(&server.address)) }
            }
            (Producer::Check | Producer::Load, None) => {}
        }
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
                        @if let Some(digest) = &server.schema_digest {
                            dt { "Schema digest" } dd { code { (one_line(digest)) } }
                        }
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
                    @if let Some(digest) = &certificate.tool_digest {
                        dt { "Program digest" } dd { code { (one_line(digest)) } }
                    }
                    dt { "Started" } dd { (one_line(&certificate.started_at)) }
                    dt { "Finished" } dd { (one_line(&certificate.finished_at)) }
                    dt { "Contract digest" }
                    dd { code { (one_line(&certificate.contract.digest)) } }
                    @if let Some(revision) = &certificate.contract.revision {
                        dt { "Contract revision" }
                        dd {
                            code { (one_line(&revision.commit)) }
                            @if revision.changed { ", changed since" }
                        }
                    }
                    dt { "Seal" } dd { code { (one_line(&certificate.digest)) } }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_in_pairs_become_code_and_nothing_escapes() {
        assert_eq!(prose("a `b<i>` c").into_string(), "a <code>b&lt;i&gt;</code> c");
        assert_eq!(prose("a ` b").into_string(), "a ` b");
    }
}
