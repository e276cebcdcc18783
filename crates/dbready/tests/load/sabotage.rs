//! Each break turns its claim to refuted, and the same without the break does not. (It may leave it
//! unproven, on a machine that is busy with other tests.)

use std::time::Duration;

use dbready::contract::{Contract, source};
use dbready::load::{self, Bench, Found, Test, Writes, drift, statements, transactions};
use dbready::verdict::Status;
use pg_session::Config;

use crate::proxy;
use crate::support::{Load, bench, database, found, judged, migrated};

/// So slow that only a real defect is slower, on the busiest machine.
const LIMIT_MS: f64 = 400.0;

const QUICK: Load =
    Load { sql: "SELECT pg_sleep(0.01)", per_second: 100.0, limit_ms: LIMIT_MS, connections: 10 };

fn status(contract: &Contract, found: &Found, figure: &str) -> Status {
    judged(contract, found, figure).status
}

/// The contract with the limit of the acquisition where machines do not matter.
fn patient(load: &Load) -> Contract {
    let mut contract = load.contract();
    for figure in &mut contract.model.figures {
        if figure.name == "pool.acquire" {
            figure.at_most = Some(LIMIT_MS);
        }
    }
    contract
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_one_lets_callers_wait() {
    let database = database();
    let load = patient(&QUICK);
    let sound = found(&load, database.url()).await;
    assert_ne!(status(&load, &sound, "queries.loaded"), Status::Refuted, "{:?}", sound.evidence);
    assert_ne!(status(&load, &sound, "pool.acquire"), Status::Refuted, "{:?}", sound.evidence);
    assert_eq!(status(&load, &sound, "pool.leaks"), Status::Proven, "{:?}", sound.evidence);

    // Twice what one connection can serve.
    let crowded = patient(&Load { sql: "SELECT pg_sleep(0.02)", connections: 1, ..QUICK });
    let broken = found(&crowded, database.url()).await;
    assert_eq!(status(&crowded, &broken, "pool.acquire"), Status::Refuted, "{:?}", broken.evidence);
    assert_eq!(
        status(&crowded, &broken, "queries.loaded"),
        Status::Refuted,
        "{:?}",
        broken.evidence
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_way_to_the_server_makes_queries_slow() {
    let database = database();
    let contract = patient(&QUICK);
    let url = proxy::slow(database.url(), Duration::from_millis(600)).await;
    let broken = found(&contract, &url).await;
    assert_eq!(
        status(&contract, &broken, "queries.loaded"),
        Status::Refuted,
        "{:?}",
        broken.evidence
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_way_to_the_server_makes_transactions_few_and_their_callers_wait() {
    let database = database();
    let contract = source::load(None).unwrap();
    let url = proxy::slow(database.url(), Duration::from_millis(100)).await;
    let broken = transactions::concurrency(&bench(&contract, &url).await).await.unwrap();
    for figure in [transactions::TRANSACTIONS, transactions::QUEUE_TIME] {
        let judgement = judged(&contract, &broken, figure);
        assert_eq!(judgement.status, Status::Refuted, "{judgement:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_way_to_the_server_makes_rollbacks_slow() {
    let database = database();
    let contract = source::load(None).unwrap();
    let url = proxy::slow(database.url(), Duration::from_millis(60)).await;
    let broken = transactions::rollback(&bench(&contract, &url).await).await.unwrap();
    let judgement = judged(&contract, &broken, transactions::ROLLBACK);
    assert_eq!(judgement.status, Status::Refuted, "{judgement:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_way_to_the_server_lets_drift_be_seen_late() {
    let database = database();
    let contract = source::load(None).unwrap();
    let url = proxy::slow(database.url(), Duration::from_millis(15)).await;
    let mut client = pg_session::connect(&Config::from_url(&url).unwrap()).await.unwrap();
    let options = dbready::catalog::Options::default();
    let broken = drift::measure(&mut client, &contract, &options).await.unwrap();
    let judgement = judged(&contract, &broken, drift::FIGURE);
    assert_eq!(judgement.status, Status::Refuted, "{judgement:?}");
}

/// The figures of TimescaleDB as shipped, with their statements broken: the hypertable's and the
/// plain table's change places, and the buckets come from the rows instead of the rollups.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes a million rows, which takes a minute"]
async fn the_statements_of_timescaledb_do_not_prove_themselves() {
    let mut contract = source::load(None).unwrap();
    let rows = contract.model.queries.iter().position(|query| query.name == "historical_greeks");
    let rows = contract.query_sql[rows.unwrap()].statement.clone();
    for figure in &mut contract.model.figures {
        let Some(workload) = &mut figure.workload else { continue };
        match &mut workload.against {
            Some(against) => std::mem::swap(against, &mut workload.statement),
            None => {
                contract.workload_sql.insert(workload.statement.clone(), rows.clone());
            }
        }
    }
    let database = migrated(&contract);
    let bench = Bench {
        writes: Writes::Anywhere,
        profile: load::Profile::Standard,
        ..bench(&contract, database.url()).await
    };
    let broken = statements::measure(&bench).await.unwrap();
    for figure in ["timescaledb.hypertable_speedup", "timescaledb.time_bucket"] {
        let judgement = judged(&contract, &broken, figure);
        assert_eq!(judgement.status, Status::Refuted, "{judgement:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_index_makes_a_query_slow() {
    let database = database();
    database
        .run_sql(
            "CREATE TABLE tick (instrument integer, at timestamptz, price numeric); \
             INSERT INTO tick SELECT n % 100, now() - n * interval '1 s', n FROM generate_series(1, 300000) n; \
             CREATE INDEX tick_instrument_at ON tick (instrument, at DESC); ANALYZE tick",
        )
        .unwrap();
    let sql = "SELECT * FROM tick WHERE instrument = 7 ORDER BY at DESC LIMIT 1";
    let contract = patient(&Load { sql, per_second: 400.0, ..QUICK });
    let sound = found(&contract, database.url()).await;
    assert_ne!(
        status(&contract, &sound, "queries.loaded"),
        Status::Refuted,
        "{:?}",
        sound.evidence
    );
    database.run_sql("DROP INDEX tick_instrument_at").unwrap();
    let broken = found(&contract, database.url()).await;
    assert_eq!(
        status(&contract, &broken, "queries.loaded"),
        Status::Refuted,
        "{:?}",
        broken.evidence
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_fails_is_slower_than_any_limit() {
    let database = database();
    let contract = patient(&Load { sql: "SELECT 1 / 0", ..QUICK });
    let broken = found(&contract, database.url()).await;
    let judgement = judged(&contract, &broken, "queries.loaded");
    assert_eq!(judgement.status, Status::Refuted, "{judgement:?}");
    let stream = &broken.phases[0].streams["loaded"];
    assert_eq!(stream.failures.values().sum::<u64>(), stream.n, "{stream:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_writes_is_refused_and_a_figure_unknown_to_us_is_unproven() {
    let database = database();
    database.run_sql("CREATE TABLE victim (id integer)").unwrap();
    let sql = "INSERT INTO victim VALUES (1)";
    let mut contract = patient(&Load { sql, ..QUICK });
    contract.model.figures[0].name = "pool.colour".to_owned();
    let bench = bench(&contract, database.url()).await;
    // Scaling would take the connections of other tests; it has this test on a server of its own.
    let tests: Vec<Test> = Test::ALL.into_iter().filter(|test| *test != Test::Scaling).collect();
    let found = load::run(&bench, &tests).await.unwrap();
    assert_eq!(database.run_sql("SELECT count(*) FROM victim").unwrap().trim(), "0");
    assert_eq!(status(&contract, &found, "queries.loaded"), Status::Refuted);
    let judgement = judged(&contract, &found, "pool.colour");
    assert!(judgement.reason.unwrap().contains("no load test"), "{:?}", found.evidence);
    // What the run made for itself is gone.
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'dbready_load%'";
    assert_eq!(database.run_sql(schemas).unwrap().trim(), "0");
}
