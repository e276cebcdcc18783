//! All queries with limits at their contracted throughput, at once, on the contract's pool.

use std::time::Duration;

use pg_session::Pool;

use super::bench::Bench;
use super::found::{Found, Phase, figure_named};
use super::generator::Stream;
use super::sample::{Recording, Sample};
use super::schedule::Arrivals;
use super::summary::{ROUNDS, count, not_measured};
use super::workload::{self, LoadedQuery, Manner, NONE_RUNS};
use crate::Error;
use crate::evidence::{Finding, Outcome};
use crate::statistics::{CONFIDENCE, bootstrap};

/// The claim that a connection is had in time.
pub const ACQUIRE: &str = "pool.acquire";
/// The claim that connections work while they are held.
pub const EFFICIENCY: &str = "pool.utilisation_efficiency";
/// The claim that every session comes back.
pub const LEAKS: &str = "pool.leaks";

/// The phase of the queries; its streams, and the figures of these, begin with its name.
pub(super) const PHASE: &str = "queries";

const METHOD: &str = "open loop: every query with limits at its contracted rate, all at once, Poisson \
                      arrivals, through one pool as contracted; latency from the due instant";

/// Acquisitions that the count of leaks needs, for a bound below one percent.
const LEAK_TRIALS: u64 = 299;

/// Measures the queries and the pool below them.
///
/// # Errors
///
/// [`Error::Database`] when the server cannot be reached.
pub async fn measure(bench: &Bench<'_>) -> Result<Found, Error> {
    by_callers(bench, Manner::Prompt).await
}

async fn by_callers(bench: &Bench<'_>, manner: Manner) -> Result<Found, Error> {
    let contract = bench.contract;
    let client = pg_session::connect(&bench.read_only()).await?;
    let mut found = Found::default();
    let (loaded, unloadable) = workload::queries(&client, contract).await?;
    for query in &unloadable {
        let figure = format!("{PHASE}.{}", query.name);
        found.unmeasured(contract, [figure.as_str()], &query.reason);
    }
    found.unloadable = unloadable;
    drop(client);
    if loaded.is_empty() {
        found.unmeasured(contract, [ACQUIRE, EFFICIENCY, LEAKS], NONE_RUNS);
        return Ok(found);
    }
    let pool = bench.pool(bench.read_only()).await?;
    let streams: Vec<Stream> = loaded.iter().map(contracted).collect();
    let total: f64 = streams.iter().map(|stream| stream.rate).sum();
    let doing = format!("queries at their contracted rates, {total:.0} a second");
    let span = bench.span;
    let operate = operation(&pool, &loaded, bench.seed, manner);
    let (recordings, activity) = bench.open_loop(&doing, &streams, span, operate).await?;

    for (query, recording) in loaded.iter().zip(&recordings) {
        let figure = format!("{PHASE}.{}", query.name);
        let (of, without_lag) = (Sample::response, Sample::since_begun);
        found.record_latency(contract, &figure, METHOD, recording, of, without_lag);
        found.ran(&figure, [query.file.as_str()]);
    }
    let all = merged(&recordings);
    let since_begun = |sample: &Sample| sample.wait().saturating_sub(sample.began);
    found.record_latency(contract, ACQUIRE, METHOD, &all, Sample::wait, since_begun);
    if let Some(figure) = figure_named(contract, EFFICIENCY) {
        let method = "time of statements over time with a connection in hand, in the same run";
        found.record(contract, EFFICIENCY, method, efficiency(&all, &figure.unit, bench.seed));
        found.doubt(figure, method, all.course.doubt());
    }
    if let Some(figure) = figure_named(contract, LEAKS) {
        let method = "sessions that had not come back when the load was over, and backends beyond \
                      the pool's connections";
        let outcome = leaks(&pool).await;
        found.record(contract, LEAKS, method, outcome);
        let doubt = all.course.interrupted.then(|| all.course.doubt()).flatten();
        found.doubt(figure, method, doubt);
    }
    // What the pool served.
    for figure in [ACQUIRE, EFFICIENCY, LEAKS] {
        found.ran(figure, loaded.iter().map(|query| query.file.as_str()));
    }
    pool.close();

    let named: Vec<(&str, &Recording)> =
        loaded.iter().map(|query| query.name.as_str()).zip(&recordings).collect();
    let rates: Vec<String> =
        loaded.iter().map(|query| format!("{} {}/s", query.name, query.sla.per_second)).collect();
    let pool = &contract.model.pool;
    let workload = format!(
        "{}, all at once with Poisson arrivals, through one pool of {} to {} connections, parameters \
         from the data by the contract's sampling queries",
        rates.join(", "),
        pool.min,
        pool.max
    );
    found.phases.push(Phase::new(PHASE, workload, &named, activity));
    Ok(found)
}

