//! A first contract from a live database: what `check` then proves on it and `prove` can break.
//!
//! Only the catalogs are read, and what `pg_stat_statements` remembers. What the contract format cannot express is left out by name and with
//! its reason, and is known to the contract so that it is no drift.

mod document;
mod figures;
mod queries;
mod statement;

use std::collections::BTreeMap;

use tokio_postgres::Client;

use self::queries::Queries;
use crate::Error;
use crate::catalog::{self, Snapshot, Survey};
use crate::contract::{self, Contract};
use crate::markup::one_line;

/// Version of a first contract.
const VERSION: &str = "1.0.0";

/// A first contract, not yet written anywhere.
#[derive(Debug)]
pub struct Draft {
    /// The texts of the contract directory by their relative paths.
    pub files: BTreeMap<String, String>,
    /// The same, read.
    pub contract: Contract,
    /// What the database has and the contract does not claim, each with its reason.
    pub left_out: Vec<String>,
}

/// Drafts a contract for the schemas of a live database; reads only.
///
/// # Errors
///
/// [`Error::Usage`] when a schema does not exist or holds no table that a contract can describe;
/// [`Error::Database`]; [`Error::Contract`] when the database has something that no contract can say
/// and that was not recognised.
pub async fn draft(client: &mut Client, name: &str, schemas: &[String]) -> Result<Draft, Error> {
    let survey = catalog::survey(client, schemas).await?;
    if let Some(missing) = schemas.iter().find(|schema| !survey.schemas.contains(schema)) {
        let known = survey.schemas.join(", ");
        return Err(Error::Usage(format!(
            "--schema: expected a schema of the database ({known}), found {missing}"
        )));
    }
    let (described, mut left_out) = split(&survey.snapshot);
    let is_other = |one: &&String| *one != "public" && !schemas.contains(*one);
    let others: Vec<&str> = survey.schemas.iter().filter(is_other).map(String::as_str).collect();
    if !others.is_empty() {
        left_out.push(format!("schemas {}: `--schema` names what is described", others.join(", ")));
    }
    left_out.extend(beside(&survey));
    let queries = match described.as_slice() {
        [] => Queries::default(),
        _ => queries::draft(client, &survey, schemas).await?,
    };
    left_out.extend(queries.left_out);
    let left_out: Vec<String> = left_out.iter().map(|one| one_line(one)).collect();
    if described.is_empty() {
        return Err(Error::Usage(format!(
            "expected a table in {} that a contract can describe, found none{}",
            schemas.join(", "),
            left_out.first().map_or_else(String::new, |first| format!("; {first}"))
        )));
    }
    let document = document::text(name, &survey, &described, &queries.queries);
    let (up, down) = baseline(&survey);
    let mut files = BTreeMap::from([
        ("contract.toml".to_owned(), document),
        (format!("migrations/{VERSION}_baseline.up.sql"), up),
        (format!("migrations/{VERSION}_baseline.down.sql"), down),
    ]);
    files.extend(queries.queries.iter().map(|one| (one.file(), one.sql())));
    let contract = contract::parse(&files)?;
    Ok(Draft { files, contract, left_out })
}

/// The tables that a contract can describe, by schema and name, and why the others are left out.
fn split(snapshot: &Snapshot) -> (Vec<&catalog::Relation>, Vec<String>) {
    let (mut described, mut left_out) = (Vec::new(), Vec::new());
    for relation in &snapshot.relations {
        match reason(snapshot, relation) {
            None => described.push(relation),
            // A view is known by its name, which is all that is claimed of views.
            Some("view") => {}
            Some(reason) => {
                left_out.push(format!("{}.{}: {reason}", relation.schema, relation.name));
            }
        }
    }
    (described, left_out)
}

