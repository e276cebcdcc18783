//! What a caller is told of its transaction is what became of it: silent rollbacks, lost answers, calls
//! that are given up.

use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pg_local::proxy::{Cut, End, Place, When};
use pg_session::{Class, Error as LayerError, Pool, PoolOptions, TransactionOptions};

use crate::Error;
use crate::drill::Drill;
use crate::drill::journal::{Answer, Journal};
use crate::drill::oracle::{clean_sessions, kept, no_leak, pool_restores};
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{Scene, acquire, limits};
use crate::drill::traffic::{Manner, Tally};
use crate::drill::work::{LEDGER_ORACLE, insert, write};

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "silent_commit",
        injects: "COMMIT after a failed statement, which the server answers with ROLLBACK",
        quick: true,
        run: |scene| Box::pin(silent_commit(scene)),
    },
    Drill {
        name: "cancellation",
        injects: "calls dropped at each of their awaits",
        quick: true,
        run: |scene| Box::pin(cancellation(scene)),
    },
    Drill {
        name: "lost_commit_acknowledgement",
        injects: "connections cut around COMMIT: reset, ended or silent, with COMMIT passed on or not",
        quick: true,
        run: |scene| Box::pin(lost_acknowledgement(scene)),
    },
];

/// What fails before the COMMIT, and what the server logs of it.
const FAILURES: [(&str, &str); 4] = [
    ("INSERT INTO drill_ledger VALUES (0, 0, 0, 'twice')", "duplicate key value"),
    ("SELECT 1 / (SELECT 0)", "division by zero"),
    ("SELECT * FROM drill_nothing", "does not exist"),
    ("DO $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$", "on purpose"),
];

