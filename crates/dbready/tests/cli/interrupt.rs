//! Programs that are interrupted or killed while they own a server leave nothing behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, sleep};
use std::time::Duration;

use tempfile::TempDir;

use crate::processes::{processes_of, wait_until};
use crate::support::{dbready, entries, open_folder, program_in, run};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
    Kill,
}

impl Signal {
    /// Sends it to the program, and to nobody else.
    fn send(self, child: &Child) {
        let name = match self {
            Self::Interrupt => "-INT",
            Self::Terminate => "-TERM",
            Self::Kill => "-KILL",
        };
        let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill {name}");
    }

    #[track_caller]
    fn assert_ended(self, status: ExitStatus, moment: &str) {
        let expected = match self {
            Self::Interrupt => (Some(130), None),
            Self::Terminate => (Some(143), None),
            Self::Kill => (None, Some(9)),
        };
        assert_eq!((status.code(), status.signal()), expected, "{self:?} {moment}");
    }
}

/// Runs the program until it has said `line` on standard error and `delay` has passed, and then
/// signals it.
pub(crate) fn interrupted(
    folder: &TempDir,
    args: &[&str],
    line: &str,
    delay: Duration,
    signal: Signal,
) {
    let moment = format!("{delay:?} after `{line}`");
    let mut command = program_in(folder.path());
    command.args(args).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    if !line.is_empty() {
        assert!(said.any(|said| said.starts_with(line)), "never said: {line}");
    }
    sleep(delay);
    signal.send(&child);
    let rest: Vec<String> = said.collect();
    let status = child.wait().unwrap();
    signal.assert_ended(status, &moment);
    assert!(!rest.iter().any(|line| line.contains("panicked")), "{moment}: {rest:?}");
    wait_until(
        || format!("{signal:?} {moment}: nothing runs: {:?}", processes_of(folder.path())),
        || processes_of(folder.path()).is_empty(),
    );
}

pub(crate) fn leftovers(folder: &Path) -> Vec<String> {
    let is_left = |name: &String| name.starts_with("dbready-") && name != "dbready-report";
    entries(folder).into_iter().filter(is_left).collect()
}

/// The moments of a run: what it says, and the milliseconds after.
const MOMENTS: [(&str, u64); 5] = [
    ("starting a server", 0),
    ("starting a server", 50),
    ("starting a server", 300),
    ("started PostgreSQL", 0),
    ("filling it with data", 100),
];

fn certify_interrupted_by(signal: Signal) {
    thread::scope(|scope| {
        for (line, delay) in MOMENTS {
            scope.spawn(move || {
                let folder = open_folder();
                let args = ["certify", "--profile", "quick"];
                interrupted(&folder, &args, line, Duration::from_millis(delay), signal);
                let left = leftovers(folder.path());
                assert_eq!(left, [""; 0], "{signal:?} {delay} ms after `{line}`");
            });
        }
    });
}

#[test]
fn certify_interrupted_leaves_nothing() {
    certify_interrupted_by(Signal::Interrupt);
}

#[test]
fn certify_terminated_leaves_nothing() {
    certify_interrupted_by(Signal::Terminate);
}

#[test]
fn certify_killed_leaves_nothing() {
    certify_interrupted_by(Signal::Kill);
}

#[test]
fn certify_whose_server_dies_says_so_and_leaves_nothing() {
    let folder = open_folder();
    let mut command = program_in(folder.path());
    command.args(["certify"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.starts_with("filling it with data")));
    let server = folder.path().join(&leftovers(folder.path())[0]);
    let lock = fs::read_to_string(server.join("data/postmaster.pid")).unwrap();
    let main = lock.lines().next().unwrap();
    let killed = Command::new("kill").args(["-KILL", main]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<String> = said.filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{rest:?}");
    // A session under way may come to its end before it notices that its server is dead.
    let told = ["error: the connection was lost", "error: cannot connect to "];
    let [error] = &rest[..] else { panic!("not one line: {rest:?}") };
    assert!(told.iter().any(|told| error.starts_with(told)), "{error}");
    wait_until(
        || format!("nothing runs: {:?}", processes_of(folder.path())),
        || processes_of(folder.path()).is_empty(),
    );
    assert_eq!(leftovers(folder.path()), [""; 0]);
}

/// A server that stays is complete, or it is not there; and the name can be used again.
fn local_start_interrupted_by(signal: Signal) {
    thread::scope(|scope| {
        for delay in [20, 250, 450] {
            scope.spawn(move || {
                let folder = open_folder();
                let start = || {
                    let mut command = program_in(folder.path());
                    command.args(["local", "start", "--name", "cut", "--profile", "fast"]);
                    command
                };
                let mut child =
                    start().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                sleep(Duration::from_millis(delay));
                signal.send(&child);
                child.wait().unwrap();
                // At once, while what was started may still be going away.
                let again = run(&mut start()).exits(0);
                let (url, servers) = (again.stdout.trim_end(), processes_of(folder.path()));
                // A child bears its parent's words until it has its own.
                let mut mains: Vec<&String> = servers.iter().map(|(_, words)| words).collect();
                mains.retain(|words| words.contains("postgres -D"));
                mains.dedup();
                assert_eq!(mains.len(), 1, "{signal:?} after {delay} ms: {servers:?}");
                dbready(&["migrate", "status", "--url", url]).exits(1);
                let mut stop = program_in(folder.path());
                run(stop.args(["local", "stop", "--name", "cut", "--remove"])).exits(0);
                wait_until(
                    || format!("nothing runs: {:?}", processes_of(folder.path())),
                    || processes_of(folder.path()).is_empty(),
                );
                assert_eq!(entries(&folder.path().join("clusters")), [""; 0]);
            });
        }
    });
}

#[test]
fn local_start_terminated_leaves_no_half_cluster() {
    local_start_interrupted_by(Signal::Terminate);
}

#[test]
fn local_start_killed_leaves_no_half_cluster() {
    local_start_interrupted_by(Signal::Kill);
}

/// Without a second start, too: nobody would stop a server that no command knows.
#[test]
fn a_server_that_no_command_knows_does_not_run() {
    thread::scope(|scope| {
        for (at, delay) in [100, 250, 400, 550].into_iter().enumerate() {
            scope.spawn(move || {
                let folder = open_folder();
                let mut command = program_in(folder.path());
                let mut child = command
                    .args(["local", "start", "--profile", "fast"])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                sleep(Duration::from_millis(delay));
                [Signal::Interrupt, Signal::Kill][at % 2].send(&child);
                child.wait().unwrap();
                let mut stop = program_in(folder.path());
                // What had been made by then is stopped by name; else there is nothing to stop.
                let stopped = run(stop.args(["local", "stop", "--remove"]));
                assert!(matches!(stopped.code, Some(0 | 2)), "{stopped:#?}");
                wait_until(
                    || format!("nothing runs: {:?}", processes_of(folder.path())),
                    || processes_of(folder.path()).is_empty(),
                );
            });
        }
    });
}
