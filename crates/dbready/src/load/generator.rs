//! The open-loop generator: operations begin when they are due, not when earlier ones have ended.
//!
//! A slow answer holds up no later operation, and every latency counts from the instant at which the
//! operation was due. So a server that stands still for a second makes a second's operations slow
//! instead of leaving them out (no coordinated omission).

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::sample::{Course, Recording, Sample, micros};
use super::schedule::{Arrivals, Schedule};

/// The generator is behind in an interval of its schedule when an operation due in it begins later
/// than this. Intervals have the same length.
pub const INTERVAL: Duration = Duration::from_millis(10);

/// The class of operations whose answer had not come when the run was over.
pub const PENDING: &str = "pending";

/// One stream of operations.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Operations a second.
    pub rate: f64,
    /// How they follow each other.
    pub arrivals: Arrivals,
}

/// How long a run takes.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Before the measurement; nothing of it counts.
    pub warm_up: Duration,
    /// The measurement.
    pub measured: Duration,
    /// The wait for answers that are still to come at its end.
    pub drain: Duration,
}

/// How an operation went, told by itself.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// When it began.
    pub began: Instant,
    /// When it had its connection.
    pub served: Instant,
    /// When its answer was whole.
    pub done: Instant,
    /// How long the statement took.
    pub working: Duration,
    /// How long it held the connection; zero when it got none.
    pub held: Duration,
    /// The class of its error.
    pub failure: Option<&'static str>,
}

/// The answer of one operation.
struct Told {
    stream: usize,
    nth: u64,
    answer: Answer,
}

/// Says whether to stop early. Keeping the sender silent means never.
pub type Stop = watch::Receiver<bool>;

/// Runs several streams at once and records each. `operate` is called with the number of the stream
/// and the number of the operation within it.
///
/// Ends early when `stop` turns true, and, two seconds into the measurement at the earliest, when so many operations are under way that they stand for
/// two seconds of the schedule: the server is saturated, and waiting for more would show nothing new.
/// Operations still under way after the drain are aborted and recorded as pending.
pub async fn run<O, F>(
    streams: &[Stream],
    span: Span,
    seed: u64,
    stop: &Stop,
    operate: O,
) -> Vec<Recording>
where
    O: Fn(usize, u64) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    let mut sources: Vec<Source> = streams
        .iter()
        .enumerate()
        .map(|(at, stream)| Source::new(stream, seed.wrapping_add(at as u64)))
        .collect();
    let mut book = Book::new(streams.len(), span);
    let mut stop = stop.clone();
    let capacity = capacity(streams);
    let mut under_way = JoinSet::new();
    let mut course = Course::default();
    let start = Instant::now();
    let end = start + span.warm_up + span.measured;
    // Later than the first seconds of the measurement, which show what saturation looks like.
    let may_end = start + span.warm_up + (span.measured / 2).min(Duration::from_secs(2));
    let mut ended = end;
    loop {
        let now = Instant::now();
        while let Some((at, due)) = next_due(&sources, start).filter(|(_, due)| *due < end.min(now))
        {
            let nth = sources[at].advance();
            book.begun(at, nth, due - start);
            let operation = operate(at, nth);
            under_way.spawn(async move { Told { stream: at, nth, answer: operation.await } });
        }
        while let Some(told) = under_way.try_join_next() {
            book.heard(told, start);
        }
        course.saturated = under_way.len() > capacity && Instant::now() >= may_end;
        course.interrupted = *stop.borrow();
        let next = next_due(&sources, start).map_or(end, |(_, due)| due);
        if course.saturated || course.interrupted || next >= end {
            ended = ended.min(Instant::now());
            break;
        }
        tokio::select! {
            () = sleep_until(next) => {}
            // Without a sender nobody will ever stop it.
            Ok(()) = stop.changed() => {}
        }
    }
    if !course.interrupted && !course.saturated {
        ended = end;
    }
    let deadline = Instant::now() + span.drain;
    while let Ok(Some(told)) = timeout_at(deadline, under_way.join_next()).await {
        book.heard(told, start);
    }
    under_way.shutdown().await;
    let measured = ended.saturating_duration_since(start + span.warm_up);
    book.close(streams, measured, course)
}

/// Operations under way that count as saturation: two seconds of the schedule, and 500 at least.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and small"
)]
fn capacity(streams: &[Stream]) -> usize {
    let rate: f64 = streams.iter().map(|stream| stream.rate).sum();
    ((rate * 2.0) as usize).max(500)
}

