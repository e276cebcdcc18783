//! Modules of a project and what their tests have run.

use std::collections::BTreeSet;

use super::paths::normal;
use super::report::{Report, SourceFile};
use super::share::{FailUnder, Share};

/// What tests have run of some modules.
#[derive(Debug, Clone, PartialEq)]
pub struct Modules {
    /// The modules, in the order in which they were named.
    pub modules: Vec<Module>,
    /// The lines of all of them together, each line once.
    pub total: Share,
}

/// What tests have run of one module.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// As it was named.
    pub name: String,
    /// Its files.
    pub files: Vec<String>,
    /// Its lines.
    pub lines: Share,
    /// Its functions; nothing when the reports tell of none.
    pub functions: Share,
    /// Outcomes of its branches; nothing when the reports tell of none.
    pub branches: Share,
    /// Each line that was not run, with its file.
    pub uncovered: Vec<(String, u32)>,
}

/// How a module stands against the least share of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// At or above it.
    Reached,
    /// Below it.
    Below,
    /// No report speaks of any line of it. Never a pass.
    NoData,
}

impl Standing {
    /// The words for it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Reached => "pass",
            Self::Below => "BELOW",
            Self::NoData => "NO DATA",
        }
    }

    /// The key for it in documents.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Reached => "pass",
            Self::Below => "below",
            Self::NoData => "no_data",
        }
    }
}

impl Modules {
    /// Finds the files of each module in a report.
    ///
    /// A module is the beginning of a path, at a boundary of its parts; the last part may leave a
    /// file's extension out. `app.errors` and `app::errors` mean `app/errors`. Where no path begins
    /// with it, it may stand further inside, if only in one place: `pg-session` is `crates/pg-session`.
    ///
    /// # Errors
    ///
    /// A message when a name is empty or fits several places.
    pub fn of(report: &Report, names: &[String]) -> Result<Self, String> {
        let mut all = BTreeSet::new();
        let mut modules = Vec::with_capacity(names.len());
        for name in names {
            let files = select(report, name)?;
            all.extend(files.iter().copied());
            modules.push(Module::of(report, name, &files));
        }
        let shares = all.iter().filter_map(|path| report.files.get(*path));
        let total = shares.map(SourceFile::line_share).fold(Share::default(), |sum, one| sum + one);
        Ok(Self { modules, total })
    }

    /// Whether every module reaches `least`. None at all does not.
    #[must_use]
    pub fn pass(&self, least: FailUnder) -> bool {
        !self.modules.is_empty()
            && self.modules.iter().all(|module| module.standing(least) == Standing::Reached)
    }
}

impl Module {
    fn of(report: &Report, name: &str, paths: &[&str]) -> Self {
        let mut module = Self {
            name: name.to_owned(),
            files: Vec::new(),
            lines: Share::default(),
            functions: Share::default(),
            branches: Share::default(),
            uncovered: Vec::new(),
        };
        for path in paths {
            let Some(file) = report.files.get(*path) else { continue };
            module.files.push((*path).to_owned());
            module.lines = module.lines + file.line_share();
            module.functions = module.functions + file.function_share();
            module.branches = module.branches + file.branch_share();
            let missed = file.lines.iter().filter(|(_, count)| **count == 0);
            module.uncovered.extend(missed.map(|(line, _)| ((*path).to_owned(), *line)));
        }
        module
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self, least: FailUnder) -> Standing {
        if self.lines.total() == 0 {
            Standing::NoData
        } else if self.lines.reaches(least) {
            Standing::Reached
        } else {
            Standing::Below
        }
    }

    /// The lines not run as ranges of one file: path, first, last.
    #[must_use]
    pub fn uncovered_ranges(&self) -> Vec<(&str, u32, u32)> {
        let mut ranges: Vec<(&str, u32, u32)> = Vec::new();
        for (path, line) in &self.uncovered {
            match ranges.last_mut() {
                Some((last, _, end)) if last == path && *end + 1 == *line => *end = *line,
                _ => ranges.push((path, *line, *line)),
            }
        }
        ranges
    }
}

/// The files of a module.
fn select<'r>(report: &'r Report, name: &str) -> Result<Vec<&'r str>, String> {
    let mut spellings = vec![normal(name)];
    if !name.contains(['/', '\\']) {
        spellings.push(name.replace("::", "/"));
        spellings.push(name.replace('.', "/"));
    }
    if spellings.iter().any(|spelling| spelling.is_empty() || spelling == "/") {
        return Err("a module without a name".to_owned());
    }
    for spelling in &spellings {
        let found = paths(report).filter(|path| at(path, spelling) == Some(0));
        let found: Vec<&str> = found.collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    for spelling in spellings.iter().filter(|spelling| !spelling.starts_with('/')) {
        let found: Vec<(&str, usize)> =
            paths(report).filter_map(|path| Some((path, at(path, spelling)?))).collect();
        let places: BTreeSet<&str> =
            found.iter().filter_map(|(path, start)| path.get(..*start)).collect();
        match places.len() {
            0 => {}
            1 => return Ok(found.into_iter().map(|(path, _)| path).collect()),
            _ => {
                let shown: Vec<String> =
                    places.iter().take(4).map(|place| format!("`{place}{spelling}`")).collect();
                return Err(format!(
                    "the module `{name}` fits several places: {}; name one of them",
                    shown.join(", ")
                ));
            }
        }
    }
    Ok(Vec::new())
}

