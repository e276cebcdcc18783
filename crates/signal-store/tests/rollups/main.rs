//! Answers from rollups are those from the rows, at every moment.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod concurrent;
mod database;
mod histories;
mod single;
