//! Runs compared in pairs, second by second: two that were stored, or two servers measured in turns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::artifacts::FORMAT;
use super::bench::Bench;
use super::found::{Found, Phase};
use super::queries;
use super::summary::{ROUNDS, Second, Summary, censored, mean};
use super::workload::NONE_RUNS;
use crate::Error;
use crate::markup::one_line;
use crate::statistics::bootstrap;

/// Seconds that two runs must have in common in a stream.
pub const LEAST_SECONDS: usize = 5;

/// How a document says what it is.
#[derive(Deserialize)]
struct Head {
    format: String,
    format_version: u32,
}

/// What is read of a stored run; it may have been written by anybody.
#[derive(Debug, Clone, Deserialize)]
pub struct Stored {
    profile: String,
    seed: u64,
    phases: Vec<StoredPhase>,
    /// Where a run was measured that was not stored.
    #[serde(skip)]
    server: Option<String>,
    /// Its streams that could not be measured there, and why.
    #[serde(skip)]
    unmeasured: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct StoredPhase {
    name: String,
    streams: BTreeMap<String, StoredStream>,
}

#[derive(Debug, Clone, Deserialize)]
struct StoredStream {
    timeline: Vec<StoredSecond>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct StoredSecond {
    second: u64,
    p95: f64,
}

impl Stored {
    fn of(bench: &Bench<'_>, found: &Found) -> Self {
        let second = |one: &Second| StoredSecond { second: one.second, p95: one.p95 };
        let stream = |(name, summary): (&String, &Summary)| {
            let timeline = summary.timeline.iter().map(second).collect();
            (name.clone(), StoredStream { timeline })
        };
        let phase = |phase: &Phase| StoredPhase {
            name: phase.name.clone(),
            streams: phase.streams.iter().map(stream).collect(),
        };
        Self {
            profile: format!("{:?}", bench.profile),
            seed: bench.seed,
            phases: found.phases.iter().map(phase).collect(),
            server: Some(bench.config.address()),
            unmeasured: found
                .unloadable
                .iter()
                .map(|query| (stream_name(queries::PHASE, &query.name), query.reason.clone()))
                .collect(),
        }
    }

    /// Reads a document that `dbready load --out` wrote.
    ///
    /// # Errors
    ///
    /// What was expected and found, for anything else.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let no_result =
            |error: serde_json::Error| format!("this is no result of dbready load: {error}");
        let Head { format, format_version } = serde_json::from_str(text).map_err(no_result)?;
        if format != FORMAT || format_version != 1 {
            return Err(format!(
                "expected the format {FORMAT} in version 1, found `{}` in version {format_version}",
                format.escape_debug()
            ));
        }
        serde_json::from_str(text).map_err(no_result)
    }

    /// Its streams by name, in order.
    fn streams(&self) -> impl Iterator<Item = (String, &StoredStream)> {
        self.phases.iter().flat_map(|phase| {
            let streams = phase.streams.iter();
            streams.map(|(name, stream)| (stream_name(&phase.name, name), stream))
        })
    }

    /// The streams that both have, with the p95 of the seconds that both have.
    fn beside(&self, other: &Self) -> Vec<(String, Vec<(f64, f64)>)> {
        let theirs: BTreeMap<String, &StoredStream> = other.streams().collect();
        let paired = |(name, stream): (String, &StoredStream)| {
            let theirs = theirs.get(&name)?.timeline.iter();
            let by_second: BTreeMap<u64, f64> = theirs.map(|one| (one.second, one.p95)).collect();
            let pairs = stream.timeline.iter();
            let pairs = pairs.filter_map(|one| Some((one.p95, *by_second.get(&one.second)?)));
            Some((name, pairs.collect()))
        };
        self.streams().filter_map(paired).collect()
    }

