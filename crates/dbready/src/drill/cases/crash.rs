//! Servers and backends that end under writers: no acknowledged write is lost, none takes effect twice.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pg_local::{Cluster, Shutdown};
use pg_session::{Class, Pool, PoolOptions};
use signal_store::ingest::WriterOptions;

use crate::Error;
use crate::drill::Drill;
use crate::drill::cases::store::store;
use crate::drill::heard::Heard;
use crate::drill::journal::Answer;
use crate::drill::oracle::{examine, no_leak, pool_restores};
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{GONE, LAYER, Scene, close, limits, until};
use crate::drill::traffic::{Manner, Traffic, millis};
use crate::drill::work::{Work, write};

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "backend_terminated",
        injects: "pg_terminate_backend of all sessions under writers",
        quick: true,
        run: |scene| Box::pin(under_writers(scene, Fault::TerminateBackends, 4, 20)),
    },
    Drill {
        name: "backend_killed",
        injects: "kill -9 of one backend under writers, which restarts all of them",
        quick: true,
        run: |scene| Box::pin(under_writers(scene, Fault::KillBackend, 3, 20)),
    },
    Drill {
        name: "server_restart_fast",
        injects: "fast shutdown and start under writers",
        quick: true,
        run: |scene| Box::pin(under_writers(scene, Fault::Restart(Shutdown::Fast), 3, 20)),
    },
    Drill {
        name: "server_restart_immediate",
        injects: "immediate shutdown and start under writers",
        quick: true,
        run: |scene| Box::pin(under_writers(scene, Fault::Restart(Shutdown::Immediate), 3, 20)),
    },
    Drill {
        name: "server_killed",
        injects: "kill -9 of the server's main process under writers",
        quick: true,
        run: |scene| Box::pin(under_writers(scene, Fault::KillServer, 3, 30)),
    },
    Drill {
        name: "group_commit_crash",
        injects: "kill -9 of the server's main process under callers whose records share commits",
        quick: true,
        run: |scene| Box::pin(group_commit(scene)),
    },
    Drill {
        name: "server_starting",
        injects: "callers that come while a crashed server recovers, for shorter and for longer than they \
                  wait",
        quick: true,
        run: |scene| Box::pin(server_starting(scene)),
    },
];

#[derive(Debug, Clone, Copy)]
enum Fault {
    TerminateBackends,
    KillBackend,
    Restart(Shutdown),
    KillServer,
}

impl Fault {
    /// What the server's log says of it.
    fn trace(self) -> &'static str {
        match self {
            Self::TerminateBackends => "terminating connection due to administrator command",
            Self::KillBackend => "was terminated by signal 9",
            Self::Restart(Shutdown::Fast) => "received fast shutdown request",
            Self::Restart(Shutdown::Immediate) => "received immediate shutdown request",
            Self::KillServer => "database system was not properly shut down",
        }
    }

    async fn strike(self, scene: &Scene) -> Result<(), Error> {
        match self {
            Self::TerminateBackends => {
                let examiner = scene.examiner().await?;
                let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                 WHERE application_name = $1 AND datname = current_database()";
                examiner.query(terminate, &[&LAYER]).await?;
                Ok(())
            }
            Self::KillBackend => {
                let examiner = scene.examiner().await?;
                let one = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 \
                           AND datname = current_database() ORDER BY state, pid LIMIT 1";
                let process: i32 = examiner.query_one(one, &[&LAYER]).await?.try_get(0)?;
                scene.server.act(move |cluster| cluster.backend(process)?.kill()).await
            }
            Self::Restart(how) => {
                scene
                    .server
                    .act(move |cluster| {
                        cluster.stop(how)?;
                        cluster.start()
                    })
                    .await
            }
            Self::KillServer => {
                scene
                    .server
                    .act(|cluster| {
                        cluster.kill()?;
                        cluster.start()
                    })
                    .await
            }
        }
    }
}

/// Writes that must be acknowledged before a fault and again after it.
const WRITES: u64 = 40;