/// The stream of a query at its contracted rate.
pub(super) fn contracted(query: &LoadedQuery) -> Stream {
    Stream { rate: query.sla.per_second, arrivals: Arrivals::Poisson }
}

/// Begins operations on `pool`: the number of the stream is that of the query. Which row of
/// parameters an operation takes depends on its number and `seed` alone.
pub(super) fn operation(
    pool: &Pool,
    queries: &[LoadedQuery],
    seed: u64,
    manner: Manner,
) -> impl Fn(usize, u64) -> workload::Call + Clone + use<> {
    let (pool, queries) = (pool.clone(), queries.to_vec());
    move |stream, nth| {
        let query = &queries[stream];
        let pick = fastrand::Rng::with_seed(seed ^ nth).usize(..query.parameters.len());
        workload::call(pool.clone(), query.sql.clone(), query.parameters.clone(), pick, manner)
    }
}

/// The operations of all streams in the order in which they were due.
pub(super) fn merged(recordings: &[Recording]) -> Recording {
    let mut samples: Vec<Sample> =
        recordings.iter().flat_map(|recording| recording.samples.iter().copied()).collect();
    samples.sort_by_key(|sample| sample.due);
    Recording {
        samples,
        pending: recordings.iter().map(|recording| recording.pending).sum(),
        offered: recordings.iter().map(|recording| recording.offered).sum(),
        measured: recordings.first().map_or(Duration::ZERO, |recording| recording.measured),
        warmed_up: recordings.iter().map(|recording| recording.warmed_up).sum(),
        course: recordings.first().map(|recording| recording.course.clone()).unwrap_or_default(),
    }
}

/// The share of the time with a connection in hand that was spent on statements, in percent.
fn efficiency(recording: &Recording, unit: &str, seed: u64) -> Outcome {
    if unit != "%" {
        return not_measured(format!("the efficiency is measured in %, not in `{unit}`"));
    }
    let used: Vec<(f64, f64)> = recording
        .samples
        .iter()
        .filter(|sample| sample.held > 0)
        .map(|sample| (f64::from(sample.working), f64::from(sample.held)))
        .collect();
    let sum = |units: &[(f64, f64)]| units.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    let ratio = |units: &[(f64, f64)]| {
        let (working, held) = sum(units);
        100.0 * working / held
    };
    // Blocks keep neighbours together, whose shares are alike.
    let blocks: Vec<(f64, f64)> =
        used.chunks(used.len().div_ceil(BLOCKS).max(1)).map(sum).collect();
    let Some((low, _)) = bootstrap(&blocks, ROUNDS, seed, ratio) else {
        return not_measured("no operation got a connection");
    };
    let value = ratio(&used);
    Outcome::Measured {
        n: used.len() as u64,
        n_needed: 300,
        value,
        bound: low.min(value),
        unit: unit.to_owned(),
        statistics: vec![("mean held ms".to_owned(), sum(&used).1 / count(used.len()) / 1_000.0)],
    }
}

const BLOCKS: usize = 25;

