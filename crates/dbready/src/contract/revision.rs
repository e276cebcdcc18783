//! Where a contract stands in a git repository.

use serde::{Deserialize, Serialize};

/// The commit that a contract belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// The commit's whole name.
    pub commit: String,
    /// Whether the contract that was read is another one than the commit holds.
    pub changed: bool,
}
