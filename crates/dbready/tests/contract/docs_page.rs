//! The generated page: the committed one is up to date, all of the contract is on it, and nothing in
//! a contract can leave its place on the page.

use dbready::contract::{Contract, Model, source};
use dbready::docs;
use pulldown_cmark::{Event, Options, Parser, Tag};

use crate::every_key;

const COMMITTED: &str = include_str!("../../../../docs/DATABASE_CONTRACTS.md");

#[test]
fn the_committed_page_is_up_to_date() {
    let page = docs::render(&source::load(None).unwrap());
    if let Some(stale) = docs::stale(&page, COMMITTED) {
        panic!("docs/DATABASE_CONTRACTS.md: run `dbready contract docs`: {stale:?}");
    }
}

#[test]
fn the_page_shows_every_key() {
    let mut seen = Vec::new();
    let value = serde_json::to_value(every_key::model()).unwrap();
    let before = docs::render(&every_key::contract());
    // Numbers of the format and paths of files that people do not read.
    let silent = ["/contract", "/query/0/sample"];
    for at in every_key::leaves(&value) {
        let mut changed = value.clone();
        let leaf = changed.pointer_mut(&at).unwrap();
        let Some(other) = every_key::other(leaf) else { continue };
        *leaf = other;
        let Ok(model) = serde_json::from_value::<Model>(changed) else { continue };
        let page = docs::render(&Contract { model, ..every_key::contract() });
        if page == before && !silent.contains(&at.as_str()) {
            seen.push(at);
        }
    }
    // An identity column has no default of its own and is not computed; an area is shown by its title.
    let (default, computed) = ("/table/0/column/0/default", "/table/0/column/0/generated");
    assert_eq!(seen, [default, computed, "/score/area/0/name"]);
}

const HOSTILE: &str = "a|b`c``d```e <img src=x onerror=alert(1)> [link](https://evil.example) ![i](x) **b** \
    \u{1b}[31m \u{202e}txet \n# heading\n\n<script>alert(1)</script>\r\n```\n| x | y |\n- item &lt; www.evil.example https://evil.example \\";

/// Every text of the contract replaced by a hostile one, wherever the format allows it.
fn hostile() -> Contract {
    let mut value = serde_json::to_value(every_key::model()).unwrap();
    for at in every_key::leaves(&value) {
        let Some(before) = value.pointer(&at).filter(|one| one.is_string()).cloned() else {
            continue;
        };
        *value.pointer_mut(&at).unwrap() = HOSTILE.into();
        if serde_json::from_value::<Model>(value.clone()).is_err() {
            *value.pointer_mut(&at).unwrap() = before;
        }
    }
    let mut contract =
        Contract { model: serde_json::from_value(value).unwrap(), ..every_key::contract() };
    for sql in &mut contract.query_sql {
        HOSTILE.clone_into(&mut sql.statement);
    }
    for sql in &mut contract.rollup_sql {
        HOSTILE.clone_into(&mut sql.served);
        HOSTILE.clone_into(&mut sql.raw);
    }
    for migration in &mut contract.migrations {
        HOSTILE.clone_into(&mut migration.description);
    }
    contract
}

/// Headings, tables, rows and items of a page; what comes from outside may add none.
fn shape(page: &str) -> Vec<String> {
    let mut shape = Vec::new();
    for event in Parser::new_ext(page, Options::all()) {
        match event {
            Event::Html(text) | Event::InlineHtml(text) => panic!("HTML: {text}"),
            Event::Start(tag) => match tag {
                Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                    panic!("link: {dest_url}")
                }
                Tag::Emphasis | Tag::Strong | Tag::Strikethrough => panic!("{tag:?}"),
                Tag::Heading { level, .. } => shape.push(format!("{level}")),
                Tag::CodeBlock(_) => shape.push("code".to_owned()),
                Tag::Table(columns) => shape.push(format!("table {}", columns.len())),
                Tag::TableRow => shape.push("row".to_owned()),
                Tag::Item => shape.push("item".to_owned()),
                _ => {}
            },
            _ => {}
        }
    }
    shape
}

#[test]
fn hostile_texts_change_nothing_of_the_page() {
    let page = docs::render(&hostile());
    assert!(page.contains("onerror"), "the texts are there");
    assert!(!page.contains(['\u{1b}', '\u{202e}', '\r']), "control characters");
    assert_eq!(shape(&page), shape(&docs::render(&every_key::contract())));
}

/// The shape tells an escaped page from one that is not.
#[test]
fn the_shape_sees_what_is_not_escaped() {
    assert_ne!(shape("| a |\n|---|\n| x |\n"), shape("| a |\n|---|\n| x |\n| y |\n"));
    let panics = |page: &str| std::panic::catch_unwind(|| shape(page)).is_err();
    assert!(panics("a <b>c</b>") && panics("[a](b)") && panics("**a**"));
}
