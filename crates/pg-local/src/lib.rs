//! A private, managed local PostgreSQL + `TimescaleDB` server.
//!
//! [`Runtime`] finds PostgreSQL on the machine or installs it privately; [`Cluster`] is one server
//! that this program owns, with the faults that can be injected into it: [`Backend`], [`Room`],
//! [`proxy`]; [`testing`] gives tests databases of their own on a shared server.

mod cluster;
mod control;
mod error;
mod guard;
mod install;
mod named;
mod progress;
pub mod proxy;
mod room;
mod run;
mod runtime;
mod standby;
pub mod testing;

pub use cluster::{Cluster, Profile, Shutdown};
pub use control::{Backend, FailingFsync};
pub use error::{Error, WAYS_OUT};
pub use named::Named;
pub use progress::{Progress, Step};
pub use room::Room;
pub use runtime::{CACHE, PG_BIN, Runtime};
