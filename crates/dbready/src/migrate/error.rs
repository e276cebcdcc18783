//! Why a migration run stops.

use std::time::Duration;

use semver::Version;

/// Why a migration run stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Database and contract do not fit together; nothing was changed.
    #[error("refused: {}", .0.join("\nrefused: "))]
    Refused(Vec<String>),
    /// The version asked for is not one of the contract's.
    #[error("expected a version of the contract ({known}), found {version}")]
    Target {
        /// What was asked for.
        version: Version,
        /// What there is.
        known: String,
    },
    /// Another run or a check holds the lock; nothing was changed.
    #[error("the migration lock was not free within {waited:?}; held by {holders}")]
    Locked {
        /// How long we waited.
        waited: Duration,
        /// Who holds it.
        holders: String,
    },
    /// A statement of a script failed; its migration was rolled back.
    #[error("{file}{}: {message} (SQLSTATE {sqlstate}); rolled back", line.map(|n| format!(":{n}")).unwrap_or_default())]
    Script {
        /// File of the script.
        file: String,
        /// Line of the statement, from one, where the server tells.
        line: Option<usize>,
        /// SQLSTATE of the server's error.
        sqlstate: String,
        /// The server's message on one line.
        message: String,
    },
    /// A script failed on a database that lacks extensions which the contract needs; it was rolled
    /// back.
    #[error("{cause}; this database lacks what the contract needs: CREATE EXTENSION {}", .extensions.join(", "))]
    ExtensionMissing {
        /// The script's own error.
        cause: Box<Error>,
        /// The extensions.
        extensions: Vec<String>,
    },
    /// A script did not write, or did not remove, its row of the version table; it was rolled back.
    #[error("{file}: expected it to {expected} version {version} in {table}; rolled back")]
    NoVersionRow {
        /// File of the script.
        file: String,
        /// `record` or `remove`.
        expected: &'static str,
        /// The version.
        version: Version,
        /// The contract's version table.
        table: String,
    },
    /// A script ended the transaction that it runs in; parts of it may have been kept.
    #[error("{file}: ended the transaction that it runs in; look at the database before going on")]
    TransactionEnded {
        /// File of the script.
        file: String,
    },
    /// The connection broke during COMMIT: the migration is applied whole or not at all.
    #[error(
        "{file}: the connection broke during COMMIT, so the outcome is unknown; run `dbready migrate status` ({source})"
    )]
    Unknown {
        /// File of the script.
        file: String,
        /// What the connection said.
        source: pg_session::Error,
    },
    /// The server refused a statement of the runner, or the connection was lost; the open
    /// transaction is rolled back by the server.
    #[error("{0}")]
    Database(#[from] pg_session::Error),
}

impl Error {
    /// Whether the caller can mend it by changing arguments, contract or database. A script that
    /// stopped for want of a privilege, a lock, resources or a server needs no mending.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Script { sqlstate, .. } => {
                let environment = ["08", "40", "42501", "53", "55P03", "57", "58"];
                !environment.iter().any(|class| sqlstate.starts_with(class))
            }
            Self::Refused(_)
            | Self::Target { .. }
            | Self::NoVersionRow { .. }
            | Self::TransactionEnded { .. } => true,
            Self::Locked { .. }
            | Self::ExtensionMissing { .. }
            | Self::Unknown { .. }
            | Self::Database(_) => false,
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}
