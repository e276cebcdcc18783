//! Single Greeks from 50 tasks, each acknowledged after its commit and not before,
//! beside pgbench with as many connections as our pool may have.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use pg_session::tokio_postgres::Client;
use pg_session::{PoolOptions, connect};
use signal_store::ingest::{Writer, WriterOptions};
use signal_store::jiff::{SignedDuration, Timestamp};
use signal_store::{Decimal, Greeks, InstrumentKey, STATEMENTS, Store, StoreOptions, now};

use crate::figures::{Figure, Target, against};
use crate::reads::{drive, keys, pgbench_rate};
use crate::setup::{Bench, seconds};
use crate::{Options, Result};

const CONNECTIONS: u32 = 10;
/// The span of time that the records' instants are spread over.
const SPAN: i64 = 3_600_000;

pub(crate) async fn measure(
    bench: &Bench,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Vec<Figure>> {
    if !bench.has_program("pgbench") {
        notes.push("single records: the server's installation has no pgbench".to_owned());
        return Ok(Vec::new());
    }
    let client = connect(&bench.config()?).await?;
    let keys = keys(bench).await?;
    // A chunk of its own, behind everything that the seed made.
    let first = now() + SignedDuration::from_hours(24 * 200);
    let pool = PoolOptions { max: CONNECTIONS, ..StoreOptions::default().pool };
    let store = StoreOptions { pool, ..StoreOptions::default() };
    let store = Store::connect(bench.config()?, store).await?;
    let writing = WriterOptions::default();
    notes.push(format!(
        "single records: pool and pgbench may both have {CONNECTIONS} connections; the writer uses {} of them",
        writing.commits
    ));
    ours(&store, &client, &keys, first, Duration::from_millis(500)).await?;
    let mut rounds = [const { Vec::new() }; 2];
    for round in 1..=options.rounds {
        eprintln!("single: round {round} of {}", options.rounds);
        let [own, pgbench] = &mut rounds;
        own.push(ours(&store, &client, &keys, first, seconds(options.seconds)).await?);
        pgbench.push(through_pgbench(bench, options, &keys, first)?);
        forget(&client, first).await?;
    }
    let [own, pgbench] = &rounds;
    let what = "single Greeks that share commits, 50 tasks";
    let peer = ("pgbench -M prepared -c 10 -j 2, a commit for each", pgbench.as_slice());
    Ok(vec![against(what, own, peer, Target::Ratio(3.0))])
}

/// One record; both sides write the same but for its instant.
fn record(key: &str, timestamp: Timestamp) -> Result<Greeks> {
    let mut greeks =
        Greeks::new("signal_20260117_000001".parse()?, InstrumentKey::new(key)?, timestamp);
    let number = |text: &str| text.parse::<Decimal>().map(Some);
    greeks.delta = number("0.512345")?;
    greeks.gamma = number("0.012345")?;
    greeks.theta = number("-4.512345")?;
    greeks.vega = number("9.812345")?;
    greeks.rho = number("2.712345")?;
    greeks.implied_volatility = number("0.182345")?;
    greeks.theoretical_value = number("212.3500")?;
    greeks.underlying_price = number("24012.3500")?;
    greeks.strike_price = number("24000.0000")?;
    greeks.time_to_expiry = number("0.052345")?;
    Ok(greeks)
}

async fn ours(
    store: &Store,
    client: &Client,
    keys: &[String],
    first: Timestamp,
    time: Duration,
) -> Result<f64> {
    let writer: Arc<Writer<Greeks>> = Arc::new(store.ingest().writer(WriterOptions::default()));
    let acknowledged = Arc::new(AtomicI64::new(0));
    let templates: Arc<[Greeks]> =
        keys.iter().map(|key| record(key, first)).collect::<Result<_>>()?;
    let (shared, count, before) = (Arc::clone(&writer), Arc::clone(&acknowledged), Instant::now());
    let rate = drive(time, move |at| {
        let (writer, count) = (Arc::clone(&shared), Arc::clone(&count));
        let mut record = templates[at % templates.len()].clone();
        async move {
            let later = i64::try_from(before.elapsed().as_micros())? % SPAN;
            record.timestamp += SignedDuration::from_millis(later);
            writer.write(record).await?;
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    })
    .await?;
    writer.close().await;
    let sql = "SELECT count(*) FROM signal_greeks WHERE \"timestamp\" >= $1";
    let stored: i64 = client.query_one(sql, &[&first]).await?.get(0);
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    if stored != acknowledged {
        return Err(format!("{acknowledged} records acknowledged and {stored} stored").into());
    }
    forget(client, first).await?;
    Ok(rate)
}

/// The contract's statement for one record, prepared, with the same values.
fn through_pgbench(
    bench: &Bench,
    options: &Options,
    keys: &[String],
    first: Timestamp,
) -> Result<f64> {
    let statement = STATEMENTS.iter().find(|(name, _)| *name == "save_greeks");
    let statement = statement.ok_or("the contract has no save_greeks")?.1.trim();
    let mut command = bench.program("pgbench");
    command.args(["--no-vacuum", "-M", "prepared", "-c", "10", "-j", "2"]);
    command.args(["-T", &options.seconds.to_string()]);
    for (at, key) in keys.iter().enumerate() {
        let one = record(key, first)?;
        let numbers = [
            one.delta,
            one.gamma,
            one.theta,
            one.vega,
            one.rho,
            one.implied_volatility,
            one.theoretical_value,
            one.underlying_price,
            one.strike_price,
            one.time_to_expiry,
        ];
        let mut sql = statement.to_owned();
        // From the last on, so that $1 is not found in $10.
        for (number, value) in numbers.iter().enumerate().rev() {
            sql = sql.replace(&format!("${}", number + 4), &format!(":n{number}"));
            let value = value.ok_or("a number is missing")?;
            command.arg("-D").arg(format!("n{number}={value}"));
        }
        sql = sql.replace("$3", ":first::timestamptz + :later * INTERVAL '1 ms'");
        sql = sql.replace("$2", &format!(":key{at}")).replace("$1", ":signal");
        let script = format!("\\set later random(0, {})\n{sql};\n", SPAN - 1);
        command.arg("-D").arg(format!("key{at}={key}"));
        command.arg("-f").arg(bench.file(&format!("single{at}.sql"), &script)?);
    }
    command.arg("-D").arg(format!("first={first}"));
    command.args(["-D", "signal=signal_20260117_000001"]);
    pgbench_rate(&mut command)
}

async fn forget(client: &Client, first: Timestamp) -> Result<()> {
    let sql = "SELECT drop_chunks('signal_greeks', newer_than => $1::timestamptz)";
    client.query(sql, &[&(first - SignedDuration::from_hours(48))]).await?;
    client.batch_execute("CHECKPOINT").await?;
    Ok(())
}
