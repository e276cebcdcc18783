//! Every SQLSTATE that a client may meet, raised by a real server in the way in
//! which it comes about, where that can be done here: its class, its outcome, and
//! whether the session is fit for use after it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "sqlstates/servers.rs"]
mod servers;
mod support;

use std::time::Duration;

use futures_util::future::join;
use pg_session::tokio_postgres::types::Type;
use pg_session::{
    Class, Config, Error, Isolation, Outcome, PoolOptions, Session, TransactionOptions, connect,
};
use support::{bench, options};

const SCHEMA: &str = "
    CREATE TABLE parent (a int PRIMARY KEY);
    CREATE TABLE t (
        a int CONSTRAINT t_key UNIQUE,
        b int CONSTRAINT t_check CHECK (b < 10),
        c int CONSTRAINT t_parent REFERENCES parent,
        d varchar(2) NOT NULL DEFAULT 'd',
        e int4range CONSTRAINT t_ranges CHECK (true)
    );
    CREATE TABLE spans (a int4range, CONSTRAINT spans_apart EXCLUDE USING gist (a WITH &&));
    CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY);
    CREATE TABLE wide (a text);
    CREATE INDEX ON wide (a);
    CREATE VIEW seen AS SELECT a FROM t;
    CREATE SEQUENCE steps;
    CREATE TYPE mood AS ENUM ('good');
    CREATE FUNCTION deeper(a int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN deeper(a) + 1; END';
    INSERT INTO t VALUES (1);
    INSERT INTO spans VALUES ('[1,5)');
";

/// What a statement outside a transaction gives, and the class of that.
const STATEMENTS: &[(&str, &str, Class)] = &[
    // The data.
    ("SELECT 1 / (SELECT 0)", "22012", Class::Data),
    ("SELECT (SELECT 3000000000)::int", "22003", Class::Data),
    ("SELECT (SELECT text 'x')::int", "22P02", Class::Data),
    ("SELECT (SELECT text 'sad')::mood", "22P02", Class::Data),
    ("SELECT (SELECT text 'x')::date", "22007", Class::Data),
    ("SELECT (SELECT text '2024-13-01')::date", "22008", Class::Data),
    ("SELECT (SELECT text '99999999999 days')::interval", "22015", Class::Data),
    ("INSERT INTO t (d) VALUES ('too long')", "22001", Class::Data),
    ("SELECT set_config('work_mem', 'x', true)", "22023", Class::Data),
    ("SELECT convert_from('\\xff', 'UTF8')", "22021", Class::Data),
    ("SELECT (SELECT text '\"\\u0000\"')::jsonb", "22P05", Class::Data),
    ("INSERT INTO t (a) VALUES (2), (2) ON CONFLICT (a) DO UPDATE SET b = 1", "21000", Class::Data),
    (
        "INSERT INTO wide SELECT string_agg(md5(g::text), '') FROM generate_series(1, 1000) g",
        "54000",
        Class::Data,
    ),
    ("SELECT deeper(1)", "54001", Class::Data),
    // Constraints.
    ("INSERT INTO t (a) VALUES (1)", "23505", Class::Constraint),
    ("INSERT INTO t (d) VALUES (NULL)", "23502", Class::Constraint),
    ("INSERT INTO t (c) VALUES (7)", "23503", Class::Constraint),
    ("INSERT INTO t (b) VALUES (10)", "23514", Class::Constraint),
    ("INSERT INTO spans VALUES ('[4,6)')", "23P01", Class::Constraint),
    // A schema that is not what the statement expects.
    ("SELECT * FROM missing", "42P01", Class::Drift),
    ("SELECT missing FROM t", "42703", Class::Drift),
    ("SELECT missing()", "42883", Class::Drift),
    ("SELECT 'x'::missing", "42704", Class::Drift),
    ("CREATE TABLE missing.t ()", "3F000", Class::Drift),
    ("SELECT CASE WHEN true THEN 1 ELSE now() END", "42804", Class::Drift),
    ("INSERT INTO t VALUES (3) ON CONFLICT (b) DO NOTHING", "42P10", Class::Drift),
    ("INSERT INTO numbered VALUES (1)", "428C9", Class::Drift),
    ("CREATE TABLE t ()", "42P07", Class::Drift),
    ("CREATE TYPE mood AS ENUM ()", "42710", Class::Drift),
    ("SELECT count(*) FROM t FOR UPDATE", "0A000", Class::Drift),
    ("CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'missing.so'", "58P01", Class::Drift),
    // The program.
    ("SELEC 1", "42601", Class::Bug),
    ("SELECT a FROM t, parent", "42702", Class::Bug),
    ("LOCK TABLE t", "25P01", Class::Bug),
    ("DROP TABLE t", "2BP01", Class::Bug),
    // Settings.
    ("SET missing = 1", "42704", Class::Drift),
    ("SET shared_buffers = '1GB'", "55P02", Class::Other),
    ("SELECT currval('steps')", "55000", Class::Other),
    // A table that another transaction has dropped meanwhile looks like this.
    ("SELECT gin_clean_pending_list(4000000000::oid::regclass)", "XX000", Class::Conflict),
    // What the server's functions raise.
    ("DO $$ BEGIN RAISE 'x'; END $$", "P0001", Class::Raised),
    (
        "DO $$ DECLARE a int; BEGIN SELECT 1 INTO STRICT a WHERE false; END $$",
        "P0002",
        Class::Raised,
    ),
    (
        "DO $$ DECLARE a int; BEGIN SELECT g INTO STRICT a FROM generate_series(1, 2) g; END $$",
        "P0003",
        Class::Raised,
    ),
    ("DO $$ BEGIN ASSERT false; END $$", "P0004", Class::Raised),
];

/// What cannot be brought about here, raised by a function: its class is the same.
const RAISED: &[(&str, Class)] = &[
    ("40002", Class::Constraint),
    ("40000", Class::Conflict),
    ("40P01", Class::Conflict),
    ("53100", Class::Resource),
    ("53200", Class::Resource),
    ("53400", Class::Resource),
    ("58000", Class::ServerFailure),
    ("58030", Class::ServerFailure),
    ("XX000", Class::ServerFailure),
    ("XX001", Class::ServerFailure),
    ("XX002", Class::ServerFailure),
    ("TS001", Class::Drift),
    ("TS003", Class::Drift),
    ("TS101", Class::Drift),
    ("TS110", Class::Drift),
    ("TS500", Class::ServerFailure),
    ("TS503", Class::Drift),
    ("55006", Class::Other),
    ("HV000", Class::Other),
    ("F0000", Class::Other),
    ("01000", Class::Other),
    ("08P01", Class::Bug),
];

async fn assert_fit(session: &mut Session, context: &str) {
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.expect(context), 1, "{context}");
}

