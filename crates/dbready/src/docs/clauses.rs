//! Everything beside tables and queries: pool, formats, changes, monitoring, figures, drills.

use super::page::{Page, cell, cells, yes};
use crate::contract::{Contract, Edition, Format, LeastProfile, Limit, Range};
use crate::markup::{cell_code, code, text};

pub(super) fn write(page: &mut Page, contract: &Contract) {
    pool(page, contract);
    data(page, contract);
    versioning(page, contract);
    monitoring(page, contract);
    figures(page, contract);
    coverage(page, contract);
    waivers(page, contract);
    deviations(page, contract);
}

fn pool(page: &mut Page, contract: &Contract) {
    let pool = &contract.model.pool;
    page.heading(2, "Connection pool");
    page.item(&format!("{} to {} connections", pool.min, pool.max));
    page.item(&format!("a connection within {} ms, or a clear error", pool.acquire_timeout_ms));
    page.item(&format!("a command within {} ms", pool.command_timeout_ms));
    page.item(&format!("application name {}", code(&pool.application_name)));
    page.item(&format!("just-in-time compilation: {}", yes(pool.jit)));
    page.item(&format!("at least {} % of acquires reuse a connection", pool.reuse_percent));
    page.item(&format!("an alert at {} % utilisation", pool.alert_percent));
    page.end_list();
    page.heading(2, "Transactions");
    let isolation = &contract.model.transactions.isolation;
    page.paragraph(&format!("Default isolation: {}.", code(isolation)));
}

fn data(page: &mut Page, contract: &Contract) {
    let model = &contract.model;
    page.heading(2, "Data formats");
    for format in &model.formats {
        self::format(page, format);
    }
    page.table(
        &["range", "values", "meaning", "columns"],
        model.ranges.iter().map(|range| {
            let columns = cells(&range.columns);
            vec![cell(&range.name), cell(&interval(range)), text(&range.meaning), columns]
        }),
    );
    page.table(
        &["precision", "decimal places at most", "columns"],
        model
            .precisions
            .iter()
            .map(|one| vec![cell(&one.name), one.scale.to_string(), cells(&one.columns)]),
    );
    for (what, columns) in [
        ("Instants in UTC, finite", &model.timestamps.columns),
        ("JSON objects, never null, `{}` when empty", &model.json_objects.columns),
    ] {
        if !columns.is_empty() {
            page.paragraph(&format!("{what}: {}.", cells(columns)));
        }
    }
}

fn format(page: &mut Page, format: &Format) {
    page.heading(3, &code(&format.name));
    page.paragraph(&format!("{}.", text(&format.meaning)));
    page.item(&format!("pattern {}", code(&format.pattern)));
    page.item(&format!("such as {}", examples(&format.examples)));
    page.item(&format!("but not {}", examples(&format.counterexamples)));
    page.item(&format!("in {}", cells(&format.columns)));
    page.end_list();
}

/// Examples with their quotes, so that blanks and line ends are seen.
fn examples(values: &[String]) -> String {
    values.iter().map(|value| code(&format!("{value:?}"))).collect::<Vec<_>>().join(", ")
}

/// `[0, 10)`: the values of a range in the usual notation.
fn interval(range: &Range) -> String {
    let from = match (range.min, range.above) {
        (Some(min), _) => format!("[{min}"),
        (None, Some(above)) => format!("({above}"),
        (None, None) => "(−∞".to_owned(),
    };
    let to = match (range.max, range.below) {
        (Some(max), _) => format!("{max}]"),
        (None, Some(below)) => format!("{below})"),
        (None, None) => "∞)".to_owned(),
    };
    format!("{from}, {to}")
}

fn versioning(page: &mut Page, contract: &Contract) {
    let versioning = &contract.model.versioning;
    page.heading(2, "Changes");
    page.paragraph(&format!(
        "A breaking change is announced {} days before. Applied versions are in {}.",
        versioning.notice_days,
        code(&versioning.table)
    ));
    for (title, clauses) in
        [("Breaking:", &versioning.breaking), ("Not breaking:", &versioning.compatible)]
    {
        if clauses.is_empty() {
            continue;
        }
        page.paragraph(title);
        for clause in clauses {
            page.item(&text(clause));
        }
        page.end_list();
    }
    page.table(
        &["announced", "version", "takes effect", "what"],
        versioning.announcements.iter().map(|one| {
            vec![
                one.announced.to_string(),
                one.version.to_string(),
                one.effective.to_string(),
                text(&one.what),
            ]
        }),
    );
    page.table(
        &["version", "description", "breaking"],
        contract.migrations.iter().map(|one| {
            vec![one.version.to_string(), text(&one.description), yes(one.breaking).to_owned()]
        }),
    );
}

