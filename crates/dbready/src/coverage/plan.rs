//! Coverage: what tests exercised. Plans its claims.

use crate::claim::{Claim, Producer, Severity, Target};
use crate::contract::Contract;

/// The claims that coverage reports settle: modules, critical methods and critical paths.
#[must_use]
pub fn plan(contract: &Contract) -> Vec<Claim> {
    let coverage = &contract.model.coverage;
    let claim = |id: String, area: &str, statement: String, target: Target| Claim {
        id,
        area: area.to_owned(),
        statement,
        severity: Severity::Major,
        required: true,
        weight: 1.0,
        producer: Producer::Coverage,
        target,
    };
    let runs = || Target::NoneWrong { unit: "runs against a real server".to_owned() };
    let modules = coverage.modules.iter().map(|module| {
        claim(
            format!("coverage.{module}"),
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
            format!("repository.method.{method}"),
            "repository_coverage",
            format!("a test runs {method} against a real server"),
            runs(),
        )
    });
    let paths = coverage.critical_paths.iter().map(|path| {
        claim(
            format!("critical_path.{}", path.name),
            "critical_path",
            path.statement.clone(),
            runs(),
        )
    });
    modules.chain(methods).chain(paths).collect()
}
