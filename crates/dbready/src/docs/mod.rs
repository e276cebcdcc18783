//! The contract as a page for people: `docs/DATABASE_CONTRACTS.md`, generated and never edited.
//!
//! Pure: the same contract gives the same page. Whatever a contract holds (names, texts, SQL) is
//! escaped, so that it opens no tag, link, table cell or code block of its own.

mod clauses;
mod page;
mod queries;
mod roles;
mod schema;

use crate::contract::Contract;
use crate::markup::{code, one_line, text};
use page::Page;

/// The page of a contract, as GitHub-flavoured Markdown.
#[must_use]
pub fn render(contract: &Contract) -> String {
    let mut page = Page::default();
    head(&mut page, contract);
    schema::write(&mut page, contract);
    roles::write(&mut page, contract);
    queries::write(&mut page, contract);
    clauses::write(&mut page, contract);
    page.finish()
}

fn head(page: &mut Page, contract: &Contract) {
    let service = &contract.model.service;
    let server = &contract.model.server;
    page.heading(
        1,
        &format!("Database contract of {}, version {}", text(&service.name), service.version),
    );
    page.paragraph(&text(&service.description));
    page.paragraph(
        "This page is generated from the contract directory by `dbready contract docs`; change the \
         contract and generate it again. Every statement on it is a claim that `dbready` proves or \
         refutes on a real server.",
    );
    page.heading(2, "Server");
    page.item(&format!("PostgreSQL {}", code(&server.postgresql.to_string())));
    for extension in &server.extensions {
        let (name, version) = (code(&extension.name), code(&extension.version.to_string()));
        page.item(&format!("extension {name} {version}"));
    }
    page.end_list();
    let settings = server.settings.iter();
    page.table(
        &["setting", "value", "why"],
        settings.map(|one| vec![page::cell(&one.name), page::cell(&one.value), text(&one.meaning)]),
    );
}

/// The first line in which a committed page differs from the generated one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Its number, from one.
    pub line: usize,
    /// The line as the contract gives it; empty beyond its end.
    pub expected: String,
    /// The line as it is committed; empty beyond its end.
    pub found: String,
}

/// Compares a committed page with the generated one; `None` when they are the same.
#[must_use]
pub fn stale(expected: &str, found: &str) -> Option<Stale> {
    if expected == found {
        return None;
    }
    let (mut ours, mut theirs) = (expected.split('\n'), found.split('\n'));
    let mut line = 0;
    loop {
        line += 1;
        let (one, other) = (ours.next(), theirs.next());
        if one != other || one.is_none() {
            let shown = |line: Option<&str>| {
                // A carriage return at the end is a difference that nobody would see.
                one_line(&line.unwrap_or_default().replace('\r', "\\r"))
            };
            return Some(Stale { line, expected: shown(one), found: shown(other) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(stale("a\nb\n", "a\nb\n"), None);
        for (found, line, expected, shown) in [
            ("a\nc\n", 2, "b", "c"),
            ("a\n", 2, "b", ""),
            ("a\nb\nc\n", 3, "", "c"),
            ("a\nb", 3, "", ""),
            ("", 1, "a", ""),
            ("a\r\nb\r\n", 1, "a", "a\\r"),
        ] {
            let stale = stale("a\nb\n", found).unwrap();
            assert_eq!((stale.line, &*stale.expected, &*stale.found), (line, expected, shown));
        }
    }
}
