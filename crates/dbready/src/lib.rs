//! The readiness engine: contract → claims → evidence → verdict → report.

pub mod claim;
pub mod contract;
mod error;
pub mod evidence;
pub mod verdict;

pub use error::Error;
