//! Files beside a certificate: everything that was measured, as JSON, HDR logs and plots.

use std::collections::BTreeMap;

use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde::Serialize;

use super::baseline::Floor;
use super::curve::Step;
use super::found::{Found, Phase};
use super::machine::Machine;
use super::plot;
use super::scaling::Scale;
use crate::evidence::ServerFacts;
use crate::report::ServerReport;

/// Name of the format of the JSON documents.
pub const FORMAT: &str = "dbready-load";

/// Whether a phase or figure of this name belongs to a group.
type IsOf = fn(&str) -> bool;

/// Documents by group, with the names under which people look for them.
const GROUPS: [(&str, IsOf); 3] = [
    ("database_performance_results.json", |name| {
        !is_of_concurrency(name) && !is_of_failure_modes(name)
    }),
    ("database_concurrency_analysis.json", is_of_concurrency),
    ("database_failure_mode_performance.json", is_of_failure_modes),
];

fn is_of_concurrency(name: &str) -> bool {
    name.starts_with("concurrency")
}

fn is_of_failure_modes(name: &str) -> bool {
    name.starts_with("rollback") || name.starts_with("failure_modes")
}

/// Where and how a run was made.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// When it began, as its certificate says.
    pub started_at: &'a str,
    /// The word of its profile.
    pub profile: &'a str,
    /// What its randomness started with.
    pub seed: u64,
    /// The server that was measured.
    pub server: &'a ServerFacts,
}

/// One document.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    format_version: u32,
    started_at: &'a str,
    profile: &'a str,
    seed: u64,
    machine: &'a Machine,
    server: ServerReport,
    figures: BTreeMap<&'a str, &'a crate::evidence::Outcome>,
    phases: Vec<&'a Phase>,
    #[serde(skip_serializing_if = "<[Step]>::is_empty")]
    curve: &'a [Step],
    #[serde(skip_serializing_if = "<[Scale]>::is_empty")]
    scaling: &'a [Scale],
    #[serde(skip_serializing_if = "<[Floor]>::is_empty")]
    pgbench: &'a [Floor],
}

/// The files of a run with their texts.
#[must_use]
pub fn files(found: &Found, origin: Origin<'_>) -> Vec<(String, String)> {
    let Origin { started_at, profile, seed, server } = origin;
    let mut files = Vec::new();
    for (file, is_of) in GROUPS {
        let is_whole = file == GROUPS[0].0;
        let document = Document {
            format: FORMAT,
            format_version: 1,
            started_at,
            profile,
            seed,
            machine: &found.machine,
            server: server.into(),
            figures: found
                .evidence
                .iter()
                .filter_map(|one| Some((one.claim.strip_prefix("load.")?, &one.outcome)))
                .filter(|(name, _)| is_of(name))
                .collect(),
            phases: found.phases.iter().filter(|phase| is_of(&phase.name)).collect(),
            curve: if is_whole { &found.curve } else { &[] },
            scaling: if is_whole { &found.scaling } else { &[] },
            pgbench: if is_whole { &found.pgbench } else { &[] },
        };
        // Keys are strings, so that writing into memory cannot fail.
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        files.push((file.to_owned(), text));
    }
    files.push(("response_times.hlog".to_owned(), hdr_log(&found.phases)));
    files.extend(plots(found));
    files
}

/// The plots of a run with the names of their files.
#[must_use]
pub fn plots(found: &Found) -> Vec<(String, String)> {
    let phases = found.phases.iter().filter(|phase| !phase.name.starts_with("curve_"));
    let mut plots: Vec<_> = phases.flat_map(plot::of_phase).collect();
    plots.extend(plot::of_curve(&found.curve).map(|svg| ("curve.svg".to_owned(), svg)));
    plots.extend(found.scaling.iter().filter_map(|scale| {
        Some((format!("scaling_{}.svg", scale.axis.name()), plot::of_scale(scale)?))
    }));
    plots
}

/// Response times in microseconds as an HDR histogram log, one tagged line for each stream.
fn hdr_log(phases: &[Phase]) -> String {
    let mut bytes = Vec::new();
    let mut serializer = V2Serializer::new();
    let written = (|| {
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("response times in microseconds, from the due instant")
            .begin_log_with(&mut bytes, &mut serializer)?;
        let mut start = std::time::Duration::ZERO;
        for phase in phases {
            let seconds = std::time::Duration::try_from_secs_f64(phase.activity.seconds);
            let took = seconds.unwrap_or_default();
            for (stream, histogram) in &phase.histograms {
                let name = format!("{}.{stream}", phase.name);
                let tag = Tag::new(&name);
                // The format holds every histogram that was recorded.
                let _ = log.write_histogram(histogram, start, took, tag);
            }
            start += took;
        }
        Ok::<_, std::io::Error>(())
    })();
    // Memory takes everything.
    drop(written);
    String::from_utf8(bytes).unwrap_or_default()
}
