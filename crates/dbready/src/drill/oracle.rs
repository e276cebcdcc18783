//! The oracle: the invariants that must hold after every fault, seen by a reader that shares neither
//! pool nor proxy with the workload.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pg_session::{Class, Pool};

use super::examiner::{Examiner, Named};
use super::journal::Answer;
use super::record::{Invariant, Trial};
use super::scene::{LAYER, Scene, until};
use super::traffic::{Tally, millis};
use super::work::payload;
use crate::Error;

/// How long the pool may take until all its places serve again, once the fault is gone.
const RESTORE: Duration = Duration::from_secs(5);

/// What a session must show when it is lent.
const NEW_SESSION: Named = ("drill/new_session.sql", include_str!("new_session.sql"));

/// What the layer has on the server.
const LEFTOVERS: Named = ("drill/leftovers.sql", include_str!("leftovers.sql"));

/// What shows that a session serves.
const SERVES: &str = "SELECT 1";

/// Operations that are named in a violation.
const NAMED: usize = 5;

/// Looks at everything that traffic left, and states what must hold: I1 to I8.
pub(crate) async fn examine(
    scene: &Scene,
    trial: &mut Trial,
    pool: &Pool,
    tally: &Tally,
    allowed: &[Class],
) -> Result<(), Error> {
    let recovered = pool_restores(trial, pool).await;
    let mut timeline = tally.timeline();
    if let (Some(at), Some(fault)) = (recovered, tally.fault) {
        timeline.full_recovery_ms = Some(millis(at - fault));
    }
    trial.timeline = Some(timeline);
    bounded_waits(trial, tally);
    typed_errors(trial, tally, allowed);
    reads_see_writes(trial, tally, allowed);
    let examiner = scene.examiner().await?;
    kept(trial, &examiner, tally).await?;
    leaks_beyond(trial, &examiner, pool.options().max + tally.readers).await?;
    clean_sessions(trial, pool).await;
    Ok(())
}

/// I1, I2, I3: what was acknowledged is there once and whole, what was not applied is not there.
pub(crate) async fn kept(
    trial: &mut Trial,
    examiner: &Examiner,
    tally: &Tally,
) -> Result<(), Error> {
    let mut counts = tally.counts();
    let (Some((first, _)), Some((last, _))) =
        (tally.journal.first_key_value(), tally.journal.last_key_value())
    else {
        trial.proof(false, "nothing was written");
        return Ok(());
    };
    let rows = examiner.query(tally.oracle, &[first, last]).await?;
    let mut there = BTreeSet::new();
    let mut torn = Vec::new();
    let mut doubled = Vec::new();
    for row in rows {
        let operation: i64 = row.try_get("op_id")?;
        let in_ledger: bool = row.try_get("in_ledger")?;
        let copies: i64 = row.try_get("copies")?;
        let text: String = row.try_get("payload")?;
        if copies > 1 {
            doubled.push(operation);
        }
        if !in_ledger
            || copies == 0
            || !row.try_get::<_, bool>("same")?
            || text != payload(operation)
        {
            torn.push(operation);
        }
        there.insert(operation);
    }
    let those = |answer: Answer, present: bool| -> Vec<i64> {
        let of = tally.journal.iter().filter(|(_, one)| **one == answer);
        of.map(|(operation, _)| *operation).filter(|one| there.contains(one) == present).collect()
    };
    let missing = those(Answer::Acknowledged, false);
    let phantom = those(Answer::NotApplied, true);
    let strangers: Vec<i64> =
        there.iter().copied().filter(|one| !tally.journal.contains_key(one)).collect();
    counts.unknown_present = those(Answer::Unknown, true).len() as u64;
    for (invariant, expected, wrong) in [
        (Invariant::NoLoss, "every acknowledged write is there", &missing),
        (Invariant::NoLoss, "each write is whole: its row and its ledger row agree", &torn),
        (Invariant::NoDuplicate, "each write is there once", &doubled),
        (Invariant::NoPhantom, "nothing is there that was reported as not applied", &phantom),
        (Invariant::NoPhantom, "nothing is there that nobody sent", &strangers),
    ] {
        trial.expect(invariant, wrong.is_empty(), expected, named(wrong));
    }
    trial.counts = Some(counts);
    Ok(())
}

fn named(operations: &[i64]) -> String {
    let some: Vec<String> = operations.iter().take(NAMED).map(ToString::to_string).collect();
    format!("{} operations: {}", operations.len(), some.join(", "))
}

/// I4: every call came back within what acquiring, its commands and their retries may take.
pub(crate) fn bounded_waits(trial: &mut Trial, tally: &Tally) {
    let limit = super::heard::bounded(tally.longest);
    let slow = tally.operations.iter().filter(|one| one.ended - one.begun > limit).count();
    let late = slow + tally.unanswered;
    trial.expect(
        Invariant::BoundedWait,
        late == 0,
        format!("every write is answered within {limit:?}"),
        format!("{slow} later, {} never", tally.unanswered),
    );
}

