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

/// Rows on two days, so that every hypertable has chunks.
const ROWS: &str = r#"
    INSERT INTO signal_greeks (signal_id, instrument_key, "timestamp", delta, rho)
    SELECT 'signal_20250102_000001', 'NSE@RELIANCE@EQ', day, 0.5, 0.25
    FROM unnest(ARRAY['2025-01-02 10:00+00', '2025-01-03 10:00+00']::timestamptz[]) day;
    INSERT INTO signal_indicators (signal_id, instrument_key, "timestamp", indicator_name)
    VALUES ('signal_20250102_000001', 'NSE@RELIANCE@EQ', '2025-01-02 10:00+00', 'RSI');
    INSERT INTO signal_custom_timeframes
        (instrument_key, signal_type, timeframe_minutes, "timestamp", data)
    VALUES ('NSE@RELIANCE@EQ', 'greeks', 5, '2025-01-02 10:00+00', '{}');
"#;

/// A plain connection.
pub(crate) async fn connect(url: &str) -> Client {
    pg_session::connect(&Config::from_url(url).unwrap()).await.unwrap()
}

/// What the examiner sees, through a connection of its own.
pub(crate) async fn observe(url: &str) -> Observation {
    let mut client = connect(url).await;
    let options = catalog::Options::default();
    catalog::observe(&mut client, contract(), &options).await.unwrap()
}

/// Every claim's judgement, by its id.
pub(crate) fn judge_all(observation: &Observation) -> BTreeMap<String, Judgement> {
    let evidence = check::examine(contract(), observation);
    let own = |id: &str| -> Option<&Evidence> { evidence.iter().find(|one| one.claim == id) };
    check::plan(contract())
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
/// indexes.
async fn mend_all(client: &Client, judgements: &BTreeMap<String, Judgement>) {
    for claim in check::plan(contract()) {
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
