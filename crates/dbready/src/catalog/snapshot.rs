//! The catalog of the contract's schemas as one document, read in one round trip.
//!
//! The session's `search_path` is `public` while it is read, so that expressions and definitions are
//! printed the way the contract writes them: names in `public` bare, all others qualified. What
//! belongs to an extension and what TimescaleDB generates is left out by where it comes from.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, Transaction};

use super::facts::{Access, Facts, LEDGER_SCHEMA, LEDGER_TABLE};
use super::rights::Rights;
use crate::Error;
use crate::contract::{Contract, hexadecimal};
use crate::sql::{qualified, split_name};

/// What the catalogs say about the contract's schemas.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Installed extensions.
    pub extensions: Vec<Extension>,
    /// Tables and views.
    pub relations: Vec<Relation>,
    /// Functions and procedures, one entry a name.
    pub functions: Vec<Function>,
    /// What roles may do; absent where nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<Rights>,
    /// What `TimescaleDB` knows; absent when the extension is not installed.
    pub timescaledb: Option<Timescale>,
    /// Rows of the version table; absent when it does not exist or cannot be read.
    pub versions: Option<Vec<VersionRow>>,
    /// Rows of the migration runner's table; absent when it does not exist or cannot be read.
    pub migrations: Option<Vec<MigrationRow>>,
}

/// One installed extension.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Name.
    pub name: String,
    /// Version as `pg_extension` has it.
    pub version: String,
}

/// What kind of relation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// A table partitioned by PostgreSQL itself.
    PartitionedTable,
    /// A view, among them those of continuous aggregates.
    View,
    /// A materialised view.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
}

impl RelationKind {
    /// The kind in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::PartitionedTable => "partitioned table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::ForeignTable => "foreign table",
        }
    }

    /// The word that `DROP` takes.
    #[must_use]
    pub fn drop_word(self) -> &'static str {
        match self {
            Self::Table | Self::PartitionedTable => "TABLE",
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::ForeignTable => "FOREIGN TABLE",
        }
    }
}

/// Whether a relation's rows survive a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Persistence {
    /// They do.
    Permanent,
    /// A crash empties it.
    Unlogged,
    /// It ends with its session.
    Temporary,
}

/// One table or view.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: RelationKind,
    /// Persistence.
    pub persistence: Persistence,
    /// The key by which PostgreSQL itself partitions it, by `pg_get_partkeydef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<String>,
    /// Whether row-level security is switched on.
    pub row_security: bool,
    /// Columns in their order on the server.
    pub columns: Vec<Column>,
    /// Constraints other than NOT NULL, by name, without those that partitions bring.
    pub constraints: Vec<Constraint>,
    /// Indexes by name, among them those of constraints.
    pub indexes: Vec<Index>,
    /// Triggers and rules by name, without those of constraints and of `TimescaleDB`.
    pub triggers: Vec<Trigger>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type with its modifiers, by `format_type`.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Whether null is refused.
    pub not_null: bool,
    /// Default or generation expression, by `pg_get_expr`.
    pub default: Option<String>,
    /// `always` or `by default` for an identity column.
    pub identity: Option<String>,
    /// Whether the value is computed from other columns.
    pub generated: bool,
    /// Collation, when it is not the type's own.
    pub collation: Option<String>,
}

/// One constraint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// Name.
    pub name: String,
    /// Definition, by `pg_get_constraintdef(oid, true)`.
    pub definition: String,
    /// Whether the rows that were there before it have been checked.
    pub validated: bool,
    /// Whether it is enforced; always, before PostgreSQL 18.
    pub enforced: bool,
}

/// One index.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // Five independent flags of pg_index.
pub struct Index {
    /// Name.
    pub name: String,
    /// Access method.
    pub method: String,
    /// Key columns and expressions as the server prints them, with what differs from the default:
    /// collation, operator class, ` DESC`, ` NULLS …`.
    pub columns: Vec<String>,
    /// Columns that are only stored.
    pub include: Vec<String>,
    /// Whether it is unique.
    pub unique: bool,
    /// Whether nulls count as equal.
    pub nulls_not_distinct: bool,
    /// Predicate of a partial index.
    pub predicate: Option<String>,
    /// Whether queries may use it.
    pub valid: bool,
    /// Whether writes maintain it.
    pub ready: bool,
    /// Whether a constraint brought it.
    pub of_constraint: bool,
}

/// One trigger or rule of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Name.
    pub name: String,
    /// `trigger` or `rule`.
    pub kind: String,
    /// Whether it fires in ordinary sessions.
    pub enabled: bool,
}

/// One function or procedure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Schema.
    pub schema: String,
    /// Name without arguments.
    pub name: String,
}

/// What `TimescaleDB` knows about the schemas.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Timescale {
    /// Hypertables.
    pub hypertables: Vec<Hypertable>,
    /// Continuous aggregates.
    pub continuous_aggregates: Vec<ContinuousAggregate>,
    /// Policies: retention, compression, refresh and others.
    pub policies: Vec<Policy>,
}

