//! The passwords that are valid now.

use super::{Config, Server, pgpass};
use crate::Secret;

/// The passwords of a configuration as they were at one moment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    password: Option<Secret>,
    /// The text of the password file.
    file: Option<Secret>,
}

impl Config {
    /// Reads the credentials anew: the password that was `given` since, else that of
    /// the configuration, else those that the password file holds now.
    pub(crate) fn credentials(&self, given: Option<Secret>) -> Credentials {
        let password = given.or_else(|| self.password.clone());
        let file = self.passfile.as_ref().filter(|_| password.is_none());
        Credentials { password, file: file.and_then(|file| pgpass::read(file)).map(Secret::new) }
    }
}

impl Credentials {
    /// The password for one of the servers of `config`.
    pub(crate) fn password_for(&self, config: &Config, server: &Server) -> Option<Secret> {
        let from_file = || {
            let text = self.file.as_ref()?.expose();
            pgpass::find(text, &server.names(), server.port, &config.dbname, &config.user)
        };
        self.password.clone().or_else(from_file)
    }
}
