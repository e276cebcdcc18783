//! Sessions on a real server: whatever a caller leaves behind, the next one gets
//! a clean session.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use pg_session::tokio_postgres::types::{ToSql, Type};
use pg_session::{
    Class, Config, Error, Executor, Outcome, PoolOptions, TransactionOptions, connect,
};
use support::{bench, options};

/// A call given up after a moment, before its end.
async fn give_up<T>(call: impl Future<Output = T>) {
    let given_up = tokio::time::timeout(Duration::from_millis(500), call).await;
    assert!(given_up.is_err(), "the call ended before it was given up");
}

#[tokio::test]
async fn a_query_given_up_is_stopped_and_never_meets_the_next_caller() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;

    // The driver alone leaves the query running, and the next one waits behind it.
    let naive = connect(&Config::from_url(bench.database.url()).unwrap().application_name("naive"))
        .await
        .unwrap();
    give_up(naive.execute("SELECT pg_sleep(30)", &[])).await;
    let running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'naive' AND state = 'active'";
    assert_eq!(bench.value(running).await, 1);

    let mut session = bench.pool.acquire().await.unwrap();
    give_up(session.execute("SELECT pg_sleep(30)", &[])).await;
    // Also while the caller still holds the session.
    bench.until_sessions("state = 'active'", 0).await;
    let error = session.fetch("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(error, Error::SessionClosed), "{error}");
    drop(session);
    for _ in 0..20 {
        let mut session = bench.pool.acquire().await.unwrap();
        assert_eq!(session.fetch_value::<i32>("SELECT 7", &[]).await.unwrap(), 7);
    }
    assert_eq!(bench.pool.status().quarantined, 1);
}

#[tokio::test]
async fn transactions_given_up_at_any_await_leave_nothing() {
    let bench = bench(PoolOptions { max: 2, ..options() }).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let work = async |micros: u64| {
        let limit = Duration::from_micros(micros);
        let _ = tokio::time::timeout(limit, async {
            let mut session = bench.pool.acquire().await.unwrap();
            let mut transaction = session.begin(&TransactionOptions::default()).await.unwrap();
            transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
            transaction.execute("SELECT pg_sleep(0.002)", &[]).await.unwrap();
            transaction.rollback().await.unwrap();
        })
        .await;
    };
    for step in 0..60 {
        work(step * 100).await;
    }
    bench.until_returned().await;
    bench.until_sessions("state <> 'idle'", 0).await;
    let mut one = bench.pool.acquire().await.unwrap();
    let mut two = bench.pool.acquire().await.unwrap();
    for session in [&mut one, &mut two] {
        let xid = "SELECT pg_current_xact_id_if_assigned()::text";
        assert_eq!(session.fetch_value::<Option<String>>(xid, &[]).await.unwrap(), None);
    }
    assert_eq!(bench.value("SELECT count(*) FROM t").await, 0);
    bench.until_at_most(2).await;
}

#[tokio::test]
async fn what_outlives_a_transaction_is_undone_at_the_return() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    session.execute("SET search_path = elsewhere", &[]).await.unwrap();
    session.execute("SELECT pg_advisory_lock(42)", &[]).await.unwrap();
    session.execute("SET ROLE pg_monitor", &[]).await.unwrap();
    session.batch("CREATE TEMP TABLE leftover (); LISTEN x").await.unwrap();
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    for (question, clean) in [
        ("SELECT current_user <> session_user", false),
        ("SELECT current_setting('search_path') = 'elsewhere'", false),
        ("SELECT to_regclass('leftover') IS NOT NULL", false),
        (
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())",
            false,
        ),
        ("SELECT EXISTS (SELECT pg_listening_channels())", false),
        // What the pool itself set is still there.
        ("SELECT current_setting('jit') = 'off'", true),
        ("SELECT current_setting('statement_timeout') = '10s'", true),
    ] {
        assert_eq!(session.fetch_value::<bool>(question, &[]).await.unwrap(), clean, "{question}");
    }
    assert_eq!(bench.pool.status().opened, 1, "reset, not replaced");
}

