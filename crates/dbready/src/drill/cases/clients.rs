//! Clients in processes of their own: killed, led elsewhere by a name, with a clock that jumps.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use pg_local::Room;

use crate::Error;
use crate::drill::Drill;
use crate::drill::cases::transactions::PAIR;
use crate::drill::client::{Hold, Order, Process};
use crate::drill::examiner::Examiner;
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{
    SESSIONS, Scene, acquire, close, end_sessions, limits, sessions_gone, until, value,
};
use crate::drill::server::Server;
use crate::drill::traffic::millis;

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "client_death",
        injects: "kill -9 of a client in a transaction, in COPY, in a statement, in a wait for a lock, \
                  and with an advisory lock",
        quick: true,
        run: |scene| Box::pin(client_death(scene)),
    },
    Drill {
        name: "dns",
        injects: "a name that leads to another address, to none, and to a dead one before a live one",
        quick: false,
        run: |scene| Box::pin(dns(scene)),
    },
    Drill {
        name: "clock_jump",
        injects: "a client's clock that jumps by an hour, forth and back, under calls",
        quick: false,
        run: |scene| Box::pin(clock_jump(scene)),
    },
];

async fn client_death(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(PAIR).await?;
    examiner.batch_execute("CREATE TABLE drill_copy (n integer NOT NULL)").await?;
    for number in 0..scene.faults(1, 6) {
        for hold in Hold::ALL {
            let trial = death(scene, &examiner, hold, number).await?;
            scene.close(trial);
        }
    }
    Ok(())
}

async fn death(
    scene: &Scene,
    examiner: &Examiner,
    hold: Hold,
    number: u32,
) -> Result<Trial, Error> {
    let mut trial = Trial::new(format!("{hold:?}, {}", number + 1));
    let mut client = scene.client(Command::new)?;
    let url = scene.url_at("127.0.0.1");
    for order in [Order::Open { url }, Order::Hold(hold)] {
        if hold == Hold::Wait && matches!(order, Order::Hold(_)) {
            examiner.batch_execute("BEGIN; UPDATE drill_pair SET n = 0 WHERE id = 2").await?;
        }
        let heard = client.tell(&order).await?;
        if heard.class.is_some() {
            return Err(Error::Interrupted(format!("the client: {}", heard.text)));
        }
    }
    let state = match hold {
        Hold::Transaction => "state = 'idle in transaction'",
        Hold::Copy => "state = 'active' AND wait_event = 'ClientRead'",
        Hold::Statement => "wait_event = 'PgSleep'",
        Hold::Wait => "wait_event_type = 'Lock'",
        Hold::Advisory => {
            "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)"
        }
    };
    let doing = format!("{SESSIONS} AND {state}");
    let watcher = scene.examiner().await?;
    let seen =
        until(Duration::from_secs(5), async || Ok(value::<i64>(&watcher, &doing).await? > 0));
    trial.proof(seen.await?, format!("the server says of the client's session: {state}"));
    let begun = Instant::now();
    if scene.sabotage.injects() {
        let ended = client.kill().await?;
        let signal = ended.signal();
        trial.proof(signal == Some(9), format!("the client ended by signal {signal:?}"));
    } else {
        trial.proof(false, "the client lives");
    }
    // A server hears of the end when it next reads; a statement under way is ended by its own limit.
    let busy = matches!(hold, Hold::Statement | Hold::Wait);
    let limit = if busy { limits().command_timeout } else { Duration::ZERO };
    let limit = limit + Duration::from_secs(1);
    let gone = sessions_gone(&watcher, limit).await?;
    trial.fact("sessions_gone_ms", millis(begun.elapsed()));
    let expected = format!("no session of the client, and none of its locks, after {limit:?}");
    trial.expect(Invariant::NoLeak, gone, expected, "some are left");
    if hold == Hold::Wait {
        examiner.batch_execute("ROLLBACK").await?;
    }
    // What it had begun is undone, and its locks are free for the next.
    let pool = scene.pool(limits()).await?;
    let begun = Instant::now();
    let next = async {
        let mut session = acquire(&pool).await?;
        session.execute("UPDATE drill_pair SET n = n WHERE id IN (1, 2)", &[]).await?;
        session.execute("SELECT pg_advisory_lock(5), pg_advisory_unlock(5)", &[]).await?;
        Ok::<_, pg_session::Error>(())
    };
    let heard = scene.hear(&next.await, begun);
    trial.expect_success("the next caller, who needs the same locks", &heard);
    let traces = "SELECT (SELECT sum(n) FROM drill_pair) + (SELECT count(*) FROM drill_copy)";
    let left: i64 = value(&watcher, traces).await?;
    trial.expect_same(Invariant::NoPhantom, "traces of its transaction", &0, &left);
    close(&pool, &watcher).await?;
    Ok(trial)
}

