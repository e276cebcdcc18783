//! Statements that figures of the contract name, timed one after the other on the contract's data.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pg_session::{Error as SessionError, Pool};
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::bench::{Bench, Profile, Writes};
use super::found::{Found, Phase};
use super::generator::{Answer, Span};
use super::sample::{Course, Recording, Sample};
use super::summary::{ROUNDS, latency, mean, milliseconds, not_measured};
use super::workload::{RawValue, rows_of};
use crate::Error;
use crate::contract::{Contract, Figure, FigureSource, LeastProfile, Workload};
use crate::evidence::Outcome;
use crate::statistics::bootstrap;

/// Runs before the timing begins, so that caches are warm and statements prepared.
const WARM_UP: usize = 5;
/// Runs that the timing ends with, however fast they are.
const MOST: usize = 400;
/// Runs below which it does not end before [`LONGEST`].
const LEAST: usize = 120;
/// Runs that the bound of p95 needs, however slow they are.
const ENOUGH: usize = 60;
/// How long fast statements are timed at least, and slow ones at most.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(30);

/// Measures every figure that has a workload of its own.
///
/// # Errors
///
/// [`Error::Database`] when the server cannot be reached.
pub async fn measure(bench: &Bench<'_>) -> Result<Found, Error> {
    let mut found = Found::default();
    for figure in &bench.contract.model.figures {
        let Some(workload) = figure.workload.as_ref().filter(|_| is_ours(figure)) else { continue };
        let refusal = if bench.stopped() {
            Some("interrupted before it was measured".to_owned())
        } else {
            refusal(bench, workload)
        };
        if let Some(reason) = refusal {
            found.unmeasured(bench.contract, [figure.name.as_str()], &reason);
            continue;
        }
        match one(bench, figure, workload, &mut found).await {
            Ok(()) => {}
            Err(Error::Database(error)) if error.sqlstate().is_some() => {
                let reason = format!("its workload fails: {error}");
                found.unmeasured(bench.contract, [figure.name.as_str()], &reason);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether a figure is measured here.
pub(super) fn is_ours(figure: &Figure) -> bool {
    figure.source == FigureSource::Load && figure.workload.is_some()
}

fn refusal(bench: &Bench<'_>, workload: &Workload) -> Option<String> {
    if workload.prepare.is_some() && bench.writes != Writes::Anywhere {
        let reason = "the contract's script makes its data, and runs on a managed server only";
        return Some(reason.to_owned());
    }
    (workload.profile == LeastProfile::Standard && bench.profile == Profile::Quick).then(|| {
        "it needs more data than the profile `quick` has; `standard` measures it".to_owned()
    })
}

async fn one(
    bench: &Bench<'_>,
    figure: &Figure,
    workload: &Workload,
    found: &mut Found,
) -> Result<(), Error> {
    let contract = bench.contract;
    let text = |file: &str| contract.text_of(file);
    if let Some(script) = &workload.prepare {
        bench.say(&format!("preparing the data of {}", figure.name));
        let client = pg_session::connect(&bench.config).await?;
        client.batch_execute(text(script)).await?;
    }
    let client = pg_session::connect(&bench.read_only()).await?;
    let parameters = match &workload.parameters {
        Some(sample) => rows_of(&client, text(&workload.statement), text(sample)).await?,
        None => vec![Vec::new()],
    };
    drop(client);
    if parameters.is_empty() {
        let reason = "there are no rows to take its parameters from";
        found.unmeasured(contract, [figure.name.as_str()], reason);
        return Ok(());
    }
    let pool = bench.pool(bench.read_only()).await?;
    let timer = Timer {
        pool: &pool,
        statement: text(&workload.statement),
        against: workload.against.as_deref().map(text),
        parameters: &parameters,
    };
    let zero = Duration::ZERO;
    let span = Span { warm_up: zero, measured: zero, drain: zero };
    let done = AtomicU64::new(0);
    let doing = format!("timing {}", figure.name);
    let outcome = bench.watched(&doing, span, &done, timer.run(bench, &done)).await;
    pool.close();
    let (runs, activity) = outcome?;
    let runs = runs?;
    let method = method(contract, workload);
    let outcome = match (&workload.against, runs.differs) {
        (_, true) => not_measured("the two statements give different answers"),
        (None, false) => {
            let latencies: Vec<u32> = runs.ours.samples.iter().map(Sample::response).collect();
            latency(&latencies, &figure.statistic, &figure.unit)
        }
        (Some(_), false) => ratio(&runs, &figure.unit, bench.seed),
    };
    found.record(contract, &figure.name, &method, outcome);
    found.doubt(figure, &method, runs.ours.course.doubt());
    let files = std::iter::once(&workload.statement).chain(&workload.against);
    found.ran(&figure.name, files.map(String::as_str));
    let mut streams = vec![("statement", &runs.ours)];
    if workload.against.is_some() {
        streams.push(("against", &runs.theirs));
    }
    let name = figure.name.replace('.', "_");
    found.phases.push(Phase::new(&name, workload.meaning.clone(), &streams, activity));
    Ok(())
}

fn method(contract: &Contract, workload: &Workload) -> String {
    let against = workload.against.as_ref().map_or_else(String::new, |other| {
        format!(", in turns with {other}, whose answer is the same")
    });
    format!(
        "{}: {} one at a time through a pool of {}{against}",
        workload.meaning, workload.statement, contract.model.pool.max
    )
}

/// Runs the statements and takes their times.
struct Timer<'a> {
    pool: &'a Pool,
    statement: &'a str,
    against: Option<&'a str>,
    parameters: &'a [Vec<RawValue>],
}

/// What was timed, run by run.
#[derive(Default)]
struct Timed {
    ours: Recording,
    theirs: Recording,
    /// Whether the two statements answered differently.
    differs: bool,
}

impl Timer<'_> {
    async fn run(&self, bench: &Bench<'_>, done: &AtomicU64) -> Result<Timed, Error> {
        let mut timed = Timed::default();
        for at in 0..WARM_UP {
            let ours = self.once(self.statement, at).await?.1;
            if let Some(against) = self.against {
                let theirs = self.once(against, at).await?.1;
                timed.differs |= values(&ours)? != values(&theirs)?;
            }
        }
        let start = Instant::now();
        for at in 0..MOST {
            let took = start.elapsed();
            if at >= ENOUGH && took > LONGEST || at >= LEAST && took > SHORTEST {
                break;
            }
            if bench.stopped() {
                timed.ours.course = Course { interrupted: true, ..Course::default() };
                break;
            }
            let ours = self.once(self.statement, at).await?.0;
            timed.ours.samples.push(ours.sample(ours.began - start));
            if let Some(against) = self.against {
                let theirs = self.once(against, at).await?.0;
                timed.theirs.samples.push(theirs.sample(theirs.began - start));
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
        timed.ours.measured = start.elapsed();
        timed.theirs.measured = timed.ours.measured;
        Ok(timed)
    }

    async fn once(&self, sql: &str, at: usize) -> Result<(Answer, Vec<Row>), SessionError> {
        let row = &self.parameters[at % self.parameters.len()];
        let parameters: Vec<&(dyn ToSql + Sync)> =
            row.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        let began = Instant::now();
        let mut session = self.pool.acquire().await.map_err(Box::new)?;
        let served = Instant::now();
        let rows = session.fetch(sql, &parameters).await?;
        let done = Instant::now();
        drop(session);
        let answer = Answer {
            began,
            served,
            done,
            working: done - served,
            held: served.elapsed(),
            failure: None,
        };
        Ok((answer, rows))
    }
}

fn values(rows: &[Row]) -> Result<Vec<Vec<RawValue>>, SessionError> {
    let row = |row: &Row| (0..row.len()).map(|at| row.try_get(at)).collect::<Result<_, _>>();
    Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
}

/// How many times as long the other statement takes.
fn ratio(timed: &Timed, unit: &str, seed: u64) -> Outcome {
    let pairs: Vec<(f64, f64)> = timed
        .ours
        .samples
        .iter()
        .zip(&timed.theirs.samples)
        .map(|(ours, theirs)| (milliseconds(ours.response()), milliseconds(theirs.response())))
        .collect();
    let of = |pairs: &[(f64, f64)]| {
        mean(pairs.iter().map(|pair| pair.1)) / mean(pairs.iter().map(|pair| pair.0))
    };
    let Some((low, _)) = bootstrap(&pairs, ROUNDS, seed, of) else {
        return not_measured("nothing was timed");
    };
    let value = of(&pairs);
    Outcome::Measured {
        n: pairs.len() as u64,
        n_needed: 30,
        value,
        bound: low.min(value),
        unit: unit.to_owned(),
        statistics: vec![
            ("statement mean ms".to_owned(), mean(pairs.iter().map(|pair| pair.0))),
            ("against mean ms".to_owned(), mean(pairs.iter().map(|pair| pair.1))),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_the_means() {
        let recording = |done: u32| Recording {
            samples: (0..100)
                .map(|at| Sample {
                    due: at,
                    began: 0,
                    served: 0,
                    done,
                    working: done,
                    held: done,
                    failure: None,
                })
                .collect(),
            ..Recording::default()
        };
        let timed = Timed { ours: recording(2_000), theirs: recording(7_000), differs: false };
        let Outcome::Measured { n, value, bound, .. } = ratio(&timed, "×", 1) else {
            panic!("expected a figure")
        };
        assert_eq!(n, 100);
        assert!((value - 3.5).abs() < 1e-9 && (bound - 3.5).abs() < 1e-9, "{value} {bound}");
        assert!(matches!(ratio(&Timed::default(), "×", 1), Outcome::NotMeasured { .. }));
    }
}