/// One hypertable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Hypertable {
    /// Schema.
    pub schema: String,
    /// Name.
    pub table: String,
    /// Dimensions; the first is time.
    pub dimensions: Vec<Dimension>,
    /// Settings for compressed chunks, when compression is switched on.
    pub compression: Option<CompressionSettings>,
}

/// One dimension of a hypertable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    /// Column.
    pub column: String,
    /// Length of a chunk in microseconds, or in the column's own unit when it is an integer; absent
    /// for a dimension that hashes.
    pub interval: Option<i64>,
    /// Number of partitions of a dimension that hashes.
    pub partitions: Option<i64>,
}

/// How chunks are compressed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CompressionSettings {
    /// Columns that segment the compressed rows.
    pub segment_by: Vec<String>,
    /// Columns that order them, with ` DESC` and ` NULLS …` where they differ from the default.
    pub order_by: Vec<String>,
}

/// One continuous aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ContinuousAggregate {
    /// Schema of its view.
    pub schema: String,
    /// Name of its view.
    pub name: String,
    /// Schema of the hypertable it aggregates.
    pub source_schema: String,
    /// The hypertable it aggregates.
    pub source: String,
    /// Whether only materialised rows are served.
    pub materialized_only: bool,
    /// Width of its bucket as the server has it.
    pub bucket: Option<String>,
    /// The same in seconds, months taken as 30 days.
    pub bucket_seconds: Option<i64>,
}

/// One background job that looks after a hypertable or a continuous aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Number of the job.
    pub job: i64,
    /// Its procedure: `policy_retention`, `policy_compression`, `policy_refresh_continuous_aggregate`.
    pub procedure: String,
    /// Schema of the hypertable or of the aggregate's view.
    pub schema: String,
    /// Name of the hypertable or of the aggregate's view.
    pub relation: String,
    /// Whether the scheduler runs it; a paused job does nothing.
    pub scheduled: bool,
    /// Seconds between two runs.
    pub every_seconds: i64,
    /// Age in seconds at which chunks are dropped or compressed, months taken as 30 days.
    pub after_seconds: Option<i64>,
}

/// One row of the version table, in the order in which the versions were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRow {
    /// The version; absent when the table has no such column or the row no such value.
    pub version: Option<String>,
}

/// One row of the migration runner's table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationRow {
    /// The version.
    pub version: Option<String>,
    /// SHA-256 of the script that was applied, in hexadecimal.
    pub checksum: Option<String>,
}

impl Snapshot {
    /// SHA-256 over what it says of the schemas, in hexadecimal: databases of one structure have one
    /// digest, whatever was recorded of their migrations, whoever may use them and however their jobs
    /// are numbered.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut structure = Self { rights: None, versions: None, migrations: None, ..self.clone() };
        for policy in structure.timescaledb.iter_mut().flat_map(|one| &mut one.policies) {
            policy.job = 0;
        }
        // Strings, numbers and lists alone: writing into memory cannot fail.
        let text = serde_json::to_vec(&structure).unwrap_or_default();
        hexadecimal(&Sha256::digest(text))
    }

    /// The table or view of that name.
    #[must_use]
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|found| found.schema == schema && found.name == name)
    }

    /// What makes that table a hypertable, if it is one.
    #[must_use]
    pub fn hypertable(&self, schema: &str, table: &str) -> Option<&Hypertable> {
        let all = &self.timescaledb.as_ref()?.hypertables;
        all.iter().find(|found| found.schema == schema && found.table == table)
    }

    /// The continuous aggregate of that name.
    #[must_use]
    pub fn continuous_aggregate(&self, schema: &str, name: &str) -> Option<&ContinuousAggregate> {
        let all = &self.timescaledb.as_ref()?.continuous_aggregates;
        all.iter().find(|found| found.schema == schema && found.name == name)
    }

    /// The policies of that procedure on a hypertable or continuous aggregate.
    pub fn policies<'a>(
        &'a self,
        procedure: &'a str,
        schema: &'a str,
        relation: &'a str,
    ) -> impl Iterator<Item = &'a Policy> {
        let all = self.timescaledb.iter().flat_map(|timescale| &timescale.policies);
        all.filter(move |policy| {
            policy.procedure == procedure && policy.schema == schema && policy.relation == relation
        })
    }
}

impl Relation {
    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns of its primary key, quoted where they must be.
    #[must_use]
    pub fn primary_key(&self) -> Option<&[String]> {
        let primary = |one: &&Constraint| one.definition.starts_with("PRIMARY KEY ");
        let name = &self.constraints.iter().find(primary)?.name;
        let index = self.indexes.iter().find(|index| index.name == *name)?;
        Some(&index.columns)
    }
}

