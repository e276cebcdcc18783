//! Drift: objects that the contract does not know, and triggers that it knows and that are gone.
//!
//! What an extension owns and what `TimescaleDB` generates never reaches this check.

use std::collections::BTreeSet;

use super::indexes::shape;
use super::stage::Stage;
use super::{Check, SCHEMA, compared, ddl, finding, of_snapshot};
use crate::catalog::{self, LEDGER_SCHEMA, LEDGER_TABLE, Observation, Relation, RelationKind};
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Table, in_version};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::{qualified, quote_ident, split_name};

pub(super) const CHECK: Check = Check {
    id: "drift",
    summary: "the database has no objects that the contract does not know",
    needs_rows: false,
    plan,
    examine,
};

/// One kind of thing that a table can have too many of.
struct Part {
    word: &'static str,
    statement: &'static str,
    severity: Severity,
    required: bool,
    look: fn(&Stage<'_>, &Table, &Relation) -> Outcome,
}

/// Constraints and triggers change which rows are taken and what becomes of them; further columns
/// that need not be filled and further indexes do not.
const PARTS: [Part; 4] = [
    Part {
        word: "columns",
        statement: "has no column outside the contract",
        severity: Severity::Minor,
        required: false,
        look: columns,
    },
    Part {
        word: "indexes",
        statement: "has no index outside the contract",
        severity: Severity::Minor,
        required: false,
        look: indexes,
    },
    Part {
        word: "constraints",
        statement: "refuses no row for a reason outside the contract",
        severity: Severity::Major,
        required: true,
        look: constraints,
    },
    Part {
        word: "triggers",
        statement: "has the contract's triggers and no others, and no rules",
        severity: Severity::Major,
        required: true,
        look: triggers,
    },
];

/// One kind of object in the contract's schemas.
struct Kind {
    id: &'static str,
    statement: &'static str,
    look: fn(&Stage<'_>) -> Outcome,
}

const KINDS: [Kind; 3] = [
    Kind { id: "drift.tables", statement: "there is no table outside the contract", look: tables },
    Kind { id: "drift.views", statement: "there is no view outside the contract", look: views },
    Kind {
        id: "drift.functions",
        statement: "there is no function outside the contract",
        look: functions,
    },
];

fn id(table: &Table, part: &Part) -> String {
    format!("drift.{}.{}", table.spoken_name(), part.word)
}

fn plan(contract: &Contract) -> Vec<Claim> {
    let parts = contract.tables().flat_map(|table| {
        PARTS.iter().map(|part| {
            let statement = format!("`{}` {}", table.spoken_name(), part.statement);
            Claim {
                required: part.required,
                ..Claim::new(id(table, part), SCHEMA, part.severity, statement)
            }
        })
    });
    let kinds = KINDS.iter().map(|kind| Claim {
        required: false,
        ..Claim::new(kind.id, SCHEMA, Severity::Minor, kind.statement)
    });
    parts.chain(kinds).collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    let parts = contract.tables().flat_map(|table| {
        PARTS.iter().map(|part| {
            let look = stage.table(table).map(|relation| (part.look)(&stage, table, relation));
            of_snapshot(id(table, part), look)
        })
    });
    let kinds = KINDS
        .iter()
        .map(|kind| of_snapshot(kind.id.to_owned(), stage.still().map(|()| (kind.look)(&stage))));
    parts.chain(kinds).collect()
}

/// The outcome of looking through `found` objects; the list itself counts as one thing compared.
fn listed(what: &str, found: usize, findings: Vec<Finding>) -> Outcome {
    compared(
        found + 1,
        format!("{found} {what}, {} outside the contract", findings.len()),
        findings,
    )
}

const NOTHING: &str = "nothing outside the contract";

fn columns(stage: &Stage<'_>, table: &Table, found: &Relation) -> Outcome {
    let known = |name: &str| {
        table.columns.iter().any(|column| {
            column.name == name
                && in_version(column.since.as_ref(), column.until.as_ref(), stage.version())
        })
    };
    // A column that a writer must fill is no mere addition: the table itself is refuted for it.
    let fatal = |column: &catalog::Column| {
        column.not_null && column.default.is_none() && column.identity.is_none()
    };
    let findings = found
        .columns
        .iter()
        .filter(|column| !known(&column.name) && !fatal(column))
        .map(|column| {
            finding(
                format!("{}.{}.{}", table.schema, table.name, column.name),
                NOTHING,
                format!("a column of type {}", column.data_type),
                ddl::alter_table(table, &format!("DROP COLUMN {}", quote_ident(&column.name))),
            )
        })
        .collect();
    listed("columns", found.columns.len(), findings)
}

fn known_index(stage: &Stage<'_>, table: &Table, name: &str) -> bool {
    table.indexes.iter().any(|index| {
        index.name == name
            && in_version(index.since.as_ref(), index.until.as_ref(), stage.version())
    })
}

fn extra_index(table: &Table, index: &catalog::Index) -> Finding {
    finding(
        format!("{}.{}", table.schema, index.name),
        NOTHING,
        format!("an index, {}", shape(index)),
        format!("DROP INDEX {}", qualified(&table.schema, &index.name)),
    )
}

/// Whether it is the index that `TimescaleDB` itself makes for a hypertable's time column.
fn made_by_hypertable(stage: &Stage<'_>, table: &Table, index: &catalog::Index) -> bool {
    let snapshot = &stage.observation().snapshot;
    let time = snapshot
        .hypertable(&table.schema, &table.name)
        .and_then(|hypertable| hypertable.dimensions.first());
    time.is_some_and(|time| {
        let bare = format!("btree ({} DESC)", time.column);
        let quoted = format!("btree ({} DESC)", quote_ident(&time.column));
        let shape = shape(index);
        shape == bare || shape == quoted
    })
}

fn indexes(stage: &Stage<'_>, table: &Table, found: &Relation) -> Outcome {
    let own: Vec<&catalog::Index> =
        found.indexes.iter().filter(|index| !index.of_constraint).collect();
    let findings = own
        .iter()
        .filter(|index| !index.unique && !known_index(stage, table, &index.name))
        .filter(|index| !made_by_hypertable(stage, table, index))
        .map(|index| extra_index(table, index))
        .collect();
    listed("indexes", own.len(), findings)
}

/// Constraints, and unique indexes, which refuse rows as constraints do.
fn constraints(stage: &Stage<'_>, table: &Table, found: &Relation) -> Outcome {
    let known = |name: &str| {
        table.constraints.iter().any(|part| {
            part.name == name
                && in_version(part.since.as_ref(), part.until.as_ref(), stage.version())
        })
    };
    let mut findings: Vec<Finding> = found
        .constraints
        .iter()
        .filter(|constraint| !known(&constraint.name))
        .map(|constraint| {
            let drop = format!("DROP CONSTRAINT {}", quote_ident(&constraint.name));
            finding(
                format!("{}.{}.{}", table.schema, table.name, constraint.name),
                NOTHING,
                constraint.definition.clone(),
                ddl::alter_table(table, &drop),
            )
        })
        .collect();
    let unique = found.indexes.iter().filter(|index| index.unique && !index.of_constraint);
    findings.extend(
        unique
            .filter(|index| !known_index(stage, table, &index.name))
            .map(|index| extra_index(table, index)),
    );
    listed("constraints", found.constraints.len(), findings)
}

fn triggers(stage: &Stage<'_>, table: &Table, found: &Relation) -> Outcome {
    let object = |name: &str| format!("{}.{}.{name}", table.schema, table.name);
    let expected: Vec<&str> = table
        .triggers
        .iter()
        .filter(|one| in_version(one.since.as_ref(), one.until.as_ref(), stage.version()))
        .map(|one| one.name.as_str())
        .collect();
    let mut findings = Vec::new();
    for trigger in &found.triggers {
        let known = trigger.kind == "trigger" && expected.contains(&trigger.name.as_str());
        let name = quote_ident(&trigger.name);
        if !known {
            findings.push(finding(
                object(&trigger.name),
                NOTHING,
                format!("a {}", trigger.kind),
                format!("DROP {} {name} ON {}", trigger.kind.to_uppercase(), table.qualified()),
            ));
        } else if !trigger.enabled {
            findings.push(finding(
                object(&trigger.name),
                "a trigger that fires",
                "switched off",
                ddl::alter_table(table, &format!("ENABLE TRIGGER {name}")),
            ));
        }
    }
    for name in expected {
        if !found.triggers.iter().any(|trigger| trigger.kind == "trigger" && trigger.name == name) {
            let mend = "run the part of its migration that creates it";
            findings.push(finding(object(name), "a trigger", "no such trigger", mend));
        }
    }
    listed("triggers and rules", found.triggers.len(), findings)
}

/// Names that the contract writes bare or with their schema, as pairs.
fn pairs(names: &[String]) -> impl Iterator<Item = (&str, &str)> {
    names.iter().map(|name| split_name(name))
}

fn tables(stage: &Stage<'_>) -> Outcome {
    let model = &stage.contract().model;
    let expected = model
        .tables
        .iter()
        .filter(|table| in_version(table.since.as_ref(), table.until.as_ref(), stage.version()))
        .map(|table| (table.schema.as_str(), table.name.as_str()));
    let known: BTreeSet<(&str, &str)> = expected
        .chain(pairs(&model.known.tables))
        .chain([split_name(&model.versioning.table), (LEDGER_SCHEMA, LEDGER_TABLE)])
        .collect();
    let is_table = |kind| {
        matches!(
            kind,
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable
        )
    };
    relations(stage, "tables", is_table, &known)
}

fn views(stage: &Stage<'_>) -> Outcome {
    let model = &stage.contract().model;
    // A view in the place of a table is the table's refutation and no drift.
    let tables = model.tables.iter().map(|table| (table.schema.as_str(), table.name.as_str()));
    let aggregates =
        model.continuous_aggregates.iter().map(|view| (view.schema.as_str(), view.name.as_str()));
    let known: BTreeSet<(&str, &str)> =
        tables.chain(aggregates).chain(pairs(&model.known.views)).collect();
    let is_view = |kind| matches!(kind, RelationKind::View | RelationKind::MaterializedView);
    relations(stage, "views", is_view, &known)
}

fn relations(
    stage: &Stage<'_>,
    what: &str,
    wanted: impl Fn(RelationKind) -> bool,
    known: &BTreeSet<(&str, &str)>,
) -> Outcome {
    let all = &stage.observation().snapshot.relations;
    let found: Vec<&Relation> = all.iter().filter(|relation| wanted(relation.kind)).collect();
    let findings = found
        .iter()
        .filter(|relation| !known.contains(&(relation.schema.as_str(), relation.name.as_str())))
        .map(|relation| {
            finding(
                format!("{}.{}", relation.schema, relation.name),
                NOTHING,
                format!("a {}", relation.kind.words()),
                drop_statement(stage, relation),
            )
        })
        .collect();
    listed(what, found.len(), findings)
}

/// How to drop it; the view of a continuous aggregate is dropped as a materialised view.
fn drop_statement(stage: &Stage<'_>, relation: &Relation) -> String {
    let snapshot = &stage.observation().snapshot;
    let aggregate = snapshot.continuous_aggregate(&relation.schema, &relation.name);
    let word = if aggregate.is_some() { "MATERIALIZED VIEW" } else { relation.kind.drop_word() };
    format!("DROP {word} {}", qualified(&relation.schema, &relation.name))
}

fn functions(stage: &Stage<'_>) -> Outcome {
    let known: BTreeSet<(&str, &str)> = pairs(&stage.contract().model.known.functions).collect();
    let found = &stage.observation().snapshot.functions;
    let findings = found
        .iter()
        .filter(|function| !known.contains(&(function.schema.as_str(), function.name.as_str())))
        .map(|function| {
            finding(
                format!("{}.{}", function.schema, function.name),
                NOTHING,
                "a function or procedure",
                format!("DROP ROUTINE {}", qualified(&function.schema, &function.name)),
            )
        })
        .collect();
    listed("functions", found.len(), findings)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{readings, refuted, remedies};
    use super::*;
    use crate::catalog::{Column, Function, Index, Trigger};

    fn extra_index(unique: bool) -> impl Fn(&mut Observation) {
        move |seen| {
            let like = readings(seen).indexes[2].clone();
            let columns = vec!["value".to_owned()];
            let index = Index { name: "extra".to_owned(), columns, unique, ..like };
            readings(seen).indexes.push(index);
        }
    }

    #[test]
    fn a_further_column_that_need_not_be_filled_is_drift() {
        let extra = |seen: &mut Observation| {
            let like = readings(seen).columns[3].clone();
            readings(seen).columns.push(Column { name: "extra".to_owned(), ..like });
        };
        assert_eq!(refuted(extra), ["drift.readings.columns"]);
        assert_eq!(
            remedies("drift.readings.columns", extra),
            ["ALTER TABLE \"public\".\"readings\" DROP COLUMN \"extra\""]
        );
    }

    #[test]
    fn a_further_index_is_drift_and_a_unique_one_refuses_rows() {
        assert_eq!(refuted(extra_index(false)), ["drift.readings.indexes"]);
        assert_eq!(refuted(extra_index(true)), ["drift.readings.constraints"]);
    }

    #[test]
    fn the_index_on_time_alone_is_drift_on_a_plain_table_only() {
        let plain = |seen: &mut Observation| {
            seen.snapshot.timescaledb.as_mut().unwrap().hypertables.clear();
        };
        assert_eq!(refuted(plain), ["schema.readings.hypertable", "drift.readings.indexes"]);
    }

    #[test]
    fn a_further_constraint_is_drift() {
        let extra = |seen: &mut Observation| {
            let mut constraint = readings(seen).constraints[1].clone();
            constraint.name = "extra".to_owned();
            readings(seen).constraints.push(constraint);
        };
        assert_eq!(refuted(extra), ["drift.readings.constraints"]);
    }

    #[test]
    fn triggers_and_rules_are_drift() {
        for kind in ["trigger", "rule"] {
            let extra = |seen: &mut Observation| {
                let name = "t".to_owned();
                let trigger = Trigger { name, kind: kind.to_owned(), enabled: true };
                readings(seen).triggers.push(trigger);
            };
            assert_eq!(refuted(extra), ["drift.readings.triggers"]);
            let mend = format!("DROP {} \"t\" ON \"public\".\"readings\"", kind.to_uppercase());
            assert_eq!(remedies("drift.readings.triggers", extra), [mend]);
        }
    }

    #[test]
    fn further_tables_views_and_functions_are_drift() {
        let relation = |kind| {
            move |seen: &mut Observation| {
                let mut extra = seen.snapshot.relations[1].clone();
                extra.name = "extra".to_owned();
                extra.kind = kind;
                seen.snapshot.relations.push(extra);
            }
        };
        assert_eq!(refuted(relation(RelationKind::Table)), ["drift.tables"]);
        assert_eq!(refuted(relation(RelationKind::ForeignTable)), ["drift.tables"]);
        assert_eq!(refuted(relation(RelationKind::View)), ["drift.views"]);
        assert_eq!(
            remedies("drift.views", relation(RelationKind::MaterializedView)),
            ["DROP MATERIALIZED VIEW \"public\".\"extra\""]
        );
        let function = |seen: &mut Observation| {
            let extra = Function { schema: "public".to_owned(), name: "f".to_owned() };
            seen.snapshot.functions.push(extra);
        };
        assert_eq!(refuted(function), ["drift.functions"]);
    }
}
