//! One wrong value among right ones, and formats that the server reads otherwise.

use crate::contract::{DataClause, Range, Rule, data_clauses};
use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::{quote_ident, quote_literal};

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let clauses = data_clauses(ground.contract);
    let mut all: Vec<Sabotage> =
        clauses.iter().flat_map(|clause| values(ground, &clauses, clause)).collect();
    for (at, format) in ground.contract.model.formats.iter().enumerate() {
        let id = format!("format.{}.agrees", format.name);
        if let Some(text) = format.counterexamples.first().cloned() {
            all.push(Sabotage::contract(&*id, "an example that does not match", move |contract| {
                if let Some(format) = contract.model.formats.get_mut(at) {
                    format.examples.push(text.clone());
                }
            }));
        }
        if let Some(text) = format.examples.first().cloned() {
            all.push(Sabotage::contract(&*id, "a counterexample that matches", move |contract| {
                if let Some(format) = contract.model.formats.get_mut(at) {
                    format.counterexamples.push(text.clone());
                }
            }));
        }
    }
    all
}

fn values(
    ground: &Ground<'_>,
    clauses: &[DataClause<'_>],
    clause: &DataClause<'_>,
) -> Vec<Sabotage> {
    let (table, column) = (clause.table, clause.column);
    let mut first = Vec::new();
    for constraint in ground.constraints_of(table, &column.name) {
        let (table, name) = (table.qualified(), quote_ident(constraint));
        first.push(format!("ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE"));
    }
    if matches!(clause.rule, Rule::Precision(_)) {
        let (table, name) = (table.qualified(), quote_ident(&column.name));
        first.push(format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE numeric"));
    }
    let wrongs: Vec<(&str, Vec<String>)> = match clause.rule {
        Rule::Format(format) => vec![("wrong", format.counterexamples.clone())],
        Rule::Range(range) => beyond(range, &column.data_type),
        Rule::Precision(precision) => {
            let digits = "1".repeat(usize::try_from(precision.scale).unwrap_or_default() + 1);
            vec![("too many decimals", vec![format!("0.{digits}")])]
        }
        Rule::Instant => vec![
            ("infinite", vec!["infinity".to_owned()]),
            ("before all time", vec!["-infinity".to_owned()]),
        ],
        Rule::JsonObject => {
            vec![("a list", vec!["[1]".to_owned()]), ("a JSON null", vec!["null".to_owned()])]
        }
    };
    let own = format!("schema.{}.column.{}", table.spoken_name(), column.name);
    let of_column = |other: &&DataClause<'_>| {
        std::ptr::eq(other.table, table) && std::ptr::eq(other.column, column)
    };
    let others: Vec<String> = clauses.iter().filter(of_column).map(DataClause::id).collect();
    wrongs
        .into_iter()
        .map(|(what, texts)| {
            let ways = texts.iter().flat_map(|text| ways(clause, &first, text));
            let falls = ground.made_of(table, &column.name).into_iter();
            let sabotage = Sabotage::sql(clause.id(), what, ways).with(falls).with(others.clone());
            match clause.rule {
                Rule::Precision(_) => sabotage.with([own.clone()]),
                // Versions are read in the order of their instants.
                _ if ground.keeps_versions(table) => {
                    sabotage.with(["migration.history".to_owned()])
                }
                _ => sabotage,
            }
        })
        .collect()
}

/// One row that is there is made wrong; where its chunk or partition refuses that, a copy of it.
fn ways(clause: &DataClause<'_>, first: &[String], text: &str) -> Vec<String> {
    let (table, column) = (clause.table.qualified(), quote_ident(&clause.column.name));
    let value = format!("{}::{}", quote_literal(text), bare(&clause.column.data_type));
    let update = format!(
        "UPDATE {table} SET {column} = {value} \
         WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM {table} LIMIT 1)"
    );
    let columns: Vec<String> = clause
        .table
        .columns
        .iter()
        .filter(|other| other.is_given() && other.name != clause.column.name)
        .map(|other| quote_ident(&other.name))
        .collect();
    let copied = columns.join(", ");
    let insert = format!(
        "INSERT INTO {table} ({copied}, {column}) SELECT {copied}, {value} FROM {table} LIMIT 1"
    );
    let statements = |last: String| {
        let all: Vec<String> = first.iter().cloned().chain([last]).collect();
        all.join("; ")
    };
    vec![statements(update), statements(insert)]
}

/// The type without its modifiers, so that nothing is rounded or cut on the way.
fn bare(kind: &str) -> String {
    match (kind.find('('), kind.find(')')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", &kind[..open], &kind[close + 1..])
        }
        _ => kind.to_owned(),
    }
}

/// Values on the other side of each bound, nearest first, and what is no number.
fn beyond(range: &Range, kind: &str) -> Vec<(&'static str, Vec<String>)> {
    let mut all = Vec::new();
    let steps = [step(kind), 1.0];
    if let Some(min) = range.min {
        all.push(("too low", steps.map(|step| (min - step).to_string()).to_vec()));
    }
    if let Some(above) = range.above {
        all.push(("at its excluded lower bound", vec![above.to_string()]));
    }
    if let Some(max) = range.max {
        all.push(("too high", steps.map(|step| (max + step).to_string()).to_vec()));
    }
    if let Some(below) = range.below {
        all.push(("at its excluded upper bound", vec![below.to_string()]));
    }
    if kind.starts_with("numeric") || kind == "real" || kind == "double precision" {
        all.push(("not a number", vec!["NaN".to_owned()]));
    }
    all
}

/// The distance between two values of that type: what is nearer would be rounded away.
fn step(kind: &str) -> f64 {
    if ["smallint", "integer", "bigint"].contains(&kind) {
        return 1.0;
    }
    let arguments = kind.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
    let scale = arguments.split_once(',').and_then(|(_, scale)| scale.parse::<i32>().ok());
    10_f64.powi(-scale.unwrap_or(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_just_beyond_a_bound_is_one_that_the_type_has() {
        for (kind, low) in [("numeric(12,2)", "-0.01"), ("integer", "-1"), ("real", "-0.000001")] {
            let range = Range {
                name: String::new(),
                meaning: String::new(),
                min: Some(0.0),
                above: None,
                max: None,
                below: None,
                columns: Vec::new(),
            };
            assert_eq!(beyond(&range, kind)[0], ("too low", vec![low.to_owned(), "-1".to_owned()]));
        }
    }

    #[test]
    fn types_lose_their_modifiers_only() {
        assert_eq!(bare("numeric(10,6)"), "numeric");
        assert_eq!(bare("timestamp(3) with time zone"), "timestamp with time zone");
        assert_eq!(bare("text"), "text");
    }
}
