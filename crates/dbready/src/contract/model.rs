//! The contract as data: what `contract.toml` may say, key by key.
//!
//! Unknown keys are errors everywhere. Names of types, expressions and constraint definitions are
//! written as PostgreSQL itself prints them (`format_type`, `pg_get_expr`, `pg_get_constraintdef`),
//! so that they are compared with the server's own words and never parsed here.

use jiff::civil::Date;
use std::collections::BTreeMap;

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::measures::{Alert, Coverage, Deviation, Drill, Figure, Score, Waiver};
use super::period::Period;
use super::revision::Revision;
use super::roles::Role;
use super::values::{Format, JsonObjects, Precision, Range, Timestamps};

/// A whole contract directory, parsed and validated: `contract.toml` and the files it names.
#[derive(Debug, Clone)]
pub struct Contract {
    /// What `contract.toml` says.
    pub model: Model,
    /// Query texts in the order of [`Model::queries`].
    pub query_sql: Vec<QuerySql>,
    /// Texts of the files that the workloads of figures name, by path.
    pub workload_sql: BTreeMap<String, String>,
    /// The two statements of each rollup in the order of [`Model::rollups`].
    pub rollup_sql: Vec<RollupSql>,
    /// Migrations in the order in which they are applied.
    pub migrations: Vec<Migration>,
    /// The text of `seed.sql`, if the directory has one.
    pub seed_sql: Option<String>,
    /// SHA-256 over every file of the directory, in hexadecimal.
    pub digest: String,
    /// Where it stands in a git repository, when it was read from one.
    pub revision: Option<Revision>,
}

impl Contract {
    /// The tables of the contract's own version.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        let version = &self.model.service.version;
        let tables = self.model.tables.iter();
        tables.filter(move |one| in_version(one.since.as_ref(), one.until.as_ref(), version))
    }

    /// Whether a table of the contract goes by that name.
    #[must_use]
    pub(crate) fn is_named(&self, name: &str, table: &Table) -> bool {
        self.table(name).is_some_and(|own| own.schema == table.schema && own.name == table.name)
    }

    /// The text of a file that the workload of a figure names; empty for a file that none names.
    #[must_use]
    pub fn text_of(&self, file: &str) -> &str {
        self.workload_sql.get(file).map_or("", String::as_str)
    }

    /// The statements of queries, their samples and workloads, by file: what is run on a server as it
    /// stands.
    pub fn statements(&self) -> impl Iterator<Item = (&str, &str)> {
        let queries = self.model.queries.iter().zip(&self.query_sql).flat_map(|(query, sql)| {
            let sample = query.sample.as_deref().zip(sql.sample.as_deref());
            std::iter::once((query.file.as_str(), sql.statement.as_str())).chain(sample)
        });
        queries.chain(self.workload_sql.iter().map(|(file, text)| (file.as_str(), text.as_str())))
    }
}

/// The texts of one query contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuerySql {
    /// The statement, with `$1…` parameters.
    pub statement: String,
    /// The statement that samples its parameters from live data, if there is one.
    pub sample: Option<String>,
}

/// The texts of one rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupSql {
    /// The statement that reads what is served.
    pub served: String,
    /// The statement that computes the same from the rows.
    pub raw: String,
}

/// One versioned change of the schema with its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The version that this migration leads to.
    pub version: Version,
    /// One line saying what it does, from its header.
    pub description: String,
    /// Whether its header declares it breaking.
    pub breaking: bool,
    /// Findings of `migrate verify` that its header accepts.
    pub accepts: Vec<Accepted>,
    /// File name of the forward script, relative to the contract directory.
    pub up_file: String,
    /// Text of the forward script.
    pub up_sql: String,
    /// File name of the rollback script.
    pub down_file: String,
    /// Text of the rollback script.
    pub down_sql: String,
    /// SHA-256 of the forward script in hexadecimal.
    pub checksum: String,
}

/// A finding about a migration that its author knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The kind of the finding.
    pub kind: String,
    /// Why it is accepted.
    pub reason: String,
}

