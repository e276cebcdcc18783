//! Time limits: each ends what it limits, with a typed error and a pool that goes on.

use std::time::{Duration, Instant};

use pg_session::{Class, PoolOptions, TransactionOptions};

use crate::Error;
use crate::drill::Drill;
use crate::drill::journal::Answer;
use crate::drill::oracle::{no_leak, pool_restores};
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{LAYER, Scene, acquire, limits, until, value};
use crate::drill::work::insert;

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "statement_timeout",
        injects: "statements that run longer than the command timeout, heeded by the server and not",
        quick: true,
        run: |scene| Box::pin(statement_timeout(scene)),
    },
    Drill {
        name: "lock_timeout",
        injects: "a row that another session keeps locked",
        quick: true,
        run: |scene| Box::pin(lock_timeout(scene)),
    },
    Drill {
        name: "idle_in_transaction_timeout",
        injects: "a transaction that is left idle for longer than the server allows",
        quick: true,
        run: |scene| Box::pin(idle_in_transaction(scene)),
    },
    Drill {
        name: "backend_frozen",
        injects: "SIGSTOP of the backend that serves a call",
        quick: true,
        run: |scene| Box::pin(backend_frozen(scene)),
    },
];

/// The command timeout of these drills.
const LIMIT: Duration = Duration::from_millis(300);
/// When a caller gives up by itself, as the layer documents it: 200 ms after the server should have.
const DEADLINE: Duration = Duration::from_millis(500);

fn short() -> PoolOptions {
    PoolOptions { command_timeout: LIMIT, ..limits() }
}

/// How many sessions of the layer run a statement that sleeps.
const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drill' \
                        AND state = 'active' AND query LIKE '%pg_sleep%'";

