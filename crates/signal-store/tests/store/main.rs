//! The repository on a real server, every test with a database of its own.
//!
//! Tests run on two threads each: one drops the database at the end, the other
//! lets connections that are being made go on, without which the first would wait.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cleanup;
mod community;
mod connect;
mod critical_paths;
mod examples;
#[path = "../support/failing.rs"]
mod failing;
mod failures;
mod greeks;
mod indicators;
mod maintenance;
mod moneyness;
#[allow(dead_code)]
#[path = "../support/records.rs"]
mod records;
#[allow(dead_code)]
#[path = "../../../pg-session/tests/support/relay.rs"]
mod relay;
mod roles;
mod rollups;
mod signal;
mod statements;
mod support;
mod timeframes;
mod verbatim;
