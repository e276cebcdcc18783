//! Transactions on a real server: an acknowledged commit is a commit, and what
//! is not committed leaves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use pg_session::{
    Class, Commit, Config, Error, Executor, Isolation, MaybeDatabaseError, Outcome, Pool,
    RetryPolicy, Transaction, TransactionOptions, connect,
};
use support::relay::Relay;
use support::{bench, options, until_returned};

const T: TransactionOptions = TransactionOptions {
    isolation: Isolation::ReadCommitted,
    read_only: false,
    resolve_lost_commit: false,
    command_timeout: None,
};

#[tokio::test]
async fn a_commit_after_a_swallowed_error_is_not_acknowledged() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int PRIMARY KEY)").await.unwrap();

    // The driver's own transaction says that this commit went well.
    let mut naive = connect(&Config::from_url(bench.database.url()).unwrap()).await.unwrap();
    let transaction = naive.transaction().await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap_err();
    assert!(transaction.commit().await.is_ok(), "the driver has learnt to look at the tag");
    assert_eq!(bench.value("SELECT count(*) FROM t").await, 0);

    let mut session = bench.pool.acquire().await.unwrap();
    let mut transaction = session.begin(&T).await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    let error = transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap_err();
    assert_eq!(error.server().unwrap().constraint(), Some("t_pkey"));
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error, Error::RolledBack), "{error}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    // The session is fit for the next transaction.
    let mut transaction = session.begin(&T).await.unwrap();
    transaction.execute("INSERT INTO t VALUES (2)", &[]).await.unwrap();
    assert_eq!(transaction.commit().await.unwrap(), Commit::Applied);
    assert_eq!(bench.value("SELECT count(*) FROM t").await, 1);
}

#[tokio::test]
async fn a_deferred_constraint_fails_the_commit() {
    let bench = bench(options()).await;
    bench
        .observer
        .batch_execute(
            "CREATE TABLE t (a int CONSTRAINT once UNIQUE DEFERRABLE INITIALLY DEFERRED)",
        )
        .await
        .unwrap();
    let mut session = bench.pool.acquire().await.unwrap();
    let mut transaction = session.begin(&T).await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1), (1)", &[]).await.unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.class(), Class::Constraint);
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert_eq!(
        error.to_string(),
        "constraint \"once\" of table \"t\" refused the row (SQLSTATE 23505)"
    );
    assert_eq!(session.fetch_value::<i64>("SELECT count(*) FROM t", &[]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let mut session = bench.pool.acquire().await.unwrap();
    let mut transaction = session.begin(&T).await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    drop(transaction);
    let own =
        session.fetch_value::<Option<String>>("SELECT pg_current_xact_id_if_assigned()::text", &[]);
    assert_eq!(own.await.unwrap(), None);
    let mut transaction = session.begin(&T).await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    transaction.rollback().await.unwrap();
    drop(session);
    bench.until_sessions("state LIKE 'idle in transaction%'", 0).await;
    assert_eq!(bench.value("SELECT count(*) FROM t").await, 0);
}

async fn add(executor: &mut Executor, value: i64) -> Result<u64, Error> {
    executor.execute("INSERT INTO t VALUES ($1)", &[&value]).await
}

#[tokio::test]
async fn savepoints_nest() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a bigint PRIMARY KEY)").await.unwrap();
    let mut session = bench.pool.acquire().await.unwrap();
    let mut outer = session.begin(&T).await.unwrap();
    add(&mut outer, 1).await.unwrap();
    let mut middle = outer.savepoint().await.unwrap();
    add(&mut middle, 2).await.unwrap();
    let mut inner = middle.savepoint().await.unwrap();
    add(&mut inner, 4).await.unwrap();
    // A failed statement spoils the savepoint only.
    assert_eq!(add(&mut inner, 4).await.unwrap_err().class(), Class::Constraint);
    assert!(matches!(inner.commit().await.unwrap_err(), Error::RolledBack));
    add(&mut middle, 8).await.unwrap();
    middle.commit().await.unwrap();
    let mut dropped = outer.savepoint().await.unwrap();
    add(&mut dropped, 16).await.unwrap();
    drop(dropped);
    let mut undone = outer.savepoint().await.unwrap();
    add(&mut undone, 32).await.unwrap();
    undone.rollback().await.unwrap();
    outer.commit().await.unwrap();
    assert_eq!(bench.value("SELECT sum(a)::bigint FROM t").await, 1 + 2 + 8);
}

