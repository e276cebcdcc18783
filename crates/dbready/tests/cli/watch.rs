//! `dbready watch` beside real servers that drift, go away, freeze and come back.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pg_local::{Cluster, Profile, Runtime, Shutdown};
use serde_json::Value;

use crate::processes::wait_until;
use crate::support::{CANARY, dbready, migrated, open_folder, program, role, with_credentials};
use crate::webhook::Webhook;

/// A running watch; it ends with this value.
pub(crate) struct Watching {
    child: Child,
    pub(crate) address: String,
    pub(crate) said: Arc<Mutex<String>>,
}

impl Watching {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (heard, errors) = (Arc::clone(&said), child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        let address = address.unwrap_or_else(|| panic!("no address: {line:?}")).to_owned();
        Self { child, address, said }
    }

    /// A watch that looks every second.
    pub(crate) fn of(url: &str) -> Self {
        Self::start(&mut watch(url))
    }

    /// Status and body, with another host where one is given.
    fn ask_as(&self, path: &str, host: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub(crate) fn ask(&self, path: &str) -> (u16, String) {
        self.ask_as(path, &self.address)
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.ask("/state.json").1).unwrap()
    }

    /// The events of this kind whose claim or finding holds a text.
    fn events(&self, change: &str, part: &str) -> usize {
        let state = self.state();
        let events = state["events"].as_array().unwrap().iter();
        let holds = |event: &Value, key: &str| event[key].as_str().unwrap().contains(part);
        events
            .filter(|one| one["change"] == change)
            .filter(|one| holds(one, "claim") || holds(one, "found"))
            .count()
    }

    #[track_caller]
    pub(crate) fn waits_for(&self, change: &str, part: &str) {
        wait_until(
            || format!("{change} of {part}: {:#}", self.state()),
            || self.events(change, part) > 0,
        );
    }

    /// Waits until the catalog has been looked at.
    #[track_caller]
    pub(crate) fn is_certified(&self) {
        wait_until(
            || format!("a certificate: {:#}", self.state()),
            || self.ask("/certificate.json").0 == 200,
        );
    }

    /// Waits until the database answers. On a busy machine it may miss a second before.
    #[track_caller]
    fn is_ready(&self) {
        wait_until(|| format!("{:#}", self.state()), || self.ask("/readyz").0 == 200);
    }

    /// Ends it as a supervisor does.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        (code, self.said.lock().unwrap().clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn watch(url: &str) -> Command {
    let mut command = program();
    command.args(["watch", "--url", url, "--listen", "127.0.0.1:0"]);
    command.args(["--interval", "1", "--drift-interval", "1"]);
    command
}

/// Sessions that the watch holds in a database.
fn sessions(run: impl Fn(&str) -> String) -> usize {
    let question = "SELECT count(*) FROM pg_stat_activity \
                    WHERE application_name = 'dbready' AND datname = current_database()";
    run(question).trim().parse().unwrap()
}

#[test]
fn drift_is_shown_sent_and_taken_back_and_names_stay_text() {
    let database = migrated();
    let hook = Webhook::start(None);
    let taken = &hook.taken;
    let watching = Watching::start(watch(database.url()).env("DBREADY_WEBHOOK", &hook.address));
    watching.is_certified();
    watching.is_ready();
    let hostile = "<img src=x onerror=alert(1)>";
    database.run_sql(&format!("CREATE TABLE \"{hostile}\" (a int)")).unwrap();
    watching.waits_for("firing", hostile);
    let (_, page) = watching.ask("/");
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;") && !page.contains(hostile));
    assert!(page.contains("default-src 'none'"), "a page without its policy");
    let (status, part) = watching.ask("/live");
    assert!(status == 200 && part.contains("&lt;img") && !part.contains("<img"));
    wait_until(
        || format!("the alert arrives: {taken:?}"),
        || taken.lock().unwrap().iter().any(|one| one.to_string().contains(hostile)),
    );
    assert!(sessions(|sql| database.run_sql(sql).unwrap()) <= 2);

    database.run_sql(&format!("DROP TABLE \"{hostile}\"")).unwrap();
    wait_until(
        || format!("it is resolved: {taken:?}"),
        || taken.lock().unwrap().iter().any(|one| one["events"].to_string().contains("resolved")),
    );
    let (_, metrics) = watching.ask("/metrics");
    assert!(metrics.contains("dbready_webhook_messages_total{end=\"delivered\"}"), "{metrics}");
    let (_, state) = watching.ask("/state.json");
    let (code, said) = watching.terminate();
    assert_eq!(code, Some(143), "{said}");
    for text in [page, metrics, state, said] {
        assert!(!text.contains(CANARY), "the webhook's token is shown in {text}");
    }
    wait_until(
        || "its session ends".to_owned(),
        || sessions(|sql| database.run_sql(sql).unwrap()) == 0,
    );
}

