//! A contract with one query, loaded on a database of the test's own.

use std::time::Duration;

use dbready::contract::{Contract, Figure, QuerySql, Sla, source};
use dbready::evidence::{Evidence, Outcome};
use dbready::load::generator::Span;
use dbready::load::{self, Bench, Found, Profile, Progress, Test, Writes};
use dbready::verdict::{Judgement, judge_all};
use dbready::{catalog, migrate};
use pg_local::testing::TestDatabase;
use pg_session::Config;
use tokio::sync::watch;

/// What a test loads.
pub(crate) struct Load {
    pub(crate) sql: &'static str,
    pub(crate) per_second: f64,
    pub(crate) limit_ms: f64,
    pub(crate) connections: u32,
}

impl Load {
    /// The contract of Signal Service with this query and its pool instead of its own.
    pub(crate) fn contract(&self) -> Contract {
        let mut contract = source::load(None).unwrap();
        let model = &mut contract.model;
        let mut query = model.queries[0].clone();
        "loaded".clone_into(&mut query.name);
        query.parameters = Vec::new();
        query.sla = Some(Sla { p95_ms: self.limit_ms, per_second: self.per_second });
        model.queries = vec![query];
        contract.query_sql = vec![QuerySql { statement: self.sql.to_owned(), sample: None }];
        model.pool.min = 1;
        model.pool.max = self.connections;
        let of_pool = |figure: &Figure| figure.name.starts_with("pool.");
        let mut figure = model
            .figures
            .iter()
            .find(|figure| figure.name == "queries.latest_greeks")
            .unwrap()
            .clone();
        "queries.loaded".clone_into(&mut figure.name);
        figure.at_most = Some(self.limit_ms);
        model.figures.retain(of_pool);
        model.figures.push(figure);
        contract
    }
}

/// Adds a query to a contract.
pub(crate) fn add(contract: &mut Contract, name: &str, limit_ms: f64, sql: &str) {
    let mut query = contract.model.queries[0].clone();
    name.clone_into(&mut query.name);
    query.sla = Some(Sla { p95_ms: limit_ms, per_second: 5.0 });
    contract.model.queries.push(query);
    contract.query_sql.push(QuerySql { statement: sql.to_owned(), sample: None });
}

/// A short measurement.
pub(crate) const SPAN: Span = Span {
    warm_up: Duration::from_millis(500),
    measured: Duration::from_secs(4),
    drain: Duration::from_secs(6),
};

/// Loads the contract's queries at `url` and gives what was found.
pub(crate) async fn found(contract: &Contract, url: &str) -> Found {
    let bench = bench(contract, url).await;
    load::queries::measure(&bench).await.unwrap()
}

/// A bench that nobody stops and nobody watches.
pub(crate) async fn bench<'a>(contract: &'a Contract, url: &str) -> Bench<'a> {
    let config = Config::from_url(url).unwrap();
    Bench {
        contract,
        server: catalog::server_facts(&config, contract).await.unwrap(),
        config,
        profile: Profile::Quick,
        span: SPAN,
        seed: 7,
        writes: Writes::Scratch,
        pgbench: None,
        stop: watch::channel(false).1,
        progress: &|_: &Progress| (),
    }
}

/// What the evidence says about one figure.
pub(crate) fn judged(contract: &Contract, found: &Found, figure: &str) -> Judgement {
    let id = format!("load.{figure}");
    let claims = load::plan_of(contract, &Test::ALL);
    let claim = claims.iter().find(|claim| claim.id == id).unwrap();
    let evidence: Vec<Evidence> =
        found.evidence.iter().filter(|evidence| evidence.claim == id).cloned().collect();
    judge_all(claim, &evidence)
}

/// A statistic of the measured evidence of a figure.
pub(crate) fn statistic(found: &Found, figure: &str, name: &str) -> f64 {
    let of_figure = |evidence: &&Evidence| evidence.claim == format!("load.{figure}");
    let measured = found.evidence.iter().filter(of_figure).find_map(|one| match &one.outcome {
        Outcome::Measured { statistics, .. } => Some(statistics),
        _ => None,
    });
    measured.unwrap().iter().find(|(found, _)| found == name).unwrap().1
}

/// An empty database on the server that all tests share.
pub(crate) fn database() -> TestDatabase {
    TestDatabase::empty().unwrap()
}

/// The last six whole days of Greeks of fifty instruments, every ten seconds one; a retention policy
/// would drop older ones at any moment.
const ROWS: &str = r#"
    INSERT INTO signal_greeks (signal_id, instrument_key, "timestamp", delta, gamma, theta, vega, rho,
        implied_volatility, theoretical_value, underlying_price, strike_price, time_to_expiry)
    SELECT 'signal_20250102_' || lpad(n::text, 6, '0'), 'NSE@STOCK' || n % 50 || '@EQ',
        date_trunc('day', now()) - INTERVAL '6 days' + n * INTERVAL '10 seconds', 0.5 + n % 100 / 1000.0, 0.01,
        -3.25, 12.5, 0.25, 0.2, 104.5 + n % 7, 2500 + n % 13, 2400, 0.1
    FROM generate_series(0, 6 * 8640 - 1) AS n;
    ANALYZE signal_greeks
"#;

/// A migrated database with rows.
pub(crate) fn migrated(contract: &Contract) -> TestDatabase {
    let prepare = |url: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut client = pg_session::connect(&Config::from_url(url)?).await?;
            let options = migrate::Options::default();
            migrate::up(&mut client, contract, None, &options, &|_| ()).await?;
            client.batch_execute(ROWS).await?;
            Ok(())
        })
    };
    std::thread::scope(|scope| {
        let name = format!("load_{}", &contract.digest[..16]);
        scope.spawn(move || TestDatabase::copy_of(&name, prepare).unwrap()).join().unwrap()
    })
}
