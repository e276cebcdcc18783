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
pub mod init;
pub mod load;
mod markup;
pub mod matrix;
pub mod migrate;
pub mod nightly;
pub mod nulls;
pub mod odcs;
pub mod prove;
pub mod report;
pub mod run;
pub mod score;
pub mod scratch;
pub mod seed;
pub mod sql;
pub mod statistics;
pub mod suppressions;
pub mod verdict;
pub mod watch;

pub use error::Error;
