//! `dbready contract init` on servers that remember their statements: queries that were observed become
//! queries of the contract, proven where they come from, and nothing that may be a secret.

use std::fs;
use std::path::Path;

use pg_local::testing::TestDatabase;
use pg_local::{Cluster, Profile, Runtime, Shutdown};
use toml::{Table, Value};

use crate::init::{holds, init};
use crate::processes::wait_until;
use crate::support::{CANARY, dbready, entries, open_folder, with_credentials};
use crate::watch::Watching;

/// A server that remembers statements, and a database with a workload behind it.
fn observed() -> (Cluster, String) {
    let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
    let mut cluster = Cluster::temporary(&runtime, Profile::Fast).unwrap();
    let libraries = "timescaledb,pg_stat_statements";
    cluster.configure(&[("shared_preload_libraries", libraries)]).unwrap();
    cluster.stop(Shutdown::Fast).unwrap();
    cluster.start().unwrap();
    cluster.run_sql("postgres", "CREATE DATABASE service").unwrap();
    let run = |sql: &str| cluster.run_sql("service", sql).unwrap();
    run(include_str!("init/service.sql"));
    include_str!("init/workload.sql").lines().for_each(|sql| drop(run(sql)));
    let url = cluster.url("service");
    (cluster, url)
}

fn queries(contract: &Path) -> Vec<Table> {
    let document = fs::read_to_string(contract.join("contract.toml")).unwrap();
    let document: Table = toml::from_str(&document).unwrap();
    let queries = document.get("query").and_then(Value::as_array).cloned().unwrap_or_default();
    queries.into_iter().map(|one| one.as_table().unwrap().clone()).collect()
}

/// Every text of the contract directory.
fn texts(contract: &Path) -> String {
    let mut all = fs::read_to_string(contract.join("contract.toml")).unwrap();
    for folder in ["queries", "migrations"] {
        for file in entries(&contract.join(folder)) {
            all += &fs::read_to_string(contract.join(folder).join(file)).unwrap();
        }
    }
    all
}