/// The name in this drill.
const NAME: &str = "primary.drill.test";
/// An address of this machine that the server listens on, and another; a third is dead.
const HERE: &str = "127.0.0.1";
const THERE: &str = "127.0.0.2";
const NOWHERE: &str = "127.0.0.3";
/// At which address a session arrived.
const WHERE: &str = "SELECT host(inet_server_addr())";

/// A room whose mounts only clients see; without one a drill stays unproven.
fn room(scene: &mut Scene) -> Option<Room> {
    let room = Room::with_mounts();
    if let Err(error) = &room {
        let reason = format!("this machine gives a client no mounts of its own: {error}");
        scene.record.unproven = Some(reason);
    }
    room.ok()
}

async fn dns(scene: &mut Scene) -> Result<(), Error> {
    let Some(room) = room(scene) else { return Ok(()) };
    scene.server = listening_at_two(scene).await?;
    scene.database().await?;
    let hosts = scene.server.tell(|cluster| cluster.folder().join("hosts"));
    names(&hosts, &[HERE])?;
    room.run("mount", &["--bind", &hosts.to_string_lossy(), "/etc/hosts"])?;
    for number in 0..scene.faults(1, 6) {
        let mut trial = Trial::new(format!("a name that moves, {}", number + 1));
        let mut client = scene.client(|program| {
            let mut command = room.inside();
            command.arg(program);
            command
        })?;
        names(&hosts, &[HERE])?;
        let url = scene.url_at(NAME);
        let opened = scene.sabotage.answer(client.tell(&Order::Open { url }).await?);
        trial.expect_success("a pool at the name", &opened);
        let asked = Order::Ask { sql: WHERE.to_owned() };
        arrives(&mut trial, &mut client, &asked, HERE).await?;
        let led = room.run("getent", &["hosts", NAME])?;
        if scene.sabotage.injects() {
            names(&hosts, &[THERE])?;
        }
        let now = room.run("getent", &["ahostsv4", NAME]).unwrap_or_default();
        let moved = led.starts_with(HERE) && now.starts_with(THERE);
        trial.proof(moved, format!("the name led to {} and leads to {now}", led.trim()));
        if moved {
            end_sessions(&scene.examiner().await?).await?;
            arrives(&mut trial, &mut client, &asked, THERE).await?;
            // A name that leads nowhere is an error in time, and is looked up again afterwards.
            names(&hosts, &[])?;
            let emptied = Instant::now();
            let mut begun;
            // A session may still arrive for which the name was looked up before.
            let lost = loop {
                end_sessions(&scene.examiner().await?).await?;
                begun = Instant::now();
                let heard = client.tell(&asked).await?;
                if heard.class.is_some() || emptied.elapsed() > limits().acquire_timeout {
                    break heard;
                }
            };
            let named = lost.class.is_some() && lost.text.contains(NAME);
            let expected = format!("without an address: an error that names {NAME}");
            trial.expect(Invariant::TypedError, named, expected, lost.text);
            let patience = limits().acquire_timeout + Duration::from_millis(500);
            trial.expect_within("a call without an address", begun.elapsed(), patience);
            names(&hosts, &[NOWHERE, THERE])?;
            arrives(&mut trial, &mut client, &asked, THERE).await?;
        }
        client.kill().await?;
        scene.close(trial);
    }
    Ok(())
}

/// A server of this drill that listens at two addresses.
async fn listening_at_two(scene: &Scene) -> Result<Server, Error> {
    let server = Server::start(&scene.runtime).await?;
    server
        .act(|cluster| {
            let both = format!("{HERE},{THERE}");
            cluster.configure(&[("listen_addresses", &both)])?;
            cluster.allow_first("host all all 127.0.0.0/8 scram-sha-256")?;
            cluster.stop(pg_local::Shutdown::Fast)?;
            cluster.start()
        })
        .await?;
    Ok(server)
}

/// Writes the names that the client can look up.
fn names(hosts: &Path, addresses: &[&str]) -> Result<(), Error> {
    let lines = addresses.iter().map(|address| format!("{address} {NAME}\n"));
    let text = std::iter::once("127.0.0.1 localhost\n".to_owned()).chain(lines).collect::<String>();
    // The same file: it is mounted where the client looks.
    fs::write(hosts, text)
        .map_err(|source| Error::File { path: hosts.display().to_string(), source })
}

