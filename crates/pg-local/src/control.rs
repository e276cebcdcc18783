//! Faults and settings of a running server: its processes, its configuration, its system calls.
//!
//! Signals go to processes of a server that this program started, and to no others.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::cluster::{Cluster, send};
use crate::error::Error;
use crate::testing::write_private;

/// Longest time until an injector is in place.
const ATTACH: Duration = Duration::from_secs(5);

impl Cluster {
    /// Writes settings that count from the next start, or from a reload where the setting allows it.
    /// A later value of the same setting wins.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn configure(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        use std::io::Write;
        let path = self.data().join("postgresql.auto.conf");
        let mut file = File::options().append(true).open(&path).map_err(Error::file(&path))?;
        for (name, value) in settings {
            writeln!(file, "{name} = '{}'", value.replace('\'', "''"))
                .map_err(Error::file(&path))?;
        }
        Ok(())
    }

    /// Puts a line before all others of the server's `pg_hba.conf`.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn allow_first(&self, line: &str) -> Result<(), Error> {
        let path = self.data().join("pg_hba.conf");
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        fs::write(&path, format!("{line}\n{text}")).map_err(Error::file(&path))
    }

    /// Writes a file into the server's data folder that only the server can read.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn write_private(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.data().join(name);
        write_private(&path, text)?;
        self.user.own(&path)
    }

    /// Lets the running server read its configuration again.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when the server does not run or cannot be signalled.
    pub fn reload(&self) -> Result<(), Error> {
        send(self.running()?, Signal::SIGHUP)
    }

    /// Waits until the server has ended of its own accord, as after a panic; gives whether it has.
    #[must_use]
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if self.pid().is_none() && self.reap() {
                return true;
            }
            sleep(Duration::from_millis(10));
        }
        false
    }

    /// The whole server log.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn log(&self) -> Result<String, Error> {
        let path = self.folder.join("log");
        let text = fs::read(&path).map_err(Error::file(&path))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// One process of this server, by its number: a backend, the checkpointer, a WAL receiver.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when the server does not run or the process is none of its children.
    pub fn backend(&self, process: i32) -> Result<Backend, Error> {
        let main = self.running()?;
        if parent_of(process) == Some(main.as_raw()) {
            return Ok(Backend { pid: Pid::from_raw(process), frozen: false });
        }
        Err(Error::Program {
            program: "postgres".to_owned(),
            reason: format!("process {process} does not belong to the server {main}"),
        })
    }

    /// Makes every flush to disk of one process fail with an I/O error from now on, until the value is
    /// dropped. It needs `strace` and the right to trace the process.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when strace is not there or may not trace.
    pub fn fail_fsync(&self, process: i32) -> Result<FailingFsync, Error> {
        let backend = self.backend(process)?;
        let record = self.folder.join(format!("strace-{process}"));
        let failed = |reason: String| Error::Program { program: "strace".to_owned(), reason };
        let calls = "fsync,fdatasync,sync_file_range";
        let mut tracer = Command::new("strace")
            .args(["-p", &process.to_string(), "-e", &format!("trace={calls}")])
            .args(["-e", "inject=fsync,fdatasync:error=EIO", "-o"])
            .arg(&record)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let begun = Instant::now();
        while tracer_of(backend.pid.as_raw()) != i32::try_from(tracer.id()).ok() {
            if let Ok(Some(status)) = tracer.try_wait() {
                return Err(failed(format!("it may not trace the server: {status}")));
            }
            if begun.elapsed() > ATTACH {
                let _ = tracer.kill();
                let _ = tracer.wait();
                return Err(failed(format!("it did not attach within {ATTACH:?}")));
            }
            sleep(Duration::from_millis(5));
        }
        Ok(FailingFsync { tracer, record })
    }
}

/// A process of a server that this program owns. Dropped while frozen, it goes on.
#[derive(Debug)]
pub struct Backend {
    pid: Pid,
    frozen: bool,
}

impl Backend {
    /// Kills it outright.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when it cannot be signalled.
    pub fn kill(&self) -> Result<(), Error> {
        send(self.pid, Signal::SIGKILL)
    }

    /// Freezes it: it answers nothing, keeps its locks and does not end when told to.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when it cannot be signalled.
    pub fn freeze(&mut self) -> Result<(), Error> {
        self.frozen = true;
        send(self.pid, Signal::SIGSTOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when it cannot be signalled.
    pub fn thaw(&mut self) -> Result<(), Error> {
        self.frozen = false;
        send(self.pid, Signal::SIGCONT)
    }

    /// Whether the system says that it is stopped.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        stat(self.pid.as_raw()).is_some_and(|(state, _)| state == "T")
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if self.frozen {
            // One that has ended meanwhile needs no word.
            let _ = self.thaw();
        }
    }
}

/// A process whose flushes fail. Dropping it ends the fault.
#[derive(Debug)]
pub struct FailingFsync {
    tracer: Child,
    record: PathBuf,
}

impl FailingFsync {
    /// How many flushes have failed so far, by strace's own record.
    #[must_use]
    pub fn injected(&self) -> usize {
        let record = fs::read_to_string(&self.record).unwrap_or_default();
        record.lines().filter(|line| line.contains("(INJECTED)")).count()
    }
}

impl Drop for FailingFsync {
    fn drop(&mut self) {
        // On SIGTERM strace lets the process go on untraced.
        if let Ok(pid) = i32::try_from(self.tracer.id()) {
            let _ = send(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.tracer.wait();
    }
}

/// State and parent of a process, from `/proc/PID/stat`.
fn stat(process: i32) -> Option<(String, i32)> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold spaces.
    let mut words = text.rsplit_once(") ")?.1.split(' ');
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

fn parent_of(process: i32) -> Option<i32> {
    stat(process).map(|(_, parent)| parent)
}

fn tracer_of(process: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    line.trim().parse().ok()
}
