//! The live dashboard: the state as a page that asks for its newest part again and again.

use std::time::Duration;

use maud::{Markup, html as markup};

use super::state::{Change, Event, Reach, Reading, State};
use crate::claim::Target;
use crate::markup::one_line;
use crate::report::html::claims::{findings, severity};
use crate::report::html::page::{Script, page};
use crate::report::html::prose;
use crate::report::html::svg::{Axis, Line, chart, names, short};
use crate::report::{Certificate, ClaimResult};
use crate::verdict::{Status, grouped};

const SCRIPT: &str = include_str!("live.js");

/// Refuted claims shown in full; the certificate holds the others.
const MOST_REFUTED: usize = 20;

/// The whole page; its script asks for [`live`] once each interval.
pub(super) fn whole(state: &State, interval: Duration) -> String {
    let every = interval.max(Duration::from_secs(1)).as_millis();
    let title = format!("dbready watch: {}", one_line(&state.contract.name));
    let body = markup! {
        main {
            p.card.problems #lost hidden role="alert" {
                "dbready watch itself does not answer: what stands below is old."
            }
        }
        div #live data-every=(every) { (content(state)) }
        footer {
            p {
                a href="/certificate" { "The last certificate" } " · "
                a href="/certificate.json" { "as JSON" } " · "
                a href="/state.json" { "this page as JSON" } " · "
                a href="/metrics" { "metrics" }
            }
            p { "Clauses are judged by what was seen within their time before now. What has not been \
                 watched for as long, or cannot be seen, is unproven." }
        }
    };
    page(&title, Script::Asks(SCRIPT), &body)
}

/// The part of the page that changes.
pub(super) fn live(state: &State) -> String {
    content(state).into_string()
}

fn content(state: &State) -> Markup {
    let refuted = state.count(Status::Refuted);
    let proven = state.count(Status::Proven);
    let unproven = state.count(Status::Unproven);
    markup! {
        header {
            p.eyebrow {
                "dbready watch · " strong { (one_line(&state.contract.name)) }
                " contract " (one_line(&state.contract.version))
            }
            (hero(state, refuted))
            dl.tiles {
                div.card.tile.proven.zero[proven == 0] { dt { "Proven" } dd { (grouped(proven)) } }
                div.card.tile.refuted.zero[refuted == 0] { dt { "Refuted" } dd { (grouped(refuted)) } }
                div.card.tile.unproven.zero[unproven == 0] { dt { "Unproven" } dd { (grouped(unproven)) } }
                div.card.tile {
                    dt { "Looks answered" }
                    dd { (grouped(state.counts.looks)) small { ", " (grouped(state.counts.failures)) " not" } }
                }
            }
            nav aria-label="Sections" {
                a href="#clauses" { "Clauses" }
                a href="#drift" { "Catalog" }
                a href="#events" { "Events" }
            }
        }
        main {
            h2 id="clauses" { "Clauses" span.count { (state.readings.len()) } }
            div.card.rows {
                @for (at, reading) in state.readings.iter().enumerate() { (clause(at, reading)) }
            }
            (catalog(state.certificate.as_deref(), state.unread.as_deref()))
            (events(state))
        }
    }
}

fn hero(state: &State, refuted: u64) -> Markup {
    let good = state.reach == Reach::Answers && refuted == 0;
    let headline = match (&state.reach, refuted) {
        (Reach::Unknown, _) => "Waiting for the database".to_owned(),
        (Reach::Silent, _) => "The database does not answer".to_owned(),
        (Reach::Answers, 0) => "Nothing is refuted".to_owned(),
        (Reach::Answers, 1) => "1 claim is refuted".to_owned(),
        (Reach::Answers, many) => format!("{} claims are refuted", grouped(many)),
    };
    markup! {
        div.card.hero.good[good] {
            div {
                h1 { (headline) }
                @if let Some(reason) = state.unready() { p.meaning { (one_line(&reason)) } }
                p.where {
                    code { (one_line(&state.address)) }
                    @if let Some(figures) = &state.figures {
                        @if figures.database.in_recovery { ", a standby" }
                        ", running since " (one_line(&figures.database.started))
                    }
                }
                p.where {
                    "Watched since " (state.started_at)
                    @if let Some(at) = &state.answered_at { " · last answer " (at) }
                }
            }
        }
    }
}

fn mark(status: Status) -> Markup {
    let sign = match status {
        Status::Proven => "✓",
        Status::Refuted => "✗",
        Status::Unproven => "?",
    };
    markup! {
        span class=(format!("mark {}", status.word())) aria-hidden="true" { (sign) }
        span.sr { (status.word()) ": " }
    }
}

