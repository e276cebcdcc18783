//! Networks that are slow, silent, cut or gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use pg_local::proxy::{Cut, Direction, End, Pace, Place, Proxy, When};
use pg_local::{Cluster, Room};
use pg_session::{Class, Config, Pool, PoolOptions};

use crate::Error;
use crate::drill::Drill;
use crate::drill::heard::Heard;
use crate::drill::journal::Answer;
use crate::drill::oracle::{examine, no_leak, pool_restores};
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{GONE, LAYER, Scene, acquire, limits, sessions_gone, until};
use crate::drill::server::{Server, blocking};
use crate::drill::traffic::{Manner, Traffic, millis};
use crate::drill::work::write;

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "network_latency",
        injects: "40 ms on every way between writers and their server",
        quick: true,
        run: |scene| Box::pin(latency(scene)),
    },
    Drill {
        name: "network_slow_drip",
        injects: "answers that arrive a byte at a time",
        quick: true,
        run: |scene| Box::pin(slow_drip(scene)),
    },
    Drill {
        name: "network_reset",
        injects: "resets and ends of all connections under writers",
        quick: true,
        run: |scene| Box::pin(reset(scene)),
    },
    Drill {
        name: "network_silence",
        injects: "a network that swallows everything under writers, and a frozen server that accepts \
                  connections and answers none",
        quick: true,
        run: |scene| Box::pin(silence(scene)),
    },
    Drill {
        name: "network_cut_points",
        injects: "a cut before, within and after each message of a transaction, by reset, end and \
                  silence",
        quick: true,
        run: |scene| Box::pin(cut_points(scene)),
    },
    Drill {
        name: "dead_host",
        injects: "a network link that goes down, while waiting for an answer and before a call",
        quick: true,
        run: |scene| Box::pin(dead_host(scene)),
    },
];

async fn latency(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let way = Duration::from_millis(40);
    for number in 0..scene.faults(1, 5) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let proxy = scene.proxy().await?;
        let pool = scene.pool_at(scene.config_through(proxy.port())?, limits()).await?;
        let first = i64::from(number) * 1_000_000 + 1;
        let mut traffic = Traffic::start(scene, &pool, Manner::default(), first)?;
        traffic.acknowledges(20, Duration::from_secs(10)).await;
        traffic.fault();
        if scene.sabotage.injects() {
            proxy.set_pace(Pace { latency: way, drip: None });
        }
        let slow = traffic.acknowledges(24, Duration::from_secs(15)).await;
        trial.expect(Invariant::Claimed, slow, "writes go on, slowly", "they do not");
        proxy.set_pace(Pace::default());
        traffic.clear();
        let tally = traffic.stop().await?;
        let slowed = tally.fault.map_or(0, |fault| {
            tally
                .operations
                .iter()
                .filter(|one| one.begun > fault && one.heard.took >= way * 2)
                .count()
        });
        trial.proof(slowed >= 8, format!("{slowed} writes took longer than two ways"));
        trial.proof(tally.in_flight() > 0, "writes were under way");
        examine(scene, &mut trial, &pool, &tally, &[]).await?;
        scene.close(trial);
    }
    Ok(())
}

async fn slow_drip(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let limit = Duration::from_millis(500);
    for number in 0..scene.faults(3, 10) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let proxy = scene.proxy().await?;
        let options = PoolOptions { command_timeout: limit, min: 1, ..limits() };
        let pool = scene.pool_at(scene.config_through(proxy.port())?, options).await?;
        let mut session = acquire(&pool).await?;
        let sql = "SELECT repeat('x', 4000)";
        session.fetch_value::<String>(sql, &[]).await?;
        if scene.sabotage.injects() {
            proxy.set_pace(Pace {
                latency: Duration::ZERO,
                drip: Some((1, Duration::from_millis(10))),
            });
        }
        let begun = Instant::now();
        let heard = scene.hear(&session.fetch_value::<String>(sql, &[]).await, begun);
        let received = proxy.counts().received;
        trial.proof(
            heard.took >= limit && received > 4_000,
            format!("the server had sent {received} bytes, and they dripped for {:?}", heard.took),
        );
        let typed = heard.class == Some(Class::Timeout);
        trial.expect(Invariant::TypedError, typed, "an error of class timeout", heard.in_words());
        // 200 ms for the server's own report, as the layer documents.
        trial.expect_within("the call", heard.took, limit + Duration::from_millis(200));
        drop(session);
        proxy.set_pace(Pace::default());
        pool_restores(&mut trial, &pool).await;
        scene.close(trial);
    }
    Ok(())
}

