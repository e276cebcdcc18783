//! The figures as `OpenMetrics` text.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::state::{Reach, State};
use super::webhook::Deliveries;
use crate::verdict::Status;

/// What `/metrics` says of its content.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    /// Its samples end in `_total`.
    Counter,
    /// Its samples end in `_info`.
    Info,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Info => "info",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Gauge => "",
            Self::Counter => "_total",
            Self::Info => "_info",
        }
    }
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// The figures as they are now.
pub(super) fn render(state: &State, deliveries: Option<&Deliveries>) -> String {
    let mut page = Page(String::new());
    page.one(
        "dbready_watch",
        Kind::Info,
        "What is watched, and by which version",
        vec![
            ("version", env!("CARGO_PKG_VERSION")),
            ("contract", &state.contract.name),
            ("contract_version", &state.contract.version),
            ("server", &state.address),
        ],
        1.0,
    );
    let up = f64::from(u8::from(state.reach == Reach::Answers));
    page.plain("dbready_up", "Whether the database answered the last look", up);
    counts(&mut page, state);
    claims(&mut page, state);
    server(&mut page, state);
    if let Some(deliveries) = deliveries {
        let ends = [
            ("delivered", &deliveries.delivered),
            ("dropped", &deliveries.dropped),
            ("failed", &deliveries.failed),
        ];
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let samples = ends
            .map(|(end, count)| (vec![("end", end)], count.load(Ordering::Relaxed) as f64))
            .to_vec();
        let help = "Messages to the webhook, by what became of them";
        page.family("dbready_webhook_messages", Kind::Counter, help, samples);
    }
    if let Some(bytes) = resident_bytes() {
        let help = "Memory of this program that is in use";
        page.plain("process_resident_memory_bytes", help, bytes);
    }
    page.0.push_str("# EOF\n");
    page.0
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn counts(page: &mut Page, state: &State) {
    let counts = &state.counts;
    for (name, help, count) in [
        ("dbready_looks", "Looks that the database answered", counts.looks),
        ("dbready_look_failures", "Looks that it did not answer", counts.failures),
        ("dbready_connections", "Connections opened to the database", counts.connections),
    ] {
        page.one(name, Kind::Counter, help, Vec::new(), count as f64);
    }
    if let Some(seconds) = state.look_seconds {
        page.plain("dbready_look_seconds", "How long the last look took", seconds);
    }
    let changes = ["firing", "resolved", "note"];
    let samples = changes.iter().zip(counts.events);
    let samples = samples.map(|(change, n)| (vec![("change", *change)], n as f64)).collect();
    page.family("dbready_events", Kind::Counter, "What happened, by its kind", samples);
}

#[expect(clippy::cast_precision_loss, reason = "claims are few")]
fn claims(page: &mut Page, state: &State) {
    let all = [Status::Proven, Status::Refuted, Status::Unproven];
    let samples =
        all.map(|status| (vec![("status", status.word())], state.count(status) as f64)).to_vec();
    page.family("dbready_claims", Kind::Gauge, "Claims, by what became of them", samples);
    let refuted = |status: Status| f64::from(u8::from(status == Status::Refuted));
    let decided = state.readings.iter().filter(|one| one.judgement.status != Status::Unproven);
    let samples = decided
        .map(|one| (vec![("claim", one.claim.id.as_str())], refuted(one.judgement.status)))
        .collect();
    let help = "Whether a clause is refuted; absent while it is unproven";
    page.family("dbready_clause_refuted", Kind::Gauge, help, samples);
    if let Some(certificate) = &state.certificate {
        let help = "Claims about the catalog that are refuted";
        page.plain("dbready_drift_claims", help, certificate.counts.refuted as f64);
    }
    if let Some(certified) = state.certified {
        let help = "Time since the catalog was looked at";
        page.plain("dbready_catalog_age_seconds", help, certified.elapsed().as_secs_f64().floor());
    }
    let p95 = state.readings.iter().find(|one| one.claim.id == "monitoring.query_p95");
    if let Some(milliseconds) = p95.and_then(|one| one.value) {
        let help = "Within which 95 % of the calls end, by the mean time of their statements";
        page.plain("dbready_query_p95_seconds", help, milliseconds / 1_000.0);
    }
}

fn server(page: &mut Page, state: &State) {
    let Some(figures) = &state.figures else { return };
    let sessions = &figures.sessions;
    page.plain("dbready_own_sessions", "Sessions of this program", sessions.own);
    page.plain("dbready_pool_sessions", "Sessions of the service", sessions.open);
    if let Ok(at_work) = sessions.at_work {
        let help = "Share of the service's connections in use, from 0 to 1";
        page.plain("dbready_pool_utilisation_ratio", help, at_work / state.pool);
    }
    let database = &figures.database;
    page.plain("dbready_sessions", "Sessions of the database", database.sessions);
    let samples = vec![
        (vec![("end", "committed")], database.committed),
        (vec![("end", "rolled_back")], database.rolled_back),
    ];
    let help = "Transactions of the database, by how they ended";
    page.family("dbready_transactions", Kind::Counter, help, samples);
    let help = "Deadlocks that the server broke";
    page.one("dbready_deadlocks", Kind::Counter, help, Vec::new(), database.deadlocks);
    let inserted = figures.inserted.iter().filter_map(|(table, rows)| Some((table, (*rows)?)));
    let samples = inserted.map(|(table, rows)| (vec![("table", table.as_str())], rows)).collect();
    let help = "Rows inserted into a table, its chunks and partitions included";
    page.family("dbready_table_rows_inserted", Kind::Counter, help, samples);
    let standby = f64::from(u8::from(database.in_recovery));
    page.plain("dbready_standby", "Whether the server is a standby", standby);
    if let Some(seconds) = figures.lag {
        page.plain("dbready_replication_lag_seconds", "How far a standby is behind", seconds);
    }
    let samples =
        figures.chunks.iter().map(|(name, n, _)| (vec![("table", name.as_str())], *n)).collect();
    page.family("dbready_chunks", Kind::Gauge, "Chunks of a hypertable", samples);
    let samples = figures
        .chunks
        .iter()
        .filter_map(|(name, _, days)| Some((vec![("table", name.as_str())], (*days)? * 86_400.0)))
        .collect();
    let help = "Time since the end of the oldest chunk";
    page.family("dbready_oldest_chunk_seconds", Kind::Gauge, help, samples);
    if let Some((jobs, failed)) = figures.jobs {
        page.plain("dbready_jobs", "Jobs of TimescaleDB", jobs);
        page.plain("dbready_jobs_failed", "Jobs whose last run failed", failed);
    }
    if let Some(launched) = figures.launched {
        let help = "Whether TimescaleDB starts background workers";
        page.plain("dbready_background_workers_started", help, f64::from(u8::from(launched)));
    }
}

struct Page(String);

impl Page {
    /// A gauge of one sample.
    fn plain(&mut self, name: &str, help: &str, value: f64) {
        self.one(name, Kind::Gauge, help, Vec::new(), value);
    }

    fn one(&mut self, name: &str, kind: Kind, help: &str, labels: Labels<'_>, value: f64) {
        self.family(name, kind, help, vec![(labels, value)]);
    }

    /// A family of samples; none is written when there is no sample.
    fn family(&mut self, name: &str, kind: Kind, help: &str, samples: Vec<(Labels<'_>, f64)>) {
        if samples.is_empty() {
            return;
        }
        let out = &mut self.0;
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# TYPE {name} {}", kind.word());
        if let Some(unit) = ["seconds", "bytes", "ratio"]
            .into_iter()
            .find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
        {
            let _ = writeln!(out, "# UNIT {name} {unit}");
        }
        let _ = writeln!(out, "# HELP {name} {}", escaped(help));
        for (labels, value) in samples {
            let labels: Vec<String> = labels
                .iter()
                .map(|(label, text)| format!("{label}=\"{}\"", escaped(text)))
                .collect();
            let labels =
                if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(out, "{name}{}{labels} {value}", kind.suffix());
        }
    }
}

/// A text within quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Memory in use, as Linux tells it.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024.0)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::contract::source;
    use crate::report::ContractFacts;
    use crate::run::{self, Gathered, Occasion};
    use crate::score::Scope;
    use crate::watch::clause::Clauses;
    use crate::watch::look::{Chunks, Look};
    use crate::{check, evidence};

    /// A page with every figure that there is.
    pub(in crate::watch) fn full() -> String {
        let contract = source::load(None).unwrap();
        let mut clauses = Clauses::new(&contract, Duration::from_secs(10), 1);
        let mut state = State::new(ContractFacts::from(&contract), "here".to_owned(), &clauses);
        for n in [1.0, 2.0] {
            let mut look = Look::quiet();
            look.inserted = vec![Some(n); contract.model.tables.len()];
            look.statements = Ok([((1, 1, true), (n, n))].into());
            look.lag = Ok(Some(1.0));
            let name = ("public".to_owned(), "signal_greeks".to_owned());
            let chunks = Chunks { count: 1.0, days_over: Some(1.0) };
            look.chunks = Ok(Some([(name, chunks)].into()));
            state.answered(&look, &clauses, 0.1);
            let evidence = clauses.saw(tokio::time::Instant::now(), look);
            state.judge(&evidence);
        }
        let server = evidence::ServerFacts {
            address: "here".to_owned(),
            database: "d".to_owned(),
            role: "r".to_owned(),
            postgresql: "17.5".to_owned(),
            postgresql_num: 170_005,
            timescaledb: None,
            license: None,
            settings: Vec::new(),
        };
        let gathered = Gathered::of(server, run::Part::default());
        let occasion = Occasion {
            command: "watch".to_owned(),
            profile: None,
            started_at: String::new(),
            finished_at: String::new(),
            notes: Vec::new(),
        };
        let claims = check::plan_of_catalog(&contract);
        state.certified(run::certificate(&contract, claims, Scope::Part, gathered, occasion));
        render(&state, Some(&Deliveries::default()))
    }

    #[test]
    fn labels_are_escaped_and_counters_end_in_total() {
        let mut page = Page(String::new());
        page.one("a", Kind::Counter, "b", vec![("t", "x\"\\\ny")], 1.5);
        assert_eq!(page.0, "# TYPE a counter\n# HELP a b\na_total{t=\"x\\\"\\\\\\ny\"} 1.5\n");
    }

    #[test]
    fn families_without_samples_are_left_out_and_units_are_named() {
        let mut page = Page(String::new());
        page.family("a", Kind::Gauge, "b", Vec::new());
        assert_eq!(page.0, "");
        page.plain("a_seconds", "b", 2.0);
        assert_eq!(
            page.0,
            "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n# HELP a_seconds b\na_seconds 2\n"
        );
    }
}
