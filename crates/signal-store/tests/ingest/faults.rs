//! Connections that end at the worst moments: each batch is stored once all the same.

use std::time::Duration;

use signal_store::ingest::BatchId;
use signal_store::pg_session::Outcome;

use crate::relay::Relay;
use crate::{bench, database, forsaken, ingest, many};

/// The whole message: BEGIN says `READ COMMITTED`.
const COMMIT: &str = "COMMIT\0";

/// Sends a batch through a relay that cuts the connection once. Counts rows and
/// batches, and says whether the batch was found stored.
fn cut_once(prepare: impl FnOnce(&Relay)) -> (i64, i64, bool) {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let relay = Relay::to(bench.database.url()).await;
        let (_pool, ingest) = ingest(relay.url()).await;
        prepare(&relay);
        let (id, records) = (BatchId::new(), many(4_000));
        let report = ingest.batch(id, &records).await.unwrap();
        assert_eq!(report.stored(), 4_000);
        assert!(relay.accepted() > 1, "nothing was cut");
        let (rows, batches) = ("signal_greeks", "signal_ingest_batch");
        (bench.count(rows).await, bench.count(batches).await, report.replayed)
    })
}

#[test]
fn the_answer_to_the_commit_is_lost() {
    assert_eq!(cut_once(|relay| relay.cut_after(COMMIT)), (4_000, 1, true));
}

#[test]
fn the_commit_does_not_arrive() {
    assert_eq!(cut_once(|relay| relay.cut_before(COMMIT)), (4_000, 1, false));
}

#[test]
fn the_connection_ends_amid_the_rows() {
    assert_eq!(cut_once(|relay| relay.cut_before("signal_20260117_002000")), (4_000, 1, false));
}

#[test]
fn the_connection_ends_after_the_rows() {
    assert_eq!(cut_once(|relay| relay.cut_after("SET rows")), (4_000, 1, false));
}

#[test]
fn the_backend_is_terminated_amid_the_copy() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let killer = database::connect(bench.database.url()).await;
        let killing = tokio::spawn(async move {
            let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE application_name = 'ingest' AND query LIKE 'COPY%' AND state = 'active' \
                AND datname = current_database()";
            for _ in 0..3_000 {
                let row = killer.query_one(kill, &[]).await.unwrap();
                if row.get::<_, i64>(0) > 0 {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            false
        });
        let records = many(60_000);
        let report = bench.ingest.batch(BatchId::new(), &records).await.unwrap();
        assert!(killing.await.unwrap(), "the backend was never amid its COPY");
        assert_eq!((report.stored(), report.replayed), (60_000, false));
        assert_eq!(bench.count("signal_greeks").await, 60_000);
        assert_eq!(bench.count("signal_ingest_batch").await, 1);
    });
}

#[test]
fn a_server_that_stays_away_is_an_error_and_the_batch_can_be_sent_later() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let few = forsaken(&bench, COMMIT).await;
        let (id, records) = (BatchId::new(), many(10));
        let lost = few.batch(id, &records).await.unwrap_err();
        // It was applied, and only the answer was lost. That later attempts found no
        // server does not make it undone.
        assert_eq!(lost.outcome(), Outcome::Unknown, "{lost}");
        let report = bench.ingest.batch(id, &records).await.unwrap();
        assert!(report.replayed, "{lost}");
        assert_eq!(bench.count("signal_greeks").await, 10);
    });
}
