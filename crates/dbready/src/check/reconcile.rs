//! Reconciliation: what rollups and continuous aggregates hold is what their rows add up to.

use super::stage::{Stage, claimed};
use super::{Check, evidence};
use crate::catalog::{Difference, Look, Observation, Reconciliation, comparison_name};
use crate::claim::{Claim, Severity, Target};
use crate::contract::{Contract, Rollup};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::verdict::MIN_SAMPLE;

pub(super) const CHECK: Check = Check {
    id: "reconcile",
    summary: "rollups and aggregates hold what their rows add up to",
    needs_rows: true,
    plan,
    examine,
};

/// Area of the claims about rollups: queries are served from them.
const AREA: &str = "query_contracts";

const METHOD: &str = "both statements over the same window in one";

fn id(rollup: &Rollup) -> String {
    format!("reconcile.{}", rollup.name)
}

/// The rollups that the contract's own version has, each with its place.
fn all(contract: &Contract) -> impl Iterator<Item = (usize, &Rollup)> {
    let all = contract.model.rollups.iter().enumerate();
    all.filter(|(_, one)| claimed(contract, one.since.as_ref(), one.until.as_ref()))
}

fn plan(contract: &Contract) -> Vec<Claim> {
    all(contract)
        .map(|(_, rollup)| {
            let statement = format!(
                "every bucket of `{}` holds what the rows of `{}` add up to",
                rollup.name, rollup.source
            );
            Claim {
                weight: 3.0,
                target: Target::NoneWrong { unit: "buckets".to_owned() },
                ..Claim::new(id(rollup), AREA, Severity::Critical, statement)
            }
        })
        .collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    all(contract)
        .map(|(at, rollup)| {
            let seen = observation.rollups.get(at);
            let name = comparison_name(&rollup.name);
            let ran = observation.statements.contains_key(&name).then_some(name);
            evidence(id(rollup), METHOD, look(&stage, rollup, seen)).by(ran)
        })
        .collect()
}

fn look(
    stage: &Stage<'_>,
    rollup: &Rollup,
    seen: Option<&Look<Reconciliation>>,
) -> Result<Outcome, String> {
    stage.expects(rollup.since.as_ref(), rollup.until.as_ref())?;
    stage.edition(rollup.edition)?;
    let found = match seen {
        Some(Look::Seen(found)) => found,
        Some(Look::Refused(refusal)) => return Err(refusal.message.clone()),
        Some(Look::NotLooked(reason)) => return Err(reason.clone()),
        None => return Err("it was not looked at".to_owned()),
    };
    if found.buckets == 0 {
        return Err("no bucket is held: none was computed yet, or all are marked to be computed \
                    anew; the service's refresh does that"
            .to_owned());
    }
    let sampled = found.windows.is_some();
    if sampled && found.wrong == 0 && found.buckets < MIN_SAMPLE {
        return Err(format!("{} buckets are too few; {MIN_SAMPLE} are needed", found.buckets));
    }
    // Nobody counted the buckets outside the windows.
    let population = (!sampled).then_some(found.buckets);
    Ok(Outcome::Counted {
        trials: found.buckets,
        population,
        wrong: found.wrong,
        findings: found.examples.iter().map(|one| difference(rollup, one)).collect(),
    })
}

fn difference(rollup: &Rollup, one: &Difference) -> Finding {
    let row = one.row.clone();
    let (expected, found) = if one.raw {
        (row, "no such bucket is held".to_owned())
    } else {
        (format!("no such bucket: the rows of {} add up to another", rollup.source), row)
    };
    Finding { object: rollup.name.clone(), expected, found, remedy: rollup.mend.clone() }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{refuted, remedies, unproven};
    use super::*;
    use crate::catalog::Refusal;
    use pg_session::Class;

    const CLAIM: &str = "reconcile.readings_hourly";

    fn seen(found: Reconciliation) -> impl FnOnce(&mut Observation) {
        |seen| seen.rollups[0] = Look::Seen(found)
    }

    #[test]
    fn one_bucket_that_differs_refutes() {
        let wrong = Reconciliation {
            buckets: 10_000,
            wrong: 1,
            examples: [true, false].map(|raw| Difference { raw, row: "{}".to_owned() }).into(),
            ..Reconciliation::default()
        };
        assert_eq!(refuted(seen(wrong.clone())), [CLAIM]);
        assert_eq!(remedies(CLAIM, seen(wrong)), ["refresh it", "refresh it"]);
    }

    #[test]
    fn without_buckets_and_with_few_nothing_is_proven() {
        for (buckets, windows) in [(0, None), (298, Some(3))] {
            let few = Reconciliation { buckets, windows, ..Reconciliation::default() };
            assert_eq!(unproven(seen(few)), [CLAIM], "{buckets}");
        }
    }

    #[test]
    fn what_was_not_compared_is_unproven() {
        let refusal = Refusal {
            sqlstate: "42703".to_owned(),
            message: "no such column".to_owned(),
            class: Class::Drift,
        };
        assert_eq!(unproven(|seen| seen.rollups[0] = Look::Refused(refusal)), [CLAIM]);
        let not_looked = Look::NotLooked("the table is missing".to_owned());
        assert_eq!(unproven(|seen| seen.rollups[0] = not_looked), [CLAIM]);
        assert_eq!(unproven(|seen| seen.rollups.clear()), [CLAIM]);
    }
}
