//! Random damage to the Signal Service contract: it is accepted or refused with a place, and never
//! ends the program.

use dbready::contract::{Error, parse};
use proptest::prelude::*;

use crate::support::{DOCUMENT, Files, files};

/// One random change of a text.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    RemoveLine(usize),
    RepeatLine(usize),
    SwapLines(usize, usize),
    Cut(usize),
    Remove(usize, usize),
    Insert(usize, String),
    Replace(usize, char),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<usize>;
    // Pieces that mean something to TOML, to SQL or to a terminal.
    let piece = prop::sample::select(vec![
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "#",
        "\n",
        "\r",
        "\t",
        ",",
        ".",
        "\\",
        "\\u0000",
        "\0",
        "\u{feff}",
        "\u{202e}",
        "-",
        "1",
        "nan",
        "inf",
        "1e999",
        "0x",
        "true",
        "1979-05-27T07:32:00Z",
        "--",
        "/*",
        "*/",
        "$1",
        ";",
        "é",
        "\u{10ffff}",
        "name",
        "since",
        "99999999999999999999999",
        "[table]",
        "[[query]]\n",
        "../",
    ]);
    prop_oneof![
        at().prop_map(Damage::RemoveLine),
        at().prop_map(Damage::RepeatLine),
        (at(), at()).prop_map(|(one, other)| Damage::SwapLines(one, other)),
        at().prop_map(Damage::Cut),
        (at(), 1..200_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (at(), piece).prop_map(|(at, piece)| Damage::Insert(at, piece.to_owned())),
        (at(), any::<String>()).prop_map(|(at, text)| Damage::Insert(at, text)),
        (at(), any::<char>()).prop_map(|(at, character)| Damage::Replace(at, character)),
    ]
}

/// The nearest boundary of a character at or before a place in the text.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at % (text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap()
}

pub(crate) fn apply(text: &mut String, damage: &Damage) {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let count = lines.len().max(1);
    match damage {
        Damage::RemoveLine(at) if !lines.is_empty() => {
            lines.remove(at % count);
        }
        Damage::RepeatLine(at) if !lines.is_empty() => {
            lines.insert(at % count, lines[at % count].clone());
        }
        Damage::SwapLines(one, other) if !lines.is_empty() => {
            lines.swap(one % count, other % count);
        }
        Damage::Cut(at) => return text.truncate(boundary(text, *at)),
        Damage::Remove(at, length) => {
            let start = boundary(text, *at);
            let end = boundary(text, (start + length).min(text.len()));
            return text.replace_range(start.min(end)..end, "");
        }
        Damage::Insert(at, piece) => return text.insert_str(boundary(text, *at), piece),
        Damage::Replace(at, character) => {
            let start = boundary(text, *at);
            let end = start + text[start..].chars().next().map_or(0, char::len_utf8);
            return text.replace_range(start..end, &character.to_string());
        }
        _ => {}
    }
    *text = lines.concat();
}

/// Accepted, or refused with problems on one plain line each, whose places are there.
fn judge(files: &Files) -> Result<bool, TestCaseError> {
    let error: Error = match parse(files) {
        Ok(contract) => {
            prop_assert_eq!(contract.query_sql.len(), contract.model.queries.len());
            return Ok(true);
        }
        Err(error) => error,
    };
    prop_assert!(!error.problems().is_empty());
    for problem in error.problems() {
        let lines = files.get(&problem.file).map(|text| text.split('\n').count());
        if let Some((line, column)) = problem.position {
            prop_assert!((1..=lines.unwrap_or(0)).contains(&line) && column > 0, "{problem}");
        }
        let shown = problem.to_string();
        prop_assert!(!shown.contains(char::is_control) && shown.chars().count() < 1_200);
        prop_assert!(!problem.message.is_empty());
    }
    Ok(false)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_document_is_accepted_or_refused_with_a_place(
        damages in prop::collection::vec(damage(), 1..4)
    ) {
        let mut files = files();
        let text = files.get_mut(DOCUMENT).unwrap();
        for damage in &damages {
            apply(text, damage);
        }
        judge(&files)?;
    }

    #[test]
    fn a_damaged_file_is_accepted_or_refused_with_a_place(
        which in any::<prop::sample::Index>(),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let mut files = files();
        let file = which.get(&files.keys().cloned().collect::<Vec<_>>()).clone();
        let text = files.get_mut(&file).unwrap();
        for damage in &damages {
            apply(text, damage);
        }
        judge(&files)?;
    }

    #[test]
    fn any_text_is_a_document_or_refused(text in "\\PC{0,200}|[\\[\\]{}=\"'a.,\n1-]{0,200}") {
        let files = Files::from([(DOCUMENT.to_owned(), text)]);
        prop_assert!(!judge(&files)?, "nothing so short is a contract");
    }

    #[test]
    fn any_path_is_a_place_or_refused(path in "\\PC{0,40}|(migrations/|queries/)?[a-z0-9._/-]{0,20}(.up|.down)?.sql") {
        let mut files = files();
        files.entry(path).or_insert_with(|| "SELECT 1;".to_owned());
        judge(&files)?;
    }
}

/// Without any damage the same judgement accepts, so that it can tell the two apart.
#[test]
fn the_contract_itself_is_accepted_and_half_of_it_is_not() {
    let mut files = files();
    assert!(judge(&files).unwrap());
    let text = files.get_mut(DOCUMENT).unwrap();
    apply(text, &Damage::Cut(text.len() / 2));
    assert!(!judge(&files).unwrap());
}
