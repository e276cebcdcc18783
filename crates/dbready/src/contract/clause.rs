//! Clauses about the values in a column, one for each column that a rule names.

use super::model::{Column, Contract, Table, in_version};
use super::names;
use super::values::{Format, Precision, Range};
use crate::sql::split_name;

/// What every value of a column keeps.
#[derive(Debug, Clone, Copy)]
pub enum Rule<'a> {
    /// A text format.
    Format(&'a Format),
    /// A numeric range.
    Range(&'a Range),
    /// A number of decimal places.
    Precision(&'a Precision),
    /// A finite instant.
    Instant,
    /// A JSON object, never null.
    JsonObject,
}

/// One rule for one column.
#[derive(Debug, Clone, Copy)]
pub struct DataClause<'a> {
    /// The rule.
    pub rule: Rule<'a>,
    /// The table.
    pub table: &'a Table,
    /// The column.
    pub column: &'a Column,
}

impl DataClause<'_> {
    /// Id of its claim: `range.delta.signal_greeks.delta`, `timestamp.signal_greeks.created_at`.
    #[must_use]
    pub fn id(&self) -> String {
        let kind = match self.rule {
            Rule::Format(format) => format!("format.{}", format.name),
            Rule::Range(range) => format!("range.{}", range.name),
            Rule::Precision(precision) => format!("precision.{}", precision.name),
            Rule::Instant => "timestamp".to_owned(),
            Rule::JsonObject => "json".to_owned(),
        };
        format!("{kind}.{}.{}", self.table.spoken_name(), self.column.name)
    }
}

/// Every such clause about the tables and columns of the contract's own version: table by table, in
/// the contract's order.
#[must_use]
pub fn data_clauses(contract: &Contract) -> Vec<DataClause<'_>> {
    let model = &contract.model;
    let mut named: Vec<(Rule<'_>, &str)> = Vec::new();
    for format in &model.formats {
        named.extend(format.columns.iter().map(|name| (Rule::Format(format), name.as_str())));
    }
    for range in &model.ranges {
        named.extend(range.columns.iter().map(|name| (Rule::Range(range), name.as_str())));
    }
    for precision in &model.precisions {
        let rule = Rule::Precision(precision);
        named.extend(precision.columns.iter().map(|name| (rule, name.as_str())));
    }
    named.extend(model.timestamps.columns.iter().map(|name| (Rule::Instant, name.as_str())));
    named.extend(model.json_objects.columns.iter().map(|name| (Rule::JsonObject, name.as_str())));

    let version = &model.service.version;
    let now = |since, until| in_version(since, until, version);
    let mut clauses = Vec::new();
    for table in model.tables.iter().filter(|one| now(one.since.as_ref(), one.until.as_ref())) {
        for column in table.columns.iter().filter(|one| now(one.since.as_ref(), one.until.as_ref()))
        {
            let means = |written: &str| {
                names::split_column(written).is_some_and(|(of, name)| {
                    name == column.name && split_name(of) == (&*table.schema, &*table.name)
                })
            };
            let rules = named.iter().filter(|(_, written)| means(written));
            clauses.extend(rules.map(|(rule, _)| DataClause { rule: *rule, table, column }));
        }
    }
    clauses
}
