//! Servers start, stop and leave nothing, on real PostgreSQL.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pg_local::testing::TestDatabase;
use pg_local::{Cluster, Profile, Runtime, Shutdown};

fn runtime() -> Runtime {
    Runtime::locate_or_install(&|_| ()).unwrap()
}

fn is_running(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_dropped_cluster_leaves_no_process_and_no_folder() {
    let cluster = Cluster::temporary(&runtime(), Profile::Fast).unwrap();
    let (process, folder) = (cluster.process_id().unwrap(), cluster.folder().to_path_buf());
    assert!(is_running(process) && folder.exists());
    drop(cluster);
    assert!(!is_running(process) && !folder.exists());
}

#[test]
fn two_clusters_stand_side_by_side() {
    let runtime = runtime();
    let one = Cluster::temporary(&runtime, Profile::Fast).unwrap();
    let other = Cluster::temporary(&runtime, Profile::Fast).unwrap();
    one.run_sql("postgres", "CREATE TABLE mine (n int)").unwrap();
    assert!(other.run_sql("postgres", "SELECT * FROM mine").is_err());
    assert_ne!(one.port(), other.port());
}

#[test]
fn the_durable_profile_waits_for_the_disk_and_the_fast_one_does_not() {
    let runtime = runtime();
    for (profile, expected) in [(Profile::Durable, "on"), (Profile::Fast, "off")] {
        let cluster = Cluster::temporary(&runtime, profile).unwrap();
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let found = cluster.run_sql("postgres", &format!("SHOW {setting}")).unwrap();
            assert_eq!(found.trim(), expected, "{setting}");
        }
    }
}

#[test]
fn a_durable_cluster_recovers_after_a_kill() {
    let mut cluster = Cluster::temporary(&runtime(), Profile::Durable).unwrap();
    cluster.run_sql("postgres", "CREATE TABLE kept AS SELECT 42 AS n").unwrap();
    cluster.kill().unwrap();
    assert!(cluster.run_sql("postgres", "SELECT 1").is_err());
    cluster.start().unwrap();
    assert_eq!(cluster.run_sql("postgres", "SELECT n FROM kept").unwrap().trim(), "42");
    cluster.stop(Shutdown::Fast).unwrap();
    assert_eq!(cluster.process_id(), None);
    cluster.start().unwrap();
}

#[test]
fn a_paused_server_takes_no_new_session_until_it_is_resumed() {
    let cluster = Cluster::temporary(&runtime(), Profile::Fast).unwrap();
    cluster.pause().unwrap();
    let mut psql = cluster.psql("postgres");
    let mut waiting = psql.args(["-c", "SELECT 1"]).stdout(Stdio::null()).spawn().unwrap();
    sleep(Duration::from_millis(300));
    assert!(waiting.try_wait().unwrap().is_none(), "a paused server answered");
    cluster.resume().unwrap();
    assert!(waiting.wait().unwrap().success());
}

/// Set in the processes that a test starts for itself.
const PART: &str = "DBREADY_TEST_PART";

/// This test program again, for one of the parts below and with one test only.
fn part(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(PART, name);
    command
}

/// A part of the next test: owns a cluster, says where it is, and waits.
#[test]
fn owner() {
    if std::env::var_os(PART).is_none() {
        return;
    }
    let cluster = Cluster::temporary(&runtime(), Profile::Fast).unwrap();
    println!("\nserver {} {}", cluster.process_id().unwrap(), cluster.folder().display());
    sleep(Duration::from_mins(1));
}

#[test]
fn an_owner_killed_outright_leaves_nothing() {
    use std::io::{BufRead, BufReader};
    let mut owner = part("owner").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("server ")).unwrap();
    let mut words = line.split(' ').skip(1);
    let process: u32 = words.next().unwrap().parse().unwrap();
    let folder = words.next().unwrap().to_owned();
    assert!(is_running(process) && Path::new(&folder).exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("the server and its folder are gone", || {
        !is_running(process) && !Path::new(&folder).exists()
    });
}

#[test]
fn a_wrong_bin_folder_is_named() {
    // In a process of its own, since the environment belongs to all tests.
    let output = part("locate").env("DBREADY_PG_BIN", "/nonexistent/bin").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("DBREADY_PG_BIN: /nonexistent/bin: there is no program"), "{said}");
}

/// A part of the test above: looks for a runtime in its own environment.
#[test]
fn locate() {
    if std::env::var_os(PART).is_none() {
        return;
    }
    println!("{}", Runtime::locate().unwrap_err());
}

#[test]
fn test_databases_are_apart_and_copies_hold_what_was_prepared() {
    let prepare = |url: &str| {
        assert!(url.starts_with("postgres://"));
        Ok(())
    };
    let one = TestDatabase::copy_of("pg_local_own_test", prepare).unwrap();
    let other =
        TestDatabase::copy_of("pg_local_own_test", |_| Err("prepared twice".into())).unwrap();
    one.run_sql("CREATE TABLE mine (n int)").unwrap();
    assert!(other.run_sql("SELECT * FROM mine").is_err());
    let extension = "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'";
    assert_eq!(one.run_sql(extension).unwrap().trim(), "1");
    let empty = TestDatabase::empty().unwrap();
    assert_eq!(empty.run_sql(extension).unwrap().trim(), "0");
}

#[test]
fn a_failed_preparation_leaves_no_template() {
    // Of this run's own, since the server and its templates may outlive the one before.
    let name = format!("pg_local_failing_{}", std::process::id());
    let failed = TestDatabase::copy_of(&name, |_| Err("on purpose".into()));
    assert!(failed.unwrap_err().to_string().contains("on purpose"));
    TestDatabase::copy_of(&name, |_| Ok(())).unwrap();
}
