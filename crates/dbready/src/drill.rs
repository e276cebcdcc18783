//! Drills: faults injected into disposable servers. Plans their claims.

use crate::claim::{Claim, Producer, Severity, Target};
use crate::contract::Contract;

/// The claims that drills settle: each drill's invariant holds in every fault injected.
#[must_use]
pub fn plan(contract: &Contract) -> Vec<Claim> {
    contract
        .model
        .drills
        .iter()
        .map(|drill| Claim {
            id: format!("drill.{}", drill.name),
            area: "failure_modes".to_owned(),
            statement: drill.statement.clone(),
            severity: Severity::Critical,
            required: true,
            weight: 1.0,
            producer: Producer::Drill,
            target: Target::NoneWrong { unit: "faults injected".to_owned() },
        })
        .collect()
}
