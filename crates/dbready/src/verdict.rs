//! The verdict: the only place that judges evidence against targets.

use serde::{Deserialize, Serialize};

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The evidence contradicts it.
    Refuted,
    /// There is no evidence, or not enough.
    Unproven,
    /// The evidence shows it.
    Proven,
}
