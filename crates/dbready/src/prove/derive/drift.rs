//! Objects that the contract does not know, and triggers that are gone.

use std::collections::BTreeSet;

use crate::contract::Table;
use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::{qualified, quote_ident};

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let mut all: Vec<Sabotage> =
        ground.tables().into_iter().flat_map(|table| parts(ground, table)).collect();
    let mut schemas: BTreeSet<&str> =
        ground.tables().into_iter().map(|table| table.schema.as_str()).collect();
    schemas.insert("public");
    all.extend(schemas.into_iter().flat_map(objects));
    all
}

fn parts(ground: &Ground<'_>, table: &Table) -> Vec<Sabotage> {
    let name = table.qualified();
    let sabotage = |part: &str, what: &str, ways: Vec<String>| {
        Sabotage::sql(format!("drift.{}.{part}", table.spoken_name()), what, ways)
    };
    let add = format!("ALTER TABLE {name} ADD");
    let columns: Vec<String> =
        ground.columns(table).iter().map(|column| quote_ident(&column.name)).collect();
    let every = |unique: &str| -> Vec<String> {
        let index =
            |columns: &str| format!("CREATE {unique}INDEX sabotage_extra ON {name} ({columns})");
        // A hypertable's unique index holds its time column; nobody knows which columns are unique.
        let single = columns.iter().map(|column| index(column));
        let time = table.hypertable.as_ref().map(|one| quote_ident(&one.time_column));
        let pairs = time.iter().flat_map(|time| {
            let others = columns.iter().filter(move |column| *column != time);
            others.map(move |column| index(&format!("{column}, {time}")))
        });
        // That of a partitioned table holds the columns of its key.
        let whole = table.partition_by.as_ref().map(|_| index(&columns.join(", ")));
        // Whatever the rows are, they are unique where there are none.
        let none = pairs
            .clone()
            .chain(single.clone())
            .chain(whole)
            .map(|way| format!("{way} WHERE false"));
        let none = none.filter(|_| !unique.is_empty());
        single.chain(pairs).chain(none).collect()
    };
    let plans = || ground.of_table(table, &["plan"]);
    let mut all = vec![
        sabotage("columns", "a further column", vec![format!("{add} COLUMN sabotage_extra text")])
            .with(ground.of_table(table, &["result"])),
        sabotage("indexes", "a further index", every("")).with(plans()),
        sabotage(
            "constraints",
            "a further check",
            vec![format!("{add} CONSTRAINT sabotage_extra CHECK (1 = 1)")],
        ),
        sabotage("constraints", "a further unique index", every("UNIQUE ")).with(plans()),
        sabotage(
            "triggers",
            "a further trigger",
            vec![format!(
                "CREATE TRIGGER sabotage_extra BEFORE UPDATE ON {name} \
             FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            )],
        ),
    ];
    if table.hypertable.is_none() {
        let rule = format!("CREATE RULE sabotage_extra AS ON DELETE TO {name} DO INSTEAD NOTHING");
        all.push(sabotage("triggers", "a rule", vec![rule]).with(ground.behind(table)));
    }
    for trigger in &table.triggers {
        let (trigger, quoted) = (&trigger.name, quote_ident(&trigger.name));
        let drop = format!("DROP TRIGGER {quoted} ON {name}");
        all.push(sabotage("triggers", &format!("{trigger} dropped"), vec![drop]));
        // TimescaleDB does not let the triggers of a hypertable be switched off.
        if table.hypertable.is_none() {
            let disable = format!("ALTER TABLE {name} DISABLE TRIGGER {quoted}");
            all.push(sabotage("triggers", &format!("{trigger} switched off"), vec![disable]));
        }
    }
    all
}

fn objects(schema: &str) -> Vec<Sabotage> {
    let name = qualified(schema, "sabotage_extra");
    [
        ("tables", "a table", format!("CREATE TABLE {name} (id integer)")),
        (
            "tables",
            "a partitioned table",
            format!("CREATE TABLE {name} (id integer) PARTITION BY RANGE (id)"),
        ),
        ("views", "a view", format!("CREATE VIEW {name} AS SELECT 1 AS one")),
        (
            "views",
            "a materialized view",
            format!("CREATE MATERIALIZED VIEW {name} AS SELECT 1 AS one"),
        ),
        (
            "functions",
            "a function",
            format!("CREATE FUNCTION {name}() RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
        ),
        ("functions", "a procedure", format!("CREATE PROCEDURE {name}() LANGUAGE sql AS ''")),
    ]
    .into_iter()
    .map(|(kind, what, way)| {
        Sabotage::sql(format!("drift.{kind}"), format!("{what} in {schema}"), [way])
    })
    .collect()
}
