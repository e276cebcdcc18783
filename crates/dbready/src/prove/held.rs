//! What rollups hold on the twin: in which tables, and a row of each that is served.

use tokio_postgres::Transaction;

use super::ground::Ground;
use crate::Error;
use crate::catalog::{self, Relations};
use crate::contract::{Column, Rollup, Table};
use crate::sql::quote_literal;

/// What one rollup is made of.
#[derive(Debug)]
pub(super) struct Held<'a> {
    pub(super) rollup: &'a Rollup,
    pub(super) source: &'a Table,
    /// All tables that its statements read.
    pub(super) tables: Vec<&'a Table>,
    /// Tables from which rows are served as they are.
    pub(super) stores: Vec<Store<'a>>,
    /// Further tables that decide what is served.
    pub(super) marks: Vec<&'a Table>,
}

/// A table from which rows are served.
#[derive(Debug)]
pub(super) struct Store<'a> {
    pub(super) table: &'a Table,
    /// A condition that holds for one row, which is served.
    pub(super) row: String,
    /// Its columns that are served, other than the key.
    pub(super) columns: Vec<&'a Column>,
}

/// Asks what the rollups hold; `relations` are those that their statements read.
pub(super) async fn read<'a>(
    transaction: &mut Transaction<'_>,
    ground: &Ground<'a>,
    relations: &Relations,
) -> Result<Vec<Held<'a>>, Error> {
    let mut all = Vec::new();
    let texts = ground.contract.model.rollups.iter().zip(&ground.contract.rollup_sql);
    for (rollup, sql) in texts {
        let Some(source) = ground.contract.table(&rollup.source) else { continue };
        let names = catalog::columns(transaction, &sql.served).await?;
        let mut held =
            Held { rollup, source, tables: Vec::new(), stores: Vec::new(), marks: Vec::new() };
        for table in ground.tables() {
            let number = super::ground::number(transaction, table).await?;
            if !number.is_some_and(|one| relations.contains(&one)) {
                continue;
            }
            held.tables.push(table);
            if std::ptr::eq(table, source) {
                continue;
            }
            let primary =
                table.constraints.iter().find(|one| one.definition.starts_with("PRIMARY"));
            let key = primary.map_or(&[][..], |one| ground.constraint_columns(table, &one.name));
            if key.is_empty() || !key.iter().all(|column| names.contains(column)) {
                held.marks.push(table);
                continue;
            }
            let equal = ground.columns(table).into_iter().filter(|one| key.contains(&one.name));
            let equal = equal.map(|column| {
                let (name, kind) = (quote_literal(&column.name), quote_literal(&column.data_type));
                format!("format('%I = %L::%s', {name}, to_jsonb(served)->>{name}, {kind})")
            });
            let text = format!("concat_ws(' AND ', {})", equal.collect::<Vec<_>>().join(", "));
            if let Some(row) = catalog::of_one_served(transaction, &sql.served, &text).await? {
                let is_served =
                    |one: &&Column| !key.contains(&one.name) && names.contains(&one.name);
                let columns = ground.columns(table).into_iter().filter(is_served).collect();
                held.stores.push(Store { table, row, columns });
            }
        }
        all.push(held);
    }
    Ok(all)
}
