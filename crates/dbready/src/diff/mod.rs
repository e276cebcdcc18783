//! Two contracts compared: every change with what it means by the contract's own policy, whom it
//! concerns, and the version and the notice that must follow.
//!
//! Pure. The policy and the notice are those of the old contract, on which consumers rely.

mod affected;
mod policy;
mod release;
mod render;
mod rules;
mod tree;

use serde::Serialize;
use serde_json::Value;

use crate::contract::{Contract, Migration};
use affected::Readers;
use policy::{Policy, Verb};
pub use release::{Notice, Release};
pub use render::{MARKDOWN_CHARS, json, markdown, text};
use rules::{Context, Meaning};
use tree::Delta;

/// What the key `format` of the JSON document says.
pub const FORMAT: &str = "dbready-contract-diff";
/// Version of that document.
pub const FORMAT_VERSION: u32 = 1;

/// What a change means for consumers, from the least to the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Impact {
    /// Words for people.
    Editorial,
    /// Consumers go on as before.
    Compatible,
    /// Some consumer may fail, or get something else.
    Breaking,
}

/// Where a change is felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Surface {
    /// Types in the code of callers.
    Source,
    /// Queries: whether they run, and what they return.
    Query,
    /// Which rows and values are valid.
    Data,
    /// Time limits, indexes, policies.
    Performance,
    /// Servers, monitoring, how the contract is judged.
    Operation,
    /// What people read.
    Document,
}

/// One change between two contracts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The object: `column signal_greeks.rho`.
    pub object: String,
    /// First key of the contract on the way to it: `table`.
    pub section: String,
    /// Its keys, joined by dots: `table.column.type`.
    pub key: String,
    /// What was there.
    pub old: Option<Value>,
    /// What is there.
    pub new: Option<Value>,
    /// What it means.
    pub impact: Impact,
    /// Where it is felt.
    pub surface: Surface,
    /// Why it means that.
    pub why: String,
    /// The clause of the policy that decided; `None` where the policy is silent.
    pub clause: Option<String>,
    /// Query contracts that it concerns.
    pub queries: Vec<String>,
    /// Their consumers.
    pub consumers: Vec<String>,
}

/// One of the two contracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Name of the service.
    pub name: String,
    /// Declared version.
    pub version: String,
    /// SHA-256 over its files.
    pub digest: String,
}

/// The comparison of two contracts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// [`FORMAT`].
    pub format: &'static str,
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The contract that consumers rely on.
    pub old: Side,
    /// The one that is to follow.
    pub new: Side,
    /// What must follow, and whether it is declared.
    pub release: Release,
    /// Consumers of breaking changes.
    pub consumers: Vec<String>,
    /// Every change, the gravest first, in the order of the contract.
    pub changes: Vec<Change>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Compares two contracts.
#[must_use]
pub fn diff(old: &Contract, new: &Contract) -> Diff {
    let policy = Policy::read(&old.model.versioning);
    let context = Context { old: &old.model, new: &new.model };
    let mut changes: Vec<Change> = Vec::new();
    let deltas = deltas(old, new);
    let readers = (Readers::of(old), Readers::of(new));
    for delta in &deltas {
        changes.push(judge(delta, &deltas, &readers, &policy, &context));
    }
    changes.extend(migrations(&old.migrations, &new.migrations));
    changes.sort_by_key(|change| std::cmp::Reverse(change.impact));
    let mut consumers: Vec<String> = Vec::new();
    for change in changes.iter().filter(|change| change.impact == Impact::Breaking) {
        for consumer in &change.consumers {
            if !consumers.contains(consumer) {
                consumers.push(consumer.clone());
            }
        }
    }
    let mut notes: Vec<String> = policy
        .unread
        .iter()
        .map(|clause| format!("the clause \"{clause}\" names no object with what happens to it; it decided nothing"))
        .collect();
    if changes.is_empty() && old.digest != new.digest {
        notes.push("the files differ only in layout, comments or order".to_owned());
    }
    let release = release::release(old, new, &changes);
    let unseen = release.announced.iter().filter(|one| !one.in_old_contract);
    notes.extend(unseen.map(|one| {
        format!("the announcement of {} stands in the new contract only, so that its date is its own word", one.version)
    }));
    Diff {
        format: FORMAT,
        format_version: FORMAT_VERSION,
        old: side(old),
        new: side(new),
        release,
        consumers,
        changes,
        notes,
    }
}

