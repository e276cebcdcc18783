//! How each axis is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pg_session::Config;
use tokio::time::Instant;

use super::{Point, Scale};
use crate::load::bench::{Bench, Profile, Writes};
use crate::load::closed;
use crate::load::generator::{Span, Stream};
use crate::load::ingest::{Batch, Ingest};
use crate::load::machine::Machine;
use crate::load::queries::{contracted, merged, operation};
use crate::load::sample::micros;
use crate::load::scratch::Scratch;
use crate::load::summary::{Quantiles, censored};
use crate::load::workload::{self, LoadedQuery, Manner, NONE_RUNS};
use crate::{Error, scratch, seed};

const CONNECTIONS: [u32; 7] = [1, 2, 5, 10, 20, 50, 100];
const PARAMETERS: [usize; 4] = [1, 10, 100, 1_000];
const BATCHES: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// Batches of each size, however long they take.
const LEAST_BATCHES: usize = 3;

/// How long a point is measured: a tenth of what a phase is, for there are many.
fn span(bench: &Bench<'_>) -> Span {
    let measured = bench.span.measured / 10;
    let measured = measured.clamp(Duration::from_millis(500), Duration::from_secs(15));
    let warm_up = (measured / 5).max(Duration::from_millis(500));
    Span { warm_up, measured, drain: Duration::from_secs(2) }
}

/// The contracted mix of queries by callers in a closed loop, each with a connection of its own.
pub(super) async fn connections(
    bench: &Bench<'_>,
    queries: &[LoadedQuery],
    scale: &mut Scale,
) -> Result<(), Error> {
    if queries.is_empty() {
        scale.leave_out("all", NONE_RUNS);
        return Ok(());
    }
    let client = pg_session::connect(&bench.config).await?;
    let is_shared = bench.writes != Writes::Anywhere;
    let free = client.query_one(include_str!("free_connections.sql"), &[&is_shared]).await?;
    // The one that asks is given back for the one that watches.
    let free: i64 = free.try_get(0)?;
    drop(client);
    let span = span(bench);
    for connections in CONNECTIONS {
        if bench.stopped() {
            break;
        }
        if i64::from(connections) > free {
            scale.leave_out(connections, format!("the server has {free} connections to give"));
            continue;
        }
        let pool = match bench.pool_of(bench.read_only(), connections, connections).await {
            Err(Error::Database(error)) if error.sqlstate().is_some() => {
                scale.leave_out(connections, format!("the server refused: {error}"));
                continue;
            }
            pool => pool?,
        };
        let call = operation(&pool, queries, bench.seed, Manner::Prompt);
        let choice = Choice::of(queries);
        let seed = bench.seed;
        let operate = move |caller: usize, nth: u64| {
            let number = ((caller as u64) << 40) ^ nth;
            let query = choice.pick(seed ^ number);
            (query, call(query, number))
        };
        let callers = usize::try_from(connections).unwrap_or(usize::MAX);
        let doing = format!("queries by callers in a closed loop, connections: {connections}");
        let loops = bench.closed_loop(&doing, (callers, queries.len()), span, operate);
        let measured = loops.await;
        pool.close();
        let (recordings, activity) = measured?;
        let rate = closed::answered_per_second(&recordings);
        scale.take(bench, Point::of(connections.into(), rate, queries, &recordings, activity));
    }
    Ok(())
}

/// Chooses queries as often as their contracted rates ask for.
#[derive(Clone)]
struct Choice(Arc<Vec<f64>>);

impl Choice {
    fn of(queries: &[LoadedQuery]) -> Self {
        Self(Arc::new(queries.iter().map(|query| query.sla.per_second).collect()))
    }

    fn pick(&self, seed: u64) -> usize {
        let mut left = fastrand::Rng::with_seed(seed).f64() * self.0.iter().sum::<f64>();
        let chosen = self.0.iter().position(|rate| {
            left -= rate;
            left < 0.0
        });
        chosen.unwrap_or(0)
    }
}

