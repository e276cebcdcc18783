//! A private, managed local PostgreSQL + `TimescaleDB` server.
//!
//! [`Runtime`] finds PostgreSQL on the machine or installs it privately; [`Cluster`] is one server
//! that this program owns; [`testing`] gives tests databases of their own on a shared server.

mod cluster;
mod error;
mod guard;
mod install;
mod named;
mod progress;
mod run;
mod runtime;
pub mod testing;

pub use cluster::{Cluster, Profile, Shutdown};
pub use error::{Error, WAYS_OUT};
pub use named::Named;
pub use progress::{Progress, Step};
pub use runtime::{CACHE, PG_BIN, Runtime};
