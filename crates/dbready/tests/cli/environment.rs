//! Servers that cannot be reached, refuse, lack something or go away: exit code 3 and one line.

use std::net::TcpListener;
use std::thread;

use pg_local::testing::TestDatabase;
use tempfile::TempDir;

use crate::proxy::Proxy;
use crate::support::{
    CANARY, Ran, dbready, entries, migrated, program, role, run, with_address, with_credentials,
};

/// The commands that need a server, on this URL; none of them may print or write a report.
fn every_command(url: &str) -> Vec<Ran> {
    let out = TempDir::new().unwrap();
    let folder = out.path().to_str().unwrap();
    let commands: [&[&str]; 7] = [
        &["check", "--url", url],
        &["check", "--format", "json", "--url", url],
        &["check", "--out", folder, "--url", url],
        &["certify", "--out", folder, "--url", url],
        &["migrate", "status", "--url", url],
        &["migrate", "up", "--url", url],
        &["migrate", "down", "--to", "none", "--yes", "--url", url],
    ];
    let ran = commands.map(dbready).into_iter().collect();
    assert_eq!(entries(out.path()), [""; 0], "a report of nothing");
    ran
}

#[track_caller]
fn every_command_says(url: &str, parts: &[&str]) {
    for ran in every_command(url) {
        ran.exits(3).says_in_one_line(parts);
    }
}

/// An address of the loopback interface on which nobody listens.
fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_text_that_is_no_database_url_is_told_without_repeating_it() {
    for url in [
        format!("mysql://u:{CANARY}@h/d"),
        format!("u:{CANARY}@h/d"),
        format!("postgres://u:{CANARY}@h:99999/d"),
        format!("postgres://u:p@{CANARY}@h/d"),
        format!("postgres://u@h:{CANARY}/d"),
        format!("postgres://u:%zz{CANARY}@h/d"),
        format!("postgres://u:p@h/d?passwort={CANARY}"),
        format!("postgres://u:p@h/d?{CANARY}"),
        String::new(),
    ] {
        dbready(&["check", "--url", &url]).exits(3).says_in_one_line(&["database URL: "]);
    }
    every_command_says(&format!("http://u:{CANARY}@h/d"), &["expected postgres://"]);
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    let address = closed_port();
    let url = format!("postgres://u:{CANARY}@{address}/d");
    every_command_says(&url, &[&format!("cannot connect to {address}"), "connection refused"]);
}

#[test]
fn an_unknown_host_is_named() {
    let url = format!("postgres://u:{CANARY}@host.invalid/d");
    dbready(&["check", "--url", &url])
        .exits(3)
        .says_in_one_line(&["cannot find host \"host.invalid\""]);
}

#[test]
fn another_kind_of_server_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            let _ = std::io::Write::write_all(&mut stream.unwrap(), answer);
        }
    });
    let url = format!("postgres://u:{CANARY}@{address}/d?sslmode=disable");
    dbready(&["check", "--url", &url])
        .exits(3)
        .says_in_one_line(&[&address, "is it a PostgreSQL server?"]);
}

#[test]
fn a_server_that_never_answers_is_left_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let url = format!("postgres://u:{CANARY}@{address}/d?connect_timeout=2");
    dbready(&["check", "--url", &url]).exits(3).says_in_one_line(&[&address, "within 2s"]);
}

#[test]
fn a_wrong_password_is_refused_and_not_shown() {
    let database = TestDatabase::empty().unwrap();
    let role = role(&database, "login");
    let url = with_credentials(database.url(), &format!("{role}:{CANARY}wrong"));
    let told = format!("password authentication failed for role \"{role}\"");
    every_command_says(&url, &[&told, "28P01"]);
    let without = with_credentials(database.url(), &role);
    dbready(&["check", "--url", &without]).exits(3).says_in_one_line(&["none was given"]);
    let right = with_credentials(database.url(), &format!("{role}:{CANARY}"));
    dbready(&["check", "--url", &right]).exits(1).prints(&["NOT CERTIFIED"]);
}

