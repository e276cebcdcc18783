//! Figures whose statement the contract names.

use dbready::contract::{Contract, LeastProfile, Workload};
use dbready::load::{Bench, Writes, statements};
use dbready::verdict::{Judgement, Status};

use crate::support::{Load, bench, database, judged};

const FIGURE: &str = "queries.loaded";

/// A contract whose figure is at least twice the time of `against` over that of `statement`.
fn contract(statement: &str, against: &str, prepare: Option<&str>) -> Contract {
    let load = Load { sql: "SELECT 1", per_second: 1.0, limit_ms: 1.0, connections: 2 };
    let mut contract = load.contract();
    let figure = contract.model.figures.iter_mut().find(|figure| figure.name == FIGURE).unwrap();
    "ratio".clone_into(&mut figure.statistic);
    "×".clone_into(&mut figure.unit);
    (figure.at_most, figure.at_least) = (None, Some(2.0));
    figure.workload = Some(Workload {
        meaning: "two statements in turns".to_owned(),
        prepare: prepare.map(|_| "prepare.sql".to_owned()),
        statement: "statement.sql".to_owned(),
        parameters: Some("parameters.sql".to_owned()),
        against: Some("against.sql".to_owned()),
        profile: LeastProfile::Quick,
    });
    let files = [
        ("statement.sql", statement),
        ("against.sql", against),
        ("parameters.sql", "SELECT 7"),
        ("prepare.sql", prepare.unwrap_or_default()),
    ];
    contract.workload_sql = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    contract
}

async fn judge(contract: &Contract, writes: Writes) -> Judgement {
    let database = database();
    let bench = Bench { writes, ..bench(contract, database.url()).await };
    let found = statements::measure(&bench).await.unwrap();
    judged(contract, &found, FIGURE)
}

const FAST: &str = "SELECT $1::integer";
const SLOW: &str = "SELECT $1::integer FROM pg_sleep(0.05)";

#[tokio::test(flavor = "multi_thread")]
async fn the_faster_statement_is_known_by_its_ratio() {
    let judgement = judge(&contract(FAST, SLOW, None), Writes::No).await;
    assert_eq!(judgement.status, Status::Proven, "{judgement:?}");
    let judgement = judge(&contract(SLOW, FAST, None), Writes::No).await;
    assert_eq!(judgement.status, Status::Refuted, "{judgement:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_answer_proves_nothing_however_fast() {
    let wrong = "SELECT $1::integer + 1 FROM pg_sleep(0.05)";
    let judgement = judge(&contract(FAST, wrong, None), Writes::No).await;
    assert_eq!(judgement.status, Status::Unproven, "{judgement:?}");
    assert!(judgement.reason.unwrap().contains("different answers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_runs_on_a_managed_server_only_and_its_failure_is_told() {
    let contract = contract(FAST, SLOW, Some("SELECT nonsense"));
    let judgement = judge(&contract, Writes::Scratch).await;
    assert!(judgement.reason.unwrap().contains("managed server only"));
    let judgement = judge(&contract, Writes::Anywhere).await;
    let reason = judgement.reason.unwrap();
    assert!(reason.contains("its workload fails") && reason.contains("nonsense"), "{reason}");
}