fn clause(at: usize, reading: &Reading) -> Markup {
    let judgement = &reading.judgement;
    let observed = observed(reading);
    markup! {
        details id=(format!("clause-{at}")) {
            summary {
                span { (mark(judgement.status)) }
                span {
                    span.says { (prose(&reading.claim.statement)) }
                    span.id { (one_line(&reading.claim.id)) }
                }
                span.seen { (one_line(&observed)) }
                span.turn aria-hidden="true" { "›" }
            }
            div.body {
                dl.pairs {
                    dt { "Target" } dd { (one_line(&judgement.target)) }
                    dt { "Observed" } dd { (one_line(&observed)) }
                    @if let Some(reason) = &judgement.reason {
                        dt { "Reason" } dd { (one_line(reason)) }
                    }
                    @if let Some(n) = judgement.n { dt { "Looks" } dd { (grouped(n)) } }
                }
                @for finding in &judgement.findings {
                    dl.finding.pairs {
                        dt { "Object" } dd { code { (one_line(&finding.object)) } }
                        dt { "Expected" } dd.was { (one_line(&finding.expected)) }
                        dt { "Found" } dd.is { (one_line(&finding.found)) }
                    }
                }
                (course(reading))
            }
        }
    }
}

/// What is observed, in the unit of the target.
fn observed(reading: &Reading) -> String {
    match (reading.value, &reading.claim.target) {
        (Some(value), Target::AtMost { limit, unit, .. } | Target::AtLeast { limit, unit, .. }) => {
            format!("{} of {} {unit}", short(value), short(*limit))
        }
        _ => reading.judgement.reason.clone().unwrap_or_else(|| reading.judgement.observed.clone()),
    }
}

/// The figure look by look, and its limit.
#[expect(clippy::cast_precision_loss, reason = "looks of a drawing are few")]
fn course(reading: &Reading) -> Markup {
    let points: Vec<(f64, f64)> =
        reading.history.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect();
    let limit = match &reading.claim.target {
        Target::AtMost { limit, .. } | Target::AtLeast { limit, .. } => Some(*limit),
        Target::NoDifference | Target::NoneWrong { .. } => None,
    };
    let across = Axis::linear(points.iter().map(|(at, _)| *at));
    let up = Axis::linear(points.iter().map(|(_, value)| *value).chain(limit).chain([0.0]));
    let (Some(limit), Some(across), Some(up)) = (limit, across, up) else { return markup! {} };
    let end = points.last().map_or(0.0, |(at, _)| *at);
    let lines = [
        Line { name: "observed".to_owned(), points },
        Line { name: "limit".to_owned(), points: vec![(0.0, limit), (end.max(1.0), limit)] },
    ];
    let label = format!("the figure over the last {} looks, and its limit", reading.history.len());
    markup! {
        (chart(&label, (across, up), short, &lines, &[]))
        p.key { (names(&lines)) }
    }
}

fn catalog(certificate: Option<&Certificate>, unread: Option<&str>) -> Markup {
    let refuted: Vec<&ClaimResult> = certificate
        .iter()
        .flat_map(|one| &one.claims)
        .filter(|claim| claim.status == Status::Refuted)
        .collect();
    markup! {
        h2 id="drift" { "Catalog" @if !refuted.is_empty() { span.count { (refuted.len()) } } }
        @if let Some(reason) = unread {
            p.card.problems { "It could not be looked at: " (one_line(reason)) }
        }
        @match certificate {
            None => { p.muted { "It has not been looked at yet." } }
            Some(certificate) => {
                @for claim in refuted.iter().take(MOST_REFUTED) {
                    article.card.wrong {
                        div.top { span.id { (one_line(&claim.id)) } (severity(claim.severity)) }
                        p { (prose(&claim.statement)) }
                        (findings(claim))
                    }
                }
                p.muted {
                    @if refuted.len() > MOST_REFUTED {
                        "And " (refuted.len() - MOST_REFUTED) " more. "
                    }
                    (grouped(certificate.counts.proven)) " of " (grouped(certificate.counts.expected))
                    " claims about it are proven, as of " (one_line(&certificate.finished_at)) ". "
                    a href="/certificate" { "Each with its evidence" }
                }
            }
        }
    }
}

fn events(state: &State) -> Markup {
    markup! {
        h2 id="events" { "Events" span.count { (state.events.len()) } }
        @if state.events.is_empty() {
            p.muted { "Nothing has happened since " (state.started_at) "." }
        } @else {
            div.card.rows {
                @for event in state.events.iter().rev() { (happened(event)) }
            }
        }
    }
}

fn happened(event: &Event) -> Markup {
    let status = match event.change {
        Change::Firing => Status::Refuted,
        Change::Resolved => Status::Proven,
        Change::Note => Status::Unproven,
    };
    let name = format!("event-{}-{}", event.at, event.claim);
    markup! {
        details id=(name) {
            summary {
                span { (mark(status)) }
                span {
                    span.says { (prose(&event.statement)) }
                    span.id { (event.claim) }
                }
                span.seen { (event.change.word()) " " time { (event.at) } }
                span.turn aria-hidden="true" { "›" }
            }
            div.body { p { (event.found) } }
        }
    }
}
