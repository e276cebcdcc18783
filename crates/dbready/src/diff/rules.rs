//! What each kind of change means where the contract's own policy is silent: one arm for each key of
//! the format. What has no arm is breaking, because nobody has judged it.

use semver::{Version, VersionReq};
use serde_json::Value;

use super::policy::{Event, Noun, Verb};
use super::tree::Delta;
use super::{Impact, Surface};
use crate::contract::{Model, Period};

/// What a change means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) impact: Impact,
    pub(super) surface: Surface,
    pub(super) why: &'static str,
}

fn breaking(surface: Surface, why: &'static str) -> Meaning {
    Meaning { impact: Impact::Breaking, surface, why }
}

fn compatible(surface: Surface, why: &'static str) -> Meaning {
    Meaning { impact: Impact::Compatible, surface, why }
}

const EDITORIAL: Meaning =
    Meaning { impact: Impact::Editorial, surface: Surface::Document, why: "for people only" };

/// What a rule may look at beside the change itself.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) old: &'a Model,
    pub(super) new: &'a Model,
}

/// The meaning of a change by its keys; `None` for keys that no rule knows.
#[expect(clippy::match_same_arms, reason = "one arm for each key, in the order of the format")]
pub(super) fn meaning(delta: &Delta, context: &Context<'_>) -> Option<Meaning> {
    use Surface::{Data, Operation, Performance, Query, Source};
    let path = delta.path();
    let section = path.split('.').next().unwrap_or_default();
    let (added, removed) = (delta.old.is_none(), delta.new.is_none());
    let less = number(delta).is_some_and(|(old, new)| new < old);
    let by = |bad: bool, surface, worse, better| {
        if bad { breaking(surface, worse) } else { compatible(surface, better) }
    };
    if path.ends_with(".versions") {
        return Some(Meaning {
            why: "in which versions it is there; the current one is the same",
            ..EDITORIAL
        });
    }
    if matches!(delta.keys.last().map(String::as_str), Some("meaning" | "title")) {
        return Some(EDITORIAL);
    }
    if path.ends_with(".edition") {
        let narrower = delta.new.as_ref().is_some_and(|value| value == "community");
        return Some(by(
            narrower,
            Operation,
            "other editions no longer have it",
            "every edition has it",
        ));
    }
    Some(match path.as_str() {
        "contract" => breaking(Source, "another format of contracts"),
        "service.name" => breaking(Source, "another service"),
        "service.version" => Meaning { why: "the declared version", ..EDITORIAL },
        "service.description" => EDITORIAL,
        "server.postgresql" | "server.extension.version" => by(
            narrower(delta),
            Operation,
            "servers that were good enough no longer are",
            "more servers are good enough",
        ),
        "server.extension" => {
            by(added, Operation, "servers need a further extension", "no longer needed")
        }
        "server.setting" | "server.setting.value" => {
            by(!removed, Operation, "servers must be set otherwise", "no longer demanded")
        }
        "table" => by(removed, Query, "queries that read it fail", "nothing relied on it"),
        "table.column" if added => by(
            !accepts_nothing(delta.new.as_ref()),
            Data,
            "writers that do not name it are refused",
            "writers need not name it",
        ),
        "table.column" => breaking(Query, "queries that read it fail"),
        "table.column.type" => breaking(Source, "readers and writers see another type"),
        "table.column.nullable" => match delta.new {
            Some(Value::Bool(true)) => breaking(Query, "readers may meet null"),
            _ => breaking(Data, "rows that were valid are refused"),
        },
        "table.column.default" => {
            by(!added, Data, "rows get other values", "rows need not name it")
        }
        "table.column.generated" => breaking(Data, "rows get other values"),
        "table.column.identity" => by(
            delta.new.as_ref().is_none_or(|value| value == "always"),
            Data,
            "writers that give a value, or none, are refused",
            "values may still be left to the server",
        ),
        "table.column.collation" => breaking(Query, "texts are ordered and compared otherwise"),
        "table.constraint" if added => breaking(Data, "rows that were valid are refused"),
        "table.constraint" => breaking(Data, "readers meet rows that it kept out"),
        "table.constraint.definition" => breaking(Data, "other rows are valid"),
        "table.index" if added => by(
            is_true(delta.new.as_ref(), "unique"),
            Data,
            "rows that were valid are refused",
            "nothing relied on it",
        ),
        "table.index" if is_true(delta.old.as_ref(), "unique") => {
            breaking(Data, "readers meet rows that it kept out")
        }
        "table.index"
        | "table.index.method"
        | "table.index.columns"
        | "table.index.include"
        | "table.index.predicate" => by(
            is_used(context, delta),
            Performance,
            "the plan of a query contract needs it",
            "no query contract needs it",
        ),
        "table.index.unique" | "table.index.nulls_not_distinct" => {
            breaking(Data, "other rows are valid")
        }
        "table.hypertable" => {
            by(removed, Performance, "chunks are no longer left out", "rows lie in chunks")
        }
        "table.hypertable.time_column" => breaking(Performance, "other chunks are left out"),
        "table.hypertable.chunk_interval" => compatible(Performance, "chunks of another length"),
        "table.retention" => by(added, Data, "old rows are dropped", "rows are kept"),
        "table.retention.keep" => {
            by(shorter(delta), Data, "rows are dropped earlier", "rows are kept longer")
        }
        "table.compression" => {
            by(removed, Performance, "chunks are no longer compressed", "chunks are compressed")
        }
        "table.compression.after"
        | "table.compression.segment_by"
        | "table.compression.order_by" => {
            compatible(Performance, "chunks are compressed otherwise")
        }
        "table.partition_by" => {
            breaking(Performance, "rows lie in other partitions, and other keys can be unique")
        }
        "table.unlogged" => by(added, Data, "a crash empties it", "a crash leaves its rows"),
        "table.row_security" => breaking(Query, "other rows are seen"),
        "table.trigger" => by(removed, Data, "it no longer acts on writes", "it acts on writes"),
        "continuous_aggregate" => {
            by(removed, Query, "queries that read it fail", "nothing relied on it")
        }
        "continuous_aggregate.source" | "continuous_aggregate.bucket" => {
            breaking(Data, "its rows mean something else")
        }
        "continuous_aggregate.materialized_only" => {
            breaking(Data, "it shows other rows than before")
        }
        "continuous_aggregate.refresh_every" => by(
            removed || !(added || shorter(delta)),
            Data,
            "it is refreshed more seldom",
            "it is refreshed more often",
        ),
        "continuous_aggregate.columns" => by(
            !extends(delta),
            Query,
            "queries that read its columns fail or get others",
            "columns are added at its end",
        ),
        "rollup" => by(removed, Data, "nobody reconciles it", "it is reconciled with its rows"),
        "rollup.source" | "rollup.bucket" => breaking(Data, "its rows mean something else"),
        "rollup.served" | "rollup.raw" | "rollup.mend" | "rollup.refresh" => {
            compatible(Operation, "how it is reconciled")
        }
        "known.functions" | "known.views" | "known.tables" => {
            by(removed, Query, "whoever uses it fails", "nothing relied on it")
        }
        "role" => by(removed, Operation, "its members lose their rights", "a role is added"),
        "role.member_of"
        | "role.usage"
        | "role.create"
        | "role.execute"
        | "role.sequences"
        | "role.table"
        | "role.table.privileges" => {
            by(removed, Query, "its members are refused", "its members may do more")
        }
        "query" => by(removed, Query, "its consumers cannot call it", "nothing relied on it"),
        "query.file" | "query.sample" => EDITORIAL,
        "query.statement" => compatible(
            Query,
            "its text differs; `dbready contract matrix` compares what it answers",
        ),
        "query.method" => breaking(Source, "callers use another name"),
        "query.consumers" => compatible(Operation, "who relies on it"),
        "query.parameter" => breaking(Source, "callers pass other parameters"),
        "query.parameter.name" => EDITORIAL,
        "query.parameter.type" => breaking(Source, "callers pass another type"),
        "query.result" => {
            by(removed, Source, "consumers miss a column", "consumers get a further column")
        }
        "query.result.order" => breaking(Source, "columns change their places"),
        "query.result.type" => breaking(Source, "consumers get another type"),
        "query.result.nullable" => match delta.new {
            Some(Value::Bool(true)) => breaking(Query, "consumers may meet null"),
            _ => compatible(Query, "consumers no longer meet null"),
        },
        "query.sla" => {
            by(removed, Performance, "its time is no longer promised", "a promise is added")
        }
        "query.sla.p95_ms" => by(!less, Performance, "it may take longer", "it is faster"),
        "query.sla.per_second" => {
            by(less, Performance, "it may be called less often", "it may be called more often")
        }
        "query.plan" => {
            by(removed, Performance, "its plan is no longer promised", "a promise is added")
        }
        "query.plan.indexes" => compatible(Performance, "the limits of its time are the same"),
        "query.plan.chunk_exclusion" => by(
            delta.new.as_ref().is_none_or(|value| value == false),
            Performance,
            "it may read every chunk",
            "it leaves chunks out",
        ),
        "pool.min" | "pool.application_name" | "pool.jit" | "pool.alert_percent" => {
            compatible(Operation, "consumers do not see it")
        }
        "pool.max" | "pool.reuse_percent" => {
            by(less, Performance, "callers wait longer", "callers wait less")
        }
        "pool.acquire_timeout_ms" | "pool.command_timeout_ms" => by(
            less,
            Performance,
            "calls end in an error earlier",
            "calls may take longer before they end in an error",
        ),
        "transactions.isolation" => breaking(Data, "transactions see other rows"),
        "format" | "range" | "precision" if added => by(
            touches_old(delta.new.as_ref(), context),
            Data,
            "values that were valid are refused",
            "it speaks of new columns only",
        ),
        "format.columns"
        | "range.columns"
        | "precision.columns"
        | "timestamps.columns"
        | "json_objects.columns"
            if added =>
        {
            by(
                touches_old(delta.new.as_ref(), context),
                Data,
                "values that were valid are refused",
                "the column is new, too",
            )
        }
        "format"
        | "range"
        | "precision"
        | "format.columns"
        | "range.columns"
        | "precision.columns"
        | "timestamps.columns"
        | "json_objects.columns" => breaking(Data, "readers meet values that it kept out"),
        "format.pattern" | "range.min" | "range.above" | "range.max" | "range.below"
        | "precision.scale" => breaking(Data, "other values are valid"),
        "format.examples" | "format.counterexamples" => EDITORIAL,
        "versioning.notice_days" => {
            by(less, Operation, "consumers are told later", "consumers are told earlier")
        }
        "versioning.table" => breaking(Operation, "the applied version is read elsewhere"),
        "versioning.breaking" => {
            by(removed, Operation, "the policy promises less", "the policy promises more")
        }
        "versioning.compatible" => {
            by(added, Operation, "the policy promises less", "the policy promises more")
        }
        "waiver" => by(added, Operation, "a claim may stay open", "the claim must hold"),
        "waiver.reason" => EDITORIAL,
        "waiver.expires" => by(
            later(delta),
            Operation,
            "a claim may stay open for longer",
            "the claim must hold earlier",
        ),
        "figure" | "drill" => {
            by(removed, Performance, "a promise is withdrawn", "a promise is added")
        }
        "figure.at_most" if !added && !removed => {
            by(!less, Performance, "the limit is weaker", "the limit is stricter")
        }
        "figure.at_least" if !added && !removed => {
            by(less, Performance, "the limit is weaker", "the limit is stricter")
        }
        "figure.at_most" | "figure.at_least" | "figure.statistic" | "figure.unit" => {
            breaking(Performance, "another limit")
        }
        "figure.area" | "figure.source" => compatible(Operation, "how it is judged"),
        "figure.said" => EDITORIAL,
        "figure.statement" | "drill.statement" | "coverage.critical_path.statement" => {
            compatible(Operation, "the claim has other words")
        }
        _ if path.starts_with("versioning.announcement") => EDITORIAL,
        _ if path.starts_with("figure.workload") => compatible(Operation, "how it is measured"),
        _ => match section {
            "alert" => compatible(Operation, "how it is watched"),
            "score" => compatible(Operation, "how it is judged"),
            "coverage" => compatible(Operation, "what its own tests must show"),
            "deviation" => EDITORIAL,
            _ => return None,
        },
    })
}

