//! What is no sabotage: an untouched database, what extensions bring, a migration in flight.

use std::time::Duration;

use dbready::Error;
use dbready::catalog::{self, Lock, Observation};
use dbready::sql::MIGRATION_LOCK;
use dbready::verdict::Status;

use pg_local::testing::TestDatabase;

use crate::support::{connect, contract, database, ids, judge_all, observe, run};

#[test]
fn an_untouched_database_refutes_nothing() {
    let database = database();
    let judgements = judge_all(&run(observe(database.url())));
    assert!(ids(&judgements, Status::Refuted).is_empty(), "{judgements:#?}");
    // On the Apache edition what needs Community is left, and nothing else.
    let left = ids(&judgements, Status::Unproven);
    let community = |id: &&str| id.contains(".policy.") || *id == "schema.signal_greeks_hourly";
    let other: Vec<&str> = left.into_iter().filter(|id| !community(id)).collect();
    assert_eq!(other, [""; 0]);
}

#[test]
fn what_extensions_bring_is_no_drift() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        // A view and functions, operators and types, all in the schema `public`.
        let brought = "CREATE EXTENSION pg_buffercache; CREATE EXTENSION hstore";
        client.batch_execute(brought).await.unwrap();
        let judgements = judge_all(&observe(database.url()).await);
        assert!(ids(&judgements, Status::Refuted).is_empty(), "{judgements:#?}");
    });
}

#[test]
fn chunks_in_the_contracts_own_schema_are_no_drift() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        let notes = "CREATE TABLE notes (at timestamptz NOT NULL);
            SELECT create_hypertable('notes', 'at', associated_schema_name => 'public',
                associated_table_prefix => 'piece');
            INSERT INTO notes SELECT now() + n * INTERVAL '30 days' FROM generate_series(1, 3) n";
        client.batch_execute(notes).await.unwrap();
        let observation = observe(database.url()).await;
        let names = observation.snapshot.relations.iter().map(|relation| relation.name.as_str());
        let pieces: Vec<&str> = names.filter(|name| name.starts_with("piece")).collect();
        assert_eq!(pieces, [""; 0]);
    });
}

#[test]
fn a_migration_in_flight_refutes_nothing() {
    let database = database();
    run(async {
        let migrating = connect(database.url()).await;
        migrating.batch_execute("ALTER TABLE signal_greeks DROP COLUMN rho").await.unwrap();
        let take = "SELECT pg_advisory_lock($1)";
        migrating.execute(take, &[&MIGRATION_LOCK]).await.unwrap();
        let mut client = connect(database.url()).await;
        let hasty =
            catalog::Options { lock_wait: Duration::from_millis(120), ..Default::default() };
        let seen = catalog::observe(&mut client, contract(), &hasty).await.unwrap();
        assert!(matches!(seen.lock, Lock::Busy { .. }), "{:?}", seen.lock);
        let judgements = judge_all(&seen);
        assert!(ids(&judgements, Status::Refuted).is_empty(), "{judgements:#?}");
        let unproven = ids(&judgements, Status::Unproven);
        assert!(unproven.contains(&"schema.signal_greeks.column.rho"), "{unproven:?}");
        assert!(unproven.contains(&"drift.tables"), "{unproven:?}");
        assert!(unproven.contains(&"migration.version"), "{unproven:?}");
        // The lock freed, the same look sees the missing column.
        drop(migrating);
        let judgements = judge_all(&observe(database.url()).await);
        let refuted = ids(&judgements, Status::Refuted);
        assert!(refuted.contains(&"schema.signal_greeks.column.rho"), "{refuted:?}");
    });
}

#[test]
fn two_examinations_share_the_lock_and_none_keeps_it() {
    let database = database();
    run(async {
        let other = connect(database.url()).await;
        let take = "SELECT pg_advisory_lock_shared($1)";
        other.execute(take, &[&MIGRATION_LOCK]).await.unwrap();
        let mut client = connect(database.url()).await;
        let options = catalog::Options::default();
        let seen = catalog::observe(&mut client, contract(), &options).await.unwrap();
        assert_eq!(seen.lock, Lock::Held);
        let held =
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
        let held: i64 = client.query_one(held, &[]).await.unwrap().get(0);
        assert_eq!(held, 0);
    });
}

