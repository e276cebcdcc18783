//! What a server does in the background, done on the table of the ingest; and what came of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pg_session::Config;
use tokio_postgres::Client;

use super::ingest::{Batch, Ingest};
use super::scratch::Scratch;
use crate::Error;
use crate::evidence::ServerFacts;
use crate::sql::quote_literal;

/// The pause after each job.
const BREATH: Duration = Duration::from_millis(300);
/// Jobs of a round at least.
const JOBS: u128 = 4;
/// The kind under which batches are counted.
const INGEST: &str = "ingest";
/// The kind under which connections that could not be had are counted.
const CONNECT: &str = "connect";

/// One kind of background job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// Its name in figures.
    kind: &'static str,
    /// Its name for people.
    about: &'static str,
    sql: String,
    /// Whether the statement takes schema and name of the table and gives a row for each chunk that
    /// it worked on.
    is_of_chunks: bool,
}

/// The jobs that the edition has, on `ingest`, with what they need beforehand: so many chunks of an hour
/// that each round of the time has one for retention and one for compression.
pub(super) async fn prepare(
    client: &Client,
    scratch: &Scratch,
    ingest: &Ingest,
    server: &ServerFacts,
    time: Duration,
) -> Result<Vec<Job>, Error> {
    let rounds = time.as_millis() / (JOBS * BREATH.as_millis());
    let hours = i32::try_from(2 * rounds + 4).unwrap_or(i32::MAX);
    let table = ingest.table();
    let job =
        |kind, about, sql: &str| Job { kind, about, sql: sql.to_owned(), is_of_chunks: false };
    let of_chunks = |kind, about, sql| Job { is_of_chunks: true, ..job(kind, about, sql) };
    let mut jobs = Vec::new();
    if server.timescaledb.is_some() {
        ingest.fill(client, hours).await?;
        jobs.push(of_chunks("retention", "drop_chunks", include_str!("jobs_retention.sql")));
    }
    if server.is_community() {
        let view = scratch.name("load_ingest_hourly");
        let compressible = format!(
            "ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = 'key', \
             timescaledb.compress_orderby = 'at DESC, id')"
        );
        client.batch_execute(&compressible).await?;
        let aggregate = format!(
            "CREATE MATERIALIZED VIEW {view} WITH (timescaledb.continuous) AS \
             SELECT time_bucket(INTERVAL '1 hour', at) AS bucket, key, count(*) AS rows FROM {table} \
             GROUP BY 1, 2 WITH NO DATA"
        );
        client.batch_execute(&aggregate).await?;
        let refresh = format!(
            "CALL refresh_continuous_aggregate({}, now() - INTERVAL '3 hours', NULL)",
            quote_literal(&view)
        );
        let compress = include_str!("jobs_compression.sql");
        jobs.push(of_chunks("compression", "compress_chunk", compress));
        jobs.push(job("refresh", "refresh of a continuous aggregate", &refresh));
    }
    jobs.push(job("analyze", "ANALYZE", &format!("ANALYZE {table}")));
    jobs.push(job("vacuum", "VACUUM", &format!("VACUUM {table}")));
    jobs.push(job("checkpoint", "CHECKPOINT", "CHECKPOINT"));
    Ok(jobs)
}

/// Why some jobs are not among those of [`prepare`], if so.
pub(super) fn lacking(server: &ServerFacts) -> Option<String> {
    if server.timescaledb.is_none() {
        let lacking = "no retention by chunks, no compression and no refresh of a continuous aggregate: \
                       the database has no TimescaleDB";
        return Some(lacking.to_owned());
    }
    (!server.is_community()).then(|| {
        let reason = server.without_community();
        format!("no compression and no refresh of a continuous aggregate: {reason}")
    })
}

/// Ingests batches of `rows` rows with a pause after each until it is told to end.
pub(super) async fn ingest(
    config: Config,
    ingest: Ingest,
    (rows, pause): (usize, Duration),
    tally: &Tally,
) {
    let Some(client) = connected(&config, tally).await else { return };
    let batch = Batch::of(rows);
    while !tally.is_ended() && !client.is_closed() {
        tally.add(INGEST, ingest.write(&client, &batch).await);
        tokio::time::sleep(pause).await;
    }
}

