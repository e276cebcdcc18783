//! Batches: stored once, whole but for what is refused.

use std::collections::BTreeSet;
use std::time::Duration;

use signal_store::ingest::{BatchId, Ingest, IngestRecord, Verdict, WriterOptions};
use signal_store::pg_session::{Class, MaybeDatabaseError, Outcome};
use signal_store::{Error, Found, MoneynessLevel};

use crate::failing::{CONFLICT, fail};
use crate::records::{ago, greeks, indicator, moneyness, number};
use crate::{Bench, bench, database, many};

/// A server that takes everything but one delta.
const PICKY: &str = "ALTER TABLE signal_greeks ADD CONSTRAINT picky CHECK (delta <> 0.123456)";

#[test]
fn a_batch_that_is_sent_again_changes_nothing() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let (id, records) = (BatchId::new(), many(2_500));
        let first = bench.ingest.batch(id, &records).await.unwrap();
        assert_eq!((first.stored(), first.replayed), (2_500, false));
        let second = bench.ingest.batch(id, &records).await.unwrap();
        assert_eq!((second.stored(), second.replayed), (2_500, true));
        assert_eq!(bench.count("signal_greeks").await, 2_500);
        let ledger = "SELECT table_name || ' ' || rows || ' ' || cardinality(refused) FROM signal_ingest_batch";
        assert_eq!(database::texts(&bench.observer, ledger).await, ["signal_greeks 2500 0"]);
        // Under another id it is another batch.
        let other = bench.ingest.batch(BatchId::new(), &records).await.unwrap();
        assert!(!other.replayed);
        assert_eq!(bench.count("signal_greeks").await, 5_000);
    });
}

#[test]
fn the_same_batch_from_many_places_is_stored_once() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let (id, records) = (BatchId::new(), many(3_000));
        let mut tasks = Vec::new();
        for _ in 0..6 {
            let (ingest, records) = (bench.ingest.clone(), records.clone());
            tasks.push(tokio::spawn(async move { ingest.batch(id, &records).await.unwrap() }));
        }
        let mut fresh = 0;
        for task in tasks {
            let report = task.await.unwrap();
            assert_eq!(report.stored(), 3_000);
            fresh += u32::from(!report.replayed);
        }
        assert_eq!(fresh, 1);
        assert_eq!(bench.count("signal_greeks").await, 3_000);
    });
}

#[test]
fn a_bad_record_gets_its_own_verdict_and_the_others_are_stored() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        bench.observer.batch_execute(PICKY).await.unwrap();
        let (id, mut records) = (BatchId::new(), many(2_500));
        records[3].delta = Some(number("9"));
        for at in [0, 1_700, 1_701, 2_499] {
            records[at].delta = Some(number("0.123456"));
        }
        let report = bench.ingest.batch(id, &records).await.unwrap();
        assert_eq!(report.stored(), 2_495);
        assert!(
            matches!(report.verdicts[3], Verdict::Invalid(violation)
                if violation.field == "delta" && violation.found == Found::AboveRange),
            "{:?}",
            report.verdicts[3]
        );
        for at in [0, 1_700, 1_701, 2_499] {
            let Verdict::Refused(words) = &report.verdicts[at] else { panic!("{at}") };
            assert!(words.contains("picky"), "{words}");
        }
        assert_eq!(bench.count("signal_greeks").await, 2_495);
        // Sent again, also when the server would take it by now, it gets the same answer.
        bench
            .observer
            .batch_execute("ALTER TABLE signal_greeks DROP CONSTRAINT picky")
            .await
            .unwrap();
        let again = bench.ingest.batch(id, &records).await.unwrap();
        assert!(again.replayed);
        let kinds = |verdicts: &[Verdict]| -> Vec<_> {
            verdicts.iter().map(std::mem::discriminant).collect()
        };
        assert_eq!(kinds(&again.verdicts), kinds(&report.verdicts));
        assert_eq!(bench.count("signal_greeks").await, 2_495);
    });
}

#[test]
fn an_id_belongs_to_its_records() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let (id, mut records) = (BatchId::new(), many(10));
        assert_eq!(bench.ingest.batch(id, &records).await.unwrap().stored(), 10);
        records[7].rho = Some(number("0.000001"));
        let reused = bench.ingest.batch(id, &records).await.unwrap_err();
        assert!(matches!(&reused, Error::BatchReused { id: found } if *found == id), "{reused}");
        assert_eq!((reused.class(), reused.outcome()), (Class::Data, Outcome::NotApplied));
        assert!(reused.to_string().contains(&id.to_string()), "{reused}");
        let other = [indicator("NSE@STOCK1@EQ", "RSI", ago(5))];
        let reused = bench.ingest.batch(id, &other).await.unwrap_err();
        assert!(matches!(reused, Error::BatchReused { .. }), "{reused}");
        assert_eq!(bench.count("signal_greeks").await, 10);
        assert_eq!(bench.count("signal_indicators").await, 0);
    });
}

