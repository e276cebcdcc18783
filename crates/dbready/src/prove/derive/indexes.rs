//! Indexes dropped, and indexes that only keep their name.

use crate::check::ddl::create_index;
use crate::contract::{Index, Table};
use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::{qualified, quote_ident, quote_literal};

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let mut all = Vec::new();
    for table in ground.tables() {
        let now = |one: &&Index| ground.is_now(one.since.as_ref(), one.until.as_ref());
        for index in table.indexes.iter().filter(now) {
            all.extend(of(ground, table, index));
        }
    }
    all
}

/// The index made anew with other properties under its name.
fn instead(table: &Table, one: &Index, change: impl FnOnce(&mut Index)) -> String {
    let mut other = one.clone();
    change(&mut other);
    let name = qualified(&table.schema, &one.name);
    format!("DROP INDEX {name} CASCADE; {}", create_index(table, &other))
}

fn of(ground: &Ground<'_>, table: &Table, one: &Index) -> Vec<Sabotage> {
    let spoken = table.spoken_name();
    let id = format!("schema.{spoken}.index.{}", one.name);
    let index = qualified(&table.schema, &one.name);
    let own = ground.index_columns(table, &one.name);
    let falls = || {
        let plans = ground.of_table(table, &["plan"]).into_iter();
        plans.chain(ground.referrers(table)).chain(ground.of_key(table, &one.name))
    };
    let sabotage = |what: &str, ways: Vec<String>| Sabotage::sql(&*id, what, ways).with(falls());
    let flag = |set: &str| {
        let (on, literal) = (table.qualified(), quote_literal(&index));
        // The lock says whose row of the catalog is changed.
        vec![format!(
            "LOCK TABLE {on} IN SHARE MODE; \
             UPDATE pg_index SET {set} WHERE indexrelid = {literal}::regclass"
        )]
    };
    // A unique index that is one too many under another name refuses rows.
    let extra = if one.unique { "constraints" } else { "indexes" };
    let mut all = vec![
        sabotage("dropped", vec![format!("DROP INDEX {index} CASCADE")]),
        sabotage("renamed", vec![format!("ALTER INDEX {index} RENAME TO sabotage_renamed")])
            .with([format!("drift.{spoken}.{extra}")]),
        sabotage("not valid", flag("indisvalid = false")),
        sabotage("not ready", flag("indisready = false")),
    ];
    let other_columns: Vec<String> = if one.columns.len() > 1 {
        vec![instead(table, one, |index| index.columns.reverse())]
    } else {
        let others = ground.columns(table).into_iter().filter(|other| !own.contains(&other.name));
        let on = |column: &str| {
            instead(table, one, |index| {
                index.columns = vec![quote_ident(column)];
                index.unique = false;
                index.nulls_not_distinct = false;
            })
        };
        others.map(|other| on(&other.name)).collect()
    };
    all.push(sabotage("other columns", other_columns));
    let conditional = instead(table, one, |index| {
        index.predicate = match (&one.predicate, own.first()) {
            (Some(_), _) => None,
            (None, Some(column)) => Some(format!("{} IS NOT NULL", quote_ident(column))),
            (None, None) => Some("true".to_owned()),
        };
    });
    all.push(sabotage("another condition", vec![conditional]));
    let mut unique = vec![instead(table, one, |index| {
        index.unique = !one.unique;
        index.nulls_not_distinct = false;
    })];
    unique.extend(flag("indisunique = NOT indisunique"));
    all.push(sabotage(if one.unique { "not unique" } else { "unique" }, unique));
    if !one.include.is_empty() {
        let fewer = instead(table, one, |index| drop(index.include.pop()));
        all.push(sabotage("fewer columns stored", vec![fewer]));
    }
    if one.nulls_not_distinct {
        let distinct = instead(table, one, |index| index.nulls_not_distinct = false);
        all.push(sabotage("nulls no longer equal", vec![distinct]));
    }
    if one.method == "btree" {
        all.extend(turned(&one.columns).map(|columns| {
            let turned = instead(table, one, |index| index.columns = columns);
            sabotage("another direction", vec![turned])
        }));
        let stored = ground.columns(table).into_iter().filter(|other| !own.contains(&other.name));
        let ways: Vec<String> = stored
            .map(|other| instead(table, one, |index| index.include.push(quote_ident(&other.name))))
            .collect();
        if !ways.is_empty() {
            all.push(sabotage("further columns stored", ways));
        }
        if let ([only], false) = (one.columns.as_slice(), one.unique) {
            let hash = instead(table, one, |index| {
                "hash".clone_into(&mut index.method);
                index.columns = vec![only.trim_end_matches(" DESC").to_owned()];
                index.include.clear();
            });
            all.push(sabotage("another method", vec![hash]));
        }
    }
    all
}

/// The columns with the last of them in the other direction.
fn turned(columns: &[String]) -> Option<Vec<String>> {
    let mut columns = columns.to_vec();
    let last = columns.last_mut().filter(|last| !last.contains(" NULLS "))?;
    match last.strip_suffix(" DESC") {
        Some(bare) => *last = bare.to_owned(),
        None => last.push_str(" DESC"),
    }
    Some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_is_turned() {
        let columns =
            |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
        let turn = |names: &[&str]| turned(&columns(names));
        assert_eq!(turn(&["a", "b DESC"]), Some(columns(&["a", "b"])));
        assert_eq!(turn(&["a"]), Some(columns(&["a DESC"])));
        assert_eq!(turn(&["a DESC NULLS LAST"]), None);
    }
}
