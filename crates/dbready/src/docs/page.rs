//! A Markdown page under construction.

use std::fmt::Write as _;

use crate::markup::cell_code;

/// A page. Everything given to it is Markdown already: values pass through [`crate::markup`] first.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    pub(super) fn heading(&mut self, level: usize, title: &str) {
        let marks = "#".repeat(level);
        self.paragraph(&format!("{marks} {title}"));
    }

    pub(super) fn paragraph(&mut self, markdown: &str) {
        self.0.push_str(markdown);
        self.0.push_str("\n\n");
    }

    /// One item of a list; [`Page::end_list`] ends it.
    pub(super) fn item(&mut self, markdown: &str) {
        self.0.push_str("- ");
        self.0.push_str(markdown);
        self.0.push('\n');
    }

    pub(super) fn end_list(&mut self) {
        self.0.push('\n');
    }

    /// A table; nothing when it has no rows.
    pub(super) fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
        for row in rows {
            debug_assert_eq!(row.len(), head.len());
            let _ = writeln!(self.0, "| {} |", row.join(" | "));
        }
        self.0.push('\n');
    }

    pub(super) fn finish(self) -> String {
        let mut text = self.0.trim_end().to_owned();
        text.push('\n');
        text
    }
}

/// A value as code in a table cell; a dash when there is none.
pub(super) fn cell(raw: &str) -> String {
    if raw.is_empty() { "–".to_owned() } else { cell_code(raw) }
}

/// Values as code, one after the other, in a table cell.
pub(super) fn cells<'a>(raw: impl IntoIterator<Item = &'a String>) -> String {
    let all: Vec<String> = raw.into_iter().map(|one| cell_code(one)).collect();
    if all.is_empty() { "–".to_owned() } else { all.join(", ") }
}

/// `yes` or `no`.
pub(super) fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
