//! PostgreSQL configuration, TLS and sessions.
//!
//! [`Config`] says where the server is and how safely to talk to it, [`connect`]
//! makes one connection within one deadline, and [`Error`] is the only error type.
//! No password appears in any text that this crate makes.
//!
//! ```no_run
//! # async fn run() -> Result<(), pg_session::Error> {
//! let config = pg_session::Config::resolve(None)?.default_application_name("report");
//! let client = pg_session::connect(&config).await?;
//! let row = client.query_one("SELECT current_database()", &[]).await?;
//! # Ok(()) }
//! ```

pub mod config;
mod connect;
mod connection;
mod copy;
pub mod error;
mod executor;
mod pool;
mod random;
mod reader;
mod resolve;
mod retry;
mod rows;
mod secret;
mod session;
mod statements;
mod text;
mod tls;
mod transaction;

pub use config::Config;
pub use connect::connect;
pub use connection::Params;
pub use copy::{BinaryCopyIn, CopyIn, CopyOut};
pub use error::{Class, Error, Outcome};
pub use executor::Executor;
pub use pool::{AcquireError, AcquireFailure, Health, Holder, Pool, PoolOptions, Status};
pub use reader::{Reader, ReaderOptions, ReaderStatus};
pub use retry::{MaybeDatabaseError, RetryPolicy};
pub use rows::Rows;
pub use secret::Secret;
pub use session::Session;
pub use tokio_postgres;
pub use transaction::{Commit, Isolation, Transaction, TransactionOptions};
