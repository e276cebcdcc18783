//! `dbready local`: clusters that stay, side by side.

use std::fs;
use std::path::Path;
use std::thread;

use tempfile::TempDir;

use crate::processes::processes_of;
use crate::support::{Ran, dbready, entries, open_folder, program_in, run};

fn local(folder: &TempDir, args: &[&str]) -> Ran {
    run(program_in(folder.path()).arg("local").args(args))
}

/// Stops every cluster of a folder when a test ends, however it ends.
pub(crate) struct Stopped<'a>(pub(crate) &'a TempDir);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let mut command = program_in(self.0.path());
        let stopped = command.args(["local", "stop", "--all", "--remove"]).status();
        if !thread::panicking() {
            assert!(stopped.unwrap().success());
            assert!(processes_of(self.0.path()).is_empty());
        }
    }
}

fn start(folder: &TempDir, args: &[&str]) -> String {
    let ran = local(folder, &[&["start"], args].concat()).exits(0);
    let url = ran.stdout.strip_suffix('\n').unwrap();
    assert!(url.starts_with("postgres://") && !url.contains('\n'), "not one URL: {ran:#?}");
    url.to_owned()
}

fn password(url: &str) -> &str {
    url.split_once("postgres://postgres:").unwrap().1.split_once('@').unwrap().0
}

#[test]
fn two_clusters_live_side_by_side() {
    let folder = open_folder();
    let stopped = Stopped(&folder);
    let one = start(&folder, &["--name", "one", "--profile", "fast"]);
    let other = start(&folder, &["--name", "other", "--profile", "fast"]);
    assert_ne!(one, other);
    assert_ne!(password(&one), password(&other));
    assert_eq!(start(&folder, &["--name", "one"]), one, "a second start finds the first");

    local(&folder, &["install"]).exits(0).prints(&["PostgreSQL ", "TimescaleDB "]);
    let status = local(&folder, &["status"]).exits(0);
    for name in ["one: port ", "other: port "] {
        assert!(status.stdout.contains(name), "{status:#?}");
    }
    assert_eq!(status.stdout.matches(" edition").count(), 2, "{status:#?}");
    for url in [&one, &other] {
        assert!(!status.stdout.contains(password(url)), "{status:#?}");
    }

    let psql = |name: &str, sql: &str| {
        local(&folder, &["psql", "--name", name, "--", "-q", "-A", "-t", "-c", sql])
    };
    psql("one", "CREATE TABLE kept AS SELECT 42 AS n").exits(0);
    assert_eq!(psql("one", "SELECT n FROM kept").exits(0).stdout, "42\n");
    psql("other", "SELECT n FROM kept").exits(1).says(&["kept"]);

    local(&folder, &["stop", "--name", "one"]).exits(0).says(&["stopped one"]);
    dbready(&["check", "--url", &one]).exits(3).says_in_one_line(&["connection refused"]);
    dbready(&["check", "--url", &other]).exits(1);
    local(&folder, &["status"]).exits(0).prints(&["one: stopped", "other: port "]);
    local(&folder, &["psql", "--name", "one", "--", "-c", "SELECT 1"])
        .exits(2)
        .says_in_one_line(&["`one` is stopped", "local start --name one"]);

    // The data stay for the next start.
    assert_eq!(start(&folder, &["--name", "one"]), one);
    assert_eq!(psql("one", "SELECT n FROM kept").exits(0).stdout, "42\n");
    local(&folder, &["stop", "--name", "one", "--remove"]).exits(0);
    assert_eq!(entries(&folder.path().join("clusters")), ["other"]);
    drop(stopped);
    assert_eq!(entries(&folder.path().join("clusters")), [""; 0]);
}

#[test]
fn two_starts_at_once_make_one_cluster() {
    let folder = open_folder();
    let _stopped = Stopped(&folder);
    let urls = thread::scope(|scope| {
        let starts = [(); 3].map(|()| scope.spawn(|| start(&folder, &["--profile", "fast"])));
        starts.map(|start| start.join().unwrap())
    });
    assert!(urls.iter().all(|url| *url == urls[0]), "{urls:?}");
}

#[test]
fn only_the_owner_can_read_the_password() {
    use std::os::unix::fs::PermissionsExt;
    let folder = open_folder();
    let _stopped = Stopped(&folder);
    let url = start(&folder, &["--profile", "fast"]);
    let mut holders = Vec::new();
    find(folder.path(), password(&url), &mut holders);
    assert_eq!(holders, [folder.path().join("clusters/default/server")]);
    let mode = fs::metadata(&holders[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (pid, words) in processes_of(folder.path()) {
        assert!(!words.contains(password(&url)), "process {pid}: {words}");
    }
}

/// The files below a folder that hold the text.
fn find(folder: &Path, text: &str, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            find(&path, text, found);
        } else if let Ok(bytes) = fs::read(&path)
            && bytes.windows(text.len()).any(|window| window == text.as_bytes())
        {
            found.push(path);
        }
    }
}

#[test]
fn a_cluster_that_does_not_exist_is_told() {
    let folder = open_folder();
    for action in ["stop", "psql"] {
        local(&folder, &[action, "--name", "nobody"])
            .exits(2)
            .says_in_one_line(&["there is no cluster `nobody`", "local start --name nobody"]);
    }
    for name in ["../up", "a b", "", "ümlaut"] {
        local(&folder, &["start", "--name", name]).exits(2).says_in_one_line(&["expected a name"]);
        local(&folder, &["stop", "--name", name]).exits(2).says_in_one_line(&["expected a name"]);
    }
    local(&folder, &["stop", "--all"]).exits(0);
    assert_eq!(local(&folder, &["status"]).exits(0).stdout.lines().count(), 1);
}

#[test]
fn a_cluster_keeps_its_port_and_an_occupied_one_is_told() {
    let folder = open_folder();
    let _stopped = Stopped(&folder);
    let url = start(&folder, &["--name", "one", "--profile", "fast"]);
    let port = url.rsplit_once(':').unwrap().1.split_once('/').unwrap().0;
    local(&folder, &["start", "--name", "one", "--port", "1"])
        .exits(2)
        .says_in_one_line(&[&format!("has port {port}, not 1"), "--remove"]);
    local(&folder, &["start", "--name", "two", "--port", port])
        .exits(2)
        .says_in_one_line(&["expected a free port", port]);
    let status = local(&folder, &["status"]).exits(0);
    assert!(!status.stdout.contains("two"), "{status:#?}");
}

#[test]
fn a_runtime_that_cannot_be_used_is_told() {
    let folder = open_folder();
    for args in [&["local", "start"][..], &["local", "status"], &["certify"]] {
        let mut command = program_in(folder.path());
        command.args(args).env("DBREADY_PG_BIN", "/nonexistent/bin");
        let ran = run(&mut command).exits(3);
        ran.says(&["DBREADY_PG_BIN: /nonexistent/bin", "expected a folder with postgres"]);
    }
}