#[test]
fn a_missing_database_is_named() {
    let database = TestDatabase::empty().unwrap();
    let url = format!("{}_not", database.url());
    let name = format!("database \"{}_not\" does not exist", database.name());
    every_command_says(&url, &[&name, "3D000"]);
}

#[test]
fn a_role_that_may_not_connect_is_told() {
    let database = TestDatabase::empty().unwrap();
    let role = role(&database, "stranger");
    let revoke = format!("REVOKE CONNECT ON DATABASE {} FROM public", database.name());
    database.run_sql(&revoke).unwrap();
    let url = with_credentials(database.url(), &format!("{role}:{CANARY}"));
    every_command_says(&url, &["permission denied for database", "42501"]);
}

#[test]
fn a_server_that_is_full_is_told() {
    let database = TestDatabase::empty().unwrap();
    let role = role(&database, "limited");
    database.run_sql(&format!("ALTER ROLE {role} CONNECTION LIMIT 0")).unwrap();
    let url = with_credentials(database.url(), &format!("{role}:{CANARY}"));
    every_command_says(&url, &["takes no connection", "too many connections", "53300"]);
}

#[test]
fn a_role_without_any_grant_proves_less_and_refutes_nothing() {
    let database = migrated();
    let role = role(&database, "nothing");
    database.run_sql("REVOKE ALL ON SCHEMA public FROM public").unwrap();
    let url = with_credentials(database.url(), &format!("{role}:{CANARY}"));
    let ran = dbready(&["check", "--format", "json", "--url", &url]).exits(1);
    let certificate = ran.json();
    assert_eq!(certificate["counts"]["refuted"], 0, "{certificate:#}");
    let claims = certificate["claims"].as_array().unwrap();
    let version = claims.iter().find(|claim| claim["id"] == "migration.version").unwrap();
    assert_eq!(version["status"], "unproven");
    let query = claims.iter().find(|claim| claim["id"] == "query.latest_greeks.prepares").unwrap();
    assert!(query["reason"].as_str().unwrap().contains("grant it USAGE"), "{query:#}");
    assert!(version["reason"].as_str().unwrap().contains("may not read"), "{version:#}");
    dbready(&["migrate", "status", "--url", &url])
        .exits(3)
        .says_in_one_line(&["permission denied", "42501"]);
}

#[test]
fn a_role_that_may_not_create_cannot_migrate() {
    let database = TestDatabase::with_timescaledb().unwrap();
    let role = role(&database, "reader");
    let url = with_credentials(database.url(), &format!("{role}:{CANARY}"));
    let refused = |ran: Ran| ran.exits(3).says_in_one_line(&["permission denied", "42501"]);
    refused(dbready(&["migrate", "up", "--url", &url]));
    // One step further: the runner's own table can be made, the contract's cannot.
    let grant = format!("GRANT CREATE ON DATABASE {} TO {role}", database.name());
    database.run_sql(&grant).unwrap();
    let ran = refused(dbready(&["migrate", "up", "--url", &url]));
    ran.says(&["migrations/1.0.0_", ".up.sql:", "rolled back"]);
    dbready(&["migrate", "status", "--url", &url]).exits(1).prints(&["applied  none"]);
}

#[test]
fn a_database_without_timescaledb_is_reported_and_no_failure() {
    let database = TestDatabase::empty().unwrap();
    let ran = dbready(&["check", "--format", "json", "--url", database.url()]).exits(1);
    let certificate = ran.json();
    let claims = certificate["claims"].as_array().unwrap();
    let of = |id: &str| claims.iter().find(|claim| claim["id"] == id).unwrap();
    let extension = of("server.extension.timescaledb");
    assert_eq!(extension["status"], "refuted");
    let table = of("schema.signal_greeks");
    assert_eq!(table["status"], "refuted");
    assert_eq!(of("schema.signal_greeks.hypertable")["status"], "unproven");
    assert_eq!(certificate["verdict"], "not_certified");
    dbready(&["migrate", "up", "--url", database.url()])
        .exits(3)
        .says_in_one_line(&["migrations/1.0.0_", ": CREATE EXTENSION timescaledb"]);
}

