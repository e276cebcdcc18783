//! Chores of the repository: `cargo run -p xtask -- tidy`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Longest source file, in lines; a longer one has more than one subject.
const LONGEST_FILE: usize = 700;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some("tidy") {
        eprintln!("usage: cargo run -p xtask -- tidy");
        return ExitCode::from(2);
    }
    let problems = tidy(&root());
    for problem in &problems {
        eprintln!("{problem}");
    }
    ExitCode::from(u8::from(!problems.is_empty()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Everything that is out of order in the repository at `root`.
fn tidy(root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    match fs::read_to_string(root.join("docs/ARCHITECTURE.md")) {
        Ok(text) => problems.extend(compare_map(&paths_in_map(&text), &modules(root), root)),
        Err(error) => problems.push(format!("docs/ARCHITECTURE.md: {error}")),
    }
    problems.extend(checks(&root.join("crates/dbready/src/check"), &root.join("docs/checks")));
    problems
        .extend(drills(&root.join("crates/dbready/src/drill/cases"), &root.join("docs/drills")));
    problems.extend(long_files(root));
    problems
}

/// Every drill declared in a file of `folder` has a page of its name, and every page its drill.
fn drills(folder: &Path, pages: &Path) -> Vec<String> {
    let mut names = BTreeSet::new();
    for file in entries(folder) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        for declared in text.split("Drill {").skip(1) {
            let first = declared.trim_start().strip_prefix("name: \"");
            names.extend(first.and_then(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
    let mut problems = Vec::new();
    if names.is_empty() {
        problems.push(format!("{}: no file declares a drill", folder.display()));
    }
    let described: BTreeSet<String> = entries(pages)
        .into_iter()
        .filter_map(|page| Some(page.file_stem()?.to_string_lossy().into_owned()))
        .filter(|page| page != "README")
        .collect();
    problems.extend(
        names
            .difference(&described)
            .map(|name| format!("docs/drills/{name}.md: the drill has no page")),
    );
    problems.extend(
        described
            .difference(&names)
            .map(|name| format!("docs/drills/{name}.md: there is no drill of this name")),
    );
    problems
}

/// The first word of every line of the fenced block that is marked `map`.
fn paths_in_map(text: &str) -> BTreeSet<String> {
    text.lines()
        .skip_while(|line| line.trim() != "```map")
        .skip(1)
        .take_while(|line| line.trim() != "```")
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| word.contains('/'))
        .map(str::to_owned)
        .collect()
}

/// Every file or folder directly under a crate's `src`, as the map writes it.
fn modules(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for package in entries(&root.join("crates")) {
        for module in entries(&package.join("src")) {
            let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if ["lib.rs", "main.rs"].contains(&name.as_str()) {
                continue;
            }
            let slash = if module.is_dir() { "/" } else { "" };
            let package = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.insert(format!("crates/{package}/src/{name}{slash}"));
        }
    }
    found
}

fn compare_map(map: &BTreeSet<String>, modules: &BTreeSet<String>, root: &Path) -> Vec<String> {
    let missing = modules
        .difference(map)
        .map(|path| format!("docs/ARCHITECTURE.md: the map does not name {path}"));
    let stale = map
        .iter()
        .filter(|path| !root.join(path).exists())
        .map(|path| format!("docs/ARCHITECTURE.md: the map names {path}, which does not exist"));
    missing.chain(stale).collect()
}

/// A check is one file that declares a `CHECK` with the file's name as its id; it is among all
/// checks, and has a page of its name. A page belongs to a check.
fn checks(folder: &Path, pages: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let all = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
    let mut ids = BTreeSet::new();
    for file in entries(folder) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let Some((_, declared)) = text.split_once("const CHECK: Check = Check {") else { continue };
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let id = declared.split_once("id: \"").and_then(|(_, rest)| rest.split('"').next());
        if id != Some(&name) {
            let found = id.unwrap_or("none");
            problems.push(format!("{}: expected the id {name}, found {found}", file.display()));
        }
        if !all.contains(&format!("{name}::CHECK,")) {
            problems.push(format!("{}: its CHECK is not in check::ALL", file.display()));
        }
        if !pages.join(format!("{name}.md")).is_file() {
            problems.push(format!("{}: no page docs/checks/{name}.md", file.display()));
        }
        ids.insert(name);
    }
    if ids.is_empty() {
        problems.push(format!("{}: no file declares a CHECK", folder.display()));
    }
    let names = entries(pages).into_iter().filter_map(|page| Some(page.file_stem()?.to_owned()));
    let stale = names.filter(|name| !ids.contains(name.to_string_lossy().as_ref()));
    problems.extend(
        stale.map(|name| {
            format!("docs/checks/{}.md: there is no check of this name", name.display())
        }),
    );
    problems
}

fn long_files(root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let mut folders = vec![root.join("crates"), root.join("xtask")];
    while let Some(folder) = folders.pop() {
        for entry in entries(&folder) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let lines = fs::read_to_string(&entry).map_or(0, |text| text.lines().count());
                if lines > LONGEST_FILE {
                    problems.push(format!("{}: {lines} lines", entry.display()));
                }
            }
        }
    }
    problems
}

/// The entries of a folder in order; none when it does not exist.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    found.retain(|path| path.file_name().is_some_and(|name| name != "target"));
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        assert_eq!(tidy(&root()), Vec::<String>::new());
    }

    #[test]
    fn a_wrong_map_is_noticed() {
        let map = paths_in_map("text\n```map\ncrates/none/  gone\nplain words\n```\ncrates/after/");
        assert_eq!(map.iter().collect::<Vec<_>>(), ["crates/none/"]);
        let problems = compare_map(&map, &modules(&root()), &root());
        assert!(problems.iter().any(|problem| problem.contains("names crates/none/")));
        assert!(problems.iter().any(|problem| problem.contains("does not name crates/dbready")));
    }

    #[test]
    fn a_drill_without_a_page_is_noticed() {
        let root = root();
        let cases = root.join("crates/dbready/src/drill/cases");
        let problems = drills(&cases, &root.join("docs/checks"));
        let listed = |words: &str| problems.iter().any(|one| one.contains(words));
        assert!(listed("docs/drills/silent_commit.md: the drill has no page"), "{problems:?}");
        assert!(listed("docs/drills/tables.md: there is no drill of this name"), "{problems:?}");
        let problems = drills(&root.join("docs"), &root.join("docs/drills"));
        assert!(problems[0].contains("no file declares a drill"), "{problems:?}");
    }

    #[test]
    fn a_check_that_is_not_listed_or_described_is_noticed() {
        let root = root();
        let (sources, pages) = (root.join("crates/dbready/src/check"), root.join("docs/checks"));
        let listed =
            |problems: &[String], words: &str| problems.iter().any(|one| one.contains(words));
        let problems = checks(&sources, &root.join("docs"));
        assert!(listed(&problems, "no page docs/checks/tables.md"), "{problems:?}");
        assert!(
            listed(&problems, "docs/checks/ARCHITECTURE.md: there is no check"),
            "{problems:?}"
        );
        assert!(!listed(&problems, "stage"), "a helper is no check: {problems:?}");
        let problems = checks(&root.join("crates/pg-local/src"), &pages);
        assert!(listed(&problems, "no file declares a CHECK"), "{problems:?}");

        let folder = std::env::temp_dir().join(format!("xtask-checks-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let check = |id: &str| format!("pub const CHECK: Check = Check {{\n    id: \"{id}\",\n}};");
        fs::write(folder.join("tables.rs"), check("table")).unwrap();
        fs::write(folder.join("mod.rs"), "pub const ALL: &[Check] = &[columns::CHECK,];").unwrap();
        let problems = checks(&folder, &pages);
        fs::remove_dir_all(&folder).unwrap();
        assert!(listed(&problems, "expected the id tables, found table"), "{problems:?}");
        assert!(listed(&problems, "its CHECK is not in check::ALL"), "{problems:?}");
    }
}
