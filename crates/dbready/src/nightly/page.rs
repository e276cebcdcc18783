//! The summary for people, as Markdown and as one HTML page.

use std::fmt::Write;

use maud::{Markup, html};

use super::{Change, NightArea, Plot, Summary};
use crate::markup::{cell_code, one_line};
use crate::report::html::page::{Script, page};
use crate::report::html::svg::{Axis, chart, names, short};
use crate::report::html::{prose, tally_bar};
use crate::score::Percent;

/// Changes shown at most; the JSON document holds all.
const MOST_SHOWN: usize = 50;

fn share(score: Option<Percent>) -> String {
    score.map_or_else(|| "does not count".to_owned(), |score| score.to_string())
}

/// How the score moved since the night before.
fn moved(summary: &Summary) -> String {
    match summary.trend.as_slice() {
        [.., (_, before), (_, now)] if (now - before).abs() < 0.05 => {
            ", as the night before".to_owned()
        }
        [.., (_, before), (_, now)] => format!(", {:+.1} since the night before", now - before),
        _ => ", the first night of this history".to_owned(),
    }
}

/// The summary as Markdown; `pictures` are linked by their file names.
#[must_use]
pub fn markdown(summary: &Summary, pictures: &[Plot]) -> String {
    let night = &summary.night;
    let mut out = format!(
        "# Zero-gap summary: {} {}\n\n{}  \nScore: **{}**{}  \nEvidence: [certificate](certificate.html)\n",
        one_line(&night.contract.name),
        one_line(&night.contract.version),
        one_line(&night.at),
        night.score,
        moved(summary)
    );
    if let Some(before) = &summary.before {
        let _ = write!(out, "\n## Worse since {}\n\n", one_line(before));
        if summary.worse.is_empty() {
            out.push_str("Nothing.\n");
        }
        list(&summary.worse, &mut out);
    }
    if !summary.problems.is_empty() {
        out.push_str("\n## Amiss with the run or the history\n\n");
        for problem in &summary.problems {
            let _ = writeln!(out, "- {}", one_line(problem));
        }
    }
    out.push_str("\n## Score by area\n\n| area | weight | score | proven | refuted | unproven | evidence |\n");
    out.push_str("|---|--:|--:|--:|--:|--:|---|\n");
    for area in &night.areas {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | [claims](certificate.html#claims) |",
            one_line(&area.title).replace('|', "\\|"),
            area.weight,
            share(area.score),
            area.claims.proven,
            area.claims.refuted,
            area.claims.unproven
        );
    }
    if !summary.better.is_empty() {
        out.push_str("\n## Better\n\n");
        list(&summary.better, &mut out);
    }
    if !summary.recommendations.is_empty() {
        out.push_str("\n## What to do\n\n");
        for one in &summary.recommendations {
            let _ = writeln!(out, "- {}", crate::markup::text(one));
        }
    }
    out.push_str("\n## Trend\n\n");
    for picture in pictures {
        let _ = writeln!(out, "![{}]({}.svg)\n", picture.title, picture.name);
    }
    out.push_str("| night | score |\n|---|--:|\n");
    for (at, score) in summary.trend.iter().rev().take(14) {
        let _ = writeln!(out, "| {} | {score:.1} % |", one_line(at));
    }
    out
}

fn list(changes: &[Change], out: &mut String) {
    for change in changes.iter().take(MOST_SHOWN) {
        let reason =
            change.reason.as_deref().map(|reason| format!(" ({})", crate::markup::text(reason)));
        let _ = writeln!(
            out,
            "- {}: {}: {} → **{}**{}",
            cell_code(&change.id),
            crate::markup::text(&change.statement),
            change.before,
            change.now,
            reason.unwrap_or_default()
        );
    }
    if changes.len() > MOST_SHOWN {
        let _ = writeln!(out, "- and {} more", changes.len() - MOST_SHOWN);
    }
}

/// The summary as one page that needs nothing from a network, in the frame of the certificate's.
#[must_use]
pub fn html(summary: &Summary, pictures: &[Plot]) -> String {
    let night = &summary.night;
    let contract = &night.contract;
    let title = format!("Zero-gap summary: {} {}", contract.name, contract.version);
    let body = html! {
        header {
            p.eyebrow {
                "Zero-gap summary · " strong { (one_line(&contract.name)) }
                " contract " (one_line(&contract.version))
            }
            div.card.hero.good[night.score == Percent::FULL] {
                div {
                    h1 { (night.score) }
                    p.meaning { "of the required weight is proven" (moved(summary)) }
                    p.where {
                        (one_line(&night.at)) " · "
                        a href="certificate.html" { "The certificate holds every claim with its evidence" }
                    }
                }
            }
        }
        main {
            @if let Some(before) = &summary.before {
                h2 { "Worse since " (one_line(before)) @if !summary.worse.is_empty() { span.count { (summary.worse.len()) } } }
                @if summary.worse.is_empty() { p.muted { "Nothing." } }
                (changed(&summary.worse, "is"))
            }
            @if !summary.problems.is_empty() {
                h2 { "Amiss with the run or the history" }
                div.card.problems { ul { @for problem in &summary.problems { li { (one_line(problem)) } } } }
            }
            h2 { "Score by area" }
            section.card.score {
                ul { @for area in &night.areas { (area_line(area)) } }
            }
            @if !summary.better.is_empty() {
                h2 { "Better" span.count { (summary.better.len()) } }
                (changed(&summary.better, "was"))
            }
            @if !summary.recommendations.is_empty() {
                h2 { "What to do" }
                div.card.listed { ul { @for one in &summary.recommendations { li { (prose(one)) } } } }
            }
            @if !pictures.is_empty() { h2 { "Trend" } }
            @for picture in pictures { (drawn(picture)) }
        }
        footer { p { "Nothing is estimated: what was not measured is unproven." } }
    };
    page(&title, Script::None, &body)
}

fn changed(changes: &[Change], class: &str) -> Markup {
    html! {
        @if !changes.is_empty() {
            div.card.listed {
                ul {
                    @for change in changes.iter().take(MOST_SHOWN) {
                        li {
                            a href="certificate.html#claims" { code { (one_line(&change.id)) } }
                            " " (prose(&change.statement)) ": " (change.before) " → "
                            b class=(class) { (change.now) }
                            @if let Some(reason) = &change.reason {
                                span.todo { (one_line(reason)) }
                            }
                        }
                    }
                    @if changes.len() > MOST_SHOWN { li { "and " (changes.len() - MOST_SHOWN) " more" } }
                }
            }
        }
    }
}

fn area_line(area: &NightArea) -> Markup {
    html! {
        li {
            a href="certificate.html#claims" { (one_line(&area.title)) }
            (tally_bar(area.claims))
            span.figure { (share(area.score)) }
        }
    }
}

/// The lines of a picture in the colours of the page; the picture's own file is for Markdown.
fn drawn(picture: &Plot) -> Markup {
    let points = || picture.lines.iter().flat_map(|line| &line.points);
    let across = Axis::linear(points().map(|(night, _)| *night));
    let up = Axis::linear(points().map(|(_, value)| *value).chain([0.0]));
    html! {
        @if let Some(axes) = across.zip(up) {
            figure.card.drawn {
                figcaption { h3 { (picture.title) } p.muted { "night by night, in " (picture.unit) } }
                (chart(picture.title, axes, short, &picture.lines, &[]))
                p.key { (names(&picture.lines)) }
            }
        }
    }
}
