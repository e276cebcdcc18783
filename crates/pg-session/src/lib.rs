//! Sessions with PostgreSQL that never leave their caller in doubt without saying so.
//!
//! A [`Pool`] lends [`Session`]s, a session runs statements and begins
//! [`Transaction`]s, a [`Reader`] shares connections among short reads.
//! [`Config`] says where the servers are and how safely to talk to them; [`Error`]
//! is the only error type. [`connect()`] makes a single plain connection for
//! tools. No password appears in any text that this crate makes.
//!
//! ```no_run
//! use pg_session::{
//!     Config, Error, Pool, PoolOptions, ReaderOptions, RetryPolicy, TransactionOptions,
//! };
//!
//! # async fn run() -> Result<(), Error> {
//! let config = Config::resolve(None)?.default_application_name("signals");
//! let pool = Pool::open(config, PoolOptions::default()).await?;
//!
//! let mut session = pool.acquire().await.map_err(Box::new)?;
//! session.execute("INSERT INTO signal (name) VALUES ($1)", &[&"a"]).await?;
//!
//! let mut transaction = session.begin(&TransactionOptions::default()).await?;
//! transaction.execute("UPDATE signal SET seen = now() WHERE name = $1", &[&"a"]).await?;
//! transaction.commit().await?; // only `Ok` means that it is applied
//!
//! // Run again as a whole after a conflict or a connection lost before the commit.
//! pool.transact(&TransactionOptions::default(), &RetryPolicy::default(), async |transaction| {
//!     transaction.execute("DELETE FROM signal WHERE name = $1", &[&"a"]).await?;
//!     Ok::<_, Error>(())
//! })
//! .await?;
//!
//! let reader = pool.reader(ReaderOptions::default())?;
//! let count: i64 = reader.fetch_value("SELECT count(*) FROM signal", &[]).await?;
//! # let _ = count; Ok(()) }
//! ```
//!
//! # What holds at every moment
//!
//! - Every wait has a deadline: [`PoolOptions::acquire_timeout`] covers everything
//!   from waiting for a free connection to the end of authentication,
//!   [`PoolOptions::command_timeout`] each command, on the server and on the client.
//! - A future may be dropped at any await. What it had under way is stopped on the
//!   server, its transaction is rolled back, its place in the pool becomes free. A
//!   connection in doubt is closed, never lent again.
//! - [`Error::outcome`] says of every error whether the work may have been applied.
//!   [`Error::class`] says how to treat it.
//! - A session is as new for each caller. Exempt is what a function of the database
//!   changes in the session that calls it where the statement does not show it: run
//!   such a statement through [`Executor::batch`].
//!
//! # Several servers
//!
//! A configuration may name several hosts, as libpq's multi-host URLs do. With
//! `target_session_attrs=read-write` a pool connects to the server that accepts
//! writes; when that turns read-only (SQLSTATE 25006), all connections are closed
//! and the server is looked for again. [`ReaderOptions::target`] sends reads
//! elsewhere, for example to [`PreferStandby`](config::TargetSession::PreferStandby).
//!
//! The hosts must be copies of one system. A pool refuses a primary of another system
//! and one whose timeline is older than the newest that the pool has seen, such as an
//! old primary that comes back after a failover: [`Error::Diverged`]. Connections to a
//! primary that is left behind are not lent any more. Two servers that were promoted
//! from the same one look alike, and a pool that begins after the failover knows no
//! timeline yet: keep an old primary from starting all the same.
//!
//! # Credentials that change
//!
//! Each connection is made with the credentials that are valid then: the password
//! file is read anew, and [`Pool::set_password`] gives a running pool another
//! password. Open connections go on. A login that the server refuses is tried once
//! more when the credentials are others by then, and not otherwise.
//!
//! # Metrics
//!
//! Published through the `metrics` facade; install its recorder before a pool is opened.
//!
//! | name | kind | what |
//! |---|---|---|
//! | `pg_session_acquire_seconds` | histogram | time for a session |
//! | `pg_session_statement_seconds{statement}` | histogram | time of a statement, by [`PoolOptions::statement_names`] |
//! | `pg_session_errors_total{class}` | counter | errors of calls |
//! | `pg_session_acquire_failures_total` | counter | callers that got no session |
//! | `pg_session_connect_failures_total` | counter | attempts to connect that failed |
//! | `pg_session_quarantined_total` | counter | connections closed because they were in doubt |
//! | `pg_session_evictions_total` | counter | times that a server turned read-only |
//! | `pg_session_retries_total` | counter | transactions run again |
//! | `pg_session_leaks_total` | counter | sessions held beyond [`PoolOptions::leak_after`] |
//! | `pg_session_alerts_total` | counter | times that the use rose above 80 % |
//! | `pg_session_idle`, `_out`, `_waiting` | gauge | connections free, sessions lent, callers waiting |
//! | `pg_session_utilisation`, `_reuse_ratio` | gauge | shares from 0 to 1 |

pub mod config;
mod connect;
mod connection;
mod copy;
pub mod error;
mod executor;
pub mod journal;
mod lineage;
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
pub use retry::{MaybeDatabaseError, Retries, RetryPolicy};
pub use rows::Rows;
pub use secret::Secret;
pub use session::Session;
pub use tokio_postgres;
pub use transaction::{Commit, Isolation, Transaction, TransactionOptions};
