//! Writers, refreshes and readers at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use signal_store::pg_session::tokio_postgres::Client;

use crate::database::{Question, connect, count, database, refresh, run};

const WRITERS: u32 = 5;
const TRANSACTIONS: u32 = 60;

/// Numbers that a seed determines.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Transactions of several statements each, that touch the same few buckets in any order.
async fn write(client: Client, seed: u64) {
    let mut random = Random(seed);
    for _ in 0..TRANSACTIONS {
        let mut sql = "BEGIN".to_owned();
        for _ in 0..=random.below(3) {
            let (stock, minute) = (random.below(2), random.below(60));
            let at = format!("'2026-01-05 23:30+00'::timestamptz + {minute} * INTERVAL '1 minute'");
            let statement = match random.below(4) {
                0 | 1 => format!(
                    "; INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\", delta, vega) \
                     SELECT 'signal_20260105_000001', 'NSE@STOCK{stock}@EQ', {at} + n * INTERVAL '20 seconds', \
                     0.001 * n, NULL FROM generate_series(1, 8) AS n"
                ),
                // Each writer changes rows of its own, so that only the rollups could be in the way.
                2 => format!(
                    "; UPDATE signal_greeks SET delta = delta + 0.1 WHERE id % {WRITERS} = {} \
                     AND delta < 4 AND \"timestamp\" > {at}",
                    seed % u64::from(WRITERS)
                ),
                _ => format!(
                    "; DELETE FROM signal_greeks WHERE id % {} = {} AND \"timestamp\" > {at}",
                    3 * WRITERS,
                    seed % u64::from(WRITERS)
                ),
            };
            sql.push_str(&statement);
        }
        sql.push_str(if random.below(5) == 0 { "; ROLLBACK" } else { "; COMMIT" });
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

#[test]
fn no_order_of_writers_and_refreshes_gives_another_answer() {
    let database = database();
    let url = database.url();
    run(async {
        let done = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(AtomicU32::new(0));
        let mut others = Vec::new();
        for at_most in [3, 1_000_000] {
            let (client, done) = (connect(url).await, Arc::clone(&done));
            others.push(tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    refresh(&client, at_most).await;
                }
            }));
        }
        for stock in [0, 1] {
            let (client, done) = (connect(url).await, Arc::clone(&done));
            let answers = Arc::clone(&answers);
            others.push(tokio::spawn(async move {
                let instrument = format!("NSE@STOCK{stock}@EQ");
                let questions = [
                    Question::new("15 minutes", &instrument, "-infinity", "infinity"),
                    Question::new(
                        "5 minutes",
                        &instrument,
                        "2026-01-05 23:42:10+00",
                        "2026-01-06 00:13:01+00",
                    ),
                ];
                while !done.load(Ordering::Relaxed) {
                    // Both queries see one state of the database.
                    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                    client.batch_execute(begin).await.unwrap();
                    for question in &questions {
                        question.agree(&client).await;
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                    client.batch_execute("COMMIT").await.unwrap();
                }
            }));
        }
        let mut writers = Vec::new();
        for seed in 0..WRITERS {
            writers.push(tokio::spawn(write(connect(url).await, seed.into())));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for other in others {
            other.await.unwrap();
        }
        assert!(answers.load(Ordering::Relaxed) > 20, "the readers came too late");
        let client = connect(url).await;
        refresh(&client, i32::MAX).await;
        assert_eq!(count(&client, "signal_greeks_rollup_stale").await, 0);
        assert!(count(&client, "signal_greeks_rollup").await > 0);
        Question::new("5 minutes", "NSE@STOCK1@EQ", "-infinity", "infinity").agree(&client).await;
    });
}

#[test]
fn a_row_that_is_not_yet_committed_keeps_its_bucket_stale() {
    let database = database();
    run(async {
        let (writer, other) = (connect(database.url()).await, connect(database.url()).await);
        let insert = "INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\", delta) \
            VALUES ('signal_20260105_000001', 'NSE@STOCK1@EQ', '2026-01-05 10:02+00', 0.5)";
        let question = Question::new("5 minutes", "NSE@STOCK1@EQ", "-infinity", "infinity");
        other.batch_execute(insert).await.unwrap();
        writer.batch_execute(&format!("BEGIN; {insert}")).await.unwrap();
        assert_eq!(refresh(&other, 10).await, 1);
        assert_eq!(count(&other, "signal_greeks_rollup_stale").await, 0);
        assert!(question.agree(&other).await[0].ends_with(",1)"));
        writer.batch_execute("COMMIT").await.unwrap();
        assert!(question.agree(&other).await[0].ends_with(",2)"));
        assert_eq!(refresh(&other, 10).await, 1);
        assert!(question.agree(&other).await[0].ends_with(",2)"));
    });
}
