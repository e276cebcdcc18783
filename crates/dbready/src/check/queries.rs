//! Queries: the server prepares each of them, with the contract's types, and plans it as promised.

use super::stage::Stage;
use super::{Check, compared, evidence};
use crate::catalog::{
    EXPLAIN, Look, Observation, PlanFacts, QueryObservation, Refusal, Run, Signature,
};
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Plan, Query, Table};
use crate::evidence::{Evidence, Finding, Outcome};

pub(super) const CHECK: Check = Check {
    id: "queries",
    summary: "every query is prepared by the server, with its types, and planned as promised",
    needs_rows: true,
    plan,
    examine,
};

/// Area of the claims about queries.
const AREA: &str = "query_contracts";

/// Size up to which the planner may well prefer reading a table whole: 16 pages.
const SMALL: u64 = 16 * 8_192;

/// Chunks below which a short range may well touch all: one at each end and one between.
const FEW: u64 = 4;

/// One statement about a query.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Prepares,
    Parameters,
    Result,
    Plan(&'a Plan),
}

impl<'a> Part<'a> {
    /// The parts that a query's contract speaks of.
    fn of(query: &'a Query) -> impl Iterator<Item = Self> {
        [
            Some(Self::Prepares),
            Some(Self::Parameters),
            Some(Self::Result),
            query.plan.as_ref().map(Self::Plan),
        ]
        .into_iter()
        .flatten()
    }

    fn claim(self, query: &Query) -> Claim {
        let name = &query.name;
        let (word, severity, statement) = match self {
            Self::Prepares => {
                ("prepares", Severity::Critical, format!("the server prepares `{name}`"))
            }
            Self::Parameters => (
                "parameters",
                Severity::Critical,
                format!("`{name}` takes its {}", counted(query.parameters.len(), "parameter")),
            ),
            Self::Result => (
                "result",
                Severity::Critical,
                format!("`{name}` returns its {}", counted(query.results.len(), "column")),
            ),
            Self::Plan(_) => (
                "plan",
                Severity::Major,
                format!("`{name}` is planned with its index on the data that are there"),
            ),
        };
        Claim::new(format!("query.{name}.{word}"), AREA, severity, statement)
    }

    fn method(self) -> String {
        match self {
            Self::Prepares | Self::Parameters => "PREPARE".to_owned(),
            Self::Result => "PREPARE, and one run with sampled parameters".to_owned(),
            Self::Plan(_) => format!("{EXPLAIN} with sampled parameters"),
        }
    }

    /// The files whose statements are run for it.
    fn statements(self, query: &Query) -> impl Iterator<Item = &String> {
        let samples = matches!(self, Self::Result | Self::Plan(_));
        std::iter::once(&query.file).chain(query.sample.as_ref().filter(|_| samples))
    }
}

fn counted(n: usize, word: &str) -> String {
    if n == 1 { format!("one {word}") } else { format!("{n} {word}s") }
}

fn plan(contract: &Contract) -> Vec<Claim> {
    let queries = contract.model.queries.iter();
    queries.flat_map(|query| Part::of(query).map(|part| part.claim(query))).collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    let mut all = Vec::new();
    for (query, seen) in contract.model.queries.iter().zip(&observation.queries) {
        for part in Part::of(query) {
            let look = look(&stage, query, seen, part);
            let ran = part.statements(query);
            all.push(evidence(part.claim(query).id, &part.method(), look).by(ran));
        }
    }
    all
}

fn look(
    stage: &Stage<'_>,
    query: &Query,
    seen: &QueryObservation,
    part: Part<'_>,
) -> Result<Outcome, String> {
    stage.still()?;
    let signature = match &seen.signature {
        Ok(signature) => signature,
        Err(refusal) => return refused(stage, query, refusal, part),
    };
    match part {
        Part::Prepares => Ok(compared(1, "prepared", Vec::new())),
        Part::Parameters => Ok(parameters(query, signature)),
        Part::Result => Ok(results(query, signature, &seen.run)),
        Part::Plan(plan) => planned(stage.contract(), query, plan, &seen.plan),
    }
}

/// A statement that the server does not prepare refutes one claim; the others hang on it.
fn refused(
    stage: &Stage<'_>,
    query: &Query,
    refusal: &Refusal,
    part: Part<'_>,
) -> Result<Outcome, String> {
    let own = &stage.contract().model.service.version;
    if stage.version() < own {
        let found = stage.version();
        return Err(format!("the database is at version {found}; the query belongs to {own}"));
    }
    if refusal.is_circumstance() {
        return Err(format!("the server refused to prepare it for this role: {}", refusal.message));
    }
    if !matches!(part, Part::Prepares) {
        return Err(format!("the server does not prepare it: {}", refusal.message));
    }
    let finding = Finding {
        object: query.name.clone(),
        expected: "a statement that the server accepts".to_owned(),
        found: refusal.message.clone(),
        remedy: Some(format!("mend the objects that {} names, or the query itself", query.file)),
    };
    Ok(compared(1, "", vec![finding]))
}

