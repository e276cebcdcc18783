//! Two servers measured in turns.

use std::time::Duration;

use dbready::Error;
use dbready::load::compare::{Verdict, compare, in_turns};

use crate::proxy;
use crate::support::{Load, bench, database};

const LOAD: Load =
    Load { sql: "SELECT pg_sleep(0.01)", per_second: 10.0, limit_ms: 400.0, connections: 10 };

#[tokio::test(flavor = "multi_thread")]
async fn the_server_behind_a_slow_way_is_the_slower_one() {
    let database = database();
    let contract = LOAD.contract();
    let slow = proxy::slow(database.url(), Duration::from_millis(300)).await;
    let (mut first, mut second) = (bench(&contract, database.url()), bench(&contract, &slow));
    let mut runs = in_turns(&mut first, &mut second, 2).await.unwrap();
    assert_eq!(runs.len(), 2);
    let found = compare(&runs, 0.1).unwrap().remove(0);
    assert_eq!(found.verdict, Verdict::Slower, "{found:?}");
    assert!(found.pairs >= 6, "{found:?}");
    for (first, second) in &mut runs {
        std::mem::swap(first, second);
    }
    let found = compare(&runs, 0.1).unwrap().remove(0);
    assert_eq!(found.verdict, Verdict::Faster, "{found:?}");
}

#[tokio::test]
async fn a_query_that_cannot_be_run_is_named_with_its_server() {
    let database = database();
    let mut contract = LOAD.contract();
    contract.query_sql[0].statement = "SELECT $1::integer".to_owned();
    contract.query_sql[0].sample = Some("SELECT 1 WHERE false".to_owned());
    let (mut first, mut second) =
        (bench(&contract, database.url()), bench(&contract, database.url()));
    let error = in_turns(&mut first, &mut second, 1).await.unwrap_err();
    let Error::Usage(text) = error else { panic!("{error}") };
    assert!(text.contains("no rows to sample") && text.contains("127.0.0.1"), "{text}");
}
