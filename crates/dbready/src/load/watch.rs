//! What the server and the generator were busy with while something was measured.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use pg_session::Config;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::Error;

/// How often the server's sessions are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What was seen between the end of the warm-up and the end of the measurement.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Activity {
    /// Seconds between the first and the last look.
    pub seconds: f64,
    /// Processors that the machine has.
    pub processors: u64,
    /// Processors busy on average, whatever with; `None` where the system does not tell.
    pub machine_cpu: Option<f64>,
    /// Processors that the server's processes kept busy; `None` when it runs elsewhere.
    pub server_cpu: Option<f64>,
    /// Processors that this program kept busy.
    pub generator_cpu: Option<f64>,
    /// Mean number of sessions at work, by what they waited for; `CPU` when for nothing.
    pub sessions_by_wait: BTreeMap<String, f64>,
    /// Share of blocks that were found in the server's cache, from 0 to 1.
    pub buffer_hits: Option<f64>,
    /// Bytes of write-ahead log a second.
    pub wal_bytes_per_second: Option<f64>,
    /// Transactions committed a second, by all sessions of the database.
    pub commits_per_second: Option<f64>,
    /// Deadlocks that the server broke.
    pub deadlocks: Option<i64>,
    /// Bytes written to temporary files.
    pub temporary_bytes: Option<i64>,
    /// What held the measurement back, in one sentence.
    pub bottleneck: String,
}

/// Watches until it is told to end.
#[derive(Debug)]
pub struct Watch {
    end: oneshot::Sender<()>,
    task: JoinHandle<Activity>,
}

impl Watch {
    /// Begins to watch after `warm_up`, on a connection of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] when the server gives no connection.
    pub async fn begin(config: &Config, warm_up: Duration) -> Result<Self, Error> {
        let client = pg_session::connect(config).await?;
        let (end, mut ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(warm_up) => {}
                _ = &mut ended => return Activity::default(),
            }
            let first = Look::take(&client).await;
            let mut waits: BTreeMap<String, u64> = BTreeMap::new();
            let mut looks = 0;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    _ = &mut ended => break,
                }
                // A server that does not answer is seen by the operations themselves.
                if let Ok(rows) = client.query(include_str!("watch_sessions.sql"), &[]).await {
                    looks += 1;
                    for row in rows {
                        let count = row.try_get::<_, i64>(1).unwrap_or_default().unsigned_abs();
                        *waits.entry(row.try_get(0).unwrap_or_default()).or_default() += count;
                    }
                }
            }
            let last = Look::take(&client).await;
            activity(&first, &last, waits, looks)
        });
        Ok(Self { end, task })
    }

    /// Ends watching and says what was seen.
    pub async fn end(self) -> Activity {
        // It may have ended by itself.
        let _ = self.end.send(());
        self.task.await.unwrap_or_default()
    }
}

/// Everything that counts up, at one instant.
struct Look {
    at: Instant,
    machine: Option<f64>,
    server: Option<f64>,
    own: Option<f64>,
    database: Option<Counters>,
}

#[derive(Clone, Copy)]
struct Counters {
    hits: i64,
    reads: i64,
    commits: i64,
    deadlocks: i64,
    temporary: i64,
    wal: f64,
}

impl Look {
    async fn take(client: &Client) -> Self {
        let database = counters(client).await.ok();
        let backend = client.query_one("SELECT pg_backend_pid()", &[]).await;
        let backend = backend.ok().and_then(|row| row.try_get::<_, i32>(0).ok());
        Self {
            at: Instant::now(),
            machine: machine_seconds(),
            server: backend.and_then(server_seconds),
            own: process(std::process::id()).map(|own| own.seconds),
            database,
        }
    }
}

