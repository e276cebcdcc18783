//! Writing transactions on a table of the load tests' own: many callers at once, and rollbacks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pg_session::{Config, Error as SessionError, Pool, TransactionOptions};
use tokio::time::Instant;

use super::bench::{Bench, Writes};
use super::found::{Found, Phase, figure_named};
use super::generator::{Answer, Span};
use super::queries::merged;
use super::sample::{Recording, Sample};
use super::scratch::Scratch;
use super::summary::{ROUNDS, count, latency, not_measured};
use super::workload::unserved;
use crate::Error;
use crate::evidence::Outcome;
use crate::statistics::{bootstrap, rate_bound};

/// The claims of [`concurrency`].
pub const CALLERS: &str = "concurrency.callers";
/// Committed transactions a second.
pub const TRANSACTIONS: &str = "concurrency.transactions";
/// The share of transactions that meet a deadlock.
pub const DEADLOCKS: &str = "concurrency.deadlocks";
/// The wait for a connection.
pub const QUEUE_TIME: &str = "concurrency.queue_time";
/// The claim of [`rollback`].
pub const ROLLBACK: &str = "failure_modes.rollback";

/// Rows that the callers share.
const ROWS: i32 = 1_000;
/// Rows that callers share who are to meet each other.
#[cfg(test)]
const FEW_ROWS: i32 = 12;
/// Rows that one transaction writes.
const BATCH: usize = 4;
/// Rows that a transaction has written when it rolls back.
const ROLLED_BACK: i32 = 100;

/// Name of the statement that the transactions run.
const UPSERT_NAME: &str = "upsert of load_entry";
const UPSERT: &str = "INSERT INTO load_entry (key, data) \
                      SELECT key, '{\"delta\": 0.5}' FROM unnest($1::integer[]) AS key \
                      ON CONFLICT (key) DO UPDATE \
                      SET data = excluded.data, writes = load_entry.writes + 1, updated_at = now()";

/// In which order a transaction writes its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// All transactions in the same order, so that none waits for one that waits for it.
    Ascending,
    /// As it comes: a way into deadlocks, to see that they are noticed.
    #[cfg(test)]
    Random,
}

/// Runs as many callers as the contract's figure names at once on its pool, one transaction after the
/// other without a pause.
///
/// # Errors
///
/// [`Error::Database`] when the server cannot be reached or refuses the scratch schema.
pub async fn concurrency(bench: &Bench<'_>) -> Result<Found, Error> {
    callers(bench, Order::Ascending).await
}

pub(super) async fn callers(bench: &Bench<'_>, order: Order) -> Result<Found, Error> {
    let contract = bench.contract;
    let mut found = Found::default();
    if bench.writes == Writes::No {
        let reason =
            "it needs writing transactions; --allow-writes permits them in a schema of their own";
        found.unmeasured(contract, [CALLERS, TRANSACTIONS, DEADLOCKS, QUEUE_TIME], reason);
        return Ok(found);
    }
    let work = async |config: Config| at_once(bench, config, order).await;
    let (recordings, activity) = on_table(bench, work).await?;
    let all = merged(&recordings);
    let count_callers = recordings.len();
    let pool = &contract.model.pool;
    let method = format!(
        "closed loop: {count_callers} callers at once on a pool of {}, each beginning its next \
         transaction when the last has ended",
        pool.max
    );
    found.record(contract, CALLERS, &method, served(&recordings));
    found.record(contract, TRANSACTIONS, &method, rate(&all, bench.seed));
    found.record(contract, DEADLOCKS, &method, deadlocks(&all));
    if let Some(figure) = figure_named(contract, QUEUE_TIME) {
        let waits: Vec<u32> = all.samples.iter().map(Sample::wait).collect();
        let outcome = latency(&waits, &figure.statistic, &figure.unit);
        found.record(contract, QUEUE_TIME, &method, outcome);
    }
    for name in [CALLERS, TRANSACTIONS, DEADLOCKS, QUEUE_TIME] {
        if let Some(figure) = figure_named(contract, name) {
            found.doubt(figure, &method, all.course.doubt());
        }
        found.sent(name, [(UPSERT_NAME, UPSERT)]);
    }
    let workload = format!(
        "{count_callers} callers on a pool of {}; each transaction upserts {BATCH} of {ROWS} rows in \
         one statement between BEGIN and COMMIT",
        pool.max
    );
    found.phases.push(Phase::new("concurrency", workload, &[("transactions", &all)], activity));
    Ok(found)
}

/// Callers that the contract's figure names.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of callers is small and positive"
)]
fn wanted_callers(bench: &Bench<'_>) -> usize {
    let wanted = figure_named(bench.contract, CALLERS).and_then(|figure| figure.at_least);
    wanted.map_or(50, |callers| callers.ceil().clamp(1.0, 1_000.0) as usize)
}

