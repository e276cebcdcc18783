//! The score, figures, drills, alerts, coverage, waivers and deviations.

use std::collections::{HashMap, HashSet};

use super::super::error::quoted;
use super::super::locate::Path;
use super::super::measures::Figure;
use super::super::model::Model;
use super::super::names;
use super::Found;
use super::queries::text;

/// How far the shares of a refinement may miss 1, so that thirds can be written as decimals.
const ROUNDING: f64 = 0.01;

pub(super) fn problems(model: &Model, found: &mut Found) {
    let areas: HashSet<&str> = model.score.areas.iter().map(|area| area.name.as_str()).collect();
    score(model, found);
    let base = Path::new("figure");
    let named = model.figures.iter().map(|one| one.name.as_str());
    found.names("figure", &base, named, names::word);
    for (at, one) in model.figures.iter().enumerate() {
        figure(one, &areas, &base.at(at), found);
    }
    let base = Path::new("drill");
    let named = model.drills.iter().map(|one| one.name.as_str());
    found.names("drill", &base, named, names::word);
    for (at, one) in model.drills.iter().enumerate() {
        found.not_blank(&base.at(at), "statement", &one.statement);
    }
    alerts(model, found);
    coverage(model, found);
    let base = Path::new("waiver");
    let claims = model.waivers.iter().map(|one| one.claim.as_str());
    found.list("claim", claims, text, |at| base.at(at).key("claim"));
    for (at, one) in model.waivers.iter().enumerate() {
        found.not_blank(&base.at(at), "reason", &one.reason);
    }
    let base = Path::new("deviation");
    let about = model.deviations.iter().map(|one| one.about.as_str());
    found.list("deviation", about, text, |at| base.at(at).key("about"));
}

fn score(model: &Model, found: &mut Found) {
    let score = &model.score;
    let path = Path::new("score");
    let base = path.key("refinement");
    let named: HashSet<&str> = score.refinements.iter().map(|one| one.name.as_str()).collect();
    let mut shares: HashMap<&str, f64> = HashMap::new();
    for area in &score.areas {
        *shares.entry(&area.refinement).or_default() += area.weight;
    }
    let each = score.refinements.iter().map(|one| one.name.as_str());
    found.names("refinement", &base, each, names::word);
    if score.refinements.is_empty() {
        found.push(base.clone(), "expected at least one refinement, found none");
    }
    let all_named = score.areas.iter().all(|area| named.contains(area.refinement.as_str()));
    for (at, refinement) in score.refinements.iter().enumerate() {
        let path = base.at(at);
        found.not_blank(&path, "title", &refinement.title);
        found.positive(path.key("weight"), refinement.weight);
        let name = quoted(&refinement.name);
        match shares.get(refinement.name.as_str()) {
            None => {
                let message = format!("refinement `{name}` has no area; state one or remove it");
                found.push(path, message);
            }
            // An area that names no refinement may be the one that is missing here.
            Some(sum) if all_named && (sum - 1.0).abs() > ROUNDING => {
                let message = format!(
                    "expected the weights of the areas of `{name}` to add up to 1, found {sum:.3}"
                );
                found.push(path, message);
            }
            Some(_) => {}
        }
    }
    let base = path.key("area");
    let each = score.areas.iter().map(|one| one.name.as_str());
    found.names("area", &base, each, names::word);
    for (at, area) in score.areas.iter().enumerate() {
        let path = base.at(at);
        found.not_blank(&path, "title", &area.title);
        found.positive(path.key("weight"), area.weight);
        if !named.contains(area.refinement.as_str()) {
            let message = format!(
                "expected a refinement of this score, found `{}`",
                quoted(&area.refinement)
            );
            found.push(path.key("refinement"), message);
        }
    }
}

fn figure(figure: &Figure, areas: &HashSet<&str>, path: &Path, found: &mut Found) {
    match (figure.at_most, figure.at_least) {
        (Some(_), Some(_)) => {
            let message = "expected `at_most` or `at_least`, found both; remove one";
            found.push(path.key("at_least"), message);
        }
        (None, None) => {
            found.push(path.clone(), "expected `at_most` or `at_least`, found none");
        }
        _ => {}
    }
    for (key, limit) in [("at_most", figure.at_most), ("at_least", figure.at_least)] {
        if let Some(limit) = limit.filter(|limit| !limit.is_finite()) {
            found.push(path.key(key), format!("expected a finite number, found {limit}"));
        }
    }
    for (key, value) in [("statement", &figure.statement), ("unit", &figure.unit)] {
        found.not_blank(path, key, value);
    }
    found.rule(path.key("statistic"), names::word(&figure.statistic));
    if !areas.contains(figure.area.as_str()) {
        let message = format!("expected an area of the score, found `{}`", quoted(&figure.area));
        found.push(path.key("area"), message);
    }
}

fn alerts(model: &Model, found: &mut Found) {
    let base = Path::new("alert");
    let named = model.alerts.iter().map(|one| one.name.as_str());
    found.names("alert", &base, named, names::word);
    for (at, alert) in model.alerts.iter().enumerate() {
        let path = base.at(at);
        found.not_blank(&path, "metric", &alert.metric);
        found.not_blank(&path, "unit", &alert.unit);
        if !alert.above.is_finite() {
            let message = format!("expected a finite number, found {}", alert.above);
            found.push(path.key("above"), message);
        }
    }
}

fn coverage(model: &Model, found: &mut Found) {
    let (path, coverage) = (Path::new("coverage"), &model.coverage);
    found.percent(path.key("percent"), coverage.percent);
    // A module is named as the compiler does: `signal_store::ingest`.
    found.listed("module", &path.key("modules"), &coverage.modules, module);
    found.listed("method", &path.key("methods"), &coverage.methods, names::word);
    let base = path.key("critical_path");
    let named = coverage.critical_paths.iter().map(|one| one.name.as_str());
    found.names("critical path", &base, named, names::word);
    for (at, one) in coverage.critical_paths.iter().enumerate() {
        let path = base.at(at);
        found.not_blank(&path, "statement", &one.statement);
        found.listed("method", &path.key("methods"), &one.methods, names::word);
        for method in one.methods.iter().filter(|method| !coverage.methods.contains(method)) {
            let message =
                format!("expected one of the methods of `coverage`, found `{}`", quoted(method));
            found.push(path.key("methods"), message);
        }
    }
    if let Some(percent) = coverage.mutation_percent {
        found.percent(path.key("mutation_percent"), percent);
    }
}

/// The name of a module or of its file, without spaces.
fn module(name: &str) -> Result<(), String> {
    let refused = |c: char| c.is_control() || c.is_whitespace();
    if name.is_empty() || name.contains(refused) {
        return Err(format!("expected a name without spaces, found `{}`", quoted(name)));
    }
    Ok(())
}
