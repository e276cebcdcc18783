//! What only the Community edition has: compression and continuous aggregates.

use dbready::contract::source;
use dbready::evidence::Outcome;
use dbready::load::{self, Found, Test, Writes, aggregate, compression, mixed};
use dbready::verdict::Status;
use pg_local::testing::TestDatabase;

use crate::support::{Load, bench, judged, migrated};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs TimescaleDB Community"]
async fn compression_by_the_contract_saves_space_and_by_a_unique_column_does_not() {
    let mut contract = source::load(None).unwrap();
    let database = migrated(&contract);
    let sound = compression::measure(&bench(&contract, database.url()).await).await.unwrap();
    let judgement = judged(&contract, &sound, compression::FIGURE);
    assert_eq!(judgement.status, Status::Proven, "{judgement:?}");
    assert_eq!(database.run_sql("SELECT count(*) FROM signal_greeks").unwrap().trim(), "51840");

    let table = contract.model.tables.iter_mut().find(|table| table.name == "signal_greeks");
    table.unwrap().compression.as_mut().unwrap().segment_by = vec!["id".to_owned()];
    let broken = compression::measure(&bench(&contract, database.url()).await).await.unwrap();
    let judgement = judged(&contract, &broken, compression::FIGURE);
    assert_eq!(judgement.status, Status::Refuted, "{judgement:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs TimescaleDB Community"]
async fn a_new_row_is_seen_unless_the_aggregate_shows_only_what_was_refreshed() {
    let mut contract = source::load(None).unwrap();
    for figure in &mut contract.model.figures {
        if figure.name == aggregate::FIGURE {
            // So that only a real defect is slower on a busy machine.
            figure.at_most = Some(200.0);
        }
    }
    let database = migrated(&contract);
    let sound = aggregate::measure(&bench(&contract, database.url()).await).await.unwrap();
    let judgement = judged(&contract, &sound, aggregate::FIGURE);
    assert_ne!(judgement.status, Status::Refuted, "{judgement:?}");
    let seen = |found: &Found| match &found.evidence[0].outcome {
        Outcome::Measured { n, value, .. } => (*n, *value),
        other => panic!("{other:?}"),
    };
    assert_eq!(seen(&sound).0, 120);
    assert_eq!(database.run_sql("SELECT count(*) FROM signal_greeks").unwrap().trim(), "51840");

    let only =
        "ALTER MATERIALIZED VIEW signal_greeks_hourly SET (timescaledb.materialized_only = true)";
    database.run_sql(only).unwrap();
    let broken = aggregate::measure(&bench(&contract, database.url()).await).await.unwrap();
    let judgement = judged(&contract, &broken, aggregate::FIGURE);
    assert_eq!(judgement.status, Status::Refuted, "{judgement:?}");
    assert!(seen(&broken).1 > 10_000.0, "rows that nobody saw count as slow");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'dbready_load%'";
    assert_eq!(database.run_sql(schemas).unwrap().trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs TimescaleDB Community"]
async fn chunks_are_compressed_and_aggregates_refreshed_beside_the_queries() {
    let contract =
        Load { sql: "SELECT 1", per_second: 50.0, limit_ms: 50.0, connections: 4 }.contract();
    let database = TestDatabase::with_timescaledb().unwrap();
    let found = mixed::measure(&bench(&contract, database.url()).await).await.unwrap();
    assert_eq!(found.notes, [] as [&str; 0]);
    let phase = &found.phases[2];
    for figure in ["jobs_compression", "jobs_compression_chunks", "jobs_refresh"] {
        assert!(phase.figures[figure] >= 1.0, "{figure}: {:?}", phase.figures);
    }
    assert!(phase.workload.contains("compress_chunk ("), "{}", phase.workload);
    assert!(phase.workload.contains("refresh of a continuous aggregate ("), "{}", phase.workload);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_edition_or_leave_to_write_they_are_unproven() {
    let contract = source::load(None).unwrap();
    let database = TestDatabase::empty().unwrap();
    let tests = [Test::Compression, Test::Aggregate];
    let mut bench = bench(&contract, database.url()).await;
    bench.server.license = Some("apache".to_owned());
    let found = load::run(&bench, &tests).await.unwrap();
    assert_eq!(found.evidence.len(), 2, "{:?}", found.evidence);
    for figure in [compression::FIGURE, aggregate::FIGURE] {
        let judgement = judged(&contract, &found, figure);
        assert!(judgement.reason.unwrap().contains("Community"), "{:?}", found.evidence);
    }
    bench.writes = Writes::No;
    let mut found = compression::measure(&bench).await.unwrap();
    found.add(aggregate::measure(&bench).await.unwrap());
    for figure in [compression::FIGURE, aggregate::FIGURE] {
        let judgement = judged(&contract, &found, figure);
        assert!(judgement.reason.unwrap().contains("--allow-writes"), "{:?}", found.evidence);
    }
}
