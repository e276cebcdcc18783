//! Columns: type with precision, nullability, default, identity and collation of each.

use super::stage::{Stage, claimed};
use super::{Check, SCHEMA, compared, ddl, finding, of_snapshot};
use crate::catalog::{self, Observation};
use crate::claim::{Claim, Severity};
use crate::contract::{Column, Contract, Identity, Table};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::quote_ident;

pub(super) const CHECK: Check = Check {
    id: "columns",
    summary: "every column has its type, nullability, default, identity and collation",
    needs_rows: false,
    plan,
    examine,
};

fn all(contract: &Contract) -> impl Iterator<Item = (&Table, &Column)> {
    contract.tables().flat_map(move |table| {
        let mine = table.columns.iter();
        mine.filter(|column| claimed(contract, column.since.as_ref(), column.until.as_ref()))
            .map(move |column| (table, column))
    })
}

fn id(table: &Table, column: &Column) -> String {
    format!("schema.{}.column.{}", table.spoken_name(), column.name)
}

fn plan(contract: &Contract) -> Vec<Claim> {
    all(contract)
        .map(|(table, column)| {
            let statement = format!(
                "`{}.{}` is {}{}",
                table.spoken_name(),
                column.name,
                column.data_type,
                if column.nullable { "" } else { " and never null" },
            );
            Claim::new(id(table, column), SCHEMA, Severity::Critical, statement)
        })
        .collect()
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let stage = Stage::of(contract, observation);
    all(contract)
        .map(|(table, column)| of_snapshot(id(table, column), look(&stage, table, column)))
        .collect()
}

fn look(stage: &Stage<'_>, table: &Table, expected: &Column) -> Result<Outcome, String> {
    stage.expects(expected.since.as_ref(), expected.until.as_ref())?;
    let relation = stage.table(table)?;
    let object = format!("{}.{}.{}", table.schema, table.name, expected.name);
    let Some(found) = relation.column(&expected.name) else {
        let add = ddl::alter_table(table, &format!("ADD COLUMN {}", ddl::column(expected)));
        let missing = finding(object, &expected.data_type, "no such column", add);
        return Ok(compared(1, "nothing", vec![missing]));
    };
    let described = format!(
        "{}{}{}",
        found.data_type,
        if found.not_null { " NOT NULL" } else { "" },
        found.default.as_ref().map_or_else(String::new, |text| format!(" DEFAULT {text}")),
    );
    let findings = [
        data_type(table, expected, found),
        nullability(table, expected, found),
        default(table, expected, found),
        identity(table, expected, found),
    ];
    let findings = findings.into_iter().flatten();
    let findings = findings.map(|part| Finding { object: object.clone(), ..part });
    Ok(compared(5, described, findings.collect()))
}

/// Type and collation, which one statement sets together.
fn data_type(table: &Table, expected: &Column, found: &catalog::Column) -> Option<Finding> {
    let same_type = expected.data_type == found.data_type;
    if same_type && expected.collation == found.collation {
        return None;
    }
    let words = |data_type: &str, collation: Option<&String>| match collation {
        Some(name) => format!("{data_type} COLLATE {}", quote_ident(name)),
        None => data_type.to_owned(),
    };
    let target = match (&expected.collation, &found.collation) {
        // Naming no collation keeps the old one only where the type stays; say the default aloud.
        (None, Some(_)) if same_type => format!("{} COLLATE \"default\"", expected.data_type),
        (collation, _) => words(&expected.data_type, collation.as_ref()),
    };
    let cast = format!("USING {}::{}", quote_ident(&expected.name), expected.data_type);
    Some(finding(
        "",
        words(&expected.data_type, expected.collation.as_ref()),
        words(&found.data_type, found.collation.as_ref()),
        ddl::alter_column(table, &expected.name, &format!("TYPE {target} {cast}")),
    ))
}

fn nullability(table: &Table, expected: &Column, found: &catalog::Column) -> Option<Finding> {
    let words = |not_null| if not_null { "NOT NULL" } else { "null allowed" };
    let action = if expected.nullable { "DROP NOT NULL" } else { "SET NOT NULL" };
    (expected.nullable == found.not_null).then(|| {
        let mend = ddl::alter_column(table, &expected.name, action);
        finding("", words(!expected.nullable), words(found.not_null), mend)
    })
}

