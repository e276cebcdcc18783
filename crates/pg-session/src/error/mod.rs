//! The one error type of a connection or session.

mod server;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

pub use self::server::{Class, ServerError};
pub use crate::lineage::Divergence;
use crate::pool::AcquireError;
use crate::text::one_line;

/// What became of the work that was under way when an error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The server did not apply it.
    NotApplied,
    /// It may or may not have been applied: the answer was lost.
    Unknown,
}

/// The step of connecting at which an attempt stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The host name was being looked up.
    Resolve,
    /// The network connection was being made.
    Network,
    /// The server was asked whether it speaks TLS.
    TlsRequest,
    /// The TLS handshake was under way.
    TlsHandshake,
    /// The start-up message was sent, authentication was under way.
    Authentication,
    /// The session's properties were being read.
    Inspection,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "looking up the host name",
            Self::Network => "making the network connection",
            Self::TlsRequest => "waiting for the server's first answer",
            Self::TlsHandshake => "in the TLS handshake",
            Self::Authentication => "authenticating",
            Self::Inspection => "reading the session's properties",
        })
    }
}

/// Why a login failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginFailure {
    /// The server refused the password (SQLSTATE 28P01). An unknown role and an
    /// expired password look the same.
    Password,
    /// The server wants a password and none was given.
    PasswordMissing,
    /// The server refused the role for another reason.
    Refused(Box<ServerError>),
    /// The two sides agree on no method, or the server failed to prove itself.
    Method(String),
}

/// Everything that can go wrong between a caller and its database. `Display` is
/// one line of about 200 characters at most and never holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is wrong or contradicts another.
    #[error("{0}")]
    Config(String),
    /// A host name does not resolve.
    #[error(
        "cannot find host \"{host}\": the name does not resolve ({reason}) — check its spelling and DNS"
    )]
    Resolve {
        /// The name as configured.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// The network connection could not be made.
    #[error("cannot connect to {address}: {}", explain_io(*.kind, .reason))]
    Connect {
        /// The server tried, without credentials.
        address: String,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// What the system said.
        reason: String,
    },
    /// No connection within the deadline.
    #[error(
        "no connection to {address} within {after:?}: stopped while {phase} — is it a PostgreSQL server, and is it overloaded?"
    )]
    ConnectTimeout {
        /// The server tried last.
        address: String,
        /// Where the attempt stood.
        phase: Phase,
        /// The deadline that passed.
        after: Duration,
    },
    /// TLS was demanded and could not be had, or the server's certificate was refused.
    #[error("no secure connection to {address}: {reason}")]
    Tls {
        /// The server tried.
        address: String,
        /// What was expected, what was found, what to do.
        reason: String,
    },
    /// The server answered, but not as PostgreSQL does.
    #[error("{address} ended the connection while {phase} — is it a PostgreSQL server?")]
    Handshake {
        /// The server tried.
        address: String,
        /// Where the attempt stood.
        phase: Phase,
    },
    /// The login was refused.
    #[error("{}", explain_login(.address, .role, .failure))]
    Authentication {
        /// The server and database.
        address: String,
        /// The role that tried to log in.
        role: String,
        /// Why it was refused.
        failure: LoginFailure,
    },
    /// The database does not exist.
    #[error(
        "database \"{database}\" does not exist at {address} (SQLSTATE 3D000) — create it or name another"
    )]
    DatabaseMissing {
        /// The server, without the database.
        address: String,
        /// The database asked for.
        database: String,
    },
    /// The server refused the connection for a reason of its own: it is
    /// starting, stopping or full.
    #[error("{address} takes no connection: {server}")]
    Refused {
        /// The server and database.
        address: String,
        /// What the server said.
        server: Box<ServerError>,
    },
    /// No server of the kind that `target_session_attrs` asks for was found.
    #[error("{address} is not the kind of server asked for: target_session_attrs={wanted}")]
    WrongServer {
        /// The server tried last.
        address: String,
        /// The value of `target_session_attrs`.
        wanted: &'static str,
    },
    /// A primary that must not follow the one that the pool knows, where several
    /// servers are named: writes to it would be lost, or go astray.
    #[error("{address} is not accepted as the primary: {divergence}")]
    Diverged {
        /// The server and database.
        address: String,
        /// In what it differs.
        divergence: Divergence,
    },
    /// The connection ended during a call.
    #[error("the connection was lost; {}{}", explain_outcome(*.outcome), explain_cause(.cause.as_deref()))]
    Lost {
        /// Whether the call's work may have been applied.
        outcome: Outcome,
        /// The server's last words, if it said any.
        cause: Option<Box<ServerError>>,
    },
    /// A constraint refused the data; [`ServerError::constraint`] names it.
    #[error("{}", explain_constraint(.0))]
    Constraint(Box<ServerError>),
    /// The server does not accept the data or a parameter.
    #[error("{0}")]
    Data(Box<ServerError>),
    /// Another transaction was in the way. The transaction is rolled back and may be retried whole.
    #[error("{0} — the transaction may be retried")]
    Conflict(Box<ServerError>),
    /// A server-side time limit ended the statement, or someone cancelled it.
    #[error("{0}")]
    Timeout(Box<ServerError>),
    /// The role may not do this.
    #[error("{0} — grant the privilege or use another role")]
    Privilege(Box<ServerError>),
    /// The schema is not what the statement expects.
    #[error("{0}")]
    Drift(Box<ServerError>),
    /// The server ran out of disk, memory or a configured limit.
    #[error("{0}")]
    Resource(Box<ServerError>),
    /// The server accepts no writes.
    #[error("{0} — writes go to the primary server")]
    ReadOnly(Box<ServerError>),
    /// Any other report of the server; [`ServerError::class`] says how to treat it.
    #[error("{0}")]
    Server(Box<ServerError>),
    /// The client could not send a parameter or read a value.
    #[error("{0}")]
    Client(String),
    /// No session could be had.
    #[error(transparent)]
    Acquire(#[from] Box<AcquireError>),
    /// The server did not end the command in time. The session is closed.
    #[error("no answer within {after:?}, the command is cancelled; {}", explain_outcome(*.outcome))]
    Deadline {
        /// The time that the caller waited.
        after: Duration,
        /// Whether the command may have been applied.
        outcome: Outcome,
    },
    /// An earlier call on this session failed or was given up half-way, which
    /// closed it.
    #[error("this session is closed: an earlier call on it was lost or given up — acquire another")]
    SessionClosed,
    /// The transaction could not be committed because a statement in it had failed.
    #[error("the transaction was rolled back: a statement in it had failed before the commit")]
    RolledBack,
    /// A batch has begun or ended a transaction where [`Transaction`](crate::Transaction)
    /// did not know of it. What became of the work is unknown, the session is closed.
    #[error(
        "a batch has begun or ended a transaction behind the session: whether its work took effect is unknown — use begin(), commit() and rollback()"
    )]
    TransactionMisplaced,
    /// A shared read gave more rows than its reader's limit.
    #[error(
        "the read gave more than {limit} rows — ask for fewer, or stream them through a session"
    )]
    TooManyRows {
        /// [`ReaderOptions::row_limit`](crate::ReaderOptions::row_limit).
        limit: usize,
    },
    /// One row was expected.
    #[error("expected one row, found {}", if *.found == 0 { "none" } else { "several" })]
    RowCount {
        /// How many rows there were: 0, or 2 for several.
        found: u8,
    },
}

