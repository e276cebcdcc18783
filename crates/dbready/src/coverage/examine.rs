//! Evidence for the coverage claims, and what was never exercised.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::execution::{Execution, PathRun, Seen};
use super::module::Modules;
use super::mutants::Mutants;
use super::paths::normal;
use super::plan::{method_claim, module_claim, mutation_claim, path_claim};
use super::report::Report;
use crate::contract::{Contract, Query, Table};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::statistics::share_bound;
use crate::verdict::count;

/// What a coverage run looked at; what is absent was not asked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Coverage reports, merged.
    pub lines: Option<Report>,
    /// Journals, added up.
    pub execution: Option<Execution>,
    /// Outcomes of mutation tests, with how many mutants there are when it is known.
    pub mutants: Option<(Mutants, Option<u64>)>,
}

/// Evidence for every claim that the sources speak of.
///
/// # Errors
///
/// A message when a module of the contract fits several places in the reports.
pub fn examine(contract: &Contract, sources: &Sources) -> Result<Vec<Evidence>, String> {
    let clause = &contract.model.coverage;
    let mut evidence = Vec::new();
    if let Some(report) = &sources.lines {
        for module in Modules::of(report, &clause.modules)?.modules {
            let outcome = match module.lines.percent() {
                None => not_measured("NO DATA: no report speaks of any line of it".to_owned()),
                Some(percent) => Outcome::Measured {
                    n: module.lines.total(),
                    n_needed: 1,
                    value: percent,
                    // Every line was looked at, so nothing is left to chance.
                    bound: percent,
                    unit: "%".to_owned(),
                    statistics: [("functions", module.functions), ("branches", module.branches)]
                        .into_iter()
                        .filter_map(|(name, share)| Some((name.to_owned(), share.percent()?)))
                        .collect(),
                },
            };
            evidence.push(of(module_claim(&module.name), "merged coverage reports", outcome));
        }
    }
    if let Some(execution) = &sources.execution {
        for method in &clause.methods {
            let outcome = method_outcome(contract, execution, method);
            let ran = queries_of(contract, method)
                .filter(|query| execution.statements.contains_key(&query.name));
            let one = of(method_claim(method), "journals of what tests ran", outcome);
            evidence.push(one.by(ran.map(|query| query.file.as_str())));
        }
        for path in &clause.critical_paths {
            let runs = execution.paths.get(&path.name).map(Vec::as_slice).unwrap_or_default();
            let outcome = path_outcome(contract, execution, &path.methods, runs);
            let ran_by = |query: &&Query| {
                let seen = execution.statements.get(&query.name);
                seen.is_some_and(|seen| runs.iter().any(|run| seen.tests.contains(&run.test)))
            };
            let ran = path.methods.iter().flat_map(|method| queries_of(contract, method));
            let one = of(path_claim(&path.name), "journals of what tests ran", outcome);
            evidence.push(one.by(ran.filter(ran_by).map(|query| query.file.as_str())));
        }
    }
    if let (Some((mutants, population)), Some(_)) = (&sources.mutants, clause.mutation_percent) {
        for module in &clause.modules {
            let outcome = mutation_outcome(mutants, *population, module);
            evidence.push(of(mutation_claim(module), "cargo-mutants", outcome));
        }
    }
    Ok(evidence)
}

fn of(claim: String, method: &str, outcome: Outcome) -> Evidence {
    Evidence::new(claim, method, outcome)
}

/// The queries that a method consists of.
fn queries_of<'a>(contract: &'a Contract, method: &'a str) -> impl Iterator<Item = &'a Query> {
    contract.model.queries.iter().filter(move |query| query.method == method)
}

fn not_measured(reason: String) -> Outcome {
    Outcome::NotMeasured { reason }
}

fn runs(seen: Option<&Seen>) -> u64 {
    seen.map_or(0, |seen| seen.n)
}

