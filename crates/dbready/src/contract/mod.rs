//! The contract: the single source of truth about a database.
//!
//! [`parse`] is pure; only [`source`] reads files.

mod clause;
mod error;
mod layout;
mod locate;
mod measures;
mod migration_file;
mod model;
mod names;
mod parse;
mod period;
pub mod source;
mod sql_text;
mod types;
mod validate;

pub use clause::{DataClause, Rule, data_clauses};
pub use error::{Error, Problem};
pub use measures::*;
pub(crate) use migration_file::hexadecimal;
pub use model::*;
pub(crate) use names::is_identifier;
pub use parse::parse;
pub use period::Period;
pub(crate) use types::canonical as canonical_type;