/// The document `contract.toml`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Version of this file format; only `1` exists.
    pub contract: u32,
    /// Whose contract it is.
    pub service: Service,
    /// What the server must be.
    pub server: Server,
    /// Tables and hypertables.
    #[serde(default, rename = "table")]
    pub tables: Vec<Table>,
    /// Continuous aggregates (`TimescaleDB` Community).
    #[serde(default, rename = "continuous_aggregate")]
    pub continuous_aggregates: Vec<ContinuousAggregate>,
    /// What is computed from rows and kept, to be reconciled with them.
    #[serde(default, rename = "rollup")]
    pub rollups: Vec<Rollup>,
    /// Functions and views that the contract knows without describing them, so that they are no drift.
    #[serde(default)]
    pub known: Known,
    /// Roles, and what each may do.
    #[serde(default, rename = "role")]
    pub roles: Vec<Role>,
    /// Query contracts.
    #[serde(default, rename = "query")]
    pub queries: Vec<Query>,
    /// Clauses about the connection pool.
    pub pool: Pool,
    /// Clauses about transactions.
    pub transactions: Transactions,
    /// Text formats.
    #[serde(default, rename = "format")]
    pub formats: Vec<Format>,
    /// Numeric ranges.
    #[serde(default, rename = "range")]
    pub ranges: Vec<Range>,
    /// Decimal places.
    #[serde(default, rename = "precision")]
    pub precisions: Vec<Precision>,
    /// Columns that hold instants, in UTC and finite.
    #[serde(default)]
    pub timestamps: Timestamps,
    /// Columns that hold a JSON object and are never null.
    #[serde(default)]
    pub json_objects: JsonObjects,
    /// The policy for changes.
    pub versioning: Versioning,
    /// Alert rules.
    #[serde(default, rename = "alert")]
    pub alerts: Vec<Alert>,
    /// The weights of the score.
    pub score: Score,
    /// Figures that are claims to be measured by load or drills.
    #[serde(default, rename = "figure")]
    pub figures: Vec<Figure>,
    /// Failure drills that must have been run.
    #[serde(default, rename = "drill")]
    pub drills: Vec<Drill>,
    /// What test coverage must show.
    pub coverage: Coverage,
    /// Claims that may stay open for a while.
    #[serde(default, rename = "waiver")]
    pub waivers: Vec<Waiver>,
    /// Where the contract departs from its original and why.
    #[serde(default, rename = "deviation")]
    pub deviations: Vec<Deviation>,
}

/// Whose contract it is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Name of the service.
    pub name: String,
    /// Version of the contract; the last migration leads to it.
    pub version: Version,
    /// One sentence.
    pub description: String,
}

/// What the server must be.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Range of PostgreSQL versions, as `major.minor.0`.
    pub postgresql: VersionReq,
    /// Extensions that must be installed.
    #[serde(default, rename = "extension")]
    pub extensions: Vec<Extension>,
    /// Settings that must hold, as `SHOW` prints them.
    #[serde(default, rename = "setting")]
    pub settings: Vec<Setting>,
}

/// One extension that must be installed.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Name in `pg_extension`.
    pub name: String,
    /// Range of versions.
    pub version: VersionReq,
}

/// One server setting that must hold.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Name in `pg_settings`.
    pub name: String,
    /// Value as `SHOW` prints it.
    pub value: String,
    /// Why it matters.
    pub meaning: String,
}

/// The edition of `TimescaleDB` that an object needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Edition {
    /// Any edition will do.
    #[default]
    Any,
    /// Exists only under the Timescale Community licence.
    Community,
}

/// One table. Unqualified names live in the schema `public`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Name.
    pub name: String,
    /// Schema.
    #[serde(default = "public")]
    pub schema: String,
    /// What a row is.
    pub meaning: String,
    /// First contract version that has it; absent means from the first on.
    pub since: Option<Version>,
    /// First contract version that no longer has it.
    pub until: Option<Version>,
    /// Columns in the contract's order; the order on the server does not matter.
    #[serde(rename = "column")]
    pub columns: Vec<Column>,
    /// Primary key, unique, foreign key, check and exclusion constraints. NOT NULL belongs to the column.
    #[serde(default, rename = "constraint")]
    pub constraints: Vec<Constraint>,
    /// Indexes other than those that constraints bring.
    #[serde(default, rename = "index")]
    pub indexes: Vec<Index>,
    /// Its key when PostgreSQL itself partitions it, as `pg_get_partkeydef` prints it: `RANGE (at)`.
    pub partition_by: Option<String>,
    /// Whether a crash may empty it.
    #[serde(default)]
    pub unlogged: bool,
    /// Present when the table is a hypertable.
    pub hypertable: Option<Hypertable>,
    /// How long rows are kept.
    pub retention: Option<Retention>,
    /// When chunks are compressed.
    pub compression: Option<Compression>,
    /// Whether row-level security is switched on.
    #[serde(default)]
    pub row_security: bool,
    /// Triggers, other than those of constraints.
    #[serde(default, rename = "trigger")]
    pub triggers: Vec<Trigger>,
}

