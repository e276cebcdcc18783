//! The load generator itself: what it costs, and that a server which stands still shows
//! in its figures.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use dbready::load::generator::{Answer, Span, Stream, run};
use dbready::load::sample::{Recording, Sample};
use dbready::load::schedule::Arrivals;
use dbready::load::summary::Quantiles;
use pg_local::Backend;
use pg_session::connect;
use signal_store::InstrumentKey;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::Result;
use crate::figures::{Figure, Target};
use crate::reads;
use crate::setup::Bench;

const SPAN: Span = Span {
    warm_up: Duration::from_secs(1),
    measured: Duration::from_secs(10),
    drain: Duration::from_secs(5),
};
const FREEZE: Duration = Duration::from_secs(1);

pub(crate) async fn measure(bench: &Bench, notes: &mut Vec<String>) -> Result<Vec<Figure>> {
    eprintln!("generator: without a server");
    let begun = (Instant::now(), cpu()?);
    let idle = load(2_000.0, |_| async { Ok(()) }).await?;
    let share = (cpu()? - begun.1) / begun.0.elapsed().as_secs_f64() * 100.0;

    eprintln!("generator: with reads");
    let keys = reads::keys(bench).await?;
    let keys: Arc<[InstrumentKey]> =
        keys.iter().map(|key| InstrumentKey::new(key)).collect::<Result<_, _>>()?;
    let store = reads::store(bench).await?;
    let read = |nth: usize| {
        let (store, keys) = (store.clone(), Arc::clone(&keys));
        async move {
            store.get_latest_greeks(&keys[nth % keys.len()]).await?;
            Ok(())
        }
    };
    let begun = (Instant::now(), cpu()?);
    let reading = load(2_000.0, read).await?;
    let with_reads = (cpu()? - begun.1) / begun.0.elapsed().as_secs_f64() * 100.0;
    let quiet = quantiles(&reading)?;
    notes.push(format!(
        "generator: with latest_greeks through the repository as its operation, the process took \
         {with_reads:.1} % of a core; p50 {:.1} ms, p99 {:.1} ms",
        quiet.p50, quiet.p99
    ));

    eprintln!("generator: a server that stands still");
    let mut frozen = backends(bench).await?;
    let freezing = tokio::spawn(async move {
        sleep(SPAN.warm_up + SPAN.measured / 2).await;
        frozen.iter_mut().try_for_each(Backend::freeze)?;
        sleep(FREEZE).await;
        frozen.iter_mut().try_for_each(Backend::thaw)
    });
    let stood = load(1_000.0, read).await?;
    freezing.await??;
    let slow = quantiles(&stood)?;
    let failed = stood.samples.iter().filter(|sample| sample.failure.is_some()).count();
    Ok(vec![
        Figure {
            what: "load generator at 2,000/s, Poisson",
            ours: format!(
                "{share:.1} % of a core, {:.2} % of intervals late (n = {})",
                idle.course.late_share() * 100.0,
                idle.samples.len()
            ),
            beside: "–".to_owned(),
            ratio: None,
            target: Target::Limit("< 10 % of a core", share < 10.0),
        },
        Figure {
            what: "server processes stopped for 1 s of 10 s at 1,000/s",
            ours: format!(
                "p50 {:.1} ms, p90 {:.1} ms, p99 {:.0} ms, max {:.0} ms (n = {}, {failed} failed)",
                slow.p50,
                slow.p90,
                slow.p99,
                slow.max,
                stood.samples.len()
            ),
            beside: "–".to_owned(),
            ratio: None,
            // A tenth of the operations was due in that second: the slowest hundredth
            // waited nine tenths of it or more.
            target: Target::Limit(
                "p99 ≥ 0.85 s, none failed or missing",
                slow.p99 >= 850.0 && failed == 0 && stood.samples.len() > 9_500,
            ),
        },
    ])
}

/// One stream of operations, and how it went.
async fn load<O, F>(rate: f64, operate: O) -> Result<Recording>
where
    O: Fn(usize) -> F,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let streams = [Stream { rate, arrivals: Arrivals::Poisson }];
    let (_never, stop) = watch::channel(false);
    let operate = |_, nth: u64| {
        let operation = operate(usize::try_from(nth).unwrap_or(0));
        async move {
            let began = Instant::now();
            let failure = operation.await.is_err().then_some("error");
            let done = Instant::now();
            let working = done - began;
            Answer { began, served: began, done, working, held: working, failure }
        }
    };
    let recorded = run(&streams, SPAN, 1, &stop, operate).await;
    Ok(recorded.into_iter().next().ok_or("nothing was recorded")?)
}

fn quantiles(recording: &Recording) -> Result<Quantiles> {
    let times = recording.samples.iter().map(Sample::response);
    Ok(Quantiles::of(times).ok_or("nothing was recorded")?)
}

/// The processes that serve the store.
async fn backends(bench: &Bench) -> Result<Vec<Backend>> {
    let client = connect(&bench.config()?).await?;
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1";
    let rows = client.query(sql, &[&signal_store::APPLICATION_NAME]).await?;
    rows.iter().map(|row| Ok(bench.cluster.backend(row.get(0))?)).collect()
}

/// The processor time of this process so far, in seconds.
fn cpu() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // The name stands in parentheses; user and system time are the 12th and 13th behind.
    let (_, rest) = text.rsplit_once(')').ok_or("the system does not tell processor times")?;
    let ticks: Vec<f64> =
        rest.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}
