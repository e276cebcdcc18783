//! A batch of Greeks by binary COPY in one transaction, into the contract's table
//! with its indexes, checks and triggers, in chunks that are new each time.

use std::process::Command;
use std::time::Instant;

use pg_session::tokio_postgres::types::{ToSql, Type};
use pg_session::{Pool, PoolOptions, TransactionOptions, connect};
use signal_store::Decimal;
use signal_store::jiff::Timestamp;

use crate::figures::{Figure, Target, against};
use crate::setup::{Bench, output};
use crate::{Options, Result};

const COLUMNS: &str = "signal_id, instrument_key, \"timestamp\", delta, gamma, theta, vega, rho, \
    implied_volatility, theoretical_value, underlying_price, strike_price, time_to_expiry";
const NUMBERS: usize = 10;
const CONNECTIONS: u32 = 10;
const TASKS: u32 = 50;

struct Greeks {
    signal: String,
    instrument: String,
    timestamp: Timestamp,
    numbers: [Option<Decimal>; NUMBERS],
}

/// The rows of the batch: those of the seed, a year later, where nothing is yet.
fn selection(rows: i64) -> String {
    let later = COLUMNS.replace("\"timestamp\"", "\"timestamp\" + INTERVAL '365 days'");
    format!("SELECT {later} FROM signal_greeks ORDER BY \"timestamp\" LIMIT {rows}")
}

pub(crate) async fn measure(
    bench: &Bench,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Vec<Figure>> {
    let client = connect(&bench.config()?).await?;
    let batch = read_batch(&client, options.batch).await?;
    let first = batch.first().ok_or("the seed has no Greeks")?;
    let pool = Pool::open(bench.config()?, PoolOptions::default()).await?;
    let file = bench.files.path().join("batch.bin");
    // Written by psql, which runs as we do.
    let write =
        format!("\\copy ({}) TO '{}' (FORMAT binary)", selection(options.batch), file.display());
    output(bench.program("psql").args(["-qX", "-c", &write]))?;
    let read =
        format!("\\copy signal_greeks ({COLUMNS}) FROM '{}' (FORMAT binary)", file.display());

    let mut rounds = [const { Vec::new() }; 3];
    for round in 1..=options.rounds {
        eprintln!("copy: round {round} of {}", options.rounds);
        let [own, psql, asyncpg] = &mut rounds;
        let begun = Instant::now();
        copy(&pool, &batch).await?;
        own.push(batch.len() as f64 / begun.elapsed().as_secs_f64());
        forget(&client, batch.len()).await?;

        let mut command = bench.program("psql");
        command.args(["-qX", "-v", "ON_ERROR_STOP=1", "-c", &read]);
        let begun = Instant::now();
        output(&mut command)?;
        psql.push(batch.len() as f64 / begun.elapsed().as_secs_f64());
        forget(&client, batch.len()).await?;

        match through_asyncpg(bench, options, first) {
            Ok(rate) => asyncpg.push(rate),
            Err(error) if round == 1 => {
                notes.push(format!("asyncpg's inserts were not measured: {error}"));
            }
            Err(error) => return Err(error),
        }
        client.batch_execute(DROP).await?;
    }
    let what = "rows of a batch by binary COPY, through a session";
    let [own, psql, asyncpg] = &rounds;
    let mut figures = vec![against(what, own, ("psql \\copy … binary", psql), Target::Ratio(0.8))];
    if !asyncpg.is_empty() {
        let peer = ("asyncpg, a commit for each row, 10 connections", asyncpg.as_slice());
        figures.push(against(what, own, peer, Target::Ratio(20.0)));
    }
    Ok(figures)
}

async fn read_batch(client: &pg_session::tokio_postgres::Client, rows: i64) -> Result<Vec<Greeks>> {
    let rows = client.query(&selection(rows), &[]).await?;
    rows.iter()
        .map(|row| {
            let mut numbers = [None; NUMBERS];
            for (at, number) in numbers.iter_mut().enumerate() {
                *number = row.try_get(3 + at)?;
            }
            Ok(Greeks {
                signal: row.try_get(0)?,
                instrument: row.try_get(1)?,
                timestamp: row.try_get(2)?,
                numbers,
            })
        })
        .collect()
}

async fn copy(pool: &Pool, batch: &[Greeks]) -> Result<()> {
    let mut types = vec![Type::VARCHAR, Type::VARCHAR, Type::TIMESTAMPTZ];
    types.resize(3 + NUMBERS, Type::NUMERIC);
    let mut session = pool.acquire().await?;
    let mut transaction = session.begin(&TransactionOptions::default()).await?;
    let sql = format!("COPY signal_greeks ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let mut copy = transaction.copy_in_binary(&sql, &types).await?;
    let mut values: Vec<&(dyn ToSql + Sync)> = Vec::with_capacity(3 + NUMBERS);
    for row in batch {
        values.clear();
        values.push(&row.signal);
        values.push(&row.instrument);
        values.push(&row.timestamp);
        values.extend(row.numbers.iter().map(|number| number as &(dyn ToSql + Sync)));
        copy.write(&values).await?;
    }
    copy.finish().await?;
    transaction.commit().await?;
    Ok(())
}

/// Chunks that lie after everything that the seed made.
const DROP: &str = "SELECT drop_chunks('signal_greeks', newer_than => now() + INTERVAL '100 days')";

/// Removes the batch after counting it.
async fn forget(client: &pg_session::tokio_postgres::Client, expected: usize) -> Result<()> {
    let sql =
        "SELECT count(*) FROM signal_greeks WHERE \"timestamp\" > now() + INTERVAL '100 days'";
    let found: i64 = client.query_one(sql, &[]).await?.get(0);
    if usize::try_from(found)? != expected {
        return Err(format!("the batch has {expected} rows and {found} are stored").into());
    }
    client.batch_execute(DROP).await?;
    client.batch_execute("CHECKPOINT").await?;
    Ok(())
}

fn through_asyncpg(bench: &Bench, options: &Options, row: &Greeks) -> Result<f64> {
    let script = bench.file("insert.py", include_str!("../peers/insert_greeks.py"))?;
    let mut command = Command::new(&options.python);
    command.arg(script).arg(&bench.url);
    command.args([options.seconds, CONNECTIONS, TASKS].map(|number| number.to_string()));
    command.args([&row.signal, &row.instrument]).arg(row.timestamp.to_string());
    command.args(row.numbers.map(|number| number.unwrap_or(Decimal::ONE).to_string()));
    Ok(output(&mut command)?.trim().parse()?)
}
