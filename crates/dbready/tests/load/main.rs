//! Load tests on a real server: what they measure, and the sabotages that they must notice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod community;
mod freeze;
mod mixed;
mod proxy;
mod sabotage;
mod scaling;
mod statements;
mod support;
mod turns;
