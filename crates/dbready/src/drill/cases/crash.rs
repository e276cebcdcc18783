//! Servers and backends that end under writers: no acknowledged write is lost, none takes effect twice.

use std::time::Duration;

use pg_local::{Cluster, Shutdown};
use pg_session::Pool;

use crate::Error;
use crate::drill::Drill;
use crate::drill::oracle::examine;
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{GONE, LAYER, Scene, limits};
use crate::drill::traffic::{Manner, Traffic};

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "backend_terminated",
        injects: "pg_terminate_backend of all sessions under writers",
        quick: true,
        run: |scene| Box::pin(under_writers(scene, Fault::TerminateBackends, 5, 20)),
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
        run: |scene| Box::pin(under_writers(scene, Fault::KillServer, 4, 30)),
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

async fn under_writers(scene: &mut Scene, fault: Fault, few: u32, many: u32) -> Result<(), Error> {
    scene.database().await?;
    let pool = scene.pool(limits()).await?;
    for number in 0..scene.faults(few, many) {
        let trial = one(scene, &pool, fault, number).await?;
        scene.close(trial);
    }
    Ok(())
}

async fn one(scene: &mut Scene, pool: &Pool, fault: Fault, number: u32) -> Result<Trial, Error> {
    let mut trial = Trial::new(format!("fault {}", number + 1));
    scene.is_durable(&mut trial);
    let log_length = scene.server.log_length()?;
    let main = scene.server.tell(Cluster::process_id);
    let first = i64::from(number) * 1_000_000_000 + 1;
    let mut traffic = Traffic::start(scene, pool, Manner::default(), first)?;
    if !traffic.acknowledges(WRITES, Duration::from_secs(20)).await {
        return Err(Error::Interrupted("no traffic before the fault".to_owned()));
    }
    // Faults meet the traffic at different moments.
    let phase = Duration::from_micros(scene.random.below(30_000));
    tokio::time::sleep(phase).await;
    traffic.fault();
    if scene.sabotage.injects() {
        fault.strike(scene).await?;
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
    let log = scene.server.log_since(log_length)?;
    trial.proof(log.contains(fault.trace()), format!("the server's log says: {}", fault.trace()));
    if matches!(fault, Fault::KillServer | Fault::Restart(_)) {
        let now = scene.server.tell(Cluster::process_id);
        trial.proof(main != now, format!("the main process {main:?} has become {now:?}"));
    }
    trial.fact("phase_us", u64::try_from(phase.as_micros()).unwrap_or(u64::MAX));
    examine(scene, &mut trial, pool, &tally, GONE).await?;
    Ok(trial)
}
