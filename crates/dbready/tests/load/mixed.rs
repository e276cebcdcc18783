//! Queries beside ingest and background jobs, and what tests without claims leave out.

use dbready::contract::Contract;
use dbready::load::baseline::Pgbench;
use dbready::load::{Bench, Found, baseline, curve, mixed, scaling};
use pg_local::testing::TestDatabase;

use crate::scaling::narrow;
use crate::support::{Load, add, bench, database};

const LOAD: Load = Load { sql: "SELECT 1", per_second: 50.0, limit_ms: 50.0, connections: 4 };

/// Failures in the figures of all phases.
fn failed(found: &Found) -> Vec<(&str, f64)> {
    let figures = found.phases.iter().flat_map(|phase| &phase.figures);
    let figures = figures.map(|(name, value)| (name.as_str(), *value));
    figures.filter(|(name, _)| name.starts_with("failed_")).collect()
}

fn notes(found: &Found, part: &str) -> usize {
    found.notes.iter().filter(|note| note.contains(part)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_runs_beside_the_queries_where_there_are_chunks() {
    let database = TestDatabase::with_timescaledb().unwrap();
    let mut contract = LOAD.contract();
    add(&mut contract, "missing", 1.0, "SELECT id FROM nowhere");
    let found = mixed::measure(&bench(&contract, database.url()).await).await.unwrap();
    let names: Vec<&str> = found.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names, ["mixed_queries", "mixed_ingest", "mixed_jobs"]);
    assert_eq!(failed(&found), [], "{:?}", found.notes);
    let [alone, ingest, jobs] = &found.phases[..] else { panic!("{found:?}") };
    assert!(alone.figures["rows_ingested_per_second"] < 1.0, "{:?}", alone.figures);
    assert!(ingest.figures["rows_ingested_per_second"] > 0.0, "{:?}", ingest.figures);
    assert!(ingest.figures["background_jobs"] < 1.0, "{:?}", ingest.figures);
    for kind in ["retention", "retention_chunks", "analyze", "vacuum", "checkpoint"] {
        assert!(jobs.figures[&format!("jobs_{kind}")] >= 1.0, "{kind}: {:?}", jobs.figures);
    }
    assert!(jobs.figures["rows_ingested_per_second"] > 0.0, "{:?}", jobs.figures);
    assert!(jobs.workload.contains("drop_chunks ("), "{}", jobs.workload);
    assert_eq!(notes(&found, "mixed: missing is left out: the server does not prepare it"), 1);
    let license = database.run_sql("SHOW timescaledb.license").unwrap();
    let lacking = usize::from(license.trim() == "apache");
    assert_eq!(notes(&found, "needs the Community edition"), lacking, "{:?}", found.notes);
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'dbready_load%'";
    assert_eq!(database.run_sql(schemas).unwrap().trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_server_refuses_is_counted_by_its_sqlstate() {
    let database = database();
    let role = format!("{}_writer", database.name());
    let name = database.name();
    database
        .run_sql(&format!("CREATE ROLE {role}; GRANT CREATE ON DATABASE {name} TO {role}"))
        .unwrap();
    let contract = LOAD.contract();
    let mut bench = bench(&contract, database.url()).await;
    bench.config = bench.config.with_parameter("role", &role);
    let found = mixed::measure(&bench).await;
    database.run_sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    let found = found.unwrap();
    let [(name, times)] = failed(&found)[..] else { panic!("{:?}", found.phases) };
    assert_eq!(name, "failed_checkpoint_42501");
    let jobs = &found.phases[2];
    assert!(times >= 1.0 && jobs.figures["jobs_checkpoint"] < 1.0, "{:?}", jobs.figures);
    assert!(jobs.figures["jobs_analyze"] >= 1.0, "{:?}", jobs.figures);
    assert!(!jobs.workload.contains("CHECKPOINT"), "{}", jobs.workload);
    assert_eq!(notes(&found, "mixed_jobs: checkpoint failed"), 1, "{:?}", found.notes);
    // There are no chunks on plain PostgreSQL.
    assert_eq!(notes(&found, "no TimescaleDB"), 1, "{:?}", found.notes);
    assert!(!jobs.figures.contains_key("jobs_retention"), "{:?}", jobs.figures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_answers_too_late_has_no_overhead() {
    // The pool's callers get no answer within the second that a quick run gives them.
    let mut contract = Load { sql: "SELECT pg_sleep(3)", ..LOAD }.contract();
    add(&mut contract, "prompt", 1.0, "SELECT 1");
    let cluster = narrow();
    let command = cluster.pgbench();
    let environment = command
        .get_envs()
        .map(|(name, value)| (name.to_str().unwrap(), value.unwrap().to_str().unwrap()))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let pgbench =
        Pgbench { program: command.get_program().into(), environment: environment.collect() };
    let url = cluster.url("postgres");
    let bench = Bench { pgbench: Some(pgbench), ..bench(&contract, &url).await };
    let found = baseline::measure(&bench).await.unwrap();
    assert_eq!(notes(&found, "loaded: no overhead is known: "), 1, "{:?}", found.notes);
    let [floor] = &found.pgbench[..] else { panic!("{:?}", found.notes) };
    assert!(floor.query == "prompt" && floor.overhead.is_finite(), "{floor:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_named_by_each_test_that_leaves_it_out() {
    let database = database();
    let contract: Contract = Load { sql: "SELECT id FROM nowhere", ..LOAD }.contract();
    let bench = Bench {
        pgbench: Some(Pgbench { program: "/nonexistent".into(), environment: Vec::new() }),
        ..bench(&contract, database.url()).await
    };
    let mut found = mixed::measure(&bench).await.unwrap();
    found.add(curve::measure(&bench).await.unwrap());
    found.add(baseline::measure(&bench).await.unwrap());
    found.add(scaling::measure(&bench).await.unwrap());
    for test in ["mixed", "curve", "baseline", "scaling"] {
        let named = format!("{test}: loaded is left out: the server does not prepare it");
        assert_eq!(notes(&found, &named), 1, "{:?}", found.notes);
        assert_eq!(notes(&found, &format!("{test}: no query of the contract")), 1);
    }
}
