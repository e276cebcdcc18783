//! What triggers of a server's own do to batches and their ledger.

use signal_store::ingest::BatchId;

use crate::{bench, database, many};

/// A claim that is refused by no batch: the ledger is not what it was.
#[test]
fn a_batch_that_is_neither_free_nor_known_is_an_error() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let trigger = "CREATE FUNCTION drop_claims() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER drop_claims BEFORE INSERT ON signal_ingest_batch \
             FOR EACH ROW EXECUTE FUNCTION drop_claims()";
        bench.observer.batch_execute(trigger).await.unwrap();
        let (id, records) = (BatchId::new(), many(3));
        let error = bench.ingest.batch(id, &records).await.unwrap_err();
        assert!(error.to_string().contains("neither free nor known — send it again"), "{error}");
        assert_eq!(bench.count("signal_greeks").await, 0);
        let mend = "DROP TRIGGER drop_claims ON signal_ingest_batch";
        bench.observer.batch_execute(mend).await.unwrap();
        let report = bench.ingest.batch(id, &records).await.unwrap();
        assert_eq!((report.stored(), report.replayed), (3, false));
    });
}

/// The connection ends while the records are stored in parts, one of them refused.
#[test]
fn the_connection_ends_while_refused_records_are_searched() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        // The first search ends with its connection.
        let trigger = "CREATE SEQUENCE calls; \
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF current_query() NOT LIKE 'COPY%' AND nextval('calls') = 1 THEN \
             PERFORM pg_terminate_backend(pg_backend_pid()); END IF; \
             IF NEW.signal_id = 'signal_20260117_000001' THEN \
             RAISE 'not this one' USING ERRCODE = '23514'; END IF; \
             RETURN NEW; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON signal_greeks \
             FOR EACH ROW EXECUTE FUNCTION refuse()";
        bench.observer.batch_execute(trigger).await.unwrap();
        let report = bench.ingest.batch(BatchId::new(), &many(4)).await.unwrap();
        assert_eq!((report.stored(), report.replayed), (3, false), "{report:?}");
        assert_eq!(bench.count("signal_greeks").await, 3);
        let calls: i64 =
            bench.observer.query_one("SELECT last_value FROM calls", &[]).await.unwrap().get(0);
        assert!(calls > 1, "the connection was not ended");
    });
}
