//! How long it takes to see the whole catalog, the first step of noticing drift.

use std::time::Duration;

use tokio_postgres::Client;

use super::found::Found;
use crate::Error;
use crate::catalog;
use crate::contract::Contract;
use crate::evidence::{Evidence, Outcome};
use crate::statistics::{samples_needed, upper_bound_index};

/// Name of the figure that this measures, when the contract has it.
pub const FIGURE: &str = "failure_modes.schema_drift_detection";

/// The statistic that is compared with the figure's limit.
const QUANTILE: f64 = 0.95;

/// Round trips made: enough for the bound of p99 too.
const REPEATS: usize = 300;

/// Measures the catalog snapshot's round trip, one after the other on one connection.
///
/// Finds nothing when the contract has no figure named [`FIGURE`].
///
/// # Errors
///
/// [`Error::Database`] when the connection is lost or the server refuses the query.
pub async fn measure(
    client: &mut Client,
    contract: &Contract,
    options: &catalog::Options,
) -> Result<Found, Error> {
    if !contract.model.figures.iter().any(|figure| figure.name == FIGURE) {
        return Ok(Found::default());
    }
    let (times, statement) = catalog::time_snapshots(client, contract, options, REPEATS).await?;
    let method =
        "the whole catalog snapshot in one round trip, planned once, repeated on one connection";
    let evidence = Evidence::new(format!("load.{FIGURE}"), method, outcome(times));
    Ok(Found {
        evidence: vec![evidence.by([catalog::SNAPSHOT])],
        statements: [(catalog::SNAPSHOT.to_owned(), statement)].into(),
        ..Found::default()
    })
}

fn outcome(mut times: Vec<Duration>) -> Outcome {
    times.sort_unstable();
    let at = |quantile: f64| times.get(rank(times.len(), quantile)).copied().map(milliseconds);
    let bound = upper_bound_index(times.len(), QUANTILE).and_then(|index| times.get(index));
    let (Some(p95), Some(bound)) = (at(QUANTILE), bound) else {
        return Outcome::NotMeasured { reason: format!("only {} samples", times.len()) };
    };
    let statistics = [("p50", at(0.5)), ("p99", at(0.99)), ("max", at(1.0))];
    Outcome::Measured {
        n: times.len() as u64,
        n_needed: samples_needed(QUANTILE),
        value: p95,
        bound: milliseconds(*bound),
        unit: "ms".to_owned(),
        statistics: statistics
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
    }
}

/// Index of the nearest-rank quantile among `n` sorted samples.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sample counts are small"
)]
fn rank(n: usize, quantile: f64) -> usize {
    ((n as f64 * quantile).ceil() as usize).saturating_sub(1)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiles_of_a_known_sample() {
        let times = (1..=100).rev().map(Duration::from_millis).collect();
        let Outcome::Measured { n, value, bound, statistics, .. } = outcome(times) else {
            panic!("expected a measurement")
        };
        assert_eq!((n, value), (100, 95.0));
        assert!(bound > value && bound <= 100.0, "{bound}");
        assert_eq!(statistics[0], ("p50".to_owned(), 50.0));
        assert_eq!(statistics[2], ("max".to_owned(), 100.0));
    }

    #[test]
    fn too_few_samples_measure_nothing() {
        let times = (1..=58).map(Duration::from_millis).collect();
        assert!(matches!(outcome(times), Outcome::NotMeasured { .. }));
    }
}