impl Error {
    /// How the error is to be treated.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Config(_) => Class::Config,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Handshake { .. }
            | Self::WrongServer { .. }
            | Self::Diverged { .. }
            | Self::Tls { .. } => Class::Connect,
            Self::Authentication { .. } => Class::Authentication,
            Self::DatabaseMissing { .. } => Class::DatabaseMissing,
            Self::Lost { .. } => Class::Lost,
            Self::Client(_)
            | Self::SessionClosed
            | Self::RowCount { .. }
            | Self::RolledBack
            | Self::TooManyRows { .. }
            | Self::TransactionMisplaced => Class::Bug,
            Self::Deadline { .. } => Class::Timeout,
            Self::Acquire(error) => match &error.last_connect_error {
                Some(cause) => cause.class(),
                None => Class::Unavailable,
            },
            Self::Refused { server, .. } => match server.sqlstate() {
                // The database accepts no connections, such as a template.
                "55000" => Class::DatabaseMissing,
                // A server parameter in `options` is unknown, out of range or not for sessions.
                "42704" | "22023" | "55P02" => Class::Config,
                _ => server.class(),
            },
            Self::Constraint(e)
            | Self::Data(e)
            | Self::Conflict(e)
            | Self::Timeout(e)
            | Self::Privilege(e)
            | Self::Drift(e)
            | Self::Resource(e)
            | Self::ReadOnly(e)
            | Self::Server(e) => e.class(),
        }
    }

    /// What the server said, if it said anything; where no session could be had, to
    /// the last attempt to connect.
    #[must_use]
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Acquire(error) => error.last_connect_error.as_deref()?.server(),
            Self::Constraint(e)
            | Self::Data(e)
            | Self::Conflict(e)
            | Self::Timeout(e)
            | Self::Privilege(e)
            | Self::Drift(e)
            | Self::Resource(e)
            | Self::ReadOnly(e)
            | Self::Server(e)
            | Self::Refused { server: e, .. }
            | Self::Authentication { failure: LoginFailure::Refused(e), .. } => Some(e),
            Self::Lost { cause, .. } => cause.as_deref(),
            _ => None,
        }
    }

    /// The SQLSTATE, if the server sent one. Crashes and broken networks send none.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::DatabaseMissing { .. } => Some("3D000"),
            Self::Authentication { failure: LoginFailure::Password, .. } => Some("28P01"),
            Self::Acquire(error) => error.last_connect_error.as_deref()?.sqlstate(),
            other => other.server().map(ServerError::sqlstate),
        }
    }

    /// What became of the work: every error but a lost connection, a passed
    /// deadline and a misplaced transaction means that it was not applied.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Lost { outcome, .. } | Self::Deadline { outcome, .. } => *outcome,
            Self::TransactionMisplaced => Outcome::Unknown,
            _ => Outcome::NotApplied,
        }
    }

    fn from_server(error: ServerError) -> Self {
        let class = error.class();
        let error = Box::new(error);
        match class {
            Class::Constraint => Self::Constraint(error),
            Class::Data => Self::Data(error),
            Class::Conflict => Self::Conflict(error),
            Class::Timeout if !error.is_fatal() => Self::Timeout(error),
            Class::Privilege => Self::Privilege(error),
            Class::Drift => Self::Drift(error),
            Class::Resource => Self::Resource(error),
            Class::ReadOnly => Self::ReadOnly(error),
            Class::Lost | Class::Timeout => {
                Self::Lost { outcome: Outcome::Unknown, cause: Some(error) }
            }
            _ => Self::Server(error),
        }
    }
}

