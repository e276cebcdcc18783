//! Paths of source files: one spelling for each, whatever system and folder a report comes from.

use std::str::FromStr;

/// How paths of reports become paths of the project.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    root: String,
    mappings: Vec<Mapping>,
}

/// One beginning of a path and what stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    from: String,
    to: String,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((from, to)) if !from.is_empty() => Ok(Self { from: normal(from), to: normal(to) }),
            _ => Err(format!("expected FROM=TO, found `{}`", text.escape_debug())),
        }
    }
}

impl Paths {
    /// Paths below `root` become relative to it, after the first mapping that fits was applied.
    #[must_use]
    pub fn new(root: &str, mappings: Vec<Mapping>) -> Self {
        Self { root: normal(root), mappings }
    }

    /// The project's path of a report's path.
    #[must_use]
    pub fn map(&self, path: &str) -> String {
        let path = normal(path);
        let fitting = self.mappings.iter().find_map(|mapping| {
            let rest = below(&path, &mapping.from)?;
            Some(match (mapping.to.as_str(), rest) {
                ("", rest) => rest.to_owned(),
                (to, "") => to.to_owned(),
                (to, rest) => format!("{}/{rest}", to.trim_end_matches('/')),
            })
        });
        let path = fitting.unwrap_or(path);
        match below(&path, &self.root) {
            Some(rest) if !self.root.is_empty() && !rest.is_empty() => rest.to_owned(),
            _ => path,
        }
    }
}

/// What follows a folder in a path, at a boundary of its parts.
fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() || folder.is_empty() || folder.ends_with('/') {
        return Some(rest);
    }
    rest.strip_prefix('/')
}

/// `/` between the parts, no `.`, no empty part, and no `..` where it can be resolved.
pub(super) fn normal(path: &str) -> String {
    let path = path.trim();
    let drive = path.as_bytes().get(1) == Some(&b':');
    let windows = path.contains('\\') && (drive || path.starts_with("\\\\") || !path.contains('/'));
    let path = if windows { path.replace('\\', "/") } else { path.to_owned() };
    let path = path.strip_prefix("//?/").unwrap_or(&path);
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let slash = if path.starts_with('/') { "/" } else { "" };
    format!("{slash}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &str, mappings: &[&str]) -> Paths {
        Paths::new(root, mappings.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn one_spelling_for_each_path() {
        for (path, shown) in [
            ("src/a.rs", "src/a.rs"),
            ("./src//a.rs", "src/a.rs"),
            ("src/x/../a.rs", "src/a.rs"),
            ("../a.rs", "../a.rs"),
            (r"C:\build\src\a.cs", "C:/build/src/a.cs"),
            (r"C:\build/src\a.cs", "C:/build/src/a.cs"),
            (r"src\a.cs", "src/a.cs"),
            (r"\\?\C:\build\a.rs", "C:/build/a.rs"),
            (r"/odd/na\me", r"/odd/na\me"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(normal(path), shown, "{path}");
        }
    }

    #[test]
    fn paths_below_the_root_are_relative_to_it() {
        let paths = paths("/home/me/project/", &[]);
        assert_eq!(paths.map("/home/me/project/src/a.rs"), "src/a.rs");
        assert_eq!(paths.map("/home/me/project2/src/a.rs"), "/home/me/project2/src/a.rs");
        assert_eq!(paths.map("src/a.rs"), "src/a.rs");
    }

    #[test]
    fn mappings_move_whole_folders_only() {
        let paths = paths("/here", &["/build=/here", r"C:\ci\project=", "gen=src/gen"]);
        assert_eq!(paths.map("/build/src/a.rs"), "src/a.rs");
        assert_eq!(paths.map("/builder/src/a.rs"), "/builder/src/a.rs");
        assert_eq!(paths.map(r"C:\ci\project\src\a.rs"), "src/a.rs");
        assert_eq!(paths.map("gen/x.rs"), "src/gen/x.rs");
        assert!("no".parse::<Mapping>().is_err() && "=x".parse::<Mapping>().is_err());
    }
}
