//! The guard: a small process that stops a server when its owner is gone, however it went.
//!
//! It reads from a pipe that only the owner holds open. A word on the pipe dismisses it; the end of
//! the pipe without one means that the owner died, and the guard stops the server and removes its
//! folder.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::Error;

/// `$1` is the folder, with the server's data in `$1/data`. A server that was only being started
/// writes its process number a little later, hence the repeats.
const SCRIPT: &str = r#"
read -r word
[ "$word" = dismissed ] && exit 0
for try in 1 2 3 4 5 6 7 8 9 10; do
    pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
    if [ -n "$pid" ] && grep -qF -- "$1/data" "/proc/$pid/cmdline" 2>/dev/null; then
        kill -CONT "$pid"
        kill -QUIT "$pid"
        for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            [ -e "/proc/$pid" ] || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null
    fi
    rm -rf "$1"
    sleep 0.2
    [ -e "$1" ] || [ "$try" -lt 3 ] || break
done
"#;

/// A guard on duty.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    /// Posts a guard over the folder of a server, which need not run yet.
    pub(crate) fn post(folder: &Path) -> Result<Self, Error> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg("dbready-guard").arg(folder);
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Its own group: a Ctrl-C on the terminal is meant for the owner.
        command.process_group(0);
        command
            .spawn()
            .map(Self)
            .map_err(|error| Error::Program { program: "sh".to_owned(), reason: error.to_string() })
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
