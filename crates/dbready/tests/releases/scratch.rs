//! Scratch databases are gone when they have been used, however that ends.

use crate::shop;
use crate::support::{block_on, contract, server};

/// Databases of this process that are there.
fn left(database: &pg_local::testing::TestDatabase) -> String {
    let like = format!("dbready\\_{}\\_%\\_probe%", std::process::id());
    database
        .run_sql(&format!("SELECT datname FROM pg_database WHERE datname LIKE '{like}'"))
        .unwrap()
}

#[test]
fn databases_are_dropped_at_the_end_and_when_the_run_is_interrupted() {
    let (database, mut scratch) = server();
    let shop = contract(&shop::files());
    block_on(async {
        let one = scratch.create("probe", &shop).await.unwrap();
        let copy = scratch.copy(&one, "probe_copy").await.unwrap();
        assert_ne!(one.dbname(), copy.dbname());
        assert!(left(&database).contains("probe_copy"));
        scratch.close().await.unwrap();
    });
    assert_eq!(left(&database), "");
    let (database, mut scratch) = server();
    block_on(async {
        let one = scratch.create("probe", &shop).await.unwrap();
        // Somebody is still connected, in the middle of something.
        let client = pg_session::connect(&one).await.unwrap();
        client.batch_execute("BEGIN; CREATE TABLE t ()").await.unwrap();
        assert!(left(&database).contains("probe"));
        drop(scratch);
    });
    assert_eq!(left(&database), "");
}