#[tokio::test]
async fn a_batch_that_begins_or_ends_a_transaction_is_found_out() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    for sql in [
        "BEGIN",
        "BEGIN; INSERT INTO t VALUES (1)",
        "BEGIN; SELECT 1 / 0",
        "SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; BEGIN",
    ] {
        let mut session = bench.pool.acquire().await.unwrap();
        let error = session.batch(sql).await.unwrap_err();
        assert!(matches!(error, Error::TransactionMisplaced), "{sql}: {error}");
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
    for sql in ["COMMIT", "ROLLBACK", "ROLLBACK; BEGIN", "SELECT 1; COMMIT; BEGIN"] {
        let mut session = bench.pool.acquire().await.unwrap();
        let mut transaction = session.begin(&TransactionOptions::default()).await.unwrap();
        let error = transaction.batch(sql).await.unwrap_err();
        assert!(matches!(error, Error::TransactionMisplaced), "{sql}: {error}");
        assert!(matches!(transaction.commit().await, Err(Error::SessionClosed)));
    }
    bench.until_returned().await;
    assert_eq!(bench.value("SELECT count(*) FROM t").await, 0);
    bench.until_sessions("state LIKE 'idle in transaction%'", 0).await;

    // Batches that do neither.
    let opened = bench.pool.status().opened;
    let mut session = bench.pool.acquire().await.unwrap();
    session.batch("BEGIN; INSERT INTO t VALUES (1); COMMIT").await.unwrap();
    session.batch("SET timezone = 'Asia/Tokyo'; SELECT 1").await.unwrap();
    assert_eq!(session.batch("SELECT 1; SELECT 1 / 0").await.unwrap_err().class(), Class::Data);
    let mut transaction = session.begin(&TransactionOptions::default()).await.unwrap();
    transaction.batch("SET timezone = 'UTC'; SET datestyle = 'German'").await.unwrap();
    transaction.batch("SAVEPOINT a; INSERT INTO t VALUES (2); RELEASE a").await.unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = session.begin(&TransactionOptions::default()).await.unwrap();
    assert_eq!(transaction.batch("SELECT 1 / 0").await.unwrap_err().class(), Class::Data);
    assert!(matches!(transaction.commit().await, Err(Error::RolledBack)));
    assert_eq!(bench.value("SELECT count(*) FROM t").await, 2);
    assert!(bench.pool.status().opened <= opened + 1);
}

#[tokio::test]
async fn a_transaction_that_is_leaked_does_not_reach_the_next_caller() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let mut session = bench.pool.acquire().await.unwrap();
    let mut transaction = session.begin(&TransactionOptions::default()).await.unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
    std::mem::forget(transaction);
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    let xid = "SELECT pg_current_xact_id_if_assigned()::text";
    assert_eq!(session.fetch_value::<Option<String>>(xid, &[]).await.unwrap(), None);
    assert_eq!(bench.value("SELECT count(*) FROM t").await, 0);
    assert_eq!(bench.pool.status().quarantined, 1);
}

#[tokio::test]
async fn a_connection_known_to_be_gone_takes_no_statement() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let mut session = bench.pool.acquire().await.unwrap();
    let pid: i32 = session.fetch_value("SELECT pg_backend_pid()", &[]).await.unwrap();
    bench.observer.execute("SELECT pg_terminate_backend($1, 5000)", &[&pid]).await.unwrap();
    // The end of the connection is noticed while nothing is asked of it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = session.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Lost { outcome: Outcome::NotApplied, .. }), "{error:?}");
    assert_eq!(error.sqlstate(), Some("57P01"));
}

