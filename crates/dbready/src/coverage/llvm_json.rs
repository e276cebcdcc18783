//! The JSON of `llvm-cov export`, as `cargo llvm-cov --json` and clang's tools write it.

use serde::Deserialize;

use super::read::{Damage, MAX_LINE};
use super::report::{Branch, Function, Report, SourceFile};

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    data: Vec<Export>,
}

#[derive(Deserialize)]
struct Export {
    files: Vec<File>,
    #[serde(default)]
    functions: Vec<Called>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    /// Absent in summaries (`--summary-only`), whose figures are not believed.
    segments: Option<Vec<Segment>>,
    #[serde(default)]
    branches: Vec<Vec<serde_json::Value>>,
}

#[derive(Deserialize)]
struct Called {
    name: String,
    count: u64,
    regions: Vec<Vec<u64>>,
    filenames: Vec<String>,
}

/// Line, column, count, whether it has a count, starts a region, is a gap.
#[derive(Deserialize, Clone, Copy)]
struct Segment(u32, u32, u64, bool, bool, #[serde(default)] bool);

impl Segment {
    fn starts_counted(self) -> bool {
        self.3 && self.4 && !self.5
    }
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Report, Damage> {
    let document: Document = serde_json::from_str(text).map_err(|error| Damage {
        line: Some(error.line()),
        problem: format!("expected the JSON of `llvm-cov export`: {error}"),
    })?;
    let damage = |problem: String| Damage { line: None, problem };
    if document.kind != "llvm.coverage.json.export" {
        let kind: String = document.kind.chars().take(60).collect();
        let found = kind.escape_debug();
        return Err(damage(format!("expected `llvm.coverage.json.export`, found `{found}`")));
    }
    let mut report = Report::default();
    for export in document.data {
        for file in export.files {
            let name: String = file.filename.chars().take(200).collect();
            let wrong = |problem: &str| damage(format!("{}: {problem}", name.escape_debug()));
            let Some(segments) = &file.segments else {
                return Err(wrong("a summary without segments; export without `--summary-only`"));
            };
            let known = report.file(&file.filename);
            lines(segments, known).map_err(wrong)?;
            for branch in &file.branches {
                add_branch(branch, known).ok_or_else(|| wrong("a branch of another form"))?;
            }
        }
        for called in export.functions {
            let spans = called.regions.iter().filter_map(|region| match region.as_slice() {
                // Regions of the function's own file, and of code.
                [start, _, end, _, _, 0, _, 0] => Some((*start, *end)),
                _ => None,
            });
            let first = spans.clone().map(|(start, _)| start).min();
            let last = spans.map(|(_, end)| end).max();
            let (Some(file), Some(first), Some(last)) = (called.filenames.first(), first, last)
            else {
                continue;
            };
            let number =
                |line: u64| u32::try_from(line).ok().filter(|line| (1..=MAX_LINE).contains(line));
            let (Some(first), Some(last)) = (number(first), number(last)) else {
                return Err(damage("a function at a line that no file has".to_owned()));
            };
            // A function may stand in a file that the export leaves out.
            if let Some(known) = report.files.get_mut(file) {
                let name = called.name.rsplit_once(".c:").map_or(&*called.name, |(_, name)| name);
                let name = format!("{:#}", rustc_demangle::demangle(name));
                let function = Function { end: Some(last), count: called.count };
                known.add_function(name, first, function);
            }
        }
    }
    Ok(report)
}

/// Lines from segments, as LLVM counts them: a line can run when a counted region starts in it or
/// spans it, and ran as often as the busiest of them. Source: `LineCoverageStats` in LLVM's
/// `CoverageMapping.cpp`.
fn lines(segments: &[Segment], file: &mut SourceFile) -> Result<(), &'static str> {
    if segments.iter().any(|segment| !(1..=MAX_LINE).contains(&segment.0)) {
        return Err("a segment at a line that no file has");
    }
    if !segments.is_sorted_by_key(|segment| (segment.0, segment.1)) {
        return Err("segments out of order");
    }
    let mut wrapped: Option<Segment> = None;
    let mut next_line = 0;
    for here in segments.chunk_by(|one, other| one.0 == other.0) {
        let Some((first, last)) = here.first().zip(here.last()) else { continue };
        if let Some(around) = wrapped.filter(|around| around.3) {
            for line in next_line..first.0 {
                file.add_line(line, around.2);
            }
        }
        let starts = || here.iter().copied().filter(|segment| segment.starts_counted());
        let skipped = !first.3 && first.4;
        let spanned = wrapped.filter(|around| around.3);
        let mapped = (!skipped && (spanned.is_some() || starts().next().is_some()))
            || here.iter().any(|segment| segment.4 && segment.3);
        if mapped {
            let around = wrapped.map_or(0, |around| around.2);
            file.add_line(first.0, starts().map(|segment| segment.2).fold(around, u64::max));
        }
        wrapped = Some(*last);
        next_line = first.0 + 1;
    }
    Ok(())
}

/// `[line, column, line, column, taken, not taken, …]`: two outcomes.
fn add_branch(branch: &[serde_json::Value], file: &mut SourceFile) -> Option<()> {
    let number = |at: usize| branch.get(at).and_then(serde_json::Value::as_u64);
    let line = u32::try_from(number(0)?).ok()?;
    let name = format!("{}-{}:{}", number(1)?, number(2)?, number(3)?);
    for (outcome, at) in [("true", 4), ("false", 5)] {
        let taken = number(at)?.min(1);
        file.add_branch(line, format!("{name} {outcome}"), Branch { taken, total: 1 });
    }
    Some(())
}
