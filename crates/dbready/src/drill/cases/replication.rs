//! Primaries and standbys: failovers, standbys that stall, servers that turn read-only.

use std::time::{Duration, Instant};

use pg_local::{Cluster, Shutdown};
use pg_session::{Class, Config, Isolation, Pool, PoolOptions, RetryPolicy, TransactionOptions};

use crate::Error;
use crate::drill::Drill;
use crate::drill::journal::Answer;
use crate::drill::oracle::{examine, kept, no_leak, pool_restores};
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{GONE, LAYER, Scene, end_sessions, limits, sessions_gone, until, value};
use crate::drill::server::Server;
use crate::drill::traffic::{Manner, Traffic, millis};
use crate::drill::work::write;

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "standby_failover",
        injects: "an orderly stop of the primary under writers, and the promotion of its synchronous \
                  standby",
        quick: true,
        run: |scene| Box::pin(failover(scene, Some(Shutdown::Fast))),
    },
    Drill {
        name: "unplanned_failover",
        injects: "kill -9 of the primary under writers, and the promotion of its synchronous standby",
        quick: false,
        run: |scene| Box::pin(failover(scene, None)),
    },
    Drill {
        name: "read_only_primary",
        injects: "a primary that turns read-only under writers while its standby becomes the primary",
        quick: false,
        run: |scene| Box::pin(read_only_primary(scene)),
    },
    Drill {
        name: "synchronous_standby_stalled",
        injects: "SIGSTOP of the WAL receiver of a synchronous standby under a writer",
        quick: false,
        run: |scene| Box::pin(standby_stalled(scene)),
    },
    Drill {
        name: "standby_conflict",
        injects: "a table emptied on the primary while a standby reads it",
        quick: false,
        run: |scene| Box::pin(standby_conflict(scene)),
    },
    Drill {
        name: "split_brain",
        injects: "kill -9 of the primary, the promotion of its standby, and the old primary's return \
                  under writers that lose their sessions",
        quick: false,
        run: |scene| Box::pin(split_brain(scene)),
    },
];

/// The name under which the primary knows its standby.
const STANDBY: &str = "drill_standby";

/// A primary in the scene with the drill's database, and its standby.
async fn pair(scene: &mut Scene, synchronous: bool) -> Result<Server, Error> {
    scene.server = Server::start(&scene.runtime).await?;
    scene.database().await?;
    let primary = scene.server.clone();
    let standby = primary
        .act(move |cluster| {
            let standby = cluster.standby(STANDBY)?;
            if synchronous {
                cluster.configure(&[("synchronous_standby_names", STANDBY)])?;
                cluster.reload()?;
            }
            Ok(standby)
        })
        .await?;
    let standby = Server::make(move || Ok(standby)).await?;
    let examiner = scene.examiner().await?;
    let wanted = if synchronous { "sync" } else { "async" };
    let streams = "SELECT coalesce(max(sync_state), 'none') FROM pg_stat_replication \
                   WHERE application_name = 'drill_standby' AND state = 'streaming'";
    let streaming = until(Duration::from_secs(20), async || {
        Ok(value::<String>(&examiner, streams).await? == wanted)
    });
    if streaming.await? {
        return Ok(standby);
    }
    Err(Error::Interrupted("the standby does not follow".to_owned()))
}

/// How the layer reaches whichever of the two accepts writes.
fn both(scene: &Scene, standby: &Server) -> Result<Config, Error> {
    let port = |server: &Server| server.tell(Cluster::port);
    let password = scene.server.tell(|cluster| cluster.password().to_owned());
    let (one, other) = (port(&scene.server), port(standby));
    let name = scene.database_name();
    let url = format!(
        "postgres://postgres:{password}@127.0.0.1:{one},127.0.0.1:{other}/{name}\
         ?target_session_attrs=read-write&sslmode=disable"
    );
    Ok(Config::from_url(&url)?.application_name(LAYER))
}

