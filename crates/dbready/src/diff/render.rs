//! The comparison as text and as Markdown for a pull request.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Change, Diff, Impact};
use crate::markup::{self, cell_code, one_line};

/// Most characters of the Markdown, below what code-hosting sites take for a comment.
pub const MARKDOWN_CHARS: usize = 65_000;
/// Most characters shown of a value.
const VALUE_CHARS: usize = 160;

const IMPACTS: [(Impact, &str); 3] = [
    (Impact::Breaking, "Breaking"),
    (Impact::Compatible, "Not breaking"),
    (Impact::Editorial, "Editorial"),
];

/// A value for people, on one line.
fn shown(value: &Value) -> String {
    let whole = match value {
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    };
    if whole.chars().count() <= VALUE_CHARS {
        return whole;
    }
    let cut: String = whole.chars().take(VALUE_CHARS).collect();
    format!("{cut}…")
}

/// What happened to the object, with the key where it is not the object itself.
fn happened(change: &Change) -> (String, String) {
    let last = change.key.rsplit('.').next().unwrap_or_default();
    let whole = matches!(
        change.key.as_str(),
        "table" | "table.column" | "table.constraint" | "table.index" | "query" | "migration"
    );
    match (&change.old, &change.new) {
        (None, Some(new)) if whole => ("added".to_owned(), shown(new)),
        (Some(old), None) if whole => ("removed".to_owned(), shown(old)),
        (None, Some(new)) => (format!("{last} added"), shown(new)),
        (Some(old), None) => (format!("{last} removed"), shown(old)),
        (Some(old), Some(new)) => {
            (format!("{last} changed"), format!("{} → {}", shown(old), shown(new)))
        }
        (None, None) => ("changed".to_owned(), String::new()),
    }
}

fn surface(change: &Change) -> String {
    serde_json::to_value(change.surface)
        .ok()
        .and_then(|one| one.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// What must follow, line by line.
fn verdict(diff: &Diff) -> Vec<String> {
    let release = &diff.release;
    let mut lines = Vec::new();
    let counts: Vec<String> = IMPACTS
        .iter()
        .map(|(impact, title)| {
            let count = diff.changes.iter().filter(|one| one.impact == *impact).count();
            format!("{count} {}", title.to_lowercase())
        })
        .collect();
    let counts = counts.join(", ");
    lines.push(if release.impact.is_none() {
        "no change".to_owned()
    } else {
        format!("changes: {counts}")
    });
    lines.push(format!(
        "version: {} declared, {} or later required",
        release.declared_version, release.required_version
    ));
    if release.notice_days > 0 {
        let announced = release.announced.iter().map(|one| {
            format!(
                "{} announced on {}, effective {} ({} days)",
                one.version, one.announced, one.effective, one.days
            )
        });
        let announced: Vec<String> = announced.collect();
        let told = if announced.is_empty() {
            "nothing announced".to_owned()
        } else {
            announced.join("; ")
        };
        lines.push(format!("notice: {} days due; {told}", release.notice_days));
    }
    if !diff.consumers.is_empty() {
        lines.push(format!(
            "consumers of breaking changes: {}",
            one_line(&diff.consumers.join(", "))
        ));
    }
    lines
}

/// The comparison as one JSON document with a final newline.
#[must_use]
pub fn json(diff: &Diff) -> String {
    // Keys are strings and nothing is a float that JSON lacks, so that writing cannot fail.
    let mut text = serde_json::to_string_pretty(diff).unwrap_or_default();
    text.push('\n');
    text
}

/// The comparison as plain text.
#[must_use]
pub fn text(diff: &Diff) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ =
        writeln!(out, "{} {} → {}", one_line(&diff.old.name), diff.old.version, diff.new.version);
    for (impact, title) in IMPACTS {
        let changes: Vec<&Change> =
            diff.changes.iter().filter(|one| one.impact == impact).collect();
        if changes.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{title} ({})", changes.len());
        for change in changes {
            let (what, values) = happened(change);
            let _ = writeln!(out, "  {}: {what} [{}]", one_line(&change.object), surface(change));
            let _ = writeln!(out, "      {values}");
            let decided = match &change.clause {
                Some(clause) => {
                    format!("policy: \"{}\"; {}", one_line(clause), one_line(&change.why))
                }
                None => one_line(&change.why),
            };
            let _ = writeln!(out, "      {decided}");
            if !change.queries.is_empty() {
                let consumers = if change.consumers.is_empty() {
                    "none".to_owned()
                } else {
                    change.consumers.join(", ")
                };
                let line =
                    format!("queries: {}; consumers: {consumers}", change.queries.join(", "));
                let _ = writeln!(out, "      {}", one_line(&line));
            }
        }
    }
    out.push('\n');
    for line in verdict(diff) {
        let _ = writeln!(out, "{line}");
    }
    for note in &diff.notes {
        let _ = writeln!(out, "note: {}", one_line(note));
    }
    for problem in &diff.release.problems {
        let _ = writeln!(out, "does not fit: {}", one_line(problem));
    }
    out
}

/// The comparison as Markdown for a pull request, of at most [`MARKDOWN_CHARS`] characters.
#[must_use]
pub fn markdown(diff: &Diff) -> String {
    let release = &diff.release;
    let mut out = String::new();
    let title =
        if release.fits() { "Contract change" } else { "Contract change that does not fit" };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "## {title}: {} {} → {}\n",
        markup::text(&diff.old.name),
        diff.old.version,
        diff.new.version
    );
    for line in verdict(diff) {
        let _ = writeln!(out, "- {}", markup::text(&line));
    }
    for problem in &release.problems {
        let _ = writeln!(out, "- **does not fit:** {}", markup::text(problem));
    }
    let mut left = MARKDOWN_CHARS - 200;
    let mut take = |out: &mut String, line: &str| {
        let chars = line.chars().count();
        let fits = chars <= left.saturating_sub(out.chars().count().min(left));
        if fits {
            out.push_str(line);
        } else {
            left = 0;
        }
        fits
    };
    let mut cut = 0;
    for (impact, title) in IMPACTS {
        let changes: Vec<&Change> =
            diff.changes.iter().filter(|one| one.impact == impact).collect();
        if changes.is_empty() {
            continue;
        }
        let head = format!(
            "\n### {title} ({})\n\n| object | change | means | concerns |\n|---|---|---|---|\n",
            changes.len()
        );
        let mut going = take(&mut out, &head);
        for change in changes {
            going = going && take(&mut out, &row(change));
            cut += usize::from(!going);
        }
    }
    if cut > 0 {
        let _ =
            writeln!(out, "\n… and {cut} further changes; `dbready contract diff` lists them all.");
    } else {
        for note in &diff.notes {
            if !take(&mut out, &format!("\nNote: {}\n", markup::text(note))) {
                break;
            }
        }
    }
    out
}

fn row(change: &Change) -> String {
    let (what, values) = happened(change);
    let clause = change
        .clause
        .as_ref()
        .map_or_else(String::new, |clause| format!(" (policy: “{}”)", markup::text(clause)));
    let concerns = match (change.queries.is_empty(), change.consumers.is_empty()) {
        (true, _) => "–".to_owned(),
        (false, true) => {
            change.queries.iter().map(|one| cell_code(one)).collect::<Vec<_>>().join(", ")
        }
        (false, false) => markup::text(&change.consumers.join(", ")),
    };
    format!(
        "| {} | {}: {} | {}: {}{clause} | {concerns} |\n",
        cell_code(&change.object),
        markup::text(&what),
        cell_code(&values),
        surface(change),
        markup::text(&change.why),
    )
}