    /// What this run lacks: the streams that the other has and it has not, and those that could not be
    /// measured, with the reason.
    fn lacks(&self, other: &Self) -> BTreeMap<String, String> {
        let own: BTreeSet<String> = self.streams().map(|(name, _)| name).collect();
        let theirs = other.streams().map(|(name, _)| name).filter(|name| !own.contains(name));
        let mut lacks: BTreeMap<String, String> =
            theirs.map(|name| (name, "it has no such stream".to_owned())).collect();
        lacks.extend(self.unmeasured.clone());
        lacks
    }
}

fn stream_name(phase: &str, stream: &str) -> String {
    one_line(&format!("{phase}.{stream}"))
}

/// What runs show beside each other. Every stream of a run is compared or left out, or both where it is
/// missing in some of several turns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The streams that both runs of a pair have, in the order of the first.
    pub streams: Vec<Comparison>,
    /// The others.
    pub left_out: Vec<LeftOut>,
}

impl Compared {
    /// Whether a stream is slower in the second run, or the second of two servers cannot run a query
    /// that the first can.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        let is_out_of = |run: Run, stream: &str| {
            self.left_out.iter().any(|one| one.run == run && one.stream == stream)
        };
        let is_lost = |one: &LeftOut| {
            one.run == Run::Second && one.server.is_some() && !is_out_of(Run::First, &one.stream)
        };
        self.streams.iter().any(|one| one.verdict == Verdict::Slower)
            || self.left_out.iter().any(is_lost)
    }
}

/// A stream that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Phase and stream.
    pub stream: String,
    /// Where it is missing.
    pub run: Run,
    /// The address of that run's server, where it was measured just now; never a password.
    pub server: Option<String>,
    /// Why, on one line.
    pub reason: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = match self.run {
            Run::First => "the first",
            Run::Second => "the second",
            Run::Both => "both",
        };
        write!(f, "{}: {run}", self.stream)?;
        if let Some(server) = &self.server {
            write!(f, " ({server})")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Which of two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// The first.
    First,
    /// The second.
    Second,
    /// Both of them.
    Both,
}

/// How one stream of the second run stands to the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Phase and stream.
    pub stream: String,
    /// Seconds that both runs have, but for those in which calls fail in both.
    pub pairs: usize,
    /// Mean over these of the second's p95, in milliseconds: of the first run, and of the second.
    pub p95_ms: (f64, f64),
    /// The second over the first.
    pub ratio: f64,
    /// Its 90 % bootstrap interval: each end is a one-sided 95 % bound.
    pub interval: (f64, f64),
    /// What follows.
    pub verdict: Verdict,
}

/// What a comparison shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval lies above the tolerance.
    Slower,
    /// The whole interval lies below it.
    Faster,
    /// The whole interval lies within the tolerance.
    Same,
    /// The interval is too wide to tell.
    Open,
}

/// Measures the contract's queries on two servers in turns: the first and the second, the second and
/// the first, and so on, so that neither always runs on the warmer machine. The benches of a pair get
/// a seed of their own. Ends early, with the pairs that are whole, when the first is stopped.
///
/// # Errors
///
/// [`Error::Database`] when a server cannot be reached; [`Error::Usage`] when one of them can run no
/// query of the contract, or there is none.
pub async fn in_turns(
    first: &mut Bench<'_>,
    second: &mut Bench<'_>,
    turns: u32,
) -> Result<Vec<(Stored, Stored)>, Error> {
    let mut pairs = Vec::new();
    for turn in 0..turns {
        first.seed = first.seed.wrapping_add(1);
        second.seed = first.seed;
        let (one, other) = if turn % 2 == 0 {
            let one = turn_of(first).await?;
            (one, turn_of(second).await?)
        } else {
            let other = turn_of(second).await?;
            (turn_of(first).await?, other)
        };
        if first.stopped() {
            break;
        }
        pairs.push((one, other));
    }
    Ok(pairs)
}

