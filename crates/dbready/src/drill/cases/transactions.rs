//! Transactions in each other's way, and parts of transactions that fail.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pg_session::{Class, Isolation, Pool, RetryPolicy, TransactionOptions};
use tokio::sync::Barrier;

use crate::Error;
use crate::drill::Drill;
use crate::drill::examiner::Examiner;
use crate::drill::journal::Answer;
use crate::drill::oracle::no_leak;
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{Scene, acquire, limits, value};
use crate::drill::steps::{Actor, Course, Step, orders, play};
use crate::drill::work::insert;

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "deadlock",
        injects: "two transactions that lock the same rows in opposite order, in every order of their \
                  steps, and with the layer's own retry",
        quick: true,
        run: |scene| Box::pin(deadlock(scene)),
    },
    Drill {
        name: "serialization_failure",
        injects: "conflicting transactions at two isolation levels in every order of their steps, and \
                  with the layer's own retry",
        quick: true,
        run: |scene| Box::pin(serialization_failure(scene)),
    },
    Drill {
        name: "nested_transaction",
        injects: "inner steps that fail within a transaction, to four levels",
        quick: true,
        run: |scene| Box::pin(nested(scene)),
    },
    Drill {
        name: "savepoint_recovery",
        injects: "savepoints rolled back after changes of every kind",
        quick: true,
        run: |scene| Box::pin(savepoint(scene)),
    },
    Drill {
        name: "partial_failure",
        injects: "a failure at each of the writes of one signal",
        quick: true,
        run: |scene| Box::pin(partial_failure(scene)),
    },
];

/// Two rows to lock.
pub(super) const PAIR: &str =
    "CREATE TABLE drill_pair (id integer PRIMARY KEY, n integer NOT NULL);
                    INSERT INTO drill_pair VALUES (1, 0), (2, 0)";
const RESET: &str = "UPDATE drill_pair SET n = 0";
const FIRST: &str = "UPDATE drill_pair SET n = n + 1 WHERE id = 1";
const SECOND: &str = "UPDATE drill_pair SET n = n + 1 WHERE id = 2";
const SUM: &str = "SELECT sum(n)::bigint FROM drill_pair";

/// A pool whose sessions look for deadlocks soon.
pub(super) async fn impatient(scene: &Scene) -> Result<Pool, Error> {
    let config = scene.config()?.with_parameter("deadlock_timeout", "20ms");
    scene.pool_at(config, limits()).await
}

/// Such a pool, and two of its sessions.
async fn two(scene: &Scene) -> Result<(Pool, [Actor; 2]), Error> {
    let pool = impatient(scene).await?;
    let actors =
        [Actor::enter(&pool, &scene.sabotage).await?, Actor::enter(&pool, &scene.sabotage).await?];
    Ok((pool, actors))
}

