//! Row-level security: switched on exactly where the contract says so; elsewhere it hides rows.

use super::stage::Stage;
use super::{Check, SCHEMA, compared, ddl, finding, of_snapshot};
use crate::catalog::Observation;
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Table};
use crate::evidence::{Evidence, Outcome};

pub(super) const CHECK: Check = Check {
    id: "row_security",
    summary: "row-level security is switched on exactly where the contract says so",
    needs_rows: false,
    plan,
    examine,
};

fn id(table: &Table) -> String {
    format!("schema.{}.row_security", table.spoken_name())
}

fn plan(contract: &Contract) -> Vec<Claim> {
    contract
        .tables()
        .map(|table| {
            let statement = format!(
                "row-level security of `{}` is {}",
                table.spoken_name(),
                words(table.row_security)
            );
            Claim::new(id(table), SCHEMA, Severity::Critical, statement)
        })
        .collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    contract.tables().map(|table| of_snapshot(id(table), look(&stage, table))).collect()
}

fn words(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn look(stage: &Stage<'_>, table: &Table) -> Result<Outcome, String> {
    let found = stage.table(table)?.row_security;
    let action = if table.row_security { "ENABLE" } else { "DISABLE" };
    let findings = (found != table.row_security).then(|| {
        finding(
            format!("{}.{}", table.schema, table.name),
            format!("row-level security {}", words(table.row_security)),
            words(found),
            ddl::alter_table(table, &format!("{action} ROW LEVEL SECURITY")),
        )
    });
    Ok(compared(1, words(found), findings.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{readings, refuted, remedies};
    use super::*;

    #[test]
    fn row_security_switched_on_is_refuted() {
        let on = |seen: &mut Observation| readings(seen).row_security = true;
        assert_eq!(refuted(on), ["schema.readings.row_security"]);
        assert_eq!(
            remedies("schema.readings.row_security", on),
            ["ALTER TABLE \"public\".\"readings\" DISABLE ROW LEVEL SECURITY"]
        );
    }
}