fn parameters(query: &Query, signature: &Signature) -> Outcome {
    let mut findings = Vec::new();
    let (wanted, found) = (query.parameters.len(), signature.parameters.len());
    if wanted != found {
        findings.push(difference(query, counted(wanted, "parameter"), found.to_string()));
    }
    for (at, (parameter, found)) in query.parameters.iter().zip(&signature.parameters).enumerate() {
        if parameter.data_type != *found {
            findings.push(Finding {
                object: format!("{} ${} ({})", query.name, at + 1, parameter.name),
                expected: parameter.data_type.clone(),
                found: found.clone(),
                remedy: None,
            });
        }
    }
    compared(1 + wanted, counted(found, "parameter"), findings)
}

fn results(query: &Query, signature: &Signature, run: &Look<Run>) -> Outcome {
    let mut findings = Vec::new();
    let (wanted, found) = (query.results.len(), signature.results.len());
    if wanted != found {
        findings.push(difference(query, counted(wanted, "column"), found.to_string()));
    }
    for (column, (name, data_type)) in query.results.iter().zip(&signature.results) {
        if column.name != *name || column.data_type != *data_type {
            findings.push(Finding {
                object: format!("{}.{}", query.name, column.name),
                expected: format!("{} {}", column.name, column.data_type),
                found: format!("{name} {data_type}"),
                remedy: None,
            });
        }
    }
    let rows = match run {
        Look::Seen(run) => {
            for (column, nulls) in query.results.iter().zip(&run.nulls) {
                if *nulls > 0 && !column.nullable {
                    findings.push(Finding {
                        object: format!("{}.{}", query.name, column.name),
                        expected: "never null".to_owned(),
                        found: format!("null in {nulls} of {} rows", run.rows),
                        remedy: None,
                    });
                }
            }
            format!("{} rows looked at for nulls", run.rows)
        }
        Look::Refused(refusal) if !refusal.is_circumstance() => {
            findings.push(difference(query, "rows".to_owned(), refusal.message.clone()));
            "it fails".to_owned()
        }
        Look::Refused(refusal) => format!("not run: {}", refusal.message),
        Look::NotLooked(reason) => format!("not run: {reason}"),
    };
    compared(1 + wanted, format!("{}; {rows}", counted(found, "column")), findings)
}

fn difference(query: &Query, expected: String, found: String) -> Finding {
    Finding { object: query.name.clone(), expected, found, remedy: None }
}

fn planned(
    contract: &Contract,
    query: &Query,
    plan: &Plan,
    look: &Look<PlanFacts>,
) -> Result<Outcome, String> {
    let facts = match look {
        Look::Seen(facts) => facts,
        Look::Refused(refusal) => return Err(refusal.message.clone()),
        Look::NotLooked(reason) => return Err(reason.clone()),
    };
    let mut findings = Vec::new();
    let used: Vec<&str> = facts.indexes.iter().map(String::as_str).collect();
    let found = if used.is_empty() { "no index".to_owned() } else { used.join(", ") };
    let mut n = 0;
    if !plan.indexes.is_empty() {
        n += 1;
        if !plan.indexes.iter().any(|index| facts.indexes.contains(index)) {
            let owners = owners(contract, plan);
            let largest = facts
                .scans
                .iter()
                .filter(|scan| owners.contains(&scan.table))
                .max_by_key(|scan| scan.bytes);
            let Some(largest) = largest.filter(|scan| scan.bytes > SMALL) else {
                return Err(format!(
                    "its plan uses {found}, but what it reads of {} is so small that this says \
                     nothing about its index",
                    owners.join(" and ")
                ));
            };
            findings.push(Finding {
                object: query.name.clone(),
                expected: format!("the index {}", plan.indexes.join(" or ")),
                found: format!(
                    "{found}; {} of {} ({} kB)",
                    largest.node,
                    largest.relation,
                    largest.bytes / 1_024
                ),
                remedy: Some(
                    "see that the index exists and is valid, and run ANALYZE on the table"
                        .to_owned(),
                ),
            });
        }
    }
    let mut found = vec![found];
    if plan.chunk_exclusion {
        n += 1;
        if facts.parents.is_empty() {
            return Err("it reads no chunk at all".to_owned());
        }
        for parent in &facts.parents {
            let share = format!("{} of {} chunks", parent.read, parent.children);
            if parent.read >= parent.children && parent.children < FEW {
                return Err(format!(
                    "it reads {share} of {}: of so few, its range may touch each",
                    parent.table
                ));
            }
            if parent.read >= parent.children {
                findings.push(Finding {
                    object: query.name.clone(),
                    expected: format!("some chunks of {} left out", parent.table),
                    found: format!("it reads {share}"),
                    remedy: Some(
                        "compare the time column with the parameters themselves, and sample a \
                         range shorter than the data"
                            .to_owned(),
                    ),
                });
            }
            found.push(format!("{share} of {}", parent.table));
        }
    }
    Ok(compared(n, found.join(", "), findings))
}

