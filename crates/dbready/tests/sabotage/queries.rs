//! Queries that changed, while the database did not.

use std::collections::BTreeMap;

use dbready::catalog::Options;
use dbready::contract::{Contract, parse};
use dbready::verdict::Status;

use crate::support::{connect, database, ids, judge_by, observe_by, run};

const LATEST: &str = "queries/latest_greeks.sql";
const HISTORY: &str = "queries/historical_greeks.sql";

/// The contract of Signal Service with other text in one of its files.
fn contract_with(file: &str, from: &str, to: &str) -> Contract {
    let mut files: BTreeMap<String, String> = signal_store::CONTRACT
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let text = files.get_mut(file).unwrap();
    assert!(text.contains(from), "{file} does not contain {from}");
    *text = text.replacen(from, to, 1);
    parse(&files).unwrap_or_else(|error| panic!("{error}"))
}

/// Demands exactly these refutations when the contract's text is changed, after a change to the
/// database that refutes nothing by itself.
fn prove(prepare: &str, (file, from, to): (&str, &str, &str), expected: &[&str]) {
    let contract = contract_with(file, from, to);
    let database = database();
    run(async {
        connect(database.url()).await.batch_execute(prepare).await.unwrap();
        let seen = observe_by(&contract, database.url(), &Options::default()).await;
        let judgements = judge_by(&contract, &seen);
        assert_eq!(ids(&judgements, Status::Refuted), expected);
    });
}

#[test]
fn statements_that_the_server_does_not_take() {
    for (from, to) in
        [("delta,", "delta_,"), ("FROM signal_greeks", "FROM greeks"), ("LIMIT", "LIMITED")]
    {
        prove("SELECT 1", (LATEST, from, to), &["query.latest_greeks.prepares"]);
    }
}

#[test]
fn a_column_too_many_and_a_column_too_few() {
    for (from, to) in [("delta,", "delta, created_at,"), ("delta,", "")] {
        prove("SELECT 1", (LATEST, from, to), &["query.latest_greeks.result"]);
    }
}

#[test]
fn columns_in_another_order_and_of_another_type() {
    for (from, to) in [
        ("delta, gamma", "gamma, delta"),
        ("delta,", "delta::float8 AS delta,"),
        ("id,", "id AS key,"),
    ] {
        prove("SELECT 1", (LATEST, from, to), &["query.latest_greeks.result"]);
    }
}

#[test]
fn a_null_where_none_is_promised() {
    let null = ("id, signal_id", "nullif(id, id) AS id, signal_id");
    prove("SELECT 1", (LATEST, null.0, null.1), &["query.latest_greeks.result"]);
}

#[test]
fn a_statement_that_fails_when_it_runs() {
    let fails = ("id, signal_id", "id / (id - id) AS id, signal_id");
    prove("SELECT 1", (LATEST, fails.0, fails.1), &["query.latest_greeks.result"]);
}

#[test]
fn parameters_of_another_type() {
    let change = ("(SELECT $1)", "(SELECT $1::varchar)");
    prove("SELECT 1", (LATEST, change.0, change.1), &["query.latest_greeks.parameters"]);
}

#[test]
fn a_parameter_too_many() {
    // Without as many sampled values as parameters it is neither planned nor run.
    let change = ("(SELECT $1)", "(SELECT $1) AND signal_id <> $2");
    prove("SELECT 1", (LATEST, change.0, change.1), &["query.latest_greeks.parameters"]);
}

#[test]
fn an_expression_that_no_index_serves() {
    let change = ("instrument_key = (SELECT $1)", "lower(instrument_key) = lower($1)");
    prove("SELECT 1", (LATEST, change.0, change.1), &["query.latest_greeks.plan"]);
}

#[test]
fn a_range_that_leaves_no_chunk_out() {
    let change = (
        "\"timestamp\" >= $3 AND \"timestamp\" <= $4",
        "date_trunc('minute', \"timestamp\") >= $3 AND date_trunc('minute', \"timestamp\") <= $4",
    );
    prove("SELECT 1", (HISTORY, change.0, change.1), &["query.historical_greeks.plan"]);
}

#[test]
fn sql_made_out_of_a_value() {
    let careless = r"
        CREATE SCHEMA careless;
        CREATE FUNCTION careless.matches(key text, wanted text) RETURNS boolean
        LANGUAGE plpgsql STABLE AS $$
        DECLARE found boolean;
        BEGIN
            EXECUTE format('SELECT ''%s'' = ''%s''', key, wanted) INTO found;
            RETURN found;
        END $$";
    let change = ("instrument_key = (SELECT $1)", "careless.matches(instrument_key, $1)");
    prove(careless, (LATEST, change.0, change.1), &["query.latest_greeks.plan", "value.queries"]);
}

#[test]
fn a_sample_that_fails_or_finds_nothing_proves_nothing() {
    let sample = "queries/samples/latest_greeks.sql";
    let whole = signal_store::CONTRACT.iter().find(|(name, _)| *name == sample).unwrap().1.trim();
    for other in ["SELECT nothing FROM signal_greeks", "SELECT 'a' WHERE false", "SELECT 1, 2"] {
        let contract = contract_with(sample, whole, other);
        let database = database();
        let seen = run(observe_by(&contract, database.url(), &Options::default()));
        let judgements = judge_by(&contract, &seen);
        assert_eq!(ids(&judgements, Status::Refuted), [""; 0], "{other}");
        assert_eq!(judgements["query.latest_greeks.plan"].status, Status::Unproven, "{other}");
    }
}
