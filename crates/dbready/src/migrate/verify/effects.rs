//! What is in the catalogs, thing by thing, and what a migration did to it.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use crate::Error;
use crate::catalog::{self, Column, ObjectKind, Owned, Snapshot, Survey};
use crate::sql::spoken_name;

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Table,
    View,
    Column,
    Constraint,
    Index,
    Trigger,
    Hypertable,
    Policy,
    /// A type, sequence, function or view by the statement that makes it.
    Definition,
    /// What a role may do with an object. Roles themselves are the server's, and not in the catalogs of
    /// one database.
    Right,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
            Self::Column => "column",
            Self::Constraint => "constraint",
            Self::Index => "index",
            Self::Trigger => "trigger",
            Self::Hypertable => "hypertable",
            Self::Policy => "policy",
            Self::Definition => "definition",
            Self::Right => "right",
        }
    }
}

/// One thing: its kind, its table (or itself) and its name.
pub(super) type Key = (Kind, String, String);

/// Everything in the catalogs that a migration can change, in words that are compared.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalogs {
    pub(super) things: BTreeMap<Key, String>,
    pub(super) snapshot: Snapshot,
}

/// What happened to one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) key: Key,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Effect {
    /// The effect in one line, without what would steer a terminal.
    pub(super) fn words(&self) -> String {
        let mut words = self.described();
        words.retain(|c| !c.is_control());
        words
    }

    fn described(&self) -> String {
        let (kind, owner, name) = &self.key;
        let what = if owner == name || owner.is_empty() {
            format!("{} {name}", kind.word())
        } else {
            format!("{} {owner}.{name}", kind.word())
        };
        match (&self.before, &self.after) {
            (None, Some(after)) if kind == &Kind::Table || after.is_empty() => {
                format!("adds {what}")
            }
            (None, Some(after)) => format!("adds {what}: {}", short(after)),
            (Some(_), None) => format!("removes {what}"),
            (Some(before), Some(after)) => {
                format!("changes {what} from {} to {}", short(before), short(after))
            }
            (None, None) => what,
        }
    }
}

/// A description short enough for a line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(120) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

impl Catalogs {
    /// Reads all schemas of the database but the runner's own.
    pub(super) async fn read(client: &mut Client) -> Result<Self, Error> {
        let schemas = catalog::survey(client, &[]).await?.schemas;
        let survey = catalog::survey(client, &schemas).await?;
        Ok(Self { things: things(&survey), snapshot: survey.snapshot })
    }

    /// What is otherwise in `after`.
    pub(super) fn changes(&self, after: &Self) -> Vec<Effect> {
        let mut keys: Vec<&Key> = self.things.keys().chain(after.things.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        let changed = keys.into_iter().filter(|key| self.things.get(key) != after.things.get(key));
        changed
            .map(|key| Effect {
                key: key.clone(),
                before: self.things.get(key).cloned(),
                after: after.things.get(key).cloned(),
            })
            .collect()
    }

    /// The ordinary tables, as schema and name.
    pub(super) fn tables(&self) -> Vec<(String, String)> {
        let tables = self.snapshot.relations.iter().filter(|one| is_table(one));
        tables.map(|one| (one.schema.clone(), one.name.clone())).collect()
    }

    pub(super) fn column(&self, table: &(String, String), name: &str) -> Option<&Column> {
        self.snapshot.relation(&table.0, &table.1)?.column(name)
    }
}

fn is_table(relation: &catalog::Relation) -> bool {
    matches!(relation.kind, catalog::RelationKind::Table | catalog::RelationKind::PartitionedTable)
}

fn things(survey: &Survey) -> BTreeMap<Key, String> {
    let mut all = BTreeMap::new();
    for relation in &survey.snapshot.relations {
        let spoken = spoken_name(&relation.schema, &relation.name);
        let mut add = |kind: Kind, name: &str, text: String| {
            all.insert((kind, spoken.clone(), name.to_owned()), text);
        };
        if !is_table(relation) {
            add(Kind::View, &spoken, relation.kind.words().to_owned());
            continue;
        }
        let own = format!(
            "{}{}, {:?}, row-level security {}, owned by {}",
            relation.kind.words(),
            relation.partition_by.as_ref().map_or_else(String::new, |key| format!(" by {key}")),
            relation.persistence,
            if relation.row_security { "on" } else { "off" },
            owner(survey, &relation.schema, &relation.name)
        );
        add(Kind::Table, &spoken, own);
        for one in &relation.columns {
            add(Kind::Column, &one.name, of_column(one));
        }
        for one in &relation.constraints {
            add(Kind::Constraint, &one.name, one.definition.clone());
        }
        for one in relation.indexes.iter().filter(|one| !one.of_constraint) {
            let valid = if one.valid && one.ready { "" } else { ", not valid" };
            let text = format!(
                "{}{} ({}){}{valid}",
                if one.unique { "unique " } else { "" },
                one.method,
                one.columns.join(", "),
                one.predicate.as_ref().map_or_else(String::new, |text| format!(" WHERE {text}")),
            );
            add(Kind::Index, &one.name, text);
        }
        for one in &relation.triggers {
            let text = if one.enabled { one.kind.clone() } else { format!("{}, off", one.kind) };
            add(Kind::Trigger, &one.name, text);
        }
    }
    let known = survey.snapshot.timescaledb.as_ref();
    for one in known.iter().flat_map(|known| &known.hypertables) {
        let spoken = spoken_name(&one.schema, &one.table);
        let text = format!("{:?} {:?}", one.dimensions, one.compression);
        all.insert((Kind::Hypertable, spoken.clone(), spoken), text);
    }
    for one in known.iter().flat_map(|known| &known.policies) {
        let spoken = spoken_name(&one.schema, &one.relation);
        let text = format!("every {} s, after {:?} s", one.every_seconds, one.after_seconds);
        all.insert((Kind::Policy, spoken, one.procedure.clone()), text);
    }
    for one in survey.snapshot.rights.iter().flat_map(|rights| &rights.objects) {
        all.extend(rights(one));
    }
    // What the snapshot only knows by name: types, sequences, functions, views.
    for statement in &survey.statements {
        let is_own = statement.undo.as_ref().is_some_and(|undo| !undo.starts_with("DROP TABLE"));
        if let (true, Some(undo)) = (is_own, &statement.undo) {
            let name = undo.trim_start_matches("DROP ").to_owned();
            all.insert((Kind::Definition, String::new(), name), statement.text.clone());
        }
    }
    all
}

/// Whose a table is.
fn owner<'a>(survey: &'a Survey, schema: &str, name: &str) -> &'a str {
    let mut objects = survey.snapshot.rights.iter().flat_map(|rights| &rights.objects);
    let own = objects.find(|one| {
        one.kind == ObjectKind::Table && one.schema.as_deref() == Some(schema) && one.name == name
    });
    own.map_or("nobody", |one| one.owner.as_str())
}

