//! Indexes dropped, and indexes that only keep their name.

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

/// `CREATE INDEX` of that name with other properties.
fn create(table: &Table, one: &Index, unique: bool, columns: &[String], rest: &str) -> String {
    format!(
        "DROP INDEX {} CASCADE; CREATE {}INDEX {} ON {} USING {} ({}){rest}",
        qualified(&table.schema, &one.name),
        if unique { "UNIQUE " } else { "" },
        quote_ident(&one.name),
        table.qualified(),
        quote_ident(&one.method),
        columns.join(", "),
    )
}

fn of(ground: &Ground<'_>, table: &Table, one: &Index) -> Vec<Sabotage> {
    let spoken = table.spoken_name();
    let id = format!("schema.{spoken}.index.{}", one.name);
    let index = qualified(&table.schema, &one.name);
    let own = ground.index_columns(table, &one.name);
    let condition =
        one.predicate.as_ref().map_or_else(String::new, |text| format!(" WHERE {text}"));
    let falls = || ground.of_table(table, &["plan"]).into_iter().chain(ground.referrers(table));
    let sabotage = |what: &str, ways: Vec<String>| Sabotage::sql(&*id, what, ways).with(falls());
    let flag = |set: &str| {
        let literal = quote_literal(&index);
        vec![format!("UPDATE pg_index SET {set} WHERE indexrelid = {literal}::regclass")]
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
        let reversed: Vec<String> = one.columns.iter().rev().cloned().collect();
        vec![create(table, one, one.unique, &reversed, &condition)]
    } else {
        let others = ground.columns(table).into_iter().filter(|other| !own.contains(&other.name));
        let column = |name: &str| vec![quote_ident(name)];
        others.map(|other| create(table, one, false, &column(&other.name), &condition)).collect()
    };
    all.push(sabotage("other columns", other_columns));
    let other_condition = match (&one.predicate, own.first()) {
        (Some(_), _) => String::new(),
        (None, Some(column)) => format!(" WHERE {} IS NOT NULL", quote_ident(column)),
        (None, None) => " WHERE true".to_owned(),
    };
    let conditional = create(table, one, one.unique, &one.columns, &other_condition);
    all.push(sabotage("another condition", vec![conditional]));
    let mut unique = vec![create(table, one, !one.unique, &one.columns, &condition)];
    unique.extend(flag("indisunique = NOT indisunique"));
    all.push(sabotage(if one.unique { "not unique" } else { "unique" }, unique));
    if one.method == "btree" {
        all.extend(turned(&one.columns).map(|columns| {
            let create = create(table, one, one.unique, &columns, &condition);
            sabotage("another direction", vec![create])
        }));
        let stored = ground.columns(table).into_iter().filter(|other| !own.contains(&other.name));
        let ways: Vec<String> = stored
            .map(|other| {
                let rest = format!(" INCLUDE ({}){condition}", quote_ident(&other.name));
                create(table, one, one.unique, &one.columns, &rest)
            })
            .collect();
        if !ways.is_empty() {
            all.push(sabotage("further columns stored", ways));
        }
        if let ([only], false) = (one.columns.as_slice(), one.unique) {
            let hash = Index { method: "hash".to_owned(), ..one.clone() };
            let bare = vec![only.trim_end_matches(" DESC").to_owned()];
            let create = create(table, &hash, false, &bare, &condition);
            all.push(sabotage("another method", vec![create]));
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