/// One column.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type with precision, as `format_type` prints it: `numeric(10,6)`, `character varying(255)`.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Whether it may be null.
    #[serde(default)]
    pub nullable: bool,
    /// Default expression as `pg_get_expr` prints it: `now()`, `'{}'::jsonb`.
    pub default: Option<String>,
    /// Expression that it is computed from, as `pg_get_expr` prints it.
    pub generated: Option<String>,
    /// Identity: `always` or `by default`.
    pub identity: Option<Identity>,
    /// Collation, when it is not the type's own.
    pub collation: Option<String>,
    /// What the value means and its unit.
    pub meaning: String,
    /// First contract version that has it.
    pub since: Option<Version>,
    /// First contract version that no longer has it.
    pub until: Option<Version>,
}

/// How an identity column takes values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum Identity {
    /// GENERATED ALWAYS
    #[serde(rename = "always")]
    Always,
    /// GENERATED BY DEFAULT
    #[serde(rename = "by default")]
    ByDefault,
}

/// One table constraint.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// Name.
    pub name: String,
    /// Definition as `pg_get_constraintdef(oid, true)` prints it. With ` NOT VALID` at its end, older
    /// rows need not keep it.
    pub definition: String,
    /// First contract version that has it.
    pub since: Option<Version>,
    /// First contract version that no longer has it.
    pub until: Option<Version>,
}

/// One index.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Name.
    pub name: String,
    /// Access method.
    #[serde(default = "btree")]
    pub method: String,
    /// Key columns or expressions in order, each as the server prints it, with ` DESC` and ` NULLS …`
    /// where they differ from the default: `"timestamp" DESC`.
    pub columns: Vec<String>,
    /// Columns that are only stored in it, as the server prints them.
    #[serde(default)]
    pub include: Vec<String>,
    /// Whether it is unique.
    #[serde(default)]
    pub unique: bool,
    /// Whether nulls count as equal.
    #[serde(default)]
    pub nulls_not_distinct: bool,
    /// Predicate of a partial index as the server prints it.
    pub predicate: Option<String>,
    /// First contract version that has it.
    pub since: Option<Version>,
    /// First contract version that no longer has it.
    pub until: Option<Version>,
}

/// One trigger.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Name.
    pub name: String,
    /// What it does.
    pub meaning: String,
    /// First contract version that has it.
    pub since: Option<Version>,
    /// First contract version that no longer has it.
    pub until: Option<Version>,
}

/// What makes a table a hypertable.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Hypertable {
    /// The column that time partitions.
    pub time_column: String,
    /// Length of a chunk.
    pub chunk_interval: Period,
}

/// How long rows are kept.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Rows older than this are dropped.
    pub keep: Period,
    /// Edition needed for a policy on the server.
    #[serde(default)]
    pub edition: Edition,
    /// First contract version that has the policy.
    pub since: Option<Version>,
}

/// When chunks are compressed.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Compression {
    /// Chunks older than this are compressed.
    pub after: Period,
    /// Columns that segment the compressed rows.
    #[serde(default)]
    pub segment_by: Vec<String>,
    /// Columns that order them, as the server prints them: `timestamp DESC`.
    #[serde(default)]
    pub order_by: Vec<String>,
    /// Edition needed.
    #[serde(default)]
    pub edition: Edition,
    /// First contract version that has the policy.
    pub since: Option<Version>,
}

/// One continuous aggregate.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ContinuousAggregate {
    /// Name of the view.
    pub name: String,
    /// Schema of the view.
    #[serde(default = "public")]
    pub schema: String,
    /// Hypertable that it aggregates.
    pub source: String,
    /// What it holds.
    pub meaning: String,
    /// Width of its bucket.
    pub bucket: Period,
    /// Whether only materialised rows are served.
    pub materialized_only: bool,
    /// How often its refresh policy runs; absent when it has none.
    pub refresh_every: Option<Period>,
    /// Its columns by name, in order.
    pub columns: Vec<String>,
    /// Edition needed.
    #[serde(default)]
    pub edition: Edition,
    /// First contract version that has it.
    pub since: Option<Version>,
}

/// One rollup, or one continuous aggregate: what is served, and the same from the rows themselves.
///
/// Both statements take a half-open range of time, `$1` included and `$2` excluded, in whole buckets,
/// and return the same columns, one row a bucket or more.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rollup {
    /// Name.
    pub name: String,
    /// Hypertable with the rows.
    pub source: String,
    /// What is kept.
    pub meaning: String,
    /// Width of its bucket.
    pub bucket: Period,
    /// File under the contract directory with the statement that reads what is served.
    pub served: String,
    /// File with the statement that computes the same from the rows.
    pub raw: String,
    /// The statement that mends it, or what to do.
    pub mend: Option<String>,
    /// The statement that brings it up to date with rows that have come or gone.
    pub refresh: Option<String>,
    /// Edition needed.
    #[serde(default)]
    pub edition: Edition,
    /// First contract version that has it.
    pub since: Option<Version>,
    /// First contract version that no longer has it.
    pub until: Option<Version>,
}