#[tokio::test]
async fn isolation_and_access_are_as_asked() {
    let bench = bench(options()).await;
    let mut session = bench.pool.acquire().await.unwrap();
    for (isolation, name) in [
        (Isolation::ReadCommitted, "read committed"),
        (Isolation::RepeatableRead, "repeatable read"),
        (Isolation::Serializable, "serializable"),
    ] {
        let mut transaction =
            session.begin(&TransactionOptions::read_only().isolation(isolation)).await.unwrap();
        let shown: String =
            transaction.fetch_value("SHOW transaction_isolation", &[]).await.unwrap();
        assert_eq!(shown, name);
        let error = transaction.execute("CREATE TABLE t ()", &[]).await.unwrap_err();
        assert_eq!(error.class(), Class::ReadOnly, "{error}");
    }
}

#[tokio::test]
async fn a_transaction_can_have_a_command_timeout_of_its_own() {
    let bench = bench(options()).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let short = T.command_timeout(Duration::from_secs(1));
    let mut transaction = session.begin(&short).await.unwrap();
    let error = transaction.execute("SELECT pg_sleep(30)", &[]).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("57014"), "{error}");
    drop(transaction);
    let limit: String =
        session.fetch_value("SELECT current_setting('statement_timeout')", &[]).await.unwrap();
    assert_eq!(limit, "10s");
    let long = T.command_timeout(Duration::from_mins(10));
    let mut transaction = session.begin(&long).await.unwrap();
    let limit: String = transaction.fetch_value("SHOW statement_timeout", &[]).await.unwrap();
    assert_eq!(limit, "10min");
    transaction.commit().await.unwrap();
    assert_eq!(bench.pool.status().opened, 1);
}

#[tokio::test]
async fn transactions_cannot_be_begun_behind_the_session() {
    let bench = bench(options()).await;
    let mut session = bench.pool.acquire().await.unwrap();
    for sql in ["BEGIN", "/* x */ commit", "ROLLBACK"] {
        let error = session.execute(sql, &[]).await.unwrap_err();
        assert!(error.to_string().contains("begin()"), "{error}");
    }
    let mut transaction = session.begin(&T).await.unwrap();
    // Nor twice: what a transaction dereferences to has no begin().
    assert_eq!(transaction.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_connection_lost_before_the_commit_is_not_applied_and_repeated() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let mut session = bench.pool.acquire().await.unwrap();
    let mut transaction = session.begin(&T).await.unwrap();
    let pid: i32 = transaction.fetch_value("SELECT pg_backend_pid()", &[]).await.unwrap();
    bench.observer.execute("SELECT pg_terminate_backend($1, 5000)", &[&pid]).await.unwrap();
    let error = transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Lost { outcome: Outcome::NotApplied, .. }), "{error:?}");
    assert_eq!(error.sqlstate(), Some("57P01"), "the server's last words are kept: {error}");
    assert!(matches!(transaction.commit().await.unwrap_err(), Error::SessionClosed));
    drop(session);

    let killed = std::cell::Cell::new(0);
    let policy = RetryPolicy::default();
    let observer = &bench.observer;
    bench
        .pool
        .transact(&T, &policy, async |transaction| {
            transaction.execute("INSERT INTO t VALUES (1)", &[]).await?;
            if killed.replace(killed.get() + 1) == 0 {
                let pid: i32 = transaction.fetch_value("SELECT pg_backend_pid()", &[]).await?;
                observer.execute("SELECT pg_terminate_backend($1, 5000)", &[&pid]).await.unwrap();
            }
            transaction.execute("INSERT INTO t VALUES (1)", &[]).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(killed.get(), 2);
    assert_eq!(bench.value("SELECT count(*) FROM t").await, 2);
}

#[tokio::test]
async fn conflicts_are_repeated_and_data_errors_are_not() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (0)").await.unwrap();
    let serializable = T.isolation(Isolation::RepeatableRead);
    let policy = RetryPolicy { attempts: 50, ..RetryPolicy::default() };
    let add = || {
        let pool = bench.pool.clone();
        async move {
            pool.transact(&serializable, &policy, async |transaction| {
                let a: i32 = transaction.fetch_value("SELECT a FROM t", &[]).await?;
                transaction.execute("UPDATE t SET a = $1", &[&(a + 1)]).await?;
                Ok::<_, Error>(())
            })
            .await
        }
    };
    // Transactions can be spawned; two that meet repeat one of them.
    let tasks: Vec<_> = (0..6).map(|_| tokio::spawn(add())).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(bench.value("SELECT a::bigint FROM t").await, 6);

    let attempts = std::cell::Cell::new(0);
    let result = bench
        .pool
        .transact(&T, &policy, async |transaction| {
            attempts.set(attempts.get() + 1);
            transaction.fetch_value::<i32>("SELECT 1 / $1::int", &[&0]).await
        })
        .await;
    assert_eq!(result.unwrap_err().class(), Class::Data);
    assert_eq!(attempts.get(), 1);
}

