//! The contract that the program carries is valid, the documentation of the format is true, and
//! hostile contracts are refused with the place of what is wrong.
#![allow(clippy::unwrap_used)]

mod diff;
mod directory;
mod docs_page;
mod document;
mod every_key;
mod files;
mod fuzz;
mod git;
mod keys;
mod migrations_page;
mod names;
mod odcs;
#[path = "../shop/mod.rs"]
mod shop;
mod support;
mod values;

use dbready::contract::source;

#[test]
fn the_embedded_contract_is_valid() {
    let contract = source::load(None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(contract.model.tables.len(), 8);
    assert_eq!(contract.migrations.len(), 6);
    assert_eq!(contract.model.figures.len(), 20, "every figure of the original document");
    assert!(contract.seed_sql.is_some());
}
