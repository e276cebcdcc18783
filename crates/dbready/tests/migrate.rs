//! Migrations on a real server: applied once, rolled back, refused.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use dbready::check;
use dbready::claim::Claim;
use dbready::contract::{Contract, parse, source};
use dbready::migrate::{self, Error, Options};
use dbready::seed::{self, seed};
use dbready::verdict::{Status, judge};
use pg_local::testing::TestDatabase;
use pg_local::{Cluster, Profile, Runtime};
use pg_session::{Config, Secret};
use semver::Version;
use tokio_postgres::Client;

async fn connect(database: &TestDatabase) -> Client {
    pg_session::connect(&Config::from_url(database.url()).unwrap()).await.unwrap()
}

async fn up(database: &TestDatabase, contract: &Contract) -> Result<Vec<Version>, Error> {
    migrate::up(&mut connect(database).await, contract, None, &Options::default(), &|_| ()).await
}

async fn down(
    database: &TestDatabase,
    contract: &Contract,
    to: Option<&str>,
) -> Result<Vec<Version>, Error> {
    let to = to.map(|to| Version::parse(to).unwrap());
    let mut client = connect(database).await;
    migrate::down(&mut client, contract, to.as_ref(), &Options::default(), &|_| ()).await
}

/// The contract's files with other migrations than its own.
fn contract_with(migrations: &[(&str, &str, &str)]) -> Contract {
    let last = migrations.last().unwrap().0;
    let document = format!(
        r#"
contract = 1
[service]
name = "small"
version = "{last}"
description = "a small contract"
[server]
postgresql = ">=15"
[[table]]
name = "schema_version"
meaning = "versions"
column = [{{ name = "version", type = "text", meaning = "version" }}]
[pool]
min = 0
max = 1
acquire_timeout_ms = 1
command_timeout_ms = 1
application_name = "small"
jit = false
reuse_percent = 1.0
alert_percent = 1.0
[transactions]
isolation = "read committed"
[versioning]
notice_days = 1
table = "schema_version"
breaking = []
compatible = []
[score]
refinement = [{{ name = "all", title = "All", weight = 1.0 }}]
area = [{{ name = "schema_integrity", title = "Schema", refinement = "all", weight = 1.0 }}]
[coverage]
percent = 100.0
modules = []
methods = []
"#
    );
    let mut files = BTreeMap::from([("contract.toml".to_owned(), document)]);
    for (version, up, down) in migrations {
        let header = format!("-- version: {version}\n-- description: step\n-- breaking: no\n");
        files.insert(format!("migrations/{version}_step.up.sql"), format!("{header}{up}"));
        files.insert(format!("migrations/{version}_step.down.sql"), (*down).to_owned());
    }
    parse(&files).unwrap_or_else(|error| panic!("{error}"))
}

const ONE: (&str, &str, &str) = (
    "1.0.0",
    "CREATE TABLE schema_version (version text); INSERT INTO schema_version VALUES ('1.0.0');",
    "DROP TABLE schema_version;",
);
const TWO: (&str, &str, &str) = (
    "2.0.0",
    "CREATE TABLE two (n int); INSERT INTO schema_version VALUES ('2.0.0');",
    "DROP TABLE two; DELETE FROM schema_version WHERE version = '2.0.0';",
);