async fn silent_commit(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let pool = scene.pool(limits()).await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute("INSERT INTO drill_ledger VALUES (0, 0, 0, 'once')").await?;
    for number in 0..scene.faults(12, 60) {
        let (failure, trace) = FAILURES[number as usize % FAILURES.len()];
        let mut trial = Trial::new(format!("COMMIT after `{failure}`, {}", number + 1));
        let log_length = scene.server.log_length()?;
        let operation = i64::from(number) + 1;
        let mut session = acquire(&pool).await?;
        let begun = Instant::now();
        let mut transaction = session.begin(&TransactionOptions::default()).await?;
        insert(&mut transaction, operation, 0).await?;
        if scene.sabotage.injects() {
            // The caller swallows the error.
            let _ = transaction.execute(failure, &[]).await;
        }
        let heard = scene.hear(&transaction.commit().await, begun);
        let log = scene.server.log_since(log_length)?;
        trial.proof(log.contains(trace), format!("the server's log says: {trace}"));
        trial.expect_refusal("COMMIT", &heard, &[Class::Bug]);
        let there: i64 = examiner
            .query_one("SELECT count(*) FROM drill_ledger WHERE op_id = $1", &[&operation])
            .await?
            .try_get(0)?;
        let told = i64::from(heard.answer == Answer::Acknowledged);
        trial.expect_same(
            Invariant::NoLoss,
            "rows there, by what the caller was told",
            &told,
            &there,
        );
        let next = scene.hear(&session.fetch_value::<i32>("SELECT 1", &[]).await, begun);
        trial.expect_success("the next statement of the session", &next);
        drop(session);
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}

/// What a call can be doing when it is given up.
#[derive(Debug, Clone, Copy)]
enum Work {
    Statement,
    Commit,
    Rollback,
    Savepoint,
    Stream,
    Copy,
    Batch,
}

const WORKS: [Work; 7] = [
    Work::Statement,
    Work::Commit,
    Work::Rollback,
    Work::Savepoint,
    Work::Stream,
    Work::Copy,
    Work::Batch,
];

/// More awaits than any of the works has.
const MOST_POLLS: u32 = 400;

/// Does the work; a success acknowledges the operation, but for a rollback.
async fn work(pool: &Pool, work: Work, operation: i64) -> Result<(), LayerError> {
    let options = TransactionOptions::default();
    let mut session = pool.acquire().await.map_err(Box::new)?;
    match work {
        Work::Statement => {
            let both = "WITH l AS (INSERT INTO drill_ledger VALUES ($1, 0, $1, $2)) \
                        INSERT INTO drill_target (op_id, payload) VALUES ($1, $2)";
            let payload = crate::drill::work::payload(operation);
            session.execute(both, &[&operation, &payload]).await?;
        }
        Work::Commit => {
            let mut transaction = session.begin(&options).await?;
            insert(&mut transaction, operation, 0).await?;
            transaction.commit().await?;
        }
        Work::Rollback => {
            let mut transaction = session.begin(&options).await?;
            insert(&mut transaction, operation, 0).await?;
            transaction.rollback().await?;
        }
        Work::Savepoint => {
            let mut transaction = session.begin(&options).await?;
            let mut savepoint = transaction.savepoint().await?;
            insert(&mut savepoint, operation, 0).await?;
            savepoint.commit().await?;
            transaction.commit().await?;
        }
        Work::Stream => {
            let mut rows = session.stream("SELECT generate_series(1, 5000)", &[]).await?;
            while rows.next().await?.is_some() {}
            drop(rows);
            let mut transaction = session.begin(&options).await?;
            insert(&mut transaction, operation, 0).await?;
            transaction.commit().await?;
        }
        Work::Copy => {
            let payload = crate::drill::work::payload(operation);
            let mut transaction = session.begin(&options).await?;
            let copy = "COPY drill_target (op_id, payload) FROM STDIN";
            let mut rows = transaction.copy_in(copy).await?;
            rows.send(Bytes::from(format!("{operation}\t{payload}\n"))).await?;
            rows.finish().await?;
            let copy = "COPY drill_ledger FROM STDIN";
            let mut rows = transaction.copy_in(copy).await?;
            rows.send(Bytes::from(format!("{operation}\t0\t0\t{payload}\n"))).await?;
            rows.finish().await?;
            transaction.commit().await?;
        }
        Work::Batch => {
            let payload = crate::drill::work::payload(operation);
            let both = format!(
                "INSERT INTO drill_ledger VALUES ({operation}, 0, 0, '{payload}'); \
                 INSERT INTO drill_target (op_id, payload) VALUES ({operation}, '{payload}')"
            );
            session.batch(&both).await?;
        }
    }
    Ok(())
}

/// Polls a call so many times at most, then drops it.
async fn give_up_after<T>(polls: u32, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    let mut left = polls;
    std::future::poll_fn(|context| {
        left = left.saturating_sub(1);
        match call.as_mut().poll(context) {
            Poll::Pending if left == 0 => Poll::Ready(None),
            other => other.map(Some),
        }
    })
    .await
}

async fn cancellation(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    let pool = scene.pool(PoolOptions { max: 3, ..limits() }).await?;
    let examiner = scene.examiner().await?;
    let journal = scene.journal()?;
    let mut operation = 0;
    for what in WORKS {
        let mut polls = 0;
        loop {
            polls += 1;
            operation += 1;
            journal.sent(operation)?;
            let begun = Instant::now();
            let most = if scene.sabotage.injects() { polls } else { MOST_POLLS };
            let result = give_up_after(most, work(&pool, what, operation)).await;
            if let Some(result) = result {
                let heard = scene.hear(&result, begun);
                let undone = matches!(what, Work::Rollback) && heard.class.is_none();
                journal.ended(operation, if undone { Answer::NotApplied } else { heard.answer })?;
                if !scene.sabotage.injects() {
                    let mut trial = Trial::new(format!("{what:?}"));
                    trial.proof(false, "no call was given up");
                    scene.close(trial);
                }
                break;
            }
            let mut trial = Trial::new(format!("{what:?} given up at await {polls}"));
            trial.proof(true, "the call was pending when it was dropped");
            // The next borrower of the same place.
            let mut session = acquire(&pool).await?;
            let sql = "SELECT pg_current_xact_id_if_assigned() IS NULL";
            let clean = session.fetch_value::<bool>(sql, &[]).await;
            let next = scene.hear(&clean, begun);
            trial.expect_success("the next borrower's statement", &next);
            let new = matches!(clean, Ok(true));
            trial.expect(Invariant::CleanSession, new, "no transaction left open", "one is");
            drop(session);
            scene.close(trial);
        }
    }
    let mut last = Trial::new("all that was given up");
    last.proof(operation > 0, format!("{operation} calls"));
    pool_restores(&mut last, &pool).await;
    clean_sessions(&mut last, &pool).await;
    no_leak(&mut last, &examiner, &pool).await?;
    kept(&mut last, &examiner, &tally_of(&journal)?).await?;
    scene.close(last);
    Ok(())
}

fn tally_of(journal: &Journal) -> Result<Tally, Error> {
    let journal = journal.read()?;
    Ok(Tally {
        journal,
        operations: Vec::new(),
        fault: None,
        cleared: None,
        unanswered: 0,
        reads: Vec::new(),
        oracle: LEDGER_ORACLE,
        longest: Duration::ZERO,
        readers: 0,
    })
}

async fn lost_acknowledgement(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    let examiner = scene.examiner().await?;
    let mut operation = 0;
    for resolves in [false, true] {
        for place in [Place::Before, Place::After] {
            for end in End::ALL {
                operation += 1;
                let looked_up = if resolves { ", looked up" } else { "" };
                let name = format!("{place:?} COMMIT, {end:?}{looked_up}");
                let mut trial = Trial::new(name);
                let proxy = scene.proxy().await?;
                let options = PoolOptions {
                    min: 1,
                    max: 3,
                    command_timeout: Duration::from_millis(400),
                    ..limits()
                };
                let pool = scene.pool_at(scene.config_through(proxy.port())?, options).await?;
                if scene.sabotage.injects() {
                    proxy.cut(Cut { when: When::Saying(b"COMMIT\0"), place, end });
                }
                let begun = Instant::now();
                let manner = Manner { writers: 1, resolves };
                let result = write(&pool, manner, operation, 0).await;
                let heard = scene.hear(&result, begun);
                trial.proof(proxy.counts().faults == 1, "the proxy cut the connection at COMMIT");
                let applied = place == Place::After;
                let expected = match (resolves, applied) {
                    (false, _) => Answer::Unknown,
                    (true, true) => Answer::Acknowledged,
                    // The server goes on waiting for a COMMIT that was swallowed.
                    (true, false) if end == End::Silence => Answer::Unknown,
                    (true, false) => Answer::NotApplied,
                };
                trial.expect_same(Invariant::Claimed, "the answer", &expected, &heard.answer);
                // The server may take a moment to meet the end of its connection.
                let there = crate::drill::scene::until(Duration::from_secs(1), async || {
                    let count = "SELECT count(*) FROM drill_ledger WHERE op_id = $1";
                    let row = examiner.query_one(count, &[&operation]).await?;
                    Ok((row.try_get::<_, i64>(0)? == 1) == applied)
                });
                trial.proof(there.await?, format!("the server has applied it: {applied}"));
                if heard.answer == Answer::Acknowledged {
                    trial.expect(Invariant::NoLoss, applied, "an acknowledged write", "no write");
                }
                if heard.answer == Answer::NotApplied {
                    trial.expect(Invariant::NoPhantom, !applied, "no write", "a write");
                }
                drop(proxy);
                pool.close();
                scene.close(trial);
            }
        }
    }
    Ok(())
}
