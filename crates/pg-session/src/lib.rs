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
pub mod error;
mod secret;
mod text;
mod tls;

pub use config::Config;
pub use connect::connect;
pub use error::{Class, Error, Outcome};
pub use secret::Secret;
pub use tokio_postgres;
