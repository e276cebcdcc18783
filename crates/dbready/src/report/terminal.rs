//! The terminal report: short, what is wrong first, never wider than 80 columns.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::certificate::{Certificate, ClaimResult};
use super::format::View;
use super::text::{
    Open, headline, lines, meaning, milliseconds, one_line, open_by_reason, server_versions,
    severity_word, suppressions, timing_name, with_status,
};
use crate::evidence::Finding;
use crate::score::{Percent, Scope};
use crate::verdict::{Status, grouped};

/// Columns at most.
const WIDTH: usize = 80;
/// How much is shown.
struct Limits {
    /// Refuted claims.
    refuted: usize,
    /// Findings of one claim.
    findings: usize,
    /// Lines of one remedy.
    remedy_lines: usize,
    /// Reasons for unproven claims.
    reasons: usize,
    /// Examples of claims for each of them.
    examples: usize,
    /// Notes; problems and suppressions are never fewer than [`REMARKS_SHOWN`].
    notes: usize,
}

/// One screen.
const BRIEF: Limits =
    Limits { refuted: 4, findings: 1, remedy_lines: 2, reasons: 6, examples: 0, notes: 0 };
/// What is worth scrolling back for; the files hold all.
const VERBOSE: Limits =
    Limits { refuted: 12, findings: 3, remedy_lines: 4, reasons: 12, examples: 3, notes: 8 };

/// Problems and suppressions shown.
const REMARKS_SHOWN: usize = 8;
/// Cells of a full bar.
const BAR: usize = 20;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const OPEN: Style = AnsiColor::Yellow.on_default();

/// Renders the report for a terminal: one screen, or with details when the view is verbose.
#[must_use]
pub fn terminal(certificate: &Certificate, view: &View) -> String {
    let limits = if view.verbose { &VERBOSE } else { &BRIEF };
    let mut page = Page { out: String::new(), color: view.color };
    head(&mut page, certificate);
    scores(&mut page, certificate);
    refuted(&mut page, certificate, limits);
    unproven(&mut page, certificate, limits);
    remarks(&mut page, "PROBLEMS OF THE RUN", BAD, &certificate.problems, REMARKS_SHOWN);
    remarks(&mut page, "SUPPRESSIONS", OPEN, &suppressions(certificate), REMARKS_SHOWN);
    remarks(&mut page, "NOTES", BOLD, &certificate.notes, limits.notes);
    if !view.reports.is_empty() {
        page.blank();
        page.line(BOLD, "REPORTS");
        for report in &view.reports {
            page.wrapped(2, 4, Style::new(), &one_line(report));
        }
    }
    page.out
}

fn head(page: &mut Page, certificate: &Certificate) {
    let style = if certificate.is_certified() { GOOD } else { BAD }.bold();
    let facts = format!(
        "{}  {} {}",
        certificate.score,
        one_line(&certificate.contract.name),
        one_line(&certificate.contract.version)
    );
    let word = headline(certificate);
    let rest = clip(&facts, WIDTH - word.len() - 2);
    let line = format!("{}  {}", page.paint(style, word), page.paint(BOLD, &rest));
    page.raw(&line);
    page.wrapped(0, 0, Style::new(), &meaning(certificate));
    if let Some(server) = &certificate.server {
        page.wrapped(
            0,
            2,
            DIM,
            &format!("{} at {}", server_versions(server), one_line(&server.address)),
        );
    }
    let counts = certificate.counts;
    let mut line = format!(
        "{} claims expected, {} settled: {} proven, {} refuted; {} unproven",
        grouped(counts.expected),
        grouped(counts.settled),
        grouped(counts.proven),
        grouped(counts.refuted),
        grouped(counts.unproven)
    );
    // The time of each drill stands in its record.
    let timings = certificate.timings.iter().filter(|(name, _)| !name.starts_with("drill."));
    for (name, ms) in timings.take(6) {
        let _ = write!(line, " · {} {}", timing_name(name), milliseconds(*ms));
    }
    page.wrapped(0, 2, DIM, &line);
}

fn scores(page: &mut Page, certificate: &Certificate) {
    page.blank();
    let titles = certificate.refinements.iter().map(|one| one_line(&one.title).chars().count());
    let width = titles.max().unwrap_or(0).min(WIDTH - BAR - 14);
    for refinement in &certificate.refinements {
        let title = clip(&one_line(&refinement.title), width);
        let pad = " ".repeat(width - title.chars().count());
        let (bar, share) = match refinement.score {
            Some(score) => (page.bar(score), format!("{:>8}", score.to_string())),
            None if certificate.scope == Scope::Part => {
                (" ".repeat(BAR), page.paint(DIM, "not run"))
            }
            None => (" ".repeat(BAR), page.paint(DIM, "no weight")),
        };
        let line = format!("  {title}{pad}  {bar} {share}");
        page.raw(&line);
    }
}

fn refuted(page: &mut Page, certificate: &Certificate, limits: &Limits) {
    let claims = with_status(certificate, Status::Refuted);
    if claims.is_empty() {
        return;
    }
    page.blank();
    page.line(BAD.bold(), &format!("REFUTED ({})", claims.len()));
    for claim in claims.iter().take(limits.refuted) {
        refuted_claim(page, claim, limits);
    }
    page.more(claims.len(), limits.refuted, "refuted claims");
}

