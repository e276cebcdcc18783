//! The Open Data Contract Standard: round trips, documents from elsewhere, hostile documents.

use std::collections::BTreeMap;

use dbready::contract::{Contract, parse, source};
use dbready::odcs::{export, import};
use proptest::prelude::*;
use serde_json::Value;

use crate::every_key;
use crate::fuzz::{apply, damage};

fn same(one: &Contract, other: &Contract) {
    let value = |contract: &Contract| serde_json::to_value(&contract.model).unwrap();
    assert_eq!(value(one), value(other));
    assert_eq!(one.query_sql, other.query_sql);
    assert_eq!(one.rollup_sql, other.rollup_sql);
    assert_eq!(one.workload_sql, other.workload_sql);
    assert_eq!(one.migrations, other.migrations);
    assert_eq!(one.seed_sql, other.seed_sql);
}

#[test]
fn what_is_exported_is_imported_as_the_same_contract() {
    let contract = source::load(None).unwrap();
    let yaml = export(&contract).unwrap();
    let again = parse(&import(&yaml).unwrap()).unwrap();
    same(&contract, &again);
    assert_eq!(export(&again).unwrap(), yaml);
}

/// The example of the documentation has what the built-in contract has not.
#[test]
fn the_example_of_the_documentation_makes_the_round_trip() {
    let contract = parse(&crate::shop::files()).unwrap();
    let again = parse(&import(&export(&contract).unwrap()).unwrap()).unwrap();
    same(&contract, &again);
}

/// Every value of a contract is in the document, somewhere.
#[test]
fn nothing_is_left_out_of_the_document() {
    let model = serde_json::to_value(every_key::model()).unwrap();
    let before = export(&every_key::contract()).unwrap();
    for at in every_key::leaves(&model) {
        let Some(other) = every_key::other(model.pointer(&at).unwrap()) else { continue };
        let mut changed = model.clone();
        *changed.pointer_mut(&at).unwrap() = other;
        let model = serde_json::from_value(changed).unwrap();
        let document = export(&Contract { model, ..every_key::contract() }).unwrap();
        assert_ne!(document, before, "{at}");
    }
}

