//! What was measured, drawn: latencies against their limits, courses of load tests, faults of drills and
//! what came after them, the score of the nights.

use maud::{Markup, html as markup};

use super::svg::{self, Axis, Line, chart, duration, names, percent, short};
use super::{anchor, prose};
use crate::claim::Target;
use crate::evidence::Outcome;
use crate::report::beside::{Beside, Drill, Phase, Point, Scale, Step, Timeline, Trial};
use crate::report::certificate::{Certificate, ClaimResult};
use crate::report::text::one_line;
use crate::verdict::Status;

/// Trials drawn of one drill, those that took longest first.
const TRIALS_SHOWN: usize = 12;

/// Axes that all drawings of a kind share, so that they can be compared.
#[derive(Debug, Default)]
pub(super) struct Scales {
    latency: Option<Axis>,
    drill: Option<Axis>,
}

impl Scales {
    pub(super) fn of(certificate: &Certificate, beside: &Beside) -> Self {
        let latencies = certificate.claims.iter().filter_map(Latency::of);
        let shown = latencies.flat_map(|one| [one.low, one.high, one.value, one.limit]);
        let drills = certificate.claims.iter().filter_map(|c| beside.drill(certificate, &c.id));
        let ends = drills.flat_map(|drill| &drill.trials).filter_map(end);
        // A millisecond is as near to the fault as is drawn.
        let drill = svg::Axis::log(ends.chain([1.0]).map(|ms| ms.max(1.0)));
        Self { latency: Axis::log(shown), drill }
    }
}

/// Latencies of one claim, in milliseconds.
struct Latency {
    low: f64,
    high: f64,
    value: f64,
    bound: f64,
    limit: f64,
    others: Vec<(String, f64)>,
}

impl Latency {
    /// Of a claim that sets a limit to a time and was measured.
    fn of(claim: &ClaimResult) -> Option<Self> {
        let Target::AtMost { limit, unit, .. } = &claim.goal else { return None };
        let (scale, limit) = (in_milliseconds(unit)?, *limit);
        claim.evidence.iter().find_map(|evidence| match &evidence.outcome {
            Outcome::Measured { value, bound, unit: measured, statistics, .. }
                if measured == unit =>
            {
                let others: Vec<(String, f64)> =
                    statistics.iter().map(|(name, one)| (name.clone(), one * scale)).collect();
                let named = |wanted: &str| {
                    others
                        .iter()
                        .find(|(name, _)| name == wanted)
                        .map_or(*value * scale, |one| one.1)
                };
                Some(Self {
                    low: named("p50").min(value * scale),
                    high: named("max").max(value * scale),
                    value: value * scale,
                    bound: bound * scale,
                    limit: limit * scale,
                    others,
                })
            }
            _ => None,
        })
    }

    fn words(&self) -> String {
        let others: Vec<String> = self
            .others
            .iter()
            .map(|(name, ms)| format!("{} {}", one_line(name), duration(*ms)))
            .collect();
        format!(
            "measured {}, 95 % bound {}, limit {}; {}",
            duration(self.value),
            duration(self.bound),
            duration(self.limit),
            others.join(", ")
        )
    }
}

fn in_milliseconds(unit: &str) -> Option<f64> {
    match unit {
        "ms" => Some(1.0),
        "s" => Some(1_000.0),
        "µs" | "us" => Some(0.001),
        _ => None,
    }
}

/// A claim's latencies on the axis that all share; nothing for other claims.
pub(super) fn strip(claim: &ClaimResult, scales: &Scales) -> Markup {
    let drawn = Latency::of(claim).zip(scales.latency);
    markup! {
        @if let Some((latency, axis)) = &drawn {
            div.alone {
                (strip_svg(claim.status, latency, *axis))
                (scale(*axis))
                (latency_key())
            }
        }
    }
}

fn strip_svg(status: Status, latency: &Latency, axis: Axis) -> Markup {
    let at = |ms: f64| percent(axis.at(ms));
    markup! {
        svg.strip role="img" aria-label=(latency.words()) {
            @for tick in axis.ticks() {
                line.grid x1=(at(tick)) x2=(at(tick)) y1="0" y2="100%" {}
            }
            line.range x1=(at(latency.low)) x2=(at(latency.high)) y1="50%" y2="50%" {}
            @for (name, ms) in &latency.others {
                @if ["p50", "p99", "max"].contains(&name.as_str()) {
                    circle.other cx=(at(*ms)) cy="50%" r="3" { title { (name) " " (duration(*ms)) } }
                }
            }
            line.limit x1=(at(latency.limit)) x2=(at(latency.limit)) y1="8%" y2="92%" {}
            line class=(format!("bound {}", status.word()))
                x1=(at(latency.value)) x2=(at(latency.bound)) y1="50%" y2="50%" {}
            circle class=(format!("value {}", status.word())) cx=(at(latency.value)) cy="50%" r="5.5" {
                title { "measured " (duration(latency.value)) }
            }
        }
    }
}