/// The change in the words of the contract's policy, where its clauses can speak of such a thing.
pub(super) fn event(delta: &Delta, context: &Context<'_>) -> Option<Event> {
    let path = delta.path();
    let whole = match (&delta.old, &delta.new) {
        (None, _) => Verb::Added,
        (_, None) => Verb::Removed,
        _ => Verb::Changed,
    };
    let unique = [&delta.old, &delta.new].into_iter().any(|side| is_true(side.as_ref(), "unique"));
    let (noun, verb) = match path.as_str() {
        "table" => (Noun::Table, whole),
        "table.column" => (Noun::Column, whole),
        "table.column.type" => (Noun::Column, Verb::Retyped),
        "table.constraint" => (Noun::Constraint, whole),
        "table.constraint.definition" => (Noun::Constraint, Verb::Changed),
        // A unique index constrains rows, whatever it is called.
        "table.index" if unique => (Noun::Constraint, whole),
        "table.index" => (Noun::Index, whole),
        "known.functions" => (Noun::Function, whole),
        "known.views" => (Noun::View, whole),
        "table.trigger" => (Noun::Trigger, whole),
        "continuous_aggregate" => (Noun::Aggregate, whole),
        "query" => (Noun::Query, whole),
        "query.result" => (Noun::ResultColumn, whole),
        "query.result.type" => (Noun::ResultColumn, Verb::Retyped),
        "query.parameter" => (Noun::Parameter, whole),
        "query.parameter.type" => (Noun::Parameter, Verb::Retyped),
        "format" => (Noun::Format, whole),
        "format.pattern" => (Noun::Format, Verb::Changed),
        "range" => (Noun::Range, whole),
        "range.min" | "range.above" | "range.max" | "range.below" => (Noun::Range, Verb::Changed),
        "server.extension" => (Noun::Extension, whole),
        "server.setting" => (Noun::Setting, whole),
        "table.retention" => (Noun::Retention, whole),
        "table.retention.keep" => (Noun::Retention, Verb::Changed),
        "table.compression" => (Noun::Compression, whole),
        "waiver" => (Noun::Waiver, whole),
        "waiver.expires" => (Noun::Waiver, Verb::Changed),
        "query.sla" => (Noun::Limit, whole),
        "query.sla.p95_ms" | "query.sla.per_second" => (Noun::Limit, Verb::Changed),
        _ => {
            let changed = [
                ("table.column.", Noun::Column),
                ("table.index.", Noun::Index),
                ("continuous_aggregate.", Noun::Aggregate),
                ("server.extension.", Noun::Extension),
                ("server.setting.", Noun::Setting),
                ("table.compression.", Noun::Compression),
            ];
            let (_, noun) = changed.iter().find(|(start, _)| path.starts_with(start))?;
            (*noun, Verb::Changed)
        }
    };
    let column = delta.new.as_ref().or(delta.old.as_ref());
    let has_default = column.is_some_and(|column| {
        ["default", "generated", "identity"]
            .iter()
            .any(|key| column.get(key).is_some_and(|value| !value.is_null()))
    });
    Some(Event { noun, verb, has_default, is_used: noun == Noun::Index && is_used(context, delta) })
}

