//! Passwords that a user typed in the wrong place, kept out of messages.

use std::borrow::Cow;

use regex::Regex;

/// Between the colon after a user name and the last `@` of the line, since an unescaped `@`, `/` or
/// space may be part of the password; and after `password=`, as in connection strings.
const PATTERNS: [&str; 2] =
    [r"(?<kept>://[^:/@\s]*:)[^\n]*(?<end>@)", r"(?i)(?<kept>password=)[^\s&]+(?<end>)"];

/// The text with `***` in place of whatever looks like a password.
pub(crate) fn hide_passwords(text: &str) -> Cow<'_, str> {
    PATTERNS.iter().fold(Cow::Borrowed(text), |text, pattern| match Regex::new(pattern) {
        Ok(regex) => Cow::Owned(regex.replace_all(&text, "${kept}***${end}").into_owned()),
        // The test below compiles both.
        Err(_) => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_wherever_they_stand() {
        for (text, shown) in [
            ("'postgres://u:secret@h/d' found", "'postgres://u:***@h/d' found"),
            ("postgres://u:se@cr/e t@h:5/d", "postgres://u:***@h:5/d"),
            ("postgres://:secret@h", "postgres://:***@h"),
            ("postgres://h/d?user=u&password=secret&x=1", "postgres://h/d?user=u&password=***&x=1"),
            ("host=h PASSWORD=secret user=u", "host=h PASSWORD=*** user=u"),
        ] {
            assert_eq!(hide_passwords(text), shown);
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["error: no such file", "postgres://h:5432/d", "postgres://u@h/d", "a@b: c@d"] {
            assert_eq!(hide_passwords(text), text);
        }
    }
}
