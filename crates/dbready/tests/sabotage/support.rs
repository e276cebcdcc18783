//! A database of the contract's own making, a change to it, and what the checks say.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::OnceLock;

use dbready::catalog::{self, Observation};
use dbready::check;
use dbready::contract::{self, Contract};
use dbready::evidence::Evidence;
use dbready::migrate;
use dbready::verdict::{Judgement, Status, judge};
use pg_local::testing::TestDatabase;
use pg_session::Config;
use tokio_postgres::Client;

/// The contract of Signal Service.
pub(crate) fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| contract::source::load(None).unwrap())
}

/// Runs a future to its end; each test has a runtime of its own.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

/// A database in which all migrations were applied, with a few rows.
pub(crate) fn database() -> TestDatabase {
    let name = format!("sabotage_{}", &contract().digest[..16]);
    TestDatabase::copy_of(&name, |url| run(prepare(url))).unwrap()
}

async fn prepare(url: &str) -> Result<(), Box<dyn Error>> {
    let mut client = connect(url).await;
    migrate::up(&mut client, contract(), None, &migrate::Options::default(), &|_| ()).await?;
    client.batch_execute(ROWS).await?;
    Ok(())
}

/// Rows on six days, so many that the planner prefers an index, with a value in every column.
const ROWS: &str = r#"
    CREATE TEMPORARY TABLE tick AS
    SELECT n, '2025-01-02 09:15+00'::timestamptz + n / 250 * INTERVAL '1 day'
            + n % 250 * INTERVAL '1 minute' AS at,
        'signal_20250102_' || lpad(n::text, 6, '0') AS signal,
        'NSE@STOCK' || n % 50 || '@EQ' AS instrument
    FROM generate_series(0, 1499) n;
    INSERT INTO signal_greeks (signal_id, instrument_key, "timestamp", delta, gamma, theta, vega,
        rho, implied_volatility, theoretical_value, underlying_price, strike_price, time_to_expiry)
    SELECT signal, instrument, at, 0.5, 0.01, -3.25, 12.5, 0.25, 0.2, 104.5, 2500, 2400, 0.1
    FROM tick, generate_series(1, 8);
    INSERT INTO signal_indicators
        (signal_id, instrument_key, "timestamp", indicator_name, parameters, "values")
    SELECT signal, instrument, at, 'RSI', '{"length": 14}', '{"RSI_14": 61.5}'
    FROM tick, generate_series(1, 8);
    INSERT INTO signal_moneyness_greeks (underlying_symbol, moneyness_level, expiry_date, "timestamp",
        spot_price, all_delta, all_gamma, all_theta, all_vega, all_rho, all_iv, all_count,
        calls_delta, calls_gamma, calls_theta, calls_vega, calls_rho, calls_iv, calls_count,
        puts_delta, puts_gamma, puts_theta, puts_vega, puts_rho, puts_iv, puts_count,
        min_strike, max_strike, strike_count)
    SELECT 'STOCK' || n % 50, 'ATM', '2025-01-30', at, 2500, 0.1, 0.01, -3, 12, 0.1, 0.2, 10,
        0.5, 0.01, -3, 12, 0.2, 0.2, 5, -0.5, 0.01, -3, 12, -0.2, 0.2, 5, 2400, 2600, 5
    FROM tick, generate_series(1, 8);
    INSERT INTO signal_custom_timeframes
        (instrument_key, signal_type, timeframe_minutes, "timestamp", data)
    SELECT instrument, 'greeks', minutes, at, '{"delta": 0.5}'
    FROM tick, generate_series(1, 8) minutes;
    SELECT refresh_signal_greeks_rollup('infinity', 1000000);
    INSERT INTO signal_ingest_batch (id, table_name, rows)
    SELECT md5('rows')::uuid, 'signal_greeks', count(*) FROM signal_greeks;
    ANALYZE signal_greeks, signal_greeks_rollup, signal_ingest_batch, signal_indicators, signal_moneyness_greeks, signal_custom_timeframes;
"#;

/// A plain connection.
pub(crate) async fn connect(url: &str) -> Client {
    pg_session::connect(&Config::from_url(url).unwrap()).await.unwrap()
}

