//! A session from a pool that nobody else uses.

use std::time::{Duration, Instant};

use pg_session::{Pool, PoolOptions};

use crate::Result;
use crate::figures::{Figure, Target};
use crate::setup::Bench;

const CALLS: usize = 100_000;
const LIMIT: Duration = Duration::from_micros(200);

pub(crate) async fn measure(bench: &Bench) -> Result<Figure> {
    eprintln!("acquire: {CALLS} times");
    let pool = Pool::open(bench.config()?, PoolOptions::default()).await?;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        let mut session = pool.acquire().await?;
        times.push(begun.elapsed());
        // Now and then with a statement in between, as in real use.
        if times.len().is_multiple_of(100) {
            session.fetch_value::<i32>("SELECT 1", &[]).await?;
        }
    }
    times.sort_unstable();
    let at = |per_mille: usize| times[(CALLS * per_mille).div_ceil(1000) - 1];
    let p99 = at(990);
    Ok(Figure {
        what: "uncontended acquire",
        ours: format!(
            "p50 {:?}, p99 {p99:?}, p99.9 {:?}, max {:?} (n = {CALLS})",
            at(500),
            at(999),
            at(1000)
        ),
        beside: "–".to_owned(),
        ratio: None,
        target: Target::Limit("p99 < 200 µs", p99 < LIMIT),
    })
}
