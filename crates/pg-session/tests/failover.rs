//! Several servers: writes go to the one that accepts them, reads where they are
//! wanted, a change of roles is noticed, and a primary that is not the right one is
//! refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use pg_local::{Cluster, Profile, Runtime};
use pg_session::config::TargetSession;
use pg_session::error::Divergence;
use pg_session::{
    AcquireFailure, Class, Config, Error, Pool, PoolOptions, ReaderOptions, RetryPolicy, Session,
    TransactionOptions, connect,
};
use support::relay::Relay;
use support::{bench, options};

fn cluster() -> Cluster {
    let runtime = Runtime::locate_or_install(&|_| {}).unwrap();
    let cluster = Cluster::temporary(&runtime, Profile::Fast).unwrap();
    // An ordinary role.
    for sql in [
        "CREATE ROLE app LOGIN PASSWORD 'secret'",
        "CREATE TABLE t (a int)",
        "GRANT ALL ON t TO app",
    ] {
        cluster.run_sql("postgres", sql).unwrap();
    }
    cluster
}

/// A primary and its standby.
fn pair() -> (Cluster, Cluster) {
    let one = cluster();
    let two = one.standby("two").unwrap();
    (one, two)
}

/// A configuration that names servers, in this order, and wants the one that writes.
fn config(servers: &[&Cluster]) -> Config {
    let hosts: Vec<String> =
        servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
    let url = format!("postgres://app:secret@{}/postgres?sslmode=disable", hosts.join(","));
    Config::from_url(&url).unwrap().target_session(TargetSession::ReadWrite)
}

/// The port of the server to which the pool leads. That a server was killed shows on
/// a connection only after a moment.
async fn place(pool: &Pool) -> u16 {
    loop {
        let mut session = pool.acquire().await.unwrap();
        match place_of(&mut session).await {
            Ok(port) => return port,
            Err(error) => assert_eq!(error.class(), Class::Lost, "{error}"),
        }
    }
}

async fn place_of(session: &mut Session) -> Result<u16, Error> {
    let port: String = session.fetch_value("SHOW port", &[]).await?;
    Ok(port.parse().unwrap())
}

fn count(server: &Cluster) -> String {
    server.run_sql("postgres", "SELECT count(*) FROM t").unwrap().trim().to_owned()
}