/// What the examiner sees, through a connection of its own.
pub(crate) async fn observe(url: &str) -> Observation {
    observe_by(contract(), url, &catalog::Options::default()).await
}

/// What the examiner sees for the sake of that contract.
pub(crate) async fn observe_by(
    contract: &Contract,
    url: &str,
    options: &catalog::Options,
) -> Observation {
    let mut client = connect(url).await;
    catalog::observe(&mut client, contract, options).await.unwrap()
}

/// Every claim's judgement, by its id.
pub(crate) fn judge_all(observation: &Observation) -> BTreeMap<String, Judgement> {
    judge_by(contract(), observation)
}

/// Every judgement of that contract's claims, by id.
pub(crate) fn judge_by(
    contract: &Contract,
    observation: &Observation,
) -> BTreeMap<String, Judgement> {
    let evidence = check::examine(contract, observation);
    let own = |id: &str| -> Option<&Evidence> { evidence.iter().find(|one| one.claim == id) };
    check::plan(contract)
        .iter()
        .map(|claim| (claim.id.clone(), judge(claim, own(&claim.id))))
        .collect()
}

/// The ids of the claims of that status, sorted.
pub(crate) fn ids(judgements: &BTreeMap<String, Judgement>, status: Status) -> Vec<&str> {
    let found = judgements.iter().filter(|(_, judgement)| judgement.status == status);
    found.map(|(id, _)| id.as_str()).collect()
}

/// Whether the findings' remedies are statements that mend everything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mend {
    /// They are: they are run, and no claim is refuted afterwards.
    Sql,
    /// At least one is described in words.
    Words,
}

/// Makes the change and demands exactly these refutations; then mends it as the findings say.
pub(crate) fn prove(change: &str, expected: &[&str], mend: Mend) {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        client.batch_execute(change).await.expect("the change itself");
        let judgements = judge_all(&observe(database.url()).await);
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        let refuted = ids(&judgements, Status::Refuted);
        assert_eq!(refuted, expected, "{:#?}", details(&judgements, &refuted));
        if mend == Mend::Words {
            return;
        }
        // Once mended, a column that broke inserts is still one too many: two rounds at most.
        let mut judgements = judgements;
        for _ in 0..2 {
            mend_all(&client, &judgements).await;
            judgements = judge_all(&observe(database.url()).await);
        }
        let refuted = ids(&judgements, Status::Refuted);
        assert!(refuted.is_empty(), "after mending: {:#?}", details(&judgements, &refuted));
    });
}

/// Runs every remedy in the order of the plan: tables before columns, columns before constraints and
/// indexes. Queries mend themselves with the objects that they use.
async fn mend_all(client: &Client, judgements: &BTreeMap<String, Judgement>) {
    let claims =
        check::plan(contract()).into_iter().filter(|claim| !claim.id.starts_with("query."));
    for claim in claims {
        for finding in &judgements[&claim.id].findings {
            let remedy = finding.remedy.as_deref().expect("a remedy");
            if let Err(error) = client.batch_execute(remedy).await {
                panic!("{remedy}: {error:?}");
            }
        }
    }
}

fn details<'a>(
    judgements: &'a BTreeMap<String, Judgement>,
    ids: &[&str],
) -> Vec<(&'a str, &'a Judgement)> {
    let named = judgements.iter().filter(|(id, _)| ids.contains(&id.as_str()));
    named.map(|(id, judgement)| (id.as_str(), judgement)).collect()
}

/// One test for each sabotage: its name, the change, and the claims that it refutes. After `words`,
/// at least one remedy is not a statement.
macro_rules! sabotages {
    ($($(#[$attribute:meta])* $name:ident: $change:expr => [$($claim:expr),* $(,)?] $($words:ident)?;)*) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $name() {
                crate::support::prove($change, &[$($claim),*], sabotages!(@mend $($words)?));
            }
        )*
    };
    (@mend) => { crate::support::Mend::Sql };
    (@mend words) => { crate::support::Mend::Words };
}
pub(crate) use sabotages;
