//! What coverage reports say, line by line, merged over any number of them.

use std::collections::BTreeMap;

use super::paths::Paths;
use super::share::Share;

/// Lines, functions and branches by file. Summaries in reports are not believed: every figure is
/// counted from the records of lines, which several tools' summaries are known to disagree with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// By path, with `/` between its parts.
    pub files: BTreeMap<String, SourceFile>,
    /// What a reader should know: summaries that disagree with the records.
    pub notes: Vec<String>,
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceFile {
    /// How often each line that can run was run.
    pub lines: BTreeMap<u32, u64>,
    /// Functions by first line and name.
    pub functions: BTreeMap<(u32, String), Function>,
    /// Branches by line and name.
    pub branches: BTreeMap<(u32, String), Branch>,
}

/// One function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Function {
    /// Its last line, where the report says.
    pub end: Option<u32>,
    /// How often it was called.
    pub count: u64,
}

/// The outcomes of one branch, as far as a report tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Branch {
    /// Outcomes seen.
    pub taken: u64,
    /// Outcomes there are.
    pub total: u64,
}

impl Report {
    /// The record of a file, made when it is new.
    pub(super) fn file(&mut self, path: &str) -> &mut SourceFile {
        self.files.entry(path.to_owned()).or_default()
    }

    /// The same with every path normalised and mapped; files that then have one path are merged.
    #[must_use]
    pub fn mapped(self, paths: &Paths) -> Self {
        let mut mapped = Self { notes: self.notes, ..Self::default() };
        for (path, file) in self.files {
            mapped.file(&paths.map(&path)).merge(file);
        }
        mapped
    }

    /// Adds another report: a line is run when any report says so, and counts when any report knows it.
    pub fn merge(&mut self, other: Self) {
        for (path, file) in other.files {
            self.file(&path).merge(file);
        }
        self.notes.extend(other.notes);
    }

    /// Whether it speaks of no line at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.values().all(|file| file.lines.is_empty())
    }
}

impl SourceFile {
    pub(super) fn add_line(&mut self, line: u32, count: u64) {
        let known = self.lines.entry(line).or_default();
        *known = known.saturating_add(count);
    }

    pub(super) fn add_function(&mut self, name: String, start: u32, function: Function) {
        let known = self.functions.entry((start, name)).or_default();
        known.count = known.count.saturating_add(function.count);
        known.end = known.end.max(function.end);
    }

    pub(super) fn add_branch(&mut self, line: u32, name: String, branch: Branch) {
        let known = self.branches.entry((line, name)).or_default();
        // Two reports may have seen the same outcome: the larger number is certain, the sum is not.
        known.total = known.total.max(branch.total);
        known.taken = known.taken.max(branch.taken).min(known.total);
    }

    fn merge(&mut self, other: Self) {
        for (line, count) in other.lines {
            self.add_line(line, count);
        }
        for ((start, name), function) in other.functions {
            self.add_function(name, start, function);
        }
        for ((line, name), branch) in other.branches {
            self.add_branch(line, name, branch);
        }
    }

    /// The share of its lines.
    #[must_use]
    pub fn line_share(&self) -> Share {
        Share::count(self.lines.values().map(|count| *count > 0))
    }

    /// The share of its functions.
    #[must_use]
    pub fn function_share(&self) -> Share {
        Share::count(self.functions.values().map(|function| function.count > 0))
    }

    /// The share of its branches' outcomes.
    #[must_use]
    pub fn branch_share(&self) -> Share {
        self.branches
            .values()
            .fold(Share::default(), |sum, branch| sum + Share::new(branch.taken, branch.total))
    }

    /// The lines of the functions called `name`, whatever they belong to; `None` when the report knows
    /// no such function.
    #[must_use]
    pub fn method_share(&self, name: &str) -> Option<Share> {
        let mut spans = self.functions.iter().filter(|((_, known), _)| is_called(known, name));
        spans.next().map(|first| {
            let mut lines: BTreeMap<u32, u64> = BTreeMap::new();
            for ((start, _), function) in std::iter::once(first).chain(spans) {
                let after = self.functions.keys().map(|(next, _)| *next).find(|next| next > start);
                let end = function.end.or(after.map(|next| next - 1)).unwrap_or(u32::MAX);
                let own = self.lines.range(*start..=end.max(*start));
                lines.extend(own.map(|(line, count)| (*line, *count)));
            }
            Share::count(lines.values().map(|count| *count > 0))
        })
    }
}

/// Whether the last part of a function's name is `name`: `app::Store::save`, `Store.save(int)`,
/// `<a::Store as b::Saves>::save::{closure#0}`.
fn is_called(known: &str, name: &str) -> bool {
    let bare = known.split(['(', '<']).find(|part| !part.is_empty()).unwrap_or(known);
    let whole = if known.starts_with('<') { known } else { bare };
    let mut parts = whole.rsplit([':', '.', '#', '>']).filter(|part| !part.is_empty());
    parts.find(|part| !part.contains(['{', '}']) && part.parse::<u32>().is_err()) == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_by_the_last_part_of_their_name() {
        for name in [
            "save",
            "app::Store::save",
            "Store.save",
            "Store.save(int, long)",
            "app::Store::save::{closure#0}",
            "<app::Store as db::Saves>::save",
            "app::Store::save::<u8>",
        ] {
            assert!(is_called(name, "save"), "{name}");
        }
        for name in ["saved", "save::all", "unsave", "app::save_all", "save.x"] {
            assert!(!is_called(name, "save"), "{name}");
        }
    }

    #[test]
    fn reports_are_merged_by_line() {
        let mut one = Report::default();
        one.file("a").add_line(1, 0);
        one.file("a").add_line(2, u64::MAX);
        let mut other = Report::default();
        other.file("a").add_line(1, 3);
        other.file("a").add_line(2, 1);
        other.file("b").add_line(1, 0);
        one.merge(other);
        assert_eq!(one.files["a"].lines, BTreeMap::from([(1, 3), (2, u64::MAX)]));
        assert_eq!(one.files["b"].line_share(), Share::new(0, 1));
    }

    #[test]
    fn a_branch_seen_by_two_reports_is_not_counted_twice() {
        let mut file = SourceFile::default();
        for (taken, total) in [(1, 2), (1, 2), (0, 2)] {
            file.add_branch(4, "0".to_owned(), Branch { taken, total });
        }
        assert_eq!(file.branch_share(), Share::new(1, 2));
    }

    #[test]
    fn a_method_has_the_lines_up_to_the_next_one() {
        let mut file = SourceFile::default();
        for line in 1..=9 {
            file.add_line(line, u64::from(line != 5));
        }
        file.add_function("save".into(), 2, Function { end: Some(3), count: 1 });
        file.add_function("load".into(), 4, Function { end: None, count: 1 });
        file.add_function("last".into(), 7, Function { end: None, count: 1 });
        assert_eq!(file.method_share("save"), Some(Share::new(2, 2)));
        assert_eq!(file.method_share("load"), Some(Share::new(2, 3)));
        assert_eq!(file.method_share("last"), Some(Share::new(3, 3)));
        assert_eq!(file.method_share("none"), None);
    }
}