/// Makes a server accept no writes, also in sessions that are open.
fn refuse_writes(cluster: &Cluster) {
    let sql = "ALTER SYSTEM SET default_transaction_read_only = on";
    cluster.run_sql("postgres", sql).unwrap();
    cluster.run_sql("postgres", "SELECT pg_reload_conf()").unwrap();
    let show = "SHOW default_transaction_read_only";
    while cluster.run_sql("postgres", show).unwrap().trim() != "on" {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Why an acquire found no server. An attempt that began too late says less.
async fn divergence(pool: &Pool) -> Divergence {
    let mut tries = 0;
    loop {
        match pool.acquire().await {
            // Of the primary that was killed a moment ago.
            Ok(session) => drop(session),
            Err(error) => {
                assert_eq!(error.failure, AcquireFailure::Connect, "{error}");
                let cause = error.last_connect_error.as_deref().unwrap();
                assert_eq!(cause.class(), Class::Connect);
                if let Error::Diverged { divergence, .. } = cause {
                    assert!(cause.to_string().contains(&divergence.to_string()), "{cause}");
                    return divergence.clone();
                }
                tries += 1;
                assert!(tries < 10, "{error}");
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_turns_read_only_is_left() {
    let (one, two) = pair();
    let pool =
        Pool::open(config(&[&one, &two]), PoolOptions { min: 2, ..options() }).await.unwrap();
    assert_eq!(place(&pool).await, one.port());

    // Reads may go to the other.
    let reader = |target| {
        pool.reader(ReaderOptions { connections: 1, target, ..ReaderOptions::default() }).unwrap()
    };
    for (target, expected) in [
        (None, &one),
        (Some(TargetSession::ReadOnly), &two),
        (Some(TargetSession::Standby), &two),
        (Some(TargetSession::PreferStandby), &two),
        (Some(TargetSession::Primary), &one),
    ] {
        let found: String = reader(target).fetch_value("SHOW port", &[]).await.unwrap();
        assert_eq!(found, expected.port().to_string(), "{target:?}");
    }

    // The roles change under open connections.
    refuse_writes(&one);
    two.promote().unwrap();
    let mut session = pool.acquire().await.unwrap();
    while session.fetch_value::<String>("SHOW transaction_read_only", &[]).await.unwrap() != "on" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // One that was begun to refuse writes says nothing about the server.
    let mut transaction = session.begin(&TransactionOptions::read_only()).await.unwrap();
    let error = transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap_err();
    assert_eq!(error.class(), Class::ReadOnly);
    drop(transaction);
    drop(session);
    assert_eq!(place(&pool).await, one.port());

    let policy = RetryPolicy::default();
    let stored = pool
        .transact(&TransactionOptions::default(), &policy, async |transaction| {
            transaction.execute("INSERT INTO t VALUES (1)", &[]).await?;
            transaction.fetch_value::<String>("SHOW port", &[]).await
        })
        .await;
    let expected = two.port().to_string();
    assert_eq!(stored.unwrap(), expected, "repeated on the server that accepts writes");
    assert_eq!(place(&pool).await, two.port());
    assert_eq!(count(&one), "0");
    // There is no standby any more, and any server will do.
    let found: String =
        reader(Some(TargetSession::PreferStandby)).fetch_value("SHOW port", &[]).await.unwrap();
    assert_eq!(found, expected, "the primary that was left is no choice");
}

#[tokio::test]
async fn an_old_primary_that_comes_back_is_refused() {
    let (mut one, mut two) = pair();
    let limits = PoolOptions { acquire_timeout: Duration::from_secs(5), ..options() };
    let pool = Pool::open(config(&[&one, &two]), limits).await.unwrap();
    assert_eq!(place(&pool).await, one.port());
    one.kill().unwrap();
    two.promote().unwrap();
    assert_eq!(place(&pool).await, two.port());

    // The new primary is away for a moment and the old one is back: it accepts writes.
    two.kill().unwrap();
    one.start().unwrap();
    let expected = Divergence::OlderTimeline { newest: 2, found: 1 };
    assert_eq!(divergence(&pool).await, expected);
    assert_eq!(
        expected.to_string(),
        "it was left behind by a failover, on timeline 1 while another is on 2 \
         — stop it, or make it follow"
    );
    let reader = pool.reader(ReaderOptions::default()).unwrap();
    let error = reader.fetch("SELECT a FROM t", &[]).await.unwrap_err();
    assert_eq!(error.class(), Class::Connect, "{error}");
    // Whoever remembers nothing writes to it.
    let naive = connect(&config(&[&one, &two])).await.unwrap();
    naive.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();

    two.start().unwrap();
    assert_eq!(place(&pool).await, two.port());
    assert_eq!((count(&one).as_str(), count(&two).as_str()), ("1", "0"));
}

#[tokio::test]
async fn connections_to_a_primary_that_is_left_behind_are_not_lent() {
    let (one, two) = pair();
    let limits = PoolOptions { min: 0, ..options() };
    // The standby stands first, and is seen as soon as it is the primary.
    let pool = Pool::open(config(&[&two, &one]), limits).await.unwrap();
    let reader = pool.reader(ReaderOptions { connections: 1, ..ReaderOptions::default() });
    let reader = reader.unwrap();
    let read = async || reader.fetch_value::<String>("SHOW port", &[]).await.unwrap();
    assert_eq!(read().await, one.port().to_string());
    let mut first = pool.acquire().await.unwrap();
    let second = pool.acquire().await.unwrap();
    assert_eq!(place_of(&mut first).await.unwrap(), one.port());
    drop(second);

    // Both accept writes now; only a new connection shows it.
    two.promote().unwrap();
    let second = pool.acquire().await.unwrap();
    let mut third = pool.acquire().await.unwrap();
    assert_eq!(place_of(&mut third).await.unwrap(), two.port());
    drop(third);
    drop((first, second));
    for _ in 0..3 {
        assert_eq!(place(&pool).await, two.port());
    }
    assert_eq!(read().await, two.port().to_string());
}

#[tokio::test]
async fn a_primary_of_another_system_is_refused() {
    let (mut one, stranger) = (cluster(), cluster());
    let limits = PoolOptions { acquire_timeout: Duration::from_secs(5), ..options() };
    let pool = Pool::open(config(&[&one, &stranger]), limits).await.unwrap();
    assert_eq!(place(&pool).await, one.port());
    let system = |server: &Cluster| {
        let sql = "SELECT system_identifier FROM pg_control_system()";
        server.run_sql("postgres", sql).unwrap().trim().to_owned()
    };
    let expected = Divergence::OtherSystem { known: system(&one), found: system(&stranger) };
    one.kill().unwrap();
    assert_eq!(divergence(&pool).await, expected);
    assert_eq!(count(&stranger), "0");
    one.start().unwrap();
    assert_eq!(place(&pool).await, one.port());
}

/// What cannot be looked at is not accepted.
#[tokio::test]
async fn a_role_that_may_not_ask_who_the_primary_is() {
    let (one, two) = pair();
    let revoke = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC";
    one.run_sql("postgres", revoke).unwrap();
    let error = Pool::open(config(&[&one, &two]), options()).await.err().unwrap();
    assert_eq!((error.class(), error.sqlstate()), (Class::Privilege, Some("42501")), "{error}");
    assert!(error.to_string().contains("pg_control_system"), "{error}");
    // Where there is no choice there is nothing to ask.
    let pool = Pool::open(config(&[&one]), options()).await.unwrap();
    assert_eq!(place(&pool).await, one.port());
}

/// A list of hosts whose load is to be spread.
#[tokio::test]
async fn hosts_are_tried_in_a_random_order_when_asked() {
    let bench = bench(options()).await;
    let (one, two) = (Relay::to(bench.database.url()).await, Relay::to(bench.database.url()).await);
    let (head, first) = one.url().split_once('@').unwrap();
    let (first, path) = first.split_once('/').unwrap();
    let (_, second) = two.url().split_once('@').unwrap();
    let (second, _) = second.split_once('/').unwrap();
    // One is named, so that its addresses are looked up.
    let second = second.replace("127.0.0.1", "localhost");
    let url = format!("{head}@{first},{second}/{path}?load_balance_hosts=random");
    let config = Config::from_url(&url).unwrap();
    for _ in 0..40 {
        connect(&config).await.unwrap();
    }
    assert!(one.accepted() > 0 && two.accepted() > 0, "{} {}", one.accepted(), two.accepted());
}