/// Objects known without being described.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Functions by name, without arguments.
    #[serde(default)]
    pub functions: Vec<String>,
    /// Views by name.
    #[serde(default)]
    pub views: Vec<String>,
    /// Tables by name.
    #[serde(default)]
    pub tables: Vec<String>,
}

/// One query contract.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Name.
    pub name: String,
    /// File under the contract directory with one statement and `$1…` parameters.
    pub file: String,
    /// The repository method that runs it.
    pub method: String,
    /// Who relies on it.
    #[serde(default)]
    pub consumers: Vec<String>,
    /// What it answers.
    pub meaning: String,
    /// Parameters in order.
    #[serde(default, rename = "parameter")]
    pub parameters: Vec<Parameter>,
    /// Columns of the result in order; empty for a statement that returns nothing.
    #[serde(default, rename = "result")]
    pub results: Vec<ResultColumn>,
    /// Its limits under load.
    pub sla: Option<Sla>,
    /// What its plan must show.
    pub plan: Option<Plan>,
    /// File with a query that samples rows of parameter values from live data, one column per parameter.
    pub sample: Option<String>,
}

/// One query parameter.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Name, for people.
    pub name: String,
    /// Type as `format_type` prints it.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// One result column.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ResultColumn {
    /// Name.
    pub name: String,
    /// Type as `format_type` prints it, without precision where the expression has none.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Whether it may be null.
    #[serde(default)]
    pub nullable: bool,
}

/// Limits of a query under load.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sla {
    /// 95th percentile of response time in milliseconds.
    pub p95_ms: f64,
    /// Calls per second at which the limit holds.
    pub per_second: f64,
}

/// What a plan must show.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Indexes of the table, any one of which the plan must use (chunks' copies count as their parent's).
    pub indexes: Vec<String>,
    /// Whether chunks outside the asked range must be left out.
    #[serde(default)]
    pub chunk_exclusion: bool,
}

/// Clauses about the pool.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Connections kept warm.
    pub min: u32,
    /// Connections at most.
    pub max: u32,
    /// Longest wait for a connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// Longest command, in milliseconds.
    pub command_timeout_ms: u64,
    /// `application_name` of every connection.
    pub application_name: String,
    /// Whether just-in-time compilation is on.
    pub jit: bool,
    /// Least share of acquires that reuse a connection, in percent.
    pub reuse_percent: f64,
    /// Utilisation at which an alert is raised, in percent.
    pub alert_percent: f64,
}

/// Clauses about transactions.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Transactions {
    /// Default isolation as `SHOW default_transaction_isolation` prints it.
    pub isolation: String,
}

/// The policy for changes.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Versioning {
    /// Notice before a breaking change, in days.
    pub notice_days: u32,
    /// The table with a row for each applied version; without one, what the migration runner keeps.
    #[serde(default = "runners_own")]
    pub table: String,
    /// Changes that break consumers.
    pub breaking: Vec<String>,
    /// Changes that do not.
    pub compatible: Vec<String>,
    /// Breaking changes that consumers have been told of.
    #[serde(default, rename = "announcement")]
    pub announcements: Vec<Announcement>,
}

/// One breaking change that consumers have been told of.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// The version that brings it.
    pub version: Version,
    /// The day on which consumers were told.
    pub announced: Date,
    /// The first day on which that version may take effect.
    pub effective: Date,
    /// What changes, in one sentence.
    pub what: String,
}

fn public() -> String {
    "public".to_owned()
}

/// The table in which the migration runner records what it applied.
pub(super) const RUNNERS_OWN: &str = "dbready.migration";

fn runners_own() -> String {
    RUNNERS_OWN.to_owned()
}

impl Versioning {
    /// Whether versions are recorded by the migration runner alone: the contract then claims nothing
    /// about a version table.
    #[must_use]
    pub fn is_runners_own(&self) -> bool {
        self.table == RUNNERS_OWN
    }
}

fn btree() -> String {
    "btree".to_owned()
}

/// Whether an object with these bounds exists in `version`.
#[must_use]
pub fn in_version(since: Option<&Version>, until: Option<&Version>, version: &Version) -> bool {
    since.is_none_or(|first| first <= version) && until.is_none_or(|gone| version < gone)
}
