//! How soon a new row is seen through a continuous aggregate.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;

use super::bench::{Bench, Writes};
use super::found::{Found, figure_named};
use super::sample::{Recording, Sample, micros};
use super::scratch::Scratch;
use super::summary::{from_milliseconds, not_measured};
use crate::Error;
use crate::contract::{ContinuousAggregate, Figure, Hypertable, Table};
use crate::sql::{quote_ident, quote_literal};

/// The claim about the lag.
pub const FIGURE: &str = "timescaledb.aggregate_lag";

/// Chunks of the hypertable's copy at most.
const CHUNKS: usize = 2;

/// New rows, twice as many as the bound of p95 needs.
const REPEATS: i32 = 120;

/// The class of rows that were not seen while anybody waited.
const UNSEEN: &str = "unseen";

const METHOD: &str = "a new row in a new bucket of a copy of the hypertable, whose last bucket the \
                      aggregate has not materialised; from the start of its INSERT to the end of the \
                      query of the aggregate that sees it, asked again until it does";

/// Rebuilds the contract's first continuous aggregate on a copy of its hypertable, as the server has
/// it, writes row after row and asks the aggregate for each.
///
/// A row that is not seen within twice the figure's limit counts as slower than everything.
///
/// # Errors
///
/// [`Error::Database`] when the server cannot be reached, or has no continuous aggregates.
pub async fn measure(bench: &Bench<'_>) -> Result<Found, Error> {
    let contract = bench.contract;
    let mut found = Found::default();
    let Some(figure) = figure_named(contract, FIGURE) else { return Ok(found) };
    if bench.writes == Writes::No {
        let reason = "it writes rows; --allow-writes permits that in a schema of its own";
        found.unmeasured(contract, [FIGURE], reason);
        return Ok(found);
    }
    let Some((aggregate, table, hypertable)) = subject(bench) else {
        let reason = "the contract has no continuous aggregate of a hypertable of its own";
        found.unmeasured(contract, [FIGURE], reason);
        return Ok(found);
    };
    bench.say(&format!("new rows seen through {}", aggregate.name));
    let client = pg_session::connect(&bench.config).await?;
    let work = async |scratch: &Scratch| {
        let twin = Twin::build(&client, scratch, aggregate, table, hypertable).await?;
        let recording = twin.lags(bench, patience(figure)).await?;
        Ok((twin, recording))
    };
    let (twin, recording) = Scratch::within(&client, &bench.config, work).await?;
    if recording.samples.is_empty() && !recording.course.interrupted {
        found.record(contract, FIGURE, METHOD, not_measured("there are no rows to copy"));
        return Ok(found);
    }
    let (of, without_lag) = (Sample::response, Sample::since_begun);
    found.record_latency(contract, FIGURE, METHOD, &recording, of, without_lag);
    let row = format!("new row of a copy of {}", table.name);
    let bucket = format!("bucket of a copy of {}", aggregate.name);
    let sent = [(row.as_str(), twin.insert.as_str()), (bucket.as_str(), twin.seen.as_str())];
    found.sent(FIGURE, sent);
    Ok(found)
}

/// The first aggregate whose hypertable the contract describes.
fn subject<'a>(bench: &Bench<'a>) -> Option<(&'a ContinuousAggregate, &'a Table, &'a Hypertable)> {
    bench.contract.model.continuous_aggregates.iter().find_map(|aggregate| {
        let table = bench.contract.table(&aggregate.source)?;
        Some((aggregate, table, table.hypertable.as_ref()?))
    })
}

/// How long a row is waited for.
fn patience(figure: &Figure) -> Duration {
    let limit = figure.at_most.zip(from_milliseconds(&figure.unit));
    let seconds = limit.map_or(1.0, |(limit, scale)| 2.0 * limit / scale / 1_000.0);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(1))
}

/// A copy of a hypertable with its aggregate, in the schema of the run.
struct Twin {
    client: Client,
    /// Writes a row at `$1` seconds after the newest.
    insert: String,
    /// Whether the aggregate has the bucket of that row, of `$2` seconds.
    seen: String,
    bucket: f64,
}