fn side(contract: &Contract) -> Side {
    Side {
        name: contract.model.service.name.clone(),
        version: contract.model.service.version.to_string(),
        digest: contract.digest.clone(),
    }
}

/// Differences of the models and of the texts beside them.
fn deltas(old: &Contract, new: &Contract) -> Vec<Delta> {
    let value = |contract: &Contract| serde_json::to_value(&contract.model).unwrap_or_default();
    let versions = (&old.model.service.version, &new.model.service.version);
    let mut deltas = tree::compare((&value(old), versions.0), (&value(new), versions.1));
    let text = |key: &str, name: Option<&String>, one: Option<&String>, other: Option<&String>| {
        (one != other).then(|| Delta {
            keys: key.split('.').map(str::to_owned).collect(),
            names: name.into_iter().cloned().collect(),
            old: one.cloned().map(Value::from),
            new: other.cloned().map(Value::from),
        })
    };
    for (query, sql) in old.model.queries.iter().zip(&old.query_sql) {
        let at = new.model.queries.iter().position(|one| one.name == query.name);
        let Some(now) = at.and_then(|at| new.query_sql.get(at)) else { continue };
        let layout = squeezed(&sql.statement) == squeezed(&now.statement);
        let key = if layout { "query.layout" } else { "query.statement" };
        deltas.extend(text(key, Some(&query.name), Some(&sql.statement), Some(&now.statement)));
        if sql.sample.is_some() == now.sample.is_some() {
            let (was, is) = (sql.sample.as_ref(), now.sample.as_ref());
            deltas.extend(text("query.sample", Some(&query.name), was, is));
        }
    }
    for (rollup, sql) in old.model.rollups.iter().zip(&old.rollup_sql) {
        let at = new.model.rollups.iter().position(|one| one.name == rollup.name);
        let Some(now) = at.and_then(|at| new.rollup_sql.get(at)) else { continue };
        for (was, is) in [(&sql.served, &now.served), (&sql.raw, &now.raw)] {
            deltas.extend(text("rollup.statement", Some(&rollup.name), Some(was), Some(is)));
        }
    }
    deltas.extend(text("seed", None, old.seed_sql.as_ref(), new.seed_sql.as_ref()));
    deltas
}

/// An SQL text without its layout.
fn squeezed(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn judge(
    delta: &Delta,
    all: &[Delta],
    readers: &(Readers<'_>, Readers<'_>),
    policy: &Policy<'_>,
    context: &Context<'_>,
) -> Change {
    let path = delta.path();
    let editorial = |why| Meaning { impact: Impact::Editorial, surface: Surface::Document, why };
    let meaning = match path.as_str() {
        "query.layout" => Some(editorial("its text has another layout")),
        "rollup.statement" => Some(editorial("only the check that reconciles it runs its text")),
        "seed" => Some(editorial("other data for scratch servers")),
        _ => rules::meaning(delta, context),
    };
    let Meaning { mut impact, surface, why } = meaning.unwrap_or(Meaning {
        impact: Impact::Breaking,
        surface: Surface::Source,
        why: "no rule knows this key",
    });
    let mut why = why.to_owned();
    let mut clause = None;
    if let Some(mut event) = rules::event(delta, context).filter(|_| impact != Impact::Editorial) {
        if let Some(name) = renamed_to(delta, all) {
            event.verb = Verb::Renamed;
            why = format!("it looks like `{name}` now; {why}");
        }
        if let Some((breaking, decided)) = policy.decide(event) {
            impact = if breaking { Impact::Breaking } else { Impact::Compatible };
            clause = Some(decided.to_owned());
        }
    }
    let mut affected = affected::queries(delta, &readers.0);
    if delta.old.is_none() && affected.is_empty() {
        affected = affected::queries(delta, &readers.1);
    }
    let mut consumers: Vec<String> = Vec::new();
    for consumer in affected.iter().flat_map(|query| &query.consumers) {
        if !consumers.contains(consumer) {
            consumers.push(consumer.clone());
        }
    }
    Change {
        object: object(delta),
        section: delta.keys.first().cloned().unwrap_or_default(),
        key: path,
        old: delta.old.clone(),
        new: delta.new.clone(),
        impact,
        surface,
        why,
        clause,
        queries: affected.iter().map(|query| query.name.clone()).collect(),
        consumers,
    }
}

/// The name that a removed table or column seems to have now: one with the same contents was added.
fn renamed_to<'a>(delta: &Delta, all: &'a [Delta]) -> Option<&'a str> {
    let path = delta.path();
    if !matches!(path.as_str(), "table" | "table.column") {
        return None;
    }
    let nameless = |value: &Value| {
        let mut value = value.clone();
        if let Value::Object(map) = &mut value {
            for key in ["name", "meaning", "constraint", "index"] {
                map.remove(key);
            }
        }
        value
    };
    let was = nameless(delta.old.as_ref().filter(|_| delta.new.is_none())?);
    let twin = all.iter().find(|other| {
        let parent = |names: &[String]| names.split_last().map(|(_, rest)| rest.to_vec());
        other.old.is_none()
            && other.keys == delta.keys
            && parent(&other.names) == parent(&delta.names)
            && other.new.as_ref().map(nameless) == Some(was.clone())
    })?;
    twin.names.last().map(String::as_str)
}

