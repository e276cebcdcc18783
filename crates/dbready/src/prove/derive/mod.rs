//! From a contract to every sabotage that its claims imply.

mod columns;
mod constraints;
mod data;
mod drift;
mod indexes;
mod queries;
mod reconcile;
mod roles;
mod server;
mod tables;
mod values;
mod versions;

use std::collections::BTreeSet;

use super::ground::Ground;
use super::sabotage::{Break, Sabotage};

/// Every sabotage, in the order of the claims' families.
pub(super) fn all(ground: &Ground<'_>) -> Vec<Sabotage> {
    let families: [fn(&Ground<'_>) -> Vec<Sabotage>; 12] = [
        server::derive,
        versions::derive,
        tables::derive,
        columns::derive,
        constraints::derive,
        indexes::derive,
        drift::derive,
        roles::derive,
        queries::derive,
        reconcile::derive,
        data::derive,
        values::derive,
    ];
    let mut all: Vec<Sabotage> = families.into_iter().flat_map(|derive| derive(ground)).collect();
    for sabotage in &mut all {
        inherited(ground, sabotage);
    }
    all
}

/// What is done to a table is done to its heirs, too; an heir is changed by itself once it is none.
fn inherited(ground: &Ground<'_>, sabotage: &mut Sabotage) {
    let mut falls = BTreeSet::new();
    for (table, heirs) in &ground.heirs {
        for heir in heirs {
            let all = sabotage.falls.iter().chain([&sabotage.target]);
            falls.extend(all.filter_map(|claim| about(claim, table, &heir.table)));
            let column = sabotage.target.strip_prefix(&format!("schema.{table}.column."));
            if let (Some(column), Some(heir)) = (column, ground.contract.table(&heir.table)) {
                falls.extend(ground.made_of(heir, column));
            }
            if let Break::Sql(ways) = &mut sabotage.breaks
                && about(&sabotage.target, &heir.table, table).is_some()
            {
                let parted: Vec<String> =
                    ways.iter().map(|way| format!("{}; {way}", heir.parting)).collect();
                ways.extend(parted);
            }
        }
    }
    sabotage.falls.extend(falls);
}

/// The claim that says of another table what this one says of `table`.
fn about(claim: &str, table: &str, other: &str) -> Option<String> {
    let name = format!(".{table}");
    let is_whole = |at: &usize| matches!(claim[at + name.len()..].chars().next(), None | Some('.'));
    let at = claim.match_indices(&name).map(|(at, _)| at).find(is_whole)?;
    Some(format!("{}.{other}{}", &claim[..at], &claim[at + name.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_of_a_table_is_that_of_its_heir() {
        let about = |claim| about(claim, "animal", "pets.dog");
        assert_eq!(about("schema.animal").as_deref(), Some("schema.pets.dog"));
        let column = about("schema.animal.column.animal");
        assert_eq!(column.as_deref(), Some("schema.pets.dog.column.animal"));
        assert_eq!(about("drift.animals.columns"), None);
        assert_eq!(about("drift.functions"), None);
    }
}
