//! Everything at once: the queries, ingest and the jobs of the background, with the phases marked.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::Test;
use super::bench::{Bench, Writes};
use super::found::{Found, Phase};
use super::generator::{Span, Stream};
use super::ingest::Ingest;
use super::jobs::{self, Job, Tally};
use super::queries::{contracted, operation};
use super::sample::Recording;
use super::scratch::Scratch;
use super::workload::{self, LoadedQuery, Manner};
use crate::Error;

/// Rows of one batch of the ingest, and the pause between batches.
const BATCH: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(100);

const NO_JOBS: &[Job] = &[];

/// Runs the contracted queries three times: alone, beside ingest, and beside ingest and background
/// jobs. These are what the server's edition has: retention by chunks, compression and the refresh of a
/// continuous aggregate; and ANALYZE, VACUUM and a checkpoint everywhere.
///
/// # Errors
///
/// [`Error::Database`] when the server cannot be reached or refuses the scratch schema.
pub async fn measure(bench: &Bench<'_>) -> Result<Found, Error> {
    let mut found = Found::default();
    if bench.writes == Writes::No {
        found.notes.push("mixed: left out, since it writes".to_owned());
        return Ok(found);
    }
    let client = pg_session::connect(&bench.read_only()).await?;
    let queries = workload::queries_of(Test::Mixed, &client, bench.contract, &mut found).await?;
    if queries.is_empty() {
        return Ok(found);
    }
    let server = &bench.server;
    found.notes.extend(jobs::lacking(server).map(|lacking| format!("mixed: {lacking}")));
    drop(client);
    let client = pg_session::connect(&bench.config).await?;
    let work = async |scratch: &Scratch| {
        let span = Span {
            warm_up: Duration::from_secs(2),
            measured: (bench.span.measured / 3).max(Duration::from_secs(3)),
            drain: bench.span.drain,
        };
        let ingest = Ingest::make(&client, scratch, server).await?;
        let most = span.warm_up + span.measured;
        let jobs = jobs::prepare(&client, scratch, &ingest, server, most).await?;
        let mixture = Mixture { bench, span, queries: &queries, ingest, jobs };
        mixture.phases(&mut found).await
    };
    Scratch::within(&client, &bench.config, work).await?;
    Ok(found)
}

/// What runs beside what.
struct Mixture<'a> {
    bench: &'a Bench<'a>,
    span: Span,
    queries: &'a [LoadedQuery],
    ingest: Ingest,
    jobs: Vec<Job>,
}

impl Mixture<'_> {
    async fn phases(&self, found: &mut Found) -> Result<(), Error> {
        for (name, ingests, jobs) in [
            ("mixed_queries", false, NO_JOBS),
            ("mixed_ingest", true, NO_JOBS),
            ("mixed_jobs", true, &self.jobs),
        ] {
            if self.bench.stopped() {
                break;
            }
            self.phase(name, ingests, jobs, found).await?;
        }
        Ok(())
    }

    async fn phase(
        &self,
        name: &str,
        ingests: bool,
        jobs: &[Job],
        found: &mut Found,
    ) -> Result<(), Error> {
        let bench = self.bench;
        let pool = bench.pool(bench.read_only()).await?;
        let tally = Arc::new(Tally::default());
        let mut beside = JoinSet::new();
        if ingests {
            let (config, ingest, tally) =
                (bench.config.clone(), self.ingest.clone(), Arc::clone(&tally));
            beside.spawn(async move {
                jobs::ingest(config, ingest, (BATCH, PAUSE), &tally).await;
            });
        }
        if !jobs.is_empty() {
            let (config, ingest, tally) =
                (bench.config.clone(), self.ingest.clone(), Arc::clone(&tally));
            let jobs = jobs.to_vec();
            beside.spawn(async move { jobs::tend(config, ingest, jobs, &tally).await });
        }
        let begun = Instant::now();
        let streams: Vec<Stream> = self.queries.iter().map(contracted).collect();
        let doing = format!("queries at their contracted rates ({name})");
        let operate = operation(&pool, self.queries, bench.seed, Manner::Prompt);
        let measured = bench.open_loop(&doing, &streams, self.span, operate).await;
        let took = begun.elapsed();
        tally.end();
        // What is under way may take as long as an answer may.
        let _ =
            timeout(self.span.drain, async { while beside.join_next().await.is_some() {} }).await;
        beside.shutdown().await;
        pool.close();
        let (recordings, activity) = measured?;
        let of_queries = self.queries.iter().map(|query| query.name.as_str());
        let named: Vec<(&str, &Recording)> = of_queries.zip(&recordings).collect();
        let workload = match (ingests, jobs.is_empty()) {
            (false, _) => "the contracted mix of queries alone".to_owned(),
            (true, true) => {
                format!("the same beside batches of {BATCH} rows every {} ms", PAUSE.as_millis())
            }
            (true, false) => format!("the same beside that and {}", tally.done(jobs)),
        };
        let mut phase = Phase::new(name, workload, &named, activity);
        phase.figures = tally.figures(jobs, took);
        found.phases.push(phase);
        found.notes.extend(tally.failures().iter().map(|failure| format!("{name}: {failure}")));
        Ok(())
    }
}