/// The figures under drawings that share an axis.
fn scale(axis: Axis) -> Markup {
    let ticks = axis.ticks();
    markup! {
        svg.scale aria-hidden="true" {
            @for (at, tick) in ticks.iter().enumerate() {
                text x=(percent(axis.at(*tick))) y="12" class=(side(at, ticks.len())) {
                    (duration(*tick))
                }
            }
        }
    }
}

/// Which end of a label lies at its place: labels stay inside the drawing.
fn side(at: usize, of: usize) -> &'static str {
    match at {
        0 => "start",
        _ if at + 1 == of => "end",
        _ => "middle",
    }
}

/// All drawings of the run; `None` where there is nothing to draw.
pub(super) fn section(
    certificate: &Certificate,
    beside: &Beside,
    scales: &Scales,
) -> Option<Markup> {
    let parts = [
        latencies(certificate, scales),
        courses(certificate, beside),
        drills(certificate, beside, scales),
        trend(certificate, beside),
    ];
    parts.iter().any(|part| !part.0.is_empty()).then(|| {
        markup! {
            h2 id="figures" { "Measured" }
            @for part in parts { (part) }
        }
    })
}

fn latencies(certificate: &Certificate, scales: &Scales) -> Markup {
    let rows: Vec<(&ClaimResult, Latency)> =
        certificate.claims.iter().filter_map(|claim| Some((claim, Latency::of(claim)?))).collect();
    markup! {
        @if let Some(axis) = scales.latency {
            figure.card.drawn {
                figcaption {
                    h3 { "Latencies against their limits" }
                    (latency_key())
                }
                @for (claim, latency) in &rows {
                    (named(certificate, claim, &strip_svg(claim.status, latency, axis), &markup! {
                        (duration(latency.value)) span.muted { " of " (duration(latency.limit)) }
                    }))
                }
                div.lane { span {} (scale(axis)) span {} }
            }
        }
    }
}

fn latency_key() -> Markup {
    markup! {
        p.key {
            span { i.value {} "the statistic with its 95 % bound, coloured by its verdict" }
            span { i.other {} "p50, p99, max" }
            span { i.limit {} "limit" }
        }
    }
}

/// One line of a drawing: the claim it speaks of, what is drawn, and the figure in words.
fn named(
    certificate: &Certificate,
    claim: &ClaimResult,
    drawn: &Markup,
    figure: &Markup,
) -> Markup {
    markup! {
        div.lane {
            a href=(format!("#{}", anchor(certificate, claim))) { (short_name(claim)) }
            (drawn)
            span.figure { (figure) }
        }
    }
}

/// The end of an id that tells claims of one kind apart.
fn short_name(claim: &ClaimResult) -> String {
    let name = claim.id.split_once('.').map_or(claim.id.as_str(), |(_, rest)| rest);
    one_line(name).replace(['_', '.'], " ")
}

/// Load tests second by second, and throughput against latency.
fn courses(certificate: &Certificate, beside: &Beside) -> Markup {
    let loads = beside.loads(certificate);
    markup! {
        @for load in &loads {
            @for phase in load.phases.iter().filter(|phase| !phase.name.starts_with("curve_")) {
                (course(phase))
            }
            (curve(&load.curve))
            @for scale in &load.scaling { (scaling(scale)) }
        }
    }
}

/// Seconds that make a course worth drawing.
const SECONDS: usize = 3;

fn course(phase: &Phase) -> Markup {
    let mut lines: Vec<Line> = phase
        .streams
        .iter()
        .map(|(name, stream)| Line {
            name: one_line(name),
            points: stream.timeline.iter().map(|one| (f64::from(one.at), one.p95)).collect(),
        })
        .filter(|line| line.points.len() >= SECONDS)
        .collect();
    let of = lines.len();
    // The slowest streams, when there are more than colours.
    lines.sort_by(|one, other| peak(other).total_cmp(&peak(one)));
    lines.truncate(svg::COLOURS);
    let failed: Vec<f64> = phase
        .streams
        .values()
        .flat_map(|stream| &stream.timeline)
        .filter(|second| second.failed > 0)
        .map(|second| f64::from(second.at))
        .collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let axes = Axis::linear(points().map(|at| at.0)).zip(Axis::log(points().map(|at| at.1)));
    markup! {
        @if let Some((across, up)) = axes {
            figure.card.drawn {
                figcaption {
                    h3 { "Second by second: " (one_line(&phase.name).replace('_', " ")) }
                    p.muted { (prose(&phase.workload)) }
                }
                (chart(&format!("p95 of the response time in each second, {}", peaks(&lines)),
                    (across, up), duration, &lines, &failed))
                (across_words(across, "s", "p95 in each second"))
                p.key {
                    (names(&lines))
                    @if of > lines.len() { span { "the slowest " (lines.len()) " of " (of) } }
                    @if !failed.is_empty() { span { i.mark {} "calls failed" } }
                }
            }
        }
    }
}

