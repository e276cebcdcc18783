//! From an ODCS document to the files of a contract.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use semver::Version;
use serde_json::{Map, Value, json};

use super::words::{custom, list, optional, printed, text, wrong};
use super::{FILES, KEYS, MODEL};
use crate::Error;
use crate::contract::{Contract, LONGEST_IDENTIFIER, Model, canonical_type, parse};
use crate::sql::{quote_ident, quote_literal};

/// Longest document that is read, in bytes.
pub const MAX_BYTES: u64 = 32 << 20;
/// Deepest nesting.
const DEPTH: usize = 64;
/// Most values.
const NODES: usize = 1_000_000;
/// Table of the versions, where the document brings none.
const VERSIONS: &str = "schema_version";

/// Reads an ODCS document and gives the files of a contract directory, by their paths. The contract is
/// valid, and its files are those that it names and no others.
///
/// # Errors
///
/// [`Error::Usage`] for anything that is no ODCS document of version 3; [`Error::Contract`] when the
/// contract that it gives is not valid.
pub fn import(yaml: &str) -> Result<BTreeMap<String, String>, Error> {
    let document = read(yaml)?;
    let own = custom(&document, MODEL)?;
    let mut files = BTreeMap::new();
    for (path, content) in custom(&document, FILES)?.unwrap_or_default() {
        let Value::String(content) = content else {
            return Err(wrong(format!("expected a text in {FILES}, {path}")));
        };
        files.insert(path, content);
    }
    let tables = tables(&document)?;
    let service = service(&document)?;
    let model = match own {
        Some(mut rest) => {
            rest.insert("service".to_owned(), service);
            rest.insert("table".to_owned(), tables.into());
            model(rest)?
        }
        None => foreign(&service, tables, &mut files)?,
    };
    let toml = toml::to_string_pretty(&model)
        .map_err(|error| wrong(format!("the contract cannot be written: {error}")))?;
    files.insert("contract.toml".to_owned(), toml);
    let contract = parse(&files)?;
    Ok(named(&contract, files))
}

/// The document within its budget.
fn read(yaml: &str) -> Result<Value, Error> {
    if yaml.len() as u64 > MAX_BYTES {
        return Err(wrong(format!("expected at most {MAX_BYTES} bytes, found more")));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            max_nodes: NODES,
            max_documents: 1,
        },
        with_snippet: false,
    };
    let document: Value = serde_saphyr::from_str_with_options(yaml, options)
        .map_err(|error| wrong(error.to_string()))?;
    let version = text(&document, "apiVersion", "the document")?;
    if !version.trim_start_matches('v').starts_with("3.") {
        return Err(wrong(format!("expected apiVersion v3, found `{version}`")));
    }
    if text(&document, "kind", "the document")? != "DataContract" {
        return Err(wrong("expected kind: DataContract"));
    }
    Ok(document)
}

fn model(value: Map<String, Value>) -> Result<Model, Error> {
    serde_json::from_value(value.into()).map_err(|error| wrong(error.to_string()))
}

/// The files that the contract names, and no others: paths come from outside.
fn named(contract: &Contract, mut files: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let queries = contract.model.queries.iter();
    let queries = queries.flat_map(|one| std::iter::once(&one.file).chain(&one.sample));
    let migrations = contract.migrations.iter().flat_map(|one| [&one.up_file, &one.down_file]);
    let rollups = contract.model.rollups.iter().flat_map(|one| [&one.served, &one.raw]);
    let workloads = contract.workload_sql.keys();
    let all = queries.chain(rollups).chain(workloads).chain(migrations);
    let mut wanted: Vec<String> = all.cloned().collect();
    wanted.extend(["contract.toml".to_owned(), "seed.sql".to_owned()]);
    files.retain(|path, _| wanted.contains(path));
    files
}

