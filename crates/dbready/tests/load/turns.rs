//! Two servers measured in turns.

use std::time::Duration;

use dbready::Error;
use dbready::contract::QuerySql;
use dbready::load::compare::{Compared, Run, Verdict, compare, in_turns};

use crate::proxy;
use crate::support::{Load, add, bench, database};

const LOAD: Load =
    Load { sql: "SELECT pg_sleep(0.01)", per_second: 10.0, limit_ms: 400.0, connections: 10 };

#[tokio::test(flavor = "multi_thread")]
async fn the_server_behind_a_slow_way_is_the_slower_one() {
    let database = database();
    let contract = LOAD.contract();
    let slow = proxy::slow(database.url(), Duration::from_millis(300)).await;
    let (mut first, mut second) =
        (bench(&contract, database.url()).await, bench(&contract, &slow).await);
    let mut runs = in_turns(&mut first, &mut second, 2).await.unwrap();
    assert_eq!(runs.len(), 2);
    let found = compare(&runs, 0.1).unwrap().streams.remove(0);
    assert_eq!(found.verdict, Verdict::Slower, "{found:?}");
    assert!(found.pairs >= 6, "{found:?}");
    for (first, second) in &mut runs {
        std::mem::swap(first, second);
    }
    let found = compare(&runs, 0.1).unwrap().streams.remove(0);
    assert_eq!(found.verdict, Verdict::Faster, "{found:?}");
}

#[tokio::test]
async fn a_query_that_cannot_be_run_is_named_with_its_server() {
    let database = database();
    let mut contract = LOAD.contract();
    contract.query_sql[0].statement = "SELECT $1::integer".to_owned();
    contract.query_sql[0].sample = Some("SELECT 1 WHERE false".to_owned());
    let (mut first, mut second) =
        (bench(&contract, database.url()).await, bench(&contract, database.url()).await);
    let error = in_turns(&mut first, &mut second, 1).await.unwrap_err();
    let Error::Usage(text) = error else { panic!("{error}") };
    assert!(text.contains("queries.loaded: there are no rows to sample"), "{text}");
    assert!(text.contains("127.0.0.1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_a_table_that_one_database_has_not_is_left_out_by_name() {
    let (whole, bare) = (database(), database());
    whole.run_sql("CREATE TABLE near AS SELECT 1 AS id").unwrap();
    whole.run_sql("CREATE TABLE sampled AS SELECT 1 AS id").unwrap();
    bare.run_sql("CREATE TABLE sampled (id integer)").unwrap();
    let mut contract = LOAD.contract();
    for (name, sql, sample) in [
        ("near", "SELECT id FROM near", None),
        ("sampled", "SELECT $1::integer", Some("SELECT id FROM sampled")),
    ] {
        let mut query = contract.model.queries[0].clone();
        name.clone_into(&mut query.name);
        contract.model.queries.push(query);
        let (statement, sample) = (sql.to_owned(), sample.map(str::to_owned));
        contract.query_sql.push(QuerySql { statement, sample });
    }
    let (mut first, mut second) =
        (bench(&contract, whole.url()).await, bench(&contract, bare.url()).await);
    let mut runs = in_turns(&mut first, &mut second, 2).await.unwrap();
    let found = compare(&runs, 0.1).unwrap();
    assert_eq!(streams(&found), ["queries.loaded"]);
    assert!(found.is_worse(), "{found:?}");
    let [near, sampled] = &found.left_out[..] else { panic!("{found:?}") };
    assert_eq!((near.stream.as_str(), near.run), ("queries.near", Run::Second));
    assert!(near.reason.contains("relation \"near\" does not exist"), "{near:?}");
    assert_eq!(near.server.as_deref(), Some(second.config.address().as_str()));
    assert_eq!((sampled.stream.as_str(), sampled.run), ("queries.sampled", Run::Second));
    assert!(sampled.reason.contains("no rows to sample"), "{sampled:?}");
    for (first, second) in &mut runs {
        std::mem::swap(first, second);
    }
    let found = compare(&runs, 0.1).unwrap();
    assert_eq!(found.left_out.iter().map(|one| one.run).collect::<Vec<_>>(), [Run::First; 2]);

    // With the table there, nothing is left out.
    bare.run_sql("CREATE TABLE near AS SELECT 1 AS id; INSERT INTO sampled VALUES (1)").unwrap();
    let runs = in_turns(&mut first, &mut second, 2).await.unwrap();
    let found = compare(&runs, 0.1).unwrap();
    assert_eq!(streams(&found), ["queries.loaded", "queries.near", "queries.sampled"]);
    assert_eq!(found.left_out, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_fails_on_both_servers_is_left_out_and_not_the_same() {
    let database = database();
    let mut contract = LOAD.contract();
    add(&mut contract, "failing", 1.0, "SELECT 1 / 0");
    let (mut first, mut second) =
        (bench(&contract, database.url()).await, bench(&contract, database.url()).await);
    let runs = in_turns(&mut first, &mut second, 2).await.unwrap();
    let found = compare(&runs, 0.1).unwrap();
    assert_eq!(streams(&found), ["queries.loaded"], "{found:?}");
    let [failing] = &found.left_out[..] else { panic!("{found:?}") };
    assert_eq!((failing.stream.as_str(), failing.run), ("queries.failing", Run::Both));
    assert!(failing.reason.starts_with("there is nothing to compare in "), "{failing:?}");
}

fn streams(found: &Compared) -> Vec<&str> {
    found.streams.iter().map(|one| one.stream.as_str()).collect()
}