/// I1, as the workload's own reads see it: what was acknowledged is read back.
fn reads_see_writes(trial: &mut Trial, tally: &Tally, allowed: &[Class]) {
    let failed =
        tally.reads.iter().find(|read| read.class.is_some_and(|one| !allowed.contains(&one)));
    if let Some(heard) = failed {
        let expected = "reads succeed, or fail as the fault has it";
        trial.expect(Invariant::TypedError, false, expected, heard.in_words());
    }
    let blind = tally.reads.iter().filter(|read| read.class.is_none());
    let blind = blind.filter(|read| read.answer != Answer::Acknowledged).count();
    let expected = "each acknowledged write is read back by the layer";
    trial.expect(Invariant::NoLoss, blind == 0, expected, format!("{blind} are not"));
    if !tally.reads.is_empty() {
        trial.fact("reads", tally.reads.len());
    }
}

/// I5: every error is of a class that this fault may cause.
pub(crate) fn typed_errors(trial: &mut Trial, tally: &Tally, allowed: &[Class]) {
    let strange = tally.classes().find(|(class, _)| !allowed.contains(class));
    let names: Vec<&str> = allowed.iter().map(|class| class.name()).collect();
    if let Some((_, heard)) = strange {
        let expected = format!("errors of class {}", names.join(", "));
        trial.expect(Invariant::TypedError, false, expected, heard.in_words());
    }
}

/// I6: all places of the pool serve at once; gives when they did.
pub(crate) async fn pool_restores(trial: &mut Trial, pool: &Pool) -> Option<Instant> {
    trial.asked(SERVES);
    let begun = Instant::now();
    let mut last = String::new();
    while begun.elapsed() < RESTORE {
        match all_places(pool).await {
            Ok(()) => return Some(Instant::now()),
            Err(error) => last = error.to_string(),
        }
    }
    let expected = format!("{} sessions at once within {RESTORE:?}", pool.options().max);
    trial.expect(Invariant::PoolRestores, false, expected, last);
    None
}

/// Takes all places of the pool at once and uses each.
pub(crate) async fn all_places(pool: &Pool) -> Result<(), pg_session::Error> {
    let mut sessions = Vec::new();
    for _ in 0..pool.options().max {
        sessions.push(pool.acquire().await.map_err(Box::new)?);
    }
    for session in &mut sessions {
        session.fetch_value::<i32>(SERVES, &[]).await?;
    }
    Ok(())
}

/// I7: when the traffic is over the server holds no more than the pool's idle sessions.
pub(crate) async fn no_leak(
    trial: &mut Trial,
    examiner: &Examiner,
    pool: &Pool,
) -> Result<(), Error> {
    leaks_beyond(trial, examiner, pool.options().max).await
}

/// I7 for a layer that may keep so many sessions.
pub(crate) async fn leaks_beyond(
    trial: &mut Trial,
    examiner: &Examiner,
    max: u32,
) -> Result<(), Error> {
    let max = i64::from(max);
    let mut seen = [0; 5];
    let clean = until(Duration::from_secs(5), async || {
        let row = examiner.query_one(LEFTOVERS, &[&LAYER]).await?;
        for (at, count) in seen.iter_mut().enumerate() {
            *count = row.try_get(at)?;
        }
        let [sessions, open, active, locks, prepared] = seen;
        Ok(sessions <= max && open == 0 && active == 0 && locks == 0 && prepared == 0)
    })
    .await?;
    let [sessions, open, active, locks, prepared] = seen;
    trial.expect(
        Invariant::NoLeak,
        clean,
        format!("at most {max} sessions, none in a transaction, no lock left"),
        format!(
            "{sessions} sessions, {open} in a transaction, {active} active, {locks} locks, \
             {prepared} prepared transactions"
        ),
    );
    Ok(())
}

/// I8: every place of the pool lends a session that is as new.
pub(crate) async fn clean_sessions(trial: &mut Trial, pool: &Pool) {
    trial.asked(NEW_SESSION);
    let looked = async {
        let mut sessions = Vec::new();
        let mut said = BTreeSet::new();
        for _ in 0..pool.options().max {
            sessions.push(pool.acquire().await.map_err(Box::new)?);
        }
        for session in &mut sessions {
            said.insert(session.fetch_value::<String>(NEW_SESSION.1, &[]).await?);
        }
        Ok::<_, pg_session::Error>(said)
    };
    let found = match looked.await {
        Ok(said) => said.into_iter().collect::<Vec<_>>().join("; "),
        Err(error) => error.to_string(),
    };
    trial.expect(
        Invariant::CleanSession,
        found == "t t t t t t t",
        "role, search_path, isolation, no transaction, no advisory lock, no temporary table, no \
         LISTEN: all true",
        found,
    );
}