fn assert_error(error: &Error, sqlstate: &str, class: Class, context: &str) {
    assert_eq!((error.sqlstate(), error.class()), (Some(sqlstate), class), "{context}: {error:?}");
    // Callers tell them apart by their variants, too.
    let has_its_own = matches!(
        class,
        Class::Constraint
            | Class::Data
            | Class::Conflict
            | Class::Timeout
            | Class::Privilege
            | Class::Drift
            | Class::Resource
            | Class::ReadOnly
    );
    let variant = if has_its_own { format!("{class:?}(") } else { "Server(".to_owned() };
    assert!(format!("{error:?}").starts_with(&variant), "{context}: {error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied, "{context}");
    assert!(error.to_string().contains(sqlstate), "{context}: {error}");
    assert!(error.to_string().chars().count() <= 240, "{context}: {error}");
}

#[tokio::test]
async fn statements_that_the_server_refuses() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    bench.observer.batch_execute(SCHEMA).await.unwrap();
    let mut session = bench.pool.acquire().await.unwrap();
    for (sql, sqlstate, class) in STATEMENTS {
        let error = session.execute(sql, &[]).await.expect_err(sql);
        assert_error(&error, sqlstate, *class, sql);
        assert_fit(&mut session, sql).await;
    }
    for (sql, name) in [
        ("INSERT INTO t (a) VALUES (1)", "t_key"),
        ("INSERT INTO t (b) VALUES (10)", "t_check"),
        ("INSERT INTO t (c) VALUES (7)", "t_parent"),
        ("INSERT INTO spans VALUES ('[4,6)')", "spans_apart"),
    ] {
        let error = session.execute(sql, &[]).await.unwrap_err();
        assert_eq!(error.server().unwrap().constraint(), Some(name));
        assert!(error.to_string().contains(&format!("\"{name}\"")), "{error}");
    }
    let error = session.execute("INSERT INTO t (d) VALUES (NULL)", &[]).await.unwrap_err();
    let report = error.server().unwrap();
    assert_eq!(
        (report.schema(), report.table(), report.column()),
        (Some("public"), Some("t"), Some("d"))
    );
    assert!(report.detail().unwrap().contains("null"), "{report:?}");
    assert!(!error.to_string().contains("Failing row"), "row values stay out: {error}");
    let error = session.execute("SELECT 1 +", &[]).await.unwrap_err();
    assert_eq!(error.server().unwrap().position(), Some(11));
    let error = session.execute("SELECT lenght('a')", &[]).await.unwrap_err();
    assert!(error.server().unwrap().hint().unwrap().starts_with("No function matches"));

    // Limits of a table, a call and a file.
    let columns: Vec<String> = (0..1601).map(|number| format!("c{number} int")).collect();
    let sql = format!("CREATE TABLE many ({})", columns.join(","));
    let error = session.execute(&sql, &[]).await.unwrap_err();
    assert_error(&error, "54011", Class::Data, "columns");
    let sql = format!("SELECT concat({})", vec!["1"; 101].join(","));
    let error = session.execute(&sql, &[]).await.unwrap_err();
    assert_error(&error, "54023", Class::Data, "arguments");
    let error = session
        .batch("SET work_mem = '64kB'; SET temp_file_limit = 64; \
                SELECT count(*) FROM (SELECT md5(g::text) m FROM generate_series(1, 100000) g ORDER BY m) s")
        .await
        .unwrap_err();
    assert_error(&error, "53400", Class::Resource, "temporary files");
    let error = session.batch("SELECT $1").await.unwrap_err();
    assert_error(&error, "42P02", Class::Bug, "parameter without value");
    let mut copy = session.copy_in("COPY t FROM STDIN (FORMAT binary)").await.unwrap();
    copy.send("no such format".into()).await.unwrap();
    let error = copy.finish().await.unwrap_err();
    assert_error(&error, "22P04", Class::Data, "format of COPY");
}