/// A method has run when all of its queries have, or the session's call of its name.
fn method_outcome(contract: &Contract, execution: &Execution, method: &str) -> Outcome {
    let each: Vec<(&str, u64)> = queries_of(contract, method)
        .map(|query| (query.name.as_str(), runs(execution.statements.get(&query.name))))
        .collect();
    let by_queries = each.iter().map(|(_, n)| *n).min().unwrap_or(0);
    let trials = by_queries.max(runs(execution.calls.get(method)));
    if trials > 0 {
        return Outcome::Counted { trials, population: None, wrong: 0, findings: Vec::new() };
    }
    let missing: Vec<&str> = each.iter().filter(|(_, n)| *n == 0).map(|(name, _)| *name).collect();
    not_measured(if missing.is_empty() {
        format!("no test made the call `{method}` with success")
    } else {
        format!("no test ran {} with success", missing.join(", "))
    })
}

/// Whether a test ran a method: every query of it, or the session's call of its name.
fn ran_in(contract: &Contract, execution: &Execution, run: &PathRun, method: &str) -> bool {
    let mut queries = queries_of(contract, method).peekable();
    let by_queries =
        queries.peek().is_some() && queries.all(|query| execution.ran_in(&run.test, &query.name));
    by_queries || execution.ran_in(&run.test, method)
}

/// A path was followed as often as tests marked it; it is wrong where the mark was never reached, or the
/// test did not run all that the path consists of.
fn path_outcome(
    contract: &Contract,
    execution: &Execution,
    methods: &[String],
    marked: &[PathRun],
) -> Outcome {
    if marked.is_empty() {
        return not_measured("no test follows it".to_owned());
    }
    let (mut trials, mut wrong, mut findings) = (0_u64, 0_u64, Vec::new());
    for run in marked {
        trials = trials.saturating_add(run.n);
        let missing: Vec<&str> = methods
            .iter()
            .map(String::as_str)
            .filter(|method| !ran_in(contract, execution, run, method))
            .collect();
        let found = if !run.held {
            "it broke off".to_owned()
        } else if !missing.is_empty() {
            format!("did not run {}", missing.join(", "))
        } else {
            continue;
        };
        wrong = wrong.saturating_add(run.n);
        findings.push(Finding {
            object: format!("{} in {}", run.test.name, run.test.binary),
            expected: "the whole path, to its end".to_owned(),
            found,
            remedy: None,
        });
    }
    Outcome::Counted { trials, population: None, wrong, findings }
}

fn mutation_outcome(mutants: &Mutants, population: Option<u64>, module: &str) -> Outcome {
    let name = normal(module);
    let mine = mutants.tested.iter().filter(|one| {
        format!("/{}", one.file).contains(&format!("/{name}/")) || one.file.starts_with(&name)
    });
    let (mut n, mut noticed) = (0_u64, 0_u64);
    for mutant in mine {
        n += 1;
        noticed += u64::from(mutant.was_noticed);
    }
    let Some(percent) = super::Share::new(noticed, n).percent() else {
        return not_measured("no mutant of it was tested".to_owned());
    };
    let bound = if population == Some(mutants.tested.len() as u64 + mutants.unviable) {
        percent
    } else {
        // A sample: what the others would show is left to chance.
        (share_bound(noticed, n) * 100.0).min(percent)
    };
    Outcome::Measured {
        n,
        n_needed: 1,
        value: percent,
        bound,
        unit: "%".to_owned(),
        statistics: Vec::new(),
    }
}