/// Every point at which the connection breaks ends in the same way, from the login to the last
/// answer.
#[test]
fn a_connection_that_breaks_anywhere_is_told() {
    let database = migrated();
    let role = role(&database, "examiner");
    let url = with_credentials(database.url(), &format!("{role}:{CANARY}"));
    database.run_sql(&format!("GRANT pg_read_all_data TO {role}")).unwrap();
    let upstream = url.split_once('@').unwrap().1.split_once('/').unwrap().0;
    // How much a whole run needs.
    let whole = Proxy::cutting_after(upstream, u64::MAX);
    let ran = dbready(&["check", "--url", &with_address(&url, &whole.address)]).exits(1);
    assert_eq!(ran.stderr, "");
    let total = whole.passed();
    assert!(total > 10_000, "{total} bytes");
    let in_the_login = [0, 1, 50, 150, 400];
    for limit in in_the_login.into_iter().chain((1..12).map(|share| total * share / 12)) {
        let proxy = Proxy::cutting_after(upstream, limit);
        let through = with_address(&url, &proxy.address);
        dbready(&["check", "--url", &through]).exits(3).says_in_one_line(&[]);
    }
}

#[test]
fn a_session_ended_by_the_server_is_told() {
    let database = migrated();
    // A table that is locked makes the examiner wait, so that its session can be ended in time.
    let url = database.url().to_owned();
    let ended = thread::scope(|scope| {
        let lock = scope.spawn(|| {
            database.run_sql(
                "BEGIN; LOCK TABLE schema_version; \
                 DO $$ DECLARE found boolean := false; BEGIN \
                   FOR try IN 1..1000 LOOP \
                     SELECT count(pg_terminate_backend(pid)) > 0 INTO found \
                       FROM pg_stat_activity \
                      WHERE datname = current_database() AND application_name = 'dbready' \
                        AND wait_event_type = 'Lock'; \
                     EXIT WHEN found; \
                     PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); \
                   END LOOP; \
                   IF NOT found THEN RAISE 'nobody waited'; END IF; \
                 END $$; ROLLBACK",
            )
        });
        // The lock may come a moment later than the first look.
        let ran = loop {
            let ran = dbready(&["check", "--url", &url]);
            if ran.code == Some(3) || lock.is_finished() {
                break ran;
            }
        };
        lock.join().unwrap().unwrap();
        ran
    });
    ended.exits(3).says_in_one_line(&["the connection was lost"]);
}

#[test]
fn the_environment_names_the_server_too() {
    let database = migrated();
    let role = role(&database, "env");
    let url = with_credentials(database.url(), &format!("{role}:{CANARY}"));
    let status = ["migrate", "status"];
    database.run_sql(&format!("GRANT pg_read_all_data TO {role}")).unwrap();
    database.run_sql(&format!("GRANT USAGE ON SCHEMA dbready TO {role}")).unwrap();
    run(program().args(status).env("DATABASE_URL", &url)).exits(0).prints(&[database.name()]);
    let (_, rest) = url.split_once('@').unwrap();
    let (address, name) = rest.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let set = |password: &str| {
        let mut command = program();
        command.args(status).env("PGHOST", host).env("PGPORT", port).env("PGUSER", &role);
        command.env("PGDATABASE", name).env("PGPASSWORD", password);
        run(&mut command)
    };
    set(CANARY).exits(0).prints(&[database.name()]);
    set(&format!("{CANARY}wrong")).exits(3).says_in_one_line(&["28P01"]);
    // A URL that is given wins.
    let wrong = format!("postgres://u:{CANARY}@{}/d", closed_port());
    let mut command = program();
    command.args(status).env("DATABASE_URL", wrong).args(["--url", &url]);
    run(&mut command).exits(0);
}