/// The queries at their contracted rates, with more and more rows of parameters to choose from.
pub(super) async fn parameters(
    bench: &Bench<'_>,
    queries: &[LoadedQuery],
    scale: &mut Scale,
) -> Result<(), Error> {
    let Some(most) = queries.iter().map(|query| query.parameters.len()).max() else {
        scale.leave_out("all", NONE_RUNS);
        return Ok(());
    };
    let mut before = 0;
    for rows in PARAMETERS {
        if bench.stopped() {
            break;
        }
        if rows > most {
            scale.leave_out(rows, format!("no query has more than {most} rows of parameters"));
            if before == most {
                continue;
            }
        }
        before = rows.min(most);
        let fewer: Vec<LoadedQuery> = queries
            .iter()
            .map(|query| {
                let parameters = query.parameters.iter().take(before).cloned().collect();
                LoadedQuery { parameters: Arc::new(parameters), ..query.clone() }
            })
            .collect();
        let doing = format!("queries at their contracted rates, rows of parameters: {before}");
        let point = at_rates(bench, &doing, before as u64, &fewer).await?;
        scale.take(bench, point);
    }
    for query in queries.iter().filter(|query| query.parameters.len() < before) {
        let has = format!("its rows of parameters are {}", query.parameters.len());
        scale.leave_out(format!("more of {}", query.name), has);
    }
    Ok(())
}

/// All queries at their contracted rates on the contracted pool.
async fn at_rates(
    bench: &Bench<'_>,
    doing: &str,
    at: u64,
    queries: &[LoadedQuery],
) -> Result<Option<Point>, Error> {
    let pool = bench.pool(bench.read_only()).await?;
    let streams: Vec<Stream> = queries.iter().map(contracted).collect();
    let operate = operation(&pool, queries, bench.seed, Manner::Prompt);
    let measured = bench.open_loop(doing, &streams, span(bench), operate).await;
    pool.close();
    let (recordings, activity) = measured?;
    let rate = merged(&recordings).achieved();
    Ok(Point::of(at, rate, queries, &recordings, activity))
}

/// Statements that ingest more and more rows each, one after the other on one connection.
pub(super) async fn batches(bench: &Bench<'_>, scale: &mut Scale) -> Result<(), Error> {
    if bench.writes == Writes::No {
        let reason = "it writes; --allow-writes permits that in a schema of its own";
        scale.leave_out("all", reason);
        return Ok(());
    }
    let client = pg_session::connect(&bench.config).await?;
    let work = async |scratch: &Scratch| {
        let ingest = Ingest::make(&client, scratch, &bench.server).await?;
        for rows in BATCHES {
            if bench.stopped() {
                break;
            }
            let point = batch(bench, &ingest, rows).await?;
            scale.take(bench, Some(point));
        }
        Ok(())
    };
    Scratch::within(&client, &bench.config, work).await
}