/// The faults meet each way to write in turn: transactions of the pool, signals and batches of the store.
async fn under_writers(scene: &mut Scene, fault: Fault, few: u32, many: u32) -> Result<(), Error> {
    scene.store_database().await?;
    let faults = scene.faults(few, many);
    let ways = WAYS.len().min(faults as usize);
    for (way, open) in WAYS.iter().enumerate().take(ways) {
        let work = open(scene).await?;
        for number in (0..faults).filter(|number| *number as usize % ways == way) {
            let trial = one(scene, &work, fault, number).await?;
            scene.close(trial);
        }
        close(work.pool(), &scene.examiner().await?).await?;
    }
    Ok(())
}

type Open = for<'a> fn(&'a Scene) -> Pin<Box<dyn Future<Output = Result<Work, Error>> + 'a>>;

const WAYS: [Open; 3] = [
    |scene| {
        Box::pin(async { Ok(Work::Ledger { pool: scene.pool(limits()).await?, resolves: false }) })
    },
    |scene| Box::pin(async { Ok(Work::Signals(store(scene).await?)) }),
    |scene| Box::pin(async { Ok(Work::Batches(store(scene).await?)) }),
];

async fn group_commit(scene: &mut Scene) -> Result<(), Error> {
    scene.store_database().await?;
    let store = store(scene).await?;
    let writer = Arc::new(store.ingest().writer(WriterOptions::default()));
    let work = Work::Records(store, writer);
    for number in 0..scene.faults(3, 30) {
        let trial = one(scene, &work, Fault::KillServer, number).await?;
        scene.close(trial);
    }
    close(work.pool(), &scene.examiner().await?).await
}

async fn one(scene: &mut Scene, work: &Work, fault: Fault, number: u32) -> Result<Trial, Error> {
    let mut trial = Trial::new(format!("fault {} under {}", number + 1, work.name()));
    scene.is_durable(&mut trial);
    let log_length = scene.server.log_length()?;
    let main = scene.server.tell(Cluster::process_id);
    let first = i64::from(number) * 1_000_000_000 + 1;
    let mut traffic = Traffic::of(scene, work.clone(), work.writers(), first)?;
    if !traffic.acknowledges(WRITES, Duration::from_secs(20)).await {
        return Err(Error::Interrupted("no traffic before the fault".to_owned()));
    }
    // Faults meet the traffic at different moments.
    let phase = Duration::from_micros(scene.random.below(30_000));
    tokio::time::sleep(phase).await;
    traffic.fault();
    let mut told = false;
    if scene.sabotage.injects() {
        fault.strike(scene).await?;
        // The server takes notice of the end of a session in its own time.
        let says = async || Ok(scene.server.log_since(log_length)?.contains(fault.trace()));
        told = until(Duration::from_secs(10), says).await?;
    }
    traffic.clear();
    let resumed = traffic.acknowledges(WRITES, Duration::from_secs(15)).await;
    trial.expect(
        Invariant::PoolRestores,
        resumed,
        format!("{WRITES} more writes acknowledged within 15 s of the server's return"),
        "fewer were",
    );
    let tally = traffic.stop().await?;
    let under_way = tally.in_flight();
    trial.proof(under_way > 0, format!("{under_way} writes were under way"));
    trial.proof(told, format!("the server's log says: {}", fault.trace()));
    if matches!(fault, Fault::KillServer | Fault::Restart(_)) {
        let now = scene.server.tell(Cluster::process_id);
        trial.proof(main != now, format!("the main process {main:?} has become {now:?}"));
    }
    trial.fact("phase_us", u64::try_from(phase.as_micros()).unwrap_or(u64::MAX));
    examine(scene, &mut trial, work.pool(), &tally, GONE).await?;
    Ok(trial)
}

/// How long the recovery is held up, and how long callers wait for a connection: longer, or not.
const HELD: Duration = Duration::from_millis(900);
const PATIENT: Duration = Duration::from_secs(5);
const IMPATIENT: Duration = Duration::from_millis(400);
/// Callers that come during the start-up.
const CALLERS: u32 = 12;

