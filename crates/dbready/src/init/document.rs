//! `contract.toml` of a first contract, as text.

use std::fmt::Write;

use crate::catalog::{Column, Dimension, Persistence, Relation, RelationKind, Survey};
use crate::contract::{Period, prose};

use super::VERSION;
use super::queries::Query;

/// Settings that a contract asks for from the start: they decide what texts and transactions mean.
const SETTINGS: [(&str, &str); 3] = [
    ("server_encoding", "which texts can be stored"),
    ("standard_conforming_strings", "whether a backslash in a string constant is a backslash"),
    ("default_transaction_isolation", "the isolation that transactions are written for"),
];

/// What is the same in every first contract.
const REST: &str = r#"
[pool]
min = 1
max = 10
acquire_timeout_ms = 5000
command_timeout_ms = 30000
application_name = APPLICATION
jit = true
reuse_percent = 90
alert_percent = 80

[transactions]
isolation = ISOLATION

# Versions are recorded in dbready.migration by `dbready migrate`. A table of your own with a column
# `version` is named here, and its rows are then claims, too.
[versioning]
notice_days = 30
breaking = [
    "a column is removed or retyped",
    "a table is renamed or removed",
    "the definition of a constraint changes",
    "an index that a consumer uses is removed",
]
compatible = ["a column with a default is added", "an index is added", "a table is added"]

[score]
refinement = [{ name = "contracts", title = "Database contracts", weight = 1 }]
area = [
AREAS
]

[coverage]
percent = 0
modules = []
methods = []
"#;

/// Areas of claims, their titles, and their shares in the score without queries and with them.
const AREAS: [(&str, &str, f64, f64); 4] = [
    ("schema_integrity", "Schema", 0.6, 0.4),
    ("query_contracts", "Queries", 0.0, 0.3),
    ("data_formats", "Values", 0.3, 0.2),
    ("server", "Server", 0.1, 0.1),
];

/// The document that describes these tables and queries.
pub(super) fn text(
    name: &str,
    survey: &Survey,
    described: &[&Relation],
    queries: &[Query],
) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, name, survey, described, queries);
    out
}

fn write(
    out: &mut String,
    name: &str,
    survey: &Survey,
    described: &[&Relation],
    queries: &[Query],
) -> std::fmt::Result {
    let server = &survey.server;
    let major = server.postgresql_num / 10_000;
    writeln!(
        out,
        "# Drafted from a live database. Give every `meaning` its own words, and add what\n\
        # consumers rely on: limits of queries and samples of their parameters, formats, ranges.\ncontract = 1\n"
    )?;
    writeln!(out, "[service]\nname = {}\nversion = \"{VERSION}\"", quoted(name))?;
    writeln!(
        out,
        "description = {}\n",
        quoted(&prose(&format!("the database {}", server.database)))
    )?;
    writeln!(out, "[server]\npostgresql = \">={major}, <{}\"", major + 1)?;
    let used: Vec<_> =
        survey.snapshot.extensions.iter().filter(|one| one.name != "plpgsql").collect();
    for extension in used {
        let release: String =
            extension.version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let least = release.split('.').take(2).collect::<Vec<_>>().join(".");
        let range = if least.is_empty() { "*".to_owned() } else { format!(">={least}") };
        writeln!(
            out,
            "\n[[server.extension]]\nname = {}\nversion = {}",
            quoted(&extension.name),
            quoted(&range)
        )?;
    }
    for (name, meaning) in SETTINGS {
        let Some(value) = server.setting(name) else { continue };
        writeln!(out, "\n[[server.setting]]\nname = {}", quoted(name))?;
        writeln!(out, "value = {}\nmeaning = {}", quoted(value), quoted(meaning))?;
    }
    for relation in described {
        table(out, survey, relation)?;
    }
    known(out, survey, described)?;
    for query in queries {
        query.write(out)?;
    }
    let isolation = server.setting("default_transaction_isolation").unwrap_or("read committed");
    let rest = REST.replace("AREAS", &areas(!queries.is_empty()));
    let rest = rest.replace("APPLICATION", &quoted(name)).replace("ISOLATION", &quoted(isolation));
    out.write_str(&rest)
}

fn areas(has_queries: bool) -> String {
    let share = |without, with| if has_queries { with } else { without };
    let areas =
        AREAS.iter().map(|(name, title, without, with)| (name, title, share(*without, *with)));
    let areas = areas.filter(|(.., weight)| *weight > 0.0).map(|(name, title, weight)| {
        format!(
            "    {{ name = {name:?}, title = {title:?}, refinement = \"contracts\", weight = {weight} }},"
        )
    });
    areas.collect::<Vec<_>>().join("\n")
}

