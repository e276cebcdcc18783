//! Constraints: each has its definition, has checked the rows that were there, and is enforced.

use super::stage::{Stage, claimed};
use super::{Check, SCHEMA, compared, ddl, finding, of_snapshot, same_expression};
use crate::catalog::{self, Observation};
use crate::claim::{Claim, Severity};
use crate::contract::{Constraint, Contract, Table};
use crate::evidence::{Evidence, Outcome};
use crate::sql::quote_ident;

pub(super) const CHECK: Check = Check {
    id: "constraints",
    summary: "every constraint has its definition and is validated and enforced",
    needs_rows: false,
    plan,
    examine,
};

fn all(contract: &Contract) -> impl Iterator<Item = (&Table, &Constraint)> {
    contract.tables().flat_map(move |table| {
        let mine = table.constraints.iter();
        mine.filter(|part| claimed(contract, part.since.as_ref(), part.until.as_ref()))
            .map(move |part| (table, part))
    })
}

fn id(table: &Table, constraint: &Constraint) -> String {
    format!("schema.{}.constraint.{}", table.spoken_name(), constraint.name)
}

fn plan(contract: &Contract) -> Vec<Claim> {
    all(contract)
        .map(|(table, constraint)| {
            let statement = format!(
                "`{}` enforces `{}`: {}",
                table.spoken_name(),
                constraint.name,
                constraint.definition
            );
            Claim::new(id(table, constraint), SCHEMA, Severity::Critical, statement)
        })
        .collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    all(contract)
        .map(|(table, constraint)| {
            of_snapshot(id(table, constraint), look(&stage, table, constraint))
        })
        .collect()
}

fn look(stage: &Stage<'_>, table: &Table, expected: &Constraint) -> Result<Outcome, String> {
    stage.expects(expected.since.as_ref(), expected.until.as_ref())?;
    let relation = stage.table(table)?;
    let object = format!("{}.{}.{}", table.schema, table.name, expected.name);
    let add = format!("ADD {}", ddl::constraint(expected));
    let drop = format!("DROP CONSTRAINT {}", quote_ident(&expected.name));
    let found = relation.constraints.iter().find(|found| found.name == expected.name);
    let Some(found) = found else {
        let mend = ddl::alter_table(table, &add);
        let missing = finding(object, &expected.definition, "no such constraint", mend);
        return Ok(compared(1, "nothing", vec![missing]));
    };
    // Two statements: a hypertable takes one action at a time.
    let again = format!("{}; {}", ddl::alter_table(table, &drop), ddl::alter_table(table, &add));
    let definition = bare_definition(found);
    // Where the contract does not ask for older rows to be checked, it is no fault that they are.
    let (wanted, any_rows) = match expected.definition.strip_suffix(" NOT VALID") {
        Some(bare) => (bare, true),
        None => (expected.definition.as_str(), false),
    };
    let index = relation.indexes.iter().find(|index| index.name == found.name);
    let mut findings = Vec::new();
    if !same_expression(definition, wanted) {
        findings.push(finding(object, &expected.definition, definition, again));
    } else if !found.enforced {
        findings.push(finding(object, "enforced", "not enforced", again));
    } else if let Some(index) = index.filter(|index| !index.valid || !index.ready) {
        // REINDEX would mend the chunks of a hypertable and not its own index.
        let fault = if index.valid { "not maintained by writes" } else { "not valid" };
        findings.push(finding(object, "a valid index behind it", fault, again));
    } else if !found.validated && !any_rows {
        let action = format!("VALIDATE CONSTRAINT {}", quote_ident(&expected.name));
        findings.push(finding(
            object,
            "checked against every row",
            "NOT VALID: older rows were never checked",
            ddl::alter_table(table, &action),
        ));
    }
    Ok(compared(3, definition, findings))
}

/// The definition without the server's remarks about validation and enforcement, which are compared
/// by their flags.
fn bare_definition(found: &catalog::Constraint) -> &str {
    let mut definition = found.definition.as_str();
    if !found.enforced {
        definition = definition.strip_suffix(" NOT ENFORCED").unwrap_or(definition);
    }
    if !found.validated {
        definition = definition.strip_suffix(" NOT VALID").unwrap_or(definition);
    }
    definition
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{readings, refuted, remedies};
    use super::*;

    const CHECKED: &str = "schema.readings.constraint.readings_value_check";

    type Change = fn(&mut catalog::Constraint);

    #[test]
    fn definition_validation_and_enforcement_are_compared() {
        let again = "ALTER TABLE \"public\".\"readings\" DROP CONSTRAINT \"readings_value_check\"; \
                     ALTER TABLE \"public\".\"readings\" ADD CONSTRAINT \"readings_value_check\" \
                     CHECK (value >= 0::numeric)";
        let validate =
            "ALTER TABLE \"public\".\"readings\" VALIDATE CONSTRAINT \"readings_value_check\"";
        let cases: [(Change, &str); 3] = [
            (|found| found.definition = "CHECK (value >= 1::numeric)".to_owned(), again),
            (
                |found| {
                    found.definition.push_str(" NOT VALID");
                    found.validated = false;
                },
                validate,
            ),
            (
                |found| {
                    found.definition.push_str(" NOT ENFORCED");
                    found.validated = false;
                    found.enforced = false;
                },
                again,
            ),
        ];
        for (with, mend) in cases {
            let change = |seen: &mut Observation| with(&mut readings(seen).constraints[1]);
            assert_eq!(refuted(change), [CHECKED], "{mend}");
            assert_eq!(remedies(CHECKED, change), [mend]);
        }
    }

    #[test]
    fn a_missing_constraint_is_refuted() {
        let dropped = |seen: &mut Observation| drop(readings(seen).constraints.remove(1));
        assert_eq!(refuted(dropped), [CHECKED]);
    }

    #[test]
    fn the_index_behind_a_key_must_be_valid() {
        let broken = |seen: &mut Observation| readings(seen).indexes[1].valid = false;
        assert_eq!(refuted(broken), ["schema.readings.constraint.readings_pkey"]);
    }
}