async fn reset(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let proxy = scene.proxy().await?;
    let pool = scene.pool_at(scene.config_through(proxy.port())?, limits()).await?;
    for number in 0..scene.faults(6, 40) {
        let end = if number % 2 == 0 { End::Reset } else { End::Finish };
        let mut trial = Trial::new(format!("{end:?} {}", number + 1));
        let first = i64::from(number) * 1_000_000_000 + 1;
        let mut traffic = Traffic::start(scene, &pool, Manner::default(), first)?;
        traffic.acknowledges(30, Duration::from_secs(10)).await;
        tokio::time::sleep(Duration::from_micros(scene.random.below(5_000))).await;
        traffic.fault();
        let ended = if scene.sabotage.injects() { proxy.end_all(end) } else { 0 };
        traffic.clear();
        trial.proof(ended > 0, format!("the proxy ended {ended} connections"));
        let resumed = traffic.acknowledges(30, Duration::from_secs(10)).await;
        trial.expect(Invariant::PoolRestores, resumed, "writes are acknowledged again", "none are");
        let tally = traffic.stop().await?;
        trial.proof(tally.in_flight() > 0, format!("{} writes were under way", tally.in_flight()));
        examine(scene, &mut trial, &pool, &tally, GONE).await?;
        scene.close(trial);
    }
    Ok(())
}

