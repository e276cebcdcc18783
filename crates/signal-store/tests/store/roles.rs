//! What members of the contract's roles may do, and what they may not: logged in, on a real server.

use std::time::Duration;

use pg_session::tokio_postgres::Client;
use pg_session::{Config, Secret};
use signal_store::ingest::BatchId;
use signal_store::{BucketWidth, Maintenance, SignalType, Store};

use crate::records::{ago, greeks, timeframe};
use crate::signal::signal;
use crate::support::{Bench, bench, days, options};

const DAY: i64 = 24 * 60;

/// A login that is a member of a role and nothing else.
struct Login {
    name: String,
    config: Config,
}

impl Login {
    async fn of(bench: &Bench, role: &str) -> Self {
        let name = format!("{}_{role}", bench.database.name());
        let make = format!("CREATE ROLE {name} LOGIN PASSWORD 'member' IN ROLE {role}");
        bench.observer.batch_execute(&make).await.unwrap();
        let config = Config::from_url(bench.database.url()).unwrap();
        let config = config.with_user(&name, Some(Secret::new("member")));
        Self { name, config }
    }

    async fn store(&self) -> Store {
        Store::connect(self.config.clone(), options()).await.unwrap()
    }

    async fn client(&self) -> Client {
        pg_session::connect(&self.config).await.unwrap()
    }

    async fn drop(self, bench: &Bench) {
        bench.observer.batch_execute(&format!("DROP ROLE {}", self.name)).await.unwrap();
    }
}

/// Each statement is refused for want of a privilege.
async fn refused(client: &Client, statements: &[&str]) {
    for statement in statements {
        let error = client.batch_execute(statement).await.expect_err(statement);
        let state = error.code().map(|state| state.code().to_owned());
        assert_eq!(state.as_deref(), Some("42501"), "{statement}: {error:?}");
    }
}

