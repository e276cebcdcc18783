//! Data: the rows themselves keep the contract's formats, ranges, decimal places, instants and JSON
//! objects.

use super::stage::Stage;
use super::{Check, compared, evidence};
use crate::catalog::{Look, Observation, TRY_FORMAT, Values};
use crate::claim::{Claim, Severity, Target};
use crate::contract::{Contract, DataClause, Format, Range, Rule, data_clauses};
use crate::evidence::{Evidence, Finding, Outcome};

pub(super) const CHECK: Check = Check {
    id: "data",
    summary: "the rows keep the contract's formats, ranges, decimal places, instants and JSON objects",
    needs_rows: true,
    plan,
    examine,
};

/// Area of the claims about values.
pub(super) const AREA: &str = "data_formats";

fn plan(contract: &Contract) -> Vec<Claim> {
    let formats = contract.model.formats.iter().map(agreement);
    formats.chain(data_clauses(contract).iter().map(claim)).collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    let data = &observation.data;
    let mut all: Vec<Evidence> = contract
        .model
        .formats
        .iter()
        .zip(&data.formats)
        .map(|(format, tried)| {
            let id = agreement(format).id;
            evidence(id, "examples matched by the server", agrees(format, tried)).by([TRY_FORMAT])
        })
        .collect();
    for clause in data_clauses(contract) {
        let id = clause.id();
        let seen = data.clauses.get(&id);
        let method = match seen {
            Some(Look::Seen(Values { estimate: Some(_), .. })) => "sample of the rows",
            _ => "scan of all rows",
        };
        let scan = data.scans.get(&id);
        all.push(evidence(id, method, look(&stage, &clause, seen)).by(scan));
    }
    all
}

/// The claim that the server's idea of a pattern is the contract's.
fn agreement(format: &Format) -> Claim {
    let statement = format!(
        "the server's regular expressions take the examples of `{}` and refuse its counterexamples",
        format.name
    );
    Claim::new(format!("format.{}.agrees", format.name), AREA, Severity::Major, statement)
}

fn agrees(format: &Format, tried: &Look<Vec<bool>>) -> Result<Outcome, String> {
    let object = format!("format {}", format.name);
    let answers = match tried {
        Look::Seen(answers) => answers,
        Look::Refused(refusal) if !refusal.is_circumstance() => {
            let refused = Finding {
                object,
                expected: "a pattern that the server reads".to_owned(),
                found: refusal.message.clone(),
                remedy: None,
            };
            return Ok(compared(1, "", vec![refused]));
        }
        Look::Refused(refusal) => return Err(refusal.message.clone()),
        Look::NotLooked(reason) => return Err(reason.clone()),
    };
    let wanted = std::iter::repeat_n(true, format.examples.len())
        .chain(std::iter::repeat_n(false, format.counterexamples.len()));
    let texts = format.examples.iter().chain(&format.counterexamples);
    let words = |matched| if matched { "a match" } else { "no match" };
    let findings =
        texts.zip(wanted).zip(answers).filter(|((_, wanted), found)| wanted != *found).map(
            |((text, wanted), found)| Finding {
                object: format!("{object}: {text:?}"),
                expected: words(wanted).to_owned(),
                found: words(*found).to_owned(),
                remedy: None,
            },
        );
    Ok(compared(answers.len(), format!("{} texts as expected", answers.len()), findings.collect()))
}

fn claim(clause: &DataClause<'_>) -> Claim {
    let column = format!("`{}.{}`", clause.table.spoken_name(), clause.column.name);
    let statement = format!("every value of {column} {}", rule_words(&clause.rule));
    Claim {
        target: Target::NoneWrong { unit: "values".to_owned() },
        ..Claim::new(clause.id(), AREA, Severity::Critical, statement)
    }
}

/// The rule as the end of a sentence about a value.
fn rule_words(rule: &Rule<'_>) -> String {
    match rule {
        Rule::Format(format) => format!("has the format `{}`: {}", format.name, format.meaning),
        Rule::Range(range) => format!("lies in {}", interval(range)),
        Rule::Precision(precision) => format!("has at most {} decimal places", precision.scale),
        Rule::Instant => "is a finite instant".to_owned(),
        Rule::JsonObject => "is a JSON object and never null".to_owned(),
    }
}