fn peak(line: &Line) -> f64 {
    line.points.iter().map(|point| point.1).fold(0.0, f64::max)
}

fn peaks(lines: &[Line]) -> String {
    let each = lines.iter().map(|line| format!("{} up to {}", line.name, duration(peak(line))));
    each.collect::<Vec<_>>().join(", ")
}

/// The ends of an axis under a drawing, and what goes up.
fn across_words(across: Axis, unit: &str, up: &str) -> Markup {
    let ticks = across.ticks();
    markup! {
        p.across {
            span { (short(ticks.first().copied().unwrap_or_default())) " " (unit) }
            span { (up) }
            span { (short(ticks.last().copied().unwrap_or_default())) " " (unit) }
        }
    }
}

fn curve(steps: &[Step]) -> Markup {
    let line = |name: &str, of: fn(&Step) -> f64| Line {
        name: name.to_owned(),
        points: steps.iter().map(|step| (step.achieved_per_second, of(step))).collect(),
    };
    let lines =
        [line("p50", |step| step.p50), line("p95", |step| step.p95), line("p99", |step| step.p99)];
    let across = Axis::linear(steps.iter().map(|step| step.achieved_per_second));
    let up = Axis::log(lines.iter().flat_map(|line| &line.points).map(|at| at.1));
    let offered = steps.iter().map(|step| step.offered_per_second).fold(0.0, f64::max);
    markup! {
        @if let Some(axes) = across.zip(up).filter(|_| steps.len() > 1) {
            figure.card.drawn {
                figcaption {
                    h3 { "Response time against throughput" }
                    p.muted { "Load raised step by step, up to " (short(offered)) " calls a second." }
                }
                (chart(&format!("response time against answers a second, {}", peaks(&lines)),
                    axes, duration, &lines, &[]))
                (across_words(axes.0, "a second", "answers"))
                p.key { (names(&lines)) }
            }
        }
    }
}

/// Response times against connections, parameters, batches or data.
fn scaling(scale: &Scale) -> Markup {
    let line = |name: &str, of: fn(&Point) -> f64| Line {
        name: name.to_owned(),
        points: scale.points.iter().map(|point| (point.at, of(point))).collect(),
    };
    let lines = [line("p50", |point| point.p50), line("p95", |point| point.p95)];
    let across = Axis::log(scale.points.iter().map(|point| point.at));
    let up = Axis::log(lines.iter().flat_map(|line| &line.points).map(|at| at.1));
    let unit = one_line(&scale.unit);
    markup! {
        @if let Some(axes) = across.zip(up).filter(|_| scale.points.len() > 1) {
            figure.card.drawn {
                figcaption {
                    h3 { "Response time against " (unit) }
                    p.muted { (prose(&scale.said)) }
                }
                (chart(&format!("response time against {unit}, {}", peaks(&lines)),
                    axes, duration, &lines, &[]))
                (across_words(axes.0, "", &unit))
                p.key { (names(&lines)) }
            }
        }
    }
}

fn drilled<'a>(
    certificate: &'a Certificate,
    beside: &'a Beside,
) -> Vec<(&'a ClaimResult, &'a Drill)> {
    let claims = certificate.claims.iter();
    claims.filter_map(|claim| Some((claim, beside.drill(certificate, &claim.id)?))).collect()
}

/// The last thing that a trial's timeline knows of.
fn end(trial: &Trial) -> Option<f64> {
    let timeline = trial.timeline.as_ref()?;
    let all = [timeline.full_recovery, timeline.first_success, timeline.cleared];
    all.into_iter().flatten().reduce(f64::max)
}

/// The trial of a drill that took longest.
fn worst(drill: &Drill) -> Option<&Trial> {
    let timed = drill.trials.iter().filter_map(|trial| Some((trial, end(trial)?)));
    timed.max_by(|one, other| one.1.total_cmp(&other.1)).map(|(trial, _)| trial)
}

