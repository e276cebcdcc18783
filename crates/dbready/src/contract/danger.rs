//! What a contract asks for that no server can give, and what is dangerous on one that does.
//!
//! The contract is well-formed when this is asked; nothing here ends its use.

use serde::Serialize;

use super::model::{Column, Contract, Query, Table, in_version};

/// One thing that is impossible or dangerous.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Danger {
    /// Which it is.
    pub kind: DangerKind,
    /// Name of the rule, such as `unique_without_time`.
    pub rule: &'static str,
    /// What it is about: `signal_greeks.signal_greeks_key`.
    pub object: String,
    /// Why.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DangerKind {
    /// No server can give it: the contract can never be proven.
    Impossible,
    /// It can be proven, and goes wrong later.
    Dangerous,
}

/// Expressions whose value changes while the row does not.
const VOLATILE: [&str; 9] = [
    "now()",
    "current_timestamp",
    "current_date",
    "localtimestamp",
    "clock_timestamp()",
    "statement_timestamp()",
    "transaction_timestamp()",
    "random()",
    "current_user",
];

/// Words in the name of a column that holds money.
const MONEY: [&str; 10] =
    ["amount", "balance", "cost", "costs", "fee", "money", "price", "salary", "tax", "turnover"];

/// Words of statements that write, which need no index to find rows.
const WRITES: [&str; 3] = ["insert into", "update", "delete from"];

/// Everything impossible or dangerous in the contract's own version.
#[must_use]
pub fn dangers(contract: &Contract) -> Vec<Danger> {
    let mut all: Vec<Danger> =
        contract.tables().flat_map(|table| of_table(contract, table)).collect();
    let texts = contract.query_sql.iter().map(|sql| sql.statement.to_lowercase());
    let reads = texts.map(|text| !WRITES.iter().any(|word| holds_word(&text, word)));
    let queries = contract.model.queries.iter().zip(reads).filter(|(_, reads)| *reads);
    all.extend(queries.flat_map(|(query, _)| of_query(query)));
    all
}

fn of_table(contract: &Contract, table: &Table) -> Vec<Danger> {
    let version = &contract.model.service.version;
    let spoken = table.spoken_name();
    let mut all = Vec::new();
    let constraints = table.constraints.iter();
    for one in constraints.filter(|one| in_version(one.since.as_ref(), one.until.as_ref(), version))
    {
        let object = format!("{spoken}.{}", one.name);
        let definition = one.definition.as_str();
        let columns = listed(definition);
        if ["PRIMARY KEY", "UNIQUE"].iter().any(|kind| definition.starts_with(kind)) {
            all.extend(without_time(table, &object, &columns));
        }
        if definition.starts_with("CHECK") {
            all.extend(on_clock(&object, definition));
        }
        if definition.starts_with("FOREIGN KEY") && table.hypertable.is_some() {
            all.push(from_hypertable(contract, &object, definition));
        }
    }
    let indexes = table.indexes.iter().filter(|one| one.unique);
    for one in indexes.filter(|one| in_version(one.since.as_ref(), one.until.as_ref(), version)) {
        let columns: Vec<String> = one.columns.iter().map(|text| bare(text)).collect();
        all.extend(without_time(table, &format!("{spoken}.{}", one.name), &columns));
    }
    let columns = table.columns.iter();
    for one in columns.filter(|one| in_version(one.since.as_ref(), one.until.as_ref(), version)) {
        all.extend(of_column(table, one));
    }
    all
}

/// A hypertable is unique within its chunks only when the key holds the column that makes them.
fn without_time(table: &Table, object: &str, columns: &[String]) -> Option<Danger> {
    let time = &table.hypertable.as_ref()?.time_column;
    (!columns.contains(time)).then(|| Danger {
        kind: DangerKind::Impossible,
        rule: "unique_without_time",
        object: object.to_owned(),
        what: format!("unique on a hypertable without `{time}`, by which it is partitioned"),
        remedy: "add the time column to the key",
    })
}

