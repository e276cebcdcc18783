//! A small contract and a database that keeps it, for the tests beside each check.

use std::collections::BTreeMap;

use std::time::Duration;

use semver::Version;
use serde_json::json;

use crate::catalog::{
    Access, CLASSES, DataObservation, HostileRun, Lock, Look, Observation, Parent, PlanFacts,
    QueryObservation, Reconciliation, Relation, RoundTrip, Run, Signature, Snapshot, Values,
};
use crate::contract::{Contract, Migration, Model, QuerySql, RollupSql, data_clauses};
use crate::evidence::{Outcome, ServerFacts, Statements};
use crate::verdict::{Status, judge};

/// A contract at version 1.1.0: one hypertable, one version table, one continuous aggregate.
pub(super) fn contract() -> Contract {
    let model: Model = toml::from_str(CONTRACT).unwrap();
    let migration = |version: Version| Migration {
        description: format!("step {version}"),
        breaking: false,
        accepts: Vec::new(),
        up_file: format!("migrations/{version}.up.sql"),
        up_sql: String::new(),
        down_file: format!("migrations/{version}.down.sql"),
        down_sql: String::new(),
        checksum: format!("sum of {version}"),
        version,
    };
    let migrations = vec![migration(Version::new(1, 0, 0)), migration(Version::new(1, 1, 0))];
    Contract {
        workload_sql: BTreeMap::new(),
        query_sql: vec![QuerySql {
            statement: "SELECT at, value FROM readings WHERE sensor = $1".to_owned(),
            sample: None,
        }],
        rollup_sql: vec![RollupSql {
            served: "TABLE readings_hourly".to_owned(),
            raw: "SELECT FROM readings".to_owned(),
        }],
        migrations,
        seed_sql: None,
        digest: "digest".to_owned(),
        revision: None,
        model,
    }
}

const CONTRACT: &str = r#"
contract = 1

[service]
name = "Readings"
version = "1.1.0"
description = "Readings of sensors."

[server]
postgresql = ">=15, <19"
[[server.extension]]
name = "timescaledb"
version = ">=2.15"
[[server.setting]]
name = "TimeZone"
value = "UTC"
meaning = "instants are shown in UTC"

[[table]]
name = "readings"
meaning = "one reading a row"
hypertable = { time_column = "at", chunk_interval = "1 day" }
retention = { keep = "90 days", edition = "community" }
compression = { after = "7 days", segment_by = ["sensor"], order_by = ["at DESC"], edition = "community" }
column = [
    { name = "id", type = "bigint", identity = "always", meaning = "number" },
    { name = "at", type = "timestamp with time zone", meaning = "when" },
    { name = "sensor", type = "character varying(20)", collation = "C", meaning = "which" },
    { name = "value", type = "numeric(10,6)", nullable = true, default = "0", meaning = "how much" },
    { name = "note", type = "text", nullable = true, meaning = "remark", since = "1.1.0" },
]
constraint = [
    { name = "readings_pkey", definition = "PRIMARY KEY (id, at)" },
    { name = "readings_value_check", definition = "CHECK (value >= 0::numeric)" },
]
index = [
    { name = "readings_sensor_at", columns = ["sensor", "at DESC"] },
]

[[table]]
name = "schema_version"
meaning = "one applied version a row"
column = [{ name = "version", type = "character varying(20)", meaning = "version" }]

[[query]]
name = "latest"
file = "queries/latest.sql"
sample = "queries/samples/latest.sql"
method = "latest"
meaning = "the newest reading of a sensor"
parameter = [{ name = "sensor", type = "text" }]
result = [
    { name = "at", type = "timestamp with time zone" },
    { name = "value", type = "numeric(10,6)", nullable = true },
]
plan = { indexes = ["readings_sensor_at"], chunk_exclusion = true }

[[format]]
name = "sensor"
meaning = "a letter and a number"
pattern = "^[A-Z][0-9]+$"
examples = ["A1"]
counterexamples = ["1A"]
columns = ["readings.sensor"]

[[range]]
name = "value"
meaning = "not negative"
min = 0.0
columns = ["readings.value"]

[timestamps]
columns = ["readings.at"]

[[continuous_aggregate]]
name = "readings_hourly"
source = "readings"
meaning = "averages by the hour"
bucket = "1 hour"
materialized_only = false
refresh_every = "30 minutes"
columns = ["bucket", "sensor", "value"]
edition = "community"

[[rollup]]
name = "readings_hourly"
source = "readings"
meaning = "averages by the hour"
bucket = "1 hour"
served = "queries/served.sql"
raw = "queries/raw.sql"
mend = "refresh it"
edition = "community"

[known]
functions = ["mend"]

[[role]]
name = "readings_writer"
meaning = "writes readings"
member_of = ["pg_monitor"]
usage = ["public"]
execute = ["mend"]
table = [{ name = "readings", privileges = ["SELECT", "INSERT"] }]

