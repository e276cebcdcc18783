//! Isolation levels: transactions at random at each of them, and what their history shows.

use std::collections::BTreeMap;
use std::time::Instant;

use pg_session::{Class, Error as LayerError, Isolation, Pool, Session, TransactionOptions};

use crate::Error;
use crate::drill::Drill;
use crate::drill::examiner::Examiner;
use crate::drill::heard::Heard;
use crate::drill::history::{Access, Anomaly, Found, History, Key, Transaction, Value};
use crate::drill::oracle::no_leak;
use crate::drill::record::{Counts, Invariant, Trial};
use crate::drill::scene::{Scene, acquire};

use super::transactions::impatient;

pub(in crate::drill) const DRILLS: &[Drill] = &[Drill {
    name: "isolation_anomalies",
    injects: "the same transactions at random, all at once, at each isolation level",
    quick: true,
    run: |scene| Box::pin(isolation_anomalies(scene)),
}];

/// How many lists there are: few, so that transactions meet.
const LISTS: i32 = 5;
/// How many clients run transactions at once, and how many each.
const CLIENTS: usize = 8;
const TRANSACTIONS: usize = 60;
/// The most accesses of a transaction.
const ACCESSES: u64 = 4;

const TABLE: &str = "CREATE TABLE drill_list (key integer PRIMARY KEY, items integer[] NOT NULL)";

/// Each level, weakest first, and the anomaly that the one before it shows.
const LEVELS: [(Isolation, &str, Anomaly); 3] = [
    (Isolation::ReadCommitted, "read committed", Anomaly::ReadSkew),
    (Isolation::RepeatableRead, "repeatable read", Anomaly::ReadSkew),
    (Isolation::Serializable, "serializable", Anomaly::WriteSkew),
];

async fn isolation_anomalies(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(TABLE).await?;
    let pool = impatient(scene).await?;
    for number in 0..scene.faults(1, 20) {
        let plans = plans(scene);
        let mut weaker: Option<(&str, Vec<Found>)> = None;
        for (level, name, wanted) in LEVELS {
            let mut trial = Trial::new(format!("{name}, {}", number + 1));
            let history = run(scene, &mut trial, &pool, &examiner, &plans, level).await?;
            let found = history.anomalies();
            for one in found.iter().filter(|one| !one.anomaly.is_allowed_at(level)) {
                let expected = format!("no {:?} at {name}", one.anomaly);
                trial.expect(Invariant::Claimed, false, expected, &one.what);
            }
            // The same transactions show at a weaker level, or here, what they are looked at for.
            let (control, seen) =
                weaker.as_ref().map_or((name, &found), |(name, one)| (*name, one));
            let shown = seen.iter().find(|one| one.anomaly == wanted);
            let what = shown.map_or("none", |one| &one.what);
            trial.proof(shown.is_some(), format!("{wanted:?} at {control}: {what}"));
            no_leak(&mut trial, &examiner, &pool).await?;
            scene.close(trial);
            weaker = Some((name, found));
        }
    }
    pool.close();
    Ok(())
}

/// What one client does: lists to read or to append a value to, transaction by transaction.
type Plan = Vec<Vec<(Key, Option<Value>)>>;

fn plans(scene: &mut Scene) -> Vec<Plan> {
    let mut next = 0;
    let mut access = |random: &mut crate::drill::random::Random| {
        next += 1;
        let key = i32::try_from(random.below(LISTS.unsigned_abs().into())).unwrap_or_default();
        (key, (random.below(2) == 0).then_some(next))
    };
    let random = &mut scene.random;
    let mut transaction = || {
        let accesses = 2 + random.below(ACCESSES - 1);
        (0..accesses).map(|_| access(random)).collect::<Vec<_>>()
    };
    (0..CLIENTS).map(|_| (0..TRANSACTIONS).map(|_| transaction()).collect()).collect()
}

/// Runs all plans at a level and gives their history.
async fn run(
    scene: &Scene,
    trial: &mut Trial,
    pool: &Pool,
    examiner: &Examiner,
    plans: &[Plan],
    level: Isolation,
) -> Result<History, Error> {
    examiner.batch_execute("TRUNCATE drill_list").await?;
    let empty =
        "INSERT INTO drill_list SELECT key, '{}' FROM generate_series(0, $1::int - 1) AS key";
    examiner.execute(empty, &[&LISTS]).await?;
    let options = TransactionOptions::default().isolation(scene.sabotage.isolation(level));
    let clients = plans.iter().map(|plan| client(scene, pool, options, plan));
    let clients = if scene.sabotage.injects() {
        futures_util::future::try_join_all(clients).await?
    } else {
        let mut done = Vec::new();
        for client in clients {
            done.push(client.await?);
        }
        done
    };
    let mut history = History::default();
    let mut counts = Counts::default();
    for (accesses, heard) in clients.into_iter().flatten() {
        if heard.class.is_some() {
            trial.expect_refusal("a transaction in another's way", &heard, &[Class::Conflict]);
        }
        counts.add(heard.answer);
        history.transactions.push(Transaction { accesses, answer: heard.answer });
    }
    trial.counts = Some(counts);
    let lists = examiner.query("SELECT key, items FROM drill_list", &[]).await?;
    let lists = lists.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    history.lists = lists.collect::<Result<BTreeMap<Key, Vec<Value>>, Error>>()?;
    Ok(history)
}

/// Runs the transactions of one client, none of them twice.
async fn client(
    scene: &Scene,
    pool: &Pool,
    options: TransactionOptions,
    plan: &Plan,
) -> Result<Vec<(Vec<Access>, Heard)>, Error> {
    let mut session = acquire(pool).await?;
    let mut done = Vec::new();
    for steps in plan {
        let begun = Instant::now();
        let mut accesses = Vec::new();
        let result = transaction(&mut session, &options, steps, &mut accesses).await;
        done.push((accesses, scene.hear(&result, begun)));
    }
    Ok(done)
}

async fn transaction(
    session: &mut Session,
    options: &TransactionOptions,
    steps: &[(Key, Option<Value>)],
    accesses: &mut Vec<Access>,
) -> Result<(), LayerError> {
    let mut transaction = session.begin(options).await?;
    for (key, append) in steps {
        if let Some(value) = append {
            accesses.push(Access::Append(*key, *value));
            let sql = "UPDATE drill_list SET items = items || $2::int WHERE key = $1";
            transaction.execute(sql, &[key, value]).await?;
        } else {
            let sql = "SELECT items FROM drill_list WHERE key = $1";
            accesses.push(Access::Read(*key, transaction.fetch_value(sql, &[key]).await?));
        }
    }
    transaction.commit().await.map(drop)
}
