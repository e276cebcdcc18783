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
use support::relay::Relay;
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

    /// Commits wait no longer.
    async fn release(&self) {
        let reset = "ALTER SYSTEM RESET synchronous_standby_names";
        self.observer.batch_execute(reset).await.unwrap();
        self.observer.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    }

    async fn commit(&self, options: TransactionOptions) -> Result<Commit, Error> {
        let mut session = self.pool.acquire().await.unwrap();
        let mut transaction = session.begin(&options).await.unwrap();
        transaction.execute(INSERT, &[]).await.unwrap();
        transaction.commit().await
    }
}

/// A relay to a server, and a pool that reaches the server through it.
async fn relayed(url: &str) -> (Relay, Pool) {
    let relay = Relay::to(url).await;
    let config = Config::from_url(relay.url()).unwrap();
    let pool = Pool::open(config, PoolOptions { min: 0, ..options() }).await.unwrap();
    (relay, pool)
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
    stalled.release().await;
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
async fn a_lost_commit_that_is_still_going_on_is_waited_for() {
    let stalled = stalled().await;
    let (relay, pool) = relayed(&stalled.url).await;
    let mut session = pool.acquire().await.unwrap();
    let resolving = TransactionOptions::default().resolve_lost_commit();
    let mut transaction = session.begin(&resolving).await.unwrap();
    transaction.execute(INSERT, &[]).await.unwrap();
    relay.cut_unanswered("COMMIT");
    let (committed, ()) = join(transaction.commit(), async {
        let asked = "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_xact_status%' \
                     AND state = 'idle' AND pid <> pg_backend_pid()";
        while stalled.observer.query_opt(asked, &[]).await.unwrap().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(stalled.observer.query_opt(WAITS, &[]).await.unwrap().is_some());
        stalled.release().await;
    })
    .await;
    assert_eq!(committed.unwrap(), Commit::Applied);
    assert_eq!(stalled.rows().await, 1);
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

/// A row is written and its commit loses the answer; `fault` happens before the fate
/// can be asked for.
async fn lost_commit(
    pool: &Pool,
    relay: &Relay,
    fault: impl AsyncFnOnce(),
) -> Result<Commit, Error> {
    let mut session = pool.acquire().await.unwrap();
    let mut transaction =
        session.begin(&TransactionOptions::default().resolve_lost_commit()).await.unwrap();
    transaction.execute(INSERT, &[]).await.unwrap();
    let before = relay.accepted();
    relay.cut_after("COMMIT");
    relay.refuse(true);
    let (committed, ()) = join(transaction.commit(), async {
        while relay.accepted() == before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        fault().await;
    })
    .await;
    committed
}

#[tokio::test]
async fn the_fate_of_a_commit_is_asked_for_until_it_is_told() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let relay = Relay::to(bench.database.url()).await;
    let second = std::time::Duration::from_secs(1);
    let limits = PoolOptions {
        min: 0,
        acquire_timeout: second / 5,
        command_timeout: second * 2,
        ..options()
    };
    let pool = Pool::open(Config::from_url(relay.url()).unwrap(), limits).await.unwrap();
    let committed = lost_commit(&pool, &relay, async || {
        tokio::time::sleep(second / 2).await;
        relay.refuse(false);
    })
    .await;
    assert_eq!(committed.unwrap(), Commit::Applied);

    // Nobody tells it in time.
    let error = lost_commit(&pool, &relay, async || {}).await.unwrap_err();
    assert_eq!((error.class(), error.outcome()), (Class::Lost, Outcome::Unknown), "{error}");
    relay.refuse(false);
    assert_eq!(bench.value("SELECT count(*) FROM t").await, 2);
}

/// The server no longer remembers the transaction: it is too long ago.
#[tokio::test]
async fn a_fate_that_the_server_has_forgotten_stays_unknown() {
    let runtime = Runtime::locate_or_install(&|_| {}).unwrap();
    let cluster = Cluster::temporary(&runtime, Profile::Fast).unwrap();
    let sql = |database: &str, sql: &str| cluster.run_sql(database, sql).unwrap();
    sql("postgres", "CREATE TABLE t (a int)");
    sql("postgres", "ALTER DATABASE template0 ALLOW_CONNECTIONS true");
    let (relay, pool) = relayed(&cluster.url("postgres")).await;
    let error = lost_commit(&pool, &relay, async || {
        // It forgets whole files of transactions, and the first holds a million.
        let many = "DO $$ BEGIN FOR number IN 1..1100000 LOOP \
                    PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$";
        sql("postgres", many);
        for database in ["postgres", "template0", "template1"] {
            sql(database, "VACUUM FREEZE");
        }
        relay.refuse(false);
    })
    .await
    .unwrap_err();
    assert_eq!((error.class(), error.outcome()), (Class::Lost, Outcome::Unknown), "{error}");
    assert_eq!(sql("postgres", "SELECT count(*) FROM t").trim(), "1", "it is applied");
}

/// A transaction whose commit never arrives and whose records a crash loses; whether its
/// number is then given to others, or the server has not come that far when it is asked.
async fn lost_by_a_crash(taken: bool) -> Error {
    let runtime = Runtime::locate_or_install(&|_| {}).unwrap();
    let mut cluster = Cluster::temporary(&runtime, Profile::Durable).unwrap();
    // Nobody but a commit writes to the disk.
    for setting in ["wal_writer_delay = '10s'", "bgwriter_lru_maxpages = 0"] {
        cluster.run_sql("postgres", &format!("ALTER SYSTEM SET {setting}")).unwrap();
    }
    cluster.run_sql("postgres", "SELECT pg_reload_conf()").unwrap();
    cluster.run_sql("postgres", "CREATE TABLE t (a int)").unwrap();
    let (relay, pool) = relayed(&cluster.url("postgres")).await;
    let mut session = pool.acquire().await.unwrap();
    let resolving = TransactionOptions::default().resolve_lost_commit();
    let mut transaction = session.begin(&resolving).await.unwrap();
    transaction.execute(INSERT, &[]).await.unwrap();
    let number: String =
        transaction.fetch_value("SELECT pg_current_xact_id()::text", &[]).await.unwrap();
    let number: u64 = number.parse().unwrap();
    let before = relay.accepted();
    relay.cut_before("COMMIT");
    relay.refuse(true);
    let (committed, cluster) = join(transaction.commit(), async {
        while relay.accepted() == before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        cluster.kill().unwrap();
        cluster.start().unwrap();
        let next = "SELECT pg_snapshot_xmax(pg_current_snapshot())";
        let next: u64 = cluster.run_sql("postgres", next).unwrap().trim().parse().unwrap();
        assert!(next <= number, "the crash did not lose the number {number}: {next}");
        if taken {
            for _ in next..=number {
                cluster.run_sql("postgres", "SELECT pg_current_xact_id()").unwrap();
            }
            // Whoever trusts the number is told that the lost transaction is committed.
            let naive = format!("SELECT pg_xact_status('{number}'::xid8)");
            assert_eq!(cluster.run_sql("postgres", &naive).unwrap().trim(), "committed");
        }
        relay.refuse(false);
        cluster
    })
    .await;
    let rows = cluster.run_sql("postgres", "SELECT count(*) FROM t").unwrap();
    assert_eq!(rows.trim(), "0", "it is not applied");
    committed.unwrap_err()
}

#[tokio::test]
async fn a_number_that_a_crash_gave_to_another_proves_nothing() {
    let error = lost_by_a_crash(true).await;
    assert_eq!((error.class(), error.outcome()), (Class::Lost, Outcome::Unknown), "{error}");
}

#[tokio::test]
async fn a_number_that_a_crash_has_taken_back_was_not_applied() {
    let error = lost_by_a_crash(false).await;
    assert_eq!((error.class(), error.outcome()), (Class::Lost, Outcome::NotApplied), "{error}");
}