#[tokio::test]
async fn what_functions_raise() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    for (sqlstate, class) in RAISED {
        let sql = format!("DO $$ BEGIN RAISE 'x' USING ERRCODE = '{sqlstate}'; END $$");
        let error = session.execute(&sql, &[]).await.unwrap_err();
        assert_error(&error, sqlstate, *class, sqlstate);
        assert_fit(&mut session, sqlstate).await;
    }
    // Reports of a pooler in between, which ends its connection or does not know.
    for (sqlstate, inside) in [
        ("08000", Outcome::NotApplied),
        ("08006", Outcome::NotApplied),
        ("08007", Outcome::Unknown),
        ("40003", Outcome::Unknown),
    ] {
        let sql = format!("DO $$ BEGIN RAISE 'x' USING ERRCODE = '{sqlstate}'; END $$");
        let error = session.execute(&sql, &[]).await.unwrap_err();
        assert_eq!((error.class(), error.outcome()), (Class::Lost, Outcome::Unknown), "{error:?}");
        let mut transaction = session.begin(&TransactionOptions::default()).await.unwrap();
        let error = transaction.execute(&sql, &[]).await.unwrap_err();
        assert_eq!((error.class(), error.outcome()), (Class::Lost, inside), "{error:?}");
    }
}

#[tokio::test]
async fn transactions_in_each_others_way() {
    let bench = bench(PoolOptions { max: 2, ..options() }).await;
    bench
        .observer
        .batch_execute(
            "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1), (2); \
             CREATE FUNCTION f() RETURNS int RETURN 1",
        )
        .await
        .unwrap();
    let mut one = bench.pool.acquire().await.unwrap();
    let mut two = bench.pool.acquire().await.unwrap();
    let plain = TransactionOptions::default();
    let update = "UPDATE t SET a = a + 10 WHERE a = $1";

    // Locked rows.
    let mut first = one.begin(&plain).await.unwrap();
    first.execute(update, &[&1]).await.unwrap();
    let sql = "SELECT * FROM t WHERE a = 1 FOR UPDATE NOWAIT";
    assert_error(&two.execute(sql, &[]).await.unwrap_err(), "55P03", Class::Conflict, sql);
    two.batch("SET lock_timeout = '50ms'").await.unwrap();
    let error = two.execute(update, &[&1]).await.unwrap_err();
    assert_error(&error, "55P03", Class::Conflict, "lock_timeout");
    two.batch("RESET lock_timeout").await.unwrap();
    first.rollback().await.unwrap();

    // Each waits for the other.
    let mut first = one.begin(&plain).await.unwrap();
    let mut second = two.begin(&plain).await.unwrap();
    first.execute(update, &[&1]).await.unwrap();
    second.execute(update, &[&2]).await.unwrap();
    let (left, right) = join(first.execute(update, &[&2]), second.execute(update, &[&1])).await;
    let error = left.and(right).unwrap_err();
    assert_error(&error, "40P01", Class::Conflict, "deadlock");
    drop(first);
    drop(second);

    // A row that changed after the transaction's first look.
    let mut first = one.begin(&plain.isolation(Isolation::RepeatableRead)).await.unwrap();
    first.fetch("SELECT * FROM t", &[]).await.unwrap();
    bench.observer.batch_execute("UPDATE t SET a = a + 100").await.unwrap();
    let error = first.execute("UPDATE t SET a = a + 1000", &[]).await.unwrap_err();
    assert_error(&error, "40001", Class::Conflict, "row changed");
    drop(first);

    // DDL that another transaction's DDL overtakes.
    let change = "CREATE OR REPLACE FUNCTION f() RETURNS int RETURN 2";
    let mut first = one.begin(&plain).await.unwrap();
    first.execute(change, &[]).await.unwrap();
    let overtaken = async {
        bench.until_sessions("wait_event_type = 'Lock'", 1).await;
        first.commit().await.unwrap();
    };
    let (error, ()) = join(two.execute(change, &[]), overtaken).await;
    assert_error(&error.unwrap_err(), "XX000", Class::Conflict, "catalog row changed");
}

