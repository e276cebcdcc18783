//! Columns dropped, renamed, retyped and otherwise changed.

use std::collections::BTreeSet;

use crate::check::ddl;
use crate::contract::{Column, Identity, Table};
use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::{quote_ident, quote_literal};

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let mut all = Vec::new();
    for table in ground.tables() {
        for column in ground.columns(table) {
            let one = One { ground, table, column };
            all.extend(one.presence());
            all.extend(one.types());
            all.extend(one.properties());
        }
    }
    all
}

struct One<'a> {
    ground: &'a Ground<'a>,
    table: &'a Table,
    column: &'a Column,
}

impl One<'_> {
    fn sql<W: Into<String>>(&self, what: &str, ways: impl IntoIterator<Item = W>) -> Sabotage {
        let id = format!("schema.{}.column.{}", self.table.spoken_name(), self.column.name);
        Sabotage::sql(id, what, ways)
    }

    fn alter(&self, action: &str) -> String {
        let column = quote_ident(&self.column.name);
        format!("ALTER TABLE {} ALTER COLUMN {column} {action}", self.table.qualified())
    }

    /// What falls when the column is no longer there under its name.
    fn gone(&self) -> BTreeSet<String> {
        let spoken = self.table.spoken_name();
        let mut falls = self.ground.made_of(self.table, &self.column.name);
        if !self.table.triggers.is_empty() {
            falls.insert(format!("drift.{spoken}.triggers"));
        }
        let time = self.table.hypertable.as_ref().map(|one| one.time_column.as_str());
        if time == Some(self.column.name.as_str()) {
            falls.insert(format!("schema.{spoken}.hypertable"));
        }
        if self.ground.keeps_versions(self.table) {
            let all = self.ground.claims.iter();
            falls.extend(all.filter(|id| id.starts_with("migration.")).cloned());
        }
        falls
    }

    fn presence(&self) -> Vec<Sabotage> {
        let (table, name) = (self.table.qualified(), quote_ident(&self.column.name));
        let spoken = self.table.spoken_name();
        let rename = format!("ALTER TABLE {table} RENAME COLUMN {name} TO sabotage_renamed");
        let drop = format!("ALTER TABLE {table} DROP COLUMN {name} CASCADE");
        vec![
            // Under its new name it is one too many; one that writers must fill refutes the table.
            self.sql("renamed", [rename])
                .with(self.gone())
                .with([format!("drift.{spoken}.columns"), format!("schema.{spoken}")]),
            self.sql("dropped", [drop]).with(self.gone()),
        ]
    }

    fn types(&self) -> Vec<Sabotage> {
        let mut all: Vec<Sabotage> = others(&self.column.data_type)
            .into_iter()
            .map(|(what, kind)| self.retyped(what, &kind, ""))
            .collect();
        let texts = ["text", "character varying", "character("];
        if texts.iter().any(|kind| self.column.data_type.starts_with(kind))
            && !self.column.data_type.ends_with(']')
        {
            let other = if self.column.collation.as_deref() == Some("C") { "POSIX" } else { "C" };
            let collate = format!(" COLLATE \"{other}\"");
            all.push(self.retyped("another collation", &self.column.data_type, &collate));
        }
        all
    }

    fn retyped(&self, what: &str, kind: &str, collate: &str) -> Sabotage {
        let name = quote_ident(&self.column.name);
        let alter = self.alter(&format!("TYPE {kind}{collate} USING {name}::{kind}"));
        // Where the server does not convert what is made of the column, that goes first.
        let mut first = Vec::new();
        if self.column.default.is_some() {
            first.push(self.alter("DROP DEFAULT"));
        }
        if self.column.generated.is_some() {
            first.push(self.alter("DROP EXPRESSION"));
        }
        for computed in self.ground.computed_from(self.table, &self.column.name) {
            let (table, name) = (self.table.qualified(), quote_ident(computed));
            first.push(format!("ALTER TABLE {table} ALTER COLUMN {name} DROP EXPRESSION"));
        }
        for constraint in self.ground.constraints_of(self.table, &self.column.name) {
            let (table, name) = (self.table.qualified(), quote_ident(constraint));
            first.push(format!("ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE"));
        }
        for index in self.ground.indexes_of(self.table, &self.column.name) {
            let index = crate::sql::qualified(&self.table.schema, index);
            first.push(format!("DROP INDEX {index} CASCADE"));
        }
        first.push(alter.clone());
        // Views that read the column, and the like, are made again around it.
        let spoken = self.table.spoken_name();
        let readers = || self.ground.readers.get(&spoken).into_iter().flatten();
        let around = |with_triggers: bool| -> String {
            let gone = readers().rev().map(|reader| reader.gone.clone());
            let again = readers().filter(|reader| with_triggers || !reader.is_trigger);
            let again = again.filter_map(|reader| reader.again.clone());
            gone.chain(first.iter().cloned()).chain(again).collect::<Vec<_>>().join("; ")
        };
        let has_trigger = readers().any(|reader| reader.is_trigger);
        self.sql(what, [alter, first.join("; "), around(true), around(false)])
            .with(self.ground.made_of(self.table, &self.column.name))
            .with(has_trigger.then(|| format!("drift.{spoken}.triggers")))
    }

    /// A computed column that is given, and one that is computed otherwise.
    fn computed_otherwise(&self) -> Vec<Sabotage> {
        let (name, kind) = (quote_ident(&self.column.name), &self.column.data_type);
        let expression = format!("coalesce(NULL::{kind}, NULL)");
        let other = Column { generated: Some(expression.clone()), ..self.column.clone() };
        let again = format!(
            "ALTER TABLE {} DROP COLUMN {name} CASCADE, ADD COLUMN {}",
            self.table.qualified(),
            ddl::column(&other)
        );
        vec![
            self.sql("no longer computed", [self.alter("DROP EXPRESSION")]),
            // Setting another expression came with version 17.
            self.sql(
                "computed otherwise",
                [self.alter(&format!("SET EXPRESSION AS ({expression})")), again],
            )
            .with(self.gone()),
        ]
    }

    fn properties(&self) -> Vec<Sabotage> {
        let mut all = Vec::new();
        let flag = |value: bool| {
            let table = self.table.qualified();
            // The lock says whose row of the catalog is changed.
            format!(
                "LOCK TABLE {table} IN SHARE MODE; UPDATE pg_attribute SET attnotnull = {value} \
                 WHERE attrelid = {}::regclass AND attname = {}",
                quote_literal(&table),
                quote_literal(&self.column.name),
            )
        };
        // A key's column refuses, and so do rows with nulls: then the catalog itself is changed.
        all.push(if self.column.nullable {
            self.sql("null refused", [self.alter("SET NOT NULL"), flag(true)])
        } else {
            self.sql("null allowed", [self.alter("DROP NOT NULL"), flag(false)])
        });
        let kind = &self.column.data_type;
        match (self.column.identity, &self.column.default) {
            _ if self.column.generated.is_some() => all.extend(self.computed_otherwise()),
            (Some(identity), _) => {
                let other = match identity {
                    Identity::Always => "BY DEFAULT",
                    Identity::ByDefault => "ALWAYS",
                };
                let switch = self.alter(&format!("SET GENERATED {other}"));
                all.push(self.sql("identity changed", [switch]));
                all.push(self.sql("identity dropped", [self.alter("DROP IDENTITY")]));
            }
            (None, Some(default)) => {
                let other = self.alter(&format!("SET DEFAULT coalesce({default}, {default})"));
                all.push(self.sql("default changed", [other]));
                all.push(self.sql("default dropped", [self.alter("DROP DEFAULT")]));
            }
            (None, None) => {
                let added = self.alter(&format!("SET DEFAULT coalesce(NULL::{kind}, NULL)"));
                all.push(self.sql("default added", [added]));
                let whole = ["smallint", "integer", "bigint"].contains(&kind.as_str());
                if whole && !self.column.nullable {
                    let add = self.alter("ADD GENERATED BY DEFAULT AS IDENTITY");
                    all.push(self.sql("identity added", [add]));
                }
            }
        }
        all
    }
}