fn on_clock(object: &str, definition: &str) -> Option<Danger> {
    let text = definition.to_lowercase();
    let clock = VOLATILE.into_iter().find(|word| holds_word(&text, word))?;
    Some(Danger {
        kind: DangerKind::Dangerous,
        rule: "check_on_clock",
        object: object.to_owned(),
        what: format!(
            "a check on `{clock}`: a row that was right is wrong later, and a dump of it is refused"
        ),
        remedy: "check it when it is written, in a trigger or in the service",
    })
}

fn from_hypertable(contract: &Contract, object: &str, definition: &str) -> Danger {
    let target = definition.split_once("REFERENCES ").map_or("", |(_, rest)| rest);
    let target = bare(target.split('(').next().unwrap_or_default());
    let is_hypertable = contract.table(&target).is_some_and(|one| one.hypertable.is_some());
    if is_hypertable {
        Danger {
            kind: DangerKind::Impossible,
            rule: "foreign_key_between_hypertables",
            object: object.to_owned(),
            what: format!("a foreign key from a hypertable to the hypertable `{target}`"),
            remedy: "leave it out, and look for orphans in a check of its own",
        }
    } else {
        Danger {
            kind: DangerKind::Dangerous,
            rule: "foreign_key_from_hypertable",
            object: object.to_owned(),
            what: format!(
                "a foreign key from a hypertable: each row that is written looks `{target}` up, \
                 and each deletion there reads every chunk"
            ),
            remedy: "leave it out, or index the column and keep deletions there rare",
        }
    }
}

fn of_column(table: &Table, column: &Column) -> Vec<Danger> {
    let object = format!("{}.{}", table.spoken_name(), column.name);
    let kind = column.data_type.as_str();
    let mut all = Vec::new();
    let inexact = ["real", "double precision", "money"].contains(&kind);
    if inexact
        && MONEY.iter().any(|word| column.name.to_lowercase().split('_').any(|one| one == *word))
    {
        all.push(Danger {
            kind: DangerKind::Dangerous,
            rule: "inexact_money",
            object: object.clone(),
            what: format!("money as `{kind}`: sums of it are not exact, or depend on the locale"),
            remedy: "numeric with a precision",
        });
    }
    let counts = column.identity.is_some()
        || column.default.as_ref().is_some_and(|text| text.starts_with("nextval("));
    if counts && ["smallint", "integer"].contains(&kind) && table.hypertable.is_some() {
        all.push(Danger {
            kind: DangerKind::Dangerous,
            rule: "narrow_key",
            object,
            what: format!(
                "numbers of rows as `{kind}` on a hypertable: they run out, and every write fails"
            ),
            remedy: "bigint",
        });
    }
    all
}

/// A limit on a query that searches, and no index that it is promised to use; parameters, and no sample
/// of them.
fn of_query(query: &Query) -> Vec<Danger> {
    let danger = |rule, what: &str, remedy| Danger {
        kind: DangerKind::Dangerous,
        rule,
        object: query.name.clone(),
        what: what.to_owned(),
        remedy,
    };
    let searches = !query.parameters.is_empty() && !query.results.is_empty();
    let mut all = Vec::new();
    if searches && query.sla.is_some() && query.plan.is_none() {
        let what =
            "a limit on its time, and nothing about the index that keeps it when the data grow";
        all.push(danger("limit_without_plan", what, "state `plan = { indexes = […] }`"));
    }
    if searches && query.sample.is_none() {
        let what = "parameters, and nothing about where values of them are: it is prepared and \
                    never run, neither as it is nor with hostile texts";
        all.push(danger("parameters_without_sample", what, "state `sample = \"queries/…\"`"));
    }
    all
}

/// The columns in the first parentheses of a definition.
fn listed(definition: &str) -> Vec<String> {
    let inner = definition.split_once('(').map_or("", |(_, rest)| rest);
    let inner = inner.split(')').next().unwrap_or_default();
    inner.split(',').map(bare).collect()
}

/// A name without quotes, direction, operator class and the schema `public`.
fn bare(text: &str) -> String {
    let text = text.trim();
    let name = match text.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((name, _)) => name,
        None => text.split_whitespace().next().unwrap_or_default(),
    };
    name.strip_prefix("public.").unwrap_or(name).to_owned()
}