fn refuted_claim(page: &mut Page, claim: &ClaimResult, limits: &Limits) {
    let optional = if claim.required { "" } else { ", optional" };
    let severity = severity_word(claim.severity);
    page.wrapped(2, 4, BAD, &format!("✗ {} ({severity}{optional})", one_line(&claim.id)));
    page.wrapped(4, 4, Style::new(), &one_line(&claim.statement));
    let findings: Vec<&Finding> = claim.findings().collect();
    if findings.is_empty() {
        page.field("target", &one_line(&claim.target));
        page.field("observed", &one_line(&claim.observed));
    }
    for finding in findings.iter().take(limits.findings) {
        page.field("object", &one_line(&finding.object));
        page.field("expected", &one_line(&finding.expected));
        page.field("found", &one_line(&finding.found));
        if let Some(remedy) = &finding.remedy {
            let all: Vec<String> = lines(remedy).collect();
            for (at, line) in all.iter().take(limits.remedy_lines).enumerate() {
                page.field(if at == 0 { "remedy" } else { "" }, line);
            }
            if all.len() > limits.remedy_lines {
                page.field("", "…");
            }
        }
    }
    if findings.len() > limits.findings {
        let more = findings.len() - limits.findings;
        page.field("", &format!("… and {more} more findings"));
    }
}

fn unproven(page: &mut Page, certificate: &Certificate, limits: &Limits) {
    let groups = open_by_reason(certificate);
    if groups.is_empty() {
        return;
    }
    page.blank();
    page.line(OPEN.bold(), &format!("UNPROVEN ({})", certificate.counts.unproven));
    for Open { reason, advice, claims } in groups.iter().take(limits.reasons) {
        let count = format!("{:>5}  ", claims.len());
        page.wrapped(0, 7, OPEN, &format!("{count}{}", one_line(reason)));
        if limits.examples > 0 {
            let some = claims.iter().take(limits.examples);
            let ids: Vec<String> = some.map(|claim| one_line(&claim.id)).collect();
            let more = if claims.len() > ids.len() { ", …" } else { "" };
            page.wrapped(7, 7, DIM, &clip(&format!("{}{more}", ids.join(", ")), 2 * (WIDTH - 7)));
        }
        if let Some(advice) = advice {
            page.wrapped(7, 9, Style::new(), &format!("→ {}", advice.replace('`', "")));
        }
    }
    page.more(groups.len(), limits.reasons, "reasons");
}

fn remarks(page: &mut Page, title: &str, style: Style, remarks: &[String], shown: usize) {
    if remarks.is_empty() {
        return;
    }
    page.blank();
    if shown == 0 {
        let (n, name) = (remarks.len(), title.to_lowercase());
        let text = format!("{name}: {n}, shown by -v and in the reports");
        return page.line(DIM, &text);
    }
    page.line(style, title);
    for remark in remarks.iter().take(shown) {
        page.wrapped(2, 4, Style::new(), &one_line(remark));
    }
    page.more(remarks.len(), shown, "remarks");
}

/// The text, or its beginning with `…` when it is longer than `width` characters.
fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Breaks a line into pieces of at most `width` characters, at spaces where there are any.
fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    let mut width = first;
    let mut words = text.split_inclusive(' ').map(str::to_owned).collect::<Vec<_>>();
    words.reverse();
    while let Some(word) = words.pop() {
        let size = word.trim_end().chars().count();
        if length + size <= width {
            length += word.chars().count();
            line.push_str(&word);
        } else if length == 0 {
            let at = word.char_indices().nth(width).map_or(word.len(), |(at, _)| at);
            let (head, tail) = word.split_at(at);
            out.push(head.to_owned());
            width = rest;
            words.push(tail.to_owned());
        } else {
            out.push(std::mem::take(&mut line));
            length = 0;
            width = rest;
            words.push(word);
        }
    }
    if !line.trim().is_empty() || out.is_empty() {
        out.push(line);
    }
    out
}

/// Text being laid out.
struct Page {
    out: String,
    color: bool,
}

impl Page {
    fn paint(&self, style: Style, text: &str) -> String {
        if self.color && style != Style::new() && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn raw(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn blank(&mut self) {
        self.out.push('\n');
    }

    fn line(&mut self, style: Style, text: &str) {
        let painted = self.paint(style, text);
        self.raw(&painted);
    }

    /// One paragraph, its first line indented by `first` columns and the others by `rest`.
    fn wrapped(&mut self, first: usize, rest: usize, style: Style, text: &str) {
        for (at, piece) in wrap(text, WIDTH - first, WIDTH - rest).iter().enumerate() {
            let indent = " ".repeat(if at == 0 { first } else { rest });
            let painted = self.paint(style, piece.trim_end());
            self.raw(&format!("{indent}{painted}"));
        }
    }

    /// A labelled value under a claim; long values are cut after four lines.
    fn field(&mut self, label: &str, value: &str) {
        const COLUMN: usize = 14;
        let value = clip(value, 4 * (WIDTH - COLUMN));
        for (at, piece) in wrap(&value, WIDTH - COLUMN, WIDTH - COLUMN).iter().enumerate() {
            let label = format!("{:<10}", if at == 0 { label } else { "" });
            let painted = self.paint(DIM, &label);
            self.raw(&format!("    {painted}{}", piece.trim_end()));
        }
    }

    fn more(&mut self, all: usize, shown: usize, what: &str) {
        if all > shown {
            let text = format!("  … and {} more {what}: see certificate.html", all - shown);
            self.line(DIM, &text);
        }
    }

    fn bar(&self, score: Percent) -> String {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a percentage from 0 to 100"
        )]
        let tenths = (score.value() * 10.0).round() as usize;
        let full = tenths * BAR / 1000;
        let style = if score == Percent::FULL { GOOD } else { OPEN };
        let (full, rest) = ("█".repeat(full), "░".repeat(BAR - full));
        format!("{}{}", self.paint(style, &full), self.paint(DIM, &rest))
    }
}