/// Does the jobs one after the other, round after round, until it is told to end.
pub(super) async fn tend(config: Config, ingest: Ingest, jobs: Vec<Job>, tally: &Tally) {
    let Some(client) = connected(&config, tally).await else { return };
    let (schema, name) = ingest.names();
    for job in jobs.iter().cycle() {
        if tally.is_ended() || client.is_closed() {
            break;
        }
        let outcome = if job.is_of_chunks {
            client.execute(&job.sql, &[&schema, &name]).await
        } else {
            client.batch_execute(&job.sql).await.map(|()| 0)
        };
        tally.add(job.kind, outcome);
        tokio::time::sleep(BREATH).await;
    }
}

async fn connected(config: &Config, tally: &Tally) -> Option<Client> {
    pg_session::connect(config).await.map_err(|error| tally.fail(CONNECT, &error)).ok()
}

/// What was done beside the queries, by kind. A failure ends nothing and is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    kinds: Mutex<BTreeMap<&'static str, Count>>,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Count {
    done: u64,
    /// Rows written or chunks worked on.
    rows: u64,
    /// By SQLSTATE, or by the class of an error without one.
    failed: BTreeMap<String, u64>,
}

impl Tally {
    /// Lets whoever works come to an end after the statement under way.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Count>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, kind: &'static str, outcome: Result<u64, tokio_postgres::Error>) {
        match outcome {
            Ok(rows) => {
                let mut kinds = self.lock();
                let count = kinds.entry(kind).or_default();
                count.done += 1;
                count.rows += rows;
            }
            Err(error) => self.fail(kind, &error.into()),
        }
    }

    fn fail(&self, kind: &'static str, error: &pg_session::Error) {
        let class = error.sqlstate().unwrap_or_else(|| error.class().name()).to_owned();
        *self.lock().entry(kind).or_default().failed.entry(class).or_default() += 1;
    }

    /// Figures of a phase that took as long.
    #[expect(clippy::cast_precision_loss, reason = "counts of a short time")]
    pub(super) fn figures(&self, jobs: &[Job], took: Duration) -> BTreeMap<String, f64> {
        let kinds = self.lock();
        let mut figures = BTreeMap::new();
        let rows = kinds.get(INGEST).map_or(0, |count| count.rows);
        let a_second = rows as f64 / took.as_secs_f64();
        figures.insert("rows_ingested_per_second".to_owned(), a_second);
        let mut all = 0;
        for job in jobs {
            let (done, chunks) = kinds.get(job.kind).map_or((0, 0), |one| (one.done, one.rows));
            all += done;
            figures.insert(format!("jobs_{}", job.kind), done as f64);
            if job.is_of_chunks {
                figures.insert(format!("jobs_{}_chunks", job.kind), chunks as f64);
            }
        }
        figures.insert("background_jobs".to_owned(), all as f64);
        for (kind, count) in kinds.iter() {
            for (class, times) in &count.failed {
                figures.insert(format!("failed_{kind}_{class}"), *times as f64);
            }
        }
        figures
    }

    /// The jobs that were done, how often each.
    pub(super) fn done(&self, jobs: &[Job]) -> String {
        let kinds = self.lock();
        let done = jobs.iter().filter_map(|job| {
            let count = kinds.get(job.kind).filter(|count| count.done > 0)?;
            Some(format!("{} ({} times)", job.about, count.done))
        });
        let done: Vec<String> = done.collect();
        if done.is_empty() { "no background job".to_owned() } else { done.join(", ") }
    }

    /// What failed, how often and with which SQLSTATE.
    pub(super) fn failures(&self) -> Vec<String> {
        let kinds = self.lock();
        let of_kind = |(kind, count): (&&'static str, &Count)| {
            let failed = count.failed.iter();
            let said =
                failed.map(|(class, times)| format!("{kind} failed {times} times ({class})"));
            said.collect::<Vec<_>>()
        };
        kinds.iter().flat_map(of_kind).collect()
    }
}
