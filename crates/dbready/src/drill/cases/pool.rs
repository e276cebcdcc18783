//! Pools that run out, leak, lose their server or find their idle connections dead.

use std::time::{Duration, Instant};

use pg_local::Cluster;
use pg_local::Shutdown;
use pg_local::proxy::{End, Greeting};
use pg_session::{AcquireFailure, Class, Pool, PoolOptions};
use tokio::task::JoinSet;

use crate::Error;
use crate::drill::Drill;
use crate::drill::heard::Heard;
use crate::drill::oracle::{
    all_places, bounded_waits, clean_sessions, kept, no_leak, pool_restores, typed_errors,
};
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{
    GONE, LAYER, Scene, acquire, close, limits, sessions_gone, until, value,
};
use crate::drill::traffic::{Manner, Traffic, millis};

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "pool_exhaustion",
        injects: "all connections held while ten times as many callers wait",
        quick: true,
        run: |scene| Box::pin(exhaustion(scene)),
    },
    Drill {
        name: "pool_overload",
        injects: "five callers on three connections and fifty on ten",
        quick: true,
        run: |scene| Box::pin(overload(scene)),
    },
    Drill {
        name: "connection_leak",
        injects: "a session that its holder never gives back",
        quick: true,
        run: |scene| Box::pin(leak(scene)),
    },
    Drill {
        name: "stale_idle_connections",
        injects: "idle connections ended by the server, by a reset and by an orderly end",
        quick: true,
        run: |scene| Box::pin(stale_idle(scene)),
    },
    Drill {
        name: "connections_full",
        injects: "other sessions that take all of the server's connections",
        quick: true,
        run: |scene| Box::pin(connections_full(scene)),
    },
    Drill {
        name: "pool_recovery",
        injects: "immediate restarts of the server, the pool asked for a session after each",
        quick: true,
        run: |scene| Box::pin(recovery(scene)),
    },
    Drill {
        name: "restart_herd",
        injects: "a server that comes back while many callers of several pools wait",
        quick: true,
        run: |scene| Box::pin(restart_herd(scene)),
    },
];

async fn exhaustion(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let limit = Duration::from_millis(400);
    let max: u32 = 4;
    let options = PoolOptions { min: 0, max, acquire_timeout: limit, ..limits() };
    let pool = scene.pool(options).await?;
    let examiner = scene.examiner().await?;
    for number in 0..scene.faults(10, 40) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let mut held = Vec::new();
        for _ in 0..if scene.sabotage.injects() { max } else { 0 } {
            held.push(acquire(&pool).await?);
        }
        let taken = pool.status().out;
        let begun = Instant::now();
        let mut callers = JoinSet::new();
        for place in 0..10 * max {
            let (pool, sabotage) = (pool.clone(), scene.sabotage.clone());
            // Arrivals in a known order.
            tokio::time::sleep(Duration::from_millis(1)).await;
            callers.spawn(async move {
                let begun = Instant::now();
                let result = pool.acquire().await;
                let failure = result.as_ref().err().map(|error| error.failure);
                let result = result.map_err(|error| pg_session::Error::from(Box::new(error)));
                (place, failure, sabotage.answer(Heard::of(&result, begun.elapsed())))
            });
        }
        let mut ended = Vec::new();
        while let Some(caller) = callers.join_next().await {
            ended.push(caller.map_err(|error| Error::Interrupted(error.to_string()))?);
        }
        trial.proof(taken == max as usize, format!("{taken} of {max} sessions were held"));
        trial.fact("waited_ms", millis(begun.elapsed()));
        for (_, failure, heard) in &ended {
            trial.expect(
                Invariant::TypedError,
                *failure == Some(AcquireFailure::Exhausted)
                    && heard.class == Some(Class::Unavailable)
                    && heard.text.contains("in use"),
                "an error that says how many sessions are in use",
                heard.in_words(),
            );
            trial.expect_within("a caller without a session", heard.took, limit);
        }
        // Those that wait when sessions come back are served in the order in which they came.
        let mut order = JoinSet::new();
        for place in 0..max * 2 {
            let pool = pool.clone();
            tokio::time::sleep(Duration::from_millis(2)).await;
            order.spawn(async move {
                let served = pool.acquire().await.is_ok().then(Instant::now);
                (place, served)
            });
        }
        let released = Instant::now();
        drop(held);
        let mut served = Vec::new();
        while let Some(caller) = order.join_next().await {
            served.push(caller.map_err(|error| Error::Interrupted(error.to_string()))?);
        }
        let all = served.iter().all(|(_, at)| at.is_some());
        trial.expect(Invariant::PoolRestores, all, "all that wait are served", "some are not");
        if pool_restores(&mut trial, &pool).await.is_some() {
            let took = released.elapsed();
            trial.fact("recovered_ms", millis(took));
            scene.record.sample("failure_modes.pool_exhaustion_recovery", took.as_secs_f64());
        }
        served.sort_by_key(|(_, at)| *at);
        let early = served.iter().take(max as usize).all(|(place, _)| *place < max * 2 - 1);
        trial.expect(Invariant::Claimed, early, "the last to come is not served first", "it is");
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}

