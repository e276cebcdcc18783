//! Cost against size: of the connections, of the parameters, of the batches and of the data.

mod axes;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::Test;
use super::bench::Bench;
use super::found::Found;
use super::sample::{Recording, Sample};
use super::summary::{Quantiles, censored};
use super::watch::Activity;
use super::workload::{self, LoadedQuery};
use crate::Error;
use crate::markup::one_line;

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Connections, each with a caller in a closed loop.
    Connections,
    /// Rows of parameters among which operations choose, at the contracted rates.
    Parameters,
    /// Rows that one statement ingests.
    Batch,
    /// Rows in the database, at the contracted rates.
    Data,
}

impl Axis {
    /// All of them in the order in which they are measured.
    pub const ALL: [Self; 4] = [Self::Connections, Self::Parameters, Self::Batch, Self::Data];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Parameters => "parameters",
            Self::Batch => "batch",
            Self::Data => "data",
        }
    }

    /// What is counted along it.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Parameters => "rows of parameters",
            Self::Batch => "rows in one statement",
            Self::Data => "rows in the database",
        }
    }
}

/// What was measured along one axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scale {
    /// The axis.
    pub axis: Axis,
    /// What is counted along it.
    pub unit: &'static str,
    /// The points, the smallest first.
    pub points: Vec<Point>,
    /// How far each query's limit reached.
    pub limits: Vec<Reach>,
    /// Points that are not there, and why.
    pub left_out: Vec<String>,
    /// In one sentence where limits stop holding.
    pub said: String,
}

/// One point of an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Where on the axis.
    pub at: u64,
    /// Answers a second; of batches rows a second.
    pub per_second: f64,
    /// Median of the response time in milliseconds.
    pub p50: f64,
    /// Its 95th percentile; failures count as slower than everything.
    pub p95: f64,
    /// The same of each query.
    pub queries: BTreeMap<String, Speed>,
    /// Failures by class.
    pub failures: BTreeMap<&'static str, u64>,
    /// What held it back.
    pub bottleneck: String,
    /// Why its times count from the real beginning of operations, where the generator fell behind.
    pub doubt: Option<String>,
}

/// Response times of one query at one point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Speed {
    /// Operations.
    pub n: u64,
    /// Their median in milliseconds.
    pub p50: f64,
    /// Their 95th percentile.
    pub p95: f64,
}

/// How far the limit of one query reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reach {
    /// The query.
    pub query: String,
    /// Its contracted limit of the 95th percentile in milliseconds.
    pub limit_ms: f64,
    /// The first point beyond the limit; `None` when it held at each.
    pub stops_at: Option<u64>,
    /// The 95th percentile there, or the greatest of all points.
    pub p95_ms: f64,
}

/// Measures what the contracted queries and ingest cost along each axis, and says where the limits of the
/// queries stop holding on this machine.
///
/// What cannot be measured is named. When the run is stopped the points that are whole are given.
///
/// # Errors
///
/// [`Error::Database`] when the server cannot be reached any more.
pub async fn measure(bench: &Bench<'_>) -> Result<Found, Error> {
    along(bench, &Axis::ALL).await
}

/// The same along some of the axes.
///
/// # Errors
///
/// As [`measure`].
pub async fn along(bench: &Bench<'_>, axes: &[Axis]) -> Result<Found, Error> {
    let mut found = Found::default();
    let client = pg_session::connect(&bench.read_only()).await?;
    let queries = workload::queries_of(Test::Scaling, &client, bench.contract, &mut found).await?;
    drop(client);
    for &axis in axes {
        if bench.stopped() {
            found.notes.push(format!("scaling, {}: left out: interrupted", axis.unit()));
            continue;
        }
        let mut scale = Scale::new(axis);
        match scale.measure(bench, &queries).await {
            Err(Error::Database(error)) if error.sqlstate().is_some() => {
                scale.leave_out("what is missing", format!("the server refused: {error}"));
            }
            measured => measured?,
        }
        if bench.stopped() {
            scale.leave_out("what is missing", "interrupted");
        }
        scale.conclude(&queries);
        let unit = axis.unit();
        found.notes.push(format!("scaling, {unit}: {}", scale.said));
        let left_out = scale.left_out.iter();
        found.notes.extend(left_out.map(|one| format!("scaling, {unit}, left out: {one}")));
        found.scaling.push(scale);
    }
    Ok(found)
}

impl Scale {
    fn new(axis: Axis) -> Self {
        let (points, limits, left_out) = (Vec::new(), Vec::new(), Vec::new());
        Self { axis, unit: axis.unit(), points, limits, left_out, said: String::new() }
    }

    async fn measure(&mut self, bench: &Bench<'_>, queries: &[LoadedQuery]) -> Result<(), Error> {
        match self.axis {
            Axis::Connections => axes::connections(bench, queries, self).await,
            Axis::Parameters => axes::parameters(bench, queries, self).await,
            Axis::Batch => axes::batches(bench, self).await,
            Axis::Data => axes::data(bench, queries, self).await,
        }
    }

    fn leave_out(&mut self, what: impl std::fmt::Display, why: impl std::fmt::Display) {
        self.left_out.push(one_line(&format!("{what}: {why}")));
    }

    /// Puts the points in order, and says how far the limits of the queries reached.
    fn conclude(&mut self, queries: &[LoadedQuery]) {
        self.points.sort_by_key(|point| point.at);
        self.limits = queries.iter().filter_map(|query| self.reach(query)).collect();
        self.said = self.say();
    }

