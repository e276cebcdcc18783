//! Reads that share connections: each caller gets its own answer, whatever its
//! neighbours do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use pg_session::tokio_postgres::types::ToSql;
use pg_session::{
    AcquireFailure, Class, Config, Error, Outcome, Pool, PoolOptions, Reader, ReaderOptions,
    connect,
};
use support::relay::Relay;
use support::{Bench, Random, bench, give_up_after, options};

const ONE: ReaderOptions = ReaderOptions { connections: 1, row_limit: 10_000, target: None };

async fn bench_and_reader(options: ReaderOptions) -> (Bench, Reader) {
    let bench = bench(PoolOptions { min: 0, ..support::options() }).await;
    let reader = bench.pool.reader(options).unwrap();
    (bench, reader)
}

/// The server process behind the reader's only connection.
async fn process(reader: &Reader) -> i32 {
    reader.fetch_value("SELECT pg_backend_pid()", &[]).await.unwrap()
}

async fn until_quiet(reader: &Reader) {
    while reader.status().reads > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_reads_share_few_connections() {
    let (bench, reader) =
        bench_and_reader(ReaderOptions { connections: 2, ..ReaderOptions::default() }).await;
    let callers = (0..50_i32).map(|number| {
        let reader = reader.clone();
        tokio::spawn(async move {
            for round in 0..40_i32 {
                let sql =
                    "SELECT $1::int, $2::text, $3::float8 FROM generate_series(1, 1 + $1 % 3)";
                let text = (number % 2 == 0).then(|| round.to_string());
                let rows = reader.fetch(sql, &[&number, &text, &f64::from(round)]).await.unwrap();
                assert_eq!(rows.len(), usize::try_from(1 + number % 3).unwrap());
                for row in rows {
                    assert_eq!(row.get::<_, i32>(0), number);
                    assert_eq!(row.get::<_, Option<String>>(1), text);
                    assert!((row.get::<_, f64>(2) - f64::from(round)).abs() < f64::EPSILON);
                }
            }
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }
    until_quiet(&reader).await;
    assert_eq!(reader.status().waiting, 0);
    bench.until_sessions("true", 2).await;
}

#[tokio::test]
async fn a_caller_who_does_not_look_at_its_answer_holds_up_no_one() {
    let (bench, reader) = bench_and_reader(ONE).await;
    let large = "SELECT repeat('x', 1000) FROM generate_series(1, 9000)";

    // The driver alone waits for the one who does not look.
    let naive = connect(&Config::from_url(bench.database.url()).unwrap()).await.unwrap();
    let rows = naive.query_raw::<_, i32, _>(large, []).await.unwrap();
    let mut rows = std::pin::pin!(rows);
    rows.next().await.unwrap().unwrap();
    let neighbour = naive.query_one("SELECT 1", &[]);
    assert!(tokio::time::timeout(Duration::from_millis(300), neighbour).await.is_err());

    // Asked and under way, then not polled again until the others have their answers.
    let mut asked = Box::pin(reader.fetch(large, &[]));
    assert!(asked.as_mut().now_or_never().is_none());
    while reader.status().reads == 0 {
        assert!(asked.as_mut().now_or_never().is_none());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for number in 0..100_i32 {
        assert_eq!(reader.fetch_value::<i32>("SELECT $1::int", &[&number]).await.unwrap(), number);
    }
    assert_eq!(asked.await.unwrap().len(), 9000);
}

#[tokio::test]
async fn a_caller_who_gives_up_cancels_no_one() {
    let (bench, reader) = bench_and_reader(ONE).await;
    let process_before = process(&reader).await;
    let slow = reader.fetch("SELECT pg_sleep(2)", &[]);
    let (given_up, neighbours) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(100), slow),
        join_all((0..10_i32).map(|number| {
            let reader = &reader;
            async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                reader.fetch_value::<i32>("SELECT $1::int", &[&number]).await
            }
        }))
    );
    assert!(given_up.is_err());
    for (number, neighbour) in neighbours.into_iter().enumerate() {
        assert_eq!(neighbour.unwrap(), i32::try_from(number).unwrap());
    }
    assert_eq!(process(&reader).await, process_before, "nothing was closed");
    until_quiet(&reader).await;
    bench.until_sessions("state = 'active'", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_given_up_at_random_leave_no_trace() {
    const SEED: u64 = 0x5eed_0004;
    let (bench, reader) = bench_and_reader(ONE).await;
    let process_before = process(&reader).await;
    let callers = (0..8_u64).map(|caller| {
        let reader = reader.clone();
        tokio::spawn(async move {
            let mut random = Random(SEED + caller);
            let mut answered = 0;
            for round in 0..60_i64 {
                let sql = match random.below(4) {
                    0 => "SELECT $1::bigint, pg_sleep(0.002)",
                    1 => "SELECT $1::bigint FROM generate_series(1, 3000)",
                    2 => "SELECT 1 / ($1::bigint - $1), 1",
                    _ => "SELECT $1::bigint",
                };
                let tag = i64::try_from(caller).unwrap() * 1000 + round;
                let params: [&(dyn ToSql + Sync); 1] = [&tag];
                let read = reader.fetch(sql, &params);
                let polls = 1 + u32::try_from(random.below(6)).unwrap();
                match give_up_after(polls, read).await {
                    Some(Ok(rows)) => {
                        assert!(rows.iter().all(|row| row.get::<_, i64>(0) == tag));
                        answered += 1;
                    }
                    Some(Err(error)) => assert_eq!(error.class(), Class::Data, "{error}"),
                    None => {}
                }
            }
            answered
        })
    });
    let answered: i32 = join_all(callers).await.into_iter().map(Result::unwrap).sum();
    assert!(answered > 0 && answered < 480, "{answered} answered");
    until_quiet(&reader).await;
    assert_eq!(process(&reader).await, process_before, "nothing was closed");
    bench.until_sessions("true", 1).await;
}

/// However much the other one has to do.
#[tokio::test]
async fn reads_keep_away_from_a_line_that_owes_an_answer() {
    let (bench, reader) = bench_and_reader(ReaderOptions { connections: 2, ..ONE }).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let blocker = connect(&Config::from_url(bench.database.url()).unwrap()).await.unwrap();
    while reader.status().connections < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut kept_away = false;
    // A machine that stops this test for long makes the other line look stuck as well.
    for _ in 0..5 {
        blocker.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
        let waiting = reader.clone();
        let waiting = tokio::spawn(async move { waiting.fetch("SELECT a FROM t", &[]).await });
        bench.until_sessions("wait_event_type = 'Lock'", 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let others = join_all((0..8_i32).map(|number| {
            let reader = &reader;
            async move { reader.fetch_value::<i32>("SELECT $1::int", &[&number]).await }
        }));
        let answered = tokio::time::timeout(Duration::from_secs(5), others).await;
        blocker.batch_execute("COMMIT").await.unwrap();
        waiting.await.unwrap().unwrap();
        if let Ok(answers) = answered {
            for (number, answer) in answers.into_iter().enumerate() {
                assert_eq!(answer.unwrap(), i32::try_from(number).unwrap());
            }
            kept_away = true;
            break;
        }
    }
    assert!(kept_away);
}

#[tokio::test]
async fn only_reads_may_share() {
    let (bench, reader) = bench_and_reader(ONE).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    for sql in ["INSERT INTO t VALUES (1)", "WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x"]
    {
        let error = reader.fetch(sql, &[]).await.unwrap_err();
        assert!(matches!(error, Error::ReadOnly(_)), "{error:?}");
    }
    for sql in ["SET jit = on", "BEGIN", "SELECT pg_advisory_lock(1)", "CREATE TABLE u ()"] {
        let error = reader.fetch(sql, &[]).await.unwrap_err();
        assert!(error.to_string().contains("run this in a session"), "{error}");
    }
    for (params, complaint) in [
        (vec![], "the statement takes 1 parameters and was given 0"),
        (vec![&"text" as &(dyn ToSql + Sync)], "parameter $1: "),
    ] {
        let error = reader.fetch("SELECT $1::int", &params).await.unwrap_err();
        assert!(matches!(error, Error::Client(_)) && error.to_string().contains(complaint));
    }
    assert_eq!(reader.status().connections, 1);
}

#[tokio::test]
async fn answers_are_counted_and_bounded() {
    let (_bench, reader) = bench_and_reader(ReaderOptions { row_limit: 5, ..ONE }).await;
    let sql = "SELECT generate_series(1, $1::int)";
    assert_eq!(reader.fetch(sql, &[&5]).await.unwrap().len(), 5);
    let error = reader.fetch(sql, &[&6]).await.unwrap_err();
    assert!(matches!(error, Error::TooManyRows { limit: 5 }), "{error}");
    assert!(reader.fetch_opt(sql, &[&0]).await.unwrap().is_none());
    assert_eq!(reader.fetch_value::<i32>(sql, &[&1]).await.unwrap(), 1);
    assert!(matches!(reader.fetch_one(sql, &[&0]).await, Err(Error::RowCount { found: 0 })));
    assert!(matches!(reader.fetch_one(sql, &[&2]).await, Err(Error::RowCount { found: 2 })));
    let error = reader.fetch_value::<String>(sql, &[&1]).await.unwrap_err();
    assert!(matches!(error, Error::Client(_)), "{error}");
}

#[tokio::test]
async fn reads_are_repeated_when_their_connection_is_lost() {
    let (bench, reader) = bench_and_reader(ONE).await;
    for round in 0..5_i32 {
        let params: [&(dyn ToSql + Sync); 1] = [&round];
        let (answer, ()) =
            tokio::join!(reader.fetch_opt("SELECT $1::int FROM pg_sleep(0.2)", &params), async {
                bench.until_sessions("wait_event = 'PgSleep'", 1).await;
                let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                           WHERE application_name = 'pooled' AND datname = current_database()";
                bench.observer.batch_execute(end).await.unwrap();
            });
        assert_eq!(answer.unwrap().unwrap().get::<_, i32>(0), round);
    }
}

#[tokio::test]
async fn reads_that_conflict_are_repeated() {
    let (bench, reader) = bench_and_reader(ONE).await;
    // A lock of the session is what a read may leave behind that a rollback does not undo.
    let conflict = "CREATE VIEW attempts AS SELECT count(*) AS made FROM pg_locks \
                    WHERE locktype = 'advisory' AND objid BETWEEN 1 AND 100 AND database = \
                    (SELECT oid FROM pg_database WHERE datname = current_database()); \
                    CREATE FUNCTION conflict(until bigint) RETURNS bigint LANGUAGE plpgsql AS $$ \
                    DECLARE attempt bigint := (SELECT made + 1 FROM attempts); BEGIN \
                    PERFORM pg_advisory_lock(attempt); \
                    IF attempt < until THEN RAISE SQLSTATE '40P01'; END IF; \
                    RETURN attempt; END $$";
    bench.observer.batch_execute(conflict).await.unwrap();
    let sql = "SELECT conflict($1)";
    assert_eq!(reader.fetch_value::<i64>(sql, &[&5_i64]).await.unwrap(), 5);
    let error = reader.fetch(sql, &[&1_000_i64]).await.unwrap_err();
    assert_eq!((error.class(), error.sqlstate()), (Class::Conflict, Some("40P01")), "{error}");
    assert_eq!(bench.value("SELECT made FROM attempts").await, 5 + 10, "and then no more");
}

#[tokio::test]
async fn reads_under_way_come_to_their_end_when_their_pool_is_closed() {
    let (bench, reader) = bench_and_reader(ReaderOptions { connections: 2, ..ONE }).await;
    bench.observer.batch_execute("CREATE TABLE t (a int)").await.unwrap();
    let blocker = connect(&Config::from_url(bench.database.url()).unwrap()).await.unwrap();
    let until_lines = async |is_so: fn(usize) -> bool| {
        while !is_so(reader.status().connections) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until_lines(|lines| lines == 2).await;
    blocker.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
    let waiting = reader.clone();
    let waiting = tokio::spawn(async move { waiting.fetch("SELECT a FROM t", &[]).await });
    bench.until_sessions("wait_event_type = 'Lock'", 1).await;
    bench.pool.close();
    // The line without a read ends.
    until_lines(|lines| lines < 2).await;
    assert_eq!(reader.status().reads, 1);
    blocker.batch_execute("COMMIT").await.unwrap();
    waiting.await.unwrap().unwrap();
    until_lines(|lines| lines == 0).await;
}

#[tokio::test]
async fn a_pool_that_closes_ends_the_connections_of_its_readers() {
    let (bench, reader) = bench_and_reader(ONE).await;
    process(&reader).await;
    bench.until_sessions("true", 1).await;
    bench.pool.close();
    bench.until_sessions("true", 0).await;
    assert_eq!(reader.status().connections, 0);
}

#[tokio::test]
async fn stale_statements_heal() {
    let (bench, reader) = bench_and_reader(ONE).await;
    let sql = "SELECT * FROM t";
    bench.observer.batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(reader.fetch_one(sql, &[]).await.unwrap().len(), 1);
    for columns in 2..5 {
        let change = format!("ALTER TABLE t ADD c{columns} int");
        bench.observer.batch_execute(&change).await.unwrap();
        assert_eq!(reader.fetch_one(sql, &[]).await.unwrap().len(), columns);
    }
    bench.observer.batch_execute("DROP TABLE t").await.unwrap();
    assert_eq!(reader.fetch(sql, &[]).await.unwrap_err().class(), Class::Drift);
}

#[tokio::test]
async fn a_read_past_its_deadline_is_ended_by_the_server() {
    let limits = PoolOptions { min: 0, command_timeout: Duration::from_secs(1), ..options() };
    let bench = bench(limits).await;
    let reader = bench.pool.reader(ONE).unwrap();
    let process_before = process(&reader).await;
    let error = reader.fetch("SELECT pg_sleep(30)", &[]).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("57014"), "{error}");
    assert_eq!(process(&reader).await, process_before);
}

#[tokio::test]
async fn a_connection_without_answers_is_replaced() {
    let bench = bench(options()).await;
    let relay = Relay::to(bench.database.url()).await;
    let limits = PoolOptions { min: 0, command_timeout: Duration::from_secs(1), ..options() };
    let pool = Pool::open(Config::from_url(relay.url()).unwrap(), limits).await.unwrap();
    let reader = pool.reader(ONE).unwrap();
    let process_before = process(&reader).await;
    relay.mute(true);
    let error = reader.fetch("SELECT pg_backend_pid()", &[]).await.unwrap_err();
    assert!(matches!(error, Error::Deadline { outcome: Outcome::NotApplied, .. }), "{error:?}");
    relay.mute(false);
    assert_ne!(process(&reader).await, process_before);
    assert_eq!(reader.status().connections, 1);
}

#[tokio::test]
async fn a_reader_without_server_says_why() {
    let bench = bench(options()).await;
    let relay = Relay::to(bench.database.url()).await;
    relay.refuse(true);
    let limits = PoolOptions { min: 0, acquire_timeout: Duration::from_secs(1), ..options() };
    let config = Config::from_url(relay.url()).unwrap();
    let pool = Pool::open(config.clone(), limits.clone()).await.unwrap();
    let reader = pool.reader(ONE).unwrap();
    let failure = async |reader: &Reader| match reader.fetch("SELECT 1", &[]).await {
        Err(Error::Acquire(error)) => error,
        other => panic!("{other:?}"),
    };
    let error = failure(&reader).await;
    assert_eq!(error.failure, AcquireFailure::Connect);
    assert_eq!(error.last_connect_error.as_ref().unwrap().class(), Class::Connect, "{error}");
    relay.refuse(false);
    // It goes on trying by itself.
    while failure_or_answer(&reader).await.is_err() {}
    pool.close();
    assert_eq!(failure(&reader).await.failure, AcquireFailure::Closed);

    let wrong = config.with_dbname("no such");
    let pool = Pool::open(wrong, limits).await.unwrap();
    let error = failure(&pool.reader(ONE).unwrap()).await;
    assert_eq!(error.last_connect_error.as_ref().unwrap().class(), Class::DatabaseMissing);
    for options in [ReaderOptions { connections: 0, ..ONE }, ReaderOptions { row_limit: 0, ..ONE }]
    {
        let error = pool.reader(options).err().unwrap();
        assert_eq!(error.class(), Class::Config, "{error}");
    }
}

async fn failure_or_answer(reader: &Reader) -> Result<i32, Error> {
    reader.fetch_value("SELECT 1", &[]).await
}

#[tokio::test]
async fn more_reads_than_seats_wait_their_turn() {
    let limits = PoolOptions { min: 0, acquire_timeout: Duration::from_secs(1), ..options() };
    let bench = bench(limits).await;
    let reader = bench.pool.reader(ONE).unwrap();
    let process_before = process(&reader).await;
    let slow = reader.fetch("SELECT pg_sleep(5)", &[]);
    let crowd = join_all((0..100_i32).map(|number| {
        let (reader, bench) = (&reader, &bench);
        async move {
            bench.until_sessions("wait_event = 'PgSleep'", 1).await;
            reader.fetch_value::<i32>("SELECT $1::int", &[&number]).await
        }
    }));
    let (slow, crowd) = tokio::join!(slow, crowd);
    slow.unwrap();
    let mut refused = 0;
    for (number, result) in crowd.into_iter().enumerate() {
        match result {
            Ok(found) => assert_eq!(found, i32::try_from(number).unwrap()),
            Err(Error::Acquire(error)) => {
                assert_eq!((error.failure, error.max), (AcquireFailure::Exhausted, 64));
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    // The slow read and 63 others had a seat.
    assert_eq!(refused, 37);
    assert_eq!(reader.status().waiting, 0);
    assert_eq!(process(&reader).await, process_before);
}

#[tokio::test]
async fn a_statement_that_the_server_does_not_take_is_the_callers_error() {
    let (_bench, reader) = bench_and_reader(ONE).await;
    let error = reader.fetch("SELECT missing", &[]).await.unwrap_err();
    assert_eq!((error.class(), error.sqlstate()), (Class::Drift, Some("42703")), "{error}");
    assert_eq!(reader.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
}

/// A line that does not answer while a statement is prepared is given up, also when
/// its caller is gone.
#[tokio::test]
async fn a_line_that_does_not_prepare_is_given_up() {
    let bench = bench(PoolOptions { min: 0, ..options() }).await;
    let relay = Relay::to(bench.database.url()).await;
    let limits = PoolOptions {
        min: 0,
        acquire_timeout: Duration::from_secs(2),
        command_timeout: Duration::from_millis(500),
        ..options()
    };
    let pool = Pool::open(Config::from_url(relay.url()).unwrap(), limits).await.unwrap();
    let reader = pool.reader(ONE).unwrap();
    assert_eq!(reader.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
    relay.mute(true);
    let error = reader.fetch("SELECT 2", &[]).await.unwrap_err();
    assert_eq!((error.class(), error.outcome()), (Class::Timeout, Outcome::NotApplied), "{error}");
    while reader.status().reads > 0 || reader.status().connections > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    relay.mute(false);
    // A connection that was asked for meanwhile gets no answer either.
    let mut tries = 0;
    while let Err(error) = reader.fetch("SELECT 2", &[]).await {
        tries += 1;
        assert!(tries < 10, "{error}");
    }
}