async fn overload(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    for number in 0..scene.faults(3, 10) {
        for (callers, max) in [(5_u32, 3_u32), (50, 10)] {
            let mut trial = Trial::new(format!("{callers} on {max}, {}", number + 1));
            let pool = scene.pool(PoolOptions { min: 1, max, ..limits() }).await?;
            let injects = scene.sabotage.injects();
            let callers = if injects { callers } else { 1 };
            let mut work = JoinSet::new();
            for _ in 0..callers {
                let (pool, sabotage) = (pool.clone(), scene.sabotage.clone());
                work.spawn(async move {
                    let begun = Instant::now();
                    let result = twice(&pool).await;
                    sabotage.answer(Heard::of(&result, begun.elapsed()))
                });
            }
            let mut most_waiting = 0;
            let mut longest = Duration::ZERO;
            while !work.is_empty() {
                most_waiting = most_waiting.max(pool.status().waiting);
                if let Ok(Some(caller)) =
                    tokio::time::timeout(Duration::from_millis(1), work.join_next()).await
                {
                    let heard = caller.map_err(|error| Error::Interrupted(error.to_string()))?;
                    longest = longest.max(heard.took);
                    trial.expect_success("a caller", &heard);
                }
            }
            trial.proof(most_waiting > 0, format!("{most_waiting} callers waited at once"));
            let opened = pool.status().opened;
            trial.expect(
                Invariant::NoLeak,
                opened <= u64::from(max),
                format!("{max} connections at most"),
                format!("{opened}"),
            );
            trial.fact("longest_call_ms", millis(longest));
            pool_restores(&mut trial, &pool).await;
            clean_sessions(&mut trial, &pool).await;
            no_leak(&mut trial, &examiner, &pool).await?;
            close(&pool, &examiner).await?;
            scene.close(trial);
        }
    }
    Ok(())
}

/// What a caller of the overloaded pool does: two short statements in two sessions.
async fn twice(pool: &Pool) -> Result<(), pg_session::Error> {
    for _ in 0..2 {
        let mut session = acquire(pool).await?;
        session.execute("SELECT pg_sleep(0.01)", &[]).await?;
    }
    Ok(())
}

