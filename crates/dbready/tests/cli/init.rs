//! `dbready contract init`: what it writes passes lint, is proven on the database that it came from,
//! and every claim of it can be broken.

use std::fs;
use std::path::Path;
use std::process::Command;

use pg_local::Runtime;
use pg_local::testing::TestDatabase;

use crate::support::{Ran, dbready, entries, open_folder};

pub(crate) fn init(url: &str, out: &Path, more: &[&str]) -> Ran {
    let out = out.to_str().unwrap();
    let base = ["contract", "init", "--url", url, "--name", "drafted", "--out", out];
    dbready(&[&base[..], more].concat())
}

/// The draft is sound, proven on its own database, and noticed when broken on a twin; gives the number
/// of sabotages.
pub(crate) fn holds(url: &str, contract: &Path) -> u64 {
    let directory = contract.to_str().unwrap();
    dbready(&["contract", "lint", directory]).exits(0);
    let check = ["check", "--contract", directory, "--url", url, "--format", "json"];
    let certificate = dbready(&check).exits(0).json();
    for claim in certificate["claims"].as_array().unwrap() {
        assert_eq!(claim["status"], "proven", "{claim:#}");
    }
    let report = dbready(&["prove", "--contract", directory, "--format", "json"]).exits(0).json();
    assert_eq!((&report["missed"], &report["collateral"]), (&0.into(), &0.into()));
    assert_eq!(report["claims_without_sabotage"], 0, "{report:#}");
    report["sabotages"].as_u64().unwrap()
}

#[test]
fn what_real_schemas_contain_is_claimed_or_left_out_by_name() {
    let database = TestDatabase::empty().unwrap();
    database.run_sql(include_str!("init/shop.sql")).unwrap();
    let folder = open_folder();
    let out = folder.path().join("contract");
    init(database.url(), &out, &["--schema", "public", "--schema", "audit"]).exits(0).prints(&[
        ": 12 tables of ",
        "left out  public.computed: options of columns b: not in the migration",
        "left out  public.computed: replica identity full: not in the migration",
        "left out  public.far: a foreign table",
        "left out  public.near: it reads a foreign table: not in the migration",
        "left out  public.nearer: it reads a foreign table: not in the migration",
        "left out  public.ruled: a rule, or a trigger that is switched off",
        "left out  schemas other: `--schema` names what is described",
        "left out  public.dotted: a name with a dot or a control character",
    ]);
    let document = fs::read_to_string(out.join("contract.toml")).unwrap();
    for part in [
        "name = \"Größe\"",
        "schema = \"audit\"",
        "meaning = \"who stayed when\"",
        "meaning = \"number of the \\\"room\\\"\"",
        "views = [\"audit.counts\", \"dear\", \"near\", \"nearer\"]",
        "functions = [\"audit.note\", \"doubled\", \"visit\",",
        "meaning = \"barks;\\nand   bites\"",
        "partition_by = \"RANGE (at)\"",
        "partition_by = \"LIST (lower(country))\"",
        "unlogged = true",
        "definition = \"CHECK (text <> ''::text) NOT VALID\"",
        "name = \"with \\\"space\\\"\"",
        "tables = [\"dotted\", \"far\", \"ruled\"]",
        "generated = \"(a * 2)\"",
        "unique = true, include = [\"a\", \"note\"], nulls_not_distinct = true",
        "trigger = [\n    { name = \"noted\", meaning = \"noted\" },\n]",
        "row_security = true",
        "definition = \"EXCLUDE USING gist (during WITH &&)\"",
    ] {
        assert!(document.contains(part), "{part} in {document}");
    }
    let migration = fs::read_to_string(out.join("migrations/1.0.0_baseline.up.sql")).unwrap();
    for part in [
        "ALTER TABLE public.cache SET (fillfactor = '80');",
        "ALTER TABLE public.cache SET (toast.autovacuum_enabled = 'false');",
        "GRANT SELECT ON TABLE public.cache TO PUBLIC;",
        "GRANT UPDATE (value) ON TABLE public.cache TO PUBLIC;",
        "REVOKE EXECUTE ON ROUTINE doubled(integer) FROM PUBLIC;",
        "CREATE POLICY own_lines ON audit.log AS PERMISSIVE FOR ALL TO PUBLIC USING ((size > 0));",
        "CREATE STATISTICS public.computed_ab ON a, b FROM computed;",
        "ALTER TABLE public.computed ALTER COLUMN a SET STATISTICS 500;",
        "CREATE UNIQUE INDEX counts_kind ON audit.counts USING btree (kind);",
        "ALTER TABLE public.ruled DISABLE RULE quiet;",
        "ALTER TABLE public.ruled ENABLE REPLICA TRIGGER elsewhere;",
        "COMMENT ON INDEX public.stay_size IS 'for \"size\"';",
        "COMMENT ON CONSTRAINT positive_check ON DOMAIN public.positive IS 'more than nothing';",
        "COMMENT ON CONSTRAINT stay_once on public.stay IS 'one at a time';",
        "COMMENT ON FUNCTION public.doubled(integer) IS 'twice';",
        "COMMENT ON POLICY own_lines on audit.log IS 'own';",
        "COMMENT ON SCHEMA audit IS 'who did what';",
        "COMMENT ON TYPE public.mood IS 'how it feels';",
        "COMMENT ON VIEW public.dear IS 'dear ones';",
        "COMMENT ON MATERIALIZED VIEW audit.counts IS 'how many';",
        "COMMENT ON TRIGGER \"said $1\" on public.\"with \"\"space\"\"\" IS 'said';",
        "COMMENT ON COLUMN public.stay.room IS 'number of the \"room\"';",
        "ALTER TABLE measured ATTACH PARTITION public.measured_rest DEFAULT;",
    ] {
        assert!(migration.contains(part), "{part} in {migration}");
    }
    assert!(holds(database.url(), &out) > 500);
}

