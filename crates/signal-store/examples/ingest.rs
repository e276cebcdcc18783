//! Stores a batch twice and single records from many tasks, each once.
//!
//! ```sh
//! cargo run -p signal-store --example ingest -- "$(dbready local start)"
//! ```
//!
//! The database must have the schema: `dbready migrate up --url URL`.

use std::error::Error;
use std::sync::Arc;

use signal_store::ingest::{BatchId, Ingest, WriterOptions};
use signal_store::jiff::SignedDuration;
use signal_store::pg_session::{Config, Pool, PoolOptions};
use signal_store::{Decimal, Greeks, now};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let config = Config::resolve(url.as_deref())?.default_application_name("signal_service");
    let pool = Pool::open(config, PoolOptions::default()).await?;
    let ingest = Ingest::new(pool.clone());

    // Keep the id beside the batch: with it, sending the batch again is harmless.
    let id = BatchId::new();
    let mut batch = (0..1_000).map(record).collect::<Result<Vec<_>, _>>()?;
    batch[7].delta = Some(Decimal::from(9));
    for attempt in ["first", "again"] {
        let report = ingest.batch(id, &batch).await?;
        println!("{attempt}: {} stored, replayed: {}", report.stored(), report.replayed);
    }

    // Many tasks, few commits. Each call returns after the commit of its record.
    let writer = Arc::new(ingest.writer::<Greeks>(WriterOptions::default()));
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let writer = Arc::clone(&writer);
            tokio::spawn(async move {
                let record = record(n).map_err(|error| error.to_string())?;
                writer.write(record).await.map_err(|error| error.to_string())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    writer.close().await;
    println!("100 single records stored");

    // Batches that nobody will send again.
    let week = std::time::Duration::from_hours(7 * 24);
    println!("{} batches forgotten", ingest.prune_batches(week).await?);
    pool.close();
    Ok(())
}

fn record(n: i64) -> Result<Greeks, signal_store::Error> {
    let instrument = "NSE@RELIANCE@EQ".parse()?;
    let mut record = Greeks::new("signal_20260117_000001".parse()?, instrument, now());
    record.timestamp = now() - SignedDuration::from_secs(n);
    record.delta = Some(Decimal::new(512_345, 6));
    Ok(record)
}
