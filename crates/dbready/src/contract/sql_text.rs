//! What can be said about an SQL text without a server.

use super::error::{Lines, Problem};

/// What no server would take: an empty text, a byte-order mark, a NUL.
pub(super) fn problem(file: &str, text: &str) -> Option<Problem> {
    if text.starts_with('\u{feff}') {
        let message = "expected SQL, found a byte-order mark; save the file without one";
        return Some(Problem::at(file, (1, 1), message));
    }
    if let Some(offset) = text.find('\0') {
        let message = "found a NUL character, which PostgreSQL cannot store; remove it";
        return Some(Problem::at(file, Lines::new(text).position(offset), message));
    }
    (!has_statement(text)).then(|| Problem::at(file, (1, 1), "expected a statement, found none"))
}

/// Whether there is anything but white space, comments and semicolons.
fn has_statement(text: &str) -> bool {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        rest = if rest.is_empty() {
            return false;
        } else if rest.starts_with("--") {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else if rest.starts_with("/*") {
            after_block_comment(rest)
        } else {
            return true;
        };
    }
}

/// What follows a block comment; block comments nest.
pub(crate) fn after_block_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("/*") {
            depth += 1;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = after;
            if depth == 0 {
                return rest;
            }
        } else {
            let mut characters = rest.chars();
            characters.next();
            rest = characters.as_str();
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_statements() {
        for text in ["", "\n ", "-- a", "/* a /* b */ ; */ ;", ";;", "-- a\n/* b", "/* SELECT 1"] {
            assert!(!has_statement(text), "{text}");
        }
        for text in ["SELECT 1", "-- a\nSELECT 1", "/* a */ SELECT 1", ";SELECT 1"] {
            assert!(has_statement(text), "{text}");
        }
    }
}