async fn leak(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let options = PoolOptions {
        min: 0,
        max: 2,
        acquire_timeout: Duration::from_millis(300),
        leak_after: Duration::from_millis(150),
        ..limits()
    };
    let pool = scene.pool(options).await?;
    let examiner = scene.examiner().await?;
    for number in 0..scene.faults(3, 10) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let above = line!();
        let leaked =
            pool.acquire().await.map_err(|error| pg_session::Error::from(Box::new(error)))?;
        let below = line!();
        let injects = scene.sabotage.injects();
        let leaked = injects.then_some(leaked);
        let holders = until(Duration::from_secs(1), async || {
            Ok(!pool.held_longer_than(pool.options().leak_after).is_empty())
        });
        let reported = holders.await?;
        trial.proof(pool.status().out == 1, "a session is out and nobody uses it");
        let found = pool.held_longer_than(Duration::ZERO);
        let place = found.first().map(|holder| (holder.location.file(), holder.location.line()));
        let here =
            place.is_some_and(|(file, line)| file == file!() && (above..below).contains(&line));
        trial.expect(
            Invariant::Claimed,
            reported && here,
            format!("the leak is reported with its place, after line {above} of {}", file!()),
            format!("reported: {reported}, place: {place:?}"),
        );
        // The pool serves those who come meanwhile from what is left.
        let begun = Instant::now();
        let health = scene.hear(&pool.health().await, begun);
        trial.expect_success("another caller meanwhile", &health);
        drop(leaked);
        pool_restores(&mut trial, &pool).await;
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Death {
    Terminated,
    Proxy(End),
}

async fn stale_idle(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    let deaths = [Death::Terminated, Death::Proxy(End::Reset), Death::Proxy(End::Finish)];
    for number in 0..scene.faults(2, 10) {
        for death in deaths {
            let mut trial = Trial::new(format!("{death:?}, {}", number + 1));
            let proxy = scene.proxy().await?;
            let pool = scene.pool_at(scene.config_through(proxy.port())?, limits()).await?;
            all_places(&pool).await?;
            let idle = pool.status().idle;
            let ended = match death {
                _ if !scene.sabotage.injects() => 0,
                Death::Terminated => {
                    let terminate = "SELECT count(pg_terminate_backend(pid)) \
                                     FROM pg_stat_activity WHERE application_name = $1";
                    let row = examiner.query_one(terminate, &[&LAYER]).await?;
                    usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default()
                }
                Death::Proxy(end) => proxy.end_all(end),
            };
            trial.proof(ended >= idle && idle > 0, format!("{ended} of {idle} idle ones ended"));
            // Long enough for the system to have delivered it, too short for any check.
            tokio::time::sleep(Duration::from_millis(50)).await;
            for caller in 0..idle {
                let begun = Instant::now();
                let result =
                    async { acquire(&pool).await?.fetch_value::<i32>("SELECT 1", &[]).await };
                let heard = scene.hear(&result.await, begun);
                trial.expect_success(&format!("caller {caller} after it"), &heard);
            }
            pool_restores(&mut trial, &pool).await;
            no_leak(&mut trial, &examiner, &pool).await?;
            pool.close();
            drop(proxy);
            scene.close(trial);
        }
    }
    Ok(())
}

async fn connections_full(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    // Superusers have places of their own; the layer logs in as an ordinary role.
    let role = "DROP ROLE IF EXISTS drill_guest; CREATE ROLE drill_guest LOGIN PASSWORD 'guest' \
                CONNECTION LIMIT 6";
    examiner.batch_execute(role).await?;
    let config = scene.config()?.with_user("drill_guest", Some(pg_session::Secret::from("guest")));
    for number in 0..scene.faults(3, 10) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let mut others = Vec::new();
        if scene.sabotage.injects() {
            for _ in 0..6 {
                let other = config.clone().application_name("others");
                others.push(pg_session::connect(&other).await?);
            }
        }
        let limit = Duration::from_millis(700);
        let options = PoolOptions { min: 0, max: 2, acquire_timeout: limit, ..limits() };
        let pool = scene.pool_at(config.clone(), options).await?;
        let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'others'";
        let taken: i64 = value(&examiner, count).await?;
        trial.proof(taken == 6, format!("{taken} of the role's 6 connections were taken"));
        let log_length = scene.server.log_length()?;
        let begun = Instant::now();
        let result = acquire(&pool).await;
        let heard = scene.hear(&result, begun);
        trial.expect_refusal("the caller", &heard, &[Class::Unavailable]);
        trial.expect_sqlstate("the caller", &heard, "53300");
        trial.expect_within("the caller", heard.took, limit);
        let attempts = scene.server.log_since(log_length)?.matches("too many connections").count();
        trial.expect(
            Invariant::Claimed,
            attempts <= 20,
            "pauses between attempts: 20 at most",
            format!("{attempts} attempts in {:?}", heard.took),
        );
        trial.fact("attempts", attempts);
        drop(result);
        others.clear();
        until(Duration::from_secs(2), async || Ok(value::<i64>(&examiner, count).await? == 0))
            .await?;
        pool_restores(&mut trial, &pool).await;
        pool.close();
        let gone = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'drill_guest'";
        until(Duration::from_secs(5), async || Ok(value::<i64>(&examiner, gone).await? == 0))
            .await?;
        scene.close(trial);
    }
    Ok(examiner.batch_execute("DROP ROLE drill_guest").await?)
}

