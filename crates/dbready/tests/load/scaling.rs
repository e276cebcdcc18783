//! Cost against size.

use std::time::Duration;

use dbready::contract::source;
use dbready::load::scaling::{self, Axis, Reach, Scale};
use dbready::load::{Bench, Found, Profile, Progress, Writes, artifacts};
use pg_local::{Cluster, Runtime, Shutdown};
use serde_json::Value;
use tokio::sync::watch;

use crate::support::{Load, add, bench, database, migrated};

const LOAD: Load = Load { sql: "SELECT 1", per_second: 20.0, limit_ms: 60_000.0, connections: 4 };

fn scale(found: &Found, axis: Axis) -> &Scale {
    found.scaling.iter().find(|scale| scale.axis == axis).unwrap()
}

fn points(found: &Found, axis: Axis) -> Vec<u64> {
    scale(found, axis).points.iter().map(|point| point.at).collect()
}

fn reach<'a>(scale: &'a Scale, query: &str) -> &'a Reach {
    scale.limits.iter().find(|reach| reach.query == query).unwrap()
}

/// The files that a run leaves, by name.
fn files(bench: &Bench<'_>, found: &Found) -> Vec<(String, String)> {
    let (started_at, server) = ("2025-01-15T09:30:00Z", &bench.server);
    let origin = artifacts::Origin { started_at, profile: "quick", seed: bench.seed, server };
    artifacts::files(found, origin)
}

fn document(files: &[(String, String)]) -> Value {
    let (name, text) = &files[0];
    assert_eq!(name, "database_performance_results.json");
    serde_json::from_str(text).unwrap()
}