#[tokio::test]
async fn states_of_a_transaction() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    let mut session = bench.pool.acquire().await.unwrap();
    for (options, sql, sqlstate, class) in [
        (TransactionOptions::default(), "VACUUM", "25001", Class::Bug),
        (TransactionOptions::default(), "ROLLBACK TO missing", "3B001", Class::Bug),
        (TransactionOptions::read_only(), "CREATE TABLE t ()", "25006", Class::ReadOnly),
    ] {
        let mut transaction = session.begin(&options).await.unwrap();
        let error = transaction.batch(sql).await.unwrap_err();
        assert_error(&error, sqlstate, class, sql);
        let error = transaction.execute("SELECT 1", &[]).await.unwrap_err();
        assert_error(&error, "25P02", Class::Bug, "after the failure");
        assert!(matches!(transaction.commit().await, Err(Error::RolledBack)));
    }
    let error = session.batch("PREPARE p AS SELECT 1; PREPARE p AS SELECT 1").await.unwrap_err();
    assert_error(&error, "42P05", Class::StaleStatement, "prepared twice");
    let error = session.batch("EXECUTE missing").await.unwrap_err();
    assert_error(&error, "26000", Class::StaleStatement, "not prepared");
}

/// The server ends a session that rests for too long, or a transaction that lasts
/// too long: nothing of it is applied, and the next session is a new one.
#[tokio::test]
async fn sessions_that_the_server_ends() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    for (limit, sqlstate) in
        [("idle_in_transaction_session_timeout", "25P03"), ("transaction_timeout", "25P04")]
    {
        let mut session = bench.pool.acquire().await.unwrap();
        let mut transaction = session.begin(&TransactionOptions::default()).await.unwrap();
        transaction.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
        transaction.batch(&format!("SET {limit} = '50ms'")).await.unwrap();
        bench.until_sessions("true", 0).await;
        let error = transaction.execute("INSERT INTO t VALUES (2)", &[]).await.unwrap_err();
        assert_eq!((error.class(), error.sqlstate()), (Class::Lost, Some(sqlstate)), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotApplied);
    }
    // In the midst of a statement it says so in its answer; on a busy machine it may end before.
    let mut session = bench.pool.acquire().await.unwrap();
    let mut transaction = session.begin(&TransactionOptions::default()).await.unwrap();
    transaction.batch("SET transaction_timeout = '200ms'").await.unwrap();
    let error = transaction.execute("SELECT pg_sleep(60)", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    drop(transaction);
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    session.batch("SET idle_session_timeout = '50ms'").await.unwrap();
    bench.until_sessions("true", 0).await;
    let error = session.execute("INSERT INTO t VALUES (3)", &[]).await.unwrap_err();
    assert!(
        matches!(error, Error::Lost { outcome: Outcome::NotApplied, .. }),
        "nothing was sent: {error:?}"
    );
    assert_eq!(error.sqlstate(), Some("57P05"));
    drop(session);
    let mut session = bench.pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<i64>("SELECT count(*) FROM t", &[]).await.unwrap(), 0);

    // Someone else stops the statement, and the session goes on.
    let pid: i32 = session.fetch_value("SELECT pg_backend_pid()", &[]).await.unwrap();
    let (error, ()) = join(session.execute("SELECT pg_sleep(30)", &[]), async {
        bench.until_sessions("wait_event = 'PgSleep'", 1).await;
        bench.observer.execute("SELECT pg_cancel_backend($1)", &[&pid]).await.unwrap();
    })
    .await;
    assert_error(&error.unwrap_err(), "57014", Class::Timeout, "cancelled");
    assert_fit(&mut session, "cancelled").await;

    // The whole database goes.
    let name = bench.database.name();
    let other = Config::from_url(bench.database.url()).unwrap().with_dbname("postgres");
    let other = connect(&other).await.unwrap();
    let (error, ()) = join(session.execute("SELECT pg_sleep(30)", &[]), async {
        bench.until_sessions("wait_event = 'PgSleep'", 1).await;
        other.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    })
    .await;
    assert_eq!(error.unwrap_err().class(), Class::Lost);
    drop(session);
    let error = Error::from(Box::new(bench.pool.acquire().await.err().unwrap()));
    assert_eq!((error.class(), error.sqlstate()), (Class::DatabaseMissing, Some("3D000")));
}

