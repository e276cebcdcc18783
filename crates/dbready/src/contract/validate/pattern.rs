//! Patterns of formats: whole, and read alike by PostgreSQL and by this program.

use regex::RegexBuilder;

use super::super::error::quoted;
use super::super::locate::Path;
use super::super::values::Format;
use super::Found;

/// Longest pattern, in bytes, and largest compiled one.
const LONGEST: usize = 1_000;
const LARGEST: usize = 1 << 18;
/// Most examples of a format and of what it is not, and the longest of them, in bytes.
const EXAMPLES: usize = 50;
const LONGEST_EXAMPLE: usize = 500;
/// Greatest count of repetitions in PostgreSQL.
const REPETITIONS: u32 = 255;

pub(super) fn problems(format: &Format, path: &Path, found: &mut Found) {
    let written = &format.pattern;
    if written.len() > LONGEST {
        let message = format!("expected a pattern of at most {LONGEST} bytes, found more");
        return found.push(path.key("pattern"), message);
    }
    let regex = match RegexBuilder::new(written).size_limit(LARGEST).nest_limit(50).build() {
        Ok(regex) => regex,
        Err(error) => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let reason = last.trim().trim_start_matches("error: ");
            let message =
                format!("expected a regular expression, found `{}`: {reason}", quoted(written));
            return found.push(path.key("pattern"), message);
        }
    };
    found.rule(path.key("pattern"), shared(written));
    for (key, values, wanted) in
        [("examples", &format.examples, true), ("counterexamples", &format.counterexamples, false)]
    {
        let path = path.key(key);
        if values.is_empty() {
            found.push(path, "expected at least one value, found none");
            continue;
        }
        if values.len() > EXAMPLES || values.iter().any(|value| value.len() > LONGEST_EXAMPLE) {
            let message = format!(
                "expected at most {EXAMPLES} values of at most {LONGEST_EXAMPLE} bytes, found more"
            );
            found.push(path, message);
            continue;
        }
        for (at, value) in values.iter().enumerate() {
            if regex.is_match(value) != wanted {
                let verb = if wanted { "does not match" } else { "matches" };
                let message = format!("`{}` {verb} the pattern", quoted(value));
                found.push(path.at(at), message);
            }
        }
    }
}

/// Whether a valid pattern spans the whole value and means the same to PostgreSQL.
fn shared(pattern: &str) -> Result<(), String> {
    let whole = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
    let Some(inner) = whole else {
        return Err(format!("expected a pattern from ^ to $, found `{}`", quoted(pattern)));
    };
    let mut rest = inner.chars().peekable();
    let mut groups = 0_usize;
    // How far inside a class: the number of characters since it began.
    let mut class: Option<usize> = None;
    while let Some(character) = rest.next() {
        let next = rest.peek().copied();
        match (character, class) {
            ('\\', _) => {
                let Some(escaped) = rest.next() else {
                    return Err("expected a pattern from ^ to $, found an escaped $".to_owned());
                };
                let letters = if class.is_some() { "dswnrt" } else { "dDsSwWnrt" };
                if escaped.is_ascii_alphanumeric() && !letters.contains(escaped) {
                    return Err(format!("`\\{escaped}` means something else to PostgreSQL here"));
                }
                class = class.map(|length| length + 2);
            }
            // A bracket that comes first in a class stands for itself.
            (']', Some(length)) if length > 0 => class = None,
            ('[', Some(_)) if next == Some(':') => {
                // `[:alpha:]`: up to its end nothing is special.
                while rest.next().is_some_and(|skipped| skipped != ']') {}
                class = class.map(|length| length + 2);
            }
            ('[', Some(_)) => {
                return Err("write `\\[` for a bracket inside a class".to_owned());
            }
            ('&' | '-' | '~', Some(_)) if next == Some(character) => {
                return Err(format!(
                    "`{character}{character}` inside a class means something else to PostgreSQL"
                ));
            }
            (_, Some(length)) => class = Some(length + 1),
            ('[', None) => {
                class = Some(0);
                if next == Some('^') {
                    rest.next();
                }
            }
            ('(', None) => {
                groups += 1;
                if next == Some('?') {
                    rest.next();
                    if rest.next() != Some(':') {
                        return Err("of groups with `(?`, PostgreSQL shares only `(?:`".to_owned());
                    }
                }
            }
            (')', None) => groups = groups.saturating_sub(1),
            ('|', None) if groups == 0 => {
                return Err(
                    "`^` and `$` hold for one alternative each; write `^(?:a|b)$`".to_owned()
                );
            }
            ('{', None) => {
                let counts: String = rest.clone().take_while(|c| *c != '}').collect();
                let too_many = |count: &str| {
                    !count.is_empty() && count.parse::<u32>().is_ok_and(|n| n > REPETITIONS)
                };
                if counts.split(',').any(too_many) {
                    return Err(format!("expected at most {REPETITIONS} repetitions, found more"));
                }
            }
            _ => {}
        }
    }
    if class.is_some() {
        return Err("expected a pattern from ^ to $, found $ inside a class".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_mean_the_same_to_both_are_taken() {
        for pattern in [
            "^[A-Z][A-Z0-9_]*$",
            r"^[A-Z]+@[A-Z0-9&-]+@[A-Z]+(@\d+(\.\d+)?)?$",
            r"^signal_\d{8}_\d{6}$",
            "^(?:a|b)$",
            "^(a|b)$",
            "^[]a]$",
            "^[^]a|$]$",
            "^[[:alpha:]_-]+$",
            r"^[\[\]\\]$",
            r"^\$\|a$",
            "^a{1,255}$",
            "^$",
        ] {
            assert_eq!(shared(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn patterns_that_differ_are_refused() {
        for pattern in [
            "a",
            "^a",
            "a$",
            r"^a\$",
            "^a|b$",
            "^(a)|b$",
            "^(?i)a$",
            "^(?P<name>a)$",
            r"^\pL$",
            r"^\ba$",
            r"^[\W]$",
            r"^a\z$",
            "^[a[b]]$",
            "^[a&&b]$",
            "^a{256}$",
            "^a{1,300}$",
        ] {
            assert!(shared(pattern).is_err(), "{pattern}");
        }
    }
}
