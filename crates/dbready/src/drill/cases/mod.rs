//! The drills themselves, by what they break.

pub(super) mod clients;
pub(super) mod crash;
pub(super) mod disk;
pub(super) mod ingest;
pub(super) mod isolation;
pub(super) mod network;
pub(super) mod outcome;
pub(super) mod pool;
pub(super) mod replication;
pub(super) mod schema;
pub(super) mod security;
pub(super) mod store;
pub(super) mod timeouts;
pub(super) mod transactions;
pub(super) mod values;

use super::Drill;

/// Every family, in the order in which its drills run: quick ones first, those that break much last.
pub(super) const ALL: &[&[Drill]] = &[
    outcome::DRILLS,
    transactions::DRILLS,
    isolation::DRILLS,
    timeouts::DRILLS,
    values::DRILLS,
    schema::DRILLS,
    ingest::DRILLS,
    store::DRILLS,
    security::DRILLS,
    pool::DRILLS,
    network::DRILLS,
    clients::DRILLS,
    crash::DRILLS,
    disk::DRILLS,
    replication::DRILLS,
];