#[tokio::test]
async fn too_many_parameters_are_refused_before_they_are_sent() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let given = |count: usize| vec![&1_i32 as &(dyn ToSql + Sync); count];
    let sql = |count: usize| {
        let list: Vec<String> = (1..=count).map(|number| format!("${number}")).collect();
        format!("SELECT array_length(ARRAY[{}]::int[], 1)", list.join(","))
    };
    assert_eq!(session.fetch_value::<i32>(&sql(65_535), &given(65_535)).await.unwrap(), 65_535);
    let error = session.fetch(&sql(65_536), &given(65_536)).await.unwrap_err();
    assert!(error.to_string().contains("65535 parameters at most, 65536 were given"), "{error}");
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_command_past_its_deadline_is_stopped_by_the_server() {
    let bench = bench(PoolOptions { command_timeout: Duration::from_secs(1), ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let error = session.execute("SELECT pg_sleep(30)", &[]).await.unwrap_err();
    assert_eq!((error.class(), error.sqlstate()), (Class::Timeout, Some("57014")), "{error}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    // The server answered, so the session is fit for use.
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
    assert_eq!(bench.pool.status().quarantined, 0);
}

#[tokio::test]
async fn a_lost_connection_names_the_servers_last_words() {
    let bench = bench(options()).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let pid: i32 = session.fetch_value("SELECT pg_backend_pid()", &[]).await.unwrap();
    let (error, ended) = tokio::join!(session.execute("SELECT pg_sleep(30)", &[]), async {
        bench.until_sessions("wait_event = 'PgSleep'", 1).await;
        bench.observer.execute("SELECT pg_terminate_backend($1)", &[&pid]).await
    });
    ended.unwrap();
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Lost { outcome: Outcome::Unknown, .. }), "{error:?}");
    assert_eq!(error.sqlstate(), Some("57P01"));
    assert!(matches!(session.fetch("SELECT 1", &[]).await, Err(Error::SessionClosed)));
}

#[tokio::test]
async fn rows_are_counted_as_asked() {
    let bench = bench(options()).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let sql = "SELECT g FROM generate_series(1, $1::int) g";
    assert_eq!(session.fetch(sql, &[&3]).await.unwrap().len(), 3);
    assert!(session.fetch_opt(sql, &[&0]).await.unwrap().is_none());
    assert_eq!(session.fetch_value::<i32>(sql, &[&1]).await.unwrap(), 1);
    let error = session.fetch_one(sql, &[&0]).await.unwrap_err();
    assert_eq!(error.to_string(), "expected one row, found none");
    let error = session.fetch_one(sql, &[&1000]).await.unwrap_err();
    assert_eq!(error.to_string(), "expected one row, found several");
    let error = session.fetch_value::<String>(sql, &[&1]).await.unwrap_err();
    assert!(matches!(error, Error::Client(_)), "{error:?}");
    let error = session.fetch(sql, &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "the statement takes 1 parameters and was given 0");
    let error = session.fetch(sql, &[&"text"]).await.unwrap_err();
    assert!(matches!(error, Error::Client(_)), "{error:?}");
    assert_eq!(session.execute(sql, &[&5]).await.unwrap(), 5);
    assert_eq!(bench.pool.status().quarantined, 0, "none of these spoils the session");
}

#[tokio::test]
async fn a_stream_gives_rows_as_they_come_and_stops_when_dropped() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let mut rows = session.stream("SELECT generate_series(1, 500)", &[]).await.unwrap();
    let mut sum = 0;
    while let Some(row) = rows.next().await.unwrap() {
        sum += row.get::<_, i32>(0);
    }
    assert!(rows.next().await.unwrap().is_none());
    drop(rows);
    assert_eq!(sum, 500 * 501 / 2);
    let mut rows = session.stream("SELECT generate_series(1, 100000000)", &[]).await.unwrap();
    rows.next().await.unwrap().unwrap();
    drop(rows);
    drop(session);
    bench.until_sessions("state = 'active'", 0).await;
    let mut session = bench.pool.acquire().await.unwrap();
    let mut rows =
        session.stream("SELECT 1 / (3 - g) FROM generate_series(1, 5) g", &[]).await.unwrap();
    let error = loop {
        match rows.next().await {
            Ok(row) => assert!(row.is_some(), "the error must come before the end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.class(), Class::Data);
    drop(rows);
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn copy_stores_and_gives_back() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    bench.observer.batch_execute("CREATE TABLE t (a int CHECK (a < 100), b text)").await.unwrap();
    let mut session = bench.pool.acquire().await.unwrap();
    let mut copy = session.copy_in("COPY t FROM STDIN").await.unwrap();
    copy.send(Bytes::from_static(b"1\tone\n2\t")).await.unwrap();
    copy.send(Bytes::from_static(b"two\n")).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 2);
    let types = [Type::INT4, Type::TEXT];
    let sql = "COPY t FROM STDIN (FORMAT binary)";
    let mut copy = session.copy_in_binary(sql, &types).await.unwrap();
    for a in 3..=50 {
        copy.write(&[&a, &"x"]).await.unwrap();
    }
    assert_eq!(copy.finish().await.unwrap(), 48);
    let mut out = session.copy_out("COPY t TO STDOUT").await.unwrap();
    let mut text = Vec::new();
    while let Some(piece) = out.next().await.unwrap() {
        text.extend_from_slice(&piece);
    }
    drop(out);
    assert!(text.starts_with(b"1\tone\n2\ttwo\n3\tx\n"));
    assert_eq!(bench.pool.status().opened, 1);
}

#[tokio::test]
async fn a_copy_that_fails_or_is_dropped_stores_nothing() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    bench
        .observer
        .batch_execute("CREATE TABLE t (a int CONSTRAINT small CHECK (a < 10))")
        .await
        .unwrap();
    let sql = "COPY t FROM STDIN (FORMAT binary)";
    // A row that the server refuses.
    let mut session = bench.pool.acquire().await.unwrap();
    let mut copy = session.copy_in_binary(sql, &[Type::INT4]).await.unwrap();
    let mut refusal = None;
    for a in 0..100_000 {
        if let Err(error) = copy.write(&[&a]).await {
            refusal = Some(error);
            break;
        }
    }
    let error = match refusal {
        Some(error) => error,
        None => copy.finish().await.unwrap_err(),
    };
    assert_eq!(error.server().and_then(|e| e.constraint()), Some("small"), "{error}");
    drop(session);
    // A statement that the server refuses.
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(
        session.copy_in("COPY nothing FROM STDIN").await.err().unwrap().class(),
        Class::Drift
    );
    drop(session);
    // A COPY given up half-way.
    let mut session = bench.pool.acquire().await.unwrap();
    let mut copy = session.copy_in_binary(sql, &[Type::INT4]).await.unwrap();
    copy.write(&[&1]).await.unwrap();
    drop(copy);
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<i64>("SELECT count(*) FROM t", &[]).await.unwrap(), 0);
    bench.until_sessions("state = 'active'", 0).await;
}

