//! Constraints dropped, weakened, renamed and left unchecked.

use crate::contract::{Constraint, Table};
use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::{qualified, quote_ident, quote_literal};

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let mut all = Vec::new();
    for table in ground.tables() {
        let now = |one: &&Constraint| ground.is_now(one.since.as_ref(), one.until.as_ref());
        for constraint in table.constraints.iter().filter(now) {
            all.extend(of(ground, table, constraint));
        }
    }
    all
}

fn of(ground: &Ground<'_>, table: &Table, one: &Constraint) -> Vec<Sabotage> {
    let spoken = table.spoken_name();
    let id = format!("schema.{spoken}.constraint.{}", one.name);
    let (on, name) = (format!("ALTER TABLE {}", table.qualified()), quote_ident(&one.name));
    let drop = format!("{on} DROP CONSTRAINT {name} CASCADE");
    let again = |definition: &str| format!("{drop}; {on} ADD CONSTRAINT {name} {definition}");
    // Its index serves queries, and foreign keys may point at it.
    let falls = || {
        let plans = ground.of_table(table, &["plan"]).into_iter();
        plans.chain(ground.referrers(table)).chain(ground.of_key(table, &one.name))
    };
    let sabotage = |what: &str, way: String| Sabotage::sql(&*id, what, [way]).with(falls());
    let rename = format!("{on} RENAME CONSTRAINT {name} TO sabotage_renamed");
    let mut all = vec![
        sabotage("dropped", drop.clone()),
        sabotage("renamed", rename).with([format!("drift.{spoken}.constraints")]),
    ];
    if let Some(other) = changed(&one.definition, ground.constraint_columns(table, &one.name)) {
        all.push(sabotage("changed", again(&other)));
    }
    match one.definition.split(' ').next() {
        Some("CHECK" | "FOREIGN") if !one.definition.ends_with("NOT VALID") => {
            let unchecked = again(&format!("{} NOT VALID", one.definition));
            all.push(sabotage("not checked against older rows", unchecked));
        }
        Some("PRIMARY" | "UNIQUE" | "EXCLUDE") => {
            let index = quote_literal(&qualified(&table.schema, &one.name));
            for (what, flag) in
                [("index not valid", "indisvalid"), ("index not ready", "indisready")]
            {
                // The lock says whose row of the catalog is changed.
                let set = format!(
                    "LOCK TABLE {} IN SHARE MODE; \
                     UPDATE pg_index SET {flag} = false WHERE indexrelid = {index}::regclass",
                    table.qualified()
                );
                all.push(sabotage(what, set));
            }
        }
        _ => {}
    }
    all
}

/// Another constraint of the same kind that the same rows keep.
fn changed(definition: &str, columns: &[String]) -> Option<String> {
    if let Some(bare) = definition.strip_suffix(" NOT VALID") {
        return Some(changed(bare, columns)? + " NOT VALID");
    }
    if let Some(expression) = definition.strip_prefix("CHECK ").filter(|text| text.ends_with(')')) {
        return Some(format!("CHECK ({expression} IS NOT FALSE)"));
    }
    if definition.starts_with("FOREIGN KEY") {
        return Some(match definition.split_once(" DEFERRABLE") {
            Some((bare, _)) => bare.to_owned(),
            None => format!("{definition} DEFERRABLE"),
        });
    }
    let key = definition.split_once(" (")?.0;
    let quoted: Vec<String> = columns.iter().map(|name| quote_ident(name)).collect();
    match (key, quoted.as_slice()) {
        ("PRIMARY KEY", [only]) => Some(format!("UNIQUE ({only})")),
        ("UNIQUE", [only]) => Some(format!("UNIQUE NULLS NOT DISTINCT ({only})")),
        ("PRIMARY KEY" | "UNIQUE", [_, ..]) => {
            let reversed: Vec<String> = quoted.into_iter().rev().collect();
            Some(format!("{key} ({})", reversed.join(", ")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_another_of_its_kind() {
        let columns = ["a".to_owned(), "b".to_owned()];
        for (definition, other) in [
            ("CHECK (a > 0)", Some("CHECK ((a > 0) IS NOT FALSE)")),
            ("CHECK (a > 0) NO INHERIT", None),
            ("CHECK (a > 0) NOT VALID", Some("CHECK ((a > 0) IS NOT FALSE) NOT VALID")),
            ("PRIMARY KEY (a, b)", Some("PRIMARY KEY (\"b\", \"a\")")),
            ("FOREIGN KEY (a) REFERENCES t(a)", Some("FOREIGN KEY (a) REFERENCES t(a) DEFERRABLE")),
            (
                "FOREIGN KEY (a) REFERENCES t(a) DEFERRABLE INITIALLY DEFERRED",
                Some("FOREIGN KEY (a) REFERENCES t(a)"),
            ),
        ] {
            assert_eq!(changed(definition, &columns).as_deref(), other, "{definition}");
        }
        assert_eq!(changed("PRIMARY KEY (a)", &columns[..1]).as_deref(), Some("UNIQUE (\"a\")"));
    }
}