[pool]
min = 2
max = 10
acquire_timeout_ms = 5000
command_timeout_ms = 30000
application_name = "readings"
jit = false
reuse_percent = 95
alert_percent = 80

[transactions]
isolation = "read committed"

[versioning]
notice_days = 30
table = "schema_version"
breaking = []
compatible = []

[score]
refinement = []
area = []

[coverage]
percent = 90
modules = []
methods = []
"#;

/// What a Community server shows that keeps the contract at its own version.
pub(super) fn observation() -> Observation {
    let column = |name: &str, data_type: &str, not_null: bool| {
        json!({ "name": name, "type": data_type, "not_null": not_null, "default": null,
            "identity": null, "generated": false, "collation": null })
    };
    let mut columns = [
        column("id", "bigint", true),
        column("at", "timestamp with time zone", true),
        column("sensor", "character varying(20)", true),
        column("value", "numeric(10,6)", false),
        column("note", "text", false),
    ];
    columns[0]["identity"] = json!("always");
    columns[2]["collation"] = json!("C");
    columns[3]["default"] = json!("0");
    let index = |name: &str, columns: &[&str], of_constraint: bool| {
        json!({ "name": name, "method": "btree", "columns": columns, "include": [],
            "unique": of_constraint, "nulls_not_distinct": false, "predicate": null, "valid": true,
            "ready": true, "of_constraint": of_constraint })
    };
    let constraint = |name: &str, definition: &str| json!({ "name": name, "definition": definition, "validated": true, "enforced": true });
    let policy = |job: u32, procedure: &str, relation: &str, every: u32, after: Option<u32>| {
        json!({ "job": job, "procedure": procedure, "schema": "public", "relation": relation,
            "scheduled": true, "every_seconds": every, "after_seconds": after })
    };
    let relation = |name: &str, kind: &str| {
        json!({ "schema": "public", "name": name, "kind": kind, "persistence": "permanent",
            "row_security": false, "columns": [], "constraints": [], "indexes": [], "triggers": [] })
    };
    let mut readings = relation("readings", "table");
    readings["columns"] = json!(columns);
    readings["constraints"] = json!([
        constraint("readings_pkey", "PRIMARY KEY (id, at)"),
        constraint("readings_value_check", "CHECK (value >= 0::numeric)"),
    ]);
    readings["indexes"] = json!([
        index("readings_at_idx", &["at DESC"], false),
        index("readings_pkey", &["id", "at"], true),
        index("readings_sensor_at", &["sensor", "at DESC"], false),
    ]);
    let mut version = relation("schema_version", "table");
    version["columns"] = json!([column("version", "character varying(20)", true)]);
    let mut hourly = relation("readings_hourly", "view");
    hourly["columns"] =
        json!(["bucket", "sensor", "value"].map(|name| column(name, "text", false)));
    let snapshot: Snapshot = serde_json::from_value(json!({
        "extensions": [{ "name": "timescaledb", "version": "2.19.3" }],
        "relations": [readings, version, hourly],
        "functions": [],
        "rights": rights(),
        "timescaledb": {
            "hypertables": [{
                "schema": "public",
                "table": "readings",
                "dimensions": [{ "column": "at", "interval": 86_400_000_000_i64, "partitions": null }],
                "compression": { "segment_by": ["sensor"], "order_by": ["at DESC"] },
            }],
            "continuous_aggregates": [{
                "schema": "public", "name": "readings_hourly", "source_schema": "public",
                "source": "readings", "materialized_only": false, "bucket": "01:00:00",
                "bucket_seconds": 3600,
            }],
            "policies": [
                policy(1000, "policy_retention", "readings", 86_400, Some(90 * 86_400)),
                policy(1001, "policy_compression", "readings", 43_200, Some(7 * 86_400)),
                policy(1002, "policy_refresh_continuous_aggregate", "readings_hourly", 1_800, None),
            ],
        },
        "versions": [{ "version": "1.0.0" }, { "version": "1.1.0" }],
        "migrations": [
            { "version": "1.0.0", "checksum": "sum of 1.0.0" },
            { "version": "1.1.0", "checksum": "sum of 1.1.0" },
        ],
    }))
    .unwrap();
    Observation {
        server: ServerFacts {
            address: "localhost:5432/readings".to_owned(),
            database: "readings".to_owned(),
            role: "examiner".to_owned(),
            postgresql: "17.5".to_owned(),
            postgresql_num: 170_005,
            timescaledb: Some("2.19.3".to_owned()),
            license: Some("timescale".to_owned()),
            settings: [
                ("TimeZone", "UTC"),
                ("max_parallel_workers", "8"),
                ("max_worker_processes", "27"),
                ("timescaledb.max_background_workers", "16"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        },
        lock: Lock::Held,
        version_access: Access::Readable,
        migration_access: Access::Readable,
        snapshot,
        snapshot_time: Duration::from_millis(4),
        queries: vec![query()],
        data: data(),
        rollups: vec![Look::Seen(Reconciliation { buckets: 24, ..Reconciliation::default() })],
        values: CLASSES.iter().map(|_| vec![round_trip()]).collect(),
        statements: Statements::new(),
    }
}

/// The rights of the contract's only role.
fn rights() -> serde_json::Value {
    let grant = |grantee: Option<&str>, privileges: &[&str]| json!({ "grantee": grantee, "column": null, "privileges": privileges, "grantable": [] });
    let object = |kind: &str, name: &str, grants: &[serde_json::Value]| {
        json!({ "kind": kind, "schema": (kind != "database").then_some("public"), "name": name,
            "arguments": (kind == "function").then_some("integer"), "owner": "owner",
            "grants": grants })
    };
    let (owner, writer) = (Some("owner"), Some("readings_writer"));
    json!({
        "roles": [{ "name": writer, "attributes": [], "member_of": ["pg_monitor"] }],
        "objects": [
            object("table", "readings", &[
                grant(owner, &["INSERT", "SELECT", "TRUNCATE"]),
                grant(writer, &["INSERT", "SELECT"]),
            ]),
            object("sequence", "numbers", &[grant(owner, &["USAGE"])]),
            object("function", "mend", &[grant(writer, &["EXECUTE"])]),
            object("schema", "public", &[grant(None, &["USAGE"]), grant(writer, &["USAGE"])]),
            object("database", "readings", &[grant(owner, &["CREATE"])]),
        ],
    })
}

fn query() -> QueryObservation {
    let facts = PlanFacts {
        indexes: ["readings_sensor_at".to_owned()].into(),
        scans: Vec::new(),
        parents: vec![Parent { table: "public.readings".to_owned(), read: 1, children: 3 }],
    };
    let run = HostileRun { parameter: 1, text: "'", rows: Ok(0) };
    QueryObservation {
        signature: Ok(Signature {
            parameters: vec!["text".to_owned()],
            results: vec![
                ("at".to_owned(), "timestamp with time zone".to_owned()),
                ("value".to_owned(), "numeric(10,6)".to_owned()),
            ],
        }),
        plan: Look::Seen(facts),
        run: Look::Seen(Run { rows: 1, nulls: vec![0, 0] }),
        hostile: Look::Seen(vec![run]),
    }
}

fn data() -> DataObservation {
    let contract = contract();
    let values = Values {
        looked_at: 1_000,
        estimate: None,
        wrong: 0,
        examples: Vec::new(),
        listing: String::new(),
    };
    DataObservation {
        clauses: data_clauses(&contract)
            .iter()
            .map(|clause| (clause.id(), Look::Seen(values.clone())))
            .collect(),
        scans: BTreeMap::new(),
        formats: vec![Look::Seen(vec![true, false])],
    }
}

fn round_trip() -> RoundTrip {
    RoundTrip { sent: "'".to_owned(), expected: None, kept: true, answer: "'".to_owned() }
}

/// The table `readings` of an observation, to break it.
pub(super) fn readings(observation: &mut Observation) -> &mut Relation {
    &mut observation.snapshot.relations[0]
}

/// The ids of the claims of that status after a change to the observation.
fn after(status: Status, change: impl FnOnce(&mut Observation)) -> Vec<String> {
    let contract = contract();
    let mut observation = observation();
    change(&mut observation);
    let evidence = super::examine(&contract, &observation);
    super::plan(&contract)
        .iter()
        .filter(|claim| {
            let own = evidence.iter().find(|evidence| evidence.claim == claim.id);
            judge(claim, own).status == status
        })
        .map(|claim| claim.id.clone())
        .collect()
}

/// The ids of all claims that a change refutes.
pub(super) fn refuted(change: impl FnOnce(&mut Observation)) -> Vec<String> {
    after(Status::Refuted, change)
}

/// The ids of all claims that a change leaves without an answer.
pub(super) fn unproven(change: impl FnOnce(&mut Observation)) -> Vec<String> {
    after(Status::Unproven, change)
}

/// The remedies for one claim after a change.
pub(super) fn remedies(claim: &str, change: impl FnOnce(&mut Observation)) -> Vec<String> {
    let mut observation = observation();
    change(&mut observation);
    let evidence = super::examine(&contract(), &observation);
    let own = evidence.into_iter().find(|evidence| evidence.claim == claim).unwrap();
    match own.outcome {
        Outcome::Compared { findings, .. } | Outcome::Counted { findings, .. } => {
            findings.into_iter().filter_map(|finding| finding.remedy).collect()
        }
        other => panic!("{claim}: {other:?}"),
    }
}