/// What other tools read is where they look for it.
#[test]
fn tables_columns_keys_and_retention_have_their_places() {
    let yaml = export(&source::load(None).unwrap()).unwrap();
    let document: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(document["apiVersion"], "v3.1.0");
    assert_eq!(
        (&document["id"], &document["version"]),
        (&"signal-service".into(), &"1.5.0".into())
    );
    let table = &document["schema"][0];
    assert_eq!(table["physicalName"], "public.signal_greeks");
    let column = |name: &str| {
        table["properties"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
    };
    assert_eq!(column("delta")["physicalType"], "numeric(10,6)");
    assert_eq!(
        (&column("delta")["logicalType"], &column("delta")["required"]),
        (&"number".into(), &false.into())
    );
    assert_eq!(
        (&column("id")["primaryKey"], &column("id")["primaryKeyPosition"]),
        (&true.into(), &2.into())
    );
    assert_eq!(column("instrument_key")["examples"][0], "NSE@RELIANCE@EQ");
    let retention = &document["slaProperties"][0];
    assert_eq!((&retention["value"], &retention["unit"]), (&90.0.into(), &"d".into()));
    assert_eq!(retention["element"], "signal_greeks.timestamp");
    let roles: Vec<(&str, &str)> = document["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["role"].as_str().unwrap(), one["access"].as_str().unwrap()))
        .collect();
    let expected = [
        ("signal_owner", "write"),
        ("signal_writer", "write"),
        ("signal_reader", "read"),
        ("signal_monitor", "read"),
    ];
    assert_eq!(roles, expected);
}

/// With the standard's own JSON Schema, which is not part of this repository.
#[test]
#[ignore = "needs the JSON Schema of ODCS 3.1: ODCS_SCHEMA=odcs-json-schema-v3.1.0.json"]
fn the_document_follows_the_published_schema() {
    let path = std::env::var("ODCS_SCHEMA").expect("ODCS_SCHEMA names the file");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for contract in [source::load(None).unwrap(), every_key::contract()] {
        let document: Value = serde_saphyr::from_str(&export(&contract).unwrap()).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|one| format!("{}: {one}", one.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new());
    }
    assert!(!validator.is_valid(&serde_json::json!({ "kind": "DataContract" })));
}

const FOREIGN: &str = include_str!("foreign.odcs.yaml");

#[test]
fn a_document_from_elsewhere_gives_a_first_contract() {
    let files = import(FOREIGN).unwrap();
    let contract = parse(&files).unwrap();
    let model = &contract.model;
    assert_eq!(
        (model.service.name.as_str(), model.service.version.to_string().as_str()),
        ("orders-of-a-shop", "2.1.0")
    );
    let table = &model.tables[0];
    assert_eq!((table.schema.as_str(), table.name.as_str()), ("sales", "orders"));
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|one| (one.name.as_str(), one.data_type.as_str(), one.nullable))
        .collect();
    assert_eq!(
        columns,
        [
            ("order_id", "bigint", false),
            ("timestamp", "timestamp with time zone", false),
            ("email", "character varying(200)", false),
            ("amount", "numeric", true),
            ("lines", "jsonb", true),
        ]
    );
    assert_eq!(table.constraints[0].definition, "PRIMARY KEY (order_id, \"timestamp\")");
    assert_eq!(table.constraints[1].definition, "UNIQUE (email)");
    assert_eq!(model.tables[1].name, "schema_version");
    assert!(contract.migrations[0].up_sql.contains("CREATE SCHEMA IF NOT EXISTS \"sales\""));
}

/// The document's own words beside the keys that dbready wrote: what ODCS has a place for decides.
#[test]
fn what_was_changed_in_the_document_is_changed_in_the_contract() {
    let yaml = export(&source::load(None).unwrap()).unwrap();
    let changed = yaml.replacen("change of delta per unit of the underlying", "how delta moves", 1);
    assert_ne!(changed, yaml);
    let contract = parse(&import(&changed).unwrap()).unwrap();
    assert_eq!(contract.column("signal_greeks.gamma").unwrap().1.meaning, "how delta moves");
}

#[test]
fn what_is_no_contract_is_refused_on_one_line() {
    let wrong = |from: &str, to: &str| FOREIGN.replacen(from, to, 1);
    let mut bomb = "a0: &a0 [x, x]\n".to_owned();
    let mut deep = "a:\n".to_owned();
    for n in 1..=30 {
        let before = n - 1;
        let line = format!("a{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}]\n");
        bomb.push_str(&line);
    }
    bomb += "root: *a30\n";
    for n in 1..5_000 {
        deep.push_str(&" ".repeat(n));
        deep.push_str("a:\n");
    }
    for (name, text) in [
        ("nothing", String::new()),
        ("a list", "- 1\n".to_owned()),
        ("another kind", wrong("kind: DataContract", "kind: DataProduct")),
        ("an old version", wrong("v3.0.2", "v2.2.2")),
        ("no version", wrong("version: 2.1\n", "")),
        ("no id", wrong("id: 53581432-6c55-4ba2-a65f-72344a91553a\nname: orders of a shop\n", "")),
        ("no tables", FOREIGN.split("schema:\n  - name").next().unwrap().to_owned()),
        ("no type", wrong("VARCHAR(200)", "a; DROP TABLE b")),
        ("a name that is none", wrong("name: email", "name: \"e.mail\"")),
        (
            "a schema that is no list",
            FOREIGN.replace("schema:\n  - name: orders", "schema: 5\nx:\n  - name: orders"),
        ),
        ("twice", format!("{FOREIGN}kind: DataContract\n")),
        ("two documents", format!("{FOREIGN}\n---\n{FOREIGN}")),
        ("aliases", bomb),
        ("depth", "[".repeat(100_000)),
        ("deep maps", deep),
        (
            "control characters",
            wrong("orders of a shop", "\"\\e[2J\\u202e\"").replace("VARCHAR(200)", "\\e[31m"),
        ),
        ("tags", format!("!!python/object/apply:os.system ['id']\n{FOREIGN}")),
    ] {
        let error =
            import(&text).map(|files| format!("{:?}", files.keys())).expect_err(name).to_string();
        assert!(!error.replace('\n', "").contains(char::is_control), "{name}: {error:?}");
        assert!(error.len() < 2_000, "{name}: {} bytes", error.len());
    }
}

/// Paths in the document are never paths on this machine.
#[test]
fn files_that_the_contract_does_not_name_are_left_out() {
    let yaml = export(&source::load(None).unwrap()).unwrap();
    let mut document: Value = serde_saphyr::from_str(&yaml).unwrap();
    let files = document["customProperties"][1]["value"].as_object_mut().unwrap();
    for path in ["README/../../../etc/passwd", "docs/../../x", ".ssh/authorized_keys", "README.md"]
    {
        files.insert(path.to_owned(), "x".into());
    }
    let files: BTreeMap<String, String> = import(&document.to_string()).unwrap();
    assert!(
        files.keys().all(|path| !path.contains("..") && !path.starts_with('.')),
        "{:?}",
        files.keys()
    );
    assert!(!files.contains_key("README.md"));
    for path in ["../x.sql", "/etc/passwd", "queries/../../x.sql", "migrations/../x.sql"] {
        let mut hostile = document.clone();
        let files = hostile["customProperties"][1]["value"].as_object_mut().unwrap();
        files.insert(path.to_owned(), "SELECT 1".into());
        assert!(import(&hostile.to_string()).is_err(), "{path}");
    }
}

/// A document of one table in another's words: its name with its schema, and one column.
fn document(table: &str, column: &str) -> String {
    let mut document: Value = serde_saphyr::from_str(FOREIGN).unwrap();
    document["schema"] = serde_json::json!([{
        "name": "spoken",
        "physicalName": table,
        "properties": [
            { "name": "spoken", "physicalName": column, "logicalType": "integer", "primaryKey": true },
            { "name": "other", "physicalName": format!("{column}2"), "logicalType": "string", "unique": true },
        ],
    }]);
    document.to_string()
}

/// A name comes through letter by letter, or is refused in words; no file is named after it.
#[test]
fn hostile_names_are_carried_as_they_are_or_refused() {
    let longest = "x".repeat(62);
    for name in [
        "it's",
        "a \"b\"",
        "\"",
        "'; DROP TABLE orders; --",
        "$1 %s {0} $$",
        "a\\b",
        "/etc/passwd",
        "C:\\x",
        "--",
        "/* x",
        "Größe",
        "\u{202e}x",
        "select",
        "`x` <b> | #",
        &longest,
    ] {
        let files = import(&document(&format!("sales.{name}"), name)).expect(name);
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        let migration = "migrations/2.1.0_imported";
        let (down, up) = (format!("{migration}.down.sql"), format!("{migration}.up.sql"));
        assert_eq!(paths, ["contract.toml", &down, &up], "{name}");
        let contract = parse(&files).unwrap();
        let table = &contract.model.tables[0];
        let column = &table.columns[0];
        assert_eq!((&*table.schema, &*table.name, &*column.name), ("sales", name, name));
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let create = format!("CREATE TABLE \"sales\".{quoted} (\n    {quoted} bigint NOT NULL,");
        assert!(contract.migrations[0].up_sql.contains(&create), "{create}");
    }
    let long = "x".repeat(64);
    for name in
        ["../x", "..", "../../etc/passwd", "a.b", "a\0b", "a\nb", "\u{1b}[2J", "a\u{9b}b", &long]
    {
        let alone = import(&document("orders", name));
        let table = import(&document(&format!("sales.{name}"), "a"));
        let schema = import(&document(&format!("{name}.orders"), "a"));
        for (place, found) in [("column", alone), ("table", table), ("schema", schema)] {
            // Before the first dot stands the schema.
            if (place, name) == ("schema", "a.b") {
                continue;
            }
            let error = found.map(|files| format!("{files:?}")).expect_err(name);
            assert!(error.is_usage(), "{place} {name:?}: {error:?}");
            let error = error.to_string();
            assert!(!error.replace('\n', "").contains(char::is_control), "{place}: {error:?}");
            assert!(error.len() < 2_000, "{place}: {} bytes", error.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_document_is_imported_or_refused_on_one_line(
        own in any::<bool>(),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let exported = export(&parse(&crate::shop::files()).unwrap()).unwrap();
        let mut text = if own { exported } else { FOREIGN.to_owned() };
        for damage in &damages {
            apply(&mut text, damage);
        }
        match import(&text) {
            Ok(files) => prop_assert!(parse(&files).is_ok()),
            Err(error) => {
                let error = error.to_string();
                prop_assert!(!error.replace('\n', "").contains(char::is_control), "{error:?}");
            }
        }
    }
}
