//! The Open Data Contract Standard (ODCS), version 3.1: export and import, as far as it reaches.
//!
//! ODCS has places for the name, version and description of a contract, for tables, columns, types,
//! keys, null and retention. Everything else travels in `customProperties`, under names that begin with
//! `dbready`, so that what was exported is imported as the same contract. A document from elsewhere gives
//! a first contract: its tables, and a migration that makes them.
//!
//! YAML of any origin is read within a budget of bytes, nodes, depth and aliases.

mod export;
mod import;
mod words;

pub use export::export;
pub use import::{MAX_BYTES, import};

/// The version of the standard that is written.
pub const API_VERSION: &str = "v3.1.0";

/// Custom property of the document: `contract.toml` without what ODCS has places for.
const MODEL: &str = "dbreadyModel";
/// Custom property of the document: SQL files by their paths.
const FILES: &str = "dbreadyFiles";
/// Custom property of a table or column: its further keys.
const KEYS: &str = "dbreadyKeys";
