//! The closed loop: callers of whom each begins its next operation when its last has ended.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::generator::{Answer, PENDING, Span, Stop};
use super::sample::{Course, Recording, Sample, micros};

/// Runs callers at once and records the operations by stream. `operate` is called with the number of the
/// caller and that of its operation, and says to which stream the operation belongs.
///
/// What began in the warm-up counts as such; whoever is under way at the end is waited for until the
/// drain is over, and recorded as pending then. Ends early when `stop` turns true.
pub async fn run<O, F>(
    callers: usize,
    streams: usize,
    span: Span,
    stop: &Stop,
    operate: O,
) -> Vec<Recording>
where
    O: Fn(usize, u64) -> (usize, F) + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let start = Instant::now() + span.warm_up;
    let mut under_way = JoinSet::new();
    for number in 0..callers {
        let caller = Caller { number, start, span, stop: stop.clone(), operate: operate.clone() };
        under_way.spawn(caller.run(streams));
    }
    let mut all = vec![Recording::default(); streams];
    for told in under_way.join_all().await {
        for (all, one) in all.iter_mut().zip(told) {
            all.samples.extend(one.samples);
            all.pending += one.pending;
            all.warmed_up += one.warmed_up;
            all.course.interrupted |= one.course.interrupted;
        }
    }
    let ended = start.elapsed().min(span.measured);
    for recording in &mut all {
        recording.samples.sort_unstable_by_key(|sample| sample.due);
        recording.measured = ended;
    }
    all
}

/// Operations a second that were answered within the measurement, over all streams.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub fn answered_per_second(recordings: &[Recording]) -> f64 {
    let Some(measured) = recordings.first().map(|recording| recording.measured) else { return 0.0 };
    let in_time = |sample: &&Sample| {
        let ended = u128::from(sample.due) + u128::from(sample.done);
        sample.failure.is_none() && ended <= measured.as_micros()
    };
    let samples = recordings.iter().flat_map(|recording| &recording.samples);
    let seconds = measured.as_secs_f64();
    if seconds > 0.0 { samples.filter(in_time).count() as f64 / seconds } else { 0.0 }
}

struct Caller<O> {
    number: usize,
    /// When the measurement begins.
    start: Instant,
    span: Span,
    stop: Stop,
    operate: O,
}

impl<O> Caller<O> {
    async fn run<F>(self, streams: usize) -> Vec<Recording>
    where
        O: Fn(usize, u64) -> (usize, F),
        F: Future<Output = Answer>,
    {
        let mut recordings = vec![Recording::default(); streams];
        let end = self.start + self.span.measured;
        for nth in 0.. {
            if *self.stop.borrow() {
                let course = Course { interrupted: true, ..Course::default() };
                for recording in &mut recordings {
                    recording.course = course.clone();
                }
                break;
            }
            let began = Instant::now();
            if began >= end {
                break;
            }
            let (stream, operation) = (self.operate)(self.number, nth);
            let answer = timeout_at(end + self.span.drain, operation).await;
            let recording = &mut recordings[stream];
            match (began.checked_duration_since(self.start), answer) {
                (None, _) => recording.warmed_up += 1,
                (Some(since), Ok(answer)) => recording.samples.push(answer.sample(since)),
                (Some(since), Err(_)) => {
                    recording.pending += 1;
                    recording.samples.push(pending(since));
                }
            }
        }
        recordings
    }
}

impl Answer {
    /// As an operation of a closed loop, due when it began: `since` the start of the measurement.
    #[must_use]
    pub fn sample(&self, since: Duration) -> Sample {
        Sample {
            due: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
            began: 0,
            served: micros(self.served - self.began),
            done: micros(self.done - self.began),
            working: micros(self.working),
            held: micros(self.held),
            failure: self.failure,
        }
    }
}

fn pending(since: Duration) -> Sample {
    let due = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    Sample { due, began: 0, served: 0, done: 0, working: 0, held: 0, failure: Some(PENDING) }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    const SPAN: Span = Span {
        warm_up: Duration::from_secs(1),
        measured: Duration::from_secs(4),
        drain: Duration::from_secs(2),
    };

    async fn taking(time: Duration) -> Answer {
        let began = Instant::now();
        tokio::time::sleep(time).await;
        let done = Instant::now();
        let (working, held) = (done - began, done - began);
        Answer { began, served: began, done, working, held, failure: None }
    }

    #[tokio::test(start_paused = true)]
    async fn each_caller_waits_for_its_answer() {
        let stop = watch::channel(false).1;
        // The first caller is five times as fast as the second.
        let recordings = run(2, 2, SPAN, &stop, |caller, _| {
            (caller, taking(Duration::from_millis([10, 50][caller])))
        })
        .await;
        let counts: Vec<usize> = recordings.iter().map(|one| one.samples.len()).collect();
        // Timers have a millisecond's grain.
        assert!((360..=401).contains(&counts[0]) && (78..=81).contains(&counts[1]), "{counts:?}");
        assert!(recordings[0].warmed_up >= 90, "{}", recordings[0].warmed_up);
        assert_eq!(recordings[1].measured, SPAN.measured);
        let rate = answered_per_second(&recordings);
        assert!((109.0..=121.0).contains(&rate), "{rate}");
        assert!(recordings[1].samples.iter().all(|one| one.response() >= 50_000));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_ends_is_pending() {
        let stop = watch::channel(false).1;
        let recordings = run(3, 1, SPAN, &stop, |_, nth| {
            let time = if nth == 200 { Duration::from_hours(1) } else { Duration::from_millis(9) };
            (0, taking(time))
        })
        .await;
        assert_eq!(recordings[0].pending, 3);
        assert_eq!(recordings[0].failures(), [(PENDING, 3)].into());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_stopped_says_so() {
        let (sender, stop) = watch::channel(false);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            sender.send(true).unwrap();
        });
        let recordings =
            run(2, 1, SPAN, &stop, |_, _| (0, taking(Duration::from_millis(100)))).await;
        assert!(recordings[0].course.interrupted);
        assert!(recordings[0].measured < Duration::from_secs(2), "{:?}", recordings[0].measured);
    }
}
