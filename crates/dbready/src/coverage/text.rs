//! What a gate says: to people, to a pull request, to GitHub, to scripts.

use std::fmt::Write;

use super::module::{Module, Modules, Standing};
use super::share::{FailUnder, Share};

/// Ranges of lines that a Markdown table names for each module; the rest is counted.
const RANGES_SHOWN: usize = 50;

/// One line for each module, then every line that was not run as `file:line`.
#[must_use]
pub fn summary(modules: &Modules, least: FailUnder) -> String {
    let mut out = String::new();
    let wide = modules.modules.iter().map(|module| module.name.chars().count()).max();
    let wide = wide.unwrap_or_default();
    for module in &modules.modules {
        let verdict = module.standing(least).words();
        let figures = match module.standing(least) {
            Standing::NoData => "no report speaks of any line of it".to_owned(),
            _ => format!(
                "{} % of lines ({} of {}){}{}",
                module.lines,
                module.lines.covered(),
                module.lines.total(),
                further(", functions", module.functions),
                further(", branches", module.branches),
            ),
        };
        let _ = writeln!(out, "{verdict:<7}  {:<wide$}  {figures}", module.name);
    }
    out.push_str(&uncovered(modules));
    let verdict = if modules.pass(least) { "pass" } else { "FAIL" };
    let _ = writeln!(out, "{verdict}: at least {least} % of the lines of each module");
    out
}

/// Every line that was not run, as `file:line`.
#[must_use]
pub fn uncovered(modules: &Modules) -> String {
    let mut lines: Vec<_> = modules.modules.iter().flat_map(|module| &module.uncovered).collect();
    lines.sort_unstable();
    lines.dedup();
    lines.iter().fold(String::new(), |mut out, (path, line)| {
        let _ = writeln!(out, "{}:{line}", path.escape_debug());
        out
    })
}

/// The figure of all modules together, alone; `None` when a module has no data.
#[must_use]
pub fn numeric(modules: &Modules) -> Option<String> {
    let known = modules.modules.iter().all(|module| module.lines.total() > 0);
    (known && modules.total.total() > 0).then(|| modules.total.to_string())
}

/// A table for a pull request.
#[must_use]
pub fn markdown(modules: &Modules, least: FailUnder) -> String {
    let verdict = if modules.pass(least) { "passed" } else { "**failed**" };
    let mut out = format!(
        "### Coverage gate {verdict}\n\nAt least {least} % of the lines of each module.\n\n\
         | module | verdict | lines | functions | branches |\n|---|---|--:|--:|--:|\n"
    );
    for module in &modules.modules {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            code(&module.name),
            module.standing(least).words(),
            cell(module.lines),
            cell(module.functions),
            cell(module.branches)
        );
    }
    for module in modules.modules.iter().filter(|module| !module.uncovered.is_empty()) {
        let ranges = module.uncovered_ranges();
        let count = module.uncovered.len();
        let noun = if count == 1 { "line" } else { "lines" };
        let _ = write!(out, "\n{count} {noun} of {} not run:\n\n", code(&module.name));
        for (path, first, last) in ranges.iter().take(RANGES_SHOWN) {
            let span = if first == last { first.to_string() } else { format!("{first}-{last}") };
            let _ = writeln!(out, "- {}", code(&format!("{path}:{span}")));
        }
        if ranges.len() > RANGES_SHOWN {
            let _ = writeln!(out, "- and {} more ranges", ranges.len() - RANGES_SHOWN);
        }
    }
    out
}

/// Workflow commands of GitHub: an error at every range of lines not run, and one for each module
/// without data.
#[must_use]
pub fn annotations(modules: &Modules, least: FailUnder) -> String {
    let mut out = String::new();
    for module in &modules.modules {
        annotate(module, least, &mut out);
    }
    out
}

fn annotate(module: &Module, least: FailUnder, out: &mut String) {
    let name = message(&module.name);
    match module.standing(least) {
        Standing::Reached => {}
        Standing::NoData => {
            let _ = writeln!(out, "::error title=No coverage data::no report speaks of {name}");
        }
        Standing::Below => {
            for (path, first, last) in module.uncovered_ranges() {
                let _ = writeln!(
                    out,
                    "::error file={},line={first},endLine={last},title=Not covered::\
                     not run by any test; {name} needs {least} %25 and has {} %25",
                    property(path),
                    module.lines
                );
            }
        }
    }
}

fn further(title: &str, share: Share) -> String {
    if share.total() == 0 { String::new() } else { format!("{title} {share} %") }
}

fn cell(share: Share) -> String {
    if share.total() == 0 {
        return "no data".to_owned();
    }
    format!("{share} % ({}/{})", share.covered(), share.total())
}

/// Code in a cell of a table: a bar or a backtick would end it.
fn code(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control() && *c != '`').collect();
    format!("`{}`", plain.replace('|', "\\|"))
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