fn tables(database: &TestDatabase) -> String {
    let names = "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY 1) FROM pg_tables \
                 WHERE schemaname IN ('public', 'dbready')";
    database.run_sql(names).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_embedded_contract_goes_up_down_and_up_again() {
    let contract = source::load(None).unwrap();
    let all = contract.migrations.len();
    let database = TestDatabase::with_timescaledb().unwrap();
    assert_eq!(up(&database, &contract).await.unwrap().len(), all);
    assert_eq!(up(&database, &contract).await.unwrap(), []);
    assert_eq!(down(&database, &contract, Some("1.0.0")).await.unwrap().len(), all - 1);
    assert_eq!(down(&database, &contract, None).await.unwrap().len(), 1);
    assert_eq!(tables(&database), "", "nothing is left after the last rollback");
    assert_eq!(up(&database, &contract).await.unwrap().len(), all);
}

#[tokio::test]
async fn the_seed_fills_an_empty_database_once_and_the_same_way() {
    let contract = source::load(None).unwrap();
    let database = TestDatabase::with_timescaledb().unwrap();
    up(&database, &contract).await.unwrap();
    let mut client = connect(&database).await;
    seed(&mut client, &contract, seed::Profile::Quick, 7).await.unwrap();
    let rows = database.run_sql("SELECT count(*) FROM signal_greeks").unwrap();
    assert_eq!(rows.trim(), "123750");
    let again =
        seed(&mut client, &contract, seed::Profile::Quick, 7).await.unwrap_err().to_string();
    assert!(again.contains("rows already"), "{again}");
    let digest = "SELECT md5(string_agg(delta::text || underlying_price, ',' ORDER BY id)) FROM signal_greeks";
    let first = database.run_sql(digest).unwrap();
    database.run_sql("TRUNCATE signal_greeks, signal_indicators, signal_moneyness_greeks, signal_custom_timeframes, signal_ingest_batch RESTART IDENTITY").unwrap();
    seed(&mut client, &contract, seed::Profile::Quick, 7).await.unwrap();
    assert_eq!(database.run_sql(digest).unwrap(), first);
    database.run_sql("TRUNCATE signal_greeks, signal_indicators, signal_moneyness_greeks, signal_custom_timeframes, signal_ingest_batch RESTART IDENTITY").unwrap();
    seed(&mut client, &contract, seed::Profile::Quick, 8).await.unwrap();
    assert_ne!(database.run_sql(digest).unwrap(), first);
}

#[tokio::test]
async fn status_reads_and_creates_nothing() {
    let contract = contract_with(&[ONE, TWO]);
    let database = TestDatabase::empty().unwrap();
    let status = migrate::status(&mut connect(&database).await, &contract).await.unwrap();
    assert_eq!((status.applied.len(), status.pending.len()), (0, 2));
    assert_eq!(tables(&database), "");
}

#[tokio::test]
async fn eight_runners_at_once_apply_each_migration_once() {
    let contract = contract_with(&[ONE, TWO]);
    let database = TestDatabase::empty().unwrap();
    let runs = (0..8).map(|_| up(&database, &contract));
    let applied = futures_util::future::join_all(runs).await;
    let counts = applied.into_iter().map(|one| one.unwrap().len());
    assert_eq!(counts.sum::<usize>(), 2);
    assert_eq!(database.run_sql("SELECT count(*) FROM schema_version").unwrap().trim(), "2");
}

#[tokio::test]
async fn a_runner_that_waits_too_long_names_the_holder() {
    let contract = contract_with(&[ONE]);
    let database = TestDatabase::empty().unwrap();
    let holder = connect(&database).await;
    let key = dbready::sql::MIGRATION_LOCK;
    holder.query_one("SELECT pg_advisory_lock($1)", &[&key]).await.unwrap();
    let options = Options { lock_wait: Duration::from_millis(300), ..Options::default() };
    let mut client = connect(&database).await;
    let error = migrate::up(&mut client, &contract, None, &options, &|_| ()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Locked { holders, .. } if holders.contains("process")),
        "{error}"
    );
}

#[tokio::test]
async fn a_failing_script_names_its_line_and_leaves_nothing() {
    let broken = ("2.0.0", "CREATE TABLE two (n int);\nSELECT 1 FROM nowhere;\n", TWO.2);
    let contract = contract_with(&[ONE, broken]);
    let database = TestDatabase::empty().unwrap();
    let error = up(&database, &contract).await.unwrap_err();
    let Error::Script { file, line, sqlstate, .. } = &error else { panic!("{error}") };
    // Three header lines come first.
    assert_eq!(
        (file.as_str(), *line, sqlstate.as_str()),
        ("migrations/2.0.0_step.up.sql", Some(5), "42P01")
    );
    assert_eq!(tables(&database), "dbready.migration public.schema_version");
    let status = migrate::status(&mut connect(&database).await, &contract).await.unwrap();
    assert_eq!((status.applied.len(), status.pending.len()), (1, 1));
}

