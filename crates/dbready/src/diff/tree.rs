//! Two models compared key by key. Nothing is left out: what a model holds is compared as the values
//! that it is written in, whatever keys it has.

use std::collections::BTreeMap;

use semver::Version;
use serde_json::{Map, Value};

use crate::contract::in_version;

/// Lists whose order means something, compared as a whole. Other lists of texts are sets.
const SEQUENCES: [&str; 5] = [
    "table.index.columns",
    "table.index.include",
    "table.compression.segment_by",
    "table.compression.order_by",
    "continuous_aggregate.columns",
];

/// Lists whose elements are told apart by their place and not by a name.
const BY_PLACE: [&str; 1] = ["query.parameter"];

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Delta {
    /// The keys on the way to it: `table`, `column`, `type`.
    pub(super) keys: Vec<String>,
    /// The names of the list elements on that way: `signal_greeks`, `delta`.
    pub(super) names: Vec<String>,
    /// What was there; `None` when it was added.
    pub(super) old: Option<Value>,
    /// What is there; `None` when it was removed.
    pub(super) new: Option<Value>,
}

impl Delta {
    /// The keys joined by dots: `table.column.type`.
    pub(super) fn path(&self) -> String {
        self.keys.join(".")
    }
}

/// Every difference between two models, each as it stands in its own version.
pub(super) fn compare(old: (&Value, &Version), new: (&Value, &Version)) -> Vec<Delta> {
    let mut found = Walk::default();
    found.walk(&current(old.0, old.1), &current(new.0, new.1));
    let mut deltas = found.deltas;
    deltas.extend(history(old, new, &deltas));
    deltas
}

#[derive(Default)]
struct Walk {
    keys: Vec<String>,
    names: Vec<String>,
    deltas: Vec<Delta>,
}

impl Walk {
    fn push(&mut self, old: Option<&Value>, new: Option<&Value>) {
        self.deltas.push(Delta {
            keys: self.keys.clone(),
            names: self.names.clone(),
            old: old.cloned(),
            new: new.cloned(),
        });
    }

    fn walk(&mut self, old: &Value, new: &Value) {
        match (old, new) {
            _ if old == new => {}
            (Value::Null, _) => self.push(None, Some(new)),
            (_, Value::Null) => self.push(Some(old), None),
            (Value::Object(one), Value::Object(other)) => self.objects(one, other),
            (Value::Array(one), Value::Array(other)) => self.lists(one, other),
            _ => self.push(Some(old), Some(new)),
        }
    }

    fn objects(&mut self, old: &Map<String, Value>, new: &Map<String, Value>) {
        let added = new.keys().filter(|key| !old.contains_key(*key));
        for key in old.keys().chain(added) {
            self.keys.push(key.clone());
            let value = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
            self.walk(&value(old), &value(new));
            self.keys.pop();
        }
    }

    fn lists(&mut self, old: &[Value], new: &[Value]) {
        let path = self.keys.join(".");
        if SEQUENCES.contains(&path.as_str()) {
            let (old, new) = (Value::from(old), Value::from(new));
            return self.push(Some(&old), Some(&new));
        }
        let by_place = BY_PLACE.contains(&path.as_str());
        let (one, other) = (named(old, by_place), named(new, by_place));
        for (name, value) in &one {
            self.names.push(name.clone());
            match other.iter().find(|(its, _)| its == name) {
                Some((_, now)) => self.walk(value, now),
                None => self.push(Some(value), None),
            }
            self.names.pop();
        }
        for (name, value) in
            other.iter().filter(|(name, _)| !one.iter().any(|(its, _)| its == name))
        {
            self.names.push(name.clone());
            self.push(None, Some(value));
            self.names.pop();
        }
        if path == "query.result" {
            self.order(&one, &other);
        }
    }

    /// The columns of a result have places, too: what is in both must keep its own.
    fn order(&mut self, old: &[(String, &Value)], new: &[(String, &Value)]) {
        let moved = old.iter().enumerate().any(|(at, (name, _))| {
            new.iter().position(|(its, _)| its == name).is_some_and(|place| place != at)
        });
        if moved {
            let names = |list: &[(String, &Value)]| {
                Value::from(list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())
            };
            self.keys.push("order".to_owned());
            self.push(Some(&names(old)), Some(&names(new)));
            self.keys.pop();
        }
    }
}

