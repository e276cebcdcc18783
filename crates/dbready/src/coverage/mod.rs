//! Coverage: what tests exercised. Plans its claims, reads reports of any language, judges nothing.

mod badge;
mod cobertura;
mod examine;
mod execution;
mod lcov;
mod llvm_json;
mod module;
mod mutants;
mod paths;
mod plan;
mod read;
mod report;
mod share;
#[cfg(test)]
mod tests;
mod text;

pub use badge::{endpoint, svg};
pub use examine::{Sources, examine, exercised, never};
pub use execution::{Execution, MAX_JOURNAL, PathRun, Seen, Test, Written};
pub use module::{Module, Modules, Standing};
pub use mutants::{Mutant, Mutants};
pub use paths::{Mapping, Paths};
pub use plan::plan;
pub use read::{MAX_BYTES, ReadError, read};
pub use report::{Branch, Function, Report, SourceFile};
pub use share::{FailUnder, Share};
pub use text::{annotations, markdown, numeric, summary, uncovered};