/// Classifies an error of a call on an open connection. A lost connection gets
/// [`Outcome::Unknown`], since the driver does not know what was under way.
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            return Self::from_server(ServerError::from(db));
        }
        if error.is_closed() || io_source(&error).is_some_and(is_transport) {
            return Self::Lost { outcome: Outcome::Unknown, cause: None };
        }
        let reason = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self::Client(one_line(&reason, 180))
    }
}

/// The I/O error behind a driver error.
pub(crate) fn io_source(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref::<io::Error>())
}

/// Whether an I/O error speaks of the transport. The driver reports a value
/// that cannot be encoded or decoded as an I/O error of kind `InvalidInput`.
fn is_transport(error: &io::Error) -> bool {
    error.raw_os_error().is_some() || error.kind() != io::ErrorKind::InvalidInput
}

fn explain_io(kind: io::ErrorKind, reason: &str) -> String {
    use io::ErrorKind as K;
    match kind {
        K::ConnectionRefused => "connection refused — is the server running there?".to_owned(),
        K::NotFound => "no such socket — is the server running there?".to_owned(),
        K::TimedOut => "no answer — is the host up, and does a firewall drop packets?".to_owned(),
        K::PermissionDenied => "the system does not permit it".to_owned(),
        _ => one_line(reason, 120),
    }
}

fn explain_login(address: &str, role: &str, failure: &LoginFailure) -> String {
    match failure {
        LoginFailure::Password => {
            format!(
                "password authentication failed for role \"{role}\" at {address} (SQLSTATE 28P01)"
            )
        }
        LoginFailure::PasswordMissing => format!(
            "{address} asks for a password for role \"{role}\" and none was given — set it in the URL, PGPASSWORD or ~/.pgpass"
        ),
        LoginFailure::Refused(server) => {
            format!("role \"{role}\" may not log in at {address}: {server}")
        }
        LoginFailure::Method(reason) => {
            format!("cannot authenticate role \"{role}\" at {address}: {reason}")
        }
    }
}

fn explain_outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotApplied => "nothing was applied",
        Outcome::Unknown => "whether the last statement took effect is unknown",
    }
}

fn explain_cause(cause: Option<&ServerError>) -> String {
    cause.map_or_else(String::new, |cause| format!(": {cause}"))
}

fn explain_constraint(error: &ServerError) -> String {
    match (error.constraint(), error.table(), error.column()) {
        (Some(name), Some(table), _) => format!(
            "constraint \"{}\" of table \"{}\" refused the row (SQLSTATE {})",
            one_line(name, 63),
            one_line(table, 63),
            error.sqlstate()
        ),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