/// Makes a role of this name, observes as that role, and removes it.
async fn observe_as_stranger(url: &str, name: &str, rights: &str) -> Observation {
    let mut client = connect(url).await;
    let make = format!("CREATE ROLE {name}; {rights}; SET ROLE {name}");
    client.batch_execute(&make).await.unwrap();
    let options = catalog::Options::default();
    let seen = catalog::observe(&mut client, contract(), &options).await;
    let remove = format!("RESET ROLE; DROP OWNED BY {name}; DROP ROLE {name}");
    client.batch_execute(&remove).await.unwrap();
    seen.unwrap()
}

#[test]
fn a_role_without_rights_sees_the_schema_but_not_the_versions() {
    let database = database();
    run(async {
        let role = format!("{}_stranger", database.name());
        let judgements = judge_all(&observe_as_stranger(database.url(), &role, "SELECT 1").await);
        assert!(ids(&judgements, Status::Refuted).is_empty(), "{judgements:#?}");
        assert_eq!(judgements["schema.signal_greeks.column.rho"].status, Status::Proven);
        let version = &judgements["migration.version"];
        assert_eq!(version.status, Status::Unproven);
        let reason = version.reason.as_deref().unwrap_or_default();
        assert!(reason.contains("grant it SELECT"), "{reason}");
    });
}

#[test]
fn versions_that_row_security_hides_are_not_taken_for_missing() {
    let database = database();
    run(async {
        let role = format!("{}_stranger", database.name());
        let rights = format!(
            "GRANT SELECT ON schema_version TO {role}; \
             ALTER TABLE schema_version ENABLE ROW LEVEL SECURITY"
        );
        let judgements = judge_all(&observe_as_stranger(database.url(), &role, &rights).await);
        assert_eq!(judgements["migration.version"].status, Status::Unproven);
        let refuted = ids(&judgements, Status::Refuted);
        assert_eq!(refuted, ["schema.schema_version.row_security"]);
    });
}

#[test]
fn an_empty_database_without_timescaledb_is_refuted_by_name() {
    let database = TestDatabase::empty().unwrap();
    let judgements = judge_all(&run(observe(database.url())));
    let tables = contract().model.tables.iter().map(|table| format!("schema.{}", table.name));
    // Time and locks are there without any table.
    let free = ["cleanup_lock", "server_time"];
    let queries = contract().model.queries.iter().filter(|query| !free.contains(&&*query.name));
    let queries = queries.map(|query| format!("query.{}.prepares", query.name));
    // Whether the server has the roles or not, they have no rights here.
    let roles = contract().model.roles.iter().map(|role| format!("role.{}", role.name));
    let mut expected: Vec<String> = tables.chain(queries).chain(roles).collect();
    expected.extend(["migration.version", "server.extension.timescaledb"].map(str::to_owned));
    expected.sort();
    assert_eq!(ids(&judgements, Status::Refuted), expected);
}

