//! Options that several commands share.

use std::path::PathBuf;

use clap::Args;

/// Which contract.
#[derive(Debug, Args)]
pub(crate) struct ContractArgs {
    /// Contract directory [default: the Signal Service contract built into this program].
    #[arg(long, value_name = "DIR", env = "DBREADY_CONTRACT")]
    pub(crate) contract: Option<PathBuf>,
}

/// Which server.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Server and database, such as `postgres://user@host:5432/name`
    /// [default: `DATABASE_URL`, then the PG* variables and ~/.pgpass].
    #[arg(long, value_name = "URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
}