    fn reach(&self, query: &LoadedQuery) -> Option<Reach> {
        let limit_ms = query.sla.p95_ms;
        let points = self.points.iter();
        let seen: Vec<(u64, f64)> = points
            .filter_map(|point| Some((point.at, point.queries.get(&query.name)?.p95)))
            .collect();
        let most = seen.iter().map(|(_, p95)| *p95).reduce(f64::max)?;
        let beyond = seen.iter().find(|(_, p95)| *p95 > limit_ms);
        Some(Reach {
            query: query.name.clone(),
            limit_ms,
            stops_at: beyond.map(|(at, _)| *at),
            p95_ms: beyond.map_or(most, |(_, p95)| *p95),
        })
    }

    fn say(&self) -> String {
        let Some(last) = self.points.last() else { return "nothing was measured".to_owned() };
        let mut said = String::new();
        if self.limits.is_empty() {
            let points = self.points.iter().map(|point| {
                format!(
                    "{} gave {:.0} a second, p95 {}",
                    point.at,
                    point.per_second,
                    time(point.p95)
                )
            });
            said = points.collect::<Vec<_>>().join("; ");
        }
        for (nth, Reach { query, limit_ms, stops_at, p95_ms }) in self.limits.iter().enumerate() {
            let after = if nth == 0 { "" } else { "; " };
            let limit = time(*limit_ms);
            let p95 = time(*p95_ms);
            let _ = match stops_at {
                Some(at) => {
                    write!(said, "{after}{query}: its p95 of {limit} stops holding at {at} ({p95})")
                }
                None => write!(
                    said,
                    "{after}{query}: its p95 of {limit} held throughout, up to {} ({p95} at most)",
                    last.at
                ),
            };
        }
        let doubted: Vec<String> = self
            .points
            .iter()
            .filter(|point| point.doubt.is_some())
            .map(|point| point.at.to_string())
            .collect();
        if !doubted.is_empty() {
            let _ = write!(
                said,
                "; the generator fell behind at {}, whose times leave its lag out",
                doubted.join(", ")
            );
        }
        said
    }
}

/// A time in milliseconds, for people.
fn time(ms: f64) -> String {
    if ms >= censored() {
        return "failures or no answer".to_owned();
    }
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

impl Point {
    /// Of operations of these queries, one recording each; `None` without any.
    fn of(
        at: u64,
        per_second: f64,
        queries: &[LoadedQuery],
        recordings: &[Recording],
        activity: Activity,
    ) -> Option<Self> {
        let all = super::queries::merged(recordings);
        let doubt = all.course.doubt();
        let time = if doubt.is_some() { Sample::since_begun } else { Sample::response };
        let of = |samples: &[Sample]| Quantiles::of(samples.iter().map(time));
        let Quantiles { p50, p95, .. } = of(&all.samples)?;
        let speed = |(query, recording): (&LoadedQuery, &Recording)| {
            let Quantiles { p50, p95, .. } = of(&recording.samples)?;
            let n = recording.samples.len() as u64;
            Some((query.name.clone(), Speed { n, p50, p95 }))
        };
        Some(Self {
            at,
            per_second,
            p50,
            p95,
            queries: queries.iter().zip(recordings).filter_map(speed).collect(),
            failures: all.failures(),
            bottleneck: activity.bottleneck,
            doubt,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contract::Sla;

    fn query(name: &str, p95_ms: f64) -> LoadedQuery {
        LoadedQuery {
            name: name.to_owned(),
            file: String::new(),
            sla: Sla { p95_ms, per_second: 1.0 },
            sql: "SELECT 1".into(),
            parameters: Arc::default(),
        }
    }

    fn point(at: u64, p95: f64) -> Point {
        Point {
            at,
            per_second: 10.0,
            p50: 1.0,
            p95,
            queries: [("near".to_owned(), Speed { n: 9, p50: 1.0, p95 })].into(),
            failures: BTreeMap::new(),
            bottleneck: String::new(),
            doubt: None,
        }
    }

    #[test]
    fn a_limit_stops_at_the_first_point_beyond_it() {
        let mut scale = Scale::new(Axis::Connections);
        scale.points = vec![point(1, 4.0), point(2, 5.0), point(5, 30.0), point(10, 4.0)];
        scale.conclude(&[query("near", 5.0), query("unmeasured", 5.0)]);
        let [reach] = &scale.limits[..] else { panic!("{scale:?}") };
        assert_eq!((reach.stops_at, reach.query.as_str()), (Some(5), "near"));
        assert_eq!(scale.said, "near: its p95 of 5.00 ms stops holding at 5 (30 ms)");
        scale.conclude(&[query("near", 30.0)]);
        assert_eq!(scale.limits[0].stops_at, None);
        assert!(scale.said.contains("held throughout, up to 10 (30 ms at most)"), "{}", scale.said);
        // Failures are beyond every limit, and doubts are told.
        scale.points[1] = Point { doubt: Some("late".to_owned()), ..point(2, 120_000.0) };
        scale.conclude(&[query("near", 1_000.0)]);
        assert!(scale.said.contains("at 2 (failures or no answer)"), "{}", scale.said);
        assert!(scale.said.contains("fell behind at 2,"), "{}", scale.said);
        let mut nothing = Scale::new(Axis::Data);
        nothing.conclude(&[query("near", 1.0)]);
        assert_eq!((nothing.limits.len(), nothing.said.as_str()), (0, "nothing was measured"));
    }
}
