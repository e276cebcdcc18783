//! Coverage: what tests exercised. Plans its claims.

use crate::claim::{Claim, Producer, Severity, Target};
use crate::contract::Contract;

/// The claims that coverage reports settle: modules, critical methods and critical paths.
#[must_use]
pub fn plan(contract: &Contract) -> Vec<Claim> {
    let coverage = &contract.model.coverage;
    let claim = |id: String, area: &str, statement: String, target: Target| Claim {
        producer: Producer::Coverage,
        target,
        ..Claim::new(id, area, Severity::Major, statement)
    };
    let runs = || Target::NoneWrong { unit: "runs against a real server".to_owned() };
    let modules = coverage.modules.iter().map(|module| {
        claim(
            module_claim(module),
            "line_coverage",
            format!("tests run at least {} % of the lines of {module}", coverage.percent),
            Target::AtLeast {
                statistic: "lines".to_owned(),
                limit: coverage.percent,
                unit: "%".to_owned(),
            },
        )
    });
    let methods = coverage.methods.iter().map(|method| {
        claim(
            method_claim(method),
            "repository_coverage",
            format!("a test runs {method} against a real server"),
            runs(),
        )
    });
    let paths = coverage
        .critical_paths
        .iter()
        .map(|path| claim(path_claim(&path.name), "critical_path", path.statement.clone(), runs()));
    let mutation = coverage.mutation_percent.into_iter().flat_map(|percent| {
        coverage.modules.iter().map(move |module| Claim {
            // No clause of a database contract demands it; it says how far the tests are to be trusted.
            required: false,
            ..claim(
                mutation_claim(module),
                "repository_coverage",
                format!("tests notice at least {percent} % of the faults put into {module}"),
                Target::AtLeast {
                    statistic: "mutants noticed".to_owned(),
                    limit: percent,
                    unit: "%".to_owned(),
                },
            )
        })
    });
    modules.chain(methods).chain(paths).chain(mutation).collect()
}

pub(super) fn module_claim(module: &str) -> String {
    format!("coverage.{module}")
}

pub(super) fn method_claim(method: &str) -> String {
    format!("repository.method.{method}")
}

pub(super) fn path_claim(path: &str) -> String {
    format!("critical_path.{path}")
}

pub(super) fn mutation_claim(module: &str) -> String {
    format!("mutation.{module}")
}