/// Does the work on the table of the transactions, which sessions of the given configuration find.
async fn on_table<T>(
    bench: &Bench<'_>,
    work: impl AsyncFnOnce(Config) -> Result<T, Error>,
) -> Result<T, Error> {
    let client = pg_session::connect(&bench.config).await?;
    Scratch::within(&client, &bench.config, async |scratch: &Scratch| {
        let entry = scratch.name("load_entry");
        let make = format!(
            "CREATE TABLE {entry} (key integer PRIMARY KEY, data jsonb NOT NULL, \
             writes bigint NOT NULL DEFAULT 0, updated_at timestamptz NOT NULL DEFAULT now()) \
             WITH (fillfactor = 50); \
             INSERT INTO {entry} (key, data) \
             SELECT key, '{{}}' FROM generate_series(1, {ROWS}) AS key; \
             ANALYZE {entry}"
        );
        client.batch_execute(&make).await?;
        work(scratch.config().clone()).await
    })
    .await
}

async fn at_once(
    bench: &Bench<'_>,
    config: Config,
    order: Order,
) -> Result<(Vec<Recording>, super::watch::Activity), Error> {
    let pool = bench.pool(config).await?;
    let callers = wanted_callers(bench);
    let span = Span { warm_up: Duration::from_secs(1), ..bench.span };
    let doing = format!("{callers} callers at once on a pool of {}", pool.options().max);
    let (seed, shared) = (bench.seed, pool.clone());
    let operate = move |caller: usize, nth: u64| {
        let random = fastrand::Rng::with_seed(seed ^ ((caller as u64) << 40) ^ nth);
        let (pool, keys) = (shared.clone(), keys(order, random));
        (caller, async move { transaction(&pool, &keys).await })
    };
    let measured = bench.closed_loop(&doing, (callers, callers), span, operate).await;
    pool.close();
    measured
}

