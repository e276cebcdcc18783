//! The report: the certificate of one run, and what renders it.
//!
//! A [`Certificate`] is assembled from claims and evidence, or read from a stored JSON document and
//! judged again; every format is rendered from it. Nothing here reads a clock, a file or a database.

mod beside;
mod certificate;
mod csv;
mod format;
mod github;
pub(crate) mod html;
mod in_toto;
mod junit;
mod markdown;
mod sarif;
mod seal;
mod signature;
mod stored;
mod terminal;
mod text;

pub use beside::Beside;
pub use certificate::{
    Certificate, ClaimResult, ContractFacts, Counts, FORMAT, FORMAT_VERSION, Inputs, ServerReport,
    Verdict,
};
pub use csv::csv;
pub use format::{Format, View};
pub use github::github;
pub use html::html;
pub use in_toto::{Subject, in_toto};
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;
pub use seal::{Verification, counts_for, verify};
pub use signature::{SIGNATURE_ENDING, SignatureError, Signer, verify_signature};
pub use stored::{MAX_BYTES, StoredError};
pub use terminal::terminal;
