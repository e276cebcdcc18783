//! The one error type of the engine.

/// What can stop a run. Only the command line maps it to an exit code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The contract cannot be used.
    #[error("the contract cannot be used\n{0}")]
    Contract(#[from] crate::contract::Error),
    /// The server could not be reached, refused a statement or went away.
    #[error("{0}")]
    Database(#[from] pg_session::Error),
    /// The server's catalogs did not answer in the expected form.
    #[error("{0}")]
    Catalog(String),
    /// A migration run stopped.
    #[error("{0}")]
    Migration(#[from] crate::migrate::Error),
    /// The local server cannot be had.
    #[error("{0}")]
    Local(#[from] pg_local::Error),
    /// Work in the background ended before it was done.
    #[error("interrupted: {0}")]
    Interrupted(String),
    /// The command line asks for something that cannot be done.
    #[error("{0}")]
    Usage(String),
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Error {
    /// Whether the caller can mend it by changing arguments, contract or files.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Usage(_) | Self::Contract(_) => true,
            Self::Migration(error) => error.is_usage(),
            Self::Local(error) => matches!(error, pg_local::Error::Usage(_)),
            _ => false,
        }
    }
}
