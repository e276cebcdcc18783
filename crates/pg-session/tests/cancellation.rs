//! A call may be given up at any await. Whatever it was doing: no query keeps
//! running, no transaction stays open, no place in the pool is lost, the next
//! caller gets a clean session, and what was acknowledged is there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use pg_session::tokio_postgres::types::Type;
use pg_session::{Error, Pool, PoolOptions, RetryPolicy, TransactionOptions};
use support::{Bench, Random, bench, give_up_after, options};
use tokio::task::yield_now;

const MAX: u32 = 3;

/// What a call can be doing when it is given up. All but `Rollback` store `id`.
#[derive(Debug, Clone, Copy)]
enum Work {
    Statement,
    Stream,
    Commit,
    Rollback,
    Savepoints,
    Transact,
    CopyIn,
    CopyOut,
    Batch,
}

const ALL: [Work; 9] = [
    Work::Statement,
    Work::Stream,
    Work::Commit,
    Work::Rollback,
    Work::Savepoints,
    Work::Transact,
    Work::CopyIn,
    Work::CopyOut,
    Work::Batch,
];

const INSERT: &str = "INSERT INTO t VALUES ($1)";
const SLOW: &str = "SELECT pg_sleep(0.002)";

/// Does the work and says whether it was acknowledged that `id` is stored.
async fn run(pool: &Pool, work: Work, id: i64) -> Result<bool, Error> {
    let options = TransactionOptions::default();
    if let Work::Transact = work {
        let policy = RetryPolicy::default();
        pool.transact(&options, &policy, async |transaction| {
            transaction.execute(INSERT, &[&id]).await?;
            yield_now().await;
            transaction.execute(SLOW, &[]).await
        })
        .await?;
        return Ok(true);
    }
    let mut session = pool.acquire().await.map_err(Box::new)?;
    match work {
        Work::Statement | Work::Transact => {
            session.execute(SLOW, &[]).await?;
            session.execute(INSERT, &[&id]).await?;
        }
        Work::Stream => {
            let sql = "INSERT INTO t SELECT g * $1::bigint FROM generate_series(1, 2000) g WHERE g = 1 RETURNING a";
            let mut rows = session.stream(sql, &[&id]).await?;
            while rows.next().await?.is_some() {}
            drop(rows);
            let mut rows = session.stream("SELECT generate_series(1, 20000)", &[]).await?;
            while rows.next().await?.is_some() {}
        }
        Work::Commit | Work::Rollback => {
            let mut transaction = session.begin(&options).await?;
            yield_now().await;
            transaction.execute(INSERT, &[&id]).await?;
            yield_now().await;
            transaction.execute(SLOW, &[]).await?;
            if matches!(work, Work::Rollback) {
                transaction.rollback().await?;
                return Ok(false);
            }
            transaction.commit().await?;
        }
        Work::Savepoints => {
            let mut transaction = session.begin(&options).await?;
            let mut outer = transaction.savepoint().await?;
            outer.execute(INSERT, &[&id]).await?;
            yield_now().await;
            let mut inner = outer.savepoint().await?;
            inner.execute(INSERT, &[&-id]).await?;
            yield_now().await;
            inner.rollback().await?;
            outer.commit().await?;
            transaction.commit().await?;
        }
        Work::CopyIn => {
            let mut copy =
                session.copy_in_binary("COPY t FROM STDIN (FORMAT binary)", &[Type::INT8]).await?;
            copy.write(&[&id]).await?;
            yield_now().await;
            copy.finish().await?;
        }
        Work::CopyOut => {
            session.execute(INSERT, &[&id]).await?;
            let mut out =
                session.copy_out("COPY (SELECT generate_series(1, 20000)) TO STDOUT").await?;
            while out.next().await?.is_some() {}
        }
        Work::Batch => {
            session.execute("SET search_path = elsewhere, public", &[]).await?;
            yield_now().await;
            session
                .batch("SELECT pg_advisory_lock(7); CREATE TEMP TABLE IF NOT EXISTS x ()")
                .await?;
            session.execute("SET ROLE pg_monitor", &[]).await?;
            session.execute("RESET ROLE", &[]).await?;
            session.execute(INSERT, &[&id]).await?;
            session.batch("SELECT pg_advisory_unlock(7)").await?;
        }
    }
    Ok(true)
}