fn number(delta: &Delta) -> Option<(f64, f64)> {
    Some((delta.old.as_ref()?.as_f64()?, delta.new.as_ref()?.as_f64()?))
}

fn shorter(delta: &Delta) -> bool {
    let period = |value: &Option<Value>| {
        value.as_ref().and_then(Value::as_str).and_then(|text| text.parse::<Period>().ok())
    };
    match (period(&delta.old), period(&delta.new)) {
        (Some(old), Some(new)) => new < old,
        _ => true,
    }
}

/// Whether a day was put off; days are written so that they sort as texts.
fn later(delta: &Delta) -> bool {
    let day = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
    day(&delta.new) > day(&delta.old)
}

/// Whether a range of versions lost some. Tried out on the versions that there are and will be soon.
fn narrower(delta: &Delta) -> bool {
    let range = |value: &Option<Value>| {
        value.as_ref().and_then(Value::as_str).and_then(|text| text.parse::<VersionReq>().ok())
    };
    let (Some(old), Some(new)) = (range(&delta.old), range(&delta.new)) else { return true };
    (0..=40)
        .flat_map(|major| (0..=40).map(move |minor| (major, minor)))
        .flat_map(|(major, minor)| (0..=10).map(move |patch| Version::new(major, minor, patch)))
        .any(|version| old.matches(&version) && !new.matches(&version))
}

