//! From a contract to every sabotage that its claims imply.

mod columns;
mod constraints;
mod data;
mod drift;
mod indexes;
mod queries;
mod reconcile;
mod server;
mod tables;
mod values;
mod versions;

use super::ground::Ground;
use super::sabotage::Sabotage;

/// Every sabotage, in the order of the claims' families.
pub(super) fn all(ground: &Ground<'_>) -> Vec<Sabotage> {
    let families: [fn(&Ground<'_>) -> Vec<Sabotage>; 11] = [
        server::derive,
        versions::derive,
        tables::derive,
        columns::derive,
        constraints::derive,
        indexes::derive,
        drift::derive,
        queries::derive,
        reconcile::derive,
        data::derive,
        values::derive,
    ];
    families.into_iter().flat_map(|derive| derive(ground)).collect()
}