/// Every connection of the pool is there, at rest and clean.
async fn assert_clean(bench: &Bench, context: &str) {
    bench.until_returned().await;
    bench.until_sessions("state <> 'idle'", 0).await;
    let mut sessions = Vec::new();
    for _ in 0..MAX {
        sessions.push(bench.pool.acquire().await.expect(context));
    }
    let sql = "SELECT pg_current_xact_id_if_assigned() IS NULL \
               AND current_setting('search_path') = '\"$user\", public' \
               AND current_user = session_user \
               AND current_setting('statement_timeout') = '10s' \
               AND NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_my_temp_schema()) \
               AND NOT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')";
    for session in &mut sessions {
        assert!(session.fetch_value::<bool>(sql, &[]).await.expect(context), "unclean: {context}");
    }
    bench.until_at_most(i64::from(MAX)).await;
    let status = bench.pool.status();
    assert_eq!((status.out, status.waiting), (sessions.len(), 0), "{context}");
}

async fn stored(bench: &Bench) -> BTreeSet<i64> {
    let rows = bench.observer.query("SELECT a FROM t", &[]).await.unwrap();
    let all: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let distinct: BTreeSet<i64> = all.iter().copied().collect();
    assert_eq!(all.len(), distinct.len(), "stored twice");
    distinct
}

async fn bench_with_table() -> Bench {
    let bench = bench(PoolOptions { max: MAX, ..options() }).await;
    bench.observer.batch_execute("CREATE TABLE t (a bigint)").await.unwrap();
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_up_at_every_poll() {
    let bench = bench_with_table().await;
    let (mut given_up, mut id) = (0, 0);
    for work in ALL {
        for polls in 1.. {
            id += 1;
            let context = format!("{work:?} given up after {polls} polls");
            let ended = give_up_after(polls, run(&bench.pool, work, id)).await;
            let ended = ended.map(|result| result.expect(&context));
            assert_clean(&bench, &context).await;
            let stored = stored(&bench).await.contains(&id);
            match ended {
                Some(acknowledged) => assert_eq!(stored, acknowledged, "{context}"),
                None => assert!(!stored || !matches!(work, Work::Rollback), "{context}"),
            }
            if ended.is_some() {
                break;
            }
            given_up += 1;
        }
    }
    assert!(given_up > 40, "given up only {given_up} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_up_at_random_moments_by_competing_callers() {
    const SEED: u64 = 0x5eed_0003;
    const CALLERS: u64 = 6;
    const CALLS: u64 = 50;
    let bench = bench_with_table().await;
    let acknowledged = Mutex::new(BTreeSet::new());
    let refuted = Mutex::new(BTreeSet::new());
    let caller = async |caller: u64| {
        let mut random = Random(SEED + caller);
        for call in 0..CALLS {
            let id = i64::try_from(caller * CALLS + call + 1).unwrap();
            let work = ALL[usize::try_from(random.below(ALL.len() as u64)).unwrap()];
            let running = run(&bench.pool, work, id);
            let limit = Duration::from_micros(random.below(20_000));
            let ended = match call % 3 {
                0 => Some(running.await),
                1 => tokio::time::timeout(limit, running).await.ok(),
                _ => give_up_after(1 + u32::try_from(random.below(20)).unwrap(), running).await,
            };
            match ended {
                Some(Ok(true)) => drop(acknowledged.lock().unwrap().insert(id)),
                Some(Ok(false)) => drop(refuted.lock().unwrap().insert(id)),
                Some(Err(error)) => panic!("seed {SEED:#x}, caller {caller}, {work:?}: {error}"),
                None => {}
            }
        }
    };
    futures_util::future::join_all((0..CALLERS).map(caller)).await;
    assert_clean(&bench, "at the end").await;
    let stored = stored(&bench).await;
    let acknowledged = acknowledged.into_inner().unwrap();
    let refuted = refuted.into_inner().unwrap();
    assert!(acknowledged.is_subset(&stored), "lost: {:?}", acknowledged.difference(&stored));
    assert!(refuted.is_disjoint(&stored), "left: {:?}", refuted.intersection(&stored));
    assert!(stored.iter().all(|id| *id > 0), "the work of a savepoint undone is stored");
    let ended = acknowledged.len() + refuted.len();
    assert!(ended >= 100, "only {ended} calls came to their end");
}

/// The test above would notice: the driver alone leaves the transaction open.
#[tokio::test]
async fn the_driver_alone_leaves_a_transaction_open() {
    let bench = bench_with_table().await;
    let config = pg_session::Config::from_url(bench.database.url()).unwrap();
    let naive = pg_session::connect(&config.application_name("naive")).await.unwrap();
    let work = async {
        naive.batch_execute("BEGIN").await.unwrap();
        naive.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
        naive.batch_execute("COMMIT").await.unwrap();
    };
    assert!(give_up_after(3, work).await.is_none());
    naive.batch_execute("SELECT 1").await.unwrap();
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'naive' AND state LIKE 'idle in%'";
    assert_eq!(bench.value(open).await, 1);
}
