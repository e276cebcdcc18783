//! Tables that are gone, or something else; hypertables, their policies and aggregates.

use std::collections::BTreeSet;

use crate::check::ddl::create_index;
use crate::contract::{Constraint, Hypertable, Table};
use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::{qualified, quote_ident, quote_literal, spoken_name};

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let mut all = Vec::new();
    for table in ground.tables() {
        all.extend(presence(ground, table));
        all.push(row_security(table));
        if let Some(hypertable) = &table.hypertable {
            all.extend(hypertables(ground, table, hypertable));
        }
        all.extend(policies(ground, table));
    }
    all.extend(aggregates(ground));
    all
}

/// What falls when the table is not there, or is another.
fn gone(ground: &Ground<'_>, table: &Table) -> BTreeSet<String> {
    let mut falls = ground.of_table(table, &["prepares", "parameters", "result", "plan"]);
    falls.extend(ground.referrers(table));
    falls.extend(ground.behind(table));
    falls.extend(ground.rollups_of(table));
    if ground.keeps_versions(table) {
        let all = ground.claims.iter();
        falls.extend(all.filter(|id| id.starts_with("migration.")).cloned());
    }
    let aggregates = ground.contract.model.continuous_aggregates.iter();
    let own = aggregates.filter(|one| {
        ground
            .contract
            .table(&one.source)
            .is_some_and(|source| source.schema == table.schema && source.name == table.name)
    });
    falls.extend(own.map(|one| format!("schema.{}", spoken_name(&one.schema, &one.name))));
    falls
}

/// Moves the table to a schema that the contract does not know.
fn away(table: &Table) -> String {
    let name = table.qualified();
    format!("CREATE SCHEMA sabotage_away; ALTER TABLE {name} SET SCHEMA sabotage_away")
}

fn presence(ground: &Ground<'_>, table: &Table) -> Vec<Sabotage> {
    let id = format!("schema.{}", table.spoken_name());
    let (name, away) = (table.qualified(), away(table));
    let old = qualified("sabotage_away", &table.name);
    let sabotage = |what: &str, way: String| Sabotage::sql(&*id, what, [way]);
    let column = format!("ALTER TABLE {name} ADD COLUMN sabotage_extra text NOT NULL DEFAULT ''");
    let mut all = vec![
        sabotage("dropped", format!("DROP TABLE {name} CASCADE")).with(gone(ground, table)),
        sabotage("renamed", format!("ALTER TABLE {name} RENAME TO sabotage_renamed"))
            .with(gone(ground, table))
            .with(ground.roles_of(table))
            .with(["drift.tables".to_owned()]),
        sabotage("in another schema", away.clone()).with(gone(ground, table)),
        sabotage("a view instead", format!("{away}; CREATE VIEW {name} AS SELECT * FROM {old}"))
            .with(gone(ground, table)),
        sabotage(
            "a materialized view instead",
            format!("{away}; CREATE MATERIALIZED VIEW {name} AS SELECT * FROM {old}"),
        )
        .with(gone(ground, table)),
        sabotage(
            "a further column that writers must fill",
            format!("{column}; ALTER TABLE {name} ALTER COLUMN sabotage_extra DROP DEFAULT"),
        )
        .with(ground.of_table(table, &["result"])),
    ];
    if let Some(key) = &table.partition_by {
        let like = format!("{away}; CREATE TABLE {name} (LIKE {old})");
        let method = if key.starts_with("LIST") { "HASH" } else { "LIST" };
        let columns = ground.columns(table).into_iter().map(|one| quote_ident(&one.name));
        let others: Vec<String> =
            columns.map(|column| format!("{like} PARTITION BY {method} ({column})")).collect();
        // The other table has none of its parts.
        let spoken = table.spoken_name();
        let parts = [format!("schema.{spoken}."), format!("drift.{spoken}.")];
        let is_part = |id: &&String| parts.iter().any(|part| id.starts_with(part));
        let parts: BTreeSet<String> = ground.claims.iter().filter(is_part).cloned().collect();
        all.push(sabotage("not partitioned", like).with(gone(ground, table)));
        all.push(
            Sabotage::sql(&*id, "partitioned by another key", others)
                .with(gone(ground, table))
                .with(ground.roles_of(table))
                .with(parts),
        );
    } else {
        let (what, word, letter) =
            if table.unlogged { ("logged", "LOGGED", 'p') } else { ("unlogged", "UNLOGGED", 'u') };
        all.push(Sabotage::sql(
            &*id,
            what,
            [
                format!("ALTER TABLE {name} SET {word}"),
                format!(
                    "LOCK TABLE {name} IN SHARE MODE; \
                     UPDATE pg_class SET relpersistence = '{letter}' WHERE oid = {}::regclass",
                    quote_literal(&name)
                ),
            ],
        ));
    }
    all
}