async fn silence(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let proxy = scene.proxy().await?;
    let options = PoolOptions { command_timeout: Duration::from_millis(400), ..limits() };
    let options = PoolOptions { acquire_timeout: Duration::from_millis(1_500), ..options };
    let pool = scene.pool_at(scene.config_through(proxy.port())?, options).await?;
    for number in 0..scene.faults(2, 10) {
        let mut trial = Trial::new(format!("silence {}", number + 1));
        let first = i64::from(number) * 1_000_000_000 + 1;
        let mut traffic = Traffic::start(scene, &pool, Manner::default(), first)?;
        traffic.acknowledges(30, Duration::from_secs(10)).await;
        tokio::time::sleep(Duration::from_micros(scene.random.below(5_000))).await;
        traffic.fault();
        if scene.sabotage.injects() {
            proxy.silence(true);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let swallowed = proxy.counts().swallowed;
        trial.proof(swallowed > 0, format!("the proxy swallowed {swallowed} bytes"));
        proxy.silence(false);
        // What was swallowed is missing for good on these connections.
        let _ = proxy.end_all(End::Finish);
        traffic.clear();
        let resumed = traffic.acknowledges(30, Duration::from_secs(10)).await;
        trial.expect(Invariant::PoolRestores, resumed, "writes are acknowledged again", "none are");
        let tally = traffic.stop().await?;
        trial.proof(tally.in_flight() > 0, format!("{} writes were under way", tally.in_flight()));
        let noticed = tally.operations.iter().any(|one| one.heard.class == Some(Class::Timeout));
        trial.expect(Invariant::TypedError, noticed, "a timeout that callers see", "none");
        examine(scene, &mut trial, &pool, &tally, GONE).await?;
        scene.close(trial);
    }
    drop(proxy);
    let trial = frozen_server(scene).await?;
    scene.close(trial);
    Ok(())
}

/// Connections asked for while the server is frozen; a rate of 95 % takes 59.
const CONNECTS: usize = 60;

/// The system accepts connections for a frozen server, and nobody answers them.
async fn frozen_server(scene: &mut Scene) -> Result<Trial, Error> {
    let mut trial = Trial::new(format!("{CONNECTS} connections to a frozen server"));
    let limit = Duration::from_millis(800);
    let pool = scene.pool(limits()).await?;
    let mut session = acquire(&pool).await?;
    if scene.sabotage.injects() {
        scene.server.act(|cluster| cluster.pause()).await?;
    }
    let begun = Instant::now();
    let existing = scene.hear(&session.fetch_value::<i32>("SELECT 1", &[]).await, begun);
    let config = scene.sabotage.config(scene.config()?.connect_timeout(limit));
    let answers: Vec<Heard> = futures_util::future::join_all((0..CONNECTS).map(|_| async {
        let begun = Instant::now();
        let result = pg_session::connect(&config).await;
        scene.hear(&result, begun)
    }))
    .await;
    let resumed = scene.server.act(|cluster| cluster.resume()).await;
    let silent = answers.iter().filter(|heard| heard.class.is_some()).count();
    trial.proof(silent == CONNECTS, format!("{silent} of {CONNECTS} connections got no answer"));
    resumed?;
    trial.expect_success("a session that was open already", &existing);
    let mut clear = 0_u32;
    for heard in &answers {
        let right = heard.class == Some(Class::Connect)
            && heard.text.contains("no connection to")
            && heard.took <= crate::drill::heard::bounded(limit);
        clear += u32::from(right);
        scene.record.sample("failure_modes.connection_timeouts", if right { 100.0 } else { 0.0 });
    }
    let unclear = answers.iter().find(|heard| heard.class != Some(Class::Connect));
    trial.expect(
        Invariant::BoundedWait,
        usize::try_from(clear).unwrap_or_default() * 100 >= CONNECTS * 95,
        format!("a clear error within {limit:?} for 95 % of {CONNECTS} connections"),
        format!("{clear}; {}", unclear.map_or_else(String::new, Heard::in_words)),
    );
    drop(session);
    pool_restores(&mut trial, &pool).await;
    Ok(trial)
}

/// One case of the sweep.
#[derive(Debug, Clone, Copy)]
struct Case {
    direction: Direction,
    number: usize,
    kind: u8,
    place: Place,
    end: End,
}

/// The messages of the scripted transaction: which of the client's is COMMIT, and how many of the
/// server's come before it is answered.
struct Script {
    messages: Vec<(Direction, u8)>,
}

impl Script {
    fn of(&self, direction: Direction) -> Vec<u8> {
        let those = self.messages.iter().filter(|(of, _)| *of == direction);
        those.map(|(_, kind)| *kind).collect()
    }

    /// The number of the client's COMMIT, its last message.
    fn commit(&self) -> usize {
        self.of(Direction::Frontend).len() - 1
    }

    /// The number of the first message with which the server answers COMMIT. Every answer ends with
    /// `ReadyForQuery`, so it follows the last but one.
    fn commit_answer(&self) -> usize {
        let server = self.of(Direction::Backend);
        let ready = server.iter().enumerate().filter(|(_, kind)| **kind == b'Z');
        let ends: Vec<usize> = ready.map(|(at, _)| at).collect();
        ends.iter().rev().nth(1).map_or(0, |at| at + 1)
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for direction in [Direction::Frontend, Direction::Backend] {
            for (number, kind) in self.of(direction).into_iter().enumerate() {
                for place in Place::ALL {
                    for end in End::ALL {
                        cases.push(Case { direction, number, kind, place, end });
                    }
                }
            }
        }
        cases
    }

    /// What a caller may be told, and whether the write is there.
    fn expected(&self, case: Case) -> (&'static [Answer], bool) {
        use Answer::{Acknowledged, NotApplied, Unknown};
        let whole = case.place == Place::After;
        match case.direction {
            Direction::Frontend if case.number < self.commit() => (&[NotApplied], false),
            Direction::Frontend => (&[Unknown], whole),
            Direction::Backend => {
                let (answer, last) = (self.commit_answer(), self.of(Direction::Backend).len() - 1);
                if case.number + 1 == answer && whole {
                    // COMMIT may be sent before the end of the connection is noticed.
                    (&[NotApplied, Unknown], false)
                } else if case.number < answer {
                    (&[NotApplied], false)
                } else if case.number == last && whole {
                    // A reset may overtake the last answer.
                    (&[Acknowledged, Unknown], true)
                } else {
                    (&[Unknown], true)
                }
            }
        }
    }
}

/// Cases that run side by side; each has a proxy and a connection of its own.
const SIDE_BY_SIDE: usize = 8;

async fn cut_points(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    let (proxy, pool) = through_proxy(scene).await?;
    proxy.listen();
    write(&pool, Manner::default(), -1, 0).await?;
    let script = Script { messages: proxy.heard() };
    drop(proxy);
    let cases = script.cases();
    let shared: &Scene = scene;
    let played = futures_util::stream::iter(cases.into_iter().enumerate())
        .map(|(at, case)| {
            let operation = i64::try_from(at).unwrap_or_default() + 1;
            async move { (case, operation, play_case(shared, case, operation).await) }
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect::<Vec<_>>()
        .await;
    let examiner = scene.examiner().await?;
    sessions_gone(&examiner, Duration::from_secs(5)).await?;
    for (case, operation, result) in played {
        let Case { direction, number, kind, place, end } = case;
        let message = char::from(kind);
        let name = format!("{place:?} {direction:?} message {number} ({message}), {end:?}");
        let mut trial = Trial::new(name);
        let (heard, cut) = result?;
        trial.proof(cut, "the proxy cut the connection there");
        let (answers, applied) = script.expected(case);
        trial.expect(
            Invariant::Claimed,
            answers.contains(&heard.answer),
            format!("one of {answers:?}"),
            heard.in_words(),
        );
        let typed = heard.class.is_none_or(|class| GONE.contains(&class));
        trial.expect(
            Invariant::TypedError,
            typed,
            "an error of a lost connection",
            heard.in_words(),
        );
        let count = "SELECT (SELECT count(*) FROM drill_ledger WHERE op_id = $1), \
                     (SELECT count(*) FROM drill_target WHERE op_id = $1)";
        let row = examiner.query_one(count, &[&operation]).await?;
        let found = (row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?);
        let wanted = if applied { (1, 1) } else { (0, 0) };
        let invariant = if applied { Invariant::NoLoss } else { Invariant::NoPhantom };
        trial.expect_same(invariant, "rows in ledger and target", &wanted, &found);
        scene.close(trial);
    }
    Ok(())
}

/// A proxy and a pool of one connection through it, which knows the script's statements.
async fn through_proxy(scene: &Scene) -> Result<(Proxy, Pool), Error> {
    let proxy = scene.proxy().await?;
    let options =
        PoolOptions { min: 1, max: 1, command_timeout: Duration::from_millis(500), ..limits() };
    let pool = scene.pool_at(scene.config_through(proxy.port())?, options).await?;
    let mut session = acquire(&pool).await?;
    let mut transaction = session.begin(&pg_session::TransactionOptions::default()).await?;
    crate::drill::work::insert(&mut transaction, 0, 0).await?;
    transaction.rollback().await?;
    drop(session);
    Ok((proxy, pool))
}

async fn play_case(scene: &Scene, case: Case, operation: i64) -> Result<(Heard, bool), Error> {
    let (proxy, pool) = through_proxy(scene).await?;
    if scene.sabotage.injects() {
        let when = When::Nth(case.direction, case.number);
        proxy.cut(Cut { when, place: case.place, end: case.end });
    }
    let begun = Instant::now();
    let result = write(&pool, Manner::default(), operation, 0).await;
    let heard = scene.hear(&result, begun);
    // The last message is cut after the answer is known.
    let cut = until(Duration::from_millis(200), async || Ok(proxy.counts().faults == 1)).await?;
    drop(proxy);
    pool.close();
    Ok((heard, cut))
}

/// The TCP limits of this drill: a lost host is noticed 3 s after the last sign of life.
const TCP: &str = "keepalives=1&keepalives_idle=1&keepalives_interval=1&keepalives_count=2&\
                   tcp_user_timeout=2000&sslmode=disable";
/// When that must have happened, with a second for the clocks of the system.
const NOTICED: Duration = Duration::from_secs(5);

async fn dead_host(scene: &mut Scene) -> Result<(), Error> {
    let room = match blocking(Room::with_network).await {
        Ok(room) => Arc::new(room),
        Err(error) => {
            scene.record.unproven =
                Some(format!("this machine gives a server no network of its own: {error}"));
            return Ok(());
        }
    };
    let (runtime, inside) = (scene.runtime.clone(), Arc::clone(&room));
    scene.server = Server::make(move || {
        let mut cluster = Cluster::in_room(&runtime, inside)?;
        cluster.start()?;
        Ok(cluster)
    })
    .await?;
    scene.database().await?;
    let url = scene.server.tell(|cluster| cluster.url(scene.database_name()));
    let config = Config::from_url(&format!("{url}?{TCP}"))?.application_name(LAYER);
    for number in 0..scene.faults(1, 4) {
        for waiting in [true, false] {
            let trial = vanish(scene, &room, &config, waiting, number).await;
            let back = Arc::clone(&room);
            blocking(move || back.reappear()).await?;
            scene.close(trial?);
        }
    }
    Ok(())
}

async fn vanish(
    scene: &Scene,
    room: &Arc<Room>,
    config: &Config,
    waiting: bool,
    number: u32,
) -> Result<Trial, Error> {
    let when = if waiting { "while a call waits" } else { "before a call" };
    let mut trial = Trial::new(format!("link down {when}, {}", number + 1));
    // The commands have more time than the network.
    let options = PoolOptions { command_timeout: Duration::from_secs(20), min: 1, ..limits() };
    let pool = scene.pool_at(config.clone(), options).await?;
    let mut session = acquire(&pool).await?;
    session.fetch_value::<i32>("SELECT 1", &[]).await?;
    let cut = Arc::clone(room);
    let injects = scene.sabotage.injects();
    let down = async move {
        if waiting {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if injects {
            blocking(move || cut.vanish()).await?;
        }
        Ok::<_, Error>(Instant::now())
    };
    let sql = if waiting { "SELECT pg_sleep(8)" } else { "SELECT 2" };
    let begun = Instant::now();
    let (result, fault) = if waiting {
        let (result, fault) = tokio::join!(session.execute(sql, &[]), down);
        (result, fault?)
    } else {
        let fault = down.await?;
        (session.execute(sql, &[]).await, fault)
    };
    let heard = scene.hear(&result, begun);
    let took = fault.elapsed();
    let state = room.link_state()?;
    trial.proof(state == "DOWN", format!("the system says that the link is {state}"));
    trial.fact("noticed_after_ms", millis(took));
    trial.expect(
        Invariant::TypedError,
        heard.class == Some(Class::Lost),
        "an error of class lost",
        heard.in_words(),
    );
    trial.expect_within("the call after the loss", took, NOTICED);
    drop(session);
    let back = Arc::clone(room);
    blocking(move || back.reappear()).await?;
    pool_restores(&mut trial, &pool).await;
    let examiner = scene.examiner().await?;
    until(Duration::from_secs(10), async || {
        let active = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 \
                      AND state = 'active'";
        Ok(examiner.query_one(active, &[&LAYER]).await?.try_get::<_, i64>(0)? == 0)
    })
    .await?;
    no_leak(&mut trial, &examiner, &pool).await?;
    Ok(trial)
}
