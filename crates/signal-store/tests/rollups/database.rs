//! A migrated database, and both answers to one question.

use std::error::Error;
use std::future::Future;
use std::sync::OnceLock;

use dbready::contract::{self, Contract};
use dbready::migrate;
use pg_local::testing::TestDatabase;
use signal_store::pg_session::tokio_postgres::{Client, SimpleQueryMessage};
use signal_store::pg_session::{self, Config};

pub(crate) const RAW: &str = include_str!("../../contract/queries/historical_greeks.sql");
pub(crate) const ROLLUP: &str = include_str!("../../contract/queries/historical_greeks_rollup.sql");
pub(crate) const PRUNE: &str = include_str!("../../contract/queries/prune_rollup.sql");

pub(crate) fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| contract::source::load(None).unwrap())
}

/// Runs a future to its end; each test has a runtime of its own.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// A database of the contract's version without rows.
pub(crate) fn database() -> TestDatabase {
    let name = format!("rollups_{}", &contract().digest[..16]);
    TestDatabase::copy_of(&name, |url| run(prepare(url))).unwrap()
}

async fn prepare(url: &str) -> Result<(), Box<dyn Error>> {
    let mut client = connect(url).await;
    migrate::up(&mut client, contract(), None, &migrate::Options::default(), &|_| ()).await?;
    // On the Community edition they remove and compress what a test has just written.
    let policies = "SELECT alter_job(job_id, scheduled => false) \
                    FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL";
    client.batch_execute(policies).await?;
    Ok(())
}

pub(crate) async fn connect(url: &str) -> Client {
    pg_session::connect(&Config::from_url(url).unwrap()).await.unwrap()
}

/// One question about the history of an instrument.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) width: String,
    pub(crate) instrument: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Question {
    pub(crate) fn new(width: &str, instrument: &str, from: &str, to: &str) -> Self {
        let [width, instrument, from, to] = [width, instrument, from, to].map(str::to_owned);
        Self { width, instrument, from, to }
    }

    /// The rows of one of the two queries, as the server writes them: averages differ in their last
    /// digit, or in the number of digits, if they are not computed from the same numbers.
    pub(crate) async fn ask(&self, client: &Client, sql: &str) -> Vec<String> {
        let sql = sql
            .replace("$1::interval", &format!("INTERVAL '{}'", self.width))
            .replace("$2", &format!("'{}'", self.instrument))
            .replace("$3", &format!("'{}'::timestamptz", self.from))
            .replace("$4", &format!("'{}'::timestamptz", self.to));
        texts(client, &format!("SELECT answer::text FROM ({sql}\n) AS answer")).await
    }

    /// Demands that both answers are the same, and gives it.
    #[track_caller]
    pub(crate) fn agree(&self, client: &Client) -> impl Future<Output = Vec<String>> {
        let at = std::panic::Location::caller();
        async move {
            let raw = self.ask(client, RAW).await;
            let rollup = self.ask(client, ROLLUP).await;
            assert_eq!(rollup, raw, "{self:?}, asked at {at}");
            raw
        }
    }
}

/// The first column of a query's rows.
pub(crate) async fn texts(client: &Client, sql: &str) -> Vec<String> {
    let messages =
        client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("null").to_owned()),
        _ => None,
    });
    rows.collect()
}

pub(crate) async fn count(client: &Client, what: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
}

/// Computes all rollups of the past that are stale.
pub(crate) async fn refresh(client: &Client, at_most: i32) -> i32 {
    let sql = "SELECT refresh_signal_greeks_rollup('infinity', $1)";
    client.query_one(sql, &[&at_most]).await.unwrap().get(0)
}