fn paths(report: &Report) -> impl Iterator<Item = &str> {
    report.files.keys().map(String::as_str)
}

/// Where a module stands in a path, at boundaries of its parts.
fn at(path: &str, module: &str) -> Option<usize> {
    path.match_indices(module).map(|(start, _)| start).find(|start| {
        let before = path.get(..*start).unwrap_or_default();
        let after = path.get(start + module.len()..).unwrap_or_default();
        let begins = before.is_empty() || before.ends_with('/');
        let is_stem = after.starts_with('.') && !after.contains('/');
        begins && (after.is_empty() || after.starts_with('/') || is_stem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(paths: &[&str]) -> Report {
        let mut report = Report::default();
        for path in paths {
            report.file(path).add_line(1, 1);
        }
        report
    }

    fn files(paths: &[&str], name: &str) -> Vec<String> {
        let modules = Modules::of(&report(paths), &[name.to_owned()]).unwrap();
        modules.modules[0].files.clone()
    }

    #[test]
    fn a_module_is_whole_parts_of_a_path() {
        let paths = ["src/db.rs", "src/db/a.rs", "src/db_other/a.rs", "lib/src/x.rs"];
        assert_eq!(files(&paths, "src/db"), ["src/db.rs", "src/db/a.rs"]);
        assert_eq!(files(&paths, "src/db/"), ["src/db.rs", "src/db/a.rs"]);
        assert_eq!(files(&paths, "src/db/a.rs"), ["src/db/a.rs"]);
        assert_eq!(files(&paths, "rc/db"), [""; 0]);
        assert_eq!(files(&["/x/crates/a-b/src/l.rs"], "a-b"), ["/x/crates/a-b/src/l.rs"]);
    }

    #[test]
    fn names_of_languages_are_paths() {
        let paths = ["common/storage/database.py", "app/errors/__init__.py", "app/errorsx.py"];
        assert_eq!(files(&paths, "common.storage.database"), ["common/storage/database.py"]);
        assert_eq!(files(&paths, "app.errors"), ["app/errors/__init__.py"]);
        assert_eq!(files(&paths, "app::errors"), ["app/errors/__init__.py"]);
        assert_eq!(files(&["/ci/app/errors.py"], "app.errors"), ["/ci/app/errors.py"]);
    }

    #[test]
    fn a_name_that_fits_two_places_is_refused() {
        let report = report(&["a/db/x.rs", "b/db/x.rs"]);
        let refused = Modules::of(&report, &["db".to_owned()]).unwrap_err();
        assert!(refused.contains("`a/db`") && refused.contains("`b/db`"), "{refused}");
        assert!(Modules::of(&report, &[String::new()]).is_err());
    }

    #[test]
    fn no_data_is_never_a_pass() {
        let least = "0".parse().unwrap();
        let modules = Modules::of(&report(&["a/x.rs"]), &["a".to_owned(), "b".to_owned()]).unwrap();
        assert_eq!(modules.modules[0].standing(least), Standing::Reached);
        assert_eq!(modules.modules[1].standing(least), Standing::NoData);
        assert!(!modules.pass(least));
        assert!(!Modules::of(&report(&["a"]), &[]).unwrap().pass(least));
    }

    #[test]
    fn a_line_of_two_modules_counts_once_in_the_total() {
        let names = ["a".to_owned(), "a/x.rs".to_owned()];
        let modules = Modules::of(&report(&["a/x.rs", "a/y.rs"]), &names).unwrap();
        assert_eq!(modules.total, Share::new(2, 2));
    }

    #[test]
    fn neighbouring_lines_are_one_range() {
        let mut report = Report::default();
        for (line, count) in [(1, 0), (2, 0), (3, 1), (4, 0), (6, 0)] {
            report.file("a").add_line(line, count);
        }
        report.file("b").add_line(7, 0);
        let names = ["a".to_owned(), "b".to_owned()];
        let modules = Modules::of(&report, &names).unwrap();
        let ranges = modules.modules[0].uncovered_ranges();
        assert_eq!(ranges, [("a", 1, 2), ("a", 4, 4), ("a", 6, 6)]);
        assert_eq!(modules.modules[1].uncovered_ranges(), [("b", 7, 7)]);
    }
}
