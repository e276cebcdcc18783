//! Ingest into hypertables: chunks that are made and dropped, COPY that breaks, batches sent again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pg_session::{Class, Error as LayerError, Pool, RetryPolicy, TransactionOptions};

use crate::Error;
use crate::drill::Drill;
use crate::drill::examiner::Examiner;
use crate::drill::heard::Heard;
use crate::drill::journal::Answer;
use crate::drill::oracle::{clean_sessions, no_leak, pool_restores};
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{LAYER, Scene, acquire, close, limits, until, value};

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "exactly_once_replay",
        injects: "batches sent again, one after the other and while their twins are under way",
        quick: true,
        run: |scene| Box::pin(replay(scene)),
    },
    Drill {
        name: "copy_ingest",
        injects: "COPY with a bad row, given up, or cut off by the server, at its first, a middle and its \
                  last row",
        quick: true,
        run: |scene| Box::pin(copy_ingest(scene)),
    },
    Drill {
        name: "chunk_deadlock",
        injects: "writers that make chunks of a hypertable with a foreign key at the same time",
        quick: true,
        run: |scene| Box::pin(chunk_deadlock(scene)),
    },
    Drill {
        name: "drop_chunks_under_ingest",
        injects: "drop_chunks in a loop while writers fill the same range",
        quick: false,
        run: |scene| Box::pin(drop_chunks(scene)),
    },
];

/// Rows of a batch.
const ROWS: i32 = 50;

const BATCHES: &str = "CREATE TABLE IF NOT EXISTS drill_batch (id bigint PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS drill_row (batch bigint NOT NULL, n integer NOT NULL)";

/// Stores a batch once, however often it is sent: its key goes first. Gives whether it was new.
async fn store_batch(pool: &Pool, batch: i64) -> Result<bool, LayerError> {
    let options = TransactionOptions::default();
    pool.transact(&options, &RetryPolicy::default(), async |transaction| {
        let key = "INSERT INTO drill_batch VALUES ($1) ON CONFLICT DO NOTHING";
        if transaction.execute(key, &[&batch]).await? == 0 {
            return Ok(false);
        }
        let rows = "INSERT INTO drill_row SELECT $1, generate_series(1, $2)";
        transaction.execute(rows, &[&batch, &ROWS]).await?;
        transaction.execute("SELECT pg_sleep(0.005)", &[]).await?;
        Ok::<_, LayerError>(true)
    })
    .await
}

