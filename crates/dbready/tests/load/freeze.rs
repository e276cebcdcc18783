//! A server that stands still makes operations slow; it leaves none out.

use std::process::Command;
use std::time::Duration;

use pg_session::Config;

use crate::support::{Load, SPAN, database, found, statistic};

/// The processes that serve the load, by the name that the contract gives its connections.
async fn backends(url: &str) -> Vec<String> {
    let client = pg_session::connect(&Config::from_url(url).unwrap()).await.unwrap();
    let sql = "SELECT pid::text FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name = 'signal_service'";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn signal(name: &str, processes: &[String]) {
    let sent = Command::new("kill").arg(name).args(processes).status().unwrap();
    assert!(sent.success(), "kill {name} {processes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_without_a_server_is_a_second_in_the_figures() {
    let database = database();
    let url = database.url().to_owned();
    let load = Load { sql: "SELECT 1", per_second: 1_000.0, limit_ms: 50.0, connections: 2 };
    let freezer = tokio::spawn(async move {
        tokio::time::sleep(SPAN.warm_up + Duration::from_secs(2)).await;
        let frozen = backends(&url).await;
        assert!(!frozen.is_empty(), "nobody to freeze");
        signal("-STOP", &frozen);
        tokio::time::sleep(Duration::from_secs(1)).await;
        signal("-CONT", &frozen);
    });
    let contract = load.contract();
    let found = found(&contract, database.url()).await;
    freezer.await.unwrap();
    let stream = &found.phases[0].streams["loaded"];
    // A quarter of the operations were due while nobody answered, and the slowest waited all of it.
    let (p90, p99) =
        (statistic(&found, "queries.loaded", "p90"), statistic(&found, "queries.loaded", "p99"));
    assert!(p90 > 300.0 && p99 > 800.0, "p90 {p90} p99 {p99}");
    // None is missing: as many were due as the schedule has, give or take five standard deviations.
    assert!(stream.n > 4_000 - 320 && stream.n < 4_000 + 320, "{}", stream.n);
    assert_eq!((stream.pending, stream.failures.len()), (0, 0), "{stream:?}");
}
