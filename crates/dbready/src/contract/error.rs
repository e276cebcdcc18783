//! What is wrong with a contract, and where.

use std::fmt;

/// Problems shown; the rest are counted.
const SHOWN: usize = 50;
/// Problems kept; the rest are counted.
const KEPT: usize = 500;
/// Characters of untrusted text shown in one message.
const LONGEST_QUOTE: usize = 80;
/// Characters of a path shown.
const LONGEST_PATH: usize = 300;
/// Characters of a message.
const LONGEST_MESSAGE: usize = 800;

/// A contract that cannot be used: the problems found, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    problems: Vec<Problem>,
    more: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// File, relative to the contract directory.
    pub file: String,
    /// Line and column, from one and in characters, where they are known.
    pub position: Option<(usize, usize)>,
    /// What was expected, what was found, and what to do.
    pub message: String,
}

impl Error {
    /// The problems; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Problems found beyond those that [`Error::problems`] holds.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    /// An error when there is a problem.
    pub(super) fn check(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort();
        problems.dedup();
        let more = problems.len().saturating_sub(KEPT);
        problems.truncate(KEPT);
        Err(Self { problems, more })
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem], more: 0 }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().take(SHOWN).enumerate() {
            if place > 0 {
                writeln!(out)?;
            }
            write!(out, "{problem}")?;
        }
        match self.problems.len().saturating_sub(SHOWN) + self.more {
            0 => Ok(()),
            more => write!(out, "\nand {more} more"),
        }
    }
}

impl Problem {
    /// A problem of a whole file.
    pub(super) fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: escaped(file, LONGEST_PATH),
            position: None,
            message: one_line(&message.into()),
        }
    }

    /// A problem at a line and column of a file.
    pub(super) fn at(file: &str, position: (usize, usize), message: impl Into<String>) -> Self {
        Self { position: Some(position), ..Self::of_file(file, message) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(out, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(out, "{}: {}", self.file, self.message),
        }
    }
}

/// A text with its lines counted, so that byte offsets become lines and columns.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Counts the lines.
    pub(super) fn new(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(ends).collect() }
    }

    /// Line and column, from one and in characters, of a byte offset.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// Untrusted text for a message: control characters escaped, and not too long.
pub(super) fn quoted(text: &str) -> String {
    escaped(text, LONGEST_QUOTE)
}

fn escaped(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    let mut characters = text.chars();
    for character in characters.by_ref().take(longest) {
        escape(character, &mut shown);
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// A message on one line, not too long, with control characters escaped.
fn one_line(text: &str) -> String {
    let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    escaped(&lines.collect::<Vec<_>>().join("; "), LONGEST_MESSAGE)
}

fn escape(character: char, out: &mut String) {
    // Marks without width and bidirectional controls hide or reorder what a terminal shows.
    let hidden = matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if character.is_control() {
        out.extend(character.escape_debug());
    } else if hidden {
        out.extend(character.escape_unicode());
    } else {
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_file_line_and_column() {
        let lines = Lines::new("a\nbé = 1");
        let problem = Problem::at("contract.toml", lines.position(6), "expected x");
        assert_eq!(problem.to_string(), "contract.toml:2:4: expected x");
        assert_eq!(lines.position(0), (1, 1));
        assert_eq!(lines.position(1), (1, 2));
        assert_eq!(lines.position(2), (2, 1));
        assert_eq!(lines.position(9), (2, 7));
    }

    #[test]
    fn offsets_outside_a_text_do_no_harm() {
        assert_eq!(Lines::new("").position(0), (1, 1));
        assert_eq!(Lines::new("é\n").position(1), (1, 1));
        assert_eq!(Lines::new("a\nb").position(99), (2, 1));
    }

    #[test]
    fn hostile_text_stays_on_one_line_and_is_cut() {
        let problem = Problem::of_file("a\x1b[31m", "found\n`\u{202e}x\0`\r\n");
        assert_eq!(problem.to_string(), "a\\u{1b}[31m: found; `\\u{202e}x\\0`");
        assert_eq!(quoted("a\nb"), "a\\nb");
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), LONGEST_QUOTE + 1);
        let problem = Problem::of_file("a", "y".repeat(10_000));
        assert_eq!(problem.message.chars().count(), LONGEST_MESSAGE + 1);
    }

    #[test]
    fn many_problems_are_counted() {
        let problems = (0..SHOWN + 5).map(|n| Problem::of_file("f", format!("{n}"))).collect();
        let text = Error::check(problems).unwrap_err().to_string();
        assert_eq!(text.lines().count(), SHOWN + 1);
        assert!(text.ends_with("and 5 more"));
        let problems = (0..KEPT + 7).map(|n| Problem::of_file("f", format!("{n}"))).collect();
        let error = Error::check(problems).unwrap_err();
        assert_eq!((error.problems().len(), error.more()), (KEPT, 7));
        assert!(error.to_string().ends_with(&format!("and {} more", KEPT + 7 - SHOWN)));
    }

    #[test]
    fn problems_come_in_the_order_of_the_text() {
        let problems = vec![
            Problem::at("b", (1, 1), "z"),
            Problem::at("a", (10, 1), "y"),
            Problem::at("a", (9, 1), "x"),
        ];
        let text = Error::check(problems).unwrap_err().to_string();
        assert_eq!(text, "a:9:1: x\na:10:1: y\nb:1:1: z");
    }
}
