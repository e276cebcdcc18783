//! Disks that fill up and flushes that fail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pg_local::{Cluster, Room};
use pg_session::Class;

use crate::Error;
use crate::drill::Drill;
use crate::drill::examiner::Examiner;
use crate::drill::oracle::examine;
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{GONE, Scene, limits, until, value};
use crate::drill::server::{Server, blocking};
use crate::drill::traffic::{Manner, Traffic};

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "disk_full_data",
        injects: "a data disk that fills up under writers, and is freed again",
        quick: true,
        run: |scene| Box::pin(data_full(scene)),
    },
    Drill {
        name: "disk_full_wal",
        injects: "a WAL disk that fills up under writers until the server stops, and is enlarged",
        quick: false,
        run: |scene| Box::pin(wal_full(scene)),
    },
    Drill {
        name: "fsync_error",
        injects: "EIO from every flush of the checkpointer, by strace",
        quick: false,
        run: |scene| Box::pin(fsync_error(scene)),
    },
];

/// A room with mounts, or why there is none.
async fn room(scene: &mut Scene) -> Result<Option<Arc<Room>>, Error> {
    match blocking(Room::with_mounts).await {
        Ok(room) => Ok(Some(Arc::new(room))),
        Err(error) => {
            let reason = format!("this machine gives a server no disk of its own: {error}");
            scene.record.unproven = Some(reason);
            Ok(None)
        }
    }
}

/// Megabytes of the small data disk.
const SMALL: u32 = 24;

async fn data_full(scene: &mut Scene) -> Result<(), Error> {
    let Some(room) = room(scene).await? else { return Ok(()) };
    let (runtime, inside) = (scene.runtime.clone(), Arc::clone(&room));
    scene.server = Server::make(move || {
        let mut cluster = Cluster::in_room(&runtime, Arc::clone(&inside))?;
        inside.mount_disk(&cluster.folder().join("small"), SMALL)?;
        cluster.start()?;
        Ok(cluster)
    })
    .await?;
    scene.database().await?;
    let small = scene.server.tell(|cluster| cluster.folder().join("small"));
    let examiner = scene.examiner().await?;
    let place = crate::sql::quote_literal(&small.to_string_lossy());
    examiner.batch_execute(&format!("CREATE TABLESPACE drill_small LOCATION {place}")).await?;
    examiner
        .batch_execute(
            "ALTER TABLE drill_target SET TABLESPACE drill_small; \
             ALTER TABLE drill_ledger SET TABLESPACE drill_small; \
             ALTER INDEX drill_ledger_pkey SET TABLESPACE drill_small",
        )
        .await?;
    let pool = scene.pool(limits()).await?;
    for number in 0..scene.faults(2, 6) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        scene.is_durable(&mut trial);
        let main = scene.server.tell(Cluster::process_id);
        let first = i64::from(number) * 1_000_000_000 + 1;
        let mut traffic = Traffic::start(scene, &pool, Manner::default(), first)?;
        traffic.acknowledges(30, Duration::from_secs(10)).await;
        examiner.batch_execute("CREATE TABLE drill_filler (t text) TABLESPACE drill_small").await?;
        traffic.fault();
        if scene.sabotage.injects() {
            fill(&examiner).await?;
        }
        // Room that tables had kept is used up first.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let free = room.free(&small)?;
        trial.proof(free < 65_536, format!("the disk had {free} bytes left"));
        examiner.batch_execute("DROP TABLE drill_filler").await?;
        examiner.batch_execute("CHECKPOINT").await?;
        traffic.clear();
        let resumed = traffic.acknowledges(30, Duration::from_secs(10)).await;
        trial.expect(Invariant::PoolRestores, resumed, "writes go on once there is room", "not");
        let tally = traffic.stop().await?;
        let full = tally.classes().filter(|(class, _)| *class == Class::Resource).count();
        trial.expect(Invariant::TypedError, full > 0, "errors of class resource", "none");
        trial.proof(tally.in_flight() > 0, format!("{} writes were under way", tally.in_flight()));
        let now = scene.server.tell(Cluster::process_id);
        trial.expect_same(Invariant::Claimed, "the server's main process", &main, &now);
        examine(scene, &mut trial, &pool, &tally, &[Class::Resource]).await?;
        scene.close(trial);
    }
    Ok(())
}

/// Fills the disk to its last page.
async fn fill(examiner: &Examiner) -> Result<(), Error> {
    for rows in [2_000, 200, 20, 1] {
        let sql = format!(
            "INSERT INTO drill_filler SELECT repeat(md5(g::text), 60) FROM generate_series(1, {rows}) g"
        );
        while let Ok(()) = examiner.batch_execute(&sql).await {}
    }
    Ok(())
}

/// Megabytes of the WAL disk, and of the enlarged one.
const WAL: (u32, u32) = (80, 400);

