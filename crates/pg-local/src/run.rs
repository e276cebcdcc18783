//! Running programs: as the server's user, with their last words kept.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};

use crate::error::{Error, last_words};

/// The user that servers run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerUser {
    /// Whoever runs this program.
    Ourselves,
    /// An unprivileged user, since PostgreSQL refuses to run as root.
    Other {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl ServerUser {
    /// The user that servers run as when this program starts them.
    pub(crate) fn current() -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        match User::from_name("nobody") {
            Ok(Some(user)) => Ok(Self::Other { uid: user.uid.as_raw(), gid: user.gid.as_raw() }),
            _ => Err(Error::Install {
                reason: "PostgreSQL does not run as root, and there is no user `nobody`".to_owned(),
            }),
        }
    }

    /// Lets a command run as this user, from a folder that it may enter.
    pub(crate) fn apply(self, command: &mut Command) {
        command.current_dir("/");
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Makes this user the owner of a file or folder.
    pub(crate) fn own(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid } => {
                std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(Error::file(path))
            }
        }
    }
}

/// Keeps from a server what its owner may do elsewhere: SQL on the server reads the environment of
/// its processes.
pub(crate) fn without_secrets(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text == "DATABASE_URL" || text.starts_with("PG") || text.starts_with("DBREADY_") {
            command.env_remove(&name);
        }
    }
}

/// Runs a program to its end and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let program = name_of(command);
    let failed = |reason: String| Error::Program { program: program.clone(), reason };
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(format!(
        "{}: {}",
        output.status,
        last_words(&String::from_utf8_lossy(&output.stderr))
    )))
}

/// The name of the program that a command runs.
pub(crate) fn name_of(command: &Command) -> String {
    Path::new(command.get_program())
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