/// States that a client's next sessions arrive at an address. One call may still find its session
/// ended.
async fn arrives(
    trial: &mut Trial,
    client: &mut Process,
    asked: &Order,
    address: &str,
) -> Result<(), Error> {
    let first = client.tell(asked).await?;
    let heard = if first.class.is_some() { client.tell(asked).await? } else { first };
    trial.expect_same(
        Invariant::Claimed,
        "the session's address",
        &address.to_owned(),
        &heard.text,
    );
    Ok(())
}

/// Where Debian keeps the library that lets a process see another time.
const LIBRARIES: &str = "/usr/lib";

fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir(LIBRARIES).ok()?;
    let places = folders.flatten().map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    places.into_iter().find(|place| place.exists())
}

/// How far the clock jumps, in seconds.
const JUMPS: [i64; 3] = [3_600, -3_600, 86_400];

async fn clock_jump(scene: &mut Scene) -> Result<(), Error> {
    let Some(library) = faketime() else {
        let reason = "this machine lets no process see another time: libfaketime is not there \
                      (Debian: apt-get install libfaketime)";
        scene.record.unproven = Some(reason.to_owned());
        return Ok(());
    };
    let Some(room) = room(scene) else { return Ok(()) };
    // The library leaves files in shared memory when its process is killed. There they end with the room.
    room.run("mount", &["-t", "tmpfs", "tmpfs", "/dev/shm"])?;
    scene.database().await?;
    for jump in JUMPS {
        for number in 0..scene.faults(1, 3) {
            let trial = jumped(scene, &room, &library, jump, number).await?;
            scene.close(trial);
        }
    }
    Ok(())
}

async fn jumped(
    scene: &Scene,
    room: &Room,
    library: &Path,
    jump: i64,
    number: u32,
) -> Result<Trial, Error> {
    let mut trial = Trial::new(format!("by {jump} s, {}", number + 1));
    let shift = scene.server.tell(|cluster| cluster.folder().join("clock"));
    let set = |seconds: i64| {
        let text = format!("{seconds:+}\n");
        let path = shift.display().to_string();
        fs::write(&shift, text).map_err(|source| Error::File { path, source })
    };
    set(0)?;
    let mut client = scene.client(|program| {
        let mut command = room.inside();
        command.arg("env").arg(format!("LD_PRELOAD={}", library.display()));
        command.arg(format!("FAKETIME_TIMESTAMP_FILE={}", shift.display()));
        // Only the clock of the day jumps; the one that counts time goes on, as on a real machine.
        let monotonic = ["FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"];
        command.arg("FAKETIME_NO_CACHE=1").args(monotonic).arg(program);
        command
    })?;
    let url = scene.url_at("127.0.0.1");
    let opened = client.tell(&Order::Open { url }).await?;
    trial.expect_success("a pool", &opened);
    let clock = async |client: &mut Process| -> Result<i64, Error> {
        Ok(client.tell(&Order::Clock).await?.text.parse().unwrap_or_default())
    };
    let before = clock(&mut client).await?;
    let begun = Instant::now();
    let injects = scene.sabotage.injects();
    let jumping = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if injects { set(jump) } else { Ok(()) }
    };
    // One call ends by itself after the jump, the next one by its deadline of two seconds.
    let short = Order::Ask { sql: "SELECT pg_sleep(1)::text".to_owned() };
    let (short, jumped) = tokio::join!(client.tell(&short), jumping);
    jumped?;
    let short = scene.sabotage.answer(short?);
    trial.expect_success("a call of one second under which the clock jumps", &short);
    let after = clock(&mut client).await?;
    let seen = after - before;
    let passed = i64::try_from(begun.elapsed().as_secs()).unwrap_or_default();
    let proven = (seen - jump - passed).abs() <= 3;
    trial.proof(proven, format!("the client's clock moved by {seen} s within {passed} s"));
    set(0)?;
    let jumping = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if injects { set(jump) } else { Ok(()) }
    };
    let begun = Instant::now();
    let long = Order::Ask { sql: "SELECT pg_sleep(30)::text".to_owned() };
    let (long, jumped) = tokio::join!(client.tell(&long), jumping);
    jumped?;
    let (long, took) = (long?, begun.elapsed());
    let ended = long.class.is_some() && long.text.starts_with("timeout");
    trial.expect(Invariant::TypedError, ended, "a call of thirty seconds: timeout", long.text);
    let limit = limits().command_timeout;
    trial.expect_within("a call of thirty seconds", took, limit + Duration::from_millis(250));
    let early = took + Duration::from_millis(50) < limit;
    let expected = format!("not before {limit:?}");
    trial.expect(Invariant::BoundedWait, !early, expected, format!("{took:?}"));
    client.kill().await?;
    Ok(trial)
}