#[test]
fn hypertables_are_claimed_with_their_chunks() {
    let database = TestDatabase::with_timescaledb().unwrap();
    database.run_sql(include_str!("init/devops.sql")).unwrap();
    let by_number = "CREATE TABLE step (n bigint NOT NULL, host integer);
        SELECT create_hypertable('step', by_range('n', 1000))";
    database.run_sql(by_number).unwrap();
    let folder = open_folder();
    let out = folder.path().join("contract");
    let left = "left out  public.step: a hypertable whose chunks are not whole seconds of time";
    init(database.url(), &out, &[]).exits(0).prints(&[": 3 tables of ", left]);
    let document = fs::read_to_string(out.join("contract.toml")).unwrap();
    let hypertable = "hypertable = { time_column = \"time\", chunk_interval = \"8 hours\" }";
    assert!(document.contains(hypertable), "{document}");
    assert!(holds(database.url(), &out) > 250);
}

#[test]
fn the_tables_of_pgbench() {
    let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
    let database = TestDatabase::empty().unwrap();
    let mut pgbench = Command::new(runtime.bin().join("pgbench"));
    let made = pgbench.args(["-i", "-q", "--foreign-keys", database.url()]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let folder = open_folder();
    let out = folder.path().join("contract");
    init(database.url(), &out, &[]).exits(0).prints(&[": 4 tables of "]);
    assert!(holds(database.url(), &out) > 200);
}

/// A database that was there before its contract takes the next migration, once the first is recorded.
#[test]
fn a_database_is_adopted_and_migrated_further() {
    let database = TestDatabase::empty().unwrap();
    database
        .run_sql("CREATE TABLE notes (id integer PRIMARY KEY); INSERT INTO notes VALUES (7)")
        .unwrap();
    let folder = open_folder();
    let out = folder.path().join("contract");
    init(database.url(), &out, &[]).exits(0);
    let directory = out.to_str().unwrap();
    let up = ["migrate", "up", "--contract", directory, "--url", database.url()];
    dbready(&up).exits(2).says(&["already exists", "rolled back"]);
    dbready(&[&up[..], &["--adopt"]].concat()).exits(0).says(&["adopted 1.0.0"]);
    dbready(&up).exits(0).prints(&["nothing to do"]);
    let next = "-- version: 1.1.0\n-- description: remarks\n-- breaking: no\n\
        ALTER TABLE notes ADD COLUMN remark text;\n";
    fs::write(out.join("migrations/1.1.0_remark.up.sql"), next).unwrap();
    let back = "ALTER TABLE notes DROP COLUMN remark;\n";
    fs::write(out.join("migrations/1.1.0_remark.down.sql"), back).unwrap();
    let path = out.join("contract.toml");
    let document = fs::read_to_string(&path).unwrap();
    let changed = document.replace("version = \"1.0.0\"", "version = \"1.1.0\"").replace(
        "column = [\n",
        "column = [\n    { name = \"remark\", type = \"text\", nullable = true, meaning = \"remark\", since = \"1.1.0\" },\n",
    );
    fs::write(&path, changed).unwrap();
    dbready(&up).exits(0).prints(&["applied 1.1.0"]);
    dbready(&["check", "--contract", directory, "--url", database.url()]).exits(0);
    assert_eq!(database.run_sql("SELECT id, remark FROM notes").unwrap().trim(), "7|");
}

#[test]
fn nothing_is_overwritten() {
    let database = TestDatabase::empty().unwrap();
    database.run_sql("CREATE TABLE notes (id integer)").unwrap();
    let folder = open_folder();
    fs::write(folder.path().join("mine"), "mine").unwrap();
    init(database.url(), folder.path(), &[])
        .exits(2)
        .says_in_one_line(&["expected an empty folder or none", "nothing is overwritten"]);
    assert_eq!(entries(folder.path()), ["mine"]);
}

#[test]
fn schemas_that_are_not_there_or_hold_no_table_are_refused() {
    let database = TestDatabase::empty().unwrap();
    let folder = open_folder();
    let out = folder.path().join("contract");
    init(database.url(), &out, &["--schema", "shop"])
        .exits(2)
        .says_in_one_line(&["--schema: expected a schema of the database (public), found shop"]);
    init(database.url(), &out, &[]).exits(2).says_in_one_line(&["expected a table in public"]);
    assert_eq!(entries(folder.path()), [""; 0]);
}