/// A page about what tests exercised and, first, what they never did.
#[must_use]
pub fn exercised(contract: &Contract, sources: &Sources) -> String {
    let mut out = String::from("# What tests exercised\n");
    if let Some(execution) = &sources.execution {
        let never = never(contract, execution);
        if never.is_empty() {
            out.push_str(
                "\nEvery query, table, constraint and limit of the contract was exercised.\n",
            );
        }
        for (title, names) in &never {
            let _ = writeln!(out, "\n## {title}\n\n- `{}`", names.join("`\n- `"));
        }
        for (title, map) in [
            ("Queries that ran", &execution.statements),
            ("Calls that ran", &execution.calls),
            ("Constraints that were violated", &execution.constraints),
            ("Limits of time that ended a call", &execution.timeouts),
            ("SQLSTATEs seen", &execution.sqlstates),
            ("Classes of errors seen", &execution.classes),
        ] {
            let _ = write!(out, "\n## {title}\n\n| what | method | times at least | tests |\n");
            out.push_str("|---|---|--:|---|\n");
            for (name, seen) in map {
                let query = contract.model.queries.iter().find(|query| query.name == *name);
                let method = query.map_or("", |query| query.method.as_str());
                let tests: Vec<&str> = seen.tests.iter().map(|test| test.name.as_str()).collect();
                let _ = writeln!(
                    out,
                    "| {} | {method} | {} | {} |",
                    plain(name),
                    seen.n,
                    plain(&shortened(&tests))
                );
            }
        }
        out.push_str(&tables_written(contract, execution));
        let _ = writeln!(
            out,
            "\nOutside any test, and so without weight: {}.",
            count(execution.outside, "event")
        );
    }
    if let Some((mutants, _)) = &sources.mutants {
        let _ = write!(out, "\n## Mutants that no test noticed\n\n");
        for mutant in mutants.tested.iter().filter(|mutant| !mutant.was_noticed) {
            let _ = writeln!(out, "- {}", plain(&mutant.name));
        }
        let tested = mutants.tested.len() as u64;
        let _ = writeln!(
            out,
            "\n{} tested, {} could not be built.",
            count(tested, "mutant"),
            mutants.unviable
        );
    }
    out
}

/// Which tables of the contract were written, and by which test programs.
fn tables_written(contract: &Contract, execution: &Execution) -> String {
    let mut out = String::from(
        "\n## Tables written\n\n\
         Rows as the server counted them in databases of tests, also those of transactions that were rolled \
         back. What a database held before its test does not count.\n\n\
         | table | test program | inserted at least | updated at least | deleted at least | tests |\n\
         |---|---|--:|--:|--:|---|\n",
    );
    for table in contract.tables() {
        for (program, written) in execution.written(table).into_iter().flatten() {
            let tests: Vec<&str> = written.tests.iter().map(String::as_str).collect();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                plain(&table.spoken_name()),
                plain(program),
                written.inserted,
                written.updated,
                written.deleted,
                plain(&shortened(&tests))
            );
        }
    }
    out
}

/// What the contract states and no test exercised: heading and names, where there is any.
#[must_use]
pub fn never(contract: &Contract, execution: &Execution) -> Vec<(&'static str, Vec<String>)> {
    let model = &contract.model;
    let queries = model.queries.iter().map(|query| query.name.as_str());
    let constraints = model
        .tables
        .iter()
        .flat_map(|table| &table.constraints)
        .filter(|constraint| constraint.until.is_none())
        .map(|constraint| constraint.name.as_str());
    let missing = |names: Vec<&str>, seen: &BTreeMap<String, Seen>| -> Vec<String> {
        names.into_iter().filter(|name| !seen.contains_key(*name)).map(str::to_owned).collect()
    };
    let unwritten = contract.tables().filter(|table| execution.written(table).is_none());
    let mut lists = vec![
        ("Queries that no test ran", missing(queries.collect(), &execution.statements)),
        ("Tables that no test wrote", unwritten.map(Table::spoken_name).collect()),
        (
            "Constraints that no test violated",
            missing(constraints.collect(), &execution.constraints),
        ),
        (
            "Limits of time that no test reached",
            missing(vec!["acquire_timeout", "command_timeout"], &execution.timeouts),
        ),
    ];
    lists.retain(|(_, names)| !names.is_empty());
    lists
}

/// A text of a report within one cell of a table.
fn plain(text: &str) -> String {
    let one_line: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("`{}`", one_line.replace('`', "'").replace('|', "\\|"))
}

