//! Where a key of `contract.toml` stands in its text.

use toml_edit::{Document, Item};

/// The way to a key: `table[2].column[0].type`.
#[derive(Debug, Clone, Default)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, Copy)]
enum Step {
    Key(&'static str),
    Index(usize),
}

impl Path {
    /// The way to a key of the document.
    pub(super) fn new(key: &'static str) -> Self {
        Self::default().key(key)
    }

    /// One key further.
    pub(super) fn key(&self, key: &'static str) -> Self {
        self.with(Step::Key(key))
    }

    /// One element further.
    pub(super) fn at(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

/// Finds byte offsets in the text of a document.
#[derive(Debug)]
pub(super) struct Locator {
    document: Option<Document<String>>,
}

impl Locator {
    /// Reads a text that is known to be valid.
    pub(super) fn new(text: &str) -> Self {
        Self { document: Document::parse(text.to_owned()).ok() }
    }

    /// Offset of the key that the path leads to, or of the nearest one above it.
    pub(super) fn offset(&self, path: &Path) -> usize {
        let Some(document) = &self.document else { return 0 };
        let mut item = document.as_item();
        let mut offset = 0;
        for step in &path.0 {
            let next = match step {
                Step::Key(key) => item.get(key),
                // An array of tables and an array of values are indexed alike.
                Step::Index(index) => item.get(*index),
            };
            let Some(next) = next else { break };
            if let Some(span) = key_span(item, step).or_else(|| next.span()) {
                offset = span.start;
            }
            item = next;
        }
        offset
    }
}

/// The span of the key itself, for `key = value`; a value's own span begins after the equals sign.
fn key_span(item: &Item, step: &Step) -> Option<std::ops::Range<usize>> {
    let Step::Key(key) = step else { return None };
    let (name, value) = item.as_table_like()?.get_key_value(key)?;
    if value.is_value() { name.span() } else { None }
}
