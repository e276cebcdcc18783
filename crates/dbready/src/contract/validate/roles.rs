//! Roles, and the objects that they have rights on.

use std::collections::HashSet;

use super::super::error::quoted;
use super::super::locate::Path;
use super::super::model::Model;
use super::super::names;
use super::super::roles::{PRIVILEGES, Role, TableRights};
use super::schema::{Bounds, in_time};
use super::{Found, Index, overlap};

pub(super) fn problems(model: &Model, index: &Index<'_>, found: &mut Found) {
    let base = Path::new("role");
    let named = model.roles.iter();
    in_time(
        "role",
        &base,
        named.map(|one| (one.name.as_str(), (one.since.as_ref(), one.until.as_ref()))),
        found,
    );
    for (at, role) in model.roles.iter().enumerate() {
        let path = base.at(at);
        if matches!(role.name.as_str(), "public" | "none") || role.name.starts_with("pg_") {
            let message = format!("`{}` is a name of the server's own", quoted(&role.name));
            found.push(path.key("name"), message);
        }
        found.not_blank(&path, "meaning", &role.meaning);
        found.listed("role", &path.key("member_of"), &role.member_of, names::identifier);
        found.listed("sequence", &path.key("sequences"), &role.sequences, names::known_identifier);
        schemas(model, role, &path, found);
        functions(model, role, &path, found);
        tables(model, index, role, &path, found);
    }
}

fn schemas(model: &Model, role: &Role, path: &Path, found: &mut Found) {
    let known = model.schemas();
    for (key, listed) in [("usage", &role.usage), ("create", &role.create)] {
        let path = path.key(key);
        found.listed("schema", &path, listed, names::identifier);
        for (at, name) in listed.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let message =
                    format!("expected a schema of this contract, found `{}`", quoted(name));
                found.push(path.at(at), message);
            }
        }
    }
}

fn functions(model: &Model, role: &Role, path: &Path, found: &mut Found) {
    let path = path.key("execute");
    found.listed("function", &path, &role.execute, names::known_identifier);
    for (at, name) in role.execute.iter().enumerate() {
        if !model.known.functions.contains(name) {
            let message = format!("expected a function of [known], found `{}`", quoted(name));
            found.push(path.at(at), message);
        }
    }
}

fn tables(model: &Model, index: &Index<'_>, role: &Role, path: &Path, found: &mut Found) {
    let base = path.key("table");
    let aggregates: HashSet<String> = model
        .continuous_aggregates
        .iter()
        .map(|one| crate::sql::spoken_name(&one.schema, &one.name))
        .collect();
    for (at, one) in role.tables.iter().enumerate() {
        let path = base.at(at);
        let is_known = index.table(&one.name).is_some()
            || aggregates.contains(&one.name)
            || model.known.views.contains(&one.name)
            || model.known.tables.contains(&one.name);
        if !is_known {
            let message = format!(
                "expected a table, continuous aggregate or known view of this contract, found `{}`",
                quoted(&one.name)
            );
            found.push(path.key("name"), message);
        } else if role.tables[..at]
            .iter()
            .any(|other| other.name == one.name && overlap(bounds(other), bounds(one)))
        {
            let message = format!(
                "table `{}` is stated twice; keep one, or state versions with `since` and `until`",
                quoted(&one.name)
            );
            found.push(path.key("name"), message);
        }
        let path = path.key("privileges");
        if one.privileges.is_empty() {
            found.push(path.clone(), "expected at least one privilege, found none");
        }
        found.listed("privilege", &path, &one.privileges, privilege);
    }
}

fn bounds(one: &TableRights) -> Bounds<'_> {
    (one.since.as_ref(), one.until.as_ref())
}

fn privilege(word: &str) -> Result<(), String> {
    if PRIVILEGES.contains(&word) {
        return Ok(());
    }
    Err(format!("expected one of {}, found `{}`", PRIVILEGES.join(", "), quoted(word)))
}
