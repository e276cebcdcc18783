//! Options that several commands share.

use std::path::PathBuf;

use clap::Args;
use dbready::contract::{Contract, source};
use dbready::report::Format;
use dbready::{Error, load, seed};
use pg_session::Config;
use tokio_postgres::Client;

use super::signing::SignKeyArgs;

/// Which contract.
#[derive(Debug, Args)]
pub(crate) struct ContractArgs {
    /// Contract directory [default: the Signal Service contract built into this program].
    #[arg(long, value_name = "DIR", env = "DBREADY_CONTRACT")]
    pub(crate) contract: Option<PathBuf>,
}

impl ContractArgs {
    /// Reads the contract.
    pub(crate) fn load(&self) -> Result<Contract, Error> {
        Ok(source::load(self.contract.as_deref())?)
    }
}

/// Which server.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Server and database, such as `postgres://user@host:5432/name`
    /// [default: `DATABASE_URL`, then the PG* variables and ~/.pgpass].
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

impl ServerArgs {
    /// Where the server is.
    pub(crate) fn config(&self) -> Result<Config, Error> {
        Ok(Config::resolve(self.url.as_deref())?.default_application_name("dbready"))
    }

    /// Connects; gives the address for people, too.
    pub(crate) async fn connect(&self) -> Result<(Client, String), Error> {
        let config = self.config()?;
        Ok((pg_session::connect(&config).await?, config.address()))
    }
}

/// What to make of a certificate.
#[derive(Debug, Default, Args)]
pub(crate) struct ReportArgs {
    /// Format printed on standard output: terminal, markdown, json, html, junit, sarif, csv,
    /// github or in-toto.
    #[arg(long, value_name = "FORMAT", default_value_t = Format::Terminal)]
    pub(crate) format: Format,

    /// Also write certificate.json, .md, .html and junit.xml into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) sign: SignKeyArgs,

    /// Exit 1 also when a claim is open that certification does not require.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// How much data and how many repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    /// Small data, in seconds.
    Quick,
    /// Data to measure on, in minutes.
    Standard,
    /// As standard; long runs are the load tests'.
    Soak,
}

impl Profile {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Soak => "soak",
        }
    }

    /// How long load is measured.
    pub(crate) fn load(self) -> load::Profile {
        match self {
            Self::Quick => load::Profile::Quick,
            Self::Standard => load::Profile::Standard,
            Self::Soak => load::Profile::Soak,
        }
    }

    /// How much data it asks for.
    pub(crate) fn seed(self) -> seed::Profile {
        match self {
            Self::Quick => seed::Profile::Quick,
            Self::Standard | Self::Soak => seed::Profile::Standard,
        }
    }
}