fn is_true(object: Option<&Value>, key: &str) -> bool {
    object.and_then(|object| object.get(key)).is_some_and(|value| value == true)
}

/// Whether rows that do not name the column are taken.
fn accepts_nothing(column: Option<&Value>) -> bool {
    let states =
        |key: &str| column.and_then(|column| column.get(key)).is_some_and(|value| !value.is_null());
    is_true(column, "nullable") || ["default", "generated", "identity"].into_iter().any(states)
}

/// Whether the plan of a query contract relies on the index, before or after.
fn is_used(context: &Context<'_>, delta: &Delta) -> bool {
    let Some(name) = delta.names.get(1) else { return false };
    let models = [context.old, context.new];
    let mut plans =
        models.iter().flat_map(|model| &model.queries).filter_map(|one| one.plan.as_ref());
    plans.any(|plan| plan.indexes.contains(name))
}

fn extends(delta: &Delta) -> bool {
    let list = |value: &Option<Value>| value.as_ref().and_then(Value::as_array).cloned();
    match (list(&delta.old), list(&delta.new)) {
        (Some(old), Some(new)) => new.starts_with(&old),
        _ => false,
    }
}

/// Whether a clause about columns speaks of one that was there before.
fn touches_old(value: Option<&Value>, context: &Context<'_>) -> bool {
    let columns: Vec<&str> = match value {
        Some(Value::String(column)) => vec![column],
        Some(clause) => match clause.get("columns").and_then(Value::as_array) {
            Some(columns) => columns.iter().filter_map(Value::as_str).collect(),
            None => return true,
        },
        None => return true,
    };
    columns.iter().any(|written| {
        written.rsplit_once('.').is_none_or(|(table, column)| {
            let (schema, name) = crate::sql::split_name(table);
            context.old.tables.iter().any(|one| {
                one.schema == schema
                    && one.name == name
                    && one.columns.iter().any(|other| other.name == column)
            })
        })
    })
}
