//! What can go wrong with a local server.

use std::path::{Path, PathBuf};

/// Ways out when no local server can be had, for every message that needs them.
pub const WAYS_OUT: &str = "use a server of your own with --url postgres://…, point DBREADY_PG_BIN \
                            at a PostgreSQL bin folder with TimescaleDB, or start the server of \
                            compose.yaml (docker compose up -d --wait) and pass the URL that \
                            its first lines state";

/// What can go wrong with a local server. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `DBREADY_PG_BIN` is set and cannot be used.
    #[error("DBREADY_PG_BIN: {folder}: {reason}; expected a folder with postgres, initdb and psql")]
    PgBin {
        /// The folder it names.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// PostgreSQL and `TimescaleDB` cannot be installed here.
    #[error("cannot install PostgreSQL and TimescaleDB: {reason}; {WAYS_OUT}")]
    Install {
        /// What went wrong.
        reason: String,
    },
    /// A program of the runtime failed.
    #[error("{program} failed: {reason}")]
    Program {
        /// Name of the program.
        program: String,
        /// Its last words, on one line.
        reason: String,
    },
    /// The server did not come up, or went away.
    #[error("the server in {folder} did not start: {reason}")]
    Start {
        /// Its folder.
        folder: PathBuf,
        /// The end of its log, on one line.
        reason: String,
    },
    /// A file or folder could not be used.
    #[error("{path}: {source}")]
    File {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The caller asks for something that cannot be done.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn file(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::File { path, source }
    }
}

/// The last lines of a text on one line, without control characters, for a message.
pub(crate) fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(3);
    let words = lines.get(from..).unwrap_or_default().join("; ");
    let clean: String = words.chars().filter(|c| !c.is_control()).take(600).collect();
    if clean.is_empty() { "it said nothing".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPOSE: &str = include_str!("../../../compose.yaml");

    #[test]
    fn the_compose_file_states_what_the_ways_out_promise() {
        let command = WAYS_OUT.split(['(', ')']).nth(1).unwrap();
        let head: Vec<&str> = COMPOSE.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(head.iter().any(|line| line.trim_matches(['#', ' ']) == command), "{command}");
        let default = |variable: &str| {
            let (_, rest) = COMPOSE.split_once(&format!("${{{variable}:-")).unwrap();
            rest.split('}').next().unwrap()
        };
        let (password, port) = (default("DBREADY_PASSWORD"), default("DBREADY_PORT"));
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/signals");
        assert!(head.iter().any(|line| line.contains(&url)), "{url}");
    }

    #[test]
    fn the_compose_file_opens_the_server_to_this_machine_only() {
        let ports = COMPOSE.lines().filter(|line| line.trim_end().ends_with(":5432\""));
        let ports: Vec<&str> = ports.map(str::trim).collect();
        assert_eq!(ports, [r#"- "127.0.0.1:${DBREADY_PORT:-54330}:5432""#]);
        assert!(!COMPOSE.contains("latest"), "the image's tag is pinned");
    }
}