/// Stores records by COPY and, each alone, by the writer's statement: the rows are the same.
async fn both_ways<R: IngestRecord + Clone>(bench: &Bench, table: &str, records: &[R]) {
    let report = bench.ingest.batch(BatchId::new(), records).await.unwrap();
    assert_eq!(report.stored(), records.len());
    let writer = bench.ingest.writer::<R>(WriterOptions::default());
    for record in records {
        writer.write(record.clone()).await.unwrap();
    }
    writer.close().await;
    let columns = format!(
        "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns \
         WHERE table_name = '{table}' AND column_name NOT IN ('id', 'created_at')"
    );
    let columns = database::texts(&bench.observer, &columns).await.concat();
    let rows = format!("SELECT ROW({columns})::text || count(*) FROM {table} GROUP BY {columns}");
    let rows = database::texts(&bench.observer, &rows).await;
    assert_eq!(rows.len(), records.len(), "{rows:#?}");
    assert!(rows.iter().all(|row| row.ends_with(")2")), "{rows:#?}");
}

#[test]
fn every_kind_of_record_is_stored_the_same_both_ways() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let bare = {
            let full = greeks("NFO@NIFTY@CE@24000", ago(3));
            signal_store::Greeks::new(full.signal_id, full.instrument_key, full.timestamp)
        };
        both_ways(&bench, "signal_greeks", &[greeks("NSE@M&M@EQ", ago(4)), bare]).await;
        let empty = {
            let mut empty = indicator("NSE@RELIANCE@EQ", "MACD", ago(2));
            empty.values.clear();
            empty
        };
        both_ways(
            &bench,
            "signal_indicators",
            &[indicator("NSE@RELIANCE@EQ", "RSI", ago(2)), empty],
        )
        .await;
        let bare = {
            let full = moneyness("NIFTY", MoneynessLevel::DeepOtm, ago(1));
            let (symbol, level) = (full.underlying_symbol, full.moneyness_level);
            signal_store::MoneynessGreeks::new(symbol, level, full.timestamp, full.spot_price)
        };
        both_ways(
            &bench,
            "signal_moneyness_greeks",
            &[moneyness("NIFTY", MoneynessLevel::Atm, ago(1)), bare],
        )
        .await;
    });
}

#[test]
fn empty_batches_are_batches_and_long_ones_are_refused() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let id = BatchId::new();
        for replayed in [false, true] {
            let report = bench.ingest.batch::<signal_store::Greeks>(id, &[]).await.unwrap();
            assert_eq!((report.verdicts.len(), report.replayed), (0, replayed));
        }
        let record = greeks("NSE@RELIANCE@EQ", ago(1));
        let long = vec![record; Ingest::MOST_RECORDS + 1];
        let error = bench.ingest.batch(BatchId::new(), &long).await.unwrap_err();
        assert!(matches!(error, Error::TooMany { limit: 200_000, .. }), "{error}");
        assert_eq!(bench.count("signal_ingest_batch").await, 1);
    });
}

#[test]
fn old_batches_are_forgotten() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let (old, young) = (BatchId::new(), BatchId::new());
        for id in [old, young] {
            assert_eq!(bench.ingest.batch(id, &many(1)).await.unwrap().stored(), 1);
        }
        let age =
            "UPDATE signal_ingest_batch SET committed_at = now() - INTERVAL '8 days' WHERE id = $1";
        bench.observer.execute(age, &[&old]).await.unwrap();
        let week = Duration::from_hours(7 * 24);
        // The first two attempts fail as a deadlock's victim would.
        fail(&bench.observer, "DELETE ON signal_ingest_batch", 2, CONFLICT).await;
        assert_eq!(bench.ingest.prune_batches(week).await.unwrap(), 1);
        assert_eq!(bench.ingest.prune_batches(week).await.unwrap(), 0);
        let left = database::texts(&bench.observer, "SELECT id FROM signal_ingest_batch").await;
        assert_eq!(left, [young.to_string()]);
    });
}

#[test]
fn a_batch_whose_caller_goes_away_is_stored_whole_or_not_at_all() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        let records = many(300);
        let mut outcomes = BTreeSet::new();
        for millis in [0, 1, 2, 4, 8, 16, 32, 64, 128, 5_000] {
            let id = BatchId::new();
            let call = bench.ingest.batch(id, &records);
            let _ = tokio::time::timeout(Duration::from_millis(millis), call).await;
            let before = bench.count("signal_greeks").await;
            let report = bench.ingest.batch(id, &records).await.unwrap();
            assert_eq!(report.stored(), 300);
            let after = bench.count("signal_greeks").await;
            // What the first call had stored when it was dropped, or stored thereafter.
            assert!(after % 300 == 0, "{before} {after}");
            let ledger = bench.count("signal_ingest_batch").await;
            assert_eq!(after, ledger * 300);
            outcomes.insert(report.replayed);
        }
        assert!(outcomes.contains(&true), "no call had stored its batch");
        assert_eq!(bench.count("signal_ingest_batch").await, 10);
        assert_eq!(bench.pool.status().out, 0);
    });
}

#[test]
fn what_cannot_be_mended_is_told_at_once() {
    let database = database::database();
    database::run(async {
        let bench = bench(database).await;
        bench.observer.batch_execute("DROP TABLE signal_ingest_batch").await.unwrap();
        let error = bench.ingest.batch(BatchId::new(), &many(1)).await.unwrap_err();
        assert_eq!((error.class(), error.outcome()), (Class::Drift, Outcome::NotApplied));
        assert!(error.database_error().is_some());
    });
}