/// Why a contract cannot describe a relation.
fn reason(snapshot: &Snapshot, relation: &catalog::Relation) -> Option<&'static str> {
    use catalog::RelationKind as Kind;
    match relation.kind {
        Kind::Table | Kind::PartitionedTable => {}
        Kind::View | Kind::MaterializedView => return Some("view"),
        Kind::ForeignTable => return Some("a foreign table"),
    }
    let sayable = |name: &str| contract::is_identifier(name);
    let names = relation.columns.iter().map(|one| &one.name);
    let names = names.chain(relation.constraints.iter().map(|one| &one.name));
    let mut names = names.chain(relation.indexes.iter().map(|one| &one.name));
    if !sayable(&relation.schema) || !sayable(&relation.name) || !names.all(|name| sayable(name)) {
        return Some("a name with a dot or a control character");
    }
    if relation.columns.is_empty() {
        return Some("no column");
    }
    if relation.indexes.iter().any(|index| !index.valid || !index.ready) {
        return Some("an index that is not valid");
    }
    if relation.constraints.iter().any(|one| !one.enforced) {
        return Some("a constraint that is not enforced");
    }
    if relation.triggers.iter().any(|one| one.kind == "rule" || !one.enabled) {
        return Some("a rule, or a trigger that is switched off");
    }
    let hypertable = snapshot.hypertable(&relation.schema, &relation.name)?;
    match hypertable.dimensions.as_slice() {
        [time] if document::interval(relation, time).is_some() => None,
        [_] => Some("a hypertable whose chunks are not whole seconds of time"),
        _ => Some("a hypertable with a further dimension"),
    }
}

/// What the migration does not build, although what it belongs to is there.
fn beside(survey: &Survey) -> Vec<String> {
    let says = |(thing, what): &(String, String)| format!("{thing}: {what}: not in the migration");
    let mut all: Vec<String> = survey.beside.iter().map(says).collect();
    let Some(known) = &survey.snapshot.timescaledb else { return all };
    for one in &known.continuous_aggregates {
        all.push(format!(
            "{}.{}: a continuous aggregate: not in the migration",
            one.schema, one.name
        ));
    }
    for one in &known.policies {
        all.push(format!(
            "{}.{}: {}: not in the migration",
            one.schema, one.relation, one.procedure
        ));
    }
    for one in known.hypertables.iter().filter(|one| one.compression.is_some()) {
        all.push(format!("{}.{}: compression: not in the migration", one.schema, one.table));
    }
    all
}

/// The migration that builds the schemas, and its rollback.
fn baseline(survey: &Survey) -> (String, String) {
    let mut up = format!(
        "-- version: {VERSION}\n-- description: the schema as it was found\n-- breaking: no\n\n\
         SET LOCAL check_function_bodies = off;\n"
    );
    let mut down = String::from("-- Takes the whole schema away, with all rows.\n\n");
    for statement in &survey.statements {
        up.extend([statement.text.as_str(), ";\n"]);
    }
    for undo in survey.statements.iter().rev().filter_map(|statement| statement.undo.as_ref()) {
        down.extend([undo.as_str(), ";\n"]);
    }
    (up, down)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn snapshot(change: impl FnOnce(&mut serde_json::Value)) -> Snapshot {
        let mut relation = json!({
            "schema": "public", "name": "notes", "kind": "table", "persistence": "permanent",
            "row_security": false, "constraints": [], "indexes": [], "triggers": [],
            "columns": [{ "name": "id", "type": "bigint", "not_null": true, "default": null,
                "identity": null, "generated": false, "collation": null }],
        });
        change(&mut relation);
        serde_json::from_value(json!({ "extensions": [], "relations": [relation], "functions": [],
            "timescaledb": null, "versions": null, "migrations": null }))
        .unwrap()
    }

    #[test]
    fn what_cannot_be_said_is_left_out_by_name_and_reason() {
        type Change = fn(&mut serde_json::Value);
        assert_eq!(split(&snapshot(|_| ())).0.len(), 1);
        let cases: [(Change, &str); 3] = [
            (|one| one["kind"] = "foreign_table".into(), "a foreign table"),
            (|one| one["columns"] = json!([]), "no column"),
            (
                |one| one["columns"][0]["name"] = "a.b".into(),
                "a name with a dot or a control character",
            ),
        ];
        for (change, reason) in cases {
            let seen = snapshot(change);
            let (described, left_out) = split(&seen);
            assert!(described.is_empty(), "{reason}");
            assert_eq!(left_out, [format!("public.notes: {reason}")]);
        }
    }

    #[test]
    fn views_are_known_and_not_told_about() {
        let seen = snapshot(|one| one["kind"] = "view".into());
        assert_eq!(split(&seen).1, [""; 0]);
    }
}
