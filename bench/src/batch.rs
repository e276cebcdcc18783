//! A batch of Greeks, stored once: into the contract's table with its indexes, checks
//! and triggers, in chunks that are new each time.

use std::process::Command;
use std::time::Instant;

use pg_session::connect;
use pg_session::tokio_postgres::Client;
use signal_store::ingest::BatchId;
use signal_store::{Decimal, Greeks, Store, StoreOptions};

use crate::figures::{Figure, Target, against};
use crate::setup::{Bench, output};
use crate::{Options, Result};

/// The columns that a writer gives.
pub(crate) const COLUMNS: &str = "signal_id, instrument_key, \"timestamp\", delta, gamma, theta, \
    vega, rho, implied_volatility, theoretical_value, underlying_price, strike_price, time_to_expiry";
const CONNECTIONS: u32 = 10;
const TASKS: u32 = 50;

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
    let ingest = Store::connect(bench.config()?, StoreOptions::default()).await?.ingest();
    let file = bench.files.path().join("batch.bin");
    // Written by psql, which runs as we do.
    let write =
        format!("\\copy ({}) TO '{}' (FORMAT binary)", selection(options.batch), file.display());
    output(bench.program("psql").args(["-qX", "-c", &write]))?;
    let read =
        format!("\\copy signal_greeks ({COLUMNS}) FROM '{}' (FORMAT binary)", file.display());

    let mut rounds = [const { Vec::new() }; 3];
    for round in 1..=options.rounds {
        eprintln!("batch: round {round} of {}", options.rounds);
        let [own, psql, asyncpg] = &mut rounds;
        let id = BatchId::new();
        let begun = Instant::now();
        let report = ingest.batch(id, &batch).await?;
        own.push(batch.len() as f64 / begun.elapsed().as_secs_f64());
        if report.stored() != batch.len() || report.replayed {
            return Err(format!("{} of {} records stored", report.stored(), batch.len()).into());
        }
        if !ingest.batch(id, &batch).await?.replayed {
            return Err("a batch that was sent again was stored again".into());
        }
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
        client.batch_execute("CHECKPOINT").await?;
    }
    let what = "Greeks of a batch, stored once";
    let [own, psql, asyncpg] = &rounds;
    let mut figures = vec![against(what, own, ("psql \\copy … binary", psql), Target::Ratio(0.8))];
    if !asyncpg.is_empty() {
        let peer = ("asyncpg, a commit for each row, 10 connections", asyncpg.as_slice());
        figures.push(against(what, own, peer, Target::Ratio(20.0)));
    }
    Ok(figures)
}

async fn read_batch(client: &Client, rows: i64) -> Result<Vec<Greeks>> {
    let rows = client.query(&selection(rows), &[]).await?;
    rows.iter()
        .map(|row| {
            let (signal, instrument): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            let mut greeks = Greeks::new(signal.parse()?, instrument.parse()?, row.try_get(2)?);
            greeks.delta = row.try_get(3)?;
            greeks.gamma = row.try_get(4)?;
            greeks.theta = row.try_get(5)?;
            greeks.vega = row.try_get(6)?;
            greeks.rho = row.try_get(7)?;
            greeks.implied_volatility = row.try_get(8)?;
            greeks.theoretical_value = row.try_get(9)?;
            greeks.underlying_price = row.try_get(10)?;
            greeks.strike_price = row.try_get(11)?;
            greeks.time_to_expiry = row.try_get(12)?;
            Ok(greeks)
        })
        .collect()
}

/// Chunks that lie after everything that the seed made.
const DROP: &str = "SELECT drop_chunks('signal_greeks', newer_than => now() + INTERVAL '100 days')";

/// Removes the batch after counting it.
async fn forget(client: &Client, expected: usize) -> Result<()> {
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
    let numbers = [
        row.delta,
        row.gamma,
        row.theta,
        row.vega,
        row.rho,
        row.implied_volatility,
        row.theoretical_value,
        row.underlying_price,
        row.strike_price,
        row.time_to_expiry,
    ];
    let mut command = Command::new(&options.python);
    command.arg(script).arg(&bench.url);
    command.args([options.seconds, CONNECTIONS, TASKS].map(|number| number.to_string()));
    command.args([row.signal_id.as_str(), row.instrument_key.as_str()]);
    command.arg(row.timestamp.to_string());
    command.args(numbers.map(|number| number.unwrap_or(Decimal::ONE).to_string()));
    Ok(output(&mut command)?.trim().parse()?)
}
