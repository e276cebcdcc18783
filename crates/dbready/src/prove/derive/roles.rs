//! Roles with a right too few, with one too many, and more than groups; rights for everybody.
//!
//! A role belongs to the whole server, and other twins see nothing of a change to it: that is undone
//! with its transaction, too.

use crate::contract::{Role, Table};
use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::{qualified, quote_ident, split_name};

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let tables = ground.tables();
    let Some(aside) = tables.last() else { return Vec::new() };
    let mut all: Vec<Sabotage> =
        ground.contract.roles().flat_map(|role| of_role(ground, role, aside)).collect();
    if !all.is_empty() {
        all.extend(of_everybody(ground, aside));
    }
    all
}

/// The statements, with a lock on one table: rights change nothing that a superuser sees, and that lock
/// says so.
fn way(aside: &Table, statements: &str) -> [String; 1] {
    [format!("LOCK TABLE {} IN SHARE MODE; {statements}", aside.qualified())]
}

fn function(written: &str) -> String {
    let (schema, name) = split_name(written);
    format!("ROUTINE {}", qualified(schema, name))
}

fn of_role(ground: &Ground<'_>, role: &Role, aside: &Table) -> Vec<Sabotage> {
    let who = quote_ident(&role.name);
    let sabotage = |what: &str, statements: String| {
        Sabotage::sql(format!("role.{}", role.name), what, way(aside, &statements))
    };
    let mut all = vec![
        sabotage("gone", format!("ALTER ROLE {who} RENAME TO sabotage_renamed")),
        sabotage("a superuser", format!("ALTER ROLE {who} SUPERUSER")),
        sabotage("beyond row-level security", format!("ALTER ROLE {who} BYPASSRLS")),
        sabotage("logged in as", format!("ALTER ROLE {who} LOGIN")),
        sabotage("a member of another role", format!("GRANT pg_read_all_data TO {who}")),
    ];
    if let Some(other) = role.member_of.first() {
        let revoke = format!("REVOKE {} FROM {who}", quote_ident(other));
        all.push(sabotage("no longer a member", revoke));
    }
    if let Some(schema) = role.usage.first() {
        let revoke = format!("REVOKE USAGE ON SCHEMA {} FROM {who}", quote_ident(schema));
        all.push(sabotage("objects that it can no longer name", revoke));
    }
    if role.create.is_empty() {
        all.push(sabotage("making objects", format!("GRANT CREATE ON SCHEMA public TO {who}")));
    } else if let Some(schema) = role.create.first() {
        let revoke = format!("REVOKE CREATE ON SCHEMA {} FROM {who}", quote_ident(schema));
        all.push(sabotage("no longer making objects", revoke));
    }
    if let Some(name) = role.execute.first() {
        let revoke = format!("REVOKE EXECUTE ON {} FROM {who}", function(name));
        all.push(sabotage("a function that it may no longer call", revoke));
    }
    let functions = &ground.contract.model.known.functions;
    if let Some(name) = functions.iter().find(|name| !role.execute.contains(name)) {
        let grant = format!("GRANT EXECUTE ON {} TO {who}", function(name));
        all.push(sabotage("a further function that it may call", grant));
    }
    let further = ["TRUNCATE", "UPDATE", "INSERT", "SELECT"];
    let held = held(role, aside);
    if let Some(word) = further.into_iter().find(|word| !held.iter().any(|it| it == word)) {
        let grant = format!("GRANT {word} ON TABLE {} TO {who}", aside.qualified());
        all.push(sabotage(&format!("{word} granted"), grant));
    }
    let own = ground.tables().into_iter().find(|table| !self::held(role, table).is_empty());
    if let Some((table, word)) = own.and_then(|own| Some((own, self::held(role, own).last()?))) {
        let on = format!("{word} ON TABLE {}", table.qualified());
        all.push(sabotage(&format!("{word} revoked"), format!("REVOKE {on} FROM {who}")));
        let gives = format!("GRANT {on} TO {who} WITH GRANT OPTION");
        all.push(sabotage(&format!("{word} to be given on"), gives));
    }
    let owner = format!("ALTER TABLE {} OWNER TO {who}", aside.qualified());
    all.push(sabotage("the owner of a table", owner));
    all
}

/// The privileges that a role has on a table.
fn held<'a>(role: &'a Role, table: &Table) -> &'a [String] {
    let names = (table.schema.as_str(), table.name.as_str());
    let own = role.tables.iter().find(|one| split_name(&one.name) == names);
    own.map(|one| one.privileges.as_slice()).unwrap_or_default()
}

fn of_everybody(ground: &Ground<'_>, aside: &Table) -> Vec<Sabotage> {
    let sabotage =
        |what: &str, statements: &str| Sabotage::sql("role.public", what, way(aside, statements));
    let table = aside.qualified();
    let mut all = vec![
        sabotage("a table to read", &format!("GRANT SELECT ON TABLE {table} TO PUBLIC")),
        sabotage("objects to make", "GRANT CREATE ON SCHEMA public TO PUBLIC"),
        sabotage(
            "schemas to make",
            "DO $sabotage$ BEGIN \
             EXECUTE format('GRANT CREATE ON DATABASE %I TO PUBLIC', current_database()); \
             END $sabotage$",
        ),
    ];
    if let Some(column) = ground.columns(aside).first() {
        let name = quote_ident(&column.name);
        let grant = format!("GRANT UPDATE ({name}) ON TABLE {table} TO PUBLIC");
        all.push(sabotage("a column to change", &grant));
    }
    if let Some(name) = ground.contract.model.known.functions.first() {
        let grant = format!("GRANT EXECUTE ON {} TO PUBLIC", function(name));
        all.push(sabotage("a function to call", &grant));
    }
    all
}
