//! Sabotage: single changes to a real database, each of which must refute exactly the claims that
//! speak of it, and be mended by the statements that the findings print.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod columns;
mod conditions;
mod constraints;
mod data;
mod drift;
mod hypertables;
mod indexes;
mod queries;
mod reconcile;
mod roles;
mod tables;
mod values;
mod versions;
