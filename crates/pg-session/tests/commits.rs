//! Commits that the server keeps waiting, ends half-way or refuses: what is said of
//! them is what became of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use futures_util::future::join;
use pg_local::{Cluster, Profile, Runtime};
use pg_session::tokio_postgres::Client;
use pg_session::{
    Class, Commit, Config, Error, Isolation, Outcome, Pool, PoolOptions, RetryPolicy,
    TransactionOptions, connect,
};
use support::{bench, options};

const INSERT: &str = "INSERT INTO t VALUES (1)";
const WAITS: &str = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

struct Stalled {
    pool: Pool,
    observer: Client,
    url: String,
    _cluster: Cluster,
}

/// A server whose commits wait for a standby that never comes.
async fn stalled() -> Stalled {
    let runtime = Runtime::locate_or_install(&|_| {}).unwrap();
    let cluster = Cluster::temporary(&runtime, Profile::Durable).unwrap();
    let url = cluster.url("postgres");
    let config = Config::from_url(&url).unwrap();
    let observer = connect(&config).await.unwrap();
    observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let pool = Pool::open(config, PoolOptions { min: 0, ..options() }).await.unwrap();
    observer.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
    observer.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    // The observer's own commits do not wait.
    observer.batch_execute("SET synchronous_commit = local").await.unwrap();
    Stalled { pool, observer, url, _cluster: cluster }
}

impl Stalled {
    /// Does something to the server process that waits for the standby.
    async fn to_the_waiting(&self, function: &str) {
        loop {
            if let Some(row) = self.observer.query_opt(WAITS, &[]).await.unwrap() {
                let sql = format!("SELECT {function}($1)");
                self.observer.execute(&sql, &[&row.get::<_, i32>(0)]).await.unwrap();
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn rows(&self) -> i64 {
        self.observer.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0)
    }

    async fn commit(&self, options: TransactionOptions) -> Result<Commit, Error> {
        let mut session = self.pool.acquire().await.unwrap();
        let mut transaction = session.begin(&options).await.unwrap();
        transaction.execute(INSERT, &[]).await.unwrap();
        transaction.commit().await
    }
}

#[tokio::test]
async fn a_wait_for_the_standby_that_is_broken_off() {
    let stalled = stalled().await;
    let plain = TransactionOptions::default();

    // The driver says that all is well.
    let mut naive = connect(&Config::from_url(&stalled.url).unwrap()).await.unwrap();
    let transaction = naive.transaction().await.unwrap();
    transaction.execute(INSERT, &[]).await.unwrap();
    let (committed, ()) =
        join(transaction.commit(), stalled.to_the_waiting("pg_cancel_backend")).await;
    committed.unwrap();

    let (committed, ()) =
        join(stalled.commit(plain), stalled.to_the_waiting("pg_cancel_backend")).await;
    assert_eq!(committed.unwrap(), Commit::NotReplicated);
    assert_eq!(stalled.rows().await, 2);
    // The next one on the same connection is judged by itself.
    stalled.observer.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    stalled.observer.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    assert_eq!(stalled.commit(plain).await.unwrap(), Commit::Applied);
    assert_eq!(stalled.pool.status().opened, 1);
}

#[tokio::test]
async fn a_session_ended_during_its_commit_may_have_committed() {
    let stalled = stalled().await;
    let plain = TransactionOptions::default();
    let (committed, ()) =
        join(stalled.commit(plain), stalled.to_the_waiting("pg_terminate_backend")).await;
    let error = committed.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
    assert_eq!(error.sqlstate(), Some("57P01"), "the server's last words: {error:?}");
    assert_eq!(stalled.rows().await, 1, "it is applied, whatever the code seems to say");

    let resolving = plain.resolve_lost_commit();
    let (committed, ()) =
        join(stalled.commit(resolving), stalled.to_the_waiting("pg_terminate_backend")).await;
    assert_eq!(committed.unwrap(), Commit::Applied);
    assert_eq!(stalled.rows().await, 2);
}

#[tokio::test]
async fn a_commit_that_conflicts_is_not_applied_and_repeated() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let serializable = TransactionOptions::default().isolation(Isolation::Serializable);
    let mut one = bench.pool.acquire().await.unwrap();
    let mut two = bench.pool.acquire().await.unwrap();
    let count = "SELECT count(*) FROM t";
    let mut first = one.begin(&serializable).await.unwrap();
    let mut second = two.begin(&serializable).await.unwrap();
    // Each writes what the other has read.
    for transaction in [&mut first, &mut second] {
        transaction.fetch(count, &[]).await.unwrap();
        transaction.execute(INSERT, &[]).await.unwrap();
    }
    assert_eq!(first.commit().await.unwrap(), Commit::Applied);
    let error = second.commit().await.unwrap_err();
    assert_eq!((error.class(), error.sqlstate()), (Class::Conflict, Some("40001")), "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    drop((one, two));

    // Run again from the start, the transaction reads what is there now.
    let runs = std::cell::Cell::new(0);
    let seen = bench
        .pool
        .transact(&serializable, &RetryPolicy::default(), async |transaction| {
            let seen: i64 = transaction.fetch_value(count, &[]).await?;
            transaction.execute(INSERT, &[]).await?;
            if runs.replace(runs.get() + 1) == 0 {
                let mut other = bench.pool.acquire().await.map_err(Box::new)?;
                let mut other = other.begin(&serializable).await?;
                other.fetch(count, &[]).await?;
                other.execute(INSERT, &[]).await?;
                other.commit().await?;
            }
            Ok::<_, Error>(seen)
        })
        .await
        .unwrap();
    assert_eq!((runs.get(), seen), (2, 2));
    assert_eq!(bench.value(count).await, 3);
}