/// Other types for a column of that type, with what they are to it.
fn others(kind: &str) -> Vec<(&'static str, String)> {
    if kind.ends_with("[]") {
        return vec![("another type", "text".to_owned())];
    }
    let (base, arguments) = kind.split_once('(').map_or((kind, ""), |(base, rest)| (base, rest));
    let numbers: Vec<u32> = arguments
        .trim_end_matches(')')
        .split(',')
        .filter_map(|number| number.trim().parse().ok())
        .collect();
    match (base, numbers.as_slice()) {
        ("numeric", [precision, scale]) => {
            let mut all = vec![
                ("wider precision", format!("numeric({},{scale})", precision + 2)),
                ("no precision", "numeric".to_owned()),
                ("another type", "double precision".to_owned()),
            ];
            if *scale > 0 {
                all.push(("fewer decimals", format!("numeric({precision},{})", scale - 1)));
            }
            all
        }
        ("numeric", _) => vec![
            ("a precision", "numeric(38,10)".to_owned()),
            ("another type", "double precision".to_owned()),
        ],
        ("character varying" | "character", [length, ..]) => vec![
            ("longer text", format!("{base}({})", length + 1)),
            ("text without limit", "text".to_owned()),
        ],
        ("text", _) => vec![("another type", "character varying".to_owned())],
        ("smallint", _) => vec![("wider integer", "integer".to_owned())],
        ("integer", _) => vec![("wider integer", "bigint".to_owned())],
        ("bigint", _) => vec![("narrower integer", "integer".to_owned())],
        ("real", _) => vec![("another type", "double precision".to_owned())],
        ("double precision", _) => vec![("another type", "numeric".to_owned())],
        ("timestamp with time zone", _) => {
            vec![("no time zone", "timestamp without time zone".to_owned())]
        }
        ("timestamp without time zone", _) => {
            vec![("a time zone", "timestamp with time zone".to_owned())]
        }
        ("jsonb", _) => vec![("another type", "json".to_owned())],
        ("json", _) => vec![("another type", "jsonb".to_owned())],
        _ => vec![("another type", "text".to_owned())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_is_its_own_other() {
        for kind in [
            "numeric(10,6)",
            "numeric",
            "character varying(255)",
            "character varying",
            "character(1)",
            "text",
            "bigint",
            "jsonb",
            "boolean",
            "integer[]",
            "timestamp(3) with time zone",
        ] {
            let others = others(kind);
            assert!(!others.is_empty(), "{kind}");
            assert!(others.iter().all(|(_, other)| other != kind), "{kind}: {others:?}");
        }
    }
}
