//! Everything at once: the queries, ingest and the jobs of the background, with the phases marked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Test;
use super::bench::{Bench, Writes};
use super::found::{Found, Phase};
use super::generator::{Span, Stream};
use super::queries::{contracted, operation};
use super::sample::Recording;
use super::scratch::Scratch;
use super::workload::{self, Manner};
use crate::Error;

/// Rows of one batch of the ingest, and the pause between batches.
const BATCH: i32 = 1_000;
const PAUSE: Duration = Duration::from_millis(100);

/// Runs the contracted queries three times: alone, beside ingest, and beside ingest and background
/// jobs (ANALYZE, VACUUM and a checkpoint of what was ingested).
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
    let client = pg_session::connect(&bench.config).await?;
    let queries = workload::queries_of(Test::Mixed, &client, bench.contract, &mut found).await?;
    if queries.is_empty() {
        return Ok(found);
    }
    let work = async |scratch: &Scratch| phases(bench, scratch, &queries).await;
    found.phases = Scratch::within(&client, &bench.config, work).await?;
    Ok(found)
}

async fn phases(
    bench: &Bench<'_>,
    scratch: &Scratch,
    queries: &[workload::LoadedQuery],
) -> Result<Vec<Phase>, Error> {
    let table = scratch.name("load_ingest");
    let client = pg_session::connect(&bench.config).await?;
    client
        .batch_execute(&format!(
            "CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
             at timestamptz NOT NULL, key text NOT NULL, data jsonb NOT NULL); \
             CREATE INDEX ON {table} (key, at DESC)"
        ))
        .await?;
    drop(client);
    let streams: Vec<Stream> = queries.iter().map(contracted).collect();
    let span = Span {
        warm_up: Duration::from_secs(2),
        measured: (bench.span.measured / 3).max(Duration::from_secs(3)),
        drain: bench.span.drain,
    };
    let mut phases = Vec::new();
    for (name, ingests, tends) in
        [("mixed_queries", false, false), ("mixed_ingest", true, false), ("mixed_jobs", true, true)]
    {
        if bench.stopped() {
            break;
        }
        let pool = bench.pool(bench.read_only()).await?;
        let rows = Arc::new(AtomicU64::new(0));
        let jobs = Arc::new(AtomicU64::new(0));
        let mut beside = JoinSet::new();
        if ingests {
            beside.spawn(ingest(bench.config.clone(), table.clone(), Arc::clone(&rows)));
        }
        if tends {
            beside.spawn(tend(bench.config.clone(), table.clone(), Arc::clone(&jobs)));
        }
        let begun = Instant::now();
        let doing = format!("queries at their contracted rates ({name})");
        let operate = operation(&pool, queries, bench.seed, Manner::Prompt);
        let measured = bench.open_loop(&doing, &streams, span, operate).await;
        let took = begun.elapsed().as_secs_f64();
        beside.shutdown().await;
        pool.close();
        let (recordings, activity) = measured?;
        let named: Vec<(&str, &Recording)> =
            queries.iter().map(|query| query.name.as_str()).zip(&recordings).collect();
        let workload = match (ingests, tends) {
            (false, _) => "the contracted mix of queries alone".to_owned(),
            (true, false) => {
                format!("the same beside batches of {BATCH} rows every {} ms", PAUSE.as_millis())
            }
            (true, true) => "the same beside that and ANALYZE, VACUUM and checkpoints".to_owned(),
        };
        let mut phase = Phase::new(name, workload, &named, activity);
        phase.figures = figures(&rows, &jobs, took);
        phases.push(phase);
    }
    Ok(phases)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a short time")]
fn figures(rows: &AtomicU64, jobs: &AtomicU64, seconds: f64) -> BTreeMap<String, f64> {
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    [("rows_ingested_per_second", of(rows) / seconds), ("background_jobs", of(jobs))]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// Ingests batches until it is dropped; a refusal ends it, and shows in the count of rows.
async fn ingest(config: pg_session::Config, table: String, rows: Arc<AtomicU64>) {
    let Ok(client) = pg_session::connect(&config).await else { return };
    let insert = format!(
        "INSERT INTO {table} (at, key, data) \
         SELECT now(), 'NSE@STOCK' || n % 200 || '@EQ', '{{\"delta\": 0.5}}' \
         FROM generate_series(1, $1::integer) AS n"
    );
    while let Ok(count) = client.execute(&insert, &[&BATCH]).await {
        rows.fetch_add(count, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Does what a server does in the background, one after the other, until it is dropped.
async fn tend(config: pg_session::Config, table: String, jobs: Arc<AtomicU64>) {
    let Ok(client) = pg_session::connect(&config).await else { return };
    loop {
        for job in [format!("ANALYZE {table}"), format!("VACUUM {table}"), "CHECKPOINT".to_owned()]
        {
            // A role that may not checkpoint still has the others.
            if client.batch_execute(&job).await.is_ok() {
                jobs.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        if client.is_closed() {
            return;
        }
    }
}
