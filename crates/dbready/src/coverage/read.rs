//! Reading a coverage report of whatever format, as untrusted input.

use super::report::Report;
use super::{cobertura, lcov, llvm_json};

/// Longest report that is read, in bytes.
pub const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Highest line number that is believed: a report of one line must not fill the memory.
pub(super) const MAX_LINE: u32 = 10_000_000;

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}{problem}", line.map_or_else(String::new, |line| format!("line {line}: ")))]
pub struct ReadError {
    line: Option<usize>,
    problem: String,
}

/// Where a report is damaged, and how.
pub(super) struct Damage {
    pub(super) line: Option<usize>,
    pub(super) problem: String,
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> Self {
        Self { line: damage.line, problem: damage.problem }
    }
}

/// Reads a report: LCOV, Cobertura XML or the JSON of llvm-cov, known by its first character.
///
/// # Errors
///
/// [`ReadError`] for any other format, for a damaged or cut off report, and for one that speaks of no
/// file.
pub fn read(bytes: &[u8]) -> Result<Report, ReadError> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let report = match text.chars().next() {
        None => Err(Damage { line: None, problem: "an empty file".to_owned() }),
        Some('<') => cobertura::parse(text),
        Some('{') => llvm_json::parse(text),
        Some('[') => {
            let problem = "expected LCOV, Cobertura XML or the JSON of llvm-cov, found a JSON list";
            Err(Damage { line: None, problem: problem.to_owned() })
        }
        Some(_) => lcov::parse(text),
    }?;
    if report.files.is_empty() {
        return Err(ReadError {
            line: None,
            problem: "a report that speaks of no file".to_owned(),
        });
    }
    Ok(report)
}

/// A line number from 1 on.
pub(super) fn line_number(text: Option<&str>) -> Result<u32, String> {
    let text = text.unwrap_or_default().trim();
    let number = text.parse::<u32>().ok().filter(|number| (1..=MAX_LINE).contains(number));
    number.ok_or_else(|| {
        let short: String = text.chars().take(40).collect();
        format!("expected a line number from 1 to {MAX_LINE}, found `{}`", short.escape_debug())
    })
}
