//! Load: measured workloads. Plans the claims of the contract's figures.

pub mod drift;

use crate::claim::{Claim, Producer, Severity, Target};
use crate::contract::{Contract, Figure, FigureSource, Limit};

/// The claims of the contract's figures, whoever measures them.
#[must_use]
pub fn plan(contract: &Contract) -> Vec<Claim> {
    contract.model.figures.iter().map(claim).collect()
}

fn claim(figure: &Figure) -> Claim {
    let (statistic, unit) = (figure.statistic.clone(), figure.unit.clone());
    Claim {
        id: format!("load.{}", figure.name),
        area: figure.area.clone(),
        statement: figure.statement.clone(),
        severity: Severity::Major,
        required: true,
        weight: 1.0,
        producer: match figure.source {
            FigureSource::Load => Producer::Load,
            FigureSource::Drill => Producer::Drill,
        },
        target: match figure.limit() {
            Limit::AtMost(limit) => Target::AtMost { statistic, limit, unit },
            Limit::AtLeast(limit) => Target::AtLeast { statistic, limit, unit },
        },
    }
}
