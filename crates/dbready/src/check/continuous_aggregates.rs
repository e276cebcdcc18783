//! Continuous aggregates: each has its source, bucket, columns and a refresh policy that runs.

use super::hypertables::seconds;
use super::stage::{Stage, claimed};
use super::{Check, SCHEMA, compared, finding, of_snapshot};
use crate::catalog::Observation;
use crate::claim::{Claim, Severity};
use crate::contract::{ContinuousAggregate, Contract, Period};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::{qualified, quote_literal, split_name, spoken_name};

pub(super) const CHECK: Check = Check {
    id: "continuous_aggregates",
    summary: "every continuous aggregate has its source, bucket, columns and a running refresh",
    needs_rows: false,
    plan,
    examine,
};

fn all(contract: &Contract) -> impl Iterator<Item = &ContinuousAggregate> {
    let all = contract.model.continuous_aggregates.iter();
    all.filter(|view| claimed(contract, view.since.as_ref(), None))
}

fn id(view: &ContinuousAggregate) -> String {
    format!("schema.{}", spoken_name(&view.schema, &view.name))
}

fn plan(contract: &Contract) -> Vec<Claim> {
    all(contract)
        .map(|view| {
            let statement = format!(
                "`{}` aggregates `{}` by {}",
                spoken_name(&view.schema, &view.name),
                view.source,
                view.bucket
            );
            Claim { weight: 3.0, ..Claim::new(id(view), SCHEMA, Severity::Critical, statement) }
        })
        .collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    all(contract).map(|view| of_snapshot(id(view), look(&stage, view))).collect()
}

fn look(stage: &Stage<'_>, expected: &ContinuousAggregate) -> Result<Outcome, String> {
    stage.expects(expected.since.as_ref(), None)?;
    stage.edition(expected.edition)?;
    let object = format!("{}.{}", expected.schema, expected.name);
    let snapshot = &stage.observation().snapshot;
    let relation = snapshot.relation(&expected.schema, &expected.name);
    let Some(found) = snapshot.continuous_aggregate(&expected.schema, &expected.name) else {
        let what = relation.map_or("nothing of that name", |relation| relation.kind.words());
        let mend = "run the part of its migration that creates it";
        let missing = finding(object, "a continuous aggregate", what, mend);
        return Ok(compared(1, what, vec![missing]));
    };
    let rebuild = "drop it and run the part of its migration that creates it";
    let mut findings = Vec::new();
    let source = spoken_name(&found.source_schema, &found.source);
    let (schema, table) = split_name(&expected.source);
    if source != spoken_name(schema, table) {
        findings.push(finding(
            &object,
            format!("of {}", expected.source),
            format!("of {source}"),
            rebuild,
        ));
    }
    let bucket = found.bucket_seconds.and_then(|count| u64::try_from(count).ok());
    if bucket != Some(expected.bucket.duration().as_secs()) {
        let width = bucket.map_or_else(|| "unknown".to_owned(), seconds);
        findings.push(finding(
            &object,
            format!("buckets of {}", expected.bucket),
            format!("buckets of {width}"),
            rebuild,
        ));
    }
    if found.materialized_only != expected.materialized_only {
        let words = |only| if only { "materialised rows only" } else { "newest rows too" };
        findings.push(finding(
            &object,
            words(expected.materialized_only),
            words(found.materialized_only),
            format!(
                "ALTER MATERIALIZED VIEW {} SET (timescaledb.materialized_only = {})",
                qualified(&expected.schema, &expected.name),
                expected.materialized_only
            ),
        ));
    }
    let columns: Vec<&str> = relation
        .iter()
        .flat_map(|relation| &relation.columns)
        .map(|column| column.name.as_str())
        .collect();
    if columns != expected.columns {
        findings.push(finding(&object, expected.columns.join(", "), columns.join(", "), rebuild));
    }
    findings.extend(refresh(stage, expected));
    let described = format!("of {source}, {} columns", columns.len());
    Ok(compared(5, described, findings))
}

/// The refresh policy, when the contract has one.
fn refresh(stage: &Stage<'_>, expected: &ContinuousAggregate) -> Option<Finding> {
    let every: Period = expected.refresh_every?;
    let object = format!("{}.{}", expected.schema, expected.name);
    let wanted = format!("a refresh every {every}");
    let snapshot = &stage.observation().snapshot;
    let procedure = "policy_refresh_continuous_aggregate";
    let found = snapshot.policies(procedure, &expected.schema, &expected.name).next();
    let Some(policy) = found else {
        let mend = format!(
            "SELECT add_continuous_aggregate_policy({}, start_offset => NULL, end_offset => INTERVAL {}, \
             schedule_interval => INTERVAL {})",
            quote_literal(&qualified(&expected.schema, &expected.name)),
            quote_literal(&expected.bucket.to_string()),
            quote_literal(&every.to_string()),
        );
        return Some(finding(object, wanted, "no refresh policy", mend));
    };
    let actual = u64::try_from(policy.every_seconds).unwrap_or_default();
    if !policy.scheduled {
        let mend = format!("SELECT alter_job({}, scheduled => true)", policy.job);
        return Some(finding(object, wanted, format!("job {} is paused", policy.job), mend));
    }
    (actual != every.duration().as_secs()).then(|| {
        let mend = format!(
            "SELECT alter_job({}, schedule_interval => INTERVAL {})",
            policy.job,
            quote_literal(&every.to_string())
        );
        finding(object, wanted, format!("a refresh every {}", seconds(actual)), mend)
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{refuted, remedies};
    use super::*;
    use crate::catalog::Timescale;

    const CLAIM: &str = "schema.readings_hourly";

    #[test]
    fn each_property_is_compared() {
        let cases: [fn(&mut Timescale); 6] = [
            |known| known.continuous_aggregates[0].source = "others".to_owned(),
            |known| known.continuous_aggregates[0].bucket_seconds = Some(60),
            |known| known.continuous_aggregates[0].materialized_only = true,
            |known| drop(known.policies.pop()),
            |known| known.policies[2].every_seconds = 60,
            |known| known.policies[2].scheduled = false,
        ];
        for (n, with) in cases.into_iter().enumerate() {
            let change = |seen: &mut Observation| with(seen.snapshot.timescaledb.as_mut().unwrap());
            assert_eq!(refuted(change), [CLAIM], "case {n}");
            assert_eq!(remedies(CLAIM, change).len(), 1, "case {n}");
        }
        let columns = |seen: &mut Observation| drop(seen.snapshot.relations[2].columns.pop());
        assert_eq!(refuted(columns), [CLAIM]);
    }

    #[test]
    fn an_ordinary_view_in_its_place_is_refuted_and_is_no_further_drift() {
        let plain = |seen: &mut Observation| {
            seen.snapshot.timescaledb.as_mut().unwrap().continuous_aggregates.clear();
        };
        assert_eq!(refuted(plain), [CLAIM]);
    }
}
