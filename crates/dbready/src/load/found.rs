//! What measurements found: evidence for claims, and the phases behind it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Test;
use super::baseline::Floor;
use super::curve::Step;
use super::machine::Machine;
use super::sample::{Recording, Sample};
use super::scaling::Scale;
use super::summary::{Summary, latency};
use super::watch::Activity;
use super::workload::Unloadable;
use crate::contract::{Contract, Figure};
use crate::evidence::{Evidence, Outcome, Statements};
use crate::markup::one_line;

/// What one measurement, or all of them, found.
#[derive(Debug, Default)]
pub struct Found {
    /// Evidence for the claims of figures.
    pub evidence: Vec<Evidence>,
    /// The statements of the program that it names.
    pub statements: Statements,
    /// The phases that were run, in order.
    pub phases: Vec<Phase>,
    /// Queries that these leave out, since they cannot be run.
    pub unloadable: Vec<Unloadable>,
    /// Throughput against latency.
    pub curve: Vec<Step>,
    /// Cost against size, an axis each.
    pub scaling: Vec<Scale>,
    /// The floor by pgbench.
    pub pgbench: Vec<Floor>,
    /// The machine and the data.
    pub machine: Machine,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Found {
    /// Adds what another measurement found.
    pub fn add(&mut self, other: Self) {
        self.evidence.extend(other.evidence);
        self.statements.extend(other.statements);
        self.phases.extend(other.phases);
        self.unloadable.extend(other.unloadable);
        self.curve.extend(other.curve);
        self.scaling.extend(other.scaling);
        self.pgbench.extend(other.pgbench);
        self.notes.extend(other.notes);
    }

    /// Records an outcome for a figure, if the contract has it.
    pub fn record(&mut self, contract: &Contract, figure: &str, method: &str, outcome: Outcome) {
        if let Some(figure) = figure_named(contract, figure) {
            self.evidence.push(evidence(figure, method, outcome));
        }
    }

    /// Records the statistic that a figure asks for, of latencies in the order of their operations.
    ///
    /// `of` gives a latency from the due instant, `without_lag` one in which the generator's lag has
    /// no part. Where the run is in doubt, only the latter can still refute, and a second piece of
    /// evidence says why nothing is proven.
    pub fn record_latency(
        &mut self,
        contract: &Contract,
        figure: &str,
        method: &str,
        recording: &Recording,
        of: fn(&Sample) -> u32,
        without_lag: fn(&Sample) -> u32,
    ) {
        let Some(figure) = figure_named(contract, figure) else { return };
        let doubt = recording.course.doubt();
        let time = if doubt.is_some() { without_lag } else { of };
        let latencies: Vec<u32> = recording.samples.iter().map(time).collect();
        let outcome = latency(&latencies, &figure.statistic, &figure.unit);
        self.evidence.push(evidence(figure, method, outcome));
        self.doubt(figure, method, doubt);
    }

    /// Records that a figure was measured in a run that proves nothing, if so.
    pub fn doubt(&mut self, figure: &Figure, method: &str, doubt: Option<String>) {
        let outcome = doubt.map(|reason| Outcome::NotMeasured { reason });
        self.evidence.extend(outcome.map(|outcome| evidence(figure, method, outcome)));
    }

    /// Names the statements that were run for a figure in what was recorded for it.
    pub fn ran<'a>(&mut self, figure: &str, statements: impl IntoIterator<Item = &'a str>) {
        let names: Vec<String> = statements.into_iter().map(str::to_owned).collect();
        let claim = format!("load.{figure}");
        for evidence in self.evidence.iter_mut().filter(|evidence| evidence.claim == claim) {
            evidence.statements.extend(names.iter().cloned());
        }
    }

    /// The same for statements of the program, whose texts it keeps: name and text of each.
    pub fn sent<'a>(
        &mut self,
        figure: &str,
        statements: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        for (name, sql) in statements {
            self.statements.insert(name.to_owned(), sql.to_owned());
            self.ran(figure, [name]);
        }
    }

    /// Records for each figure of a test why it was not measured; a test without figures is noted.
    pub fn without(&mut self, test: Test, contract: &Contract, reason: &str) {
        let figures = test.figures(contract);
        if figures.is_empty() {
            self.notes.push(format!("{}: {}", test.name(), one_line(reason)));
        }
        self.unmeasured(contract, figures, reason);
    }

    /// Records for each of these figures why it was not measured.
    pub fn unmeasured<'a>(
        &mut self,
        contract: &Contract,
        figures: impl IntoIterator<Item = &'a str>,
        reason: &str,
    ) {
        for figure in figures {
            let outcome = Outcome::NotMeasured { reason: reason.to_owned() };
            self.record(contract, figure, "load", outcome);
        }
    }
}

/// The figure of this name that load measures.
pub(super) fn figure_named<'a>(contract: &'a Contract, name: &str) -> Option<&'a Figure> {
    let measured = |figure: &&Figure| figure.source == crate::contract::FigureSource::Load;
    contract.model.figures.iter().filter(measured).find(|figure| figure.name == name)
}

fn evidence(figure: &Figure, method: &str, outcome: Outcome) -> Evidence {
    Evidence::new(format!("load.{}", figure.name), method, outcome)
}

/// One phase of a run, for artifacts.
#[derive(Debug, Serialize)]
pub struct Phase {
    /// Its name: `queries`, `concurrency`.
    pub name: String,
    /// What was done, in one sentence.
    pub workload: String,
    /// What each stream of operations showed.
    pub streams: BTreeMap<String, Summary>,
    /// What server and generator were busy with.
    pub activity: Activity,
    /// Further figures by name.
    pub figures: BTreeMap<String, f64>,
    /// Response times of each stream, in microseconds.
    #[serde(skip)]
    pub histograms: Vec<(String, Histogram<u64>)>,
}

impl Phase {
    /// A phase with streams of these names.
    #[must_use]
    pub fn new(
        name: &str,
        workload: impl Into<String>,
        streams: &[(&str, &Recording)],
        activity: Activity,
    ) -> Self {
        let of = |recording: &Recording| histogram(&recording.samples);
        Self {
            name: name.to_owned(),
            workload: workload.into(),
            streams: streams
                .iter()
                .map(|(name, recording)| ((*name).to_owned(), Summary::of(recording)))
                .collect(),
            activity,
            figures: BTreeMap::new(),
            histograms: streams
                .iter()
                .filter_map(|(name, recording)| Some(((*name).to_owned(), of(recording)?)))
                .collect(),
        }
    }
}

/// Response times in microseconds with three digits; failures at their censored time.
fn histogram(samples: &[Sample]) -> Option<Histogram<u64>> {
    let mut histogram = Histogram::new(3).ok()?;
    for sample in samples {
        histogram.saturating_record(u64::from(sample.response()).max(1));
    }
    Some(histogram)
}
