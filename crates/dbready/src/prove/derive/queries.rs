//! Queries whose text changed, and queries that lose what their plan is made of.
//!
//! A statement is wrapped, never taken apart, so that no SQL has to be understood here.

use crate::contract::{Plan, Query};
use crate::prove::ground::{Ground, query_id};
use crate::prove::sabotage::Sabotage;
use crate::sql::{qualified, quote_ident};

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let mut all = Vec::new();
    let texts = ground.contract.model.queries.iter().zip(&ground.contract.query_sql);
    for (at, (query, sql)) in texts.enumerate() {
        let text = Text { at, query, sql: &sql.statement, is_run: ground.ran(at).is_some() };
        all.extend(text.prepares());
        all.extend(text.parameters());
        all.extend(text.results());
        all.extend(text.hostile());
        if let Some(plan) = &query.plan {
            all.extend(planned(ground, query, plan));
        }
    }
    all
}

struct Text<'a> {
    at: usize,
    query: &'a Query,
    sql: &'a str,
    /// Whether the examiner runs it and sees rows.
    is_run: bool,
}

impl Text<'_> {
    fn sabotage(&self, part: &str, what: &str, text: String) -> Sabotage {
        Sabotage::query(query_id(self.query, part), what, self.at, text)
            .with([query_id(self.query, "plan")])
    }

    /// The statement as a part of another that selects from it.
    fn wrapped(&self, rest: &str) -> String {
        format!("WITH sabotage AS (\n{}\n)\n{rest}", self.sql)
    }

    fn prepares(&self) -> Vec<Sabotage> {
        let text = if self.query.results.is_empty() {
            format!("{}\nRETURNING sabotage_missing", self.sql)
        } else {
            self.wrapped("SELECT sabotage_missing FROM sabotage")
        };
        vec![self.sabotage("prepares", "names a column that is not there", text)]
    }

    fn parameters(&self) -> Vec<Sabotage> {
        let next = self.query.parameters.len() + 1;
        let extra = format!("sabotage AS (SELECT ${next}::text)");
        // One that begins with a part of its own gets one more, since what writes is never wrapped.
        let text = match after_with(self.sql) {
            Some((with, rest)) => format!("{with} {extra},\n{rest}"),
            None => format!("WITH {extra}\n{}", self.sql),
        };
        vec![self.sabotage("parameters", "a parameter too many", text)]
    }

    fn results(&self) -> Vec<Sabotage> {
        let names: Vec<String> =
            self.query.results.iter().map(|column| quote_ident(&column.name)).collect();
        let Some((first, others)) = names.split_first() else {
            let text = format!("{}\nRETURNING 1", self.sql);
            return vec![self.sabotage("result", "returns rows", text)];
        };
        let select = |columns: String| self.wrapped(&format!("SELECT {columns} FROM sabotage"));
        let rest = others.iter().fold(String::new(), |rest, name| rest + ", " + name);
        let other = match self.query.results[0].data_type.as_str() {
            "text" => "name",
            _ => "text",
        };
        let mut all = vec![
            ("a column too many", select("*, 1 AS sabotage_extra".to_owned())),
            ("a column renamed", select(format!("{first} AS sabotage_renamed{rest}"))),
            ("a column of another type", select(format!("{first}::{other} AS {first}{rest}"))),
        ];
        if !others.is_empty() {
            all.push(("a column too few", select(others.join(", "))));
        }
        let never_null = self
            .query
            .results
            .iter()
            .position(|column| !column.nullable && !column.data_type.contains('('));
        if let Some(at) = never_null.filter(|_| self.is_run) {
            let columns: Vec<String> = names
                .iter()
                .enumerate()
                .map(|(n, name)| {
                    if n == at {
                        format!("CASE WHEN random() > 2 THEN {name} END AS {name}")
                    } else {
                        name.clone()
                    }
                })
                .collect();
            all.push(("null where none is promised", select(columns.join(", "))));
        }
        if self.is_run {
            let fails = self.wrapped("SELECT * FROM sabotage WHERE 1 / (random() * 0)::int = 1");
            all.push(("fails when it runs", fails));
        }
        all.into_iter().map(|(what, text)| self.sabotage("result", what, text)).collect()
    }

    /// The first text parameter chooses rows that nobody asked for, as in SQL made out of a value.
    fn hostile(&self) -> Vec<Sabotage> {
        let is_text = |kind: &str| kind == "text" || kind.starts_with("character varying");
        let parameter = self.query.parameters.iter().position(|one| is_text(&one.data_type));
        let Some(parameter) = parameter.filter(|_| self.is_run) else { return Vec::new() };
        let nulls: Vec<String> =
            self.query.results.iter().map(|one| format!("NULL::{}", one.data_type)).collect();
        let text = self.wrapped(&format!(
            "SELECT * FROM sabotage UNION ALL SELECT {} WHERE ${}::text LIKE '%OR%'",
            nulls.join(", "),
            parameter + 1
        ));
        let mut sabotage =
            self.sabotage("plan", &format!("{} takes a value for SQL", self.query.name), text);
        "value.queries".clone_into(&mut sabotage.target);
        vec![sabotage]
    }
}