/// A caller's attempts after the server has failed.
const ATTEMPTS: u32 = 3;

async fn recovery(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let options = PoolOptions { acquire_timeout: Duration::from_secs(2), ..limits() };
    let pool = scene.pool(options).await?;
    for number in 0..scene.faults(10, 30) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        all_places(&pool).await?;
        let before = scene.server.tell(Cluster::process_id);
        let failed = Instant::now();
        let server = scene.server.clone();
        let injects = scene.sabotage.injects();
        let restart = async move {
            if injects {
                server
                    .act(|cluster| {
                        cluster.stop(Shutdown::Immediate)?;
                        cluster.start()
                    })
                    .await?;
            }
            Ok::<_, Error>(Instant::now())
        };
        let returned = restart.await?;
        let now = scene.server.tell(Cluster::process_id);
        trial.proof(before != now, format!("the main process {before:?} has become {now:?}"));
        let mut attempts = 0;
        let works = loop {
            attempts += 1;
            let begun = Instant::now();
            let heard = scene.hear(&pool.health().await, begun);
            if heard.class.is_none() {
                break true;
            }
            if attempts == ATTEMPTS {
                break false;
            }
        };
        let took = failed.elapsed();
        trial.expect(
            Invariant::PoolRestores,
            works,
            format!("the pool serves again within {ATTEMPTS} attempts"),
            format!("not after {attempts}"),
        );
        trial.fact("attempts", attempts);
        trial.fact("served_ms_after_failure", millis(took));
        trial.fact("server_back_ms", millis(returned - failed));
        if works {
            scene.record.sample("pool.recovery", took.as_secs_f64());
        }
        pool_restores(&mut trial, &pool).await;
        scene.close(trial);
    }
    Ok(())
}

async fn restart_herd(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    for number in 0..scene.faults(1, 5) {
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let proxy = scene.proxy().await?;
        let mut herd = Vec::new();
        for pool in 0..6_i64 {
            let pool_ = scene.pool_at(scene.config_through(proxy.port())?, limits()).await?;
            let first = (i64::from(number) * 10 + pool) * 1_000_000_000 + 1;
            let manner = Manner { writers: 16, ..Manner::default() };
            herd.push((Traffic::start(scene, &pool_, manner, first)?, pool_));
        }
        for (traffic, _) in &herd {
            traffic.acknowledges(10, Duration::from_secs(20)).await;
        }
        let before = proxy.counts().accepted;
        for (traffic, _) in &mut herd {
            traffic.fault();
        }
        let away = Duration::from_secs(2);
        let cut = if scene.sabotage.injects() {
            proxy.greet(Greeting::Reset);
            proxy.end_all(End::Reset)
        } else {
            0
        };
        tokio::time::sleep(away).await;
        let attempts = proxy.counts().accepted - before;
        proxy.greet(Greeting::Pass);
        for (traffic, _) in &mut herd {
            traffic.clear();
        }
        trial.proof(cut > 0, format!("{cut} connections were cut, and new ones for {away:?}"));
        // 48 places, each with pauses that grow to half a second: 20 attempts each are too many.
        trial.expect(
            Invariant::Claimed,
            attempts <= 48 * 20,
            format!("at most {} attempts to connect in {away:?}", 48 * 20),
            format!("{attempts}"),
        );
        trial.fact("attempts_while_away", attempts);
        for (traffic, _) in &herd {
            let resumed = traffic.acknowledges(10, Duration::from_secs(10)).await;
            trial.expect(Invariant::PoolRestores, resumed, "writes go on in each pool", "not");
        }
        let mut tallies = Vec::new();
        for (traffic, pool) in herd {
            tallies.push((traffic.stop().await?, pool));
        }
        let examiner = scene.examiner().await?;
        for (tally, pool) in &tallies {
            pool_restores(&mut trial, pool).await;
            kept(&mut trial, &examiner, tally).await?;
            typed_errors(&mut trial, tally, GONE);
            bounded_waits(&mut trial, tally);
            trial.timeline = Some(tally.timeline());
            pool.close();
        }
        let gone = sessions_gone(&examiner, Duration::from_secs(5)).await?;
        let expected = "no session once the pools are closed";
        trial.expect(Invariant::NoLeak, gone, expected, "some are left");
        scene.close(trial);
    }
    Ok(())
}
