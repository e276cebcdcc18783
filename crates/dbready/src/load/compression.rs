//! What compression saves: the contract's hypertables, copied and compressed as it states.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::bench::{Bench, Writes};
use super::found::{Found, figure_named};
use super::scratch::Scratch;
use super::summary::{ROUNDS, not_measured};
use crate::Error;
use crate::contract::{Compression, Table};
use crate::evidence::{Outcome, Statements};
use crate::sql::quote_literal;
use crate::statistics::bootstrap;

/// The claim about the space that compression saves.
pub const FIGURE: &str = "timescaledb.compression";

/// Chunks that are copied of each table at most.
const CHUNKS: usize = 5;

/// Chunks of all tables below which the figure says little about others.
const LEAST_CHUNKS: u64 = 4;

const METHOD: &str = "chunks of the hypertables with a compression policy, copied and each \
                      compressed with the contract's settings; bytes of table, indexes and \
                      TOAST afterwards against before";

/// Compresses the chunks of the table `$1`.
const COMPRESS: (&str, &str) = (
    "compress_chunk of each chunk",
    "SELECT compress_chunk(chunk) FROM show_chunks($1::text::regclass) AS chunk",
);

/// The bytes of its compressed chunks.
const SIZES: (&str, &str) = (
    "bytes of chunks before and after compression",
    "SELECT before_compression_total_bytes::float8, after_compression_total_bytes::float8 \
     FROM chunk_compression_stats($1::text::regclass) WHERE compression_status = 'Compressed'",
);

/// One chunk: its table, and its bytes before and after.
struct Chunk {
    table: String,
    before: f64,
    after: f64,
}

/// Copies each hypertable that has a compression policy into a schema of the run's own, compresses
/// the copy, and compares the bytes.
///
/// # Errors
///
/// [`Error::Database`] when the server cannot be reached, or has no compression.
pub async fn measure(bench: &Bench<'_>) -> Result<Found, Error> {
    let mut found = Found::default();
    if figure_named(bench.contract, FIGURE).is_none() {
        return Ok(found);
    }
    if bench.writes == Writes::No {
        let reason = "it copies tables; --allow-writes permits that in a schema of its own";
        found.unmeasured(bench.contract, [FIGURE], reason);
        return Ok(found);
    }
    let client = pg_session::connect(&bench.config).await?;
    let work = async |scratch: &Scratch| compress_all(bench, &client, scratch).await;
    let (chunks, settings) = Scratch::within(&client, &bench.config, work).await?;
    found.record(bench.contract, FIGURE, METHOD, saved(&chunks, bench.seed));
    found.sent(FIGURE, settings.iter().map(|(name, sql)| (name.as_str(), sql.as_str())));
    found.sent(FIGURE, [COMPRESS, SIZES]);
    Ok(found)
}

/// Every chunk, and the statements that set how its table is compressed.
async fn compress_all(
    bench: &Bench<'_>,
    client: &Client,
    scratch: &Scratch,
) -> Result<(Vec<Chunk>, Statements), Error> {
    let (mut chunks, mut settings) = (Vec::new(), Statements::new());
    for table in &bench.contract.model.tables {
        let Some((compression, hypertable)) =
            table.compression.as_ref().zip(table.hypertable.as_ref())
        else {
            continue;
        };
        if bench.stopped() {
            break;
        }
        bench.say(&format!("compressing a copy of {}", table.name));
        let copy = scratch.copy(client, table, hypertable, CHUNKS).await?;
        let set = settings_of(compression, &copy);
        chunks.extend(compress(client, table, &set, &copy).await?);
        settings.insert(format!("compression settings of a copy of {}", table.name), set);
    }
    Ok((chunks, settings))
}

/// The statement that sets how a copy is compressed.
fn settings_of(compression: &Compression, copy: &str) -> String {
    let mut options = format!(
        "timescaledb.compress, timescaledb.compress_segmentby = {}",
        quote_literal(&compression.segment_by.join(", "))
    );
    if !compression.order_by.is_empty() {
        let order = quote_literal(&compression.order_by.join(", "));
        options.extend([", timescaledb.compress_orderby = ", &order]);
    }
    format!("ALTER TABLE {copy} SET ({options})")
}

async fn compress(
    client: &Client,
    table: &Table,
    settings: &str,
    copy: &str,
) -> Result<Vec<Chunk>, Error> {
    client.batch_execute(settings).await?;
    client.execute(COMPRESS.1, &[&copy]).await?;
    let mut chunks = Vec::new();
    for row in client.query(SIZES.1, &[&copy]).await? {
        let table = table.name.clone();
        chunks.push(Chunk { table, before: row.try_get(0)?, after: row.try_get(1)? });
    }
    Ok(chunks)
}

/// The share of the bytes that is saved, in percent.
fn saved(chunks: &[Chunk], seed: u64) -> Outcome {
    let share = |sizes: &[(f64, f64)]| {
        let (before, after) =
            sizes.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        100.0 * (1.0 - after / before)
    };
    let mut by_table: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for chunk in chunks {
        by_table.entry(&chunk.table).or_default().push((chunk.before, chunk.after));
    }
    // All tables are always there; what varies is which of their chunks are looked at.
    let most = by_table.values().map(Vec::len).max().unwrap_or(0);
    let units: Vec<Vec<(f64, f64)>> = (0..most)
        .map(|nth| by_table.values().filter_map(|sizes| sizes.get(nth).copied()).collect())
        .collect();
    let of_units = |units: &[Vec<(f64, f64)>]| share(&units.concat());
    let Some((low, _)) = bootstrap(&units, ROUNDS, seed, of_units) else {
        return not_measured("there are no rows to compress");
    };
    let value = of_units(&units);
    Outcome::Measured {
        n: chunks.len() as u64,
        n_needed: LEAST_CHUNKS,
        value,
        bound: low.min(value),
        unit: "%".to_owned(),
        statistics: by_table
            .into_iter()
            .map(|(table, sizes)| (format!("{table} %"), share(&sizes)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_all_bytes() {
        let chunk =
            |table: &str, before: f64, after: f64| Chunk { table: table.to_owned(), before, after };
        let chunks = [chunk("small", 100.0, 90.0), chunk("large", 900.0, 10.0)];
        let Outcome::Measured { n, value, bound, statistics, .. } = saved(&chunks, 1) else {
            panic!("expected a figure")
        };
        assert_eq!(n, 2);
        assert!((value - 90.0).abs() < 1e-9 && bound <= value, "{value} {bound}");
        let small = statistics.iter().find(|(name, _)| name == "small %").unwrap().1;
        assert!((small - 10.0).abs() < 1e-9, "{statistics:?}");
        assert!(matches!(saved(&[], 1), Outcome::NotMeasured { .. }));
    }
}
