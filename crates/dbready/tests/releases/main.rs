//! What contracts promise over time, shown on scratch databases of a real server.
#![allow(clippy::unwrap_used)]

mod matrix;
mod nulls;
mod odcs;
mod scratch;
#[path = "../shop/mod.rs"]
mod shop;
mod support;