async fn deadlock(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(PAIR).await?;
    let (pool, mut actors) = two(scene).await?;
    let start = Step::Begin(Isolation::ReadCommitted);
    let forth = [start.clone(), Step::Run(FIRST), Step::Run(SECOND), Step::Commit];
    let back = [start, Step::Run(SECOND), Step::Run(FIRST), Step::Commit];
    let other = if scene.sabotage.injects() { &back } else { &forth };
    let mut deadlocks = 0;
    for order in orders(4, 4) {
        examiner.batch_execute(RESET).await?;
        let log_length = scene.server.log_length()?;
        let course = play(&mut actors, &examiner, [&forth, other], &order).await?;
        let mut trial = Trial::new(format!("steps in the order {order:?}"));
        let Some(victim) = (0..2).find(|actor| course.error(*actor).is_some()) else {
            // An order in which they do not cross.
            let sum: i64 = value(&examiner, SUM).await?;
            trial.expect_same(Invariant::NoLoss, "steps applied", &4, &sum);
            trial.proof(deadlocks > 0 || !trial.violations.is_empty(), "others met a deadlock");
            if !trial.violations.is_empty() {
                scene.close(trial);
            }
            continue;
        };
        deadlocks += 1;
        let log = scene.server.log_since(log_length)?;
        trial.proof(log.contains("deadlock detected"), "the server's log says: deadlock detected");
        if let Some(heard) = course.error(victim) {
            trial.expect_refusal("the victim's statement", heard, &[Class::Conflict]);
            trial.expect_sqlstate("the victim's statement", heard, "40P01");
        }
        trial.expect(
            Invariant::Claimed,
            course.committed(1 - victim) && !course.committed(victim),
            "one commits and the other does not",
            format!("{:?}", [course.committed(0), course.committed(1)]),
        );
        let sum: i64 = value(&examiner, SUM).await?;
        trial.expect_same(Invariant::NoPhantom, "steps applied", &2, &sum);
        scene.close(trial);
    }
    drop(actors);
    if deadlocks == 0 {
        scene.record.unproven = Some("the fault is not proven: no order met a deadlock".to_owned());
        return Ok(());
    }
    for number in 0..scene.faults(5, 30) {
        let mut trial =
            Trial::new(format!("two transactions that the layer repeats, {}", number + 1));
        examiner.batch_execute(RESET).await?;
        let log_length = scene.server.log_length()?;
        let meeting = Barrier::new(2);
        let begun = Instant::now();
        let (one, other) = tokio::join!(
            crossing(&pool, &meeting, Isolation::ReadCommitted, [FIRST, SECOND]),
            crossing(&pool, &meeting, Isolation::ReadCommitted, [SECOND, FIRST]),
        );
        let log = scene.server.log_since(log_length)?;
        trial.proof(log.contains("deadlock detected"), "the server's log says: deadlock detected");
        for (who, result) in [("the first", &one), ("the second", &other)] {
            let heard = scene.hear(result, begun);
            trial.expect_success(who, &heard);
        }
        let sum: i64 = value(&examiner, SUM).await?;
        trial.expect_same(Invariant::NoDuplicate, "steps applied, each once", &4, &sum);
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}

/// A transaction that the layer repeats. In its first attempt it meets the other one between its
/// statements.
async fn crossing(
    pool: &Pool,
    meeting: &Barrier,
    isolation: Isolation,
    statements: [&str; 2],
) -> Result<u32, pg_session::Error> {
    let attempts = AtomicU32::new(0);
    let options = TransactionOptions::default().isolation(isolation);
    pool.transact(&options, &RetryPolicy::default(), async |transaction| {
        let first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
        transaction.execute(statements[0], &[]).await?;
        if first {
            meeting.wait().await;
        }
        transaction.execute(statements[1], &[]).await?;
        Ok::<_, pg_session::Error>(())
    })
    .await?;
    Ok(attempts.into_inner())
}

const READ: &str = "SELECT n FROM drill_pair WHERE id = 1";
const ADD: &str = "UPDATE drill_pair SET n = n + 1 WHERE id = 1";
/// Two guards, of whom one may leave while the other is there.
const GUARDS: &str = "UPDATE drill_pair SET n = 1";
const LEAVE_FIRST: &str =
    "UPDATE drill_pair SET n = 0 WHERE id = 1 AND (SELECT n FROM drill_pair WHERE id = 2) = 1";
const LEAVE_SECOND: &str =
    "UPDATE drill_pair SET n = 0 WHERE id = 2 AND (SELECT n FROM drill_pair WHERE id = 1) = 1";

async fn serialization_failure(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(PAIR).await?;
    let (pool, mut actors) = two(scene).await?;
    let injects = scene.sabotage.injects();
    let level = |wanted| if injects { wanted } else { Isolation::ReadCommitted };
    // A lost update must not be possible.
    let add = [
        Step::Begin(level(Isolation::RepeatableRead)),
        Step::Run(READ),
        Step::Run(ADD),
        Step::Commit,
    ];
    let mut failures = 0;
    let mut at_commit = 0;
    for order in orders(4, 4) {
        examiner.batch_execute(RESET).await?;
        let course = play(&mut actors, &examiner, [&add, &add], &order).await?;
        let mut trial = Trial::new(format!("repeatable read, steps in the order {order:?}"));
        let sum: i64 = value(&examiner, SUM).await?;
        if judge_course(&mut trial, &course, sum) {
            failures += 1;
            scene.close(trial);
        }
    }
    // Write skew: both read what the other writes.
    let serializable = Step::Begin(level(Isolation::Serializable));
    let first = [serializable.clone(), Step::Run(LEAVE_FIRST), Step::Commit];
    let second = [serializable, Step::Run(LEAVE_SECOND), Step::Commit];
    for order in orders(3, 3) {
        examiner.batch_execute(GUARDS).await?;
        let course = play(&mut actors, &examiner, [&first, &second], &order).await?;
        let mut trial = Trial::new(format!("serializable, steps in the order {order:?}"));
        let guards: i64 = value(&examiner, SUM).await?;
        let failed = (0..2).find_map(|actor| course.error(actor));
        let Some(heard) = failed else { continue };
        failures += 1;
        at_commit += u32::from(heard_at_commit(&course));
        trial.proof(true, "the two transactions overlapped and one was refused");
        trial.expect_refusal("the refused transaction", heard, &[Class::Conflict]);
        trial.expect_sqlstate("the refused transaction", heard, "40001");
        trial.expect_same(Invariant::Claimed, "guards that stay", &1, &guards);
        scene.close(trial);
    }
    drop(actors);
    scene.record.server.insert("failures_at_commit".to_owned(), at_commit.to_string());
    if failures == 0 || at_commit == 0 {
        let reason = "the fault is not proven: no serialization failure, or none at COMMIT";
        scene.record.unproven = Some(reason.to_owned());
        return Ok(());
    }
    for number in 0..scene.faults(5, 30) {
        let trial = repeated(scene, &pool, &examiner, number).await?;
        scene.close(trial);
    }
    Ok(())
}

/// States what must hold after one order; gives whether a transaction was refused in it.
fn judge_course(trial: &mut Trial, course: &Course, sum: i64) -> bool {
    let committed = (0..2).filter(|actor| course.committed(*actor)).count();
    let wanted = i64::try_from(committed).unwrap_or_default();
    trial.expect_same(Invariant::NoLoss, "increments, one for each commit", &wanted, &sum);
    let mut refused = false;
    for actor in 0..2 {
        if let Some(heard) = course.error(actor) {
            refused = true;
            trial.expect_refusal("the refused transaction", heard, &[Class::Conflict]);
            trial.expect_sqlstate("the refused transaction", heard, "40001");
        }
    }
    let overlap = if course.waited { "one waited for the other" } else { "they overlapped" };
    trial.proof(refused || !trial.violations.is_empty(), overlap);
    refused || !trial.violations.is_empty()
}

/// Whether a session failed at its COMMIT, and not before.
fn heard_at_commit(course: &Course) -> bool {
    course.answers.iter().any(|answers| {
        let first = answers.iter().position(|heard| heard.class.is_some());
        first.is_some_and(|at| at + 1 == answers.len())
    })
}

/// Both transactions read and write the same row; the layer repeats the refused one.
async fn repeated(
    scene: &Scene,
    pool: &Pool,
    examiner: &Examiner,
    number: u32,
) -> Result<Trial, Error> {
    let mut trial = Trial::new(format!("two transactions that the layer repeats, {}", number + 1));
    examiner.batch_execute(RESET).await?;
    let meeting = Barrier::new(2);
    let begun = Instant::now();
    let level =
        if number.is_multiple_of(2) { Isolation::RepeatableRead } else { Isolation::Serializable };
    let (one, other) = tokio::join!(
        crossing(pool, &meeting, level, [READ, ADD]),
        crossing(pool, &meeting, level, [READ, ADD]),
    );
    let attempts: Vec<u32> =
        [&one, &other].iter().filter_map(|one| one.as_ref().ok().copied()).collect();
    let repeated = attempts.iter().any(|attempts| *attempts > 1);
    trial.proof(repeated, format!("attempts: {attempts:?}"));
    for (who, result) in [("the first", &one), ("the second", &other)] {
        let heard = scene.hear(result, begun);
        trial.expect_success(who, &heard);
    }
    let sum: i64 = value(examiner, SUM).await?;
    trial.expect_same(Invariant::NoDuplicate, "increments, each once", &2, &sum);
    Ok(trial)
}

/// What fails inside, and what the server's log says of it.
const INNER: [(&str, &str); 3] = [
    ("INSERT INTO drill_pair VALUES (1, 1)", "duplicate key value"),
    ("SELECT 1 / (SELECT 0)", "division by zero"),
    ("SELECT * FROM drill_nothing", "does not exist"),
];

async fn nested(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(PAIR).await?;
    let pool = scene.pool(limits()).await?;
    let mut operation = 0;
    for (failure, trace) in INNER {
        for depth in 1..=4_u32 {
            let mut trial = Trial::new(format!("`{failure}` at depth {depth}"));
            let log_length = scene.server.log_length()?;
            let first = operation + 1;
            operation += i64::from(depth) + 2;
            let fails = scene.sabotage.injects().then_some(failure);
            let begun = Instant::now();
            let mut session = acquire(&pool).await?;
            let result = async {
                let mut outer = session.begin(&TransactionOptions::default()).await?;
                insert(&mut outer, first, 0).await?;
                let inner = inner(&mut outer, depth, first + 1, fails).await;
                // The inner step was undone, so the outer transaction goes on.
                insert(&mut outer, operation, 0).await?;
                outer.commit().await?;
                Ok::<_, pg_session::Error>(inner.is_err())
            }
            .await;
            let heard = scene.hear(&result, begun);
            let log = scene.server.log_since(log_length)?;
            trial.proof(log.contains(trace), format!("the server's log says: {trace}"));
            trial.expect_success("the outer transaction", &heard);
            let found = rows_between(&examiner, first, operation).await?;
            trial.expect_same(Invariant::Claimed, "rows kept", &vec![first, operation], &found);
            drop(session);
            no_leak(&mut trial, &examiner, &pool).await?;
            scene.close(trial);
        }
    }
    Ok(())
}

/// Savepoints within savepoints; the innermost fails, and the error undoes all of them.
async fn inner(
    outer: &mut pg_session::Transaction<'_>,
    depth: u32,
    operation: i64,
    failure: Option<&str>,
) -> Result<(), pg_session::Error> {
    let mut savepoint = outer.savepoint().await?;
    insert(&mut savepoint, operation, 0).await?;
    if depth > 1 {
        Box::pin(inner(&mut savepoint, depth - 1, operation + 1, failure)).await?;
    } else if let Some(failure) = failure {
        savepoint.execute(failure, &[]).await?;
    }
    savepoint.commit().await.map(drop)
}

async fn rows_between(examiner: &Examiner, first: i64, last: i64) -> Result<Vec<i64>, Error> {
    let sql = "SELECT op_id FROM drill_ledger WHERE op_id BETWEEN $1 AND $2 ORDER BY op_id";
    let rows = examiner.query(sql, &[&first, &last]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Changes of every kind after the savepoint.
const CHANGES: [&str; 6] = [
    "INSERT INTO drill_pair VALUES (3, 3)",
    "UPDATE drill_pair SET n = 99",
    "DELETE FROM drill_pair",
    "TRUNCATE drill_pair",
    "ALTER TABLE drill_pair ADD COLUMN more integer DEFAULT 7",
    "SET LOCAL work_mem = '123kB'",
];

async fn savepoint(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(PAIR).await?;
    let pool = scene.pool(limits()).await?;
    let state = "SELECT (SELECT string_agg(p::text, ' ' ORDER BY id) FROM drill_pair AS p) || ' ' \
                 || current_setting('work_mem')";
    for change in CHANGES {
        for fails in [false, true] {
            let how = if fails { "by an error" } else { "by a rollback" };
            let mut trial = Trial::new(format!("`{change}` undone {how}"));
            trial.asked(state);
            let mut session = acquire(&pool).await?;
            let mut transaction = session.begin(&TransactionOptions::default()).await?;
            transaction.execute("UPDATE drill_pair SET n = n + 1", &[]).await?;
            let before: String = transaction.fetch_value(state, &[]).await?;
            let mut savepoint = transaction.savepoint().await?;
            if scene.sabotage.injects() {
                savepoint.batch(change).await?;
            }
            let changed: Option<String> = savepoint.fetch_value(state, &[]).await?;
            trial.proof(changed.as_ref() != Some(&before), format!("{before} became {changed:?}"));
            let begun = Instant::now();
            if fails {
                let failed = savepoint.execute("SELECT 1 / (SELECT 0)", &[]).await;
                let heard = scene.hear(&failed, begun);
                trial.expect_refusal("the failing statement", &heard, &[Class::Data]);
                drop(savepoint);
            } else {
                let heard = scene.hear(&savepoint.rollback().await, begun);
                trial.expect_success("the rollback", &heard);
            }
            let after: String = transaction.fetch_value(state, &[]).await?;
            trial.expect_same(Invariant::Claimed, "the state at the savepoint", &before, &after);
            let heard = scene.hear(&transaction.commit().await, begun);
            trial.expect_success("the transaction", &heard);
            drop(session);
            scene.close(trial);
        }
    }
    Ok(())
}

/// The writes of one signal; the last two are those of the ledger.
const SIGNAL: [&str; 3] = ["drill_greeks", "drill_indicators", "drill_moneyness"];

async fn partial_failure(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    for table in SIGNAL {
        let create =
            format!("CREATE TABLE {table} (op_id bigint NOT NULL, n integer CHECK (n > 0))");
        examiner.batch_execute(&create).await?;
    }
    let pool = scene.pool(limits()).await?;
    let mut operation = 0;
    for number in 0..scene.faults(2, 10) {
        for fatal in 0..=SIGNAL.len() {
            operation += 1;
            let mut trial = Trial::new(format!("write {fatal} fails, {}", number + 1));
            let log_length = scene.server.log_length()?;
            let begun = Instant::now();
            let options = TransactionOptions::default();
            let injects = scene.sabotage.injects();
            let policy = RetryPolicy::default();
            let result = pool
                .transact(&options, &policy, async |transaction| {
                    for (at, table) in SIGNAL.into_iter().enumerate() {
                        let n = if at == fatal && injects { -1 } else { 1 };
                        let sql = format!("INSERT INTO {table} VALUES ($1, $2)");
                        transaction.execute(&sql, &[&operation, &n]).await?;
                    }
                    insert(transaction, operation, 0).await?;
                    if fatal == SIGNAL.len() && injects {
                        transaction.execute("SELECT 1 / (SELECT 0)", &[]).await?;
                    }
                    Ok::<_, pg_session::Error>(())
                })
                .await;
            let heard = scene.hear(&result, begun);
            let log = scene.server.log_since(log_length)?;
            trial.proof(log.contains("ERROR:"), "the server's log has the error");
            trial.expect_refusal("the signal", &heard, &[Class::Constraint, Class::Data]);
            let mut there = 0_i64;
            for table in SIGNAL.into_iter().chain(["drill_ledger", "drill_target"]) {
                let sql = format!("SELECT count(*) FROM {table} WHERE op_id = $1");
                there += examiner.query_one(&sql, &[&operation]).await?.try_get::<_, i64>(0)?;
            }
            let told = if heard.answer == Answer::Acknowledged { 5 } else { 0 };
            trial.expect_same(Invariant::NoPhantom, "writes kept: all or none", &told, &there);
            trial.expect_within("the signal", heard.took, Duration::from_secs(2));
            scene.close(trial);
        }
    }
    Ok(())
}