/// The object of a change as people name it: `column signal_greeks.delta`.
fn object(delta: &Delta) -> String {
    const SAID: [(&str, &str); 8] = [
        ("table.column", "column"),
        ("table.constraint", "constraint"),
        ("table.index", "index"),
        ("continuous_aggregate", "continuous aggregate"),
        ("role.table", "right"),
        ("query.result", "result column"),
        ("query.parameter", "parameter"),
        ("coverage.critical_path", "critical path"),
    ];
    let path = delta.path();
    let said = SAID.iter().find(|(start, _)| path.starts_with(start)).map(|(_, said)| *said);
    let kind = said.unwrap_or(delta.keys.first().map_or("", String::as_str));
    if delta.names.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind} {}", delta.names.join("."))
    }
}

/// Changes of migrations: what was released is never edited, what is new says itself whether it breaks.
fn migrations(old: &[Migration], new: &[Migration]) -> Vec<Change> {
    let change =
        |one: &Migration, key: &str, old: Option<Value>, new: Option<Value>, impact, why: &str| {
            Change {
                object: format!("migration {}", one.version),
                section: "migration".to_owned(),
                key: format!("migration{key}"),
                old,
                new,
                impact,
                surface: Surface::Operation,
                why: why.to_owned(),
                clause: None,
                queries: Vec::new(),
                consumers: Vec::new(),
            }
        };
    let mut found = Vec::new();
    for one in old {
        let title = Some(Value::from(one.up_file.clone()));
        let Some(now) = new.iter().find(|other| other.version == one.version) else {
            let why = "databases that applied it no longer fit";
            found.push(change(one, "", title, None, Impact::Breaking, why));
            continue;
        };
        let pairs = [
            (
                ".up",
                &one.checksum,
                &now.checksum,
                Impact::Breaking,
                "a released migration was edited: databases that applied it are refused",
            ),
            (
                ".down",
                &one.down_sql,
                &now.down_sql,
                Impact::Compatible,
                "it is rolled back otherwise",
            ),
            (".file", &one.up_file, &now.up_file, Impact::Editorial, "another file name"),
        ];
        for (key, was, is, impact, why) in pairs {
            if was != is {
                let (was, is) = (Value::from(was.clone()), Value::from(is.clone()));
                found.push(change(one, key, Some(was), Some(is), impact, why));
            }
        }
    }
    let last = old.iter().map(|one| &one.version).max();
    for one in new.iter().filter(|one| !old.iter().any(|other| other.version == one.version)) {
        let (impact, why) = if last.is_some_and(|last| one.version < *last) {
            (Impact::Breaking, "it comes before versions that were released: databases are refused")
        } else if one.breaking {
            (Impact::Breaking, "its header declares it breaking")
        } else {
            (Impact::Compatible, "its header declares it not breaking")
        };
        let title = Some(Value::from(format!("{}: {}", one.up_file, one.description)));
        found.push(change(one, "", None, title, impact, why));
    }
    found
}