/// The server's recovery is held up for as long as a file is there.
async fn server_starting(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let hold = scene.server.tell(|cluster| cluster.folder().join("hold"));
    let place = hold.display().to_string().replace('\'', "'\\''").replace('%', "%%");
    let command = format!("while [ -e '{place}' ]; do sleep 0.02; done; false");
    for number in 0..scene.faults(4, 20) {
        let wait = if number.is_multiple_of(2) { IMPATIENT } else { PATIENT };
        let mut trial = Trial::new(format!("fault {}: callers wait {wait:?}", number + 1));
        scene.is_durable(&mut trial);
        let options = PoolOptions { acquire_timeout: wait, ..limits() };
        // Connections from before the crash are what the other crashes are about.
        let pool = scene.pool(PoolOptions { min: 0, ..options.clone() }).await?;
        let config = scene.config()?;
        let log_length = scene.server.log_length()?;
        let starting = if scene.sabotage.injects() {
            fs::write(&hold, []).map_err(|source| of_file(&hold, source))?;
            let command = command.clone();
            let kill = move |cluster: &mut Cluster| {
                // Nobody is to be let in for reading before it is over.
                cluster.configure(&[("restore_command", &command), ("hot_standby", "off")])?;
                cluster.write_private("recovery.signal", "")?;
                cluster.kill()
            };
            scene.server.act(kill).await?;
            let server = scene.server.clone();
            Some(tokio::spawn(async move { server.revive().await }))
        } else {
            None
        };
        // The server is not to be asked for anything before it is up.
        let begun = Instant::now();
        let first = i64::from(number) * 1_000 + 1;
        let callers = join_all((first..).take(CALLERS as usize).map(|operation| {
            let pool = &pool;
            async move {
                let begun = Instant::now();
                let result = write(pool, Manner::default(), operation, 0).await;
                (operation, Heard::of(&result, begun.elapsed()))
            }
        }));
        let opening = async {
            let begun = Instant::now();
            let opened = Pool::open(config.clone(), options.clone()).await;
            let heard = Heard::of(&opened, begun.elapsed());
            if let Ok(pool) = opened {
                pool.close();
            }
            heard
        };
        let release = async {
            tokio::time::sleep(HELD).await;
            match fs::remove_file(&hold) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(of_file(&hold, error))
                }
                _ => Ok(()),
            }
        };
        let (heard, opened, released) = tokio::join!(callers, opening, release);
        released?;
        if let Some(starting) = starting {
            starting.await.map_err(|error| Error::Interrupted(error.to_string()))??;
        }
        trial.fact("up_after_ms", millis(begun.elapsed()));
        let log = scene.server.log_since(log_length)?;
        let trace = "FATAL:  the database system is ";
        let met = log.matches(trace).count();
        trial.proof(met > 0, format!("the server's log says {met} times: {trace}…"));
        let examiner = scene.examiner().await?;
        for (operation, heard) in heard {
            let heard = scene.sabotage.answer(heard);
            answered(&mut trial, "a caller", &heard, wait);
            let count = "SELECT count(*) FROM drill_ledger WHERE op_id = $1";
            let there: i64 = examiner.query_one(count, &[&operation]).await?.try_get(0)?;
            let wanted = i64::from(heard.answer == Answer::Acknowledged);
            trial.expect_same(Invariant::NoLoss, "rows of the call", &wanted, &there);
        }
        // A pool opens with the first connection that it gets, or does not.
        trial.expect_within("a pool that opens", opened.took, wait);
        let typed = [None, Some(Class::Connect), Some(Class::Unavailable)].contains(&opened.class);
        let expected = "a pool that opens: success, or that the server cannot be reached yet";
        trial.expect(Invariant::TypedError, typed, expected, opened.in_words());
        pool_restores(&mut trial, &pool).await;
        no_leak(&mut trial, &examiner, &pool).await?;
        close(&pool, &examiner).await?;
        scene.close(trial);
    }
    Ok(())
}

/// States what a call during the start-up must be told.
fn answered(trial: &mut Trial, who: &str, heard: &Heard, wait: Duration) {
    trial.expect_within(who, heard.took, wait + Duration::from_millis(500));
    if wait > HELD {
        trial.expect_success(who, heard);
    } else {
        trial.expect_refusal(who, heard, &[Class::Unavailable]);
        trial.expect_sqlstate(who, heard, "57P03");
    }
}

fn of_file(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), source }
}