#[tokio::test]
async fn a_script_cannot_leave_its_transaction() {
    for word in ["COMMIT", "ROLLBACK", "BEGIN", "COMMIT AND CHAIN"] {
        let sneaky = format!("CREATE TABLE sneaky (n int); {word}; {}", TWO.1);
        let contract = contract_with(&[ONE, ("2.0.0", &sneaky, TWO.2)]);
        let database = TestDatabase::empty().unwrap();
        let error = up(&database, &contract).await.unwrap_err();
        assert!(matches!(error, Error::Script { .. }), "{word}: {error}");
        assert_eq!(tables(&database), "dbready.migration public.schema_version", "{word}");
    }
}

#[tokio::test]
async fn a_script_that_does_not_record_its_version_is_rolled_back() {
    let silent = ("2.0.0", "CREATE TABLE two (n int);", TWO.2);
    let contract = contract_with(&[ONE, silent]);
    let database = TestDatabase::empty().unwrap();
    let error = up(&database, &contract).await.unwrap_err();
    assert!(matches!(error, Error::NoVersionRow { expected: "record", .. }), "{error}");
    assert_eq!(tables(&database), "dbready.migration public.schema_version");
    let deaf = ("2.0.0", TWO.1, "DROP TABLE two;");
    let contract = contract_with(&[ONE, deaf]);
    up(&database, &contract).await.unwrap();
    let error = down(&database, &contract, Some("1.0.0")).await.unwrap_err();
    assert!(matches!(error, Error::NoVersionRow { expected: "remove", .. }), "{error}");
    assert!(tables(&database).contains("public.two"));
}

#[track_caller]
fn assert_refused(outcome: Result<Vec<Version>, Error>, words: &str) {
    match outcome {
        Err(Error::Refused(problems)) => {
            assert!(problems.iter().any(|one| one.contains(words)), "{words}: {problems:?}");
        }
        other => panic!("expected a refusal with `{words}`, found {other:?}"),
    }
}

#[tokio::test]
async fn files_that_do_not_fit_the_database_are_refused() {
    let database = TestDatabase::empty().unwrap();
    up(&database, &contract_with(&[ONE, TWO])).await.unwrap();
    let changed = ("2.0.0", "SELECT 1;", TWO.2);
    assert_refused(up(&database, &contract_with(&[ONE, changed])).await, "was changed after");
    assert_refused(down(&database, &contract_with(&[ONE, changed]), None).await, "was changed");
    assert_refused(up(&database, &contract_with(&[ONE])).await, "no migration for it");
    let late = ("1.5.0", "SELECT 1;", "SELECT 1;");
    assert_refused(up(&database, &contract_with(&[ONE, late, TWO])).await, "is older than");
    assert!(tables(&database).contains("public.two"), "a refusal changes nothing");
}

#[tokio::test]
async fn rows_that_do_not_fit_each_other_are_refused() {
    let contract = contract_with(&[ONE, TWO]);
    let database = TestDatabase::empty().unwrap();
    up(&database, &contract).await.unwrap();
    database.run_sql("INSERT INTO schema_version VALUES ('9.9.9')").unwrap();
    assert_refused(up(&database, &contract).await, "does not know");
    database.run_sql("DELETE FROM schema_version WHERE version <> '1.0.0'").unwrap();
    assert_refused(up(&database, &contract).await, "has no row for it");
}

#[tokio::test]
async fn a_database_made_without_the_runner_is_adopted_when_asked() {
    let contract = contract_with(&[ONE, TWO]);
    let database = TestDatabase::empty().unwrap();
    database.run_sql(ONE.1).unwrap();
    assert_refused(up(&database, &contract).await, "--adopt");
    let options = Options { adopt: true, ..Options::default() };
    let mut client = connect(&database).await;
    let applied = migrate::up(&mut client, &contract, None, &options, &|_| ()).await.unwrap();
    assert_eq!(applied, [Version::new(2, 0, 0)]);
}

