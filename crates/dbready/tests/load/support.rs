//! A contract with one query, loaded on a database of the test's own.

use std::time::Duration;

use dbready::contract::{Contract, Figure, QuerySql, Sla, source};
use dbready::evidence::{Evidence, Outcome};
use dbready::load::generator::Span;
use dbready::load::{self, Bench, Found, Profile, Progress, Test, Writes};
use dbready::verdict::{Judgement, judge_all};
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

/// A short measurement.
pub(crate) const SPAN: Span = Span {
    warm_up: Duration::from_millis(500),
    measured: Duration::from_secs(4),
    drain: Duration::from_secs(6),
};

/// Loads the contract's queries at `url` and gives what was found.
pub(crate) async fn found(contract: &Contract, url: &str) -> Found {
    let bench = bench(contract, url);
    load::queries::measure(&bench).await.unwrap()
}

/// A bench that nobody stops and nobody watches.
pub(crate) fn bench<'a>(contract: &'a Contract, url: &str) -> Bench<'a> {
    Bench {
        contract,
        config: Config::from_url(url).unwrap(),
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