/// The query that reads the snapshot of one database for one contract.
pub(super) struct SnapshotQuery<'a> {
    /// Its text as it is sent.
    pub(super) text: String,
    schemas: Vec<&'a str>,
    /// Roles whose rights are read, beside those of `PUBLIC`; all, where there is no list.
    roles: Option<Vec<&'a str>>,
}

impl<'a> SnapshotQuery<'a> {
    /// The query that fits the server.
    pub(super) fn new(contract: &'a Contract, facts: &Facts) -> Self {
        let versions = split_name(&contract.model.versioning.table);
        let roles: Vec<&str> = contract.model.roles.iter().map(|one| one.name.as_str()).collect();
        let whose = (!roles.is_empty()).then_some(roles);
        let text = compose(
            facts.server.timescaledb.is_some(),
            whose.is_some(),
            (facts.versions == Access::Readable).then_some(versions),
            (facts.migrations == Access::Readable).then_some((LEDGER_SCHEMA, LEDGER_TABLE)),
        );
        Self { text, schemas: contract.model.schemas(), roles: whose }
    }

    /// The query for these schemas alone, without version tables, and with the rights of all roles.
    pub(super) fn of_schemas(schemas: Vec<&'a str>, timescaledb: bool) -> Self {
        Self { text: compose(timescaledb, true, None, None), schemas, roles: None }
    }

    /// Reads the snapshot in one round trip; the time is that of the round trip, from sending the
    /// query to having the whole answer.
    pub(super) async fn read(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<(Snapshot, Duration), Error> {
        let started = Instant::now();
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&self.schemas, Type::TEXT_ARRAY), (&self.roles, Type::TEXT_ARRAY)];
        let rows = transaction.query_typed(&self.text, &parameters).await?;
        let time = started.elapsed();
        Ok((document(&rows)?, time))
    }

    /// Times the round trip of the prepared query, `repeats` times one after the other, as someone
    /// who watches a database for drift runs it: planned once, since planning takes as long as the
    /// rest and the plan does not depend on the values. Every answer is read like any other.
    pub(super) async fn time(
        &self,
        transaction: &Transaction<'_>,
        repeats: usize,
    ) -> Result<Vec<Duration>, Error> {
        transaction.batch_execute("SET LOCAL plan_cache_mode = force_generic_plan").await?;
        let types = [Type::TEXT_ARRAY, Type::TEXT_ARRAY];
        let statement = transaction.prepare_typed(&self.text, &types).await?;
        let mut times = Vec::with_capacity(repeats);
        for _ in 0..repeats {
            let started = Instant::now();
            let rows = transaction.query(&statement, &[&self.schemas, &self.roles]).await?;
            times.push(started.elapsed());
            document(&rows)?;
        }
        Ok(times)
    }
}

fn document(rows: &[Row]) -> Result<Snapshot, Error> {
    let row = rows.first().ok_or_else(|| Error::Catalog("the snapshot has no row".to_owned()))?;
    let document: &str = row.try_get(0)?;
    serde_json::from_str(document)
        .map_err(|error| Error::Catalog(format!("the snapshot is not as expected: {error}")))
}

/// The snapshot's text for a server with or without `TimescaleDB`, with or without rights, and with the
/// version tables that can be read.
fn compose(
    timescaledb: bool,
    rights: bool,
    versions: Option<(&str, &str)>,
    migrations: Option<(&str, &str)>,
) -> String {
    let mut text = include_str!("snapshot.sql").to_owned();
    if timescaledb {
        let known = include_str!("snapshot_timescaledb.sql");
        text = text
            .replace("NULL /* timescaledb */", known)
            .replace("false /* chunk */", include_str!("snapshot_chunk.sql"));
    }
    if rights {
        text = text.replace("NULL /* rights */", include_str!("snapshot_rights.sql"));
    }
    if let Some((schema, table)) = versions {
        let rows = include_str!("snapshot_versions.sql")
            .replace("version_table", &qualified(schema, table));
        text = text.replace("NULL /* versions */", &rows);
    }
    if let Some((schema, table)) = migrations {
        let rows = include_str!("snapshot_migrations.sql")
            .replace("migration_table", &qualified(schema, table));
        text = text.replace("NULL /* migrations */", &rows);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_finds_its_place() {
        let plain = compose(false, false, None, None);
        for marker in ["chunk", "rights", "timescaledb", "versions", "migrations"] {
            assert_eq!(plain.matches(&format!("/* {marker} */")).count(), 1, "{marker}");
        }
        let full = compose(true, true, Some(("audit", "v\"1")), Some(("dbready", "migration")));
        assert!(!full.contains("/*"), "{full}");
        assert!(full.contains("FROM \"audit\".\"v\"\"1\" r"), "{full}");
        assert!(full.contains("FROM \"dbready\".\"migration\" r"), "{full}");
    }
}