fn service(document: &Value) -> Result<Value, Error> {
    let name =
        optional(document, "name").map_or_else(|| text(document, "id", "the document"), Ok)?;
    // Unquoted, `2.1` is a number in YAML.
    let number = document.get("version").filter(|one| one.is_number()).map(Value::to_string);
    let version = match &number {
        Some(number) => number,
        None => text(document, "version", "the document")?,
    };
    let description = match document.get("description") {
        Some(Value::String(purpose)) => Some(purpose.as_str()),
        Some(object) => optional(object, "purpose").or_else(|| optional(object, "usage")),
        None => None,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = name.chars().map(|c| if fits(c) { c } else { '-' }).take(100).collect();
    Ok(json!({
        "name": name,
        "version": plain(version),
        "description": description.unwrap_or("Imported from a data contract"),
    }))
}

/// A version of three numbers: ODCS takes any text.
fn plain(written: &str) -> String {
    let mut numbers = written.trim_start_matches('v').split('.').map(|one| {
        let digits: String = one.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or(0)
    });
    let mut next = || u64::from(numbers.next().unwrap_or(0));
    Version::new(next(), next(), next()).to_string()
}

fn tables(document: &Value) -> Result<Vec<Value>, Error> {
    list(document, "schema", "the document")?.iter().map(table).collect()
}

fn table(object: &Value) -> Result<Value, Error> {
    let spoken = text(object, "name", "an object of `schema`")?;
    let physical = optional(object, "physicalName").unwrap_or(spoken);
    let (schema, name) = crate::sql::split_name(physical);
    let mut table = custom(object, KEYS)?;
    let is_own = table.is_some();
    let keys = table.get_or_insert_default();
    let properties = list(object, "properties", spoken)?;
    let columns: Result<Vec<Value>, Error> =
        properties.iter().map(|one| column(one, spoken)).collect();
    keys.insert("name".to_owned(), name.into());
    keys.insert("schema".to_owned(), schema.into());
    keys.insert("meaning".to_owned(), optional(object, "description").unwrap_or(spoken).into());
    keys.insert("column".to_owned(), columns?.into());
    if !is_own {
        keys.insert("constraint".to_owned(), constraints(name, properties).into());
    }
    Ok(table.unwrap_or_default().into())
}

fn column(property: &Value, table: &str) -> Result<Value, Error> {
    let name = text(property, "name", &format!("a property of {table}"))?;
    let physical = optional(property, "physicalName").unwrap_or(name);
    let own = custom(property, KEYS)?;
    let written = optional(property, "physicalType");
    let data_type = match written {
        Some(written) => canonical_type(written)
            .ok_or_else(|| wrong(format!("`{written}` of {table}.{name} is no type")))?,
        None => logical(optional(property, "logicalType").unwrap_or("string")).to_owned(),
    };
    let flag = |key: &str| property.get(key) == Some(&Value::Bool(true));
    let mut keys = own.unwrap_or_default();
    keys.insert("name".to_owned(), physical.into());
    keys.insert("type".to_owned(), data_type.into());
    keys.insert("nullable".to_owned(), (!(flag("required") || flag("primaryKey"))).into());
    keys.insert("meaning".to_owned(), optional(property, "description").unwrap_or(name).into());
    Ok(keys.into())
}

/// A type of PostgreSQL for a logical type of ODCS.
fn logical(word: &str) -> &'static str {
    match word {
        "integer" => "bigint",
        "number" => "numeric",
        "boolean" => "boolean",
        "date" => "date",
        "timestamp" => "timestamp with time zone",
        "time" => "time without time zone",
        "object" | "array" => "jsonb",
        _ => "text",
    }
}

/// Primary key and unique columns of a document from elsewhere, as the server prints them.
fn constraints(table: &str, properties: &[Value]) -> Vec<Value> {
    let name = |property: &Value| {
        optional(property, "physicalName")
            .or_else(|| optional(property, "name"))
            .unwrap_or_default()
            .to_owned()
    };
    let flag = |property: &Value, key: &str| property.get(key) == Some(&Value::Bool(true));
    let mut key: Vec<(i64, String)> = properties
        .iter()
        .filter(|one| flag(one, "primaryKey"))
        .map(|one| (one.get("primaryKeyPosition").and_then(Value::as_i64).unwrap_or(0), name(one)))
        .collect();
    key.sort_by_key(|(place, _)| *place);
    let key: Vec<String> = key.iter().map(|(_, name)| printed(name)).collect();
    let mut found = Vec::new();
    if !key.is_empty() {
        let definition = format!("PRIMARY KEY ({})", key.join(", "));
        let name = within_limit(table, "_pkey");
        found.push(json!({ "name": name, "definition": definition }));
    }
    for one in properties.iter().filter(|one| flag(one, "unique") && !flag(one, "primaryKey")) {
        let name = name(one);
        let definition = format!("UNIQUE ({})", printed(&name));
        let name = within_limit(&format!("{table}_{name}"), "_key");
        found.push(json!({ "name": name, "definition": definition }));
    }
    found
}

