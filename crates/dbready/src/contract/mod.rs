//! The contract: the single source of truth about a database.
//!
//! [`parse`] is pure; only [`source`] reads files.

mod clause;
mod control;
mod danger;
mod error;
mod layout;
mod locate;
mod measures;
mod migration_file;
mod model;
mod names;
mod parse;
mod period;
mod revision;
mod roles;
pub mod source;
mod sql_text;
mod types;
mod validate;
mod values;

pub use clause::{DataClause, Rule, data_clauses};
pub(crate) use control::prose;
pub use danger::{Danger, DangerKind, dangers};
pub use error::{Error, Problem};
pub use measures::*;
pub(crate) use migration_file::hexadecimal;
pub use model::*;
pub(crate) use names::{LONGEST_IDENTIFIER, is_identifier};
pub use parse::parse;
pub use period::Period;
pub use revision::Revision;
pub use roles::{Role, TableRights};
pub(crate) use sql_text::after_block_comment;
pub(crate) use types::canonical as canonical_type;
pub use values::*;
