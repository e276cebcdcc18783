//! What a server says while it starts, stops and crashes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::{join, join_all};
use pg_local::{Cluster, Profile, Runtime, Shutdown};
use pg_session::{
    AcquireFailure, Class, Config, Error, Outcome, Pool, PoolOptions, ReaderOptions,
    TransactionOptions, connect,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::options;

fn cluster() -> Cluster {
    let runtime = Runtime::locate_or_install(&|_| {}).unwrap();
    Cluster::temporary(&runtime, Profile::Fast).unwrap()
}

fn config(cluster: &Cluster) -> Config {
    Config::from_url(&cluster.url("postgres")).unwrap()
}

/// Why the server takes no connection.
async fn refusal(config: &Config) -> Error {
    let error = connect(config).await.err().unwrap();
    assert_eq!((error.class(), error.sqlstate()), (Class::Unavailable, Some("57P03")), "{error}");
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    error
}

/// A server that is in recovery until it is let go.
struct Recovering {
    config: Config,
    go: PathBuf,
    start: std::thread::JoinHandle<Cluster>,
}

fn recovering() -> Recovering {
    let mut cluster = cluster();
    cluster.stop(Shutdown::Fast).unwrap();
    // Recovery asks for a file of the archive, and the answer is long in coming.
    let restore = "until test -e go; do sleep 0.05; done; false";
    cluster.configure(&[("restore_command", restore)]).unwrap();
    cluster.write_private("recovery.signal", "").unwrap();
    let (config, go) = (config(&cluster), cluster.folder().join("data/go"));
    let start = std::thread::spawn(move || {
        cluster.start().unwrap();
        cluster
    });
    Recovering { config, go, start }
}

#[tokio::test]
async fn a_server_that_starts_is_waited_for() {
    let Recovering { config, go, start } = recovering();
    // Until it listens there is nobody to refuse.
    while let Err(error) = connect(&config).await {
        if error.class() == Class::Unavailable {
            break;
        }
        assert_eq!(error.class(), Class::Connect, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = refusal(&config).await;
    assert!(error.to_string().ends_with("(SQLSTATE 57P03)"), "{error}");
    assert_eq!(error.outcome(), Outcome::NotApplied);

    let limits = |acquire_timeout| PoolOptions { min: 0, acquire_timeout, ..options() };
    let hasty = Pool::open(config.clone(), limits(Duration::from_secs(2))).await.unwrap();
    let error = hasty.acquire().await.err().unwrap();
    assert_eq!(error.failure, AcquireFailure::Connect);
    assert_eq!(error.last_connect_error.as_ref().unwrap().sqlstate(), Some("57P03"));

    let patient = Pool::open(config, limits(Duration::from_mins(1))).await.unwrap();
    let caller = tokio::spawn(patient.acquire());
    while patient.status().out == 0 {
        tokio::task::yield_now().await;
    }
    fs::write(go, "").unwrap();
    let mut session = caller.await.unwrap().unwrap();
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
    drop(start.join().unwrap());
}

#[tokio::test]
async fn a_server_that_stops_serves_those_who_are_there() {
    let mut cluster = cluster();
    let pool = Pool::open(config(&cluster), PoolOptions { min: 0, ..options() }).await.unwrap();
    let mut session = pool.acquire().await.unwrap();
    // It ends when the last session does.
    let process = i32::try_from(cluster.process_id().unwrap()).unwrap();
    kill_process(Pid::from_raw(process).unwrap(), Signal::TERM).unwrap();
    let config = config(&cluster);
    while connect(&config).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    refusal(&config).await;
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
    pool.close();
    drop(session);
    let ends = tokio::task::spawn_blocking(move || cluster.ends_within(Duration::from_secs(30)));
    assert!(ends.await.unwrap());
}

/// Kills one of the server's processes as soon as another session sleeps.
async fn crash(cluster: &Cluster) {
    let victim = connect(&config(cluster)).await.unwrap();
    let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    while victim.query_one(asleep, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.backend(pid).unwrap().kill().unwrap();
}

/// The server ends all sessions then, and says why.
#[tokio::test]
async fn a_crash_of_another_session() {
    let cluster = cluster();
    let pool = Pool::open(config(&cluster), PoolOptions { min: 0, ..options() }).await.unwrap();
    let sleep = "SELECT pg_sleep(600)";
    for inside in [false, true] {
        let mut session = pool.acquire().await.unwrap();
        let error = if inside {
            let mut transaction = session.begin(&TransactionOptions::default()).await.unwrap();
            join(transaction.execute(sleep, &[]), crash(&cluster)).await.0.unwrap_err()
        } else {
            join(session.execute(sleep, &[]), crash(&cluster)).await.0.unwrap_err()
        };
        assert_eq!((error.class(), error.sqlstate()), (Class::Lost, Some("57P02")), "{error:?}");
        let expected = if inside { Outcome::NotApplied } else { Outcome::Unknown };
        assert_eq!(error.outcome(), expected);
        assert!(error.to_string().contains("57P02"), "{error}");
    }
    // The server mends itself, and the pool with it. Shared reads are repeated, also when
    // all lines have ended and not each has told so yet.
    drop(pool.acquire().await.unwrap());
    let reader = pool.reader(ReaderOptions::default()).unwrap();
    let reads = (0..4).map(|_| reader.fetch("SELECT pg_sleep(1)", &[]));
    let (reads, ()) = join(join_all(reads), crash(&cluster)).await;
    for read in reads {
        assert_eq!(read.unwrap().len(), 1);
    }
}
