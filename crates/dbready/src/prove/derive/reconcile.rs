//! Rows and rollups that change behind each other's back.

use crate::contract::Column;
use crate::prove::ground::Ground;
use crate::prove::held::{Held, Store};
use crate::prove::sabotage::Sabotage;
use crate::sql::quote_ident;

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    ground.held.iter().flat_map(of).collect()
}

fn of(held: &Held<'_>) -> Vec<Sabotage> {
    let Some(time) = &held.source.hypertable else { return Vec::new() };
    let sabotage = |what: String, way: String| {
        Sabotage::sql(format!("reconcile.{}", held.rollup.name), what, [way])
    };
    let (source, spoken) = (held.source.qualified(), held.source.spoken_name());
    let time = quote_ident(&time.time_column);
    let one = |order: &str| {
        format!(
            "WHERE (tableoid, ctid) = \
             (SELECT tableoid, ctid FROM {source} ORDER BY {time}{order} LIMIT 1)"
        )
    };
    let delete = |order: &str| format!("DELETE FROM {source} {}", one(order));
    let mut all = Vec::new();
    for (what, order) in [("oldest", ""), ("newest", " DESC")] {
        // No trigger fires in this role, and no aggregate is told.
        let unseen = format!("SET LOCAL session_replication_role = replica; {}", delete(order));
        all.push(sabotage(format!("the {what} row deleted unseen"), unseen));
    }
    let copied: Vec<String> = held
        .source
        .columns
        .iter()
        .filter(|column| column.is_given())
        .map(|column| quote_ident(&column.name))
        .collect();
    let copied = copied.join(", ");
    let insert =
        format!("INSERT INTO {source} ({copied}) SELECT {copied} FROM {source} {}", one(""));
    let numbers = held
        .source
        .columns
        .iter()
        .filter(|column| column.nullable && column.data_type.starts_with("numeric"));
    let halves: Vec<String> = numbers
        .map(|column| quote_ident(&column.name))
        .map(|name| format!("{name} = coalesce({name}, 1) / 2"))
        .collect();
    let update = format!("UPDATE {source} SET {} {}", halves.join(", "), one(""));
    if !held.source.triggers.is_empty() {
        let drops: Vec<String> = held
            .source
            .triggers
            .iter()
            .map(|one| format!("DROP TRIGGER {} ON {source}", quote_ident(&one.name)))
            .collect();
        let drops = drops.join("; ");
        let mut changes = vec![("deleted", delete("")), ("added", insert)];
        if !halves.is_empty() {
            changes.push(("changed", update));
        }
        for (what, change) in changes {
            let what = format!("a row {what} while its triggers are gone");
            all.push(
                sabotage(what, format!("{drops}; {change}"))
                    .with([format!("drift.{spoken}.triggers")]),
            );
        }
    }
    for marks in &held.marks {
        let (name, spoken) = (marks.qualified(), marks.spoken_name());
        let lose = format!(
            "CREATE TEMPORARY TABLE sabotage_marks ON COMMIT DROP AS TABLE {name}; {}; \
             DELETE FROM {name} AS mark \
             WHERE NOT EXISTS (SELECT FROM sabotage_marks AS old WHERE old = mark)",
            delete("")
        );
        all.push(sabotage(format!("what {spoken} says of a deleted row lost"), lose));
    }
    for store in &held.stores {
        all.extend(of_store(store).map(|(what, way)| sabotage(what, way)));
    }
    all
}

/// What is done to one row that is served.
fn of_store<'a>(store: &'a Store<'_>) -> impl Iterator<Item = (String, String)> + 'a {
    let (name, spoken, row) = (store.table.qualified(), store.table.spoken_name(), &store.row);
    let gone = (format!("a row of {spoken} deleted"), format!("DELETE FROM {name} WHERE {row}"));
    let altered = store.columns.iter().filter_map(move |column| {
        let value = other(column)?;
        let what = format!("{spoken}.{} altered in one row", column.name);
        let set = format!("{} = {value}", quote_ident(&column.name));
        Some((what, format!("UPDATE {name} SET {set} WHERE {row}")))
    });
    std::iter::once(gone).chain(altered)
}

/// Another value for a column that is added up or compared.
fn other(column: &Column) -> Option<String> {
    let name = quote_ident(&column.name);
    let kind = column.data_type.as_str();
    let numbers = ["smallint", "integer", "bigint", "numeric", "real", "double precision"];
    if numbers.iter().any(|number| kind.starts_with(number)) {
        return Some(format!("coalesce({name}, 0) + 1"));
    }
    kind.starts_with("timestamp").then(|| format!("{name} + INTERVAL '1 microsecond'"))
}