async fn failover(scene: &mut Scene, planned: Option<Shutdown>) -> Result<(), Error> {
    for number in 0..scene.faults(1, 5) {
        let standby = pair(scene, true).await?;
        let pool = scene.pool_at(both(scene, &standby)?, limits()).await?;
        let mut trial = Trial::new(format!("fault {}", number + 1));
        scene.is_durable(&mut trial);
        let mut traffic = Traffic::start(scene, &pool, Manner::default(), 1)?;
        traffic.acknowledges(40, Duration::from_secs(20)).await;
        tokio::time::sleep(Duration::from_micros(scene.random.below(20_000))).await;
        traffic.fault();
        let mut promotion = None;
        if scene.sabotage.injects() {
            scene
                .server
                .act(move |cluster| match planned {
                    Some(how) => cluster.stop(how),
                    None => cluster.kill(),
                })
                .await?;
            let begun = Instant::now();
            standby.act(|cluster| cluster.promote()).await?;
            promotion = Some(begun.elapsed());
        }
        traffic.clear();
        let resumed = traffic.acknowledges(40, Duration::from_secs(15)).await;
        let expected = "writes go on on the new primary";
        trial.expect(Invariant::PoolRestores, resumed, expected, "they do not");
        let tally = traffic.stop().await?;
        trial.proof(tally.in_flight() > 0, format!("{} writes were under way", tally.in_flight()));
        let promoted = "SELECT NOT pg_is_in_recovery()";
        let primary = std::mem::replace(&mut scene.server, standby);
        let examiner = scene.examiner().await?;
        let is_primary: bool = value(&examiner, promoted).await?;
        trial.proof(is_primary, "the standby says that it is the primary");
        if let Some(took) = promotion {
            trial.fact("promotion_ms", millis(took));
        }
        if is_primary {
            let allowed = [GONE, &[Class::ReadOnly]].concat();
            examine(scene, &mut trial, &pool, &tally, &allowed).await?;
        }
        pool.close();
        drop(primary);
        scene.close(trial);
    }
    if planned.is_none() {
        let trial = asynchronous(scene).await?;
        scene.close(trial);
    }
    Ok(())
}

/// What an asynchronous standby has not received is lost with its primary although it was acknowledged.
/// The oracle must see that, and the loss is counted.
async fn asynchronous(scene: &mut Scene) -> Result<Trial, Error> {
    let standby = pair(scene, false).await?;
    let mut trial = Trial::new("an asynchronous standby that lags: the loss is counted");
    let pool = scene.pool(limits()).await?;
    let receiver = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'";
    let watcher = scene.examiner_at(&standby.config(scene.database_name())?).await?;
    let process: i32 = value(&watcher, receiver).await?;
    let mut receiver = standby.act(move |cluster| cluster.backend(process)).await?;
    let traffic = Traffic::start(scene, &pool, Manner::default(), 1)?;
    traffic.acknowledges(40, Duration::from_secs(20)).await;
    if scene.sabotage.injects() {
        receiver.freeze()?;
    }
    traffic.acknowledges(40, Duration::from_secs(20)).await;
    let tally = traffic.stop().await?;
    let frozen = receiver.is_frozen();
    trial.proof(frozen, "the WAL receiver was stopped while writes were acknowledged");
    pool.close();
    scene.server.act(Cluster::kill).await?;
    // What had reached its socket dies with it. The standby restarts what it recovers with.
    receiver.kill()?;
    receiver.thaw()?;
    until(Duration::from_secs(10), async || {
        let config = standby.config("postgres")?;
        let Ok(client) = scene.examiner_at(&config).await else { return Ok(false) };
        let receiving = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
        let left = client.query_one(receiving, &[&process]).await;
        Ok(left.is_ok_and(|row| row.get::<_, i64>(0) == 0))
    })
    .await?;
    standby.act(|cluster| cluster.promote()).await?;
    let _primary = std::mem::replace(&mut scene.server, standby);
    let mut seen = Trial::new("seen");
    kept(&mut seen, &scene.examiner().await?, &tally).await?;
    let lost = seen.violations.iter().find(|one| one.invariant == Invariant::NoLoss);
    trial.fact("loss", lost.map_or_else(|| "none".to_owned(), |one| one.found.clone()));
    trial.counts = seen.counts;
    trial.expect(Invariant::Claimed, lost.is_some(), "the oracle sees the loss", "it does not");
    Ok(trial)
}