const CHANGES: [&str; 7] = [
    "TRUNCATE signal_greeks",
    "ALTER TABLE signal_greeks ADD COLUMN further integer",
    "DROP TABLE signal_custom_timeframes",
    "CREATE TABLE further (n integer)",
    "CREATE TRIGGER further BEFORE DELETE ON signal_indicators
         FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "INSERT INTO schema_version (version) VALUES ('9.9.9')",
    "SELECT drop_chunks('signal_greeks', older_than => now())",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_does_all_that_the_store_does_and_nothing_else() {
    let bench = bench().await;
    let login = Login::of(&bench, "signal_writer").await;
    let store = login.store().await;
    // Every record of today and of old days makes a chunk, by a role that owns no table.
    let signal = signal();
    store.save_signal(&signal).await.unwrap();
    let again = store.save_custom_timeframe_data(&signal.timeframes).await.unwrap();
    assert_eq!(again.updated, 1, "{again:?}");
    for day in [1, 2, 100, 200] {
        let batch = [greeks("NSE@TCS@EQ", ago(day * DAY))];
        assert_eq!(store.ingest().batch(BatchId::new(), &batch).await.unwrap().stored(), 1);
    }
    let old = [timeframe("NSE@TCS@EQ", 5, ago(100 * DAY))];
    let _ = store.save_custom_timeframe_data(&old).await.unwrap();
    assert!(bench.count("SELECT count(*) FROM signal_greeks_rollup_stale").await > 0);

    let instrument = "NSE@TCS@EQ".parse().unwrap();
    assert!(store.get_latest_greeks(&instrument).await.unwrap().is_some());
    let hour = BucketWidth::new(Duration::from_hours(1)).unwrap();
    let before = store.get_historical_greeks(&instrument, &days(300), hour).await.unwrap();
    assert_eq!(before.len(), 4);
    assert_eq!(store.get_computation_metrics(&days(300)).await.unwrap().greeks_total, 6);
    let kind = SignalType::Greeks;
    let five = old[0].timeframe;
    let data = store.get_custom_timeframe_data(&instrument, kind, five, &days(300)).await.unwrap();
    assert_eq!(data.len(), 1);
    store.health().await.unwrap();

    // Everything of maintenance does something: rollups, whole chunks, the ledger.
    let age = "UPDATE signal_ingest_batch SET committed_at = now() - INTERVAL '8 days'";
    bench.observer.batch_execute(age).await.unwrap();
    let done = store.maintain(&Maintenance::default()).await;
    assert!(done.failure().is_none(), "{done:?}");
    let cleanup = done.cleanup.as_ref().unwrap();
    let chunks: u64 = cleanup.tables.iter().map(|table| table.chunks).sum();
    assert_eq!((cleanup.rows(), chunks, done.forgotten), (2, 2, 4), "{done:?}");
    assert!(done.refreshed > 0, "{done:?}");
    let after = store.get_historical_greeks(&instrument, &days(300), hour).await.unwrap();
    assert_eq!(after.len(), 2);
    let client = login.client().await;
    let delete = "DELETE FROM signal_greeks WHERE instrument_key = 'NSE@TCS@EQ'";
    assert_eq!(client.execute(delete, &[]).await.unwrap(), 2);

    refused(&client, &CHANGES).await;
    refused(
        &client,
        &[
            "UPDATE signal_greeks SET delta = 0",
            "INSERT INTO signal_greeks_rollup_stale VALUES ('NSE@TCS@EQ', now())",
            "UPDATE signal_greeks_rollup SET data_points = 0",
            "SELECT drop_signal_chunks('schema_version', now())",
            "SELECT FROM dbready.migration",
            "COPY signal_greeks TO PROGRAM 'true'",
        ],
    )
    .await;
    drop(client);
    store.disconnect().await;
    login.drop(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_reads_everything_and_writes_nothing() {
    let bench = bench().await;
    bench.store.save_signal(&signal()).await.unwrap();
    let login = Login::of(&bench, "signal_reader").await;
    let store = login.store().await;
    let instrument = "NSE@NIFTY@CE@20000".parse().unwrap();
    assert!(store.get_latest_greeks(&instrument).await.unwrap().is_some());
    let hour = BucketWidth::new(Duration::from_hours(1)).unwrap();
    let history = store.get_historical_greeks(&instrument, &days(2), hour).await.unwrap();
    assert_eq!(history.len(), 1);
    let underlying = "NIFTY".parse().unwrap();
    assert_eq!(store.get_moneyness_greeks(&underlying, &days(2)).await.unwrap().len(), 1);
    assert_eq!(store.get_computation_metrics(&days(2)).await.unwrap().greeks_total, 2);
    store.save_greeks(&greeks("NSE@TCS@EQ", ago(1))).await.unwrap_err();
    let client = login.client().await;
    client.batch_execute("SELECT FROM signal_ingest_batch").await.unwrap();
    refused(&client, &CHANGES).await;
    refused(
        &client,
        &[
            "DELETE FROM signal_greeks",
            "UPDATE signal_custom_timeframes SET data = '{}'",
            "DELETE FROM signal_ingest_batch",
            "SELECT refresh_signal_greeks_rollup(now(), 1)",
            "SELECT drop_signal_chunks('signal_greeks', now())",
            "SELECT FROM dbready.migration",
        ],
    )
    .await;
    drop(client);
    store.disconnect().await;
    login.drop(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_sees_the_server_and_no_row_of_anybody() {
    let bench = bench().await;
    bench.store.save_signal(&signal()).await.unwrap();
    let login = Login::of(&bench, "signal_monitor").await;
    let client = login.client().await;
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND usename <> current_user AND state IS NOT NULL";
    let seen: i64 = client.query_one(others, &[]).await.unwrap().get(0);
    assert!(seen > 0, "the store has connections");
    client
        .batch_execute("SELECT FROM schema_version; SELECT FROM dbready.migration")
        .await
        .unwrap();
    refused(&client, &CHANGES).await;
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'
        AND tablename <> 'schema_version'";
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        refused(&client, &[&format!("SELECT FROM {table}"), &format!("TABLE {table}")]).await;
    }
    refused(&client, &["SELECT refresh_signal_greeks_rollup(now(), 1)"]).await;
    drop(client);
    login.drop(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_may_do_what_can_be_granted() {
    let bench = bench().await;
    bench.store.save_signal(&signal()).await.unwrap();
    let login = Login::of(&bench, "signal_owner").await;
    let client = login.client().await;
    let made = "CREATE TABLE further (signal_id text);
        UPDATE signal_greeks SET delta = 0;
        SELECT refresh_signal_greeks_rollup('infinity', 1000);
        TRUNCATE signal_indicators, signal_ingest_batch;
        INSERT INTO schema_version (version) VALUES ('9.9.9');
        DELETE FROM schema_version WHERE version = '9.9.9';
        UPDATE schema_version SET description = description;
        CREATE TRIGGER further BEFORE UPDATE ON schema_version
            FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
        SELECT FROM dbready.migration; DELETE FROM dbready.migration WHERE version = '9.9.9'";
    client.batch_execute(made).await.unwrap();
    // Whoever made a table alters and drops it.
    refused(
        &client,
        &["ALTER TABLE signal_greeks ADD COLUMN further integer", "DROP TABLE signal_greeks"],
    )
    .await;
    client.batch_execute("DROP TABLE further").await.unwrap();
    drop(client);
    login.drop(&bench).await;
}