fn monitoring(page: &mut Page, contract: &Contract) {
    if contract.model.alerts.is_empty() {
        return;
    }
    page.heading(2, "Monitoring");
    page.table(
        &["alert", "what is watched", "above", "over"],
        contract.model.alerts.iter().map(|alert| {
            let above = format!("{} {}", alert.above, text(&alert.unit));
            vec![cell(&alert.name), text(&alert.metric), above, alert.over.to_string()]
        }),
    );
}

fn figures(page: &mut Page, contract: &Contract) {
    let model = &contract.model;
    if !model.figures.is_empty() {
        page.heading(2, "Figures");
        page.paragraph(
            "Each is measured; the last column is what the original document said, for comparison.",
        );
    }
    page.table(
        &["figure", "area", "statement", "limit", "measured by", "said"],
        model.figures.iter().map(|figure| {
            let (sign, limit) = match figure.limit() {
                Limit::AtMost(limit) => ('≤', limit),
                Limit::AtLeast(limit) => ('≥', limit),
            };
            let edition = match figure.edition {
                Edition::Any => "",
                Edition::Community => ", Community edition",
            };
            let source = match figure.source {
                crate::contract::FigureSource::Load => "load",
                crate::contract::FigureSource::Drill => "drill",
            };
            let (statistic, unit) = (text(&figure.statistic), text(&figure.unit));
            vec![
                cell(&figure.name),
                cell(&figure.area),
                text(&figure.statement),
                format!("{statistic} {sign} {limit} {unit}"),
                format!("{source}{edition}"),
                figure.said.as_deref().map_or_else(|| "–".to_owned(), text),
            ]
        }),
    );
    page.table(
        &["figure", "workload", "statement"],
        model.figures.iter().filter_map(|figure| {
            let workload = figure.workload.as_ref()?;
            let profile = match workload.profile {
                LeastProfile::Quick => "",
                LeastProfile::Standard => ", from the profile `standard` on",
            };
            let files: Vec<String> =
                workload.files().map(|(key, file)| format!("{key} {}", cell(file))).collect();
            let meaning = format!("{}{profile}", text(&workload.meaning));
            Some(vec![cell(&figure.name), meaning, files.join(", ")])
        }),
    );
    if !model.drills.is_empty() {
        page.heading(2, "Failure drills");
    }
    page.table(
        &["drill", "invariant"],
        model.drills.iter().map(|drill| vec![cell(&drill.name), text(&drill.statement)]),
    );
}

fn coverage(page: &mut Page, contract: &Contract) {
    let model = &contract.model;
    let coverage = &model.coverage;
    page.heading(2, "Tests");
    page.item(&format!("{} % of the lines of {}", coverage.percent, cells(&coverage.modules)));
    page.item(&format!("methods run against a real server: {}", cells(&coverage.methods)));
    if let Some(percent) = coverage.mutation_percent {
        page.item(&format!("{percent} % of the faults put into them are noticed"));
    }
    page.end_list();
    page.table(
        &["critical path", "claim", "methods"],
        coverage
            .critical_paths
            .iter()
            .map(|one| vec![cell(&one.name), text(&one.statement), cells(&one.methods)]),
    );
    page.heading(2, "Score");
    page.table(
        &["refinement", "weight", "area", "share within it"],
        model.score.refinements.iter().flat_map(|refinement| {
            let areas = model.score.areas.iter();
            areas.filter(|area| area.refinement == refinement.name).map(|area| {
                vec![
                    text(&refinement.title),
                    refinement.weight.to_string(),
                    text(&area.title),
                    area.weight.to_string(),
                ]
            })
        }),
    );
}

fn waivers(page: &mut Page, contract: &Contract) {
    if contract.model.waivers.is_empty() {
        return;
    }
    page.heading(2, "Waived claims");
    page.paragraph("Each may stay open until its day, for its reason; it is still measured.");
    page.table(
        &["claim", "until", "reason"],
        contract
            .model
            .waivers
            .iter()
            .map(|one| vec![cell(&one.claim), one.expires.to_string(), text(&one.reason)]),
    );
}

fn deviations(page: &mut Page, contract: &Contract) {
    if contract.model.deviations.is_empty() {
        return;
    }
    page.heading(2, "Departures from the original contract");
    page.table(
        &["about", "stated", "why it cannot work", "what holds instead"],
        contract.model.deviations.iter().map(|one| {
            vec![text(&one.about), cell_code(&one.stated), text(&one.fact), text(&one.ours)]
        }),
    );
}