#[test]
fn a_server_that_stops_or_freezes_is_told_and_found_again() {
    let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
    let mut cluster = Cluster::temporary(&runtime, Profile::Fast).unwrap();
    let watching = Watching::of(&cluster.url("postgres"));
    watching.is_certified();
    cluster.stop(Shutdown::Fast).unwrap();
    watching.waits_for("firing", "monitoring.reachable");
    let (status, reason) = watching.ask("/readyz");
    assert_eq!(status, 503, "{reason}");
    assert_eq!(watching.ask("/healthz").0, 200, "the watch itself lives");
    assert!(watching.ask("/metrics").1.contains("\ndbready_up 0\n"));
    assert_eq!(watching.ask("/").0, 200);

    cluster.start().unwrap();
    watching.waits_for("resolved", "monitoring.reachable");
    watching.waits_for("note", "it runs since");
    watching.is_ready();

    let ask = |sql: &str| cluster.run_sql("postgres", sql).unwrap();
    assert!(sessions(ask) <= 2);
    let process = ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'dbready'");
    let mut backend = cluster.backend(process.trim().parse().unwrap()).unwrap();
    watching.is_ready();
    let before = watching.events("firing", "monitoring.reachable");
    backend.freeze().unwrap();
    wait_until(
        || format!("the freeze is told: {:#}", watching.state()),
        || {
            watching.events("firing", "no answer within 1 s") > 0
                && watching.ask("/readyz").0 == 503
        },
    );
    backend.thaw().unwrap();
    wait_until(
        || format!("it answers again: {:#}", watching.state()),
        || watching.events("resolved", "monitoring.reachable") > before,
    );
    assert!(sessions(ask) <= 2);
    let (_, metrics) = watching.ask("/metrics");
    assert!(
        metrics.contains("\ndbready_connections_total 2\n"),
        "one after the restart\n{metrics}"
    );
}

/// The built-in contract with clauses over two seconds.
fn impatient(folder: &Path) -> String {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../signal-store/contract");
    let copied = Command::new("cp").arg("-r").arg(from).arg(folder.join("contract")).status();
    assert!(copied.unwrap().success());
    let file = folder.join("contract/contract.toml");
    let mut text = fs::read_to_string(&file).unwrap();
    for over in ["1 minute", "5 minutes", "1 hour"] {
        text = text.replace(&format!("\nover = \"{over}\""), "\nover = \"2 seconds\"");
    }
    fs::write(&file, text).unwrap();
    folder.join("contract").display().to_string()
}

#[test]
fn clauses_of_the_contract_fire_when_they_are_broken_and_end_after_it() {
    let database = migrated();
    let folder = open_folder();
    let contract = impatient(folder.path());
    let watching = Watching::start(watch(database.url()).args(["--contract", &contract]));
    let status = |id: &str| {
        let clauses = watching.state()["clauses"].clone();
        let mine = clauses.as_array().unwrap().iter().find(|one| one["id"] == id).cloned();
        mine.unwrap()["status"].as_str().unwrap().to_owned()
    };
    for id in ["pool_utilisation", "table_growth", "failed_queries"] {
        let id = format!("monitoring.{id}");
        wait_until(
            || format!("{id} is proven: {:#}", watching.state()),
            || status(&id) == "proven",
        );
    }
    let state = watching.state().to_string();
    assert!(state.contains("pg_stat_statements is not installed"), "silence is no pass: {state}");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = pg_session::Config::from_url(database.url()).unwrap();
    let config = config.application_name("signal_service");
    let held: Vec<_> = (0..9)
        .map(|_| {
            let client = runtime.block_on(pg_session::connect(&config)).unwrap();
            runtime.block_on(client.batch_execute("BEGIN; SELECT 1")).unwrap();
            client
        })
        .collect();
    watching.waits_for("firing", "monitoring.pool_utilisation");
    drop(held);
    watching.waits_for("resolved", "monitoring.pool_utilisation");

    let fails = "DO $$ BEGIN FOR n IN 1..1 LOOP RAISE 'no'; END LOOP; END $$";
    wait_until(
        || format!("failures are told: {:#}", watching.state()),
        || {
            assert!(database.run_sql(fails).is_err());
            watching.events("firing", "monitoring.failed_queries") > 0
        },
    );
    database
        .run_sql(
            "INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\") \
             SELECT 'signal_20260101_000001', 'NSE@A@EQ', now() - n * interval '1 ms' \
             FROM generate_series(1, 20000) n",
        )
        .unwrap();
    watching.waits_for("firing", "monitoring.table_growth");
}

