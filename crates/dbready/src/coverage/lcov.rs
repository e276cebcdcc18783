//! LCOV trace files, of versions 1 and 2.
//!
//! Read here because the crates at hand know version 1 only: no `FNL` and `FNA`, no last line in `FN`,
//! no named branches. Source: `geninfo(1)`, section "tracefile format".

use std::collections::BTreeMap;

use super::read::{Damage, line_number};
use super::report::{Branch, Function, Report};

/// The file under way.
#[derive(Default)]
struct Section {
    path: String,
    lines: u64,
    stated_lines: Option<u64>,
    /// First and last line by name (version 1) or number (version 2).
    spans: BTreeMap<String, (u32, Option<u32>)>,
}

/// Reads a trace file.
pub(super) fn parse(text: &str) -> Result<Report, Damage> {
    let mut report = Report::default();
    let mut section: Option<Section> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let damage = |problem: String| Damage { line: Some(index + 1), problem };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "end_of_record" {
            let Some(done) = section.take() else {
                return Err(damage("`end_of_record` without a file before it".to_owned()));
            };
            done.close(&mut report);
            continue;
        }
        let (key, value) = line
            .split_once(':')
            .ok_or_else(|| damage("expected a record such as `DA:1,5`".to_owned()))?;
        match (key, &mut section) {
            ("TN" | "VER", _) => {}
            ("SF", Some(open)) => {
                return Err(damage(format!("the record of {} has no end", open.shown())));
            }
            ("SF", None) if value.trim().is_empty() => {
                return Err(damage("a file without a path".to_owned()));
            }
            ("SF", None) => {
                // A file counts as reported also when it has no line that can run.
                report.file(value);
                section = Some(Section { path: value.to_owned(), ..Section::default() });
            }
            (_, Some(open)) => open.record(key, value, &mut report).map_err(damage)?,
            (_, None) => return Err(damage(format!("`{}` outside a file", shown(key)))),
        }
    }
    match section {
        Some(open) => Err(Damage {
            line: None,
            problem: format!("cut off: the record of {} has no end", open.shown()),
        }),
        None => Ok(report),
    }
}

impl Section {
    fn record(&mut self, key: &str, value: &str, report: &mut Report) -> Result<(), String> {
        let file = report.file(&self.path);
        match key {
            "DA" => {
                let mut parts = value.splitn(3, ',');
                let line = line_number(parts.next())?;
                file.add_line(line, count(parts.next())?);
                self.lines += 1;
            }
            "FN" => {
                let (start, rest) = halves(value)?;
                let start = line_number(Some(start))?;
                let (end, name) = match rest.split_once(',') {
                    Some((end, name)) if line_number(Some(end)).is_ok() => {
                        (Some(line_number(Some(end))?), name)
                    }
                    _ => (None, rest),
                };
                self.spans.insert(name.to_owned(), (start, end));
                file.add_function(readable(name), start, Function { end, count: 0 });
            }
            "FNDA" => {
                let (calls, name) = halves(value)?;
                let calls = count(Some(calls))?;
                let Some((start, end)) = self.spans.get(name).copied() else {
                    return Err(format!("calls of `{}`, which has no place", shown(name)));
                };
                file.add_function(readable(name), start, Function { end, count: calls });
            }
            "FNL" => {
                let mut parts = value.splitn(3, ',');
                let number = parts.next().unwrap_or_default().to_owned();
                let start = line_number(parts.next())?;
                let end = parts.next().map(|end| line_number(Some(end))).transpose()?;
                self.spans.insert(number, (start, end));
            }
            "FNA" => {
                let (number, rest) = halves(value)?;
                let (calls, name) = halves(rest)?;
                let calls = count(Some(calls))?;
                let Some((start, end)) = self.spans.get(number).copied() else {
                    return Err(format!("function {} has no place", shown(number)));
                };
                file.add_function(readable(name), start, Function { end, count: calls });
            }
            "BRDA" => {
                let (line, rest) = halves(value)?;
                let line = line_number(Some(line))?;
                let (name, taken) = rest
                    .rsplit_once(',')
                    .ok_or_else(|| format!("expected four parts, found `{}`", shown(value)))?;
                let taken = if taken == "-" { 0 } else { count(Some(taken))? };
                let branch = Branch { taken: taken.min(1), total: 1 };
                file.add_branch(line, name.to_owned(), branch);
            }
            "LF" => self.stated_lines = Some(count(Some(value))?),
            // Summaries are counted from the records, never believed.
            "LH" | "FNF" | "FNH" | "BRF" | "BRH" | "MCDC" | "MCF" | "MCH" | "MRF" | "MRH" => {}
            _ => return Err(format!("`{}` is no record of an LCOV trace", shown(key))),
        }
        Ok(())
    }

    fn close(self, report: &mut Report) {
        if let Some(stated) = self.stated_lines.filter(|stated| *stated != self.lines) {
            report.notes.push(format!(
                "{}: the summary counts {stated} lines, the records hold {}; the records count",
                self.shown(),
                self.lines
            ));
        }
    }

    fn shown(&self) -> String {
        shown(&self.path)
    }
}

fn halves(value: &str) -> Result<(&str, &str), String> {
    value.split_once(',').ok_or_else(|| format!("expected a comma in `{}`", shown(value)))
}

/// How often something ran. A number too large to hold is the largest.
fn count(text: Option<&str>) -> Result<u64, String> {
    let text = text.unwrap_or_default().trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("expected a count, found `{}`", shown(text)));
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

fn readable(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    short.escape_debug().to_string()
}
