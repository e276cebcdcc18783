//! The built program as a user runs it, on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;
mod certify;
mod check;
#[path = "../report/chromium.rs"]
mod chromium;
mod contract;
mod coverage;
mod environment;
mod init;
mod interrupt;
mod load;
mod local;
mod migrate;
mod nightly;
mod output;
mod passwords;
mod processes;
mod prove;
mod proxy;
mod report;
mod shell;
#[path = "../shop/mod.rs"]
mod shop;
mod signing;
mod support;
mod suppress;
mod tls;
mod usage;
mod watch;
mod webhook;
mod workload;