/// What a member of the contract's role sees is all that the clauses and the catalog's checks need.
#[test]
fn a_member_of_the_monitors_may_watch() {
    let database = migrated();
    let role = role(&database, "watch");
    database.run_sql(&format!("GRANT signal_monitor TO {role}")).unwrap();
    let folder = open_folder();
    let contract = impatient(folder.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = pg_session::Config::from_url(database.url()).unwrap();
    let service = config.application_name("signal_service");
    let _serving = runtime.block_on(pg_session::connect(&service)).unwrap();
    let url = with_credentials(database.url(), &format!("{role}:{CANARY}"));
    let watching = Watching::start(watch(&url).args(["--contract", &contract]));
    wait_until(
        || format!("others' sessions are seen: {:#}", watching.state()),
        || {
            let clauses = watching.state()["clauses"].clone();
            let of =
                |id: &str| clauses.as_array().unwrap().iter().find(|one| one["id"] == id).cloned();
            of("monitoring.pool_utilisation").unwrap()["status"] == "proven"
                && of("monitoring.table_growth").unwrap()["status"] == "proven"
        },
    );
    watching.is_certified();
    let certificate = watching.ask("/certificate.json").1;
    let certificate: Value = serde_json::from_str(&certificate).unwrap();
    let claims = certificate["claims"].as_array().unwrap().iter();
    let open: Vec<_> = claims
        .filter(|one| one["status"] != "proven")
        .filter(|one| !one["reason"].to_string().contains("Community"))
        .collect();
    assert!(open.is_empty(), "{open:#?}");
}

#[test]
fn metrics_are_open_metrics() {
    let database = migrated();
    let watching = Watching::of(database.url());
    watching.is_certified();
    let (status, text) = watching.ask("/metrics");
    assert_eq!(status, 200);
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    let sample = regex::Regex::new(
        r#"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z_]+="(?:[^"\\]|\\[\\n"])*"(?:,[a-z_]+="(?:[^"\\]|\\[\\n"])*")*\})? (-?[0-9.eE+-]+|NaN)$"#,
    )
    .unwrap();
    let (mut families, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut suffix) = (String::new(), "");
    for line in body.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned()), "declared twice: {name}");
            name.clone_into(&mut family);
            suffix = match kind {
                "gauge" => "",
                "counter" => "_total",
                "info" => "_info",
                _ => panic!("{line}"),
            };
        } else if let Some(rest) = line.strip_prefix("# HELP ").or(line.strip_prefix("# UNIT ")) {
            assert!(rest.starts_with(&format!("{family} ")), "{line}");
        } else {
            let parts = sample.captures(line).unwrap_or_else(|| panic!("no sample: {line}"));
            assert_eq!(parts[1], format!("{family}{suffix}"), "{line}");
            let key = format!("{}{}", &parts[1], parts.get(2).map_or("", |one| one.as_str()));
            assert!(seen.insert(key), "twice: {line}");
        }
    }
    assert!(text.contains("dbready_table_rows_inserted_total{table=\"signal_greeks\"} "), "{text}");
}

#[test]
fn other_machines_and_other_names_are_kept_out() {
    let public =
        dbready(&["watch", "--url", "postgres://u@127.0.0.1:1/d", "--listen", "0.0.0.0:0"]);
    public.exits(2).says_in_one_line(&["127.0.0.1", "no login", "--allow-remote"]);
    // The database cannot be reached, which is no reason not to start.
    let watching = Watching::of("postgres://u@127.0.0.1:1/d");
    assert_eq!(watching.ask_as("/", "evil.example").0, 421);
    assert_eq!(watching.ask_as("/healthz", "localhost").0, 200);
    watching.waits_for("firing", "monitoring.reachable");
    assert_eq!(watching.ask("/certificate").0, 404);
    let taken =
        dbready(&["watch", "--url", "postgres://u@127.0.0.1:1/d", "--listen", &watching.address]);
    taken.exits(3).says_in_one_line(&["--listen", &watching.address]);
}

#[test]
fn rules_and_dashboard_are_printed() {
    let rules = dbready(&["watch", "rules"]).exits(0).stdout;
    for part in ["groups:", "PoolUtilisation", "[60s]", "> 80", "[3600s]", "> 1000000"] {
        assert!(rules.contains(part), "{part} in {rules}");
    }
    let dashboard = dbready(&["watch", "dashboard"]).exits(0).json();
    assert!(dashboard["panels"].as_array().unwrap().len() > 5);
    let folder = open_folder();
    let file = folder.path().join("hook");
    fs::write(&file, format!("gopher://{CANARY}")).unwrap();
    dbready(&["watch", "--webhook-file", file.to_str().unwrap(), "--listen", "127.0.0.1:0"])
        .exits(2)
        .says_in_one_line(&["webhook", "https://"]);
}

#[test]
#[ignore = "needs promtool"]
fn promtool_takes_the_rules() {
    let folder = open_folder();
    let file = folder.path().join("rules.yml");
    let check = |rules: &str| {
        fs::write(&file, rules).unwrap();
        Command::new("promtool").args(["check", "rules"]).arg(&file).output().unwrap()
    };
    let rules = dbready(&["watch", "rules"]).exits(0).stdout;
    let taken = check(&rules);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    assert!(!check(&rules.replace("expr: ", "expr: )")).status.success());
}
