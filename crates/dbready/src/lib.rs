//! The readiness engine: contract → claims → evidence → verdict → report.

pub mod catalog;
pub mod check;
pub mod claim;
pub mod contract;
pub mod coverage;
pub mod diff;
pub mod docs;
pub mod drill;
mod error;
pub mod evidence;
pub mod load;
mod markup;
pub mod migrate;
pub mod prove;
pub mod report;
pub mod run;
pub mod score;
pub mod seed;
pub mod sql;
pub mod statistics;
pub mod verdict;

pub use error::Error;