#[test]
fn observed_queries_are_proven_where_they_come_from() {
    let (cluster, url) = observed();
    let folder = open_folder();
    let out = folder.path().join("contract");
    init(&url, &out, &["--schema", "public", "--schema", "audit"]).exits(0).prints(&[
        ": 3 tables and 10 queries of ",
        "queries: 1 statements that hold constants, which pg_stat_statements did not replace",
        " statements that are not prepared by the server",
        " statements that use no table of these schemas",
        "queries: 2 statements that use other schemas or foreign tables",
        "queries: 1 statements that return columns without a name, of one name",
        "queries: 2 statements that cannot be a part of another statement",
    ]);
    assert!(!texts(&out).contains(CANARY));
    let queries = queries(&out);
    let named = |start: &str| {
        let found: Vec<&Table> =
            queries.iter().filter(|one| one["name"].as_str().unwrap().starts_with(start)).collect();
        assert_eq!(found.len(), 1, "{start}: {queries:#?}");
        (found[0], fs::read_to_string(out.join(found[0]["file"].as_str().unwrap())).unwrap())
    };
    let latest = queries.iter().find(|one| {
        let text = fs::read_to_string(out.join(one["file"].as_str().unwrap())).unwrap();
        text == "SELECT id, placed FROM orders WHERE customer = $1 ORDER BY 2 DESC LIMIT $2\n"
    });
    let latest = latest.expect("one text for both constants");
    let types = |key: &str| -> Vec<String> {
        let all = latest[key].as_array().unwrap().iter();
        all.map(|one| one["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types("parameter"), ["text", "bigint"]);
    assert_eq!(types("result"), ["bigint", "timestamp with time zone"]);
    let limit = |key: &str| latest["sla"][key].to_string().parse::<f64>().unwrap();
    assert!(limit("p95_ms") > 0.0 && limit("per_second") > 0.0, "{latest:#?}");
    let (update, text) = named("update_Gr");
    assert_eq!(text, "UPDATE \"Größe\" SET \"a \"\"b\"\"\" = $1 WHERE id = $2\n");
    assert_eq!(update.get("result"), None);
    assert_eq!(named("insert_Gr").0["result"][1]["name"].as_str(), Some("a \"b\""));
    assert_eq!(named("delete_log_").0["meaning"].as_str(), Some("delete of audit.log"));

    // The same statements have the same names, and are the same whoever looks.
    let again = folder.path().join("again");
    init(&url, &again, &["--schema", "public", "--schema", "audit"]).exits(0);
    assert_eq!(entries(&out.join("queries")), entries(&again.join("queries")));

    assert!(holds(&url, &out) > 180);

    // What the examiner asks of tables is no query of the service.
    let document = out.join("contract.toml");
    let text = fs::read_to_string(&document).unwrap();
    fs::write(&document, text + "\n[timestamps]\ncolumns = [\"orders.placed\"]\n").unwrap();
    let wrong = "DO 'BEGIN UPDATE orders SET placed = ''infinity'' WHERE id = 1; END'";
    cluster.run_sql("service", wrong).unwrap();
    dbready(&["check", "--contract", out.to_str().unwrap(), "--url", &url]).exits(1);
    let examined = folder.path().join("examined");
    init(&url, &examined, &["--schema", "public", "--schema", "audit"]).exits(0);
    assert_eq!(entries(&out.join("queries")), entries(&examined.join("queries")));
    cluster.run_sql("service", "ALTER TABLE orders RENAME placed TO bought").unwrap();
    let check = ["check", "--contract", out.to_str().unwrap(), "--url", &url, "--format", "json"];
    let certificate = dbready(&check).exits(1).json();
    let claim = format!("query.{}.prepares", latest["name"].as_str().unwrap());
    let claims = certificate["claims"].as_array().unwrap();
    assert_eq!(claims.iter().find(|one| one["id"] == *claim).unwrap()["status"], "refuted");
}

#[test]
fn the_costly_ones_are_written_and_the_rest_is_counted() {
    let (cluster, _) = observed();
    cluster.run_sql("postgres", "CREATE DATABASE many").unwrap();
    let run = |sql: &str| cluster.run_sql("many", sql).unwrap();
    run("CREATE EXTENSION pg_stat_statements; CREATE TABLE orders (id bigint)");
    let either = " OR id = 0";
    let one = |n: usize| format!("SELECT id FROM orders WHERE id = 0{}", either.repeat(n));
    run(&(0..53).map(one).collect::<Vec<_>>().join(";"));
    run(&format!("SELECT id FROM orders WHERE id IS NULL{}", " OR id IS NULL".repeat(5_000)));
    let folder = open_folder();
    let out = folder.path().join("contract");
    init(&cluster.url("many"), &out, &[]).exits(0).prints(&[
        ": 1 tables and 50 queries of ",
        "queries: 1 statements that are longer than 64 kB",
        "queries: 3 statements with less time in total than the 50 that are written",
    ]);

    // The texts of other roles are hidden from one that may not see them.
    cluster.run_sql("postgres", &format!("CREATE ROLE reader LOGIN PASSWORD '{CANARY}'")).unwrap();
    let url = with_credentials(&cluster.url("many"), &format!("reader:{CANARY}"));
    let hidden = folder.path().join("hidden");
    init(&url, &hidden, &[]).exits(0).prints(&[
        ": 1 tables of ",
        " statements of other roles are hidden from this one; grant it pg_read_all_stats",
    ]);
    assert!(queries(&hidden).is_empty());
    run("REVOKE SELECT ON pg_stat_statements FROM PUBLIC");
    let denied = folder.path().join("denied");
    init(&url, &denied, &[])
        .exits(0)
        .prints(&["pg_stat_statements cannot be read: ", "; grant this role pg_read_all_stats"]);
}

#[test]
fn a_server_that_remembers_nothing_is_told_what_to_do() {
    let database = TestDatabase::empty().unwrap();
    database.run_sql("CREATE TABLE notes (id integer)").unwrap();
    let folder = open_folder();
    let init = |name: &str| init(database.url(), &folder.path().join(name), &[]).exits(0);
    init("none").prints(&[
        ": 1 tables of ",
        "left out  queries: pg_stat_statements is not installed; CREATE EXTENSION",
    ]);
    database.run_sql("CREATE EXTENSION pg_stat_statements").unwrap();
    let remedy = "; add it to shared_preload_libraries and start the server anew";
    init("idle").prints(&[
        ": 1 tables of ",
        "queries: pg_stat_statements cannot be read: ",
        remedy,
    ]);
    assert!(holds(database.url(), &folder.path().join("idle")) > 10);
}

#[test]
fn a_watch_publishes_how_long_the_calls_took() {
    let (_cluster, url) = observed();
    let watching = Watching::of(&url);
    wait_until(
        || format!("times of calls: {:#}", watching.state()),
        || watching.ask("/metrics").1.contains("\ndbready_query_p95_seconds "),
    );
}
