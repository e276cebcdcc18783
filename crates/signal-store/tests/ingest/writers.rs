//! Single records that share commits.

use std::sync::Arc;
use std::time::Duration;

use signal_store::ingest::{Writer, WriterOptions};
use signal_store::pg_session::{Class, MaybeDatabaseError, Outcome, RetryPolicy};
use signal_store::{Error, Greeks};

use crate::records::number;
use crate::relay::Relay;
use crate::{bench, database, forsaken, ingest, many};

/// Writes all records from so many tasks at once; gives the errors.
async fn write_all(writer: &Arc<Writer<Greeks>>, records: Vec<Greeks>, tasks: usize) -> Vec<Error> {
    let parts: Vec<Vec<Greeks>> =
        records.chunks(records.len().div_ceil(tasks)).map(<[Greeks]>::to_vec).collect();
    let mut running = Vec::new();
    for part in parts {
        let writer = Arc::clone(writer);
        running.push(tokio::spawn(async move {
            let mut errors = Vec::new();
            for record in part {
                errors.extend(writer.write(record).await.err());
            }
            errors
        }));
    }
    let mut errors = Vec::new();
    for task in running {
        errors.extend(task.await.unwrap());
    }
    errors
}

#[test]
fn many_tasks_share_commits_and_each_record_is_stored() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let writer = Arc::new(bench.ingest.writer(WriterOptions::default()));
        assert!(write_all(&writer, many(3_000), 50).await.is_empty());
        // Acknowledged means stored: nothing is left to be drained.
        assert_eq!(bench.count("signal_greeks").await, 3_000);
        let ids = bench.count("(SELECT DISTINCT signal_id FROM signal_greeks) AS one").await;
        assert_eq!(ids, 3_000);
        let commits = bench.count("signal_ingest_batch").await;
        assert!((1..1_500).contains(&commits), "{commits} commits");
        writer.close().await;
    });
}

#[test]
fn a_record_that_is_refused_keeps_nobody_back() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let picky = "ALTER TABLE signal_greeks ADD CONSTRAINT picky CHECK (delta <> 0.123456)";
        bench.observer.batch_execute(picky).await.unwrap();
        let mut records = many(600);
        records[17].delta = Some(number("7"));
        for at in [100, 101, 599] {
            records[at].delta = Some(number("0.123456"));
        }
        let writer = Arc::new(bench.ingest.writer(WriterOptions::default()));
        let errors = write_all(&writer, records, 40).await;
        let (invalid, refused): (Vec<&Error>, Vec<&Error>) =
            errors.iter().partition(|error| matches!(error, Error::Invalid(_)));
        assert_eq!((invalid.len(), refused.len()), (1, 3), "{errors:?}");
        for error in refused {
            assert_eq!((error.class(), error.outcome()), (Class::Constraint, Outcome::NotApplied));
            let server = error.database_error().and_then(|error| error.server()).unwrap();
            assert_eq!(server.constraint(), Some("picky"));
        }
        assert_eq!(bench.count("signal_greeks").await, 596);
    });
}

#[test]
fn a_lost_answer_doubles_and_loses_nothing() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let relay = Relay::to(bench.database.url()).await;
        let (_pool, ingest) = ingest(relay.url()).await;
        let writer = Arc::new(ingest.writer(WriterOptions::default()));
        for cut in ["signal_20260117_000100", "signal_20260117_000300", "signal_20260117_000350"] {
            if cut.ends_with("50") {
                relay.cut_before(cut);
            } else {
                relay.cut_after(cut);
            }
            let before = relay.accepted();
            assert!(write_all(&writer, many(400), 30).await.is_empty());
            assert!(relay.accepted() > before, "nothing was cut");
        }
        assert_eq!(bench.count("signal_greeks").await, 3 * 400);
        let doubled =
            "(SELECT signal_id FROM signal_greeks GROUP BY signal_id HAVING count(*) <> 3) AS one";
        assert_eq!(bench.count(doubled).await, 0);
        writer.close().await;
    });
}

#[test]
fn a_record_whose_answer_is_lost_for_good_may_be_stored() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let few = forsaken(&bench, "signal_20260117_000000").await;
        let writer = few.writer(WriterOptions::default());
        let lost = writer.write(many(1).remove(0)).await.unwrap_err();
        assert_eq!(lost.outcome(), Outcome::Unknown, "{lost}");
        assert_eq!(bench.count("signal_greeks").await, 1);
        writer.close().await;
    });
}

#[test]
fn a_full_writer_makes_its_callers_wait_and_closing_stores_what_was_taken() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let options = WriterOptions { commits: 1, records: 2, waiting: 3 };
        let writer = Arc::new(bench.ingest.writer(options));
        bench
            .observer
            .batch_execute("BEGIN; LOCK TABLE signal_greeks IN EXCLUSIVE MODE")
            .await
            .unwrap();
        let mut tasks = Vec::new();
        for record in many(12) {
            let writer = Arc::clone(&writer);
            tasks.push(tokio::spawn(async move { writer.write(record).await }));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(tasks.iter().all(|task| !task.is_finished()), "acknowledged before the commit");
        // Two are being written and three wait; who comes now does not even get a place.
        let late = writer.write(many(1).remove(0));
        assert!(tokio::time::timeout(Duration::from_millis(100), late).await.is_err());
        let closing = {
            let writer = Arc::clone(&writer);
            tokio::spawn(async move { writer.close().await })
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        let closed = writer.write(many(1).remove(0)).await.unwrap_err();
        assert!(matches!(closed, Error::WriterClosed { outcome: Outcome::NotApplied }), "{closed}");
        assert_eq!((closed.class(), closed.outcome()), (Class::Bug, Outcome::NotApplied));
        bench.observer.batch_execute("COMMIT").await.unwrap();
        closing.await.unwrap();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(bench.count("signal_greeks").await, 12);
        writer.close().await;
    });
}

#[test]
fn everyone_of_a_group_that_fails_is_told() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let ingest =
            bench.ingest.clone().retry(RetryPolicy { attempts: 1, ..RetryPolicy::default() });
        bench.observer.batch_execute("DROP TABLE signal_ingest_batch").await.unwrap();
        let writer = Arc::new(ingest.writer(WriterOptions::default()));
        let errors = write_all(&writer, many(20), 20).await;
        assert_eq!(errors.len(), 20);
        assert!(errors.iter().all(|error| error.class() == Class::Drift), "{errors:?}");
        // A writer that is dropped ends with its last record.
        drop(writer);
    });
}