fn default(table: &Table, expected: &Column, found: &catalog::Column) -> Option<Finding> {
    let wanted = expected.generated.as_ref().or(expected.default.as_ref());
    if wanted == found.default.as_ref() && expected.generated.is_some() == found.generated {
        return None;
    }
    let words = |text: Option<&String>, generated| match text {
        Some(text) if generated => format!("computed: GENERATED ALWAYS AS ({text})"),
        Some(text) => format!("DEFAULT {text}"),
        None => "no default".to_owned(),
    };
    let found_words = words(found.default.as_ref(), found.generated);
    if expected.generated.is_some() {
        let (name, column) = (quote_ident(&expected.name), ddl::column(expected));
        let again = ddl::alter_table(table, &format!("DROP COLUMN {name}, ADD COLUMN {column}"));
        return Some(finding("", words(wanted, true), found_words, again));
    }
    let first = found.generated.then_some("DROP EXPRESSION");
    let then = match &expected.default {
        Some(text) => Some(format!("SET DEFAULT {text}")),
        None => first.is_none().then(|| "DROP DEFAULT".to_owned()),
    };
    let actions = first.map(str::to_owned).into_iter().chain(then);
    let statements: Vec<String> =
        actions.map(|action| ddl::alter_column(table, &expected.name, &action)).collect();
    Some(finding("", words(wanted, false), found_words, statements.join("; ")))
}

fn identity(table: &Table, expected: &Column, found: &catalog::Column) -> Option<Finding> {
    let wanted = expected.identity.map(|identity| match identity {
        Identity::Always => "always",
        Identity::ByDefault => "by default",
    });
    if wanted == found.identity.as_deref() {
        return None;
    }
    let words = |text: Option<&str>| match text {
        Some(text) => format!("identity, generated {text}"),
        None => "no identity".to_owned(),
    };
    let action = match (expected.identity, &found.identity) {
        (Some(identity), None) => {
            format!("ADD GENERATED {} AS IDENTITY", ddl::identity_word(identity))
        }
        (Some(identity), Some(_)) => format!("SET GENERATED {}", ddl::identity_word(identity)),
        (None, _) => "DROP IDENTITY".to_owned(),
    };
    let mend = ddl::alter_column(table, &expected.name, &action);
    Some(finding("", words(wanted), words(found.identity.as_deref()), mend))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{readings, refuted, remedies};
    use super::*;

    type Change = fn(&mut catalog::Column);

    #[test]
    fn each_property_is_compared() {
        let cases: [(usize, &str, Change, &str); 10] = [
            (
                3,
                "value",
                |found| found.data_type = "numeric(12,6)".to_owned(),
                "TYPE numeric(10,6) USING \"value\"::numeric(10,6)",
            ),
            (3, "value", |found| found.not_null = true, "DROP NOT NULL"),
            (3, "value", |found| found.default = None, "SET DEFAULT 0"),
            (4, "note", |found| found.default = Some("'x'::text".to_owned()), "DROP DEFAULT"),
            (
                4,
                "note",
                |found| {
                    found.default = Some("upper(sensor)".to_owned());
                    found.generated = true;
                },
                "DROP EXPRESSION",
            ),
            (
                4,
                "note",
                |found| found.collation = Some("C".to_owned()),
                "TYPE text COLLATE \"default\" USING \"note\"::text",
            ),
            (0, "id", |found| found.identity = None, "ADD GENERATED ALWAYS AS IDENTITY"),
            (
                0,
                "id",
                |found| found.identity = Some("by default".to_owned()),
                "SET GENERATED ALWAYS",
            ),
            (1, "at", |found| found.identity = Some("always".to_owned()), "DROP IDENTITY"),
            (
                2,
                "sensor",
                |found| found.collation = None,
                "TYPE character varying(20) COLLATE \"C\" USING \"sensor\"::character varying(20)",
            ),
        ];
        for (n, name, with, mend) in cases {
            let change = |seen: &mut Observation| with(&mut readings(seen).columns[n]);
            let claim = format!("schema.readings.column.{name}");
            assert_eq!(refuted(change), [claim.as_str()], "{mend}");
            let mend =
                format!("ALTER TABLE \"public\".\"readings\" ALTER COLUMN \"{name}\" {mend}");
            assert_eq!(remedies(&claim, change), [mend]);
        }
    }

    #[test]
    fn a_missing_column_is_refuted_and_added_whole() {
        let claim = "schema.readings.column.value";
        let dropped = |seen: &mut Observation| drop(readings(seen).columns.remove(3));
        assert_eq!(refuted(dropped), [claim]);
        assert_eq!(
            remedies(claim, dropped),
            ["ALTER TABLE \"public\".\"readings\" ADD COLUMN \"value\" numeric(10,6) DEFAULT 0"]
        );
    }

    #[test]
    fn the_order_of_columns_does_not_matter() {
        assert_eq!(refuted(|seen| readings(seen).columns.reverse()), [""; 0]);
    }
}