async fn replay(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(BATCHES).await?;
    let pool = scene.pool(limits()).await?;
    for number in 0..scene.faults(20, 100) {
        let batch = i64::from(number) + 1;
        let at_once = number % 2 == 1;
        let how = if at_once { "at the same time" } else { "afterwards" };
        let mut trial = Trial::new(format!("batch {batch} sent again {how}"));
        let again = if scene.sabotage.injects() { 4 } else { 0 };
        let begun = Instant::now();
        let mut results = Vec::new();
        if at_once {
            let all = (0..=again).map(|_| store_batch(&pool, batch));
            results.extend(futures_util::future::join_all(all).await);
        } else {
            for _ in 0..=again {
                results.push(store_batch(&pool, batch).await);
            }
        }
        let sent = results.len();
        trial.proof(sent > 1, format!("the batch was sent {sent} times"));
        let new = results.iter().filter(|result| matches!(result, Ok(true))).count();
        for result in &results {
            let heard = scene.hear(result, begun);
            trial.expect_success("each sending", &heard);
        }
        trial.expect_same(Invariant::NoDuplicate, "sendings that stored it", &1, &new);
        let count = "SELECT count(*) FROM drill_row WHERE batch = $1";
        let rows: i64 = examiner.query_one(count, &[&batch]).await?.try_get(0)?;
        let wanted = i64::from(ROWS);
        trial.expect_same(Invariant::NoDuplicate, "rows of the batch", &wanted, &rows);
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}

/// How a COPY breaks.
#[derive(Debug, Clone, Copy)]
enum Break {
    /// A row that the table does not take.
    BadRow,
    /// A row that violates a constraint.
    Violation,
    /// The caller gives it up.
    GivenUp,
    /// The server ends the session.
    Terminated,
}

const BREAKS: [Break; 4] = [Break::BadRow, Break::Violation, Break::GivenUp, Break::Terminated];
/// Rows of a COPY.
const COPIED: usize = 3_000;

async fn copy_ingest(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    let examiner = scene.examiner().await?;
    let table =
        "CREATE TABLE drill_copy (batch integer NOT NULL, n integer NOT NULL CHECK (n >= 0))";
    examiner.batch_execute(table).await?;
    let pool = scene.pool(limits()).await?;
    let mut batch = 0_i32;
    for how in BREAKS {
        for at in [0, COPIED / 2, COPIED - 1] {
            for in_transaction in [false, true] {
                batch += 1;
                let place = if in_transaction { "in a transaction" } else { "by itself" };
                let mut trial = Trial::new(format!("{how:?} at row {at}, {place}"));
                let log_length = scene.server.log_length()?;
                let how_now = scene.sabotage.injects().then_some(how);
                let begun = Instant::now();
                let copied = copy(&pool, &examiner, batch, how_now, at, in_transaction).await?;
                let heard = copied.map(|result| scene.hear(&result, begun));
                let log = scene.server.log_since(log_length)?;
                let trace = match how {
                    Break::BadRow => "invalid input syntax",
                    Break::Violation => "violates check constraint",
                    Break::Terminated => "terminating connection due to administrator command",
                    Break::GivenUp => "",
                };
                if matches!(how, Break::GivenUp) {
                    trial.proof(heard.is_none(), "the caller dropped it");
                } else {
                    trial.proof(log.contains(trace), format!("the server's log says: {trace}"));
                }
                if let Some(heard) = &heard {
                    broken_answer(&mut trial, how, in_transaction, heard);
                }
                let count = "SELECT count(*) FROM drill_copy WHERE batch = $1";
                let sessions = "SELECT count(*) FROM pg_stat_activity \
                                WHERE application_name = $1 AND state <> 'idle'";
                until(Duration::from_secs(3), async || {
                    let row = examiner.query_one(sessions, &[&LAYER]).await?;
                    Ok(row.try_get::<_, i64>(0)? == 0)
                })
                .await?;
                let rows: i64 = examiner.query_one(count, &[&batch]).await?.try_get(0)?;
                trial.expect_same(Invariant::Claimed, "rows of the broken batch", &0, &rows);
                pool_restores(&mut trial, &pool).await;
                let whole = copy(&pool, &examiner, batch, None, at, in_transaction).await?;
                if let Some(result) = whole {
                    let heard = scene.hear(&result, begun);
                    trial.expect_success("the batch sent again", &heard);
                }
                let rows: i64 = examiner.query_one(count, &[&batch]).await?.try_get(0)?;
                let all = i64::try_from(COPIED).unwrap_or_default();
                trial.expect_same(Invariant::NoDuplicate, "rows of the batch", &all, &rows);
                clean_sessions(&mut trial, &pool).await;
                no_leak(&mut trial, &examiner, &pool).await?;
                scene.close(trial);
            }
        }
    }
    Ok(())
}

/// What the caller of a broken COPY must be told.
fn broken_answer(trial: &mut Trial, how: Break, in_transaction: bool, heard: &Heard) {
    match how {
        Break::BadRow => trial.expect_refusal("the COPY", heard, &[Class::Data]),
        Break::Violation => trial.expect_refusal("the COPY", heard, &[Class::Constraint]),
        Break::Terminated => {
            let gone = heard.class == Some(Class::Lost);
            let definite = heard.answer == Answer::NotApplied;
            trial.expect(
                Invariant::TypedError,
                gone && (definite || !in_transaction && heard.answer == Answer::Unknown),
                "an error of class lost; nothing applied, or unknown outside a transaction",
                heard.in_words(),
            );
        }
        Break::GivenUp => {}
    }
}

/// Copies a batch; none when it was given up.
async fn copy(
    pool: &Pool,
    examiner: &Examiner,
    batch: i32,
    how: Option<Break>,
    at: usize,
    in_transaction: bool,
) -> Result<Option<Result<(), LayerError>>, Error> {
    let mut session = acquire(pool).await?;
    let process: i32 = session.fetch_value("SELECT pg_backend_pid()", &[]).await?;
    let work = async {
        if in_transaction {
            let mut transaction = session.begin(&TransactionOptions::default()).await?;
            if !copy_rows(&mut transaction, examiner, process, batch, how, at).await? {
                return Ok(false);
            }
            transaction.commit().await.map(|_| true)
        } else {
            copy_rows(&mut session, examiner, process, batch, how, at).await
        }
    };
    Ok(match work.await {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(error) => Some(Err(error)),
    })
}

/// Sends the rows; gives whether it came to its end.
async fn copy_rows(
    executor: &mut pg_session::Executor,
    examiner: &Examiner,
    process: i32,
    batch: i32,
    how: Option<Break>,
    at: usize,
) -> Result<bool, LayerError> {
    let mut copy = executor.copy_in("COPY drill_copy FROM STDIN").await?;
    for row in 0..COPIED {
        let mut line = format!("{batch}\t{row}\n");
        match how {
            Some(Break::BadRow) if row == at => line = format!("{batch}\tone\n"),
            Some(Break::Violation) if row == at => line = format!("{batch}\t-1\n"),
            Some(Break::GivenUp) if row == at => return Ok(false),
            Some(Break::Terminated) if row == at => {
                let terminate = "SELECT pg_terminate_backend($1, 2000)";
                examiner.query(terminate, &[&process]).await.map_err(LayerError::from)?;
            }
            _ => {}
        }
        copy.send(Bytes::from(line)).await?;
    }
    copy.finish().await.map(|_| true)
}

/// How many make a chunk at once.
const WRITERS: i32 = 4;

const HYPERTABLES: &str =
    "CREATE TABLE drill_instrument (id integer PRIMARY KEY, seen integer NOT NULL);
    CREATE TABLE drill_tick (
        instrument integer NOT NULL REFERENCES drill_instrument,
        at timestamptz NOT NULL,
        op_id bigint NOT NULL
    );
    SELECT create_hypertable('drill_tick', 'at', chunk_time_interval => interval '1 hour')";

async fn chunk_deadlock(scene: &mut Scene) -> Result<(), Error> {
    scene.timescale_database().await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(HYPERTABLES).await?;
    let log_length = scene.server.log_length()?;
    let config = scene.config()?.with_parameter("deadlock_timeout", "50ms");
    let pool = scene.pool_at(config, limits()).await?;
    let mut stored = 0;
    for number in 0..scene.faults(12, 60) {
        let mut trial = Trial::new(format!("{WRITERS} writers make chunk {}", number + 1));
        let injects = scene.sabotage.injects();
        let begun = Instant::now();
        let attempts = AtomicU32::new(0);
        let results = futures_util::future::join_all((0..WRITERS).map(|writer| {
            let hour = if injects { i32::try_from(number).unwrap_or_default() } else { 0 };
            let (pool, attempts) = (&pool, &attempts);
            async move { tick(pool, writer, hour, attempts).await }
        }))
        .await;
        for result in &results {
            let heard = scene.hear(result, begun);
            trial.expect_success("each writer, with the layer's retry", &heard);
            stored += i64::from(result.is_ok());
        }
        let chunks: i64 =
            value(&examiner, "SELECT count(*) FROM show_chunks('drill_tick')").await?;
        let wanted = i64::from(number) + 1;
        // The first chunk needs no fault to be there.
        let made = chunks == wanted && injects;
        trial.proof(made, format!("{chunks} chunks are there, one more than before"));
        let rows: i64 = value(&examiner, "SELECT count(*) FROM drill_tick").await?;
        trial.expect_same(Invariant::NoLoss, "rows of all writers", &stored, &rows);
        let seen: i64 = value(&examiner, "SELECT sum(seen) FROM drill_instrument").await?;
        trial.expect_same(Invariant::NoDuplicate, "their other effect", &stored, &seen);
        trial.fact("attempts", attempts.into_inner());
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    close(&pool, &examiner).await?;
    let log = scene.server.log_since(log_length)?;
    let deadlocks = log.matches("deadlock detected").count();
    scene.record.server.insert("deadlocks_met".to_owned(), deadlocks.to_string());
    Ok(())
}

/// An upsert of the parent and an insert into the chunk of an hour, in one transaction.
async fn tick(pool: &Pool, writer: i32, hour: i32, attempts: &AtomicU32) -> Result<(), LayerError> {
    let options = TransactionOptions::default();
    let policy = RetryPolicy { attempts: 10, ..RetryPolicy::default() };
    pool.transact(&options, &policy, async |transaction| {
        attempts.fetch_add(1, Ordering::Relaxed);
        let parent = "INSERT INTO drill_instrument VALUES ($1, 1) \
                      ON CONFLICT (id) DO UPDATE SET seen = drill_instrument.seen + 1";
        transaction.execute(parent, &[&writer]).await?;
        let child = "INSERT INTO drill_tick VALUES ($1, timestamptz '2026-01-01T00:30:00Z' \
                     + $2 * interval '1 hour', 1)";
        transaction.execute(child, &[&writer, &f64::from(hour)]).await?;
        Ok::<_, LayerError>(())
    })
    .await
}

async fn drop_chunks(scene: &mut Scene) -> Result<(), Error> {
    scene.timescale_database().await?;
    let examiner = scene.examiner().await?;
    examiner
        .batch_execute(
            "CREATE TABLE drill_tick (at timestamptz NOT NULL, op_id bigint NOT NULL); \
             SELECT create_hypertable('drill_tick', 'at', chunk_time_interval => interval '1 hour')",
        )
        .await?;
    let pool = scene.pool(limits()).await?;
    let retention = scene.examiner().await?;
    for number in 0..scene.faults(3, 12) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let stop = AtomicBool::new(false);
        let injects = scene.sabotage.injects();
        let dropping = async {
            let mut dropped = 0_usize;
            while !stop.load(Ordering::Acquire) {
                if injects {
                    // Chunks whose whole range is before noon.
                    let sql =
                        "SELECT drop_chunks('drill_tick', '2026-01-01T12:00:00Z'::timestamptz)";
                    // A deadlock with an insert is the writers' concern here.
                    dropped += retention.query(sql, &[]).await.map_or(0, |rows| rows.len());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            dropped
        };
        let writing = async {
            let writers = (0..6_i64).map(|writer| {
                let pool = &pool;
                async move {
                    let mut heard = Vec::new();
                    for at in 0..40_i64 {
                        let operation = i64::from(number) * 1_000 + writer * 100 + at;
                        let begun = Instant::now();
                        let result = both_halves(pool, operation).await;
                        heard.push((operation, Heard::of(&result, begun.elapsed())));
                    }
                    heard
                }
            });
            let heard = futures_util::future::join_all(writers).await;
            stop.store(true, Ordering::Release);
            heard.into_iter().flatten().collect::<Vec<_>>()
        };
        let (dropped, writes) = tokio::join!(dropping, writing);
        trial.proof(dropped > 0, format!("{dropped} chunks were dropped under the writers"));
        let mut lost = 0;
        for (operation, heard) in writes {
            let heard = scene.sabotage.answer(heard);
            trial.expect_success("each writer, with the layer's retry", &heard);
            let sql = "SELECT count(*) FROM drill_tick WHERE op_id = $1 \
                       AND at >= '2026-01-01T12:00:00Z'";
            let there: i64 = examiner.query_one(sql, &[&operation]).await?.try_get(0)?;
            let acknowledged = heard.answer == Answer::Acknowledged;
            lost += u32::from(acknowledged && there != 1);
        }
        trial.expect_same(Invariant::NoLoss, "acknowledged rows of the kept range lost", &0, &lost);
        pool_restores(&mut trial, &pool).await;
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}

/// A row in the range that is dropped and one in the range that is kept, in one transaction.
async fn both_halves(pool: &Pool, operation: i64) -> Result<(), LayerError> {
    let options = TransactionOptions::default();
    let policy = RetryPolicy { attempts: 10, ..RetryPolicy::default() };
    pool.transact(&options, &policy, async |transaction| {
        for day in ["2026-01-01T03:30:00Z", "2026-01-01T15:30:00Z"] {
            let sql = "INSERT INTO drill_tick VALUES ($1::text::timestamptz, $2)";
            transaction.execute(sql, &[&day, &operation]).await?;
        }
        Ok::<_, LayerError>(())
    })
    .await
}
