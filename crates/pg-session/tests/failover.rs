//! Several servers: writes go to the one that accepts them, reads where they are
//! wanted, and a change of roles is noticed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use pg_local::{Cluster, Profile, Runtime};
use pg_session::config::TargetSession;
use pg_session::{
    Class, Config, Pool, PoolOptions, ReaderOptions, RetryPolicy, TransactionOptions,
};
use support::options;

struct Pair {
    one: Cluster,
    two: Cluster,
    both: String,
}

/// Two servers, and the URL that names both.
fn pair() -> Pair {
    let runtime = Runtime::locate_or_install(&|_| {}).unwrap();
    let cluster = || Cluster::temporary(&runtime, Profile::Fast).unwrap();
    let (one, two) = (cluster(), cluster());
    let both = format!(
        "postgres://app:secret@127.0.0.1:{},127.0.0.1:{}/postgres?sslmode=disable",
        one.port(),
        two.port()
    );
    for (name, cluster) in [("one", &one), ("two", &two)] {
        let role = "CREATE ROLE app LOGIN SUPERUSER PASSWORD 'secret'";
        cluster.run_sql("postgres", role).unwrap();
        cluster.run_sql("postgres", "CREATE TABLE t (a int)").unwrap();
        let sql = format!("CREATE FUNCTION place() RETURNS text RETURN '{name}'");
        cluster.run_sql("postgres", &sql).unwrap();
    }
    Pair { one, two, both }
}

/// Makes a server accept writes or not, also in sessions that are open.
fn accept_writes(cluster: &Cluster, accept: bool) {
    let value = if accept { "off" } else { "on" };
    let sql = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
    cluster.run_sql("postgres", &sql).unwrap();
    cluster.run_sql("postgres", "SELECT pg_reload_conf()").unwrap();
    while cluster.run_sql("postgres", "SHOW default_transaction_read_only").unwrap().trim() != value
    {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_server_that_turns_read_only_is_left() {
    let pair = pair();
    accept_writes(&pair.two, false);
    let config = Config::from_url(&pair.both).unwrap().target_session(TargetSession::ReadWrite);
    let pool = Pool::open(config, PoolOptions { min: 2, ..options() }).await.unwrap();
    let place = async |pool: &Pool| {
        let mut session = pool.acquire().await.unwrap();
        session.fetch_value::<String>("SELECT place()", &[]).await.unwrap()
    };
    assert_eq!(place(&pool).await, "one");

    // Reads may go to the other.
    let reader = |target| {
        pool.reader(ReaderOptions { connections: 1, target, ..ReaderOptions::default() }).unwrap()
    };
    for (target, expected) in [
        (None, "one"),
        (Some(TargetSession::ReadOnly), "two"),
        // There is no standby.
        (Some(TargetSession::PreferStandby), "one"),
    ] {
        let found = reader(target).fetch_value::<String>("SELECT place()", &[]).await.unwrap();
        assert_eq!(found, expected, "{target:?}");
    }

    // The roles change under open connections.
    accept_writes(&pair.one, false);
    accept_writes(&pair.two, true);
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
    assert_eq!(place(&pool).await, "one");

    let policy = RetryPolicy::default();
    let stored = pool
        .transact(&TransactionOptions::default(), &policy, async |transaction| {
            transaction.execute("INSERT INTO t VALUES (1)", &[]).await?;
            transaction.fetch_value::<String>("SELECT place()", &[]).await
        })
        .await;
    assert_eq!(stored.unwrap(), "two", "repeated on the server that accepts writes");
    assert_eq!(place(&pool).await, "two");
    assert_eq!(pair.one.run_sql("postgres", "SELECT count(*) FROM t").unwrap().trim(), "0");
}
