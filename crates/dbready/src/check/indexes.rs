//! Indexes: each covers its columns in their order, and queries may use it.

use super::stage::{Stage, claimed};
use super::{Check, SCHEMA, compared, ddl, finding, of_snapshot, same_expression};
use crate::catalog::{self, Observation};
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Index, Table};
use crate::evidence::{Evidence, Outcome};
use crate::sql::qualified;

pub(super) const CHECK: Check = Check {
    id: "indexes",
    summary: "every index has its columns, order, method, uniqueness and predicate, and is usable",
    needs_rows: false,
    plan,
    examine,
};

fn all(contract: &Contract) -> impl Iterator<Item = (&Table, &Index)> {
    contract.tables().flat_map(move |table| {
        let mine = table.indexes.iter();
        mine.filter(|part| claimed(contract, part.since.as_ref(), part.until.as_ref()))
            .map(move |part| (table, part))
    })
}

fn id(table: &Table, index: &Index) -> String {
    format!("schema.{}.index.{}", table.spoken_name(), index.name)
}

fn plan(contract: &Contract) -> Vec<Claim> {
    all(contract)
        .map(|(table, index)| {
            let statement = format!(
                "`{}` serves `{}` by {}",
                index.name,
                table.spoken_name(),
                contract_shape(index)
            );
            Claim::new(id(table, index), SCHEMA, Severity::Major, statement)
        })
        .collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    all(contract)
        .map(|(table, index)| of_snapshot(id(table, index), look(&stage, table, index)))
        .collect()
}

fn look(stage: &Stage<'_>, table: &Table, expected: &Index) -> Result<Outcome, String> {
    stage.expects(expected.since.as_ref(), expected.until.as_ref())?;
    let relation = stage.table(table)?;
    let object = format!("{}.{}", table.schema, expected.name);
    let wanted = contract_shape(expected);
    let create = ddl::create_index(table, expected);
    let found = relation.indexes.iter().find(|found| found.name == expected.name);
    let Some(found) = found else {
        let missing = finding(object, wanted, "no such index on the table", create);
        return Ok(compared(1, "nothing", vec![missing]));
    };
    let again = format!("DROP INDEX {}; {create}", qualified(&table.schema, &expected.name));
    let shape = shape(found);
    let mut findings = Vec::new();
    if !same_expression(&shape, &wanted) {
        findings.push(finding(object, wanted, &shape, again));
    } else if !found.valid {
        findings.push(finding(object, "valid", "not valid: queries do not use it", again));
    } else if !found.ready {
        findings.push(finding(object, "ready", "not ready: writes do not maintain it", again));
    }
    // Columns, method, uniqueness, predicate, stored columns, nulls, validity, readiness.
    Ok(compared(8, shape, findings))
}

/// What an index of the contract looks like, in the words of [`shape`].
fn contract_shape(index: &Index) -> String {
    shape(&catalog::Index {
        name: index.name.clone(),
        method: index.method.clone(),
        columns: index.columns.clone(),
        include: index.include.clone(),
        unique: index.unique,
        nulls_not_distinct: index.nulls_not_distinct,
        predicate: index.predicate.clone(),
        valid: true,
        ready: true,
        of_constraint: false,
    })
}

/// Everything about an index that its definition says, in the server's order.
pub(super) fn shape(index: &catalog::Index) -> String {
    let mut text = format!("{} ({})", index.method, index.columns.join(", "));
    if index.unique {
        text.insert_str(0, "unique ");
    }
    let catalog::Index { include, nulls_not_distinct, predicate, .. } = index;
    text + &ddl::after_columns(include, *nulls_not_distinct, predicate.as_deref())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{readings, refuted, remedies};
    use super::*;

    const CLAIM: &str = "schema.readings.index.readings_sensor_at";

    #[test]
    fn each_property_is_compared() {
        let cases: [fn(&mut catalog::Index); 9] = [
            |index| index.columns.reverse(),
            |index| index.columns[1] = "at".to_owned(),
            |index| index.method = "brin".to_owned(),
            |index| index.include.push("value".to_owned()),
            |index| index.unique = true,
            |index| index.nulls_not_distinct = true,
            |index| index.predicate = Some("value > 0::numeric".to_owned()),
            |index| index.valid = false,
            |index| index.ready = false,
        ];
        for (n, with) in cases.into_iter().enumerate() {
            let change = |seen: &mut Observation| with(&mut readings(seen).indexes[2]);
            assert_eq!(refuted(change), [CLAIM], "case {n}");
            assert_eq!(
                remedies(CLAIM, change),
                ["DROP INDEX \"public\".\"readings_sensor_at\"; CREATE INDEX \
                  \"readings_sensor_at\" ON \"public\".\"readings\" USING \"btree\" (sensor, at \
                  DESC)"]
            );
        }
    }

    #[test]
    fn a_missing_index_is_refuted() {
        let dropped = |seen: &mut Observation| drop(readings(seen).indexes.remove(2));
        assert_eq!(refuted(dropped), [CLAIM]);
    }
}