#[test]
fn a_connection_lost_midway_is_an_error_and_no_evidence() {
    let database = database();
    run(async {
        let other = connect(database.url()).await;
        other.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await.unwrap();
        let mut client = connect(database.url()).await;
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let patient = catalog::Options { lock_wait: Duration::from_mins(1), ..Default::default() };
        let looking = catalog::observe(&mut client, contract(), &patient);
        let killing = async {
            // Only once the examination has asked for the lock.
            let asked =
                "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%advisory%'";
            while other.query_one(asked, &[&pid]).await.unwrap().get::<_, i64>(0) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            other.execute("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
        };
        let (seen, ()) = tokio::join!(looking, killing);
        assert!(matches!(seen, Err(Error::Database(_))), "{seen:?}");
    });
}

/// The Apache edition has no policies and no continuous aggregates, but the catalogs in which the
/// Community edition keeps them: written by hand, they are read as that edition would have them.
#[test]
fn policies_and_aggregates_are_read_from_the_catalogs() {
    let database = database();
    run(async {
        let client = connect(database.url()).await;
        client.batch_execute(COMMUNITY).await.unwrap();
        let seen = observe(database.url()).await.snapshot;
        let policies: Vec<(&str, &str, i64, Option<i64>, bool)> = seen
            .timescaledb
            .iter()
            .flat_map(|known| &known.policies)
            .map(|policy| {
                let (procedure, relation) = (policy.procedure.as_str(), policy.relation.as_str());
                let after = policy.after_seconds;
                (procedure, relation, policy.every_seconds, after, policy.scheduled)
            })
            .collect();
        assert_eq!(
            policies,
            [
                ("policy_retention", "signal_greeks", 86_400, Some(90 * 86_400), true),
                ("policy_compression", "signal_greeks", 43_200, Some(7 * 86_400), false),
                ("policy_refresh_continuous_aggregate", "hourly", 1_800, None, true),
            ]
        );
        let hypertable = seen.hypertable("public", "signal_greeks").unwrap();
        let settings = hypertable.compression.as_ref().unwrap();
        assert_eq!(settings.segment_by, ["instrument_key"]);
        assert_eq!(settings.order_by, ["timestamp DESC", "id NULLS FIRST"]);
        let hourly = seen.continuous_aggregate("public", "hourly").unwrap();
        assert_eq!(hourly.source, "signal_greeks");
        assert_eq!(hourly.bucket_seconds, Some(3_600));
        assert!(hourly.materialized_only);
    });
}

const COMMUNITY: &str = r#"
    CREATE VIEW hourly AS SELECT 1 AS bucket;
    INSERT INTO _timescaledb_catalog.continuous_agg
        (mat_hypertable_id, raw_hypertable_id, user_view_schema, user_view_name,
         partial_view_schema, partial_view_name, direct_view_schema, direct_view_name,
         materialized_only)
    SELECT other.id, greeks.id, 'public', 'hourly', 'a', 'b', 'c', 'd', true
    FROM _timescaledb_catalog.hypertable greeks, _timescaledb_catalog.hypertable other
    WHERE greeks.table_name = 'signal_greeks' AND other.table_name = 'signal_indicators';
    INSERT INTO _timescaledb_catalog.continuous_aggs_bucket_function
        (mat_hypertable_id, bucket_func, bucket_width, bucket_fixed_width)
    SELECT mat_hypertable_id, 'public.time_bucket(interval,timestamp with time zone)', '01:00:00', true
    FROM _timescaledb_catalog.continuous_agg;
    UPDATE _timescaledb_catalog.hypertable SET compression_state = 1
    WHERE table_name = 'signal_greeks';
    INSERT INTO _timescaledb_catalog.compression_settings
        (relid, segmentby, orderby, orderby_desc, orderby_nullsfirst)
    VALUES ('signal_greeks'::regclass, '{instrument_key}', '{timestamp,id}', '{t,f}', '{t,t}');
    INSERT INTO _timescaledb_config.bgw_job
        (id, application_name, schedule_interval, max_runtime, max_retries, retry_period,
         proc_schema, proc_name, scheduled, hypertable_id, config)
    SELECT 2000 + n, 'by hand', every, '0', -1, '1 hour', '_timescaledb_functions', procedure,
        scheduled, hypertable, config || jsonb_build_object(key, hypertable)
    FROM (
        SELECT *, CASE WHEN n = 3 THEN 'mat_hypertable_id' ELSE 'hypertable_id' END AS key,
            (SELECT id FROM _timescaledb_catalog.hypertable
             WHERE table_name = CASE WHEN n = 3 THEN 'signal_indicators' ELSE 'signal_greeks' END)
                AS hypertable
        FROM (VALUES
            (1, INTERVAL '1 day', 'policy_retention', true, '{"drop_after": "90 days"}'::jsonb),
            (2, '12 hours', 'policy_compression', false, '{"compress_after": "7 days"}'),
            (3, '30 minutes', 'policy_refresh_continuous_aggregate', true, '{"end_offset": null}')
        ) job(n, every, procedure, scheduled, config)
    ) job;
"#;