/// A range in the notation of intervals: `[0, 5]`, `(0, ∞)`.
fn interval(range: &Range) -> String {
    let low = match (range.min, range.above) {
        (Some(min), _) => format!("[{min}"),
        (None, Some(above)) => format!("({above}"),
        (None, None) => "(-∞".to_owned(),
    };
    let high = match (range.max, range.below) {
        (Some(max), _) => format!("{max}]"),
        (None, Some(below)) => format!("{below})"),
        (None, None) => "∞)".to_owned(),
    };
    format!("{low}, {high}")
}

fn look(
    stage: &Stage<'_>,
    clause: &DataClause<'_>,
    seen: Option<&Look<Values>>,
) -> Result<Outcome, String> {
    stage.table(clause.table)?;
    stage.expects(clause.column.since.as_ref(), clause.column.until.as_ref())?;
    let values = match seen {
        Some(Look::Seen(values)) => values,
        Some(Look::Refused(refusal)) => return Err(refusal.message.clone()),
        Some(Look::NotLooked(reason)) => return Err(reason.clone()),
        None => return Err("its rows were not looked at".to_owned()),
    };
    let object = format!("{}.{}.{}", clause.table.schema, clause.table.name, clause.column.name);
    let expected = rule_words(&clause.rule);
    let findings = values.examples.iter().map(|example| {
        let shown = example.value.as_ref().map_or("null".to_owned(), |text| format!("{text:?}"));
        Finding {
            object: if example.key.is_empty() {
                object.clone()
            } else {
                format!("{object} of row {}", example.key)
            },
            expected: expected.clone(),
            found: shown,
            remedy: Some(format!("correct or delete the rows of: {}", values.listing)),
        }
    });
    Ok(Outcome::Counted {
        trials: values.looked_at,
        population: values.estimate.or(Some(values.looked_at)),
        wrong: values.wrong,
        findings: findings.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{refuted, unproven};
    use super::*;
    use crate::catalog::Refusal;
    use pg_session::Class;

    const CLAIM: &str = "range.value.readings.value";

    fn with(change: impl Fn(&mut Values)) -> impl Fn(&mut Observation) {
        move |seen| match seen.data.clauses.get_mut(CLAIM) {
            Some(Look::Seen(values)) => change(values),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_wrong_value_refutes() {
        assert_eq!(refuted(with(|values| values.wrong = 1)), [CLAIM]);
    }

    #[test]
    fn no_value_and_a_small_sample_settle_nothing() {
        let none = with(|values| values.looked_at = 0);
        assert_eq!(unproven(none), [CLAIM]);
        let few = with(|values| {
            values.looked_at = 100;
            values.estimate = Some(1_000_000);
        });
        assert_eq!(unproven(few), [CLAIM]);
        let enough = with(|values| {
            values.looked_at = 1_000;
            values.estimate = Some(1_000_000);
        });
        assert_eq!(unproven(enough), [""; 0]);
    }

    #[test]
    fn a_table_that_cannot_be_read_settles_nothing() {
        let denied = |seen: &mut Observation| {
            let refusal = Refusal {
                sqlstate: "42501".to_owned(),
                message: "permission denied".to_owned(),
                class: Class::Privilege,
            };
            seen.data.clauses.insert(CLAIM.to_owned(), Look::Refused(refusal));
        };
        assert_eq!((refuted(denied).len(), unproven(denied)), (0, vec![CLAIM.to_owned()]));
    }

    #[test]
    fn a_pattern_that_the_server_reads_otherwise_is_found() {
        let otherwise = |seen: &mut Observation| {
            seen.data.formats[0] = Look::Seen(vec![true, true]);
        };
        assert_eq!(refuted(otherwise), ["format.sensor.agrees"]);
    }

    #[test]
    fn ranges_are_written_as_intervals() {
        let range = |min, above, max, below| Range {
            name: String::new(),
            meaning: String::new(),
            min,
            above,
            max,
            below,
            columns: Vec::new(),
        };
        assert_eq!(interval(&range(Some(0.0), None, Some(5.5), None)), "[0, 5.5]");
        assert_eq!(interval(&range(None, Some(0.0), None, None)), "(0, ∞)");
        assert_eq!(interval(&range(None, None, None, Some(1.0))), "(-∞, 1)");
    }
}