/// A server with so few connections that ten and the one that watches fit beside those for superusers, and
/// twenty do not. It is the test's own, so that no other lacks them.
pub(crate) fn narrow() -> Cluster {
    let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
    let mut cluster = Cluster::temporary(&runtime, pg_local::Profile::Fast).unwrap();
    cluster.configure(&[("max_connections", "20")]).unwrap();
    cluster.stop(Shutdown::Fast).unwrap();
    cluster.start().unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_those_of_the_server_are_named() {
    let cluster = narrow();
    let contract = LOAD.contract();
    let bench = bench(&contract, &cluster.url("postgres")).await;
    let found = scaling::measure(&bench).await.unwrap();
    assert_eq!(points(&found, Axis::Connections), [1, 2, 5, 10]);
    let left_out = &scale(&found, Axis::Connections).left_out;
    for (nth, connections) in [20, 50, 100].into_iter().enumerate() {
        let named = format!("{connections}: the server has ");
        assert!(left_out[nth].starts_with(&named), "{left_out:?}");
    }
    assert!(found.notes.iter().any(|note| note.contains("left out: 50: the server has ")));
    for point in &scale(&found, Axis::Connections).points {
        assert!(point.per_second > 0.0 && point.failures.is_empty(), "{point:?}");
        assert!(point.queries["loaded"].n > 0, "{point:?}");
    }
    // A query without parameters has one row of them.
    assert_eq!(points(&found, Axis::Parameters), [1]);
    assert_eq!(points(&found, Axis::Batch), [1, 10, 100, 1_000, 10_000]);
    assert!(scale(&found, Axis::Data).left_out[0].contains("managed server only"));
    let files = files(&bench, &found);
    let document = document(&files);
    assert_eq!(document["scaling"][0]["axis"], "connections");
    assert_eq!(document["scaling"][0]["points"][3]["at"], 10);
    assert_eq!(document["scaling"][2]["unit"], "rows in one statement");
    for (name, drawn) in [("connections", true), ("batch", true), ("parameters", false)] {
        let name = format!("scaling_{name}.svg");
        assert_eq!(files.iter().any(|(file, _)| *file == name), drawn, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_slows_down_says_where_its_limit_stops() {
    // One at a time: ten callers take ten times as long as one.
    let sql = "SELECT pg_sleep(0.02) FROM pg_advisory_xact_lock(7)";
    let mut contract = Load { sql, limit_ms: 150.0, ..LOAD }.contract();
    add(&mut contract, "patient", 60_000.0, sql);
    add(&mut contract, "writing", 60_000.0, "INSERT INTO victim VALUES (1)");
    let cluster = narrow();
    cluster.run_sql("postgres", "CREATE TABLE victim (id integer)").unwrap();
    let bench = Bench { writes: Writes::No, ..bench(&contract, &cluster.url("postgres")).await };
    let found = scaling::along(&bench, &[Axis::Connections, Axis::Batch]).await.unwrap();
    let by_connections = scale(&found, Axis::Connections);
    let stopped = reach(by_connections, "loaded");
    assert!(stopped.stops_at.is_some_and(|at| at <= 10), "{by_connections:?}");
    assert!(stopped.p95_ms > stopped.limit_ms, "{stopped:?}");
    assert_eq!(reach(by_connections, "patient").stops_at, None, "{by_connections:?}");
    let said = &by_connections.said;
    assert!(said.contains("loaded: its p95 of 150 ms stops holding at"), "{said}");
    assert!(said.contains("patient: its p95 of 60000 ms held throughout"), "{said}");
    // What fails is slower than any limit, and nothing is written.
    let failed = reach(by_connections, "writing");
    assert!(failed.stops_at.is_some() && failed.p95_ms >= 120_000.0, "{by_connections:?}");
    let rows = cluster.run_sql("postgres", "SELECT count(*) FROM victim").unwrap();
    assert_eq!(rows.trim(), "0");
    let batches = scale(&found, Axis::Batch);
    assert!(batches.points.is_empty() && batches.left_out[0].contains("--allow-writes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_gives_the_points_that_are_whole() {
    let database = database();
    let contract = LOAD.contract();
    let (sender, stop) = watch::channel(false);
    // In the midst of the point, when operations have been counted.
    let progress = |progress: &Progress| {
        if progress.doing.ends_with("connections: 5") && progress.rate.is_some() {
            sender.send(true).unwrap();
        }
    };
    let mut bench = Bench { stop, progress: &progress, ..bench(&contract, database.url()).await };
    bench.span.measured = Duration::from_secs(50);
    let found = scaling::measure(&bench).await.unwrap();
    assert_eq!(points(&found, Axis::Connections), [1, 2]);
    assert_eq!(found.scaling.len(), 1);
    assert_eq!(scale(&found, Axis::Connections).left_out, ["what is missing: interrupted"]);
    for unit in ["rows of parameters", "rows in one statement", "rows in the database"] {
        let note = format!("scaling, {unit}: left out: interrupted");
        assert!(found.notes.contains(&note), "{:?}", found.notes);
    }
    let document = document(&files(&bench, &found));
    assert_eq!(document["scaling"][0]["points"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_small_seed_stands_beside_what_the_server_has() {
    let contract = source::load(None).unwrap();
    let database = migrated(&contract);
    let bench = Bench {
        writes: Writes::Anywhere,
        profile: Profile::Standard,
        ..bench(&contract, database.url()).await
    };
    let found = scaling::along(&bench, &[Axis::Data]).await.unwrap();
    let [fewer, more] = points(&found, Axis::Data)[..] else { panic!("{:?}", found.scaling) };
    assert!(fewer >= 51_840 && more > 2 * fewer, "{fewer} {more}");
    // Only the Greeks have rows here; the seed fills every table.
    let by_size = scale(&found, Axis::Data);
    assert!(by_size.points[0].queries.len() < by_size.points[1].queries.len(), "{by_size:?}");
    assert!(by_size.points[1].queries.contains_key("moneyness_greeks"), "{by_size:?}");
    let databases = format!(
        "SELECT count(*) FROM pg_database WHERE datname LIKE 'dbready\\_{}\\_%'",
        std::process::id()
    );
    assert_eq!(database.run_sql(&databases).unwrap().trim(), "0");
}
