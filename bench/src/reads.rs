//! The newest row of an instrument, from 50 tasks over 10 connections: the query
//! file of the contract through every peer.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pg_session::{PoolOptions, ReaderOptions, connect};
use signal_store::{Decimal, InstrumentKey, Store, StoreOptions};
use sqlx::Row as _;

use crate::figures::{Figure, Target, against};
use crate::setup::{Bench, output, seconds};
use crate::{Options, Result};

const CONNECTIONS: u32 = 10;
const TASKS: usize = 50;
/// Few, so that the plans which pgbench makes for each of them count for nothing.
const KEYS: i64 = 4;

/// The contract's query.
pub(crate) fn query() -> Result<&'static str> {
    let file = signal_store::CONTRACT.iter().find(|(path, _)| *path == "queries/latest_greeks.sql");
    Ok(file.ok_or("the contract has no latest_greeks.sql")?.1)
}

/// Instruments that have rows.
pub(crate) async fn keys(bench: &Bench) -> Result<Arc<[String]>> {
    let client = connect(&bench.config()?).await?;
    let sql = "SELECT DISTINCT instrument_key FROM signal_greeks ORDER BY 1 LIMIT $1";
    let rows = client.query(sql, &[&KEYS]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The repository, reading over as many connections as every peer has.
pub(crate) async fn store(bench: &Bench) -> Result<Store> {
    let pool = PoolOptions { min: 0, ..StoreOptions::default().pool };
    let reader = ReaderOptions { connections: CONNECTIONS, ..ReaderOptions::default() };
    let options = StoreOptions { pool, reader, ..StoreOptions::default() };
    Ok(Store::connect(bench.config()?, options).await?)
}

pub(crate) async fn measure(
    bench: &Bench,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Vec<Figure>> {
    let what = "latest_greeks, 10 connections, 50 tasks";
    let time = seconds(options.seconds);
    let keys = keys(bench).await?;
    let store = store(bench).await?;
    let sqlx = sqlx::postgres::PgPoolOptions::new()
        .min_connections(CONNECTIONS)
        .max_connections(CONNECTIONS)
        .connect(&bench.url)
        .await?;
    ours(&store, &keys, Duration::from_millis(500)).await?;
    through_sqlx(&sqlx, &keys, Duration::from_millis(500)).await?;

    let mut rounds = [const { Vec::new() }; 4];
    for round in 1..=options.rounds {
        eprintln!("reads: round {round} of {}", options.rounds);
        let [own, pgbench, peer, asyncpg] = &mut rounds;
        own.push(ours(&store, &keys, time).await?);
        if bench.has_program("pgbench") {
            pgbench.push(through_pgbench(bench, &keys, options.seconds)?);
        }
        peer.push(through_sqlx(&sqlx, &keys, time).await?);
        match through_asyncpg(bench, options, &keys) {
            Ok(rate) => asyncpg.push(rate),
            Err(error) if round == 1 => notes.push(format!("asyncpg was not measured: {error}")),
            Err(error) => return Err(error),
        }
    }
    let [own, pgbench, peer, asyncpg] = &rounds;
    let mut figures = Vec::new();
    if pgbench.is_empty() {
        notes.push("pgbench was not measured: the server's installation has none".to_owned());
    } else {
        let peer = ("pgbench -M prepared -c 10 -j 2", pgbench.as_slice());
        figures.push(against(what, own, peer, Target::Ratio(0.95)));
    }
    figures.push(against(what, own, ("sqlx", peer), Target::Ratio(2.5)));
    if !asyncpg.is_empty() {
        figures.push(against(what, own, ("asyncpg", asyncpg), Target::Ratio(5.0)));
    }
    Ok(figures)
}

/// Calls per second of 50 tasks that each make one call after the other, with numbers
/// that are spread evenly.
pub(crate) async fn drive<F, C>(time: Duration, call: F) -> Result<f64>
where
    F: Fn(usize) -> C + Clone + Send + 'static,
    C: Future<Output = Result<()>> + Send,
{
    let begun = Instant::now();
    let end = begun + time;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let call = call.clone();
            tokio::spawn(async move {
                let mut done = 0_u64;
                let mut at = task;
                while Instant::now() < end {
                    at = at.wrapping_mul(25).wrapping_add(13);
                    call(at).await?;
                    done += 1;
                }
                Result::<u64>::Ok(done)
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

async fn ours(store: &Store, keys: &Arc<[String]>, time: Duration) -> Result<f64> {
    let names: Arc<[InstrumentKey]> =
        keys.iter().map(|key| InstrumentKey::new(key)).collect::<Result<_, _>>()?;
    let store = store.clone();
    drive(time, move |at| {
        let (store, names) = (store.clone(), Arc::clone(&names));
        async move {
            let found = store.get_latest_greeks(&names[at % names.len()]).await?;
            std::hint::black_box(found.ok_or("an instrument has no row")?);
            Ok(())
        }
    })
    .await
}

async fn through_sqlx(pool: &sqlx::PgPool, keys: &Arc<[String]>, time: Duration) -> Result<f64> {
    let (pool, names) = (pool.clone(), Arc::clone(keys));
    let sql = query()?;
    drive(time, move |at| {
        let (pool, names) = (pool.clone(), Arc::clone(&names));
        async move {
            let row = sqlx::query(sql).bind(&names[at % names.len()]).fetch_one(&pool).await?;
            let mut sum = Decimal::ZERO;
            for column in 4..11 {
                sum += row.try_get::<Option<Decimal>, _>(column)?.unwrap_or_default();
            }
            std::hint::black_box((sum, row.try_get::<&str, _>(1)?));
            Ok(())
        }
    })
    .await
}

/// One script for each key, so that the statement is the very same, with the key as its parameter.
fn through_pgbench(bench: &Bench, keys: &[String], seconds: u32) -> Result<f64> {
    let mut command = bench.program("pgbench");
    command.args(["--no-vacuum", "-M", "prepared", "-c", "10", "-j", "2"]);
    command.args(["-T", &seconds.to_string()]);
    for (at, key) in keys.iter().enumerate() {
        let script = format!("{};\n", query()?.trim().replace("$1", &format!(":key{at}")));
        command.arg("-D").arg(format!("key{at}={key}"));
        command.arg("-f").arg(bench.file(&format!("latest{at}.sql"), &script)?);
    }
    pgbench_rate(&mut command)
}

/// Runs pgbench and reads the rate that it reports.
pub(crate) fn pgbench_rate(command: &mut Command) -> Result<f64> {
    let said = output(command)?;
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = rate.and_then(|rest| rest.split_whitespace().next());
    Ok(rate.ok_or_else(|| format!("pgbench names no rate: {said}"))?.parse()?)
}

fn through_asyncpg(bench: &Bench, options: &Options, keys: &[String]) -> Result<f64> {
    let script = bench.file("latest.py", include_str!("../peers/latest_greeks.py"))?;
    let sql = bench.file("latest.sql", query()?)?;
    let mut command = Command::new(&options.python);
    command.arg(script).arg(&bench.url).arg(sql);
    command.args([options.seconds.to_string(), CONNECTIONS.to_string(), TASKS.to_string()]);
    command.args(keys);
    Ok(output(&mut command)?.trim().parse()?)
}
