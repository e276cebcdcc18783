//! Tables: each exists as an ordinary table, survives a crash and takes the contract's rows.

use super::stage::Stage;
use super::{Check, SCHEMA, SNAPSHOT, compared, ddl, evidence, finding};
use crate::catalog::{Observation, Persistence, Relation, RelationKind};
use crate::claim::{Claim, Producer, Severity, Target};
use crate::contract::{Contract, Table, in_version};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::{qualified, spoken_name};

pub(super) const CHECK: Check = Check {
    id: "tables",
    summary: "every table exists as an ordinary, crash-safe table that takes the contract's rows",
    plan,
    examine,
};

fn id(table: &Table) -> String {
    format!("schema.{}", spoken_name(&table.schema, &table.name))
}

fn plan(contract: &Contract) -> Vec<Claim> {
    Stage::claimed(contract)
        .map(|table| Claim {
            id: id(table),
            area: SCHEMA.to_owned(),
            statement: format!(
                "`{}` is an ordinary, crash-safe table that takes the contract's rows",
                spoken_name(&table.schema, &table.name)
            ),
            severity: Severity::Critical,
            required: true,
            weight: 3.0,
            producer: Producer::Check,
            target: Target::NoDifference,
        })
        .collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    Stage::claimed(contract)
        .map(|table| evidence(id(table), SNAPSHOT, look(&stage, table)))
        .collect()
}

fn look(stage: &Stage<'_>, table: &Table) -> Result<Outcome, String> {
    stage.expects(table.since.as_ref(), table.until.as_ref())?;
    let object = format!("{}.{}", table.schema, table.name);
    let snapshot = &stage.observation().snapshot;
    let create = || ddl::create_table(table, stage.version());
    let Some(found) = snapshot.relation(&table.schema, &table.name) else {
        let missing = finding(object, "a table", "nothing of that name", create());
        return Ok(compared(1, "nothing", vec![missing]));
    };
    if found.kind != RelationKind::Table {
        let other = Finding {
            object,
            expected: "an ordinary table".to_owned(),
            found: format!("a {}", found.kind.words()),
            remedy: Some(replace(found, &create())),
        };
        return Ok(compared(1, found.kind.words(), vec![other]));
    }
    let mut findings = Vec::new();
    if found.persistence != Persistence::Permanent {
        let mend = ddl::alter_table(table, "SET LOGGED");
        findings.push(finding(&object, "a logged table", "unlogged: a crash empties it", mend));
    }
    if table.hypertable.is_none() && snapshot.hypertable(&table.schema, &table.name).is_some() {
        findings.push(Finding {
            object: object.clone(),
            expected: "a plain table".to_owned(),
            found: "a hypertable".to_owned(),
            remedy: Some("copy its rows into a plain table and rename that".to_owned()),
        });
    }
    let known = |name: &str| {
        table.columns.iter().any(|column| {
            column.name == name
                && in_version(column.since.as_ref(), column.until.as_ref(), stage.version())
        })
    };
    for column in found.columns.iter().filter(|column| !known(&column.name)) {
        let filled = column.default.is_some() || column.identity.is_some();
        if column.not_null && !filled {
            findings.push(finding(
                format!("{object}.{}", column.name),
                "no further column that a writer must fill",
                format!("`{}` NOT NULL without a default: inserts fail", column.data_type),
                ddl::alter_column(table, &column.name, "DROP NOT NULL"),
            ));
        }
    }
    Ok(compared(3, format!("a table with {} columns", found.columns.len()), findings))
}

/// How to put the table in the place of something else of that name.
fn replace(found: &Relation, create: &str) -> String {
    let name = qualified(&found.schema, &found.name);
    match found.kind {
        RelationKind::View | RelationKind::MaterializedView => {
            format!("DROP {} {name}; {create}", found.kind.drop_word())
        }
        _ => format!("rename {name}, create the table ({create}), and copy the rows"),
    }
}