impl Twin {
    async fn build(
        original: &Client,
        scratch: &Scratch,
        aggregate: &ContinuousAggregate,
        table: &Table,
        hypertable: &Hypertable,
    ) -> Result<Self, Error> {
        // Names in the search path are printed bare, so that they mean the copies in the schema of the run.
        let path = format!("SET search_path = {}, public", quote_ident(&table.schema));
        original.batch_execute(&path).await?;
        let ask = "SELECT view_definition, materialized_only, \
                   (SELECT column_name FROM timescaledb_information.dimensions \
                    WHERE hypertable_schema = materialization_hypertable_schema \
                    AND hypertable_name = materialization_hypertable_name AND dimension_number = 1) \
                   FROM timescaledb_information.continuous_aggregates \
                   WHERE view_schema = $1 AND view_name = $2";
        let row = original.query_one(ask, &[&aggregate.schema, &aggregate.name]).await?;
        let (definition, only): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        let bucket_column: String = row.try_get(2)?;

        let copy = scratch.copy(original, table, hypertable, CHUNKS).await?;
        let view = scratch.name(&aggregate.name);
        let client = pg_session::connect(scratch.config()).await?;
        client
            .batch_execute(&format!(
                "CREATE MATERIALIZED VIEW {view} \
                 WITH (timescaledb.continuous, timescaledb.materialized_only = {only}) AS {} \
                 WITH NO DATA",
                definition.trim_end().trim_end_matches(';')
            ))
            .await?;
        let time = quote_ident(&hypertable.time_column);
        let bucket = aggregate.bucket.duration().as_secs_f64();
        let newest: Option<String> = client
            .query_one(&format!("SELECT max({time})::text FROM {copy}"), &[])
            .await?
            .try_get(0)?;
        // What is older is materialised, and the last bucket is left to be aggregated when it is read.
        let until = newest.as_deref().unwrap_or("-infinity");
        let refresh = format!(
            "CALL refresh_continuous_aggregate({}, NULL, \
             '{until}'::timestamptz - INTERVAL '{bucket} seconds')",
            quote_literal(&view)
        );
        if newest.is_some() {
            client.batch_execute(&refresh).await?;
        }
        let at = format!("'{until}'::timestamptz + make_interval(secs => $1)");
        let insert = format!(
            "INSERT INTO {copy} SELECT (jsonb_populate_record(one, jsonb_build_object({}, {at}))).* \
             FROM {copy} AS one ORDER BY one.{time} LIMIT 1",
            quote_literal(&hypertable.time_column)
        );
        let seen = format!(
            "SELECT EXISTS (SELECT FROM {view} WHERE {} > {at} - make_interval(secs => $2))",
            quote_ident(&bucket_column)
        );
        Ok(Self { client, insert, seen, bucket })
    }

    async fn lags(&self, bench: &Bench<'_>, patience: Duration) -> Result<Recording, Error> {
        let insert = self.client.prepare(&self.insert).await?;
        let seen = self.client.prepare(&self.seen).await?;
        let start = Instant::now();
        let mut recording = Recording::default();
        for nth in 1..=REPEATS {
            if bench.stopped() {
                recording.course.interrupted = true;
                break;
            }
            let offset = f64::from(nth) * self.bucket;
            let began = Instant::now();
            if self.client.execute(&insert, &[&offset]).await? == 0 {
                break;
            }
            let written = Instant::now();
            let failure = loop {
                let row = self.client.query_one(&seen, &[&offset, &self.bucket]).await?;
                if row.try_get::<_, bool>(0)? {
                    break None;
                }
                if began.elapsed() > patience {
                    break Some(UNSEEN);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            let done = began.elapsed();
            recording.samples.push(Sample {
                due: u64::from(micros(began - start)),
                began: 0,
                served: 0,
                done: micros(done),
                working: micros(written - began),
                held: micros(done),
                failure,
            });
        }
        recording.measured = start.elapsed();
        Ok(recording)
    }
}