/// A name of a constraint that a server keeps whole, as one that it makes itself: what it is made of is
/// cut, and not what says its kind.
fn within_limit(of: &str, kind: &str) -> String {
    let room = LONGEST_IDENTIFIER.saturating_sub(kind.len());
    let cut = of.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= room);
    format!("{}{kind}", &of[..cut.last().unwrap_or(0)])
}

/// A first contract from a document that dbready did not write.
fn foreign(
    service: &Value,
    mut tables: Vec<Value>,
    files: &mut BTreeMap<String, String>,
) -> Result<Model, Error> {
    if tables.is_empty() {
        return Err(wrong("it describes no tables in `schema`"));
    }
    files.clear();
    let versions = |table: &Value| table["name"] == VERSIONS && table["schema"] == "public";
    let brings = tables.iter().any(versions);
    if !brings {
        tables.push(json!({
            "name": VERSIONS,
            "meaning": "one row per applied version",
            "column": [
                { "name": "version", "type": "text", "meaning": "version that was applied" },
                { "name": "applied_at", "type": "timestamp with time zone", "default": "now()", "meaning": "instant of its application" },
            ],
            "constraint": [{ "name": "schema_version_pkey", "definition": "PRIMARY KEY (version)" }],
        }));
    }
    let version = service["version"].as_str().unwrap_or_default().to_owned();
    let name = service["name"].clone();
    let area = |name: &str, title: &str, weight: f64| json!({ "name": name, "title": title, "refinement": "contracts", "weight": weight });
    let value = json!({
        "contract": 1,
        "service": service,
        "server": { "postgresql": ">=14" },
        "table": tables,
        "pool": {
            "min": 1, "max": 10, "acquire_timeout_ms": 5000, "command_timeout_ms": 30000,
            "application_name": name, "jit": false, "reuse_percent": 95.0, "alert_percent": 80.0,
        },
        "transactions": { "isolation": "read committed" },
        "versioning": {
            "notice_days": 30,
            "table": VERSIONS,
            "breaking": ["a column is removed or retyped", "a table is removed or renamed"],
            "compatible": ["a column with a default is added", "a table is added", "an index is added"],
        },
        "score": {
            "refinement": [{ "name": "contracts", "title": "The database", "weight": 1.0 }],
            "area": [
                area("schema_integrity", "Schema", 0.5),
                area("migration_integrity", "Migrations", 0.2),
                area("query_contracts", "Queries", 0.1),
                area("data_formats", "Data", 0.1),
                area("server", "Server", 0.1),
            ],
        },
        "coverage": { "percent": 100.0, "modules": [], "methods": [] },
    });
    let model: Model = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    let (up, down) = migration(&model, &version);
    files.insert(format!("migrations/{version}_imported.up.sql"), up);
    files.insert(format!("migrations/{version}_imported.down.sql"), down);
    Ok(model)
}

/// The migration that makes the tables, and its rollback.
fn migration(model: &Model, version: &str) -> (String, String) {
    let mut up = format!(
        "-- version: {version}\n-- description: tables of the imported contract\n-- breaking: no\n\n"
    );
    let mut down = String::new();
    let mut schemas: Vec<&str> = model.tables.iter().map(|table| table.schema.as_str()).collect();
    schemas.sort_unstable();
    schemas.dedup();
    for schema in schemas.into_iter().filter(|schema| *schema != "public") {
        // Writing to a String cannot fail.
        let _ = writeln!(up, "CREATE SCHEMA IF NOT EXISTS {};", quote_ident(schema));
    }
    for table in &model.tables {
        let mut parts: Vec<String> = table
            .columns
            .iter()
            .map(|column| {
                let null = if column.nullable { "" } else { " NOT NULL" };
                let default = column
                    .default
                    .as_ref()
                    .map_or_else(String::new, |one| format!(" DEFAULT {one}"));
                format!("    {} {}{default}{null}", quote_ident(&column.name), column.data_type)
            })
            .collect();
        parts.extend(
            table
                .constraints
                .iter()
                .map(|one| format!("    CONSTRAINT {} {}", quote_ident(&one.name), one.definition)),
        );
        let _ = writeln!(up, "CREATE TABLE {} (\n{}\n);", table.qualified(), parts.join(",\n"));
        down.insert_str(0, &format!("DROP TABLE {};\n", table.qualified()));
    }
    let insert = format!("INSERT INTO {VERSIONS} (version) VALUES ({});\n", quote_literal(version));
    up.push_str(&insert);
    (up, down)
}