async fn read_only_primary(scene: &mut Scene) -> Result<(), Error> {
    for number in 0..scene.faults(1, 5) {
        let standby = pair(scene, true).await?;
        let pool = scene.pool_at(both(scene, &standby)?, limits()).await?;
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let mut traffic = Traffic::start(scene, &pool, Manner::default(), 1)?;
        traffic.acknowledges(40, Duration::from_secs(20)).await;
        traffic.fault();
        if scene.sabotage.injects() {
            // Existing sessions are refused from now on; what they had committed is on the standby.
            scene
                .server
                .act(|cluster| {
                    cluster.configure(&[("default_transaction_read_only", "on")])?;
                    cluster.reload()
                })
                .await?;
            let old = scene.examiner().await?;
            let writing = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drill' \
                           AND backend_xid IS NOT NULL";
            until(Duration::from_secs(5), async || Ok(value::<i64>(&old, writing).await? == 0))
                .await?;
            standby.act(|cluster| cluster.promote()).await?;
        }
        traffic.clear();
        let resumed = traffic.acknowledges(40, Duration::from_secs(15)).await;
        trial.expect(Invariant::PoolRestores, resumed, "writes go on on the new primary", "not");
        let tally = traffic.stop().await?;
        let refused = tally.classes().filter(|(class, _)| *class == Class::ReadOnly).count();
        trial.proof(refused > 0, format!("{refused} writes were refused with 25006"));
        let primary = std::mem::replace(&mut scene.server, standby);
        let allowed = [GONE, &[Class::ReadOnly]].concat();
        if refused > 0 {
            examine(scene, &mut trial, &pool, &tally, &allowed).await?;
            let old = scene.examiner_at(&primary.config(scene.database_name())?).await?;
            let gone = sessions_gone(&old, Duration::from_secs(3)).await?;
            let expected = "no connection to the server that turned read-only";
            trial.expect(Invariant::Claimed, gone, expected, "some are left");
        }
        pool.close();
        scene.close(trial);
    }
    Ok(())
}

async fn standby_stalled(scene: &mut Scene) -> Result<(), Error> {
    let standby = pair(scene, true).await?;
    let options = PoolOptions { command_timeout: Duration::from_millis(500), ..limits() };
    let pool: Pool = scene.pool(options).await?;
    let examiner = scene.examiner().await?;
    let watcher = scene.examiner_at(&standby.config(scene.database_name())?).await?;
    let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'";
    for number in 0..scene.faults(3, 10) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let first = i64::from(number) * 1_000_000 + 1;
        // The statements are prepared, so that only COMMIT waits.
        write(&pool, Manner::default(), first, 0).await?;
        let process: i32 = value(&watcher, sql).await?;
        let mut receiver = standby.act(move |cluster| cluster.backend(process)).await?;
        if scene.sabotage.injects() {
            receiver.freeze()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        trial.proof(receiver.is_frozen(), "/proc says that the WAL receiver is stopped");
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drill' \
                     AND wait_event = 'SyncRep'";
        let begun = Instant::now();
        let writing = write(&pool, Manner::default(), first + 1, 0);
        let seen = until(Duration::from_millis(400), async || {
            Ok(value::<i64>(&examiner, waits).await? > 0)
        });
        let (result, seen) = tokio::join!(writing, seen);
        let heard = scene.hear(&result, begun);
        trial.proof(seen?, "a COMMIT was seen waiting for the standby");
        trial.expect_same(Invariant::Claimed, "the answer", &Answer::Unknown, &heard.answer);
        // BEGIN and two statements, then the deadline of COMMIT.
        trial.expect_within("the write", heard.took, Duration::from_millis(900));
        receiver.thaw()?;
        let begun = Instant::now();
        let next = scene.hear(&write(&pool, Manner::default(), first + 2, 0).await, begun);
        trial.expect_success("the next write", &next);
        for (operation, wanted) in [(first, 1), (first + 1, 1), (first + 2, 1)] {
            let sql = "SELECT count(*) FROM drill_ledger WHERE op_id = $1";
            let row = examiner.query_one(sql, &[&operation]).await?;
            let there: i64 = row.try_get(0)?;
            let what = format!("rows of write {operation}");
            trial.expect_same(Invariant::NoLoss, &what, &wanted, &there);
        }
        pool_restores(&mut trial, &pool).await;
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    pool.close();
    // Without its standby the primary would commit nothing more.
    scene
        .server
        .act(|cluster| {
            cluster.configure(&[("synchronous_standby_names", "")])?;
            cluster.reload()
        })
        .await
}

async fn standby_conflict(scene: &mut Scene) -> Result<(), Error> {
    let standby = pair(scene, false).await?;
    standby
        .act(|cluster| {
            cluster.configure(&[("max_standby_streaming_delay", "100ms")])?;
            cluster.reload()
        })
        .await?;
    let config = standby.config(scene.database_name())?.application_name(LAYER);
    let pool = scene
        .pool_at(config, PoolOptions { command_timeout: Duration::from_secs(8), ..limits() })
        .await?;
    let primary = scene.examiner().await?;
    let watcher = scene.examiner_at(&standby.config(scene.database_name())?).await?;
    for number in 0..scene.faults(2, 8) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        primary.batch_execute("INSERT INTO drill_target (op_id, payload) VALUES (1, 'x')").await?;
        let arrived = until(Duration::from_secs(10), async || {
            let sql = "SELECT count(*) FROM drill_target";
            Ok(value::<i64>(&watcher, sql).await? == 1)
        });
        arrived.await?;
        let conflicts = "SELECT confl_lock + confl_snapshot FROM pg_stat_database_conflicts \
                         WHERE datname = current_database()";
        let before: i64 = value(&watcher, conflicts).await?;
        let attempts = std::sync::atomic::AtomicU32::new(0);
        let begun = Instant::now();
        let options = TransactionOptions::read_only().isolation(Isolation::RepeatableRead);
        let injects = scene.sabotage.injects();
        let policy = RetryPolicy::default();
        let reading = pool.transact(&options, &policy, async |transaction| {
            let first = attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            // Only the first attempt takes long enough to be in the way.
            let sleep = if first { "2" } else { "0" };
            let sql = format!("SELECT count(*), pg_sleep({sleep}) FROM drill_target");
            transaction.fetch(&sql, &[]).await
        });
        let emptying = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if injects {
                primary.batch_execute("TRUNCATE drill_target").await?;
            }
            Ok::<_, Error>(())
        };
        let (result, emptied) = tokio::join!(reading, emptying);
        emptied?;
        let heard = scene.hear(&result, begun);
        trial.expect_success("a read that the layer repeats", &heard);
        let after = until(Duration::from_secs(2), async || {
            Ok(value::<i64>(&watcher, conflicts).await? > before)
        });
        trial.proof(after.await?, "the standby counted a conflict with recovery");
        let attempts = attempts.into_inner();
        trial.proof(attempts > 1, format!("{attempts} attempts"));
        if !injects {
            primary.batch_execute("TRUNCATE drill_target").await?;
        }
        pool_restores(&mut trial, &pool).await;
        scene.close(trial);
    }
    pool.close();
    Ok(())
}

