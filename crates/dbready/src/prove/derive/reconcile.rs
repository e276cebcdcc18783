//! Rows that change behind the back of what is computed from them.

use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::{qualified, quote_ident, split_name};

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let mut all = Vec::new();
    for rollup in &ground.contract.model.rollups {
        let id = format!("reconcile.{}", rollup.name);
        let hypertable = ground.contract.table(&rollup.source);
        let Some(time) = hypertable.and_then(|table| table.hypertable.as_ref()) else { continue };
        if !ground.claims.contains(&id) {
            continue;
        }
        let (schema, table) = split_name(&rollup.source);
        let (table, time) = (qualified(schema, table), quote_ident(&time.time_column));
        for (what, order) in [("the oldest row deleted", ""), ("the newest row deleted", " DESC")] {
            // No trigger fires in this role, and no aggregate is told.
            let delete = format!(
                "SET LOCAL session_replication_role = replica; \
                 DELETE FROM {table} WHERE (tableoid, ctid) = \
                 (SELECT tableoid, ctid FROM {table} ORDER BY {time}{order} LIMIT 1)"
            );
            all.push(Sabotage::sql(id.clone(), format!("{what} unseen"), [delete]));
        }
    }
    all
}
