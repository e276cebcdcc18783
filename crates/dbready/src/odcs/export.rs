//! From a contract to an ODCS document.

use serde_json::{Map, Value, json};

use super::{API_VERSION, FILES, KEYS, MODEL};
use crate::Error;
use crate::contract::{Column, Contract, Role, Table, TableRights};

/// The contract as an ODCS document in YAML.
///
/// # Errors
///
/// [`Error::Usage`] when a value of the contract cannot be written.
pub fn export(contract: &Contract) -> Result<String, Error> {
    let document = document(contract)?;
    serde_saphyr::to_string(&document)
        .map_err(|error| Error::Usage(format!("the contract cannot be written as YAML: {error}")))
}

fn document(contract: &Contract) -> Result<Value, Error> {
    let model = &contract.model;
    let value = serde_json::to_value(model)
        .map_err(|error| Error::Usage(format!("the contract cannot be written: {error}")))?;
    let mut rest = compact(value);
    let written = take_tables(&mut rest);
    if let Some(service) = rest.get_mut("service").and_then(Value::as_object_mut) {
        for key in ["name", "version", "description"] {
            service.remove(key);
        }
    }
    let schema: Vec<Value> = model
        .tables
        .iter()
        .zip(&written)
        .map(|(table, value)| object(contract, table, value))
        .collect();
    let mut files = Map::new();
    for (query, sql) in model.queries.iter().zip(&contract.query_sql) {
        files.insert(query.file.clone(), sql.statement.clone().into());
        if let (Some(path), Some(text)) = (&query.sample, &sql.sample) {
            files.insert(path.clone(), text.clone().into());
        }
    }
    for (rollup, sql) in model.rollups.iter().zip(&contract.rollup_sql) {
        files.insert(rollup.served.clone(), sql.served.clone().into());
        files.insert(rollup.raw.clone(), sql.raw.clone().into());
    }
    for (path, text) in &contract.workload_sql {
        files.insert(path.clone(), text.clone().into());
    }
    for one in &contract.migrations {
        files.insert(one.up_file.clone(), one.up_sql.clone().into());
        files.insert(one.down_file.clone(), one.down_sql.clone().into());
    }
    if let Some(seed) = &contract.seed_sql {
        files.insert("seed.sql".to_owned(), seed.clone().into());
    }
    let service = &model.service;
    Ok(json!({
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": service.name,
        "name": service.name,
        "version": service.version.to_string(),
        "status": "active",
        "description": { "purpose": service.description },
        "schema": schema,
        "slaProperties": retentions(contract),
        "roles": roles(contract),
        "customProperties": [
            { "property": MODEL, "value": rest },
            { "property": FILES, "value": files },
        ],
    }))
}

/// A value without keys that say nothing: null and empty lists mean the same when they are left out.
fn compact(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, inner)| !inner.is_null())
            .map(|(key, inner)| (key, compact(inner)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.into_iter().map(compact).collect(),
        other => other,
    }
}

fn take_tables(model: &mut Value) -> Vec<Value> {
    let tables = model.as_object_mut().and_then(|model| model.remove("table"));
    match tables {
        Some(Value::Array(tables)) => tables,
        _ => Vec::new(),
    }
}

/// A table as a schema object; keys without a place there are kept as they are.
fn object(contract: &Contract, table: &Table, written: &Value) -> Value {
    let mut keys = written.as_object().cloned().unwrap_or_default();
    let columns =
        keys.remove("column").and_then(|list| list.as_array().cloned()).unwrap_or_default();
    for key in ["name", "schema", "meaning"] {
        keys.remove(key);
    }
    let properties: Vec<Value> = table
        .columns
        .iter()
        .zip(&columns)
        .map(|(column, written)| property(contract, table, column, written))
        .collect();
    json!({
        "name": table.spoken_name(),
        "physicalName": format!("{}.{}", table.schema, table.name),
        "physicalType": "table",
        "logicalType": "object",
        "description": table.meaning,
        "properties": properties,
        "customProperties": [{ "property": KEYS, "value": keys }],
    })
}

fn property(contract: &Contract, table: &Table, column: &Column, written: &Value) -> Value {
    let mut keys = written.as_object().cloned().unwrap_or_default();
    for key in ["name", "type", "nullable", "meaning"] {
        keys.remove(key);
    }
    let mut property = Map::new();
    property.insert("name".to_owned(), column.name.clone().into());
    property.insert("physicalType".to_owned(), column.data_type.clone().into());
    property.insert("logicalType".to_owned(), logical(&column.data_type).into());
    property.insert("required".to_owned(), (!column.nullable).into());
    property.insert("description".to_owned(), column.meaning.clone().into());
    if let Some(place) = primary_key(table).iter().position(|name| *name == column.name) {
        property.insert("primaryKey".to_owned(), true.into());
        property.insert("primaryKeyPosition".to_owned(), (place + 1).into());
    }
    let full = format!("{}.{}", table.spoken_name(), column.name);
    if let Some(format) = contract.model.formats.iter().find(|one| one.columns.contains(&full)) {
        property.insert("examples".to_owned(), format.examples.clone().into());
    }
    if !keys.is_empty() {
        let kept = json!([{ "property": KEYS, "value": keys }]);
        property.insert("customProperties".to_owned(), kept);
    }
    property.into()
}

/// The columns of the primary key in order, as far as its definition lists plain names.
pub(super) fn primary_key(table: &Table) -> Vec<String> {
    let listed = table.constraints.iter().find_map(|one| {
        one.definition.strip_prefix("PRIMARY KEY (").and_then(|rest| rest.strip_suffix(')'))
    });
    let names = listed.into_iter().flat_map(|list| list.split(", "));
    names.map(|name| name.trim_matches('"').to_owned()).collect()
}

/// The logical type of ODCS for a type of PostgreSQL.
fn logical(data_type: &str) -> &'static str {
    let base = data_type.split(['(', '[']).next().unwrap_or_default().trim();
    match base {
        _ if data_type.ends_with("[]") => "array",
        "smallint" | "integer" | "bigint" => "integer",
        "numeric" | "real" | "double precision" => "number",
        "boolean" => "boolean",
        "date" => "date",
        "json" | "jsonb" => "object",
        _ if base.starts_with("timestamp") => "timestamp",
        _ if base.starts_with("time") => "time",
        _ => "string",
    }
}

/// Roles; what each may do in detail is a custom property.
fn roles(contract: &Contract) -> Vec<Value> {
    let access = |role: &Role| {
        let reads = |one: &TableRights| one.privileges.iter().all(|word| word == "SELECT");
        if role.tables.iter().all(reads) { "read" } else { "write" }
    };
    let roles = contract.roles();
    roles
        .map(|one| json!({ "role": one.name, "access": access(one), "description": one.meaning }))
        .collect()
}

/// Retention as service-level properties, in days.
fn retentions(contract: &Contract) -> Vec<Value> {
    let tables = contract.model.tables.iter();
    tables
        .filter_map(|table| {
            let (retention, hypertable) = (table.retention.as_ref()?, table.hypertable.as_ref()?);
            Some(json!({
                "property": "retention",
                "value": retention.keep.duration().as_secs_f64() / 86_400.0,
                "unit": "d",
                "element": format!("{}.{}", table.spoken_name(), hypertable.time_column),
            }))
        })
        .collect()
}