/// A statement that begins with `WITH`, cut behind that word.
fn after_with(sql: &str) -> Option<(&'static str, &str)> {
    let mut rest = sql.trim_start();
    while rest.starts_with("--") {
        rest = rest.split_once('\n')?.1.trim_start();
    }
    let word = |text: &'_ str, word: &str| {
        let head = text.get(..word.len())?;
        let tail = text.get(word.len()..)?;
        let ends = tail.starts_with(char::is_whitespace);
        (head.eq_ignore_ascii_case(word) && ends).then(|| text.len() - tail.trim_start().len())
    };
    let rest = &rest[word(rest, "WITH")?..];
    Some(match word(rest, "RECURSIVE") {
        Some(at) => ("WITH RECURSIVE", &rest[at..]),
        None => ("WITH", rest),
    })
}

fn planned(ground: &Ground<'_>, query: &Query, plan: &Plan) -> Vec<Sabotage> {
    let id = query_id(query, "plan");
    let mut all = Vec::new();
    let mut drops = Vec::new();
    let mut falls = Vec::new();
    for table in ground.tables() {
        let spoken = table.spoken_name();
        for name in &plan.indexes {
            if table.indexes.iter().any(|index| index.name == *name) {
                drops.push(format!("DROP INDEX {} CASCADE", qualified(&table.schema, name)));
                falls.push(format!("schema.{spoken}.index.{name}"));
            } else if table.constraints.iter().any(|constraint| constraint.name == *name) {
                let (on, quoted) = (table.qualified(), quote_ident(name));
                drops.push(format!("ALTER TABLE {on} DROP CONSTRAINT {quoted} CASCADE"));
                falls.push(format!("schema.{spoken}.constraint.{name}"));
            } else {
                continue;
            }
            falls.extend(ground.of_key(table, name));
            falls.extend(ground.of_table(table, &["plan"]));
            falls.extend(ground.referrers(table));
        }
    }
    if !drops.is_empty() {
        all.push(Sabotage::sql(&*id, "its indexes dropped", [drops.join("; ")]).with(falls));
    }
    let plans = || ground.contract.model.queries.iter().map(|query| query_id(query, "plan"));
    if plan.chunk_exclusion {
        let every = "SET LOCAL timescaledb.enable_optimizations = off; \
             SET LOCAL constraint_exclusion = off; SET LOCAL enable_partition_pruning = off";
        all.push(Sabotage::sql(&*id, "every chunk is read", [every]).with(plans()));
    }
    if !plan.indexes.is_empty() {
        let scans = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; \
             SET LOCAL enable_bitmapscan = off";
        all.push(Sabotage::sql(&*id, "indexes are not used", [scans]).with(plans()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_part_is_found_behind_comments() {
        let cut = |sql| after_with(sql);
        assert_eq!(cut("-- with\n\nWith a AS (SELECT 1)"), Some(("WITH", "a AS (SELECT 1)")));
        assert_eq!(cut("WITH recursive\na AS"), Some(("WITH RECURSIVE", "a AS")));
        assert_eq!(cut("WITHIN"), None);
        assert_eq!(cut("SELECT 1 -- with"), None);
        assert_eq!(cut("-- with"), None);
    }
}