fn drills(certificate: &Certificate, beside: &Beside, scales: &Scales) -> Markup {
    let rows: Vec<(&ClaimResult, &Timeline, f64)> = drilled(certificate, beside)
        .into_iter()
        .filter_map(|(claim, drill)| {
            let trial = worst(drill)?;
            Some((claim, trial.timeline.as_ref()?, end(trial)?))
        })
        .collect();
    markup! {
        @if let Some(axis) = scales.drill.filter(|_| !rows.is_empty()) {
            figure.card.drawn {
                figcaption {
                    h3 { "Faults, and how long until all is well" }
                    p.muted { "The slowest trial of each drill with a timeline, from the fault on." }
                    (drill_key())
                }
                @for (claim, timeline, end) in rows {
                    (named(certificate, claim, &lane(timeline, axis), &markup! { (duration(end)) }))
                }
                div.lane { span {} (scale(axis)) span {} }
            }
        }
    }
}

fn drill_key() -> Markup {
    markup! {
        p.key {
            span { i.fault {} "fault" }
            span { i.failing {} "errors until the first success" }
            span { i.recovering {} "until all places serve" }
            span { i.cleared {} "fault taken away" }
        }
    }
}

/// The trials of one drill, the slowest first.
pub(super) fn trials(drill: &Drill, scales: &Scales) -> Markup {
    let mut timed: Vec<(&Trial, &Timeline, f64)> = drill
        .trials
        .iter()
        .filter_map(|trial| Some((trial, trial.timeline.as_ref()?, end(trial)?)))
        .collect();
    timed.sort_by(|one, other| other.2.total_cmp(&one.2));
    let of = timed.len();
    timed.truncate(TRIALS_SHOWN);
    markup! {
        @if let Some(axis) = scales.drill.filter(|_| !timed.is_empty()) {
            div.trials {
                (drill_key())
                @for (trial, timeline, end) in &timed {
                    div.lane {
                        span { (one_line(&trial.name)) }
                        (lane(timeline, axis))
                        span.figure { (duration(*end)) }
                    }
                }
                div.lane { span {} (scale(axis)) span {} }
                @if of > timed.len() { p.muted { "The slowest " (timed.len()) " of " (of) " trials." } }
            }
        }
    }
}

fn lane(timeline: &Timeline, axis: Axis) -> Markup {
    let at = |ms: f64| percent(axis.at(ms.max(1.0)));
    let Timeline { first_error, first_success, full_recovery, cleared } = *timeline;
    let failing = first_error.zip(first_success);
    let recovering = full_recovery.map(|end| (first_success.unwrap_or(0.0), end));
    markup! {
        svg.strip role="img" aria-label=(lane_words(timeline)) {
            @for tick in axis.ticks() {
                line.grid x1=(at(tick)) x2=(at(tick)) y1="0" y2="100%" {}
            }
            line.range x1="0" x2=(at(full_recovery.or(first_success).unwrap_or(0.0)))
                y1="50%" y2="50%" {}
            @if let Some((from, to)) = recovering {
                line.recovering x1=(at(from)) x2=(at(to)) y1="50%" y2="50%" {}
            }
            @if let Some((from, to)) = failing {
                line.failing x1=(at(from)) x2=(at(to)) y1="50%" y2="50%" {}
            }
            @if let Some(ms) = cleared {
                line.cleared x1=(at(ms)) x2=(at(ms)) y1="8%" y2="92%" {}
            }
            line.fault x1="1" x2="1" y1="8%" y2="92%" {}
        }
    }
}

fn lane_words(timeline: &Timeline) -> String {
    let named = [
        ("first error", timeline.first_error),
        ("first success", timeline.first_success),
        ("fault taken away", timeline.cleared),
        ("all places serve", timeline.full_recovery),
    ];
    let parts: Vec<String> = named
        .into_iter()
        .filter_map(|(name, ms)| Some(format!("{name} after {}", duration(ms?))))
        .collect();
    format!("fault at 0; {}", parts.join(", "))
}

#[expect(clippy::cast_precision_loss, reason = "nights are few")]
fn trend(certificate: &Certificate, beside: &Beside) -> Markup {
    let nights = beside.trend(certificate).unwrap_or_default();
    let points = nights.iter().enumerate().map(|(at, (_, score))| (at as f64, *score)).collect();
    let lines = [Line { name: "score".to_owned(), points }];
    let across = Axis::linear(lines[0].points.iter().map(|at| at.0));
    let ends = nights.first().zip(nights.last());
    markup! {
        @if let Some((across, (first, last))) = across.zip(ends) {
            figure.card.drawn {
                figcaption { h3 { "The score of " (nights.len()) " nights" } }
                (chart(&format!("the score, from {} % to {} %", short(first.1), short(last.1)),
                    (across, Axis::Linear(0.0, 100.0)), |share| format!("{share:.0} %"), &lines, &[]))
                p.across { span { (one_line(&first.0)) } span { (one_line(&last.0)) } }
            }
        }
    }
}
