//! Tables: each exists as the contract's kind of table, is logged unless the contract says otherwise,
//! and takes the contract's rows.

use super::stage::{Stage, kind};
use super::{Check, SCHEMA, compared, ddl, finding, of_snapshot};
use crate::catalog::{Observation, Persistence, Relation, RelationKind};
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Table, in_version};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::qualified;

pub(super) const CHECK: Check = Check {
    id: "tables",
    summary: "every table exists as the contract's kind of table, and takes the contract's rows",
    needs_rows: false,
    plan,
    examine,
};

fn id(table: &Table) -> String {
    format!("schema.{}", table.spoken_name())
}

fn plan(contract: &Contract) -> Vec<Claim> {
    contract
        .tables()
        .map(|table| {
            let statement = format!(
                "`{}` is {} that takes the contract's rows",
                table.spoken_name(),
                meant(table)
            );
            Claim { weight: 3.0, ..Claim::new(id(table), SCHEMA, Severity::Critical, statement) }
        })
        .collect()
}

/// The table that is meant, in words.
fn meant(table: &Table) -> String {
    match &table.partition_by {
        Some(key) => format!("a crash-safe table partitioned by {key}"),
        None if table.unlogged => "an unlogged table".to_owned(),
        None => "an ordinary, crash-safe table".to_owned(),
    }
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    contract.tables().map(|table| of_snapshot(id(table), look(&stage, table))).collect()
}

fn look(stage: &Stage<'_>, table: &Table) -> Result<Outcome, String> {
    stage.expects(table.since.as_ref(), table.until.as_ref())?;
    let object = format!("{}.{}", table.schema, table.name);
    let snapshot = &stage.observation().snapshot;
    let create = || ddl::create_table(table, stage.version());
    let Some(found) = snapshot.relation(&table.schema, &table.name) else {
        let missing = finding(object, meant(table), "nothing of that name", create());
        return Ok(compared(1, "nothing", vec![missing]));
    };
    if found.kind != kind(table) {
        let other = Finding {
            object,
            expected: meant(table),
            found: format!("a {}", found.kind.words()),
            remedy: Some(replace(found, &create())),
        };
        return Ok(compared(1, found.kind.words(), vec![other]));
    }
    let mut findings = Vec::new();
    if found.partition_by != table.partition_by {
        findings.push(Finding {
            object: object.clone(),
            expected: meant(table),
            found: format!("partitioned by {}", found.partition_by.as_deref().unwrap_or_default()),
            remedy: Some(replace(found, &create())),
        });
    }
    if table.unlogged && found.persistence == Persistence::Permanent {
        let mend = ddl::alter_table(table, "SET UNLOGGED");
        findings.push(finding(&object, "an unlogged table", "logged", mend));
    }
    if !table.unlogged && found.persistence != Persistence::Permanent {
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
    Ok(compared(4, format!("a table with {} columns", found.columns.len()), findings))
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

#[cfg(test)]
mod tests {
    use super::super::fixture::{contract, observation, readings, refuted, remedies, unproven};
    use super::*;
    use crate::catalog::Column;

    const CLAIM: &str = "schema.readings";

    #[test]
    fn a_missing_table_is_refuted_alone_and_what_hangs_on_it_is_unproven() {
        let gone = |seen: &mut Observation| drop(seen.snapshot.relations.remove(0));
        assert_eq!(refuted(gone), [CLAIM]);
        let left = unproven(gone);
        assert!(left.iter().any(|id| id == "schema.readings.column.value"), "{left:?}");
        assert!(left.iter().any(|id| id == "drift.readings.triggers"), "{left:?}");
        assert!(!left.iter().any(|id| id.contains("schema_version")), "{left:?}");
    }

    #[test]
    fn the_remedy_for_a_missing_table_builds_all_of_it() {
        let gone = |seen: &mut Observation| drop(seen.snapshot.relations.remove(0));
        assert_eq!(
            remedies(CLAIM, gone),
            [
                "CREATE TABLE \"public\".\"readings\" (\"id\" bigint GENERATED ALWAYS AS IDENTITY NOT \
              NULL, \"at\" timestamp with time zone NOT NULL, \"sensor\" character varying(20) \
              COLLATE \"C\" NOT NULL, \"value\" numeric(10,6) DEFAULT 0, \"note\" text, CONSTRAINT \
              \"readings_pkey\" PRIMARY KEY (id, at), CONSTRAINT \"readings_value_check\" CHECK \
              (value >= 0::numeric)); SELECT create_hypertable('\"public\".\"readings\"', \
              by_range('at', INTERVAL '1 day'), create_default_indexes => false, migrate_data => \
              true); CREATE INDEX \"readings_sensor_at\" ON \"public\".\"readings\" USING \"btree\" \
              (sensor, at DESC)"
            ]
        );
    }

    #[test]
    fn another_kind_of_relation_is_no_table() {
        for kind in [RelationKind::View, RelationKind::PartitionedTable, RelationKind::ForeignTable]
        {
            assert_eq!(refuted(|seen| readings(seen).kind = kind), [CLAIM], "{kind:?}");
        }
    }

    #[test]
    fn an_unlogged_table_is_refuted() {
        let unlogged = |seen: &mut Observation| readings(seen).persistence = Persistence::Unlogged;
        assert_eq!(refuted(unlogged), [CLAIM]);
        assert_eq!(remedies(CLAIM, unlogged), ["ALTER TABLE \"public\".\"readings\" SET LOGGED"]);
    }

    #[test]
    fn the_key_of_partitions_is_compared() {
        let key = |key: &str| {
            let mut contract = contract();
            let table = &mut contract.model.tables[1];
            table.partition_by = Some("RANGE (version)".to_owned());
            let mut seen = observation();
            let found = &mut seen.snapshot.relations[1];
            assert_eq!(found.name, table.name);
            found.kind = RelationKind::PartitionedTable;
            found.partition_by = Some(key.to_owned());
            let evidence = examine(&contract, &seen);
            let outcome =
                &evidence.iter().find(|one| one.claim == "schema.schema_version").unwrap();
            format!("{:?}", outcome.outcome)
        };
        assert!(key("RANGE (version)").contains("findings: []"), "{}", key("RANGE (version)"));
        assert!(key("LIST (version)").contains("partitioned by LIST (version)"));
    }

    #[test]
    fn a_further_column_that_must_be_filled_breaks_inserts() {
        let extra = |seen: &mut Observation| {
            let columns = &mut readings(seen).columns;
            let like = columns[3].clone();
            columns.push(Column {
                name: "extra".to_owned(),
                not_null: true,
                default: None,
                ..like
            });
        };
        assert_eq!(refuted(extra), [CLAIM]);
    }

    #[test]
    fn a_plain_table_that_became_a_hypertable_is_refuted() {
        let turned = |seen: &mut Observation| {
            let all = &mut seen.snapshot.timescaledb.as_mut().unwrap().hypertables;
            let mut copy = all[0].clone();
            copy.table = "schema_version".to_owned();
            all.push(copy);
        };
        assert_eq!(refuted(turned), ["schema.schema_version"]);
    }
}