fn table(out: &mut String, survey: &Survey, relation: &Relation) -> std::fmt::Result {
    let meaning = |column: Option<&str>| {
        let key = (relation.schema.clone(), relation.name.clone(), column.map(str::to_owned));
        let said =
            survey.comments.get(&key).map(|text| prose(text)).filter(|text| !text.is_empty());
        quoted(said.as_deref().unwrap_or_else(|| column.unwrap_or(&relation.name)))
    };
    writeln!(out, "\n[[table]]\nname = {}", quoted(&relation.name))?;
    if relation.schema != "public" {
        writeln!(out, "schema = {}", quoted(&relation.schema))?;
    }
    writeln!(out, "meaning = {}", meaning(None))?;
    if let Some(key) = &relation.partition_by {
        writeln!(out, "partition_by = {}", quoted(key))?;
    }
    if relation.persistence == Persistence::Unlogged {
        writeln!(out, "unlogged = true")?;
    }
    if relation.row_security {
        writeln!(out, "row_security = true")?;
    }
    if !relation.triggers.is_empty() {
        writeln!(out, "trigger = [")?;
        for one in &relation.triggers {
            writeln!(out, "    {{ name = {0}, meaning = {0} }},", quoted(&one.name))?;
        }
        writeln!(out, "]")?;
    }
    writeln!(out, "column = [")?;
    for column in &relation.columns {
        let text = of_column(column);
        writeln!(out, "    {{ {text}, meaning = {} }},", meaning(Some(&column.name)))?;
    }
    writeln!(out, "]")?;
    if !relation.constraints.is_empty() {
        writeln!(out, "constraint = [")?;
        for one in &relation.constraints {
            let (name, definition) = (quoted(&one.name), quoted(&one.definition));
            writeln!(out, "    {{ name = {name}, definition = {definition} }},")?;
        }
        writeln!(out, "]")?;
    }
    let mut indexes = relation.indexes.iter().filter(|one| !one.of_constraint).peekable();
    if indexes.peek().is_some() {
        writeln!(out, "index = [")?;
        for one in indexes {
            let columns: Vec<&str> = one.columns.iter().map(String::as_str).collect();
            write!(out, "    {{ name = {}", quoted(&one.name))?;
            if one.method != "btree" {
                write!(out, ", method = {}", quoted(&one.method))?;
            }
            write!(out, ", columns = {}", list(&columns))?;
            if one.unique {
                write!(out, ", unique = true")?;
            }
            if !one.include.is_empty() {
                let stored: Vec<&str> = one.include.iter().map(String::as_str).collect();
                write!(out, ", include = {}", list(&stored))?;
            }
            if one.nulls_not_distinct {
                write!(out, ", nulls_not_distinct = true")?;
            }
            if let Some(predicate) = &one.predicate {
                write!(out, ", predicate = {}", quoted(predicate))?;
            }
            writeln!(out, " }},")?;
        }
        writeln!(out, "]")?;
    }
    let hypertable = survey.snapshot.hypertable(&relation.schema, &relation.name);
    if let Some(time) = hypertable.and_then(|one| one.dimensions.first())
        && let Some(length) = interval(relation, time)
    {
        writeln!(
            out,
            "hypertable = {{ time_column = {}, chunk_interval = {} }}",
            quoted(&time.column),
            quoted(&length.to_string())
        )?;
    }
    Ok(())
}

fn of_column(column: &Column) -> String {
    let mut text = format!("name = {}, type = {}", quoted(&column.name), quoted(&column.data_type));
    if !column.not_null {
        text.push_str(", nullable = true");
    }
    let parts = [
        (if column.generated { "generated" } else { "default" }, &column.default),
        ("identity", &column.identity),
        ("collation", &column.collation),
    ];
    for (key, value) in parts {
        if let Some(value) = value {
            text.extend([", ", key, " = ", &quoted(value)]);
        }
    }
    text
}

/// Everything else in the schemas, by name.
fn known(out: &mut String, survey: &Survey, described: &[&Relation]) -> std::fmt::Result {
    let spoken = |schema: &str, name: &str| crate::sql::spoken_name(schema, name);
    let others = survey.snapshot.relations.iter().filter(|relation| {
        !described.iter().any(|one| one.schema == relation.schema && one.name == relation.name)
    });
    let is_view =
        |one: &Relation| matches!(one.kind, RelationKind::View | RelationKind::MaterializedView);
    let (views, tables): (Vec<&Relation>, Vec<&Relation>) = others.partition(|one| is_view(one));
    let names = |relations: &[&Relation]| -> Vec<String> {
        relations.iter().map(|one| spoken(&one.schema, &one.name)).collect()
    };
    let functions: Vec<String> =
        survey.snapshot.functions.iter().map(|one| spoken(&one.schema, &one.name)).collect();
    let kinds = [("functions", functions), ("views", names(&views)), ("tables", names(&tables))];
    if kinds.iter().all(|(_, names)| names.is_empty()) {
        return Ok(());
    }
    writeln!(out, "\n# Known by name and not described.\n[known]")?;
    for (key, names) in kinds.iter().filter(|(_, names)| !names.is_empty()) {
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        writeln!(out, "{key} = {}", list(&names))?;
    }
    Ok(())
}

/// The length of a hypertable's chunks, where the contract format can say it.
pub(super) fn interval(relation: &Relation, time: &Dimension) -> Option<Period> {
    let column = relation.column(&time.column)?;
    let is_time = column.data_type.starts_with("timestamp") || column.data_type == "date";
    let microseconds = u64::try_from(time.interval?).ok().filter(|_| is_time)?;
    if microseconds % 1_000_000 != 0 {
        return None;
    }
    format!("{} seconds", microseconds / 1_000_000).parse().ok()
}

/// A list of texts.
fn list(texts: &[&str]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A text as a TOML string, whatever it holds.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Writing to a String cannot fail.
            c if c.is_control() => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_whatever_they_hold() {
        for text in ["plain", "it's \"quoted\"", "a\\b", "line\nend\ttab", "\u{1}\u{7f}", "Größe"]
        {
            let document = format!("key = {}", quoted(text));
            let table: toml::Table = toml::from_str(&document).unwrap();
            assert_eq!(table["key"].as_str(), Some(text), "{document}");
        }
    }
}