/// How the name of everybody's right begins.
const EVERYBODY: &str = "of PUBLIC ";

/// What roles other than its owner may do with an object.
fn rights(object: &Owned) -> impl Iterator<Item = (Key, String)> + '_ {
    let spoken = match &object.schema {
        Some(schema) if object.kind != ObjectKind::Schema => spoken_name(schema, &object.name),
        _ => object.name.clone(),
    };
    let arguments = object.arguments.as_ref().map(|list| format!("({list})")).unwrap_or_default();
    let kind = object.kind.word();
    let others = object.grants.iter().filter(|one| one.grantee.as_ref() != Some(&object.owner));
    others.map(move |grant| {
        let who = grant.grantee.as_deref().unwrap_or("PUBLIC");
        let column = grant.column.as_ref().map(|name| format!(".{name}")).unwrap_or_default();
        let name = format!("of {who} on {kind} {spoken}{arguments}{column}");
        let words: Vec<String> = grant
            .privileges
            .iter()
            .map(|one| {
                let gives = if grant.grantable.contains(one) { " with grant option" } else { "" };
                format!("{one}{gives}")
            })
            .collect();
        ((Kind::Right, String::new(), name), words.join(", "))
    })
}

fn of_column(one: &Column) -> String {
    let mut text = one.data_type.clone();
    if let Some(collation) = &one.collation {
        text.extend([" collation ", collation]);
    }
    if one.not_null {
        text.push_str(" NOT NULL");
    }
    match (&one.default, &one.identity) {
        (_, Some(identity)) => text.extend([" identity ", identity]),
        (Some(default), _) if one.generated => text.extend([" computed as ", default]),
        (Some(default), _) => text.extend([" DEFAULT ", default]),
        (None, None) => {}
    }
    text
}

/// Why an effect breaks consumers of a table that was there before, if it does.
///
/// By the policy that contracts state: columns removed or retyped, tables removed or renamed,
/// constraints changed, indexes removed; what refuses rows that were taken until now; and what a role
/// could do. No contract promises rights to everybody.
pub(super) fn breaks(before: &Catalogs, after: &Catalogs, effect: &Effect) -> bool {
    let (kind, owner, name) = &effect.key;
    let was_there = before.things.contains_key(&(Kind::Table, owner.clone(), owner.clone()));
    match (kind, &effect.before, &effect.after) {
        (
            Kind::Table | Kind::View | Kind::Column | Kind::Constraint | Kind::Index,
            Some(_),
            None,
        ) => true,
        (Kind::Definition, Some(_), None) => !name.starts_with("SEQUENCE"),
        (Kind::Right, Some(old), new) => {
            let has = |one: &str| new.iter().flat_map(|new| new.split(", ")).any(|it| it == one);
            !name.starts_with(EVERYBODY) && !old.split(", ").all(has)
        }
        (Kind::Constraint, _, Some(_)) => was_there,
        (Kind::Index, None, Some(text)) => was_there && text.starts_with("unique "),
        (Kind::Column, None, Some(_)) => {
            was_there && find(after, owner, name).is_some_and(must_be_filled)
        }
        (Kind::Column, Some(_), Some(_)) => {
            let (Some(old), Some(new)) = (find(before, owner, name), find(after, owner, name))
            else {
                return false;
            };
            let retyped = old.data_type != new.data_type || old.collation != new.collation;
            retyped || (!old.not_null && new.not_null) || old.identity != new.identity
        }
        _ => false,
    }
}

/// Whether writers that do not name the column fail.
fn must_be_filled(column: &Column) -> bool {
    column.not_null && column.default.is_none() && column.identity.is_none()
}

fn find<'a>(catalogs: &'a Catalogs, owner: &str, name: &str) -> Option<&'a Column> {
    let (schema, table) = crate::sql::split_name(owner);
    catalogs.column(&(schema.to_owned(), table.to_owned()), name)
}