/// The pool's retry budget is ten. It is for a server in trouble, and a conflict is none.
#[tokio::test]
async fn conflicts_are_repeated_beyond_the_retry_budget() {
    let bench = bench(options()).await;
    let policy = RetryPolicy { attempts: 20, pause: Duration::from_millis(1), ..<_>::default() };
    for (code, wanted) in [("40P01", 20), ("40001", 20), ("57P03", 11), ("40P01", 20)] {
        let raise = format!("DO $$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$");
        let attempts = std::cell::Cell::new(0);
        let result = bench
            .pool
            .transact(&T, &policy, async |transaction| {
                attempts.set(attempts.get() + 1);
                transaction.execute(&raise, &[]).await
            })
            .await;
        assert_eq!(result.unwrap_err().sqlstate(), Some(code));
        assert_eq!(attempts.get(), wanted, "{code}");
    }
}

/// A pause that would end after the deadline is not begun.
#[tokio::test]
async fn no_attempt_begins_after_the_deadline() {
    let bench = bench(options()).await;
    let year = Duration::from_hours(24 * 365);
    let deadline = Duration::from_secs(1);
    let policy = RetryPolicy { deadline, pause: year, longest_pause: year, ..<_>::default() };
    let attempts = std::cell::Cell::new(0);
    let result = bench.pool.transact(&T, &policy, async |transaction| {
        attempts.set(attempts.get() + 1);
        transaction.execute("DO $$ BEGIN RAISE deadlock_detected; END $$", &[]).await
    });
    let result = tokio::time::timeout(Duration::from_mins(1), result).await;
    assert_eq!(result.expect("no pause").unwrap_err().class(), Class::Conflict);
    assert_eq!(attempts.get(), 1);
}

/// A commit whose answer never comes: the server waits for a synchronous standby
/// that does not exist. `statement_timeout` does not end that wait.
#[tokio::test]
async fn a_commit_without_answer_is_unknown_and_can_be_resolved() {
    let runtime = pg_local::Runtime::locate_or_install(&|_| {}).unwrap();
    let cluster = pg_local::Cluster::temporary(&runtime, pg_local::Profile::Durable).unwrap();
    let config = Config::from_url(&cluster.url("postgres")).unwrap();
    let observer = connect(&config).await.unwrap();
    observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let limits =
        pg_session::PoolOptions { min: 0, command_timeout: Duration::from_secs(1), ..options() };
    let pool = pg_session::Pool::open(config, limits).await.unwrap();
    observer.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
    observer.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let rows =
        async || -> i64 { observer.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0) };

    let mut session = pool.acquire().await.unwrap();
    let mut transaction = session.begin(&T).await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error, Error::Deadline { outcome: Outcome::Unknown, .. }), "{error}");
    // The cancel request that closed the session ended the wait: applied after all.
    drop(session);
    until_returned(&pool).await;
    assert_eq!(rows().await, 1);

    let mut session = pool.acquire().await.unwrap();
    let mut transaction = session.begin(&T.resolve_lost_commit()).await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    assert_eq!(transaction.commit().await.unwrap(), Commit::Applied);
    assert_eq!(rows().await, 2);
}

/// The server has committed and the client does not hear of it, or the other way
/// round: the error is the same, and the truth is found by asking.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_looked_up() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let relay = Relay::to(bench.database.url()).await;
    let config = Config::from_url(relay.url()).unwrap();
    let pool = Pool::open(config, options()).await.unwrap();
    let rows = || bench.value("SELECT count(*) FROM t");
    let commit = async |options: &TransactionOptions, arrives: bool| {
        let mut session = pool.acquire().await.unwrap();
        let mut transaction = session.begin(options).await.unwrap();
        transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
        if arrives {
            relay.cut_after("; COMMIT");
        } else {
            relay.cut_before("; COMMIT");
        }
        transaction.commit().await
    };
    let mut expected = 0;
    for (options, resolves) in [(T, false), (T.resolve_lost_commit(), true)] {
        for arrives in [true, false] {
            let result = commit(&options, arrives).await;
            expected += i64::from(arrives);
            match result {
                Ok(Commit::Applied) => assert!(resolves && arrives),
                Err(Error::Lost { outcome: Outcome::Unknown, .. }) => assert!(!resolves),
                Err(Error::Lost { outcome: Outcome::NotApplied, .. }) => {
                    assert!(resolves && !arrives);
                }
                other => panic!("arrives: {arrives}, resolves: {resolves}: {other:?}"),
            }
            assert_eq!(rows().await, expected, "arrives: {arrives}, resolves: {resolves}");
        }
    }

    // A transaction that may be applied is not run again; one that is known not to be, is.
    for (options, arrives, runs) in
        [(T, true, 1), (T.resolve_lost_commit(), true, 1), (T.resolve_lost_commit(), false, 2)]
    {
        if arrives {
            relay.cut_after("; COMMIT");
        } else {
            relay.cut_before("; COMMIT");
        }
        let ran = std::cell::Cell::new(0);
        let result = pool
            .transact(&options, &RetryPolicy::default(), async |transaction| {
                ran.set(ran.get() + 1);
                transaction.execute("INSERT INTO t VALUES (1)", &[]).await
            })
            .await;
        assert_eq!(ran.get(), runs);
        assert_eq!(result.is_ok(), options.resolve_lost_commit, "{result:?}");
        expected += 1;
        assert_eq!(rows().await, expected);
    }
}