async fn batch(bench: &Bench<'_>, ingest: &Ingest, rows: usize) -> Result<Point, Error> {
    let client = pg_session::connect(&bench.config).await?;
    let (batch, span, done) = (Batch::of(rows), span(bench), AtomicU64::new(0));
    let work = async {
        ingest.write(&client, &batch).await?;
        let (start, mut times, mut written) = (Instant::now(), Vec::new(), 0);
        while times.len() < LEAST_BATCHES || start.elapsed() < span.measured && !bench.stopped() {
            let began = Instant::now();
            written += ingest.write(&client, &batch).await?;
            times.push(micros(began.elapsed()));
            done.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<_, Error>((times, written, start.elapsed()))
    };
    let doing = format!("ingest, rows in one statement: {rows}");
    let at_once = Span { warm_up: Duration::ZERO, ..span };
    let (measured, activity) = bench.watched(&doing, at_once, &done, work).await?;
    let (times, written, took) = measured?;
    let quantiles = Quantiles::of(times.into_iter());
    #[expect(clippy::cast_precision_loss, reason = "rows of a short time")]
    let per_second = written as f64 / took.as_secs_f64();
    Ok(Point {
        at: rows as u64,
        per_second,
        p50: quantiles.map_or_else(censored, |one| one.p50),
        p95: quantiles.map_or_else(censored, |one| one.p95),
        queries: [].into(),
        failures: [].into(),
        bottleneck: activity.bottleneck,
        doubt: None,
    })
}

/// The queries at their contracted rates on the sizes of data that the contract's seed makes: on what the
/// server has, and on other sizes in databases of their own.
pub(super) async fn data(
    bench: &Bench<'_>,
    queries: &[LoadedQuery],
    scale: &mut Scale,
) -> Result<(), Error> {
    if bench.writes != Writes::Anywhere || bench.contract.seed_sql.is_none() {
        let reason = "data is made by the contract's seed script, on a managed server only";
        scale.leave_out("all", reason);
        return Ok(());
    }
    let others: &[seed::Profile] = match bench.profile {
        Profile::Quick => {
            scale.leave_out("larger data", "`--profile standard` and `--profile soak` have them");
            &[]
        }
        Profile::Standard => {
            scale.leave_out("larger data", "`--profile soak` has them");
            &[seed::Profile::Quick]
        }
        Profile::Soak => &[seed::Profile::Quick, seed::Profile::Large],
    };
    for &profile in others {
        if bench.stopped() {
            break;
        }
        let mut databases = scratch::Scratch::on(bench.config.clone());
        let point = elsewhere(bench, &mut databases, profile, scale).await;
        databases.close().await?;
        let point = point?;
        scale.take(bench, point);
    }
    if !queries.is_empty() && !bench.stopped() {
        let at = rows(&bench.config).await?;
        let point = at_rates(bench, &format!("queries on {at} rows"), at, queries).await?;
        scale.take(bench, point);
    }
    Ok(())
}

/// The point of one profile of the seed, in a database of its own.
async fn elsewhere(
    bench: &Bench<'_>,
    databases: &mut scratch::Scratch,
    profile: seed::Profile,
    scale: &mut Scale,
) -> Result<Option<Point>, Error> {
    let data = format!("the data of the seed's profile `{}`", profile.word());
    bench.say(&format!("{data} in a database of its own"));
    let made = async {
        let config = databases.create(profile.word(), bench.contract).await?;
        scratch::build(&config, bench.contract, profile).await?;
        Ok::<_, Error>(config)
    };
    let config = tokio::select! {
        made = made => made?,
        () = bench.until_stopped() => return Ok(None),
    };
    let there = Bench {
        contract: bench.contract,
        config,
        server: bench.server.clone(),
        pgbench: None,
        stop: bench.stop.clone(),
        ..*bench
    };
    let client = pg_session::connect(&there.read_only()).await?;
    let (queries, unloadable) = workload::queries(&client, bench.contract).await?;
    for query in unloadable {
        scale.leave_out(format!("{} on {data}", query.name), query.reason);
    }
    drop(client);
    if queries.is_empty() {
        return Ok(None);
    }
    let at = rows(&there.config).await?;
    at_rates(&there, &format!("queries on {at} rows"), at, &queries).await
}

/// Rows of all tables, as the planner estimates them.
async fn rows(config: &Config) -> Result<u64, Error> {
    let client = pg_session::connect(config).await?;
    let machine = Machine::look(&client).await?;
    Ok(machine.tables.iter().map(|table| table.rows.unsigned_abs()).sum())
}

impl Scale {
    /// Takes up a point, unless the run was stopped before it was whole.
    fn take(&mut self, bench: &Bench<'_>, point: Option<Point>) {
        self.points.extend(point.filter(|_| !bench.stopped()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_chosen_as_often_as_their_rates_ask() {
        let choice = Choice(Arc::new(vec![1_000.0, 10.0, 0.0, 500.0]));
        let mut counts = [0; 4];
        for nth in 0..15_100_u64 {
            counts[choice.pick(7 ^ nth)] += 1;
        }
        assert!((9_500..10_500).contains(&counts[0]), "{counts:?}");
        assert!((50..170).contains(&counts[1]) && counts[2] == 0, "{counts:?}");
        assert!((4_700..5_300).contains(&counts[3]), "{counts:?}");
    }
}