struct Source {
    schedule: Schedule,
    next: Duration,
    count: u64,
}

impl Source {
    fn new(stream: &Stream, seed: u64) -> Self {
        let mut schedule = Schedule::new(stream.arrivals, stream.rate, seed);
        let next = schedule.next().unwrap_or(Duration::MAX);
        Self { schedule, next, count: 0 }
    }

    fn advance(&mut self) -> u64 {
        self.next = self.schedule.next().unwrap_or(Duration::MAX);
        self.count += 1;
        self.count - 1
    }
}

/// The stream whose operation is due next, and when. Streams are few.
fn next_due(sources: &[Source], start: Instant) -> Option<(usize, Instant)> {
    let (at, source) = sources.iter().enumerate().min_by_key(|(_, source)| source.next)?;
    Some((at, start.checked_add(source.next)?))
}

/// What was begun and what was answered.
struct Book {
    span: Span,
    /// By stream: when each operation was due that is not answered yet, and the samples.
    streams: Vec<Page>,
    /// By interval of the schedule: whether an operation was due, and whether one began late.
    intervals: Vec<(bool, bool)>,
}

#[derive(Default)]
struct Page {
    samples: Vec<Sample>,
    /// Measured operations without an answer, by number: when they were due, in nanoseconds.
    open: HashMap<u64, u64>,
    warmed_up: u64,
}

impl Book {
    fn new(streams: usize, span: Span) -> Self {
        Self {
            span,
            streams: (0..streams).map(|_| Page::default()).collect(),
            intervals: Vec::new(),
        }
    }

    /// When an operation was due within the measurement, in nanoseconds from its start.
    fn measured(&self, due: Duration) -> Option<u64> {
        let due = due.checked_sub(self.span.warm_up)?;
        u64::try_from(due.as_nanos()).ok()
    }

    fn begun(&mut self, stream: usize, nth: u64, due: Duration) {
        let Some(due) = self.measured(due) else {
            self.streams[stream].warmed_up += 1;
            return;
        };
        self.streams[stream].open.insert(nth, due);
        self.interval(due).0 = true;
    }

    fn interval(&mut self, due: u64) -> &mut (bool, bool) {
        let at = usize::try_from(u128::from(due) / INTERVAL.as_nanos()).unwrap_or(usize::MAX - 1);
        if self.intervals.len() <= at {
            self.intervals.resize(at + 1, (false, false));
        }
        &mut self.intervals[at]
    }

    /// An operation that panicked stays open and ends as pending.
    fn heard(&mut self, told: Result<Told, JoinError>, start: Instant) {
        if let Ok(told) = told {
            self.answered(told, start);
        }
    }

    fn answered(&mut self, Told { stream, nth, answer }: Told, start: Instant) {
        let Some(measured) = self.streams[stream].open.remove(&nth) else { return };
        let due = start + self.span.warm_up + Duration::from_nanos(measured);
        let from_due = |instant: Instant| instant.saturating_duration_since(due);
        if from_due(answer.began) > INTERVAL {
            self.interval(measured).1 = true;
        }
        self.streams[stream].samples.push(Sample {
            due: measured / 1_000,
            began: micros(from_due(answer.began)),
            served: micros(from_due(answer.served)),
            done: micros(from_due(answer.done)),
            working: micros(answer.working),
            held: micros(answer.held),
            failure: answer.failure,
        });
    }

