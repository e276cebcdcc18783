//! The contract: the single source of truth about a database.

mod model;
mod period;

pub use model::*;
pub use period::Period;
