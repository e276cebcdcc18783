//! Who feels a change: the query contracts that it concerns, and their consumers.
//!
//! Tables and columns are looked for by name in the text of the queries, which finds too many rather
//! than too few. What really fails, `dbready contract matrix` shows on servers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::tree::Delta;
use crate::contract::{Contract, Query};

/// A contract with the words of its queries, which many changes ask for.
pub(super) struct Readers<'a> {
    contract: &'a Contract,
    words: Vec<BTreeSet<String>>,
}

impl<'a> Readers<'a> {
    pub(super) fn of(contract: &'a Contract) -> Self {
        let words = contract.query_sql.iter().map(|sql| words(&sql.statement)).collect();
        Self { contract, words }
    }

    /// The query contracts that name a table, and a column of it or all of them.
    fn reads(&self, table: &str, column: Option<&str>) -> Vec<&'a Query> {
        let bare = table.rsplit('.').next().unwrap_or(table).to_lowercase();
        let column = column.map(str::to_lowercase);
        let all = self.contract.model.queries.iter().zip(&self.words);
        all.filter(|(_, words)| {
            let named =
                column.as_ref().is_none_or(|one| words.contains(one) || words.contains("*"));
            words.contains(&bare) && named
        })
        .map(|(query, _)| query)
        .collect()
    }
}

/// The query contracts of a contract that a change concerns, in its order.
pub(super) fn queries<'a>(delta: &Delta, readers: &Readers<'a>) -> Vec<&'a Query> {
    let contract = readers.contract;
    let path = delta.path();
    let reads = |table: &str, column: Option<&str>| readers.reads(table, column);
    let first = delta.names.first().map_or("", String::as_str);
    match delta.keys.first().map_or("", String::as_str) {
        "query" => contract.model.queries.iter().filter(|query| query.name == first).collect(),
        "table" if path.starts_with("table.index") => {
            let index = delta.names.get(1).cloned().unwrap_or_default();
            let uses = |query: &&Query| {
                query.plan.as_ref().is_some_and(|plan| plan.indexes.contains(&index))
            };
            contract.model.queries.iter().filter(uses).collect()
        }
        "table" if path.starts_with("table.column") => {
            reads(first, delta.names.get(1).map(String::as_str))
        }
        "table" | "continuous_aggregate" | "known" => reads(first, None),
        "format" | "range" | "precision" | "timestamps" | "json_objects" => {
            let columns = columns(delta, contract);
            let mut found: Vec<&Query> = Vec::new();
            for (table, column) in &columns {
                for query in reads(table, Some(column)) {
                    if !found.iter().any(|one| one.name == query.name) {
                        found.push(query);
                    }
                }
            }
            found
        }
        "waiver" => waived(first, contract, &reads),
        // Every call goes through the pool, in a transaction, on the server.
        "pool" | "transactions" | "server" => contract.model.queries.iter().collect(),
        _ => Vec::new(),
    }
}

/// The query contracts that a claim names, or that read a table which it names.
fn waived<'a>(
    claim: &str,
    contract: &'a Contract,
    reads: &dyn Fn(&str, Option<&str>) -> Vec<&'a Query>,
) -> Vec<&'a Query> {
    let parts: BTreeSet<&str> = claim.split('.').collect();
    let tables = contract.model.tables.iter().filter(|one| parts.contains(one.name.as_str()));
    let readers: Vec<&Query> = tables.flat_map(|table| reads(&table.name, None)).collect();
    let concerns = |query: &&Query| {
        parts.contains(query.name.as_str()) || readers.iter().any(|one| one.name == query.name)
    };
    contract.model.queries.iter().filter(concerns).collect()
}

/// The columns that a clause about data speaks of, before and after.
fn columns(delta: &Delta, contract: &Contract) -> BTreeSet<(String, String)> {
    let mut written: BTreeSet<String> = BTreeSet::new();
    for side in [&delta.old, &delta.new].into_iter().flatten() {
        let listed = side.get("columns").and_then(Value::as_array);
        match (side, delta.path().ends_with(".columns")) {
            (Value::String(column), true) => drop(written.insert(column.clone())),
            _ => written
                .extend(listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)),
        }
    }
    if written.is_empty() {
        let name = delta.names.first().map_or("", String::as_str);
        let model = &contract.model;
        let formats = model.formats.iter().map(|one| (&one.name, &one.columns));
        let ranges = model.ranges.iter().map(|one| (&one.name, &one.columns));
        let precisions = model.precisions.iter().map(|one| (&one.name, &one.columns));
        let mine = formats.chain(ranges).chain(precisions).filter(|(its, _)| *its == name);
        written.extend(mine.flat_map(|(_, columns)| columns.iter().cloned()));
    }
    let split = |one: String| {
        one.rsplit_once('.').map(|(table, column)| (table.to_owned(), column.to_owned()))
    };
    written.into_iter().filter_map(split).collect()
}

/// The names in an SQL text, in small letters, and `*`.
fn words(sql: &str) -> BTreeSet<String> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let mut found: BTreeSet<String> = sql
        .split(|c: char| !inside(c))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    // `count(*)` is no list of columns.
    if sql.replace("(*)", "").contains('*') {
        found.insert("*".to_owned());
    }
    found
}