/// The elements of a list with the names that they are told apart by.
fn named(list: &[Value], by_place: bool) -> Vec<(String, &Value)> {
    let mut found: Vec<(String, &Value)> = Vec::with_capacity(list.len());
    for (at, value) in list.iter().enumerate() {
        let mut name = if by_place { format!("${}", at + 1) } else { name_of(value) };
        let twice = found.iter().filter(|(its, _)| *its == name).count();
        if twice > 0 {
            name = format!("{name} ({})", twice + 1);
        }
        found.push((name, value));
    }
    found
}

/// The name of an element: of a table with its schema, of an announcement its version, of a waiver its
/// claim.
fn name_of(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match (value, text("name")) {
        (Value::String(text), _) => text.clone(),
        (_, Some(name)) => crate::sql::spoken_name(text("schema").unwrap_or("public"), name),
        _ => {
            let others = ["version", "claim", "about"];
            others.into_iter().find_map(text).unwrap_or_default().to_owned()
        }
    }
}

fn bound(value: &Value, key: &str) -> Option<Version> {
    value.get(key).and_then(Value::as_str).and_then(|text| text.parse().ok())
}

fn is_current(value: &Value, version: &Version) -> bool {
    in_version(bound(value, "since").as_ref(), bound(value, "until").as_ref(), version)
}

/// A model as it stands in one version: without what is not there, and without the bounds.
fn current(value: &Value, version: &Version) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "since" | "until"))
            .map(|(key, inner)| {
                let there = !inner.is_object() || is_current(inner, version);
                (key.clone(), if there { current(inner, version) } else { Value::Null })
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => {
            let there = list.iter().filter(|one| is_current(one, version));
            there.map(|one| current(one, version)).collect()
        }
        other => other.clone(),
    }
}

/// What is told of versions other than a model's own, by the keys and names that lead to it.
type History = BTreeMap<(Vec<String>, Vec<String>), Vec<Value>>;

/// Changes in what is told of other versions, but for those that show in the current one.
fn history(old: (&Value, &Version), new: (&Value, &Version), shown: &[Delta]) -> Vec<Delta> {
    let told = |(value, version)| {
        let mut found = History::new();
        tell(value, version, &mut (Vec::new(), Vec::new()), &mut found);
        found
    };
    let (one, other) = (told(old), told(new));
    let mut places: Vec<_> = one.keys().chain(other.keys()).cloned().collect();
    places.sort();
    places.dedup();
    let mut deltas = Vec::new();
    for place in places {
        let (was, is) = (one.get(&place), other.get(&place));
        let (mut keys, names) = place;
        let explained = shown.iter().any(|delta| {
            delta.keys == keys
                && delta.names == names
                && (delta.old.is_none() || delta.new.is_none())
        });
        if was != is && !explained {
            keys.push("versions".to_owned());
            let list = |told: Option<&Vec<Value>>| told.map(|told| Value::from(told.clone()));
            deltas.push(Delta { keys, names, old: list(was), new: list(is) });
        }
    }
    deltas
}

/// Collects the bounds of what is there, and the whole of what is not.
fn tell(
    value: &Value,
    version: &Version,
    place: &mut (Vec<String>, Vec<String>),
    found: &mut History,
) {
    match value {
        Value::Object(map) => {
            if map.contains_key("since") {
                let there = is_current(value, version);
                let bounds = |key| map.get(key).cloned().unwrap_or_default();
                let told = if there {
                    Value::from(vec![bounds("since"), bounds("until")])
                } else {
                    value.clone()
                };
                if !there || told != Value::from(vec![Value::Null, Value::Null]) {
                    found.entry(place.clone()).or_default().push(told);
                }
                if !there {
                    return;
                }
            }
            for (key, inner) in map {
                place.0.push(key.clone());
                tell(inner, version, place, found);
                place.0.pop();
            }
        }
        Value::Array(list) => {
            for one in list.iter().filter(|one| one.is_object()) {
                place.1.push(name_of(one));
                tell(one, version, place, found);
                place.1.pop();
            }
        }
        _ => {}
    }
}