async fn statement_timeout(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let pool = scene.pool(short()).await?;
    let examiner = scene.examiner().await?;
    // The server ends the statement; then it is told not to, and the caller ends it.
    for (number, heeded) in [true, false].into_iter().cycle().enumerate() {
        if number >= scene.faults(6, 20) as usize {
            break;
        }
        let who = if heeded { "the server" } else { "the caller" };
        let mut trial = Trial::new(format!("{who} ends the statement, {}", number + 1));
        let mut session = acquire(&pool).await?;
        if !heeded {
            session.batch("SET statement_timeout = 0").await?;
        }
        let begun = Instant::now();
        let sql = if scene.sabotage.injects() { "SELECT pg_sleep(3)" } else { "SELECT 1" };
        let call = session.execute(sql, &[]);
        let watch = until(Duration::from_millis(250), async || {
            Ok(value::<i64>(&examiner, SLEEPING).await? == 1)
        });
        let (result, seen) = tokio::join!(call, watch);
        trial.proof(seen?, "the server was seen at work on the statement");
        let heard = scene.hear(&result, begun);
        if heeded {
            trial.expect_refusal("the statement", &heard, &[Class::Timeout]);
            trial.expect_sqlstate("the statement", &heard, "57014");
            let next = scene.hear(&session.fetch_value::<i32>("SELECT 1", &[]).await, begun);
            trial.expect_success("the next statement of the session", &next);
        } else {
            let typed = heard.class == Some(Class::Timeout) && heard.answer == Answer::Unknown;
            let expected = "an error of class timeout, outcome unknown";
            trial.expect(Invariant::TypedError, typed, expected, heard.in_words());
        }
        trial.expect_within("the statement", heard.took, DEADLINE);
        drop(session);
        let stopped = until(Duration::from_secs(1), async || {
            Ok(value::<i64>(&examiner, SLEEPING).await? == 0)
        });
        let expected = "the server has stopped the statement 1 s later";
        trial.expect(Invariant::NoLeak, stopped.await?, expected, "it is still at it");
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}

async fn lock_timeout(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let wait = Duration::from_millis(250);
    let config = scene.config()?.with_parameter("lock_timeout", "250");
    let pool = scene.pool_at(config, limits()).await?;
    let examiner = scene.examiner().await?;
    let holder = scene.examiner().await?;
    examiner.batch_execute("INSERT INTO drill_target VALUES (1, 'one')").await?;
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drill' \
                   AND cardinality(pg_blocking_pids(pid)) > 0";
    let change = "UPDATE drill_target SET payload = 'two' WHERE op_id = 1";
    for (number, lock) in [
        "SELECT FROM drill_target WHERE op_id = 1 FOR UPDATE",
        "LOCK TABLE drill_target IN ACCESS EXCLUSIVE MODE",
    ]
    .into_iter()
    .cycle()
    .enumerate()
    {
        if number >= scene.faults(6, 20) as usize {
            break;
        }
        let mut trial = Trial::new(format!("{lock}, {}", number + 1));
        holder.batch_execute("BEGIN").await?;
        if scene.sabotage.injects() {
            holder.batch_execute(lock).await?;
        }
        let mut session = acquire(&pool).await?;
        let mut transaction = session.begin(&TransactionOptions::default()).await?;
        let begun = Instant::now();
        let call = transaction.execute(change, &[]);
        let watch = until(wait, async || Ok(value::<i64>(&examiner, blocked).await? == 1));
        let (result, seen) = tokio::join!(call, watch);
        trial.proof(seen?, "pg_blocking_pids named what the call waited for");
        let heard = scene.hear(&result, begun);
        trial.expect_refusal("the blocked statement", &heard, &[Class::Conflict]);
        trial.expect_sqlstate("the blocked statement", &heard, "55P03");
        trial.expect_within("the blocked statement", heard.took, wait);
        let committed = scene.hear(&transaction.commit().await, begun);
        trial.expect_refusal("COMMIT after it", &committed, &[Class::Bug]);
        holder.batch_execute("ROLLBACK").await?;
        let again = scene.hear(&session.execute(change, &[]).await, begun);
        trial.expect_success("the same statement when the lock is gone", &again);
        drop(session);
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}

async fn idle_in_transaction(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let config = scene.config()?.with_parameter("idle_in_transaction_session_timeout", "200");
    let pool = scene.pool_at(config, limits()).await?;
    let examiner = scene.examiner().await?;
    for number in 0..scene.faults(4, 12) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let log_length = scene.server.log_length()?;
        let operation = i64::from(number) + 1;
        let mut session = acquire(&pool).await?;
        let mut transaction = session.begin(&TransactionOptions::default()).await?;
        insert(&mut transaction, operation, 0).await?;
        if scene.sabotage.injects() {
            tokio::time::sleep(Duration::from_millis(450)).await;
        }
        let log = scene.server.log_since(log_length)?;
        let words = "terminating connection due to idle-in-transaction timeout";
        trial.proof(log.contains(words), format!("the server's log says: {words}"));
        let begun = Instant::now();
        // Either call may be the first to notice.
        let result = transaction.execute("SELECT 1", &[]).await;
        let heard = scene.hear(&result, begun);
        trial.expect_refusal("the next statement", &heard, &[Class::Lost, Class::Timeout]);
        trial.expect_sqlstate("the next statement", &heard, "25P03");
        let committed = scene.hear(&transaction.commit().await, begun);
        let refused = committed.class.is_some() && committed.answer == Answer::NotApplied;
        let expected = "COMMIT after it: an error, nothing applied";
        trial.expect(Invariant::TypedError, refused, expected, committed.in_words());
        drop(session);
        let there: i64 = examiner
            .query_one("SELECT count(*) FROM drill_ledger WHERE op_id = $1", &[&operation])
            .await?
            .try_get(0)?;
        trial.expect_same(Invariant::NoPhantom, "rows of the lost transaction", &0, &there);
        pool_restores(&mut trial, &pool).await;
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}

async fn backend_frozen(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let pool = scene.pool(short()).await?;
    let examiner = scene.examiner().await?;
    for number in 0..scene.faults(3, 10) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let mut session = acquire(&pool).await?;
        let process: i32 = session.fetch_value("SELECT pg_backend_pid()", &[]).await?;
        let mut backend = scene.server.act(move |cluster| cluster.backend(process)).await?;
        if scene.sabotage.injects() {
            backend.freeze()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        trial.proof(backend.is_frozen(), format!("/proc says that backend {process} is stopped"));
        let begun = Instant::now();
        let result = session.fetch_value::<i32>("SELECT 1", &[]).await;
        let heard = scene.hear(&result, begun);
        let typed = heard.class == Some(Class::Timeout);
        trial.expect(Invariant::TypedError, typed, "an error of class timeout", heard.in_words());
        trial.expect_within("the call", heard.took, DEADLINE);
        drop(session);
        // The others go on while it is frozen.
        let mut other = acquire(&pool).await?;
        let next = scene.hear(&other.fetch_value::<i32>("SELECT 1", &[]).await, begun);
        trial.expect_success("another session meanwhile", &next);
        drop(other);
        pool_restores(&mut trial, &pool).await;
        backend.thaw()?;
        let gone = until(Duration::from_secs(2), async || {
            let there = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 \
                         AND application_name = $2";
            let row = examiner.query_one(there, &[&process, &LAYER]).await?;
            Ok(row.try_get::<_, i64>(0)? == 0)
        });
        let expected = "the frozen backend ends once it goes on";
        trial.expect(Invariant::NoLeak, gone.await?, expected, "it is still there 2 s later");
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}
