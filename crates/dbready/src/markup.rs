//! Texts from outside, made fit for one line, for Markdown and for terminals.

use std::fmt::Write as _;

/// One line that is safe to show anywhere: line breaks and tabs become spaces; every other control
/// character, and whatever reorders or hides text, is shown by its code point.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '\n' | '\r' | '\t' => out.push(' '),
            _ if is_hidden(character) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

/// The same for a text of several lines, such as a script.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = String> {
    text.trim_end().lines().map(|line| one_line(&line.replace('\t', "    ")))
}

/// Whether a text of several lines holds what would be shown by its code point.
pub(crate) fn hides(text: &str) -> bool {
    text.chars().any(|c| is_hidden(c) && !matches!(c, '\n' | '\r' | '\t'))
}

/// Control characters, marks that change the direction of text, and characters without a shape.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character),
            0x00AD | 0x061C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
            | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0
            | 0xFFF0..=0xFFFB | 0xFFFE | 0xFFFF | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF)
}

/// Plain text: every character that could mean markup is escaped.
pub(crate) fn text(raw: &str) -> String {
    let plain = one_line(raw);
    let mut out = String::with_capacity(plain.len() + 8);
    let mut rest = plain.chars().peekable();
    let mut before = None;
    while let Some(character) = rest.next() {
        let next = rest.peek().copied();
        let markup = match character {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '#' | '@' | '$' => true,
            // Inside a word an underscore marks nothing.
            '_' => {
                !(before.is_some_and(char::is_alphanumeric)
                    && next.is_some_and(char::is_alphanumeric))
            }
            // Sites turn addresses into links by themselves.
            ':' => next == Some('/'),
            '.' => out.len() >= 3 && out.as_bytes()[out.len() - 3..].eq_ignore_ascii_case(b"www"),
            // At the beginning of a line these open a list or a heading, or underline one.
            '-' | '+' | '=' | '!' => before.is_none(),
            _ => false,
        };
        if markup {
            out.push('\\');
        }
        out.push(character);
        before = Some(character);
    }
    out
}

/// A code span that holds exactly `raw`.
pub(crate) fn code(raw: &str) -> String {
    let plain = one_line(raw);
    if plain.is_empty() {
        return "(empty)".to_owned();
    }
    let fence = "`".repeat(longest_run(&plain, '`') + 1);
    let pad = if plain.starts_with('`') || plain.ends_with('`') || plain.starts_with(' ') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{plain}{pad}{fence}")
}

/// A code span inside a table, where a bar must be escaped even in code.
pub(crate) fn cell_code(raw: &str) -> String {
    code(raw).replace('|', "\\|")
}

/// A fenced block of code that holds exactly these lines, whatever they hold.
pub(crate) fn block(language: &str, raw: &str) -> String {
    let body: Vec<String> = lines(raw).collect();
    let body = body.join("\n");
    let fence = "`".repeat(longest_run(&body, '`').max(2) + 1);
    format!("{fence}{language}\n{body}\n{fence}")
}

fn longest_run(text: &str, wanted: char) -> usize {
    let runs = text.split(|character| character != wanted);
    runs.map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_texts_is_escaped() {
        assert_eq!(text("a|b"), "a\\|b");
        assert_eq!(text("<img src=x onerror=alert(1)>"), "\\<img src=x onerror=alert(1)\\>");
        assert_eq!(text("[x](http://e.com)"), "\\[x\\](http\\://e.com)");
        assert_eq!(text("www.example.com"), "www\\.example.com");
        assert_eq!(text("What we know."), "What we know.");
        assert_eq!(text("signal_greeks and _em_"), "signal_greeks and \\_em\\_");
        assert_eq!(text("line\nbreak"), "line break");
        assert_eq!(text("- item"), "\\- item");
        assert_eq!(text("\u{202e}evil"), "\\\\u{202e}evil");
    }

    #[test]
    fn code_spans_cannot_be_left() {
        assert_eq!(code("plain"), "`plain`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("``"), "``` `` ```");
        assert_eq!(code(""), "(empty)");
        assert_eq!(cell_code("a|b"), "`a\\|b`");
    }

    #[test]
    fn blocks_cannot_be_left() {
        assert_eq!(block("sql", "SELECT 1\n"), "```sql\nSELECT 1\n```");
        assert_eq!(block("sql", "```\n<b>"), "````sql\n```\n<b>\n````");
        assert_eq!(block("sql", "\u{1b}[2J"), "```sql\n\\u{1b}[2J\n```");
    }
}
