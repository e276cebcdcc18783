//! The summary for people, as Markdown and as one HTML page.

use std::fmt::Write;

use maud::{DOCTYPE, PreEscaped, html};

use super::{Change, Plot, Summary};
use crate::markup::{cell_code, one_line};
use crate::score::Percent;

/// Changes shown at most; the JSON document holds all.
const MOST_SHOWN: usize = 50;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328}\
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #d1d9e0;padding:.3rem .5rem;text-align:left;vertical-align:top}\
.bad{color:#b3261e}.good{color:#1a7f37}code{background:#f6f8fa;padding:0 .2em}svg{max-width:100%;height:auto}";

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

/// The summary as one page that needs nothing from a network.
#[must_use]
pub fn html(summary: &Summary, pictures: &[Plot]) -> String {
    let night = &summary.night;
    let title = format!("Zero-gap summary: {} {}", night.contract.name, night.contract.version);
    let changes = |changes: &[Change], class: &str| {
        html! {
            ul {
                @for change in changes.iter().take(MOST_SHOWN) {
                    li {
                        a href="certificate.html#claims" { code { (change.id) } } " " (change.statement) ": "
                        (change.before) " → " b class=(class) { (change.now) }
                        @if let Some(reason) = &change.reason { " (" (reason) ")" }
                    }
                }
                @if changes.len() > MOST_SHOWN { li { "and " (changes.len() - MOST_SHOWN) " more" } }
            }
        }
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p { (night.at) ". Score: " b { (night.score.to_string()) } (moved(summary)) ". "
                    a href="certificate.html" { "The certificate holds every claim with its evidence." } }
                @if let Some(before) = &summary.before {
                    h2 { "Worse since " (before) }
                    @if summary.worse.is_empty() { p.good { "Nothing." } }
                    (changes(&summary.worse, "bad"))
                }
                @if !summary.problems.is_empty() {
                    h2 { "Amiss with the run or the history" }
                    ul { @for problem in &summary.problems { li.bad { (problem) } } }
                }
                h2 { "Score by area" }
                table {
                    tr { th { "area" } th { "weight" } th { "score" } th { "proven" } th { "refuted" } th { "unproven" } }
                    @for area in &night.areas {
                        tr {
                            td { a href="certificate.html#claims" { (area.title) } }
                            td { (area.weight) } td { (share(area.score)) }
                            td { (area.claims.proven) } td { (area.claims.refuted) } td { (area.claims.unproven) }
                        }
                    }
                }
                @if !summary.better.is_empty() { h2 { "Better" } (changes(&summary.better, "good")) }
                @if !summary.recommendations.is_empty() {
                    h2 { "What to do" }
                    ul { @for one in &summary.recommendations { li { (one) } } }
                }
                h2 { "Trend" }
                @for picture in pictures { figure { (PreEscaped(&picture.svg)) } }
            }
        }
    };
    page.into_string()
}