    fn close(self, streams: &[Stream], measured: Duration, mut course: Course) -> Vec<Recording> {
        course.intervals = self.intervals.iter().filter(|(due, _)| *due).count() as u64;
        course.late_intervals = self.intervals.iter().filter(|(_, late)| *late).count() as u64;
        let pages = self.streams.into_iter().zip(streams);
        pages
            .map(|(mut page, stream)| {
                let pending = page.open.len() as u64;
                page.samples.extend(page.open.values().map(|due| Sample {
                    due: due / 1_000,
                    began: 0,
                    served: 0,
                    done: 0,
                    working: 0,
                    held: 0,
                    failure: Some(PENDING),
                }));
                page.samples.sort_unstable_by_key(|sample| sample.due);
                Recording {
                    samples: page.samples,
                    pending,
                    offered: stream.rate,
                    measured,
                    warmed_up: page.warmed_up,
                    course: course.clone(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::summary::Quantiles;

    const SPAN: Span = Span {
        warm_up: Duration::from_millis(200),
        measured: Duration::from_secs(4),
        drain: Duration::from_secs(2),
    };

    fn at_rate(rate: f64) -> [Stream; 1] {
        [Stream { rate, arrivals: Arrivals::Constant }]
    }

    /// What an operation tells that began now and takes `time`.
    async fn taking(time: Duration) -> Answer {
        let began = Instant::now();
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        let done = Instant::now();
        Answer {
            began,
            served: began,
            done,
            working: done - began,
            held: done - began,
            failure: None,
        }
    }

    fn never() -> Stop {
        watch::channel(false).1
    }

    #[tokio::test(start_paused = true)]
    async fn all_operations_are_recorded_in_the_order_of_their_schedule() {
        let recordings =
            run(&at_rate(500.0), SPAN, 1, &never(), |_, _| taking(Duration::from_millis(3))).await;
        let recording = &recordings[0];
        assert_eq!(recording.samples.len(), 2_000);
        assert_eq!((recording.warmed_up, recording.pending), (100, 0));
        assert!(recording.samples.is_sorted_by_key(|sample| sample.due));
        assert!(recording.samples.iter().all(|sample| (3_000..6_000).contains(&sample.response())));
        assert!((recording.achieved() - 500.0).abs() < 1e-9);
        assert_eq!(recording.course.doubt(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_standstill_makes_operations_slow_and_leaves_none_out() {
        // Whoever begins within the second second gets its answer at its end.
        let begun = Instant::now();
        let recordings = run(&at_rate(1_000.0), SPAN, 1, &never(), |_, _| async move {
            let since = begun.elapsed();
            let thaw = Duration::from_secs(2);
            let frozen = since >= Duration::from_secs(1) && since < thaw;
            let until = thaw.saturating_sub(since);
            taking(if frozen { until } else { Duration::from_millis(1) }).await
        })
        .await;
        let recording = &recordings[0];
        assert_eq!(recording.samples.len(), 4_000);
        let quantiles = Quantiles::of(recording.samples.iter().map(Sample::response)).unwrap();
        // A quarter of the operations waited, evenly between nothing and one second.
        assert!((quantiles.p99 - 960.0).abs() < 10.0, "{quantiles:?}");
        assert!((quantiles.p50 - 1.0).abs() < 2.5, "{quantiles:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_ends_is_pending_and_slower_than_everything() {
        let forever = Duration::from_hours(1);
        let recordings = run(&at_rate(100.0), SPAN, 1, &never(), |_, nth| {
            taking(if nth.is_multiple_of(10) { forever } else { Duration::ZERO })
        })
        .await;
        let recording = &recordings[0];
        assert_eq!((recording.samples.len(), recording.pending), (400, 40));
        assert_eq!(recording.failures(), [(PENDING, 40)].into());
        let quantiles = Quantiles::of(recording.samples.iter().map(Sample::response)).unwrap();
        assert!(quantiles.p95 >= 120_000.0 && quantiles.p90 < 10.0, "{quantiles:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_saturated_run_ends_early_and_says_so() {
        let forever = Duration::from_hours(1);
        let begun = Instant::now();
        let recordings = run(&at_rate(1_000.0), SPAN, 1, &never(), |_, _| taking(forever)).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(recordings[0].course.saturated);
        assert_eq!(recordings[0].pending, recordings[0].samples.len() as u64);
        assert!(recordings[0].achieved().abs() < f64::EPSILON);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_stopped_says_so() {
        let (sender, stop) = watch::channel(false);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sender.send(true).unwrap();
        });
        let recordings =
            run(&at_rate(100.0), SPAN, 1, &stop, |_, _| taking(Duration::from_millis(1))).await;
        assert!(recordings[0].course.interrupted);
        assert!(recordings[0].course.doubt().unwrap().contains("interrupted"));
        assert!((70..=90).contains(&recordings[0].samples.len()));
    }

    #[tokio::test]
    async fn a_generator_that_is_held_up_notices_it() {
        let span = Span { measured: Duration::from_secs(1), ..SPAN };
        let recordings = run(&at_rate(200.0), span, 1, &never(), |_, nth| {
            if nth == 100 {
                // Holds up the only thread, which begins the operations.
                std::thread::sleep(Duration::from_millis(300));
            }
            taking(Duration::ZERO)
        })
        .await;
        let course = &recordings[0].course;
        assert!(course.late_intervals >= 10, "{course:?}");
        assert!(course.doubt().unwrap().contains("fell behind"), "{course:?}");
        // The lag is part of the latency.
        assert!(recordings[0].samples.iter().any(|sample| sample.response() > 250_000));
    }
}