#[tokio::test]
async fn connections_that_the_server_refuses() {
    let bench = bench(options()).await;
    let config = Config::from_url(bench.database.url()).unwrap();
    let role = format!("{}_login", bench.database.name());
    let database = format!("{}_shut", bench.database.name());
    for sql in [
        format!("CREATE ROLE \"{role}\" NOLOGIN PASSWORD 'p'"),
        format!("CREATE DATABASE \"{database}\" ALLOW_CONNECTIONS false"),
    ] {
        bench.observer.batch_execute(&sql).await.unwrap();
    }
    let refusal = async |config: Config| connect(&config).await.err().unwrap();
    let as_role = config.clone().with_user(&role, Some("p".into()));

    let error = refusal(as_role.clone()).await;
    assert_eq!((error.class(), error.sqlstate()), (Class::Authentication, Some("28000")));
    assert!(error.to_string().contains("may not log in"), "{error}");

    let change = format!("ALTER ROLE \"{role}\" LOGIN CONNECTION LIMIT 0");
    bench.observer.batch_execute(&change).await.unwrap();
    let error = refusal(as_role.clone()).await;
    assert_eq!((error.class(), error.sqlstate()), (Class::Unavailable, Some("53300")), "{error}");

    // Who answers and refuses is not passed over for another server.
    let url = bench.database.url();
    let (head, path) = url.rsplit_once('/').unwrap();
    let two = Config::from_url(&format!("{head},127.0.0.1:1/{path}")).unwrap();
    let error = refusal(two.with_user(&role, Some("p".into()))).await;
    assert_eq!(error.sqlstate(), Some("53300"), "{error}");

    let change = format!("ALTER ROLE \"{role}\" LOGIN CONNECTION LIMIT 9 VALID UNTIL '2001-01-01'");
    bench.observer.batch_execute(&change).await.unwrap();
    let error = refusal(as_role.clone()).await;
    assert_eq!((error.class(), error.sqlstate()), (Class::Authentication, Some("28P01")));

    let shut =
        "ALTER ROLE \"NAME\" VALID UNTIL 'infinity'; REVOKE CONNECT ON DATABASE \"DB\" FROM PUBLIC";
    let sql = shut.replace("NAME", &role).replace("DB", bench.database.name());
    bench.observer.batch_execute(&sql).await.unwrap();
    let error = refusal(as_role).await;
    assert_eq!((error.class(), error.sqlstate()), (Class::Privilege, Some("42501")), "{error}");

    let error = refusal(config.clone().with_dbname(&database)).await;
    assert_eq!((error.class(), error.sqlstate()), (Class::DatabaseMissing, Some("55000")));

    for (name, value, sqlstate) in [
        ("no_such_setting", "1", "42704"),
        ("work_mem", "much", "22023"),
        ("shared_buffers", "1GB", "55P02"),
    ] {
        let error = refusal(config.clone().with_parameter(name, value)).await;
        assert_eq!((error.class(), error.sqlstate()), (Class::Config, Some(sqlstate)), "{error}");
    }
    let drop = format!("DROP DATABASE \"{database}\"");
    bench.observer.batch_execute(&drop).await.unwrap();
    bench.observer.batch_execute(&format!("DROP ROLE \"{role}\"")).await.unwrap();
}

#[tokio::test]
async fn a_role_without_privilege() {
    let bench = bench(PoolOptions { max: 1, ..options() }).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let mut session = bench.pool.acquire().await.unwrap();
    session.execute("SET ROLE pg_monitor", &[]).await.unwrap();
    let error = session.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap_err();
    assert_error(&error, "42501", Class::Privilege, "insert");
    let mut copy = session.copy_in_binary("COPY t FROM STDIN (FORMAT binary)", &[Type::INT4]).await;
    assert!(copy.as_mut().is_err_and(|error| error.class() == Class::Privilege));
    let limit = Duration::from_secs(20);
    let after = tokio::time::timeout(limit, bench.pool.acquire());
    drop(copy);
    drop(session);
    assert_fit(&mut after.await.unwrap().unwrap(), "after the refused copy").await;
}
