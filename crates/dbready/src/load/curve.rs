//! Throughput against latency, up to the knee.

use std::time::Duration;

use serde::Serialize;

use super::Test;
use super::bench::{Bench, Profile};
use super::found::{Found, Phase};
use super::generator::{Span, Stream};
use super::queries::{contracted, merged, operation};
use super::sample::Sample;
use super::summary::Quantiles;
use super::workload::{self, Manner};
use crate::Error;

/// One step of the curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The contracted rates times this.
    pub times: f64,
    /// Operations a second that were to be begun.
    pub offered_per_second: f64,
    /// Operations a second that were answered.
    pub achieved_per_second: f64,
    /// Median of the response time in milliseconds.
    pub p50: f64,
    /// Its 95th percentile.
    pub p95: f64,
    /// Its 99th percentile.
    pub p99: f64,
    /// What held it back.
    pub bottleneck: String,
}

/// Multiples of the contracted rates, in order.
const TIMES: [f64; 9] = [0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0];

/// Raises the load step by step until the server no longer keeps up: less than 95 % of what is offered
/// is answered, or the 95th percentile has grown to ten times that of the first step.
///
/// # Errors
///
/// [`Error::Database`] when the server cannot be reached.
pub async fn measure(bench: &Bench<'_>) -> Result<Found, Error> {
    let mut found = Found::default();
    let client = pg_session::connect(&bench.read_only()).await?;
    let queries = workload::queries_of(Test::Curve, &client, bench.contract, &mut found).await?;
    if queries.is_empty() {
        return Ok(found);
    }
    let seconds = if bench.profile == Profile::Quick { 2 } else { 5 };
    let span = Span {
        warm_up: Duration::from_secs(1),
        measured: Duration::from_secs(seconds),
        drain: Duration::from_secs(6),
    };
    let mut steps: Vec<Step> = Vec::new();
    for times in TIMES {
        if bench.stopped() {
            break;
        }
        let pool = bench.pool(bench.read_only()).await?;
        let streams: Vec<Stream> = queries
            .iter()
            .map(|query| {
                let stream = contracted(query);
                Stream { rate: stream.rate * times, ..stream }
            })
            .collect();
        let doing = format!("the curve, {times} times the contracted rates");
        let operate = operation(&pool, &queries, bench.seed, Manner::Prompt);
        let (recordings, activity) = bench.open_loop(&doing, &streams, span, operate).await?;
        pool.close();
        let all = merged(&recordings);
        let Some(response) = Quantiles::of(all.samples.iter().map(Sample::response)) else { break };
        let step = Step {
            times,
            offered_per_second: all.offered,
            achieved_per_second: all.achieved(),
            p50: response.p50,
            p95: response.p95,
            p99: response.p99,
            bottleneck: activity.bottleneck.clone(),
        };
        let is_knee = all.course.saturated
            || step.achieved_per_second < 0.95 * step.offered_per_second
            || steps.first().is_some_and(|first| step.p95 > 10.0 * first.p95.max(1.0));
        let name = format!("curve_{times}");
        let workload = format!("the contracted mix of queries at {times} times its rates");
        found.phases.push(Phase::new(&name, workload, &[("all", &all)], activity));
        steps.push(step);
        if is_knee {
            break;
        }
    }
    found.curve = steps;
    Ok(found)
}