async fn wal_full(scene: &mut Scene) -> Result<(), Error> {
    let Some(room) = room(scene).await? else { return Ok(()) };
    for number in 0..scene.faults(1, 3) {
        let (runtime, inside) = (scene.runtime.clone(), Arc::clone(&room));
        scene.server = Server::make(move || {
            let mut cluster = Cluster::in_room(&runtime, Arc::clone(&inside))?;
            let (wal, data) = (cluster.folder().join("wal"), cluster.folder().join("data"));
            inside.mount_disk(&wal, WAL.0)?;
            let (wal, data) = (wal.to_string_lossy(), data.to_string_lossy());
            let move_it = "cp -a \"$1/pg_wal/.\" \"$0\" && rm -r \"$1/pg_wal\" \
                           && ln -s \"$0\" \"$1/pg_wal\"";
            inside.run("sh", &["-c", move_it, &wal, &data])?;
            cluster.configure(&[("max_wal_size", "4GB"), ("checkpoint_timeout", "1h")])?;
            cluster.start()?;
            Ok(cluster)
        })
        .await?;
        scene.database().await?;
        let pool = scene.pool(limits()).await?;
        let mut trial = Trial::new(format!("fault {}", number + 1));
        scene.is_durable(&mut trial);
        let mut traffic = Traffic::start(scene, &pool, Manner::default(), 1)?;
        traffic.acknowledges(30, Duration::from_secs(10)).await;
        let filler = scene.examiner().await?;
        filler.batch_execute("CREATE TABLE drill_filler (t text)").await?;
        traffic.fault();
        let log_length = scene.server.log_length()?;
        if scene.sabotage.injects() {
            let sql = "INSERT INTO drill_filler \
                       SELECT repeat(md5(g::text), 60) FROM generate_series(1, 4000) g";
            while let Ok(()) = filler.batch_execute(sql).await {}
        }
        let injects = scene.sabotage.injects();
        let wait = Duration::from_secs(if injects { 30 } else { 1 });
        let ended = scene.server.act(move |cluster| Ok(cluster.ends_within(wait))).await?;
        let log = scene.server.log_since(log_length)?;
        let full = log.contains("No space left on device") && log.contains("PANIC");
        trial.proof(full, "the server's log says: PANIC, no space left on device");
        trial.fact("server_stayed_down", ended);
        let (folder, larger) =
            (scene.server.tell(|cluster| cluster.folder().join("wal")), Arc::clone(&room));
        blocking(move || larger.resize_disk(&folder, WAL.1)).await?;
        scene.server.revive().await?;
        traffic.clear();
        let resumed = traffic.acknowledges(30, Duration::from_secs(20)).await;
        trial.expect(Invariant::PoolRestores, resumed, "writes go on on the larger disk", "not");
        let tally = traffic.stop().await?;
        trial.proof(tally.in_flight() > 0, format!("{} writes were under way", tally.in_flight()));
        let allowed = [GONE, &[Class::Resource]].concat();
        examine(scene, &mut trial, &pool, &tally, &allowed).await?;
        pool.close();
        scene.close(trial);
    }
    Ok(())
}

async fn fsync_error(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let pool = scene.pool(limits()).await?;
    for number in 0..scene.faults(2, 8) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        scene.is_durable(&mut trial);
        let examiner = scene.examiner().await?;
        let first = i64::from(number) * 1_000_000_000 + 1;
        let mut traffic = Traffic::start(scene, &pool, Manner::default(), first)?;
        traffic.acknowledges(30, Duration::from_secs(10)).await;
        let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
        let process: i32 = value(&examiner, sql).await?;
        let attached = scene.server.act(move |cluster| Ok(cluster.fail_fsync(process))).await?;
        let failing = match attached {
            Ok(failing) => failing,
            Err(error) => {
                let reason = format!("this machine lets no system call fail: {error}");
                scene.record.unproven = Some(reason);
                traffic.stop().await?;
                return Ok(());
            }
        };
        let log_length = scene.server.log_length()?;
        traffic.fault();
        let begun = Instant::now();
        if scene.sabotage.injects() {
            // The server panics: no answer is expected.
            let _ = examiner.batch_execute("CHECKPOINT").await;
        }
        let panicked =
            until(Duration::from_secs(if scene.sabotage.injects() { 10 } else { 1 }), async || {
                Ok(scene.server.log_since(log_length)?.contains("PANIC:  could not fsync"))
            });
        let panicked = panicked.await?;
        let injected = failing.injected();
        drop(failing);
        traffic.clear();
        trial.proof(injected > 0, format!("strace failed {injected} flushes"));
        trial.proof(panicked, "the server's log says: PANIC: could not fsync");
        let resumed = traffic.acknowledges(30, Duration::from_secs(20)).await;
        trial.expect(Invariant::PoolRestores, resumed, "writes go on after recovery", "not");
        trial.expect_within("the recovery", begun.elapsed(), Duration::from_secs(30));
        let tally = traffic.stop().await?;
        trial.proof(tally.in_flight() > 0, format!("{} writes were under way", tally.in_flight()));
        examine(scene, &mut trial, &pool, &tally, GONE).await?;
        scene.close(trial);
    }
    Ok(())
}