async fn turn_of(bench: &Bench<'_>) -> Result<Stored, Error> {
    let run = Stored::of(bench, &queries::measure(bench).await?);
    if run.phases.is_empty() {
        let mut problems = vec![format!("{}: {}", bench.config.address(), NONE_RUNS)];
        let unmeasured = run.unmeasured.iter();
        problems.extend(unmeasured.map(|(stream, reason)| format!("{stream}: {reason}")));
        return Err(Error::Usage(problems.join("; ")));
    }
    Ok(run)
}

/// Compares the streams that both runs of each pair have, and names the others.
///
/// With the same seed the same operations were due in the same second of both runs, so the seconds
/// are paired: the ratio of the means over all pairs is taken, and its interval by resampling pairs.
/// `tolerance` is a share: 0.1 lets the second be a tenth slower or faster.
///
/// # Errors
///
/// What was expected and found, when the runs of a pair have other seeds or profiles, or no stream in
/// common.
pub fn compare(runs: &[(Stored, Stored)], tolerance: f64) -> Result<Compared, String> {
    let mut found = Compared { streams: Vec::new(), left_out: Vec::new() };
    let mut streams: Vec<String> = Vec::new();
    let mut seconds: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (first, second) in runs {
        for (what, one, other) in [
            ("profile", first.profile.clone(), second.profile.clone()),
            ("seed", first.seed.to_string(), second.seed.to_string()),
        ] {
            if one != other {
                return Err(format!(
                    "expected two runs of the same {what}, found {one} and {other}"
                ));
            }
        }
        for (stream, pairs) in first.beside(second) {
            if !streams.contains(&stream) {
                streams.push(stream.clone());
            }
            seconds.entry(stream).or_default().extend(pairs);
        }
        for (run, own, other) in [(Run::First, first, second), (Run::Second, second, first)] {
            for (stream, reason) in own.lacks(other) {
                // The first turn that lacks it speaks for the others.
                if !found.left_out.iter().any(|one| one.run == run && one.stream == stream) {
                    let server = own.server.clone();
                    found.left_out.push(LeftOut { stream, run, server, reason });
                }
            }
        }
    }
    let seed = runs.first().map_or(0, |(first, _)| first.seed);
    for stream in streams {
        let pairs = seconds.remove(&stream).unwrap_or_default();
        let mut left_out = |reason: String| {
            let stream = stream.clone();
            found.left_out.push(LeftOut { stream, run: Run::Both, server: None, reason });
        };
        let of = pairs.len();
        let timed: Vec<(f64, f64)> = pairs.into_iter().filter(|pair| !is_failing(*pair)).collect();
        if timed.len() < of {
            left_out(format!(
                "there is nothing to compare in {} of its {of} seconds: so many calls failed or had no \
                 answer in each that the 95th percentile is no time",
                of - timed.len()
            ));
        }
        match of_pairs(&stream, &timed, seed, tolerance) {
            Ok(comparison) => found.streams.push(comparison),
            // Where it is named already, nothing is added.
            Err(_) if timed.is_empty() && of > 0 => {}
            Err(reason) => left_out(reason),
        }
    }
    if found.streams.is_empty() {
        let mut problems = vec![format!(
            "expected a stream of operations in both runs with {LEAST_SECONDS} seconds in common, found \
             none"
        )];
        problems.extend(found.left_out.iter().map(ToString::to_string));
        return Err(problems.join("; "));
    }
    Ok(found)
}

/// Whether the p95 of a second stands for failures in both runs: each is slower than anything, and
/// nothing says how the one stands to the other.
fn is_failing((first, second): (f64, f64)) -> bool {
    first.min(second) >= censored()
}