async fn counters(client: &Client) -> Result<Counters, tokio_postgres::Error> {
    let row = client.query_one(include_str!("watch_counters.sql"), &[]).await?;
    Ok(Counters {
        hits: row.try_get(0)?,
        reads: row.try_get(1)?,
        commits: row.try_get(2)?,
        deadlocks: row.try_get(3)?,
        temporary: row.try_get(4)?,
        wal: row.try_get(5)?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of a short time")]
fn activity(first: &Look, last: &Look, waits: BTreeMap<String, u64>, looks: u64) -> Activity {
    let seconds = (last.at - first.at).as_secs_f64();
    let busy = |from: Option<f64>, to: Option<f64>| Some(((to? - from?) / seconds).max(0.0));
    let both = first.database.zip(last.database);
    let rate = |of: fn(&Counters) -> f64| both.map(|(a, b)| (of(&b) - of(&a)) / seconds);
    let mut activity = Activity {
        seconds,
        processors: processors(),
        machine_cpu: busy(first.machine, last.machine),
        server_cpu: busy(first.server, last.server),
        generator_cpu: busy(first.own, last.own),
        sessions_by_wait: waits
            .into_iter()
            .map(|(wait, count)| (wait, count as f64 / looks.max(1) as f64))
            .collect(),
        buffer_hits: both.and_then(|(a, b)| {
            let (hits, reads) = (b.hits - a.hits, b.reads - a.reads);
            (hits + reads > 0).then(|| hits as f64 / (hits + reads) as f64)
        }),
        wal_bytes_per_second: rate(|counters| counters.wal),
        commits_per_second: rate(|counters| counters.commits as f64),
        deadlocks: both.map(|(a, b)| b.deadlocks - a.deadlocks),
        temporary_bytes: both.map(|(a, b)| b.temporary - a.temporary),
        bottleneck: String::new(),
    };
    activity.bottleneck = bottleneck(&activity);
    activity
}

/// What held it back: the processors when they were busy, else what sessions waited for most.
fn bottleneck(activity: &Activity) -> String {
    let Activity { processors, machine_cpu, server_cpu, generator_cpu, .. } = activity;
    let shares = match (server_cpu, generator_cpu) {
        (Some(server), Some(generator)) => {
            format!("server {server:.2}, generator {generator:.2} of {processors} processors")
        }
        _ => format!("{processors} processors here; the server runs elsewhere"),
    };
    #[expect(clippy::cast_precision_loss, reason = "processors are few")]
    let all = *processors as f64;
    if machine_cpu.is_some_and(|busy| busy > 0.85 * all) {
        return format!("processor time ({shares})");
    }
    let waits = activity.sessions_by_wait.iter().filter(|(wait, _)| wait.as_str() != "CPU");
    let longest = waits.max_by(|a, b| a.1.total_cmp(b.1));
    match longest {
        Some((wait, sessions)) if *sessions >= 0.5 => {
            format!("{wait}: {sessions:.1} sessions waited on average ({shares})")
        }
        _ => format!("nothing ({shares})"),
    }
}

fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u64)
}

/// The clock ticks of a second in `/proc`, which Linux fixes for programs at 100.
const TICKS: f64 = 100.0;

/// Seconds that all processors were busy since the machine started.
fn machine_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> =
        text.lines().next()?.split_whitespace().skip(1).map_while(|one| one.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is part of user.
    let busy: f64 = ticks
        .iter()
        .take(8)
        .enumerate()
        .filter(|(at, _)| ![3, 4].contains(at))
        .map(|(_, t)| t)
        .sum();
    Some(busy / TICKS)
}

struct Process {
    name: String,
    parent: u32,
    /// Its own processor time.
    seconds: f64,
    /// That of its children that have ended.
    children: f64,
}

fn process(pid: u32) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold any character.
    let (head, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    Some(Process {
        name: head.split_once('(')?.1.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        seconds: (ticks(11)? + ticks(12)?) / TICKS,
        children: (ticks(13)? + ticks(14)?) / TICKS,
    })
}

/// Processor time of a server on this machine, from the process of one of its backends.
fn server_seconds(backend: i32) -> Option<f64> {
    let backend = process(u32::try_from(backend).ok()?)?;
    if !backend.name.starts_with("postgres") {
        return None;
    }
    let postmaster = process(backend.parent)?;
    let children: f64 = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| process(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .filter(|process| process.parent == backend.parent)
        .map(|process| process.seconds)
        .sum();
    Some(children + postmaster.seconds + postmaster.children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottleneck_is_named() {
        let mut activity = Activity {
            processors: 2,
            machine_cpu: Some(1.9),
            server_cpu: Some(1.5),
            generator_cpu: Some(0.3),
            ..Activity::default()
        };
        assert_eq!(
            bottleneck(&activity),
            "processor time (server 1.50, generator 0.30 of 2 processors)"
        );
        activity.machine_cpu = Some(0.5);
        assert!(bottleneck(&activity).starts_with("nothing ("));
        activity.sessions_by_wait =
            [("CPU".to_owned(), 3.0), ("IO WALSync".to_owned(), 2.0)].into();
        assert!(bottleneck(&activity).starts_with("IO WALSync: 2.0 sessions waited"));
    }

    #[test]
    fn this_process_is_seen() {
        let own = process(std::process::id()).unwrap();
        assert!(own.parent > 0 && own.seconds >= 0.0);
        assert!(machine_seconds().unwrap() > 0.0);
        assert_eq!(server_seconds(std::process::id().cast_signed()), None, "no server");
    }
}