async fn split_brain(scene: &mut Scene) -> Result<(), Error> {
    for number in 0..scene.faults(1, 5) {
        let standby = pair(scene, true).await?;
        let config = both(scene, &standby)?;
        let pool = scene.pool_at(config.clone(), limits()).await?;
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let mut traffic = Traffic::start(scene, &pool, Manner::default(), 1)?;
        traffic.acknowledges(40, Duration::from_secs(20)).await;
        scene.server.act(Cluster::kill).await?;
        standby.act(|cluster| cluster.promote()).await?;
        let over = traffic.acknowledges(40, Duration::from_secs(15)).await;
        trial.expect(Invariant::PoolRestores, over, "writes go on on the new primary", "not");
        let primary = std::mem::replace(&mut scene.server, standby);
        traffic.fault();
        let mut ledger = None;
        if scene.sabotage.injects() {
            // It is first in the list of hosts, takes writes and waits for no standby.
            primary
                .act(|cluster| {
                    cluster.configure(&[("synchronous_standby_names", "")])?;
                    cluster.start()
                })
                .await?;
            let old = scene.examiner_at(&primary.config(scene.database_name())?).await?;
            let rows = "SELECT count(*) FROM drill_ledger";
            ledger = Some((value::<i64>(&old, rows).await?, old, rows));
            let control = scene.examiner_at(&config).await?;
            let place = "SELECT inet_server_port()";
            let port: i32 = value(&control, place).await?;
            let led = port == i32::from(primary.tell(Cluster::port));
            trial
                .proof(led, "a connection by itself is led to the old primary, which takes writes");
            end_sessions(&scene.examiner().await?).await?;
        } else {
            trial.proof(false, "the old primary is back");
        }
        traffic.clear();
        let resumed = traffic.acknowledges(40, Duration::from_secs(15)).await;
        trial.expect(Invariant::PoolRestores, resumed, "writes go on on the new primary", "not");
        if ledger.is_some() {
            // Without the new primary there is none to write to.
            scene.server.act(|cluster| cluster.stop(Shutdown::Fast)).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            scene.server.act(Cluster::start).await?;
            let again = traffic.acknowledges(20, Duration::from_secs(15)).await;
            trial.expect(Invariant::PoolRestores, again, "writes go on once it is back", "not");
        }
        let tally = traffic.stop().await?;
        if let Some((before, old, rows)) = ledger {
            let after: i64 = value(&old, rows).await?;
            trial.expect_same(Invariant::Claimed, "writes that the old one has", &before, &after);
        }
        let allowed = [GONE, &[Class::ReadOnly]].concat();
        examine(scene, &mut trial, &pool, &tally, &allowed).await?;
        pool.close();
        drop(primary);
        scene.close(trial);
    }
    Ok(())
}
