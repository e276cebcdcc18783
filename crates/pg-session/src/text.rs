//! Text from outside (servers, URLs, files) made fit for one line of output.

/// `text` on one line: control and bidirectional-formatting characters become
/// `\u{…}`, and what passes `limit` characters is cut with an ellipsis.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit * 4));
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        if c == '\n' || c == '\t' {
            out.push(' ');
        } else if c.is_control() || is_formatting(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that reorder or hide the text around them.
fn is_formatting(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn control_and_bidi_characters_are_escaped() {
        assert_eq!(one_line("a\u{1b}[31mb\u{202e}c\nd", 80), "a\\u{1b}[31mb\\u{202e}c d");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("abc", 3), "abc");
    }
}
