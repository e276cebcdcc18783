//! The database layer of Signal Service and its database contract.

/// Every file of the contract directory: path and text.
pub const CONTRACT: &[(&str, &str)] = &[];