#[tokio::test]
async fn stale_statements_heal_once_on_all_connections() {
    let bench = bench(PoolOptions { max: 2, ..options() }).await;
    bench
        .observer
        .batch_execute("SET lc_messages = 'C'; CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let naive = connect(&Config::from_url(bench.database.url()).unwrap()).await.unwrap();
    let statement = naive.prepare("SELECT * FROM t").await.unwrap();
    let mut one = bench.pool.acquire().await.unwrap();
    let mut two = bench.pool.acquire().await.unwrap();
    for session in [&mut one, &mut two] {
        assert_eq!(session.fetch_one("SELECT * FROM t", &[]).await.unwrap().len(), 1);
    }
    bench.observer.batch_execute("ALTER TABLE t ADD b int").await.unwrap();
    assert_eq!(
        Error::from(naive.query(&statement, &[]).await.unwrap_err()).class(),
        Class::StaleStatement,
        "the driver alone fails for ever"
    );
    assert_eq!(one.fetch_one("SELECT * FROM t", &[]).await.unwrap().len(), 2);
    // The other connection has been told: inside a transaction it could not heal.
    let mut transaction = two.begin(&TransactionOptions::default()).await.unwrap();
    assert_eq!(transaction.fetch_one("SELECT * FROM t", &[]).await.unwrap().len(), 2);
    transaction.commit().await.unwrap();
    // The server has lost the statement altogether.
    for sql in ["DEALLOCATE ALL", "DISCARD ALL"] {
        one.batch(sql).await.unwrap();
        assert_eq!(one.fetch_one("SELECT * FROM t", &[]).await.unwrap().len(), 2, "{sql}");
    }
}

#[tokio::test]
async fn prepared_statements_are_bounded() {
    let bench = bench(PoolOptions { max: 1, statements: 8, ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    for number in 0..100 {
        let sql = format!("SELECT {number}");
        assert_eq!(session.fetch_value::<i32>(&sql, &[]).await.unwrap(), number);
    }
    let sql = "SELECT count(*) FROM pg_prepared_statements";
    assert!(session.fetch_value::<i64>(sql, &[]).await.unwrap() <= 9);
}

/// What the driver says of an answer, or of none, in the words of this crate.
#[tokio::test]
async fn errors_of_a_plain_client_are_told_apart() {
    let bench = bench(options()).await;
    let client = connect(&Config::from_url(bench.database.url()).unwrap()).await.unwrap();
    let error = Error::from(client.query_one("SELECT 1 WHERE false", &[]).await.unwrap_err());
    assert!(matches!(&error, Error::Client(text) if text.contains("number of rows")), "{error}");
    let error = Error::from(client.simple_query("SELECT '\0'").await.unwrap_err());
    assert!(matches!(&error, Error::Client(text) if text.contains("null")), "{error}");
    let error = Error::from(client.simple_query("SELECT 1 / 0").await.unwrap_err());
    assert_eq!(
        (error.class(), error.server().unwrap().message()),
        (Class::Data, "division by zero")
    );
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    bench.observer.execute("SELECT pg_terminate_backend($1, 5000)", &[&pid]).await.unwrap();
    while !client.is_closed() {
        tokio::task::yield_now().await;
    }
    let error = Error::from(client.simple_query("SELECT 1").await.unwrap_err());
    assert!(matches!(error, Error::Lost { outcome: Outcome::Unknown, cause: None }), "{error:?}");
}

/// What the server sends unasked is no answer to anything.
#[tokio::test]
async fn a_notification_goes_by() {
    let bench = bench(options()).await;
    let mut session = bench.pool.acquire().await.unwrap();
    session.batch("LISTEN a; NOTIFY a, 'b'").await.unwrap();
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
    let executor: &Executor = &session;
    let _ = executor;
}

#[tokio::test]
async fn a_copy_that_ends_half_way() {
    let bench = bench(options()).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let end = async || {
        let sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                   WHERE application_name = 'pooled' AND datname = current_database()";
        bench.observer.batch_execute(sql).await.unwrap();
    };

    let mut session = bench.pool.acquire().await.unwrap();
    let mut copy = session.copy_in("COPY t FROM STDIN").await.unwrap();
    let chunk = Bytes::from("0\n".repeat(10_000));
    copy.send(chunk.clone()).await.unwrap();
    end().await;
    let error = loop {
        if let Err(error) = copy.send(chunk.clone()).await {
            break error;
        }
    };
    assert_eq!(error.class(), Class::Lost, "{error}");
    drop(copy);

    let mut session = bench.pool.acquire().await.unwrap();
    let binary = "COPY t FROM STDIN (FORMAT binary)";
    let mut copy = session.copy_in_binary(binary, &[Type::INT4]).await.unwrap();
    copy.write(&[&0_i32]).await.unwrap();
    end().await;
    let error = loop {
        if let Err(error) = copy.write(&[&0_i32]).await {
            break error;
        }
    };
    assert_eq!(error.class(), Class::Lost, "{error}");
    drop(copy);

    // A value that does not fit is refused here.
    let mut session = bench.pool.acquire().await.unwrap();
    let mut copy = session.copy_in_binary(binary, &[Type::INT4]).await.unwrap();
    let error = copy.write(&[&"text"]).await.unwrap_err();
    assert_eq!(error.class(), Class::Bug, "{error}");
    drop(copy);

    let mut session = bench.pool.acquire().await.unwrap();
    let error = session.copy_out("COPY missing TO STDOUT").await.err().unwrap();
    assert_eq!((error.class(), error.sqlstate()), (Class::Drift, Some("42P01")), "{error}");
    assert_eq!(bench.value("SELECT count(*) FROM t").await, 0);
}