/// The first names of a list, and how many more there are.
fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let first = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::source;
    use crate::coverage::plan;
    use crate::verdict::{Status, judge_all};

    fn line(test: &str, rest: &str) -> String {
        format!("{{\"format\":2,\"binary\":\"b\",\"test\":\"{test}\",\"n\":1,{rest}}}\n")
    }

    fn statement(test: &str, name: &str) -> String {
        line(test, &format!("\"call\":\"fetch\",\"statement\":\"{name}\""))
    }

    fn path(test: &str, name: &str, held: bool) -> String {
        line(test, &format!("\"path\":\"{name}\",\"held\":{held}"))
    }

    /// The status of one claim about the built-in contract.
    fn status(sources: &Sources, id: &str) -> (Status, String) {
        let contract = source::load(None).unwrap();
        let evidence = examine(&contract, sources).unwrap();
        let evidence: Vec<_> = evidence.into_iter().filter(|one| one.claim == id).collect();
        let claim = plan(&contract).into_iter().find(|claim| claim.id == id).unwrap();
        let judged = judge_all(&claim, &evidence);
        (judged.status, judged.reason.unwrap_or_default())
    }

    fn executed(lines: &[String]) -> Sources {
        let mut execution = Execution::default();
        execution.add(&lines.concat()).unwrap();
        Sources { execution: Some(execution), ..Sources::default() }
    }

    #[test]
    fn a_method_needs_all_of_its_queries() {
        let id = "repository.method.cleanup_old_data";
        let some = executed(&[statement("t", "cleanup_greeks")]);
        let (open, reason) = status(&some, id);
        assert_eq!(open, Status::Unproven);
        assert!(reason.contains("cleanup_indicators"), "{reason}");
        let contract = source::load(None).unwrap();
        let queries = contract.model.queries.iter();
        let all: Vec<_> = queries
            .filter(|query| query.method == "cleanup_old_data")
            .map(|query| statement("t", &query.name))
            .collect();
        assert_eq!(status(&executed(&all), id).0, Status::Proven);
    }

    /// The statements that the evidence for a claim names.
    fn named(sources: &Sources, id: &str) -> Vec<String> {
        let evidence = examine(&source::load(None).unwrap(), sources).unwrap();
        evidence.into_iter().filter(|one| one.claim == id).flat_map(|one| one.statements).collect()
    }

    #[test]
    fn evidence_names_the_queries_that_tests_ran_and_no_others() {
        let parts = [statement("t", "save_greeks"), statement("u", "latest_greeks")];
        let ran = executed(&[&parts[..], &[path("t", "ingest_to_latest", true)]].concat());
        let greeks = ["queries/save_greeks.sql"];
        assert_eq!(named(&ran, "repository.method.save_greeks"), greeks);
        assert_eq!(named(&ran, "repository.method.save_indicator"), [""; 0]);
        // Another test than the one that follows the path ran its second query.
        assert_eq!(named(&ran, "critical_path.ingest_to_latest"), greeks);
        assert_eq!(named(&ran, "critical_path.history"), [""; 0]);
    }

    #[test]
    fn a_call_of_the_session_is_a_method_of_its_name() {
        let journal = executed(&[line("t", "\"call\":\"begin\"")]);
        assert_eq!(status(&journal, "repository.method.begin").0, Status::Proven);
        let (open, reason) = status(&journal, "repository.method.commit");
        assert_eq!(open, Status::Unproven);
        assert!(reason.contains("`commit`"), "{reason}");
    }

    #[test]
    fn an_error_is_no_run() {
        let error = "\"error\":{\"class\":\"data\",\"sqlstate\":\"22012\",\"constraint\":null,\
                     \"table\":null,\"timeout\":null}";
        let journal = executed(&[line("t", error)]);
        assert_eq!(status(&journal, "repository.method.execute").0, Status::Unproven);
    }

    #[test]
    fn a_path_is_followed_whole_and_to_its_end() {
        let id = "critical_path.ingest_to_latest";
        let name = "ingest_to_latest";
        let parts = [statement("t", "save_greeks"), statement("t", "latest_greeks")];
        let whole = [&parts[..], &[path("t", name, true)]].concat();
        assert_eq!(status(&executed(&whole), id).0, Status::Proven);
        let broken = [&parts[..], &[path("t", name, false)]].concat();
        assert_eq!(status(&executed(&broken), id).0, Status::Refuted);
        let elsewhere =
            [statement("t", "save_greeks"), statement("u", "latest_greeks"), path("t", name, true)];
        assert_eq!(status(&executed(&elsewhere), id).0, Status::Refuted);
        assert_eq!(status(&executed(&parts), id).0, Status::Unproven);
    }

    fn lines(covered: u64, total: u64) -> Sources {
        let mut report = Report::default();
        for line in 1..=total {
            let line = u32::try_from(line).unwrap();
            report
                .file("crates/pg-session/src/a.rs")
                .add_line(line, u64::from(u64::from(line) <= covered));
        }
        Sources { lines: Some(report), ..Sources::default() }
    }

    #[test]
    fn only_all_lines_prove_a_hundred_percent() {
        let id = "coverage.pg-session";
        assert_eq!(status(&lines(100_000, 100_000), id).0, Status::Proven);
        assert_eq!(status(&lines(99_996, 100_000), id).0, Status::Refuted);
        let (open, reason) = status(&lines(1, 1), "coverage.signal-store");
        assert_eq!(open, Status::Unproven);
        assert!(reason.contains("NO DATA"), "{reason}");
    }

    fn mutated(noticed: u64, missed: u64, population: Option<u64>) -> Sources {
        let outcome = |number: u64| {
            let summary = if number < noticed { "CaughtMutant" } else { "MissedMutant" };
            format!(
                "{{\"scenario\":{{\"Mutant\":{{\"name\":\"m{number}\",\
                 \"file\":\"crates/pg-session/src/a.rs\"}}}},\"summary\":\"{summary}\"}}"
            )
        };
        let outcomes: Vec<String> = (0..noticed + missed).map(outcome).collect();
        let mut mutants = Mutants::default();
        mutants.add(&format!("{{\"outcomes\":[{}]}}", outcomes.join(","))).unwrap();
        Sources { mutants: Some((mutants, population)), ..Sources::default() }
    }

    #[test]
    fn a_sample_of_mutants_must_be_large_enough() {
        let id = "mutation.pg-session";
        assert_eq!(status(&mutated(91, 9, Some(100)), id).0, Status::Proven);
        assert_eq!(status(&mutated(91, 9, Some(500)), id).0, Status::Unproven);
        assert_eq!(status(&mutated(91, 9, None), id).0, Status::Unproven);
        assert_eq!(status(&mutated(98, 2, None), id).0, Status::Proven);
        assert_eq!(status(&mutated(89, 11, Some(100)), id).0, Status::Refuted);
        assert_eq!(status(&mutated(9, 0, None), "mutation.signal-store").0, Status::Unproven);
    }

    #[test]
    fn a_table_counts_as_written_by_its_schema_and_name() {
        let contract = source::load(None).unwrap();
        let wrote = |schema: &str, table: &str| {
            let table = format!("\"schema\":\"{schema}\",\"table\":\"{table}\"");
            line("t", &format!("\"wrote\":{{\"change\":\"update\",{table}}}"))
        };
        let tables: Vec<&Table> = contract.tables().collect();
        let sources = executed(&[
            wrote(&tables[0].schema, &tables[0].name),
            wrote("other", &tables[1].name),
            wrote("public", "elsewhere"),
        ]);
        let execution = sources.execution.as_ref().unwrap();
        let never = never(&contract, execution);
        let (_, unwritten) = never.iter().find(|(title, _)| title.starts_with("Tables")).unwrap();
        let expected: Vec<String> = tables[1..].iter().map(|table| table.spoken_name()).collect();
        assert_eq!(unwritten, &expected);
        let page = exercised(&contract, &sources);
        let row = format!("| `{}` | `b` | 0 | 1 | 0 | `t` |", tables[0].spoken_name());
        assert!(page.contains(&row) && !page.contains("elsewhere"), "{page}");
    }

    #[test]
    fn what_no_test_exercised_is_listed_first() {
        let contract = source::load(None).unwrap();
        let sources = executed(&[statement("t", "save_greeks")]);
        let never = never(&contract, sources.execution.as_ref().unwrap());
        let queries = &never[0].1;
        assert!(queries.contains(&"latest_greeks".to_owned()));
        assert!(!queries.contains(&"save_greeks".to_owned()));
        let all: Vec<String> = contract.tables().map(Table::spoken_name).collect();
        assert_eq!((never[1].0, &never[1].1), ("Tables that no test wrote", &all));
        let page = exercised(&contract, &sources);
        let (first, second) = (page.find("no test ran"), page.find("Queries that ran"));
        assert!(first.is_some() && first < second, "{page}");
    }
}