#[tokio::test]
async fn a_runner_that_is_cut_off_leaves_nothing_and_frees_the_lock() {
    let slow = ("2.0.0", "CREATE TABLE two (n int); SELECT pg_sleep(60);", TWO.2);
    let contract = contract_with(&[ONE, slow]);
    let database = TestDatabase::empty().unwrap();
    let mut client = connect(&database).await;
    let options = Options::default();
    let run = migrate::up(&mut client, &contract, None, &options, &|_| ());
    let cut = async {
        let other = connect(&database).await;
        let find = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND wait_event = 'PgSleep'";
        while other.query(find, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (outcome, ()) = futures_util::future::join(run, cut).await;
    assert!(outcome.is_err());
    assert_eq!(tables(&database), "dbready.migration public.schema_version");
    up(&database, &contract_with(&[ONE, TWO])).await.unwrap();
}

#[tokio::test]
async fn an_unknown_target_is_refused_before_anything() {
    let contract = contract_with(&[ONE]);
    let database = TestDatabase::empty().unwrap();
    let error = down(&database, &contract, Some("3.0.0")).await.unwrap_err();
    assert!(matches!(error, Error::Target { .. }), "{error}");
    assert_eq!(tables(&database), "");
}

/// A server of its own: roles are the whole server's, and these must not be there at first.
struct Server(Cluster);

impl Server {
    fn start() -> Self {
        let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
        Self(Cluster::temporary(&runtime, Profile::Fast).unwrap())
    }

    fn run(&self, database: &str, sql: &str) -> String {
        self.0.run_sql(database, sql).unwrap().trim().to_owned()
    }

    /// A database with `TimescaleDB` that belongs to this role.
    fn database(&self, name: &str, owner: &str) {
        self.run("postgres", &format!("CREATE DATABASE {name} OWNER {owner}"));
        self.run(name, "CREATE EXTENSION timescaledb");
    }

    async fn connect(&self, database: &str, role: Option<&str>) -> Client {
        let config = Config::from_url(&self.0.url(database)).unwrap();
        let config = match role {
            Some(role) => config.with_user(role, Some(Secret::new("deploy"))),
            None => config,
        };
        pg_session::connect(&config).await.unwrap()
    }

    async fn up(&self, database: &str, role: Option<&str>) -> Result<Vec<Version>, Error> {
        let contract = source::load(None).unwrap();
        let mut client = self.connect(database, role).await;
        migrate::up(&mut client, &contract, None, &Options::default(), &|_| ()).await
    }

    async fn down(&self, database: &str, role: Option<&str>) -> Result<Vec<Version>, Error> {
        let contract = source::load(None).unwrap();
        let mut client = self.connect(database, role).await;
        migrate::down(&mut client, &contract, None, &Options::default(), &|_| ()).await
    }

    /// The claims about roles that are not proven, as whoever may only log in sees them.
    async fn open(&self, database: &str, role: &str) -> Vec<String> {
        let contract = source::load(None).unwrap();
        let mut client = self.connect(database, Some(role)).await;
        let options = dbready::catalog::Options::default();
        let seen = dbready::catalog::observe_catalog(&mut client, &contract, &options).await;
        let evidence = check::examine_catalog(&contract, &seen.unwrap());
        let claims = check::plan_of_catalog(&contract);
        let roles: Vec<_> = claims.iter().filter(|one| one.id.starts_with("role.")).collect();
        assert_eq!(roles.len(), 5);
        let status =
            |claim: &Claim| judge(claim, evidence.iter().find(|one| one.claim == claim.id)).status;
        let open = roles.into_iter().filter(|one| status(one) != Status::Proven);
        open.map(|one| one.id.clone()).collect()
    }
}

const ROLES: &str = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles \
                     WHERE rolname LIKE 'signal\\_%'";

#[tokio::test]
async fn whoever_may_make_no_roles_is_told_what_a_superuser_has_to_run() {
    let server = Server::start();
    server.run("postgres", "CREATE ROLE deploy LOGIN PASSWORD 'deploy'");
    server.database("signals", "deploy");
    let error = server.up("signals", Some("deploy")).await.unwrap_err();
    let Error::Script { file, sqlstate, message, .. } = &error else { panic!("{error}") };
    assert_eq!((file.as_str(), sqlstate.as_str()), ("migrations/1.4.0_roles.up.sql", "42501"));
    assert!(!error.is_usage());
    let (_, asked) = message.split_once("have a superuser run: ").unwrap();
    assert_eq!(asked.matches("CREATE ROLE signal_").count(), 4, "{message}");
    assert_eq!(server.run("postgres", ROLES), "", "nothing is left of it");
    assert_eq!(server.run("signals", "SELECT max(version) FROM schema_version"), "1.3.0");

    // What it asks for is enough.
    server.run("postgres", asked);
    let all = source::load(None).unwrap().migrations.len();
    assert_eq!(server.up("signals", Some("deploy")).await.unwrap().len(), all - 4);
    assert_eq!(server.open("signals", "deploy").await, [""; 0]);
    let insert = "INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\")
                  VALUES ('signal_20260101_000001', 'NSE@A@EQ', now())";
    server.run("signals", insert);
    assert_eq!(server.down("signals", Some("deploy")).await.unwrap().len(), all);

    // A role that may make roles needs nobody, but for the server's own role of monitors.
    server.run("postgres", "DROP ROLE signal_owner, signal_writer, signal_reader, signal_monitor");
    server.run("postgres", "ALTER ROLE deploy CREATEROLE");
    let error = server.up("signals", Some("deploy")).await.unwrap_err().to_string();
    assert!(error.contains("run: GRANT pg_monitor TO signal_monitor ("), "{error}");
    server.run("postgres", "GRANT pg_monitor TO deploy WITH ADMIN OPTION");
    assert_eq!(server.up("signals", Some("deploy")).await.unwrap().len(), all - 4);
    assert_eq!(server.open("signals", "deploy").await, [""; 0]);

    // Of a database of somebody else it is told before anything is done.
    server.database("others", "postgres");
    server.run("others", "GRANT CREATE ON DATABASE others TO deploy");
    server.run("others", "GRANT CREATE ON SCHEMA public TO deploy");
    let error = server.up("others", Some("deploy")).await.unwrap_err().to_string();
    assert!(error.contains("ALTER DATABASE others OWNER TO deploy"), "{error}");
}

#[tokio::test]
async fn many_databases_of_one_server_make_the_roles_at_once() {
    let server = Server::start();
    let count = source::load(None).unwrap().migrations.len();
    server.run("postgres", "CREATE ROLE looker LOGIN PASSWORD 'deploy'");
    let names: Vec<String> = (0..4).map(|number| format!("signals_{number}")).collect();
    for name in &names {
        server.database(name, "postgres");
    }
    for _ in 0..2 {
        let runs = names.iter().map(|name| server.up(name, None));
        for applied in futures_util::future::join_all(runs).await {
            assert_eq!(applied.unwrap().len(), count);
        }
        for name in &names {
            assert_eq!(server.open(name, "looker").await, [""; 0]);
        }
        // One goes back while the others need the roles, and then all do; the roles stay.
        assert_eq!(server.down(&names[0], None).await.unwrap().len(), count);
        assert_eq!(server.open(&names[1], "looker").await, [""; 0]);
        let runs = names[1..].iter().map(|name| server.down(name, None));
        for undone in futures_util::future::join_all(runs).await {
            assert_eq!(undone.unwrap().len(), count);
        }
        let all = "signal_monitor signal_owner signal_reader signal_writer";
        assert_eq!(server.run("postgres", ROLES), all);
    }
    // Nothing depends on them any more.
    server.run("postgres", "DROP ROLE signal_owner, signal_writer, signal_reader, signal_monitor");
}
