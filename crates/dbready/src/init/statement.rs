//! Texts of `pg_stat_statements`, which anybody who may send statements has written.

use std::collections::BTreeSet;

use crate::contract::after_block_comment;
use crate::markup;

/// Longest number that the extension leaves in a text: places of columns, precisions of types.
const DIGITS: usize = 4;

/// One statement that reads or changes rows, as it is written into a contract.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its text without comments and semicolon.
    pub(super) text: String,
    /// What it does, in the word that it begins with: `select`.
    pub(super) verb: &'static str,
    /// Names before a dot: of schemas, tables and aliases.
    pub(super) qualifiers: BTreeSet<String>,
}

/// Why a text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unfit {
    /// It does something else.
    Utility,
    /// A constant stands in it, which may be a secret: the extension did not get to replace it, or
    /// never does.
    Constant,
    /// A character that would move a reader's terminal or hide what is written.
    Hidden,
    /// It does not end, or goes on after its end.
    Broken,
}

/// Reads a text. Comments are left out, since they may hold anything.
pub(super) fn read(raw: &str) -> Result<Statement, Unfit> {
    let mut found = Statement { text: String::new(), verb: "", qualifiers: BTreeSet::new() };
    let (mut rest, mut ended) = (raw, false);
    let mut name: Option<String> = None;
    while let Some(first) = rest.chars().next() {
        let (length, kind) = token(rest, first)?;
        let (text, after) = rest.split_at(length);
        rest = after;
        match kind {
            Kind::Space => {
                found.text.push_str(if text.starts_with("/*") { " " } else { text });
                continue;
            }
            Kind::LineComment => continue,
            Kind::End => {
                ended = true;
                continue;
            }
            _ if ended => return Err(Unfit::Broken),
            _ => found.text.push_str(text),
        }
        if found.verb.is_empty() {
            found.verb = verb(text).ok_or(Unfit::Utility)?;
        }
        match (kind, name.take()) {
            (Kind::Name(next), _) => name = Some(next),
            (Kind::Other, Some(before)) if text == "." => drop(found.qualifiers.insert(before)),
            _ => {}
        }
    }
    if found.verb.is_empty() {
        return Err(Unfit::Utility);
    }
    let text = found.text.trim().to_owned();
    if markup::hides(&text) { Err(Unfit::Hidden) } else { Ok(Statement { text, ..found }) }
}

/// What a piece of a text is.
#[derive(Debug)]
enum Kind {
    Space,
    LineComment,
    End,
    /// A name as the catalogs have it.
    Name(String),
    Other,
}

/// The next piece: its length in bytes, and what it is.
fn token(rest: &str, first: char) -> Result<(usize, Kind), Unfit> {
    let until = |ends: &dyn Fn(char) -> bool| rest.find(ends).unwrap_or(rest.len());
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii();
    Ok(match first {
        _ if rest.starts_with("--") => (until(&|c| matches!(c, '\n' | '\r')), Kind::LineComment),
        _ if rest.starts_with("/*") => (rest.len() - after_block_comment(rest).len(), Kind::Space),
        ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => (1, Kind::Space),
        ';' => (1, Kind::End),
        '"' => quoted(rest)?,
        '\'' => return Err(Unfit::Constant),
        '$' => match rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1) {
            0 => return Err(Unfit::Constant),
            digits => (1 + digits, Kind::Other),
        },
        '0'..='9' => {
            let length = until(&|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')));
            if length > DIGITS {
                return Err(Unfit::Constant);
            }
            (length, Kind::Other)
        }
        _ if in_name(first) => {
            let length = until(&|c| !in_name(c));
            (length, Kind::Name(rest[..length].to_ascii_lowercase()))
        }
        _ => (first.len_utf8(), Kind::Other),
    })
}

/// A name in quotes.
fn quoted(rest: &str) -> Result<(usize, Kind), Unfit> {
    let mut name = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c != '"' {
            name.push(c);
        } else if characters.next_if(|(_, next)| *next == '"').is_some() {
            name.push('"');
        } else {
            return Ok((at + 1, Kind::Name(name)));
        }
    }
    Err(Unfit::Broken)
}

/// What a statement does that begins with this word; `None` for a utility statement.
fn verb(first: &str) -> Option<&'static str> {
    let verbs = ["select", "insert", "update", "delete", "merge", "with", "values", "table"];
    let verb = verbs.into_iter().find(|verb| first.eq_ignore_ascii_case(verb));
    verb.or_else(|| (first == "(").then_some("select"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &str) -> String {
        read(raw).unwrap().text
    }

    #[test]
    fn comments_are_left_out_and_nothing_else() {
        assert_eq!(text("SELECT a -- token=s3cret\nFROM t"), "SELECT a \nFROM t");
        assert_eq!(text("/* by 'x' /* ; */ */SELECT/**/a FROM t /* end"), "SELECT a FROM t");
        assert_eq!(
            text("SELECT \"--a\", \"/*\"\"*/\" FROM t"),
            "SELECT \"--a\", \"/*\"\"*/\" FROM t"
        );
        assert_eq!(
            text("SELECT a$b$c, $1, $12 FROM t ORDER BY 2;\n "),
            "SELECT a$b$c, $1, $12 FROM t ORDER BY 2"
        );
        assert_eq!(
            text("SELECT c::numeric(12,2) IN ($1 /*, ... */) FROM \"Größe\""),
            "SELECT c::numeric(12,2) IN ($1  ) FROM \"Größe\""
        );
    }

    #[test]
    fn what_may_be_a_secret_or_is_no_query_is_refused() {
        for (raw, unfit) in [
            ("SELECT * FROM t WHERE a = 'x'", Unfit::Constant),
            ("SELECT * FROM t WHERE a = E'\\'' || b", Unfit::Constant),
            ("SELECT * FROM t WHERE a = $$x$$", Unfit::Constant),
            ("SELECT * FROM t WHERE a = $x$y$x$", Unfit::Constant),
            ("SELECT * FROM t WHERE card = 4111111111111111", Unfit::Constant),
            ("SELECT * FROM t WHERE a > 12.345", Unfit::Constant),
            ("CREATE ROLE x PASSWORD 'y'", Unfit::Utility),
            ("-- only words", Unfit::Utility),
            ("", Unfit::Utility),
            (";", Unfit::Utility),
            ("\u{feff}SELECT 1", Unfit::Utility),
            ("SELECT 1; SELECT 2", Unfit::Broken),
            ("SELECT \"a", Unfit::Broken),
            ("SELECT \"\u{1b}[2J\" FROM t", Unfit::Hidden),
            ("SELECT a /* x */ AS \"\u{202e}b\" FROM t", Unfit::Hidden),
        ] {
            assert_eq!(read(raw).map(|found| found.text), Err(unfit), "{raw}");
        }
    }

    #[test]
    fn verbs_and_qualifiers_are_found() {
        let found =
            read("(SELECT Audit . f(x), \"a\"\"b\".c FROM public.t WHERE t.y = 1.5)").unwrap();
        assert_eq!(found.verb, "select");
        let found: Vec<String> = found.qualifiers.into_iter().collect();
        assert_eq!(found, ["a\"b", "audit", "public", "t"]);
        for (raw, verb) in
            [("with a AS (SELECT) SELECT FROM a", "with"), ("Update t SET a = $1", "update")]
        {
            assert_eq!(read(raw).unwrap().verb, verb);
        }
    }
}
