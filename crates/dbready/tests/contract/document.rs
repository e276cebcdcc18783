//! `docs/CONTRACT_FORMAT.md`: its example is a contract that a database keeps, and its tables name
//! the keys of the model.

use std::collections::{BTreeMap, BTreeSet};

use dbready::contract::{Contract, parse};
use dbready::report::ClaimResult;
use dbready::score::Scope;
use dbready::seed::{Profile, seed};
use dbready::verdict::Status;
use dbready::{catalog, check, migrate, run};
use pg_local::testing::TestDatabase;
use pg_session::Config;

use crate::shop;

const DOCUMENT: &str = include_str!("../../../../docs/CONTRACT_FORMAT.md");
const MODEL: &str = concat!(
    include_str!("../../src/contract/model.rs"),
    include_str!("../../src/contract/measures.rs"),
    include_str!("../../src/contract/roles.rs"),
    include_str!("../../src/contract/values.rs")
);

fn contract() -> Contract {
    parse(&shop::files()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_example_is_a_valid_contract() {
    let files = shop::files();
    let contract = contract();
    assert_eq!(files.len(), 8, "{:?}", files.keys());
    assert_eq!(contract.migrations.len(), 2);
    assert_eq!(contract.query_sql.len(), 1);
    assert!(contract.seed_sql.is_some());
}

/// Migrates, fills, examines and empties a database; every claim about it is proven.
#[test]
fn a_real_database_keeps_the_example() {
    let contract = contract();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = TestDatabase::empty().unwrap();
    runtime.block_on(async {
        let config = Config::from_url(database.url()).unwrap();
        let mut client = pg_session::connect(&config).await.unwrap();
        let options = migrate::Options::default();
        migrate::up(&mut client, &contract, None, &options, &|_| ()).await.unwrap();
        seed(&mut client, &contract, Profile::Quick, 1).await.unwrap();
        client.batch_execute("ANALYZE").await.unwrap();
        let options = catalog::Options::default();
        let gathered = run::check(&mut client, &contract, &options).await.unwrap();
        let occasion = run::Occasion {
            command: "check".to_owned(),
            profile: None,
            started_at: String::new(),
            finished_at: String::new(),
            notes: Vec::new(),
        };
        let claims = check::plan(&contract);
        let certificate = run::certificate(&contract, claims, Scope::Part, gathered, occasion);
        let claims = certificate.claims.iter();
        let open: Vec<_> = claims.filter(|claim| claim.status != Status::Proven).collect();
        assert_eq!(open, Vec::<&ClaimResult>::new());
        assert_eq!(certificate.problems, Vec::<String>::new());
        assert!(certificate.counts.proven > 20, "{:?}", certificate.counts);
        let options = migrate::Options::default();
        migrate::down(&mut client, &contract, None, &options, &|_| ()).await.unwrap();
    });
}

/// One key of `contract.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    /// What its value is, in the words of the document.
    kind: String,
    required: bool,
}

type Keys = BTreeMap<String, Key>;

/// The structs and enums of the model: each with its lines.
fn items() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut found = BTreeMap::new();
    let mut lines = MODEL.lines();
    while let Some(line) = lines.next() {
        let item = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "));
        if let Some(name) = item.and_then(|rest| rest.split(' ').next()) {
            let body = lines.by_ref().take_while(|line| *line != "}").map(str::trim).collect();
            found.insert(name, body);
        }
    }
    found
}

/// The words of an enum in its order.
fn words(body: &[&str]) -> String {
    let mut words = Vec::new();
    let mut renamed = None;
    for line in body {
        if let Some(rest) = line.strip_prefix("#[serde(rename = \"") {
            renamed = rest.split('"').next();
        } else if let Some(variant) = line.strip_suffix(',') {
            let word = renamed.take().map_or_else(|| variant.to_lowercase(), str::to_owned);
            words.push(format!("`{word}`"));
        }
    }
    words.join(" or ")
}

/// The keys of a section and of those below it, by the heading that the document gives it.
fn sections(
    name: &str,
    heading: String,
    path: &str,
    items: &BTreeMap<&str, Vec<&str>>,
    found: &mut BTreeMap<String, Keys>,
) {
    let mut keys = Keys::new();
    let mut attributes = String::new();
    for line in &items[name] {
        if line.starts_with("#[") {
            attributes.push_str(line);
            continue;
        }
        let Some((field, written)) =
            line.strip_prefix("pub ").and_then(|rest| rest.trim_end_matches(',').split_once(": "))
        else {
            continue;
        };
        let renamed = attributes.split_once("rename = \"").map(|(_, rest)| rest);
        let key = renamed.and_then(|rest| rest.split('"').next()).unwrap_or(field);
        let inner = |outer: &str| written.strip_prefix(outer).and_then(|it| it.strip_suffix('>'));
        let (many, optional) = (inner("Vec<"), inner("Option<"));
        let kind = many.or(optional).unwrap_or(written);
        let required = optional.is_none() && !attributes.contains("default");
        let word = match (kind, many.is_some()) {
            ("String", false) => "text".to_owned(),
            ("String", true) => "texts".to_owned(),
            ("u32" | "u64", false) => "whole number".to_owned(),
            ("f64", false) => "number".to_owned(),
            ("bool", false) => "true or false".to_owned(),
            ("Version", false) => "version".to_owned(),
            ("VersionReq", false) => "version range".to_owned(),
            ("Period", false) => "length of time".to_owned(),
            ("Date", false) => "date".to_owned(),
            ("Edition" | "Identity" | "FigureSource" | "LeastProfile", false) => {
                words(&items[kind])
            }
            _ => {
                assert!(items.contains_key(kind), "{name}.{field}: the type {kind} is new");
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                let heading =
                    if many.is_some() { format!("[[{path}]]") } else { format!("[{path}]") };
                sections(kind, heading, &path, items, found);
                if many.is_some() { "tables".to_owned() } else { "table".to_owned() }
            }
        };
        assert!(keys.insert(key.to_owned(), Key { kind: word, required }).is_none());
        attributes.clear();
    }
    assert!(found.insert(heading, keys).is_none());
}

/// The tables of keys in the document by their headings.
fn documented() -> BTreeMap<String, Keys> {
    let mut found: BTreeMap<String, Keys> = BTreeMap::new();
    let mut heading = String::new();
    for line in DOCUMENT.lines() {
        if let Some(text) = line.strip_prefix("### ") {
            text.trim_matches('`').clone_into(&mut heading);
            continue;
        }
        let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [key, kind, default, meaning] = cells[..] else { continue };
        let Some(key) = key.strip_prefix("| `").and_then(|key| key.strip_suffix('`')) else {
            continue;
        };
        assert!(meaning.len() > 3, "{heading} {key}");
        let key_there = Key { kind: kind.to_owned(), required: default == "required" };
        let section = found.entry(heading.clone()).or_default();
        assert!(section.insert(key.to_owned(), key_there).is_none(), "{heading} {key} twice");
    }
    found
}

#[test]
fn the_document_names_every_key_with_its_type_and_whether_it_is_required() {
    let mut expected = BTreeMap::new();
    sections("Model", "The document".to_owned(), "", &items(), &mut expected);
    assert!(expected.len() > 30, "{}", expected.len());
    let documented = documented();
    let headings = |sections: &BTreeMap<String, Keys>| -> BTreeSet<String> {
        sections.keys().cloned().collect()
    };
    assert_eq!(headings(&documented), headings(&expected));
    for (heading, keys) in &expected {
        assert_eq!(&documented[heading], keys, "{heading}");
    }
}