/// One statement outside a transaction is its own commit.
#[tokio::test]
async fn a_statement_whose_answer_is_lost_is_unknown() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let relay = Relay::to(bench.database.url()).await;
    let pool = Pool::open(Config::from_url(relay.url()).unwrap(), options()).await.unwrap();
    let sql = "INSERT INTO t VALUES ($1)";
    for arrives in [true, false] {
        let mut session = pool.acquire().await.unwrap();
        session.execute("DELETE FROM t", &[]).await.unwrap();
        session.execute(sql, &[&1]).await.unwrap();
        session.execute("DELETE FROM t WHERE a = $1", &[&1]).await.unwrap();
        // The value is what this call alone sends.
        if arrives {
            relay.cut_after("\0\0\u{7}\u{5b}");
        } else {
            relay.cut_before("\0\0\u{7}\u{5b}");
        }
        let error = session.execute(sql, &[&0x75b]).await.unwrap_err();
        assert!(matches!(error, Error::Lost { outcome: Outcome::Unknown, .. }), "{error:?}");
        assert_eq!(bench.value("SELECT count(*) FROM t").await, i64::from(arrives));
    }
}

/// An error of a caller's own, which is not for the pool to judge.
#[derive(Debug)]
enum Own {
    Database(Error),
    Enough,
}

impl From<Error> for Own {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl MaybeDatabaseError for Own {
    fn database_error(&self) -> Option<&Error> {
        match self {
            Self::Database(error) => Some(error),
            Self::Enough => None,
        }
    }
}

#[tokio::test]
async fn an_error_of_the_callers_own_ends_the_attempts() {
    let bench = bench(options()).await;
    let runs = std::cell::Cell::new(0);
    let result = bench
        .pool
        .transact(&T, &RetryPolicy::default(), async |transaction| {
            runs.set(runs.get() + 1);
            transaction.execute("CREATE TABLE t ()", &[]).await?;
            Err::<(), _>(Own::Enough)
        })
        .await;
    assert!(matches!(result, Err(Own::Enough)), "{result:?}");
    assert_eq!(runs.get(), 1);
    assert_eq!(bench.value("SELECT count(*) FROM pg_class WHERE relname = 't'").await, 0);
    let failing = async |transaction: &mut Transaction<'_>| {
        transaction.execute("SELECT 1 / 0", &[]).await?;
        Ok::<_, Own>(())
    };
    let result = bench.pool.transact(&T, &RetryPolicy::default(), failing).await;
    assert!(matches!(result, Err(Own::Database(Error::Data(_)))), "{result:?}");
}

#[tokio::test]
async fn a_transaction_that_was_leaked_is_not_begun_again() {
    let bench = bench(options()).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let mut transaction = session.begin(&T).await.unwrap();
    let executor: &Executor = &transaction;
    let _ = executor;
    transaction.execute("CREATE TABLE t ()", &[]).await.unwrap();
    std::mem::forget(transaction);
    let error = session.begin(&T).await.err().unwrap();
    assert!(error.to_string().contains("open already — use savepoint()"), "{error}");
    drop(session);
    bench.until_returned().await;
    assert_eq!(bench.value("SELECT count(*) FROM pg_class WHERE relname = 't'").await, 0);
}

#[tokio::test]
async fn a_connection_that_is_gone_begins_nothing() {
    let bench = bench(options()).await;
    let end = "SELECT count(*) FROM (SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
               WHERE application_name = 'pooled' AND datname = current_database()) ended";
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(bench.value(end).await, 1);
    let error = session.begin(&T).await.err().unwrap();
    assert_eq!(error.class(), Class::Lost, "{error}");
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    let mut transaction = session.begin(&T).await.unwrap();
    bench.value(end).await;
    let error = transaction.savepoint().await.err().unwrap();
    assert_eq!((error.class(), error.outcome()), (Class::Lost, Outcome::NotApplied), "{error}");
}
