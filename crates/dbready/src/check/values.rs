//! Values: what is sent as a parameter comes back as it was sent, and stays a value.

use super::stage::Stage;
use super::{Check, compared, data, evidence};
use crate::catalog::{CLASSES, Look, Observation, RoundTrip};
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Query};
use crate::evidence::{Evidence, Finding, Outcome};

pub(super) const CHECK: Check = Check {
    id: "values",
    summary: "hostile values sent as parameters come back verbatim and select nothing",
    needs_rows: true,
    plan,
    examine,
};

const QUERIES: &str = "value.queries";

fn plan(contract: &Contract) -> Vec<Claim> {
    let claim = |id, statement| Claim::new(id, data::AREA, Severity::Critical, statement);
    let classes =
        CLASSES.iter().map(|class| claim(format!("value.{}", class.name), class.statement));
    let queries = claim(
        QUERIES.to_owned(),
        "hostile texts in the parameters of the queries select no row and break nothing",
    );
    let queries = is_reached(contract).then_some(queries);
    classes.chain(queries).collect()
}

/// Whether hostile texts can be tried: in a query that returns rows, takes texts, and says where values of
/// its other parameters are.
fn is_reached(contract: &Contract) -> bool {
    let is_text = |kind: &str| {
        ["text", "name", "character"].contains(&kind) || kind.starts_with("character varying")
    };
    let tried = |query: &Query| {
        let takes = query.parameters.iter().any(|one| is_text(&one.data_type));
        query.sample.is_some() && takes && !query.results.is_empty()
    };
    contract.model.queries.iter().any(tried)
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let mut all: Vec<Evidence> = CLASSES
        .iter()
        .zip(&observation.values)
        .map(|(class, trips)| {
            let id = format!("value.{}", class.name);
            evidence(id, "parameters sent and read back", Ok(round_trips(trips))).by([class.trip()])
        })
        .collect();
    if !is_reached(contract) {
        return all;
    }
    let stage = Stage::of(contract, observation);
    let method = "queries run with hostile parameters";
    let files = contract.model.queries.iter().zip(&observation.queries);
    let ran =
        files.filter(|(_, seen)| matches!(&seen.hostile, Look::Seen(runs) if !runs.is_empty()));
    let ran = ran.map(|(query, _)| &query.file);
    all.push(evidence(QUERIES.to_owned(), method, queries(&stage)).by(ran));
    all
}

fn round_trips(trips: &[RoundTrip]) -> Outcome {
    let findings = trips.iter().filter(|trip| !trip.kept).map(|trip| Finding {
        object: format!("parameter {}", trip.sent),
        expected: trip.expected.unwrap_or("the same value").to_owned(),
        found: trip.answer.clone(),
        remedy: None,
    });
    compared(trips.len(), format!("{} values kept", trips.len()), findings.collect())
}

fn queries(stage: &Stage<'_>) -> Result<Outcome, String> {
    stage.still()?;
    let mut n = 0;
    let mut findings = Vec::new();
    let observed = &stage.observation().queries;
    for (query, seen) in stage.contract().model.queries.iter().zip(observed) {
        let Look::Seen(runs) = &seen.hostile else { continue };
        for run in runs {
            let found = match &run.rows {
                Ok(0) => {
                    n += 1;
                    continue;
                }
                Ok(rows) => format!("{rows} rows"),
                Err(refusal) if refusal.is_circumstance() => continue,
                Err(refusal) => refusal.message.clone(),
            };
            n += 1;
            findings.push(Finding {
                object: format!("{} with ${} = {:?}", query.name, run.parameter, run.text),
                expected: "no row".to_owned(),
                found,
                remedy: Some(format!("see that {} never makes SQL out of a value", query.file)),
            });
        }
    }
    if n == 0 {
        return Err("no query with a text parameter could be run".to_owned());
    }
    Ok(compared(n, format!("{n} runs without a row"), findings))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{refuted, unproven};
    use super::*;
    use crate::catalog::{HostileRun, Refusal};
    use pg_session::Class;

    fn run(rows: Result<u64, Refusal>) -> impl Fn(&mut Observation) {
        move |seen| {
            let run = HostileRun { parameter: 1, text: "' OR '1'='1", rows: rows.clone() };
            seen.queries[0].hostile = Look::Seen(vec![run]);
        }
    }

    fn refusal(class: Class) -> Refusal {
        Refusal { sqlstate: "42601".to_owned(), message: "syntax error".to_owned(), class }
    }

    #[test]
    fn a_value_that_changes_on_the_way_is_found() {
        let changed = |seen: &mut Observation| seen.values[0][0].kept = false;
        assert_eq!(refuted(changed), ["value.quotes"]);
    }

    #[test]
    fn a_hostile_text_that_selects_or_breaks_something_is_found() {
        assert_eq!(refuted(run(Ok(1))), [QUERIES]);
        assert_eq!(refuted(run(Err(refusal(Class::Bug)))), [QUERIES]);
        assert_eq!(refuted(run(Ok(0))), [""; 0]);
    }

    #[test]
    fn nothing_is_claimed_where_no_hostile_text_can_be_tried() {
        let claims = |change: fn(&mut Query)| {
            let mut contract = super::super::fixture::contract();
            change(&mut contract.model.queries[0]);
            plan(&contract).iter().filter(|claim| claim.id == QUERIES).count()
        };
        assert_eq!(claims(|_| ()), 1);
        assert_eq!(claims(|query| query.sample = None), 0);
        assert_eq!(claims(|query| query.results.clear()), 0);
        assert_eq!(claims(|query| query.parameters[0].data_type = "bigint".to_owned()), 0);
    }

    #[test]
    fn queries_that_cannot_be_run_settle_nothing() {
        assert_eq!(unproven(run(Err(refusal(Class::Privilege)))), [QUERIES]);
    }
}
