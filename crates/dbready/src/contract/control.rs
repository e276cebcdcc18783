//! Control characters, which TOML lets into texts by escapes and which would move a reader's terminal.

use toml::de::{DeTable, DeValue};

/// Keys whose texts are for people and may have several lines.
const PROSE: [&str; 11] = [
    "meaning",
    "description",
    "statement",
    "reason",
    "what",
    "mend",
    "refresh",
    "stated",
    "fact",
    "ours",
    "said",
];

/// Keys whose texts are values, or the server's own words: they are compared as they are, and shown
/// escaped.
const AS_THEY_ARE: [&str; 8] = [
    "examples",
    "counterexamples",
    "default",
    "generated",
    "definition",
    "predicate",
    "columns",
    "include",
];

/// Texts that hold control characters: the offset of each and what is wrong with it.
pub(super) fn problems(document: &DeTable<'_>) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    in_table(document, &mut found);
    found
}

fn in_table(table: &DeTable<'_>, found: &mut Vec<(usize, String)>) {
    for (key, value) in table {
        in_value(key.get_ref(), value, found);
    }
}

fn in_value(key: &str, value: &toml::Spanned<DeValue<'_>>, found: &mut Vec<(usize, String)>) {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, found),
        DeValue::Array(list) => list.iter().for_each(|one| in_value(key, one, found)),
        DeValue::String(text) if !AS_THEY_ARE.contains(&key) => {
            let is_prose = PROSE.contains(&key);
            if let Some(refused) = first(text, is_prose) {
                let but = if is_prose { " but new lines and tabs" } else { "" };
                let message = format!(
                    "`{}`: expected no control characters{but}, found `{}`",
                    super::error::quoted(key),
                    refused.escape_debug()
                );
                found.push((value.span().start, message));
            }
        }
        _ => {}
    }
}

/// The first control character that a text may not have.
pub(super) fn first(text: &str, is_prose: bool) -> Option<char> {
    text.chars().find(|c| c.is_control() && !(is_prose && matches!(c, '\n' | '\t')))
}

/// A text of somebody else, such as a comment in a database, as a text for people in a contract.
pub(crate) fn prose(text: &str) -> String {
    let refused = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.replace("\r\n", "\n").replace(refused, " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_somebody_else_becomes_one_that_a_contract_takes() {
        let text = prose(" a\r\nb\tc\u{1b}[31m\r\u{7f} ");
        assert_eq!(text, "a\nb\tc [31m");
        assert_eq!(first(&text, true), None);
        assert_eq!((first("a\nb", false), first("a\u{85}", true)), (Some('\n'), Some('\u{85}')));
    }
}