fn row_security(table: &Table) -> Sabotage {
    let (what, action) = if table.row_security { ("off", "DISABLE") } else { ("on", "ENABLE") };
    Sabotage::sql(
        format!("schema.{}.row_security", table.spoken_name()),
        format!("switched {what}"),
        [format!("ALTER TABLE {} {action} ROW LEVEL SECURITY", table.qualified())],
    )
}

fn hypertables(ground: &Ground<'_>, table: &Table, own: &Hypertable) -> Vec<Sabotage> {
    let spoken = table.spoken_name();
    let id = format!("schema.{spoken}.hypertable");
    let (name, old) = (table.qualified(), qualified("sabotage_away", &table.name));
    let seconds = own.chunk_interval.duration().as_secs() * 7;
    let interval = format!(
        "SELECT set_chunk_time_interval({}, INTERVAL '{seconds} seconds')",
        quote_literal(&name)
    );
    let now = |since: Option<&_>, until: Option<&_>| ground.is_now(since, until);
    let stored = ground.columns(table).into_iter().filter(|one| one.generated.is_none());
    let rows: Vec<String> = stored.map(|one| quote_ident(&one.name)).collect();
    let rows = rows.join(", ");
    let mut plain = vec![
        away(table),
        format!(
            "CREATE TABLE {name} (LIKE {old} INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED)"
        ),
        format!("INSERT INTO {name} ({rows}) OVERRIDING SYSTEM VALUE SELECT {rows} FROM {old}"),
    ];
    let constraints = table.constraints.iter();
    plain.extend(constraints.filter(|one| now(one.since.as_ref(), one.until.as_ref())).map(
        |Constraint { name: part, definition, .. }| {
            format!("ALTER TABLE {name} ADD CONSTRAINT {} {definition}", quote_ident(part))
        },
    ));
    let indexes = table.indexes.iter();
    let indexes = indexes.filter(|one| now(one.since.as_ref(), one.until.as_ref()));
    plain.extend(indexes.map(|one| create_index(table, one)));
    plain.push(format!("DROP TABLE {old}; ANALYZE {name}"));
    vec![
        Sabotage::sql(&*id, "another chunk interval", [interval]),
        Sabotage::sql(&*id, "a plain table instead", [plain.join("; ")])
            .with(ground.of_table(table, &["plan"]))
            .with(ground.referrers(table))
            .with(ground.roles_of(table))
            .with(ground.rollups_of(table))
            .with((!table.triggers.is_empty()).then(|| format!("drift.{spoken}.triggers"))),
    ]
}

fn policies(ground: &Ground<'_>, table: &Table) -> Vec<Sabotage> {
    let name = quote_literal(&table.qualified());
    let mut all = Vec::new();
    let mut add = |word: &str, age: u64| {
        let id = format!("schema.{}.policy.{word}", table.spoken_name());
        let remove = format!("SELECT remove_{word}_policy({name})");
        let later = format!(
            "{remove}; SELECT add_{word}_policy({name}, INTERVAL '{} seconds')",
            age + 86_400
        );
        let pause = format!(
            "SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs \
             WHERE proc_name = 'policy_{word}' AND hypertable_schema = {} AND hypertable_name = {}",
            quote_literal(&table.schema),
            quote_literal(&table.name)
        );
        for (what, way) in [("removed", remove), ("at another age", later), ("paused", pause)] {
            all.push(Sabotage::sql(&*id, what, [way]));
        }
    };
    if let Some(one) =
        table.retention.as_ref().filter(|one| ground.is_now(one.since.as_ref(), None))
    {
        add("retention", one.keep.duration().as_secs());
    }
    if let Some(one) =
        table.compression.as_ref().filter(|one| ground.is_now(one.since.as_ref(), None))
    {
        add("compression", one.after.duration().as_secs());
    }
    all
}

fn aggregates(ground: &Ground<'_>) -> Vec<Sabotage> {
    let views = ground.contract.model.continuous_aggregates.iter();
    let now = views.filter(|one| ground.is_now(one.since.as_ref(), None));
    now.flat_map(|one| {
        let id = format!("schema.{}", spoken_name(&one.schema, &one.name));
        let name = qualified(&one.schema, &one.name);
        let newest = format!(
            "ALTER MATERIALIZED VIEW {name} SET (timescaledb.materialized_only = {})",
            !one.materialized_only
        );
        let refresh =
            format!("SELECT remove_continuous_aggregate_policy({})", quote_literal(&name));
        let mut all = vec![
            Sabotage::sql(&*id, "dropped", [format!("DROP MATERIALIZED VIEW {name} CASCADE")]),
            Sabotage::sql(&*id, "newest rows served otherwise", [newest]),
        ];
        if one.refresh_every.is_some() {
            all.push(Sabotage::sql(&*id, "no longer refreshed", [refresh]));
        }
        all
    })
    .collect()
}
