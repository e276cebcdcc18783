//! The built program as a user runs it, on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod check;
mod contract;
mod environment;
mod migrate;
mod output;
mod passwords;
mod proxy;
mod report;
mod support;
mod usage;
