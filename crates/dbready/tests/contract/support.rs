//! One change to the Signal Service contract, and the one problem that it must give.

use std::collections::BTreeMap;

use dbready::contract::{Problem, parse};

pub(crate) type Files = BTreeMap<String, String>;

pub(crate) const DOCUMENT: &str = "contract.toml";

/// The files of the contract that the program carries.
pub(crate) fn files() -> Files {
    signal_store::CONTRACT
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect()
}

/// Where a problem must be reported.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    /// The first line of the changed file that holds this text.
    Line(&'static str),
    /// The last such line.
    LastLine(&'static str),
    /// The first line, whatever it holds.
    Start,
    /// The file as a whole.
    File,
}

/// Puts `to` in the place of the first `from` in a file.
#[track_caller]
pub(crate) fn replace(files: &mut Files, file: &str, from: &str, to: &str) {
    let text = files.get_mut(file).unwrap_or_else(|| panic!("no {file}"));
    assert!(text.contains(from), "{file} does not hold `{from}`");
    *text = text.replacen(from, to, 1);
}

/// Says in which way the files are not refused with exactly one problem: in that file, at that place,
/// with those words in their order.
pub(crate) fn departs(files: &Files, file: &str, at: At, words: &[&str]) -> Option<String> {
    let Err(error) = parse(files) else { return Some("accepted".to_owned()) };
    let [problem] = error.problems() else { return Some(format!("not one problem:\n{error}")) };
    let mut lines = files.get(file).map(String::as_str).unwrap_or_default().lines();
    let expected = match at {
        At::Line(marker) => Some(lines.position(|line| line.contains(marker))),
        At::LastLine(marker) => {
            let lines: Vec<&str> = lines.collect();
            Some(lines.iter().rposition(|line| line.contains(marker)))
        }
        At::Start => Some(Some(0)),
        At::File => None,
    };
    if expected == Some(None) {
        return Some(format!("no line of {file} holds the marker"));
    }
    let line = problem.position.map(|(line, _)| line);
    let expected = expected.flatten().map(|index| index + 1);
    if problem.file != file || line != expected {
        return Some(format!("expected it at {file}:{expected:?}: {problem}"));
    }
    misses(problem, words)
}

/// Says which word is missing in its place, or that the message is more than a line.
pub(crate) fn misses(problem: &Problem, words: &[&str]) -> Option<String> {
    let mut rest = problem.message.as_str();
    for word in words {
        match rest.split_once(word) {
            Some((_, after)) => rest = after,
            None => return Some(format!("expected `{word}` in its place: {problem}")),
        }
    }
    let shown = problem.to_string();
    let sound = shown.starts_with(&problem.file) && !shown.contains(char::is_control);
    (!sound).then(|| format!("not one plain line: {shown:?}"))
}

/// Changes `contract.toml` in each way and demands the one problem: what is replaced, by what, the
/// line, the words.
#[track_caller]
pub(crate) fn each(cases: &[(&str, &str, At, &[&str])]) {
    let mut failures = Vec::new();
    for (from, to, at, words) in cases {
        let mut files = files();
        replace(&mut files, DOCUMENT, from, to);
        let failure = departs(&files, DOCUMENT, *at, words);
        failures.extend(failure.map(|failure| format!("`{from}` → `{to}`: {failure}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