/// The tables of the indexes that a plan may use, as `schema.name`.
fn owners(contract: &Contract, plan: &Plan) -> Vec<String> {
    let owns = |table: &&Table| {
        let mut names = table.indexes.iter().map(|index| &index.name);
        let mut of_constraints = table.constraints.iter().map(|one| &one.name);
        names.any(|name| plan.indexes.contains(name))
            || of_constraints.any(|name| plan.indexes.contains(name))
    };
    let tables = contract.model.tables.iter().filter(owns);
    tables.map(|table| format!("{}.{}", table.schema, table.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{refuted, unproven};
    use super::*;
    use crate::catalog::{Parent, Scan};
    use pg_session::Class;

    fn plan_of(seen: &mut Observation) -> &mut PlanFacts {
        match &mut seen.queries[0].plan {
            Look::Seen(facts) => facts,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(class: Class) -> Refusal {
        Refusal { sqlstate: "42703".to_owned(), message: "no such column".to_owned(), class }
    }

    #[test]
    fn a_statement_that_is_not_prepared_refutes_one_claim() {
        let broken = |seen: &mut Observation| {
            seen.queries[0].signature = Err(refusal(Class::Drift));
        };
        assert_eq!(refuted(broken), ["query.latest.prepares"]);
        let others = ["query.latest.parameters", "query.latest.result", "query.latest.plan"];
        assert_eq!(unproven(broken), others);
    }

    #[test]
    fn a_role_that_may_not_look_proves_nothing() {
        let denied = |seen: &mut Observation| {
            seen.queries[0].signature = Err(refusal(Class::Privilege));
        };
        assert_eq!(refuted(denied), [""; 0]);
        assert_eq!(unproven(denied).len(), 4);
    }

    #[test]
    fn a_query_of_a_later_version_is_unproven() {
        let behind = |seen: &mut Observation| {
            seen.snapshot.versions.as_mut().unwrap().pop();
            seen.snapshot.migrations.as_mut().unwrap().pop();
            seen.queries[0].signature = Err(refusal(Class::Drift));
        };
        assert!(!refuted(behind).iter().any(|id| id.starts_with("query.")));
    }

    #[test]
    fn other_types_names_and_numbers_are_found() {
        type Change = fn(&mut Signature);
        let changes: [(&str, Change); 5] = [
            ("query.latest.parameters", |found| found.parameters[0] = "integer".to_owned()),
            ("query.latest.parameters", |found| found.parameters.clear()),
            ("query.latest.result", |found| found.results[1].1 = "numeric".to_owned()),
            ("query.latest.result", |found| found.results[1].0 = "val".to_owned()),
            ("query.latest.result", |found| drop(found.results.pop())),
        ];
        for (claim, change) in changes {
            let other = |seen: &mut Observation| {
                change(seen.queries[0].signature.as_mut().unwrap());
            };
            assert_eq!(refuted(other), [claim]);
        }
    }

    #[test]
    fn nulls_and_failures_of_a_run_are_found() {
        let null = |seen: &mut Observation| {
            seen.queries[0].run = Look::Seen(Run { rows: 7, nulls: vec![1, 0] });
        };
        assert_eq!(refuted(null), ["query.latest.result"]);
        let fails =
            |seen: &mut Observation| seen.queries[0].run = Look::Refused(refusal(Class::Data));
        assert_eq!(refuted(fails), ["query.latest.result"]);
    }

    #[test]
    fn another_plan_counts_only_where_the_table_is_large() {
        let scan_of = |table: &str, bytes| Scan {
            relation: table.to_owned(),
            table: table.to_owned(),
            node: "Seq Scan".to_owned(),
            bytes,
        };
        let scan = |bytes| scan_of("public.readings", bytes);
        let large = |seen: &mut Observation| {
            let facts = plan_of(seen);
            facts.indexes = ["readings_at_idx".to_owned()].into();
            facts.scans = vec![scan(SMALL + 1)];
        };
        assert_eq!(refuted(large), ["query.latest.plan"]);
        let small = |seen: &mut Observation| {
            let facts = plan_of(seen);
            facts.indexes.clear();
            facts.scans = vec![scan(SMALL)];
        };
        assert_eq!(unproven(small), ["query.latest.plan"]);
        let beside = |seen: &mut Observation| {
            let facts = plan_of(seen);
            facts.indexes = ["other_pkey".to_owned()].into();
            facts.scans = vec![scan(SMALL), scan_of("public.other", 100 * SMALL)];
        };
        assert_eq!(unproven(beside), ["query.latest.plan"]);
    }

    #[test]
    fn chunks_must_be_left_out_where_there_are_several() {
        let of = |read, children| {
            move |seen: &mut Observation| {
                plan_of(seen).parents =
                    vec![Parent { table: "public.readings".to_owned(), read, children }];
            }
        };
        assert_eq!(refuted(of(4, 4)), ["query.latest.plan"]);
        assert_eq!(unproven(of(3, 4)), [""; 0]);
        assert_eq!(unproven(of(1, 2)), [""; 0]);
        for few in 1..4 {
            assert_eq!(unproven(of(few, few)), ["query.latest.plan"]);
        }
    }
}
