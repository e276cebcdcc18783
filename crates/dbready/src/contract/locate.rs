//! Where a key of `contract.toml` stands in its text.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

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

/// Byte offset of the key or element that the path leads to, or of the nearest one above it.
pub(super) fn offset(document: &Spanned<DeTable<'_>>, path: &Path) -> usize {
    let mut offset = 0;
    let mut table = Some(document.get_ref());
    let mut array = None;
    for step in &path.0 {
        let value = match step {
            Step::Key(name) => {
                let Some((key, value)) = table.and_then(|table| table.get_key_value(*name)) else {
                    break;
                };
                offset = key.span().start;
                value
            }
            Step::Index(index) => {
                let Some(value) = array.and_then(|array: &toml::de::DeArray<'_>| array.get(*index))
                else {
                    break;
                };
                offset = value.span().start;
                value
            }
        };
        (table, array) = match value.get_ref() {
            DeValue::Table(table) => (Some(table), None),
            DeValue::Array(array) => (None, Some(array)),
            _ => (None, None),
        };
    }
    offset
}

/// The key whose value, or an element of it, stands at exactly this span.
pub(super) fn key_of_value<'a>(table: &'a DeTable<'_>, span: &Range<usize>) -> Option<&'a str> {
    table.iter().find_map(|(key, value)| in_value(key.get_ref(), value, span))
}

fn in_value<'a>(
    key: &'a str,
    value: &'a Spanned<DeValue<'_>>,
    span: &Range<usize>,
) -> Option<&'a str> {
    if value.span() == *span && value.get_ref().as_table().is_none() {
        return Some(key);
    }
    match value.get_ref() {
        DeValue::Table(table) => key_of_value(table, span),
        DeValue::Array(array) => array.iter().find_map(|value| in_value(key, value, span)),
        _ => None,
    }
}

/// Takes away the key whose name stands at this span; whether there was one.
pub(super) fn remove(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let found: Option<Cow<'_, str>> =
        table.keys().find(|key| key.span() == *span).map(|key| key.get_ref().clone());
    if let Some(key) = found {
        return table.remove(key.as_ref()).is_some();
    }
    table.iter_mut().any(|(_, value)| remove_in(value, span))
}

fn remove_in(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => remove(table, span),
        DeValue::Array(array) => array.iter_mut().any(|value| remove_in(value, span)),
        _ => false,
    }
}
