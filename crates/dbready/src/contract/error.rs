//! What is wrong with a contract, and where.

use std::fmt;

/// Problems shown; the rest are counted.
const SHOWN: usize = 40;
/// Characters of untrusted text shown in one message.
const LONGEST_QUOTE: usize = 80;

/// A contract that cannot be used: every problem found, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File, relative to the contract directory.
    pub file: String,
    /// Line and column, from one, where they are known.
    pub position: Option<(usize, usize)>,
    /// What was expected, what was found, and what to do.
    pub message: String,
}

impl Error {
    /// Every problem; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// An error when there is a problem.
    pub(super) fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
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
        match self.problems.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(out, "\nand {more} more"),
        }
    }
}

impl Problem {
    /// A problem of a whole file.
    pub(super) fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self { file: quoted(file), position: None, message: one_line(&message.into()) }
    }

    /// A problem at a byte offset of a file's text.
    pub(super) fn at(file: &str, text: &str, offset: usize, message: impl Into<String>) -> Self {
        Self { position: Some(position(text, offset)), ..Self::of_file(file, message) }
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

/// Line and column, from one and in characters, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}

/// Untrusted text for a message: control characters escaped, and not too long.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST_QUOTE).flat_map(escape).collect();
    if text.chars().nth(LONGEST_QUOTE).is_some() {
        shown.push('…');
    }
    shown
}

/// A message on one line, with control characters escaped.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(['\n', '\r']).map(str::trim).filter(|w| !w.is_empty()).collect();
    words.join("; ").chars().flat_map(escape).collect()
}

fn escape(character: char) -> Vec<char> {
    // Bidirectional controls can reorder what a terminal shows.
    let hidden = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if character.is_control() || hidden {
        character.escape_unicode().collect()
    } else {
        vec![character]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_file_line_and_column() {
        let problem = Problem::at("contract.toml", "a\nbé = 1", 6, "expected x");
        assert_eq!(problem.to_string(), "contract.toml:2:4: expected x");
    }

    #[test]
    fn hostile_text_stays_on_one_line_and_is_cut() {
        let problem = Problem::of_file("a\x1b[31m", "found\n`\u{202e}x`\r\n");
        assert_eq!(problem.to_string(), "a\\u{1b}[31m: found; `\\u{202e}x`");
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), LONGEST_QUOTE + 1);
    }

    #[test]
    fn many_problems_are_counted() {
        let problems = (0..45).map(|n| Problem::of_file("f", format!("{n}"))).collect();
        let text = Error::check(problems).unwrap_err().to_string();
        assert_eq!(text.lines().count(), SHOWN + 1);
        assert!(text.ends_with("and 5 more"));
    }
}