/// Whether a text holds a word that is no part of a longer one.
fn holds_word(text: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Constraint, Hypertable, Identity, Index};

    /// The Signal Service contract with one table changed.
    fn found(change: impl FnOnce(&mut Table)) -> Vec<(DangerKind, &'static str, String)> {
        let mut contract = crate::contract::source::load(None).unwrap();
        change(&mut contract.model.tables[0]);
        dangers(&contract).into_iter().map(|one| (one.kind, one.rule, one.object)).collect()
    }

    fn constraint(definition: &str) -> Constraint {
        Constraint {
            name: "added".to_owned(),
            definition: definition.to_owned(),
            since: None,
            until: None,
        }
    }

    #[test]
    fn the_contract_of_signal_service_has_none() {
        assert_eq!(found(|_| ()), []);
    }

    #[test]
    fn what_a_hypertable_cannot_have_is_impossible() {
        let added = "signal_greeks.added".to_owned();
        for definition in ["UNIQUE (signal_id)", "PRIMARY KEY (id)"] {
            let all = found(|table| table.constraints.push(constraint(definition)));
            assert_eq!(all, [(DangerKind::Impossible, "unique_without_time", added.clone())]);
        }
        let quoted = constraint("UNIQUE (signal_id, \"timestamp\")");
        assert_eq!(found(|table| table.constraints.push(quoted)), []);
        let index = |columns: &[&str]| Index {
            name: "added".to_owned(),
            unique: true,
            columns: columns.iter().map(|&one| one.to_owned()).collect(),
            ..crate::contract::source::load(None).unwrap().model.tables[0].indexes[0].clone()
        };
        let all = found(|table| table.indexes.push(index(&["signal_id"])));
        assert_eq!(all, [(DangerKind::Impossible, "unique_without_time", added.clone())]);
        assert_eq!(found(|table| table.indexes.push(index(&["\"timestamp\" DESC", "id"]))), []);
        let between = constraint("FOREIGN KEY (id) REFERENCES signal_indicators(id)");
        let all = found(|table| table.constraints.push(between));
        assert_eq!(all, [(DangerKind::Impossible, "foreign_key_between_hypertables", added)]);
    }

    #[test]
    fn what_goes_wrong_later_is_dangerous() {
        let rules = |all: Vec<(DangerKind, &'static str, String)>| -> Vec<&'static str> {
            all.into_iter().map(|(_, rule, _)| rule).collect()
        };
        let clock = constraint("CHECK (created_at <= now())");
        assert_eq!(rules(found(|table| table.constraints.push(clock))), ["check_on_clock"]);
        let named = constraint("CHECK (known_now() > 0)");
        assert_eq!(rules(found(|table| table.constraints.push(named))), [""; 0]);
        let key = constraint("FOREIGN KEY (id) REFERENCES schema_version(id)");
        let all = rules(found(|table| table.constraints.push(key)));
        assert_eq!(all, ["foreign_key_from_hypertable"]);
        let price = |table: &mut Table| {
            let own = table.columns.iter_mut().find(|one| one.name == "strike_price").unwrap();
            "double precision".clone_into(&mut own.data_type);
        };
        assert_eq!(rules(found(price)), ["inexact_money"]);
        let narrow = |table: &mut Table| {
            assert_eq!(table.columns[0].identity, Some(Identity::Always));
            "integer".clone_into(&mut table.columns[0].data_type);
        };
        assert_eq!(rules(found(narrow)), ["narrow_key"]);
        let plain = |table: &mut Table| {
            narrow(table);
            let _: Option<Hypertable> = table.hypertable.take();
        };
        assert_eq!(rules(found(plain)), [""; 0]);
    }

    #[test]
    fn a_limit_without_an_index_is_named() {
        let mut contract = crate::contract::source::load(None).unwrap();
        contract.model.queries[0].plan = None;
        let all = dangers(&contract);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].rule, all[0].object.as_str()), ("limit_without_plan", "latest_greeks"));
    }

    #[test]
    fn parameters_without_a_sample_are_named() {
        let mut contract = crate::contract::source::load(None).unwrap();
        contract.model.queries[0].sample = None;
        let all = dangers(&contract);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].rule, "parameters_without_sample");
        contract.model.queries[0].parameters.clear();
        assert_eq!(dangers(&contract), []);
    }
}
