//! The contract that `docs/CONTRACT_FORMAT.md` shows as its example.

use std::collections::BTreeMap;

/// Its files by their paths: each block of the page whose first line names a file.
pub(crate) fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut lines = include_str!("../../../../docs/CONTRACT_FORMAT.md").lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let mut text = String::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            text.push_str(line);
            text.push('\n');
        }
        if let Some((_, file)) = info.split_once(' ') {
            assert!(files.insert(file.to_owned(), text).is_none(), "{file} stands twice");
        }
    }
    files
}