/// Counts the sessions that did not come back to a pool that nobody uses any more.
pub(super) async fn leaks(pool: &Pool) -> Outcome {
    // A connection that is being closed counts as out for as long as that takes.
    for _ in 0..50 {
        if pool.status().out == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let trials = pool.status().acquired;
    if trials < LEAK_TRIALS {
        return not_measured(format!(
            "{trials} acquisitions; {LEAK_TRIALS} are needed for a bound below 1 % at {} % confidence",
            CONFIDENCE * 100.0
        ));
    }
    let findings: Vec<Finding> = pool
        .held_longer_than(Duration::ZERO)
        .into_iter()
        .map(|holder| Finding {
            object: holder.location.to_string(),
            expected: "the session comes back when its work is done".to_owned(),
            found: format!("held for {:.1} s", holder.held.as_secs_f64()),
            remedy: Some("drop the session where it was taken".to_owned()),
        })
        .collect();
    Outcome::Counted { trials, population: None, wrong: findings.len() as u64, findings }
}

#[cfg(test)]
mod tests {
    use pg_local::testing::TestDatabase;
    use pg_session::{Config, PoolOptions};
    use tokio::sync::watch;

    use super::*;
    use crate::catalog;
    use crate::contract::{QuerySql, Sla, source};
    use crate::load::generator::Span;
    use crate::load::{Profile, Progress, Test, Writes, plan_of};
    use crate::verdict::{Status, judge_all};

    fn sample(working: u32, held: u32) -> Sample {
        Sample { due: 0, began: 0, served: 1, done: 2, working, held, failure: None }
    }

    #[test]
    fn the_efficiency_is_the_share_of_the_time_held() {
        let samples = [sample(900, 1_000), sample(2_700, 3_000)].repeat(200);
        let recording = Recording { samples, ..Recording::default() };
        let Outcome::Measured { n, value, bound, .. } = efficiency(&recording, "%", 1) else {
            panic!("expected a figure")
        };
        assert_eq!(n, 400);
        assert!((value - 90.0).abs() < 1e-9 && bound <= value, "{value} {bound}");
        let idle = Recording::default();
        assert!(matches!(efficiency(&idle, "%", 1), Outcome::NotMeasured { .. }));
        assert!(matches!(efficiency(&recording, "ms", 1), Outcome::NotMeasured { .. }));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn callers_that_keep_their_connections_waste_them() {
        let database = TestDatabase::empty().unwrap();
        let mut contract = source::load(None).unwrap();
        let query = &mut contract.model.queries[0];
        query.parameters = Vec::new();
        query.sla = Some(Sla { p95_ms: 1_000.0, per_second: 100.0 });
        contract.model.queries.truncate(1);
        let statement = "SELECT pg_sleep(0.01)".to_owned();
        contract.query_sql = vec![QuerySql { statement, sample: None }];
        let config = Config::from_url(database.url()).unwrap();
        let bench = Bench {
            contract: &contract,
            server: catalog::server_facts(&config, &contract).await.unwrap(),
            config,
            profile: Profile::Quick,
            span: Span {
                warm_up: Duration::ZERO,
                measured: Duration::from_secs(5),
                drain: Duration::from_secs(5),
            },
            seed: 5,
            writes: Writes::No,
            pgbench: None,
            stop: watch::channel(false).1,
            progress: &|_: &Progress| (),
        };
        let id = format!("load.{EFFICIENCY}");
        let claims = plan_of(&contract, &Test::ALL);
        let claim = claims.iter().find(|claim| claim.id == id).unwrap();
        let judged = async |manner| {
            let found = by_callers(&bench, manner).await.unwrap();
            let of_claim: Vec<_> =
                found.evidence.into_iter().filter(|one| one.claim == id).collect();
            judge_all(claim, &of_claim)
        };
        let sound = judged(Manner::Prompt).await;
        assert_ne!(sound.status, Status::Refuted, "{sound:?}");
        let broken = judged(Manner::Dawdling).await;
        assert_eq!(broken.status, Status::Refuted, "{broken:?}");
    }

    #[tokio::test]
    async fn a_session_that_is_kept_is_a_leak() {
        let database = TestDatabase::empty().unwrap();
        let config = Config::from_url(database.url()).unwrap();
        let pool = Pool::open(config, PoolOptions::default()).await.unwrap();
        assert!(matches!(leaks(&pool).await, Outcome::NotMeasured { .. }), "too few trials");
        for _ in 0..LEAK_TRIALS {
            drop(pool.acquire().await.unwrap());
        }
        let outcome = leaks(&pool).await;
        assert!(matches!(outcome, Outcome::Counted { trials: 299, wrong: 0, .. }), "{outcome:?}");
        let kept = pool.acquire().await.unwrap();
        let Outcome::Counted { trials: 300, wrong: 1, findings, .. } = leaks(&pool).await else {
            panic!("the session that is kept went unnoticed")
        };
        assert!(findings[0].object.contains("queries.rs"), "{findings:?}");
        drop(kept);
    }
}
