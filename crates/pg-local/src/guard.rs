//! The guard: a small process that stops a server when its owner is gone, however it went.
//!
//! It reads from a pipe that only the owner holds open. A word on the pipe dismisses it; the end of
//! the pipe without one means that the owner died, and the guard stops what the owner had started.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::Error;

/// `$1` is the folder of a server, the other arguments are what to remove. The server and the program
/// that makes its data are known by their names and by working in the folder or in its `data`.
///
/// Three quiet looks in a row are wanted, since a program may only just be starting.
const SCRIPT: &str = r#"
read -r word
[ "$word" = dismissed ] && exit 0
folder=$1
shift
ours() {
    for process in /proc/[0-9]*; do
        if [ "$process/cwd" -ef "$folder" ] || [ "$process/cwd" -ef "$folder/data" ]; then
            read -r name <"$process/comm"
            case $name in postgres | initdb | pg_basebackup) echo "${process#/proc/}" ;; esac
        fi
    done
}
looks=0
quiet=0
while [ "$quiet" -lt 3 ] && [ "$looks" -lt 100 ]; do
    looks=$((looks + 1))
    found=$(ours)
    if [ -n "$found" ]; then
        quiet=0
        signal=QUIT
        [ "$looks" -gt 30 ] && signal=KILL
        kill -CONT $found
        kill -s "$signal" $found
    else
        quiet=$((quiet + 1))
        rm -rf -- "$@"
    fi
    sleep 0.1
done
"#;

/// A guard on duty.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    /// Posts a guard over the folder of a server, which need not run or exist yet. When it has to act
    /// it removes these files and folders, and holds the lock until it is done.
    pub(crate) fn post(
        folder: &Path,
        remove: &[&Path],
        lock: Option<&File>,
    ) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Program {
            program: "sh".to_owned(),
            reason: error.to_string(),
        };
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg("dbready-guard").arg(folder).args(remove);
        command.current_dir("/").stdin(Stdio::piped()).stderr(Stdio::null());
        // The script writes nothing: an open file is enough to share its lock.
        command.stdout(match lock {
            Some(lock) => Stdio::from(lock.try_clone().map_err(failed)?),
            None => Stdio::null(),
        });
        // Its own group: a Ctrl-C on the terminal is meant for the owner.
        command.process_group(0);
        command.spawn().map(Self).map_err(failed)
    }

    /// Sends the guard home: the server is stopped, or is to be left alone.
    pub(crate) fn dismiss(mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // A guard that is gone already needs no word.
            let _ = pipe.write_all(b"dismissed\n");
        }
        let _ = self.0.wait();
    }
}