fn of_pairs(
    stream: &str,
    pairs: &[(f64, f64)],
    seed: u64,
    tolerance: f64,
) -> Result<Comparison, String> {
    if pairs.len() < LEAST_SECONDS {
        return Err(format!("{} seconds in common; {LEAST_SECONDS} are needed", pairs.len()));
    }
    let means = |pairs: &[(f64, f64)]| {
        (mean(pairs.iter().map(|pair| pair.0)), mean(pairs.iter().map(|pair| pair.1)))
    };
    let ratio = |pairs: &[(f64, f64)]| {
        let (first, second) = means(pairs);
        second / first
    };
    let interval =
        bootstrap(pairs, ROUNDS, seed, ratio).ok_or("the ratio of its means is no number")?;
    let (low, high) = (1.0 - tolerance, 1.0 + tolerance);
    let verdict = if interval.0 > high {
        Verdict::Slower
    } else if interval.1 < low {
        Verdict::Faster
    } else if interval.0 >= low && interval.1 <= high {
        Verdict::Same
    } else {
        Verdict::Open
    };
    Ok(Comparison {
        stream: stream.to_owned(),
        pairs: pairs.len(),
        p95_ms: means(pairs),
        ratio: ratio(pairs),
        interval,
        verdict,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run whose p95 wavers by a fifth around `p95`.
    fn run(p95: f64, seed: u64) -> Stored {
        let mut random = fastrand::Rng::with_seed(seed);
        let timeline: Vec<_> = (0..60)
            .map(|second| {
                let p95 = p95 * (0.9 + 0.2 * random.f64());
                serde_json::json!({ "second": second, "p95": p95, "due": 1, "failed": 0 })
            })
            .collect();
        let document = serde_json::json!({
            "format": FORMAT, "format_version": 1, "profile": "standard", "seed": 1,
            "phases": [{ "name": "queries", "streams": { "latest": { "timeline": timeline } } }],
        });
        Stored::from_json(&document.to_string()).unwrap()
    }

    #[test]
    fn a_difference_is_seen_and_noise_is_not() {
        let verdict = |first: f64, second: f64| {
            compare(&[(run(first, 1), run(second, 2))], 0.1).unwrap().streams[0].verdict
        };
        assert_eq!(verdict(10.0, 10.0), Verdict::Same);
        assert_eq!(verdict(10.0, 12.0), Verdict::Slower);
        assert_eq!(verdict(10.0, 8.0), Verdict::Faster);
        assert_eq!(verdict(10.0, 11.0), Verdict::Open);
    }

    #[test]
    fn every_stream_is_compared_or_left_out() {
        let (mut one, mut other) = (run(10.0, 1), run(10.0, 1));
        let extra = |run: &mut Stored, name: &str, seconds: usize| {
            let streams = &mut run.phases[0].streams;
            let timeline = streams["latest"].timeline[..seconds].to_vec();
            streams.insert(name.to_owned(), StoredStream { timeline });
        };
        extra(&mut one, "more", 60);
        extra(&mut one, "short", 4);
        extra(&mut other, "short", 60);
        extra(&mut other, "b\u{1b}[2J", 60);
        let text = |found: &Compared| -> Vec<String> {
            found.left_out.iter().map(ToString::to_string).collect()
        };
        let found = compare(&[(one.clone(), other.clone())], 0.1).unwrap();
        assert_eq!(found.streams.len(), 1, "{found:?}");
        let expected = [
            "queries.b\\u{1b}[2J: the first: it has no such stream",
            "queries.more: the second: it has no such stream",
            "queries.short: both: 4 seconds in common; 5 are needed",
        ];
        assert_eq!(text(&found), expected);
        // Several turns that lack the same name it once.
        let turns = [(one.clone(), other.clone()), (one.clone(), other.clone())];
        let found = compare(&turns, 0.1).unwrap();
        assert_eq!((found.streams.len(), found.left_out.len()), (2, 2), "{found:?}");
        // Where nothing is left, the reasons are in the refusal.
        for run in [&mut one, &mut other] {
            run.phases[0].streams.remove("latest");
        }
        let refusal = compare(&[(one, other)], 0.1).unwrap_err();
        assert!(refusal.contains("found none; queries.b") && refusal.ends_with(expected[2]));
    }

    #[test]
    fn what_fails_in_both_runs_is_not_the_same_but_left_out() {
        let failing = |p95: f64, seconds: std::ops::Range<usize>| {
            let mut run = run(p95, 1);
            let timeline = &mut run.phases[0].streams.get_mut("latest").unwrap().timeline;
            timeline[seconds].iter_mut().for_each(|one| one.p95 = censored());
            run
        };
        let of = |first: &Stored, second: &Stored| compare(&[(first.clone(), second.clone())], 0.1);
        // Three quarters of the seconds would hide that the others are twice as slow.
        let found = of(&failing(10.0, 0..45), &failing(20.0, 0..45)).unwrap();
        assert_eq!((found.streams[0].verdict, found.streams[0].pairs), (Verdict::Slower, 15));
        assert_eq!((found.left_out[0].run, found.left_out.len()), (Run::Both, 1), "{found:?}");
        assert!(found.left_out[0].reason.contains("in 45 of its 60 seconds"), "{found:?}");
        // A failure of one run only is slower than anything.
        let found = of(&run(10.0, 1), &failing(10.0, 0..60)).unwrap();
        assert_eq!((found.streams[0].verdict, found.left_out.len()), (Verdict::Slower, 0));
        let found = of(&failing(10.0, 0..60), &run(10.0, 1)).unwrap();
        assert_eq!((found.streams[0].verdict, found.left_out.len()), (Verdict::Faster, 0));
        let mut both = failing(10.0, 0..60);
        let refusal = of(&both, &both).unwrap_err();
        assert!(refusal.contains("queries.latest: both: there is nothing to compare"), "{refusal}");
        let timeline = run(10.0, 1).phases.remove(0).streams.remove("latest").unwrap();
        both.phases[0].streams.insert("sound".to_owned(), timeline);
        let found = of(&both, &both).unwrap();
        assert_eq!((found.streams.len(), found.left_out.len()), (1, 1), "{found:?}");
        assert_eq!(found.left_out[0].stream, "queries.latest");
        assert!(found.left_out[0].reason.contains("in 60 of its 60 seconds"), "{found:?}");
        assert!(!found.is_worse());
        // Too few seconds that are left are named as such, too.
        let found = of(&failing(10.0, 0..57), &failing(20.0, 0..57)).unwrap_err();
        assert!(found.contains("in 57 of") && found.contains("3 seconds in common"), "{found}");
    }

    #[test]
    fn a_query_that_only_the_first_server_runs_is_worse() {
        let server = |port: u16, lacks: &[&str]| Stored {
            server: Some(format!("127.0.0.1:{port}/service")),
            unmeasured: lacks.iter().map(|name| ((*name).to_owned(), "why".to_owned())).collect(),
            ..run(10.0, 1)
        };
        let is_worse = |first: &[&str], second: &[&str]| {
            compare(&[(server(1, first), server(2, second))], 0.1).unwrap().is_worse()
        };
        assert!(!is_worse(&[], &[]));
        assert!(is_worse(&[], &["queries.near"]));
        assert!(!is_worse(&["queries.near"], &[]));
        assert!(!is_worse(&["queries.near"], &["queries.near"]));
        assert!(is_worse(&["queries.near"], &["queries.near", "queries.far"]));
    }

    #[test]
    fn runs_that_are_no_pair_are_refused() {
        let one = run(10.0, 1);
        let other = Stored { seed: 2, ..one.clone() };
        let refusal = |first: &Stored, second: &Stored| {
            compare(&[(first.clone(), second.clone())], 0.1).unwrap_err()
        };
        assert!(refusal(&one, &other).contains("same seed, found 1 and 2"));
        let empty = Stored { phases: Vec::new(), ..one.clone() };
        assert!(refusal(&one, &empty).contains("found none"));
        assert!(compare(&[], 0.1).unwrap_err().contains("found none"));
        for text in ["{}", "[]", "", "{\"format\": \"x\"}"] {
            assert!(Stored::from_json(text).unwrap_err().contains("no result"), "{text}");
        }
        let later = "{\"format\": \"dbready-load\", \"format_version\": 2}";
        assert!(
            Stored::from_json(later).unwrap_err().contains("found `dbready-load` in version 2")
        );
    }
}