/// Different keys, in the given order.
fn keys(order: Order, mut random: fastrand::Rng) -> Vec<i32> {
    let rows = match order {
        Order::Ascending => ROWS,
        #[cfg(test)]
        Order::Random => FEW_ROWS,
    };
    let mut keys = Vec::with_capacity(BATCH);
    while keys.len() < BATCH {
        let key = random.i32(1..=rows);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if order == Order::Ascending {
        keys.sort_unstable();
    }
    keys
}

/// The class under which deadlocks are counted.
const DEADLOCK: &str = "deadlock";

async fn transaction(pool: &Pool, keys: &[i32]) -> Answer {
    let began = Instant::now();
    let session = pool.acquire().await;
    let served = Instant::now();
    let mut session = match session {
        Ok(session) => session,
        Err(error) => return unserved(began, served, &SessionError::from(Box::new(error))),
    };
    let written = async {
        let mut transaction = session.begin(&TransactionOptions::default()).await?;
        transaction.execute(UPSERT, &[&keys]).await?;
        transaction.commit().await
    }
    .await;
    let done = Instant::now();
    drop(session);
    let failure = written.err().map(|error| match error.sqlstate() {
        Some("40P01") => DEADLOCK,
        _ => error.class().name(),
    });
    Answer { began, served, done, working: done - served, held: served.elapsed(), failure }
}

/// How many callers had every transaction of theirs served.
fn served(callers: &[Recording]) -> Outcome {
    let transactions: usize = callers.iter().map(|caller| caller.samples.len()).sum();
    let is_served = |caller: &&Recording| {
        let unserved = |sample: &Sample| sample.held == 0;
        !caller.samples.is_empty() && !caller.samples.iter().any(unserved)
    };
    let served = count(callers.iter().filter(is_served).count());
    // Each caller was looked at, so that the count is no estimate.
    Outcome::Measured {
        n: transactions as u64,
        n_needed: callers.len() as u64,
        value: served,
        bound: served,
        unit: "callers".to_owned(),
        statistics: vec![("callers".to_owned(), count(callers.len()))],
    }
}

/// Committed transactions a second.
fn rate(all: &Recording, seed: u64) -> Outcome {
    /// Long enough that neighbouring slots know little of each other.
    const SLOT: Duration = Duration::from_millis(500);
    if all.course.interrupted {
        return not_measured("the run was interrupted, and what was left of it has no rate");
    }
    let slots = usize::try_from(all.measured.as_nanos() / SLOT.as_nanos()).unwrap_or(0);
    if slots < 4 {
        return not_measured("less than two seconds were measured");
    }
    let mut committed = vec![0.0; slots];
    for sample in all.samples.iter().filter(|sample| sample.failure.is_none()) {
        let end = sample.due + u64::from(sample.done);
        let slot = usize::try_from(u128::from(end) * 1_000 / SLOT.as_nanos()).unwrap_or(usize::MAX);
        // What commits after the end counts nowhere.
        if let Some(slot) = committed.get_mut(slot) {
            *slot += 1.0 / SLOT.as_secs_f64();
        }
    }
    let mean = |slots: &[f64]| slots.iter().sum::<f64>() / count(slots.len());
    let value = mean(&committed);
    let Some((low, _)) = bootstrap(&committed, ROUNDS, seed, mean) else {
        return not_measured("nothing was measured");
    };
    let least = committed.iter().copied().fold(f64::INFINITY, f64::min);
    Outcome::Measured {
        n: all.samples.len() as u64,
        // Few are enough to refute; the bound sees to it that few prove nothing.
        n_needed: 10,
        value,
        bound: low.min(value),
        unit: "tx/s".to_owned(),
        statistics: vec![("least in half a second".to_owned(), least)],
    }
}

/// The share of transactions that met a deadlock, in percent.
fn deadlocks(all: &Recording) -> Outcome {
    let failures: BTreeMap<_, _> = all.failures();
    let met = failures.get(DEADLOCK).copied().unwrap_or(0);
    let trials = all.samples.len() as u64;
    let share = if trials == 0 {
        f64::NAN
    } else {
        count(usize::try_from(met).unwrap_or(0)) / count(all.samples.len())
    };
    Outcome::Measured {
        n: trials,
        // Few are enough to refute; the bound sees to it that few prove nothing.
        n_needed: 10,
        value: share * 100.0,
        bound: rate_bound(met, trials) * 100.0,
        unit: "%".to_owned(),
        statistics: Vec::new(),
    }
}

/// Times rollbacks of transactions that have written.
///
/// # Errors
///
/// As [`concurrency`].
pub async fn rollback(bench: &Bench<'_>) -> Result<Found, Error> {
    let contract = bench.contract;
    let mut found = Found::default();
    if bench.writes == Writes::No {
        let reason =
            "it needs writing transactions; --allow-writes permits them in a schema of their own";
        found.unmeasured(contract, [ROLLBACK], reason);
        return Ok(found);
    }
    let work = async |config: Config| rollbacks(bench, config).await;
    let (recording, activity) = on_table(bench, work).await?;
    let method = "BEGIN, an upsert of 100 rows, ROLLBACK, of which the last is timed, one after the \
                  other through the contracted pool";
    let (of, without_lag) = (Sample::response, Sample::since_begun);
    found.record_latency(contract, ROLLBACK, method, &recording, of, without_lag);
    found.sent(ROLLBACK, [(UPSERT_NAME, UPSERT)]);
    let workload =
        format!("transactions that upsert {ROLLED_BACK} rows and roll back, one at a time");
    found.phases.push(Phase::new("rollback", workload, &[("rollback", &recording)], activity));
    Ok(found)
}

async fn rollbacks(
    bench: &Bench<'_>,
    config: Config,
) -> Result<(Recording, super::watch::Activity), Error> {
    /// More than enough for the bound of p99.
    const REPEATS: u32 = 500;
    /// Enough for the bound of p95, with which slow ones end after [`LONGEST`].
    const LEAST: u32 = 60;
    const LONGEST: Duration = Duration::from_secs(10);
    let pool = bench.pool(config).await?;
    let done = AtomicU64::new(0);
    let zero = Duration::ZERO;
    let span = Span { warm_up: zero, measured: zero, drain: zero };
    let keys: Vec<i32> = (1..=ROLLED_BACK).collect();
    let work = async {
        let start = Instant::now();
        let mut recording = Recording::default();
        for nth in 0..REPEATS {
            if bench.stopped() {
                recording.course.interrupted = true;
                break;
            }
            if nth >= LEAST && start.elapsed() > LONGEST {
                break;
            }
            let answer = rolled_back(&pool, &keys).await;
            recording.samples.push(answer.sample(answer.began - start));
            done.fetch_add(1, Ordering::Relaxed);
        }
        recording.measured = start.elapsed();
        recording
    };
    let watched = bench.watched("rollbacks", span, &done, work).await;
    pool.close();
    watched
}

/// Writes and rolls back; the answer speaks of the rollback alone.
async fn rolled_back(pool: &Pool, keys: &[i32]) -> Answer {
    let mut asked = None;
    let outcome: Result<(), SessionError> = async {
        let mut session = pool.acquire().await.map_err(Box::new)?;
        let mut transaction = session.begin(&TransactionOptions::default()).await?;
        transaction.execute(UPSERT, &[&keys]).await?;
        asked = Some(Instant::now());
        transaction.rollback().await
    }
    .await;
    let done = Instant::now();
    let began = asked.unwrap_or(done);
    let failure = outcome.err().map(|error| error.class().name());
    Answer { began, served: began, done, working: done - began, held: done - began, failure }
}

#[cfg(test)]
mod tests {
    use pg_local::testing::TestDatabase;
    use tokio::sync::watch;

    use super::*;
    use crate::catalog;
    use crate::claim::Claim;
    use crate::contract::{Contract, source};
    use crate::evidence::Evidence;
    use crate::load::{Profile, Progress, Test, plan_of};
    use crate::verdict::{Status, judge_all};

    async fn bench<'a>(contract: &'a Contract, database: &TestDatabase) -> Bench<'a> {
        let config = Config::from_url(database.url()).unwrap();
        Bench {
            contract,
            server: catalog::server_facts(&config, contract).await.unwrap(),
            config,
            profile: Profile::Quick,
            span: Span {
                warm_up: Duration::ZERO,
                measured: Duration::from_secs(4),
                drain: Duration::from_secs(6),
            },
            seed: 3,
            writes: Writes::Scratch,
            pgbench: None,
            stop: watch::channel(false).1,
            progress: &|_: &Progress| (),
        }
    }

    fn status(contract: &Contract, found: &Found, figure: &str) -> Status {
        let id = format!("load.{figure}");
        let claims: Vec<Claim> = plan_of(contract, &Test::ALL);
        let claim = claims.iter().find(|claim| claim.id == id).unwrap();
        let evidence: Vec<Evidence> =
            found.evidence.iter().filter(|one| one.claim == id).cloned().collect();
        judge_all(claim, &evidence).status
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn writers_in_any_order_meet_deadlocks_and_those_in_one_order_do_not() {
        let database = TestDatabase::empty().unwrap();
        // So that breaking a deadlock takes no second.
        let quickly = format!("ALTER DATABASE {} SET deadlock_timeout = '20ms'", database.name());
        database.run_sql(&quickly).unwrap();
        let contract = source::load(None).unwrap();
        let bench = bench(&contract, &database).await;
        let sound = callers(&bench, Order::Ascending).await.unwrap();
        assert_ne!(status(&contract, &sound, DEADLOCKS), Status::Refuted, "{:?}", sound.evidence);
        assert_eq!(status(&contract, &sound, CALLERS), Status::Proven, "{:?}", sound.evidence);
        let broken = callers(&bench, Order::Random).await.unwrap();
        assert_eq!(status(&contract, &broken, DEADLOCKS), Status::Refuted, "{:?}", broken.evidence);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn callers_that_get_no_connection_are_not_served() {
        let database = TestDatabase::empty().unwrap();
        let mut contract = source::load(None).unwrap();
        contract.model.pool.min = 0;
        contract.model.pool.max = 2;
        contract.model.pool.acquire_timeout_ms = 1;
        let found = callers(&bench(&contract, &database).await, Order::Ascending).await.unwrap();
        assert_eq!(status(&contract, &found, CALLERS), Status::Refuted, "{:?}", found.evidence);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_written_without_leave() {
        let database = TestDatabase::empty().unwrap();
        let contract = source::load(None).unwrap();
        let bench = Bench { writes: Writes::No, ..bench(&contract, &database).await };
        let mut found = concurrency(&bench).await.unwrap();
        found.add(rollback(&bench).await.unwrap());
        for figure in [CALLERS, TRANSACTIONS, DEADLOCKS, QUEUE_TIME, ROLLBACK] {
            assert_eq!(status(&contract, &found, figure), Status::Unproven);
        }
        let tables = "SELECT count(*) FROM pg_class WHERE relname = 'load_entry'";
        assert_eq!(database.run_sql(tables).unwrap().trim(), "0");
    }

    #[test]
    fn the_rate_is_that_of_commits() {
        let one = Sample {
            due: 0,
            began: 0,
            served: 0,
            done: 100,
            working: 100,
            held: 100,
            failure: None,
        };
        // 100 transactions in each of 10 seconds, every tenth of which fails.
        let samples = (0..1_000_u64)
            .map(|at| Sample {
                due: at * 10_000,
                failure: at.is_multiple_of(10).then_some(DEADLOCK),
                ..one
            })
            .collect();
        let all = Recording { samples, measured: Duration::from_secs(10), ..Recording::default() };
        let Outcome::Measured { value, bound, .. } = rate(&all, 1) else { panic!("no rate") };
        assert!((value - 90.0).abs() < 1e-9 && bound <= value, "{value} {bound}");
        let Outcome::Measured { value, bound, .. } = deadlocks(&all) else { panic!("no share") };
        assert!((value - 10.0).abs() < 1e-9 && (11.0..12.0).contains(&bound), "{value} {bound}");
        let nothing = Recording::default();
        assert!(matches!(rate(&nothing, 1), Outcome::NotMeasured { .. }));
    }
}
