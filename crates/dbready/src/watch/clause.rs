//! The monitoring clauses of a contract as claims, and their evidence from one look after the other.
//!
//! A clause says that a figure stays within its limit over a length of time. It is judged by what was
//! seen within that time before now, and is unproven until it has been watched for as long.

use std::time::Duration;

use tokio::time::Instant;

use super::look::{Look, Statements};
use super::window::{Share, Times, Window};
use crate::claim::{Claim, Severity, Target};
use crate::contract::{Alert, Contract, Table};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::spoken_name;

/// Area of these claims; they are no part of a score.
const AREA: &str = "monitoring";
/// Method of their evidence.
const METHOD: &str = "statistics views";
/// Id of the claim that the database answers.
pub(super) const REACHABLE: &str = "monitoring.reachable";

/// Alerts that can be measured, with the unit of their figure.
pub(super) const KNOWN: [(&str, &str); 5] = [
    ("pool_utilisation", "%"),
    ("query_p95", "ms"),
    ("table_growth", "rows/hour"),
    ("failed_queries", "%"),
    ("replication_lag", "s"),
];

/// One clause and what was seen of it so far.
#[derive(Debug)]
pub(super) struct Clause {
    pub(super) claim: Claim,
    figure: Figure,
}

/// What a clause looks at.
#[derive(Debug)]
enum Figure {
    Reachable,
    PoolUtilisation(Window<Share>, Duration),
    QueryP95(Window<Times>, Duration),
    /// By table, in the order of the contract.
    TableGrowth(Vec<Window<Share>>, Duration),
    FailedQueries(Window<Share>, Duration),
    ReplicationLag(Window<Share>, Duration),
    Workers,
    /// The hypertable's place among the tables, and the days after which no chunk may be left.
    Chunks(usize, f64),
    Unknown(String),
}

/// The clauses of a contract, with those that hold for every database.
#[derive(Debug)]
pub(super) struct Clauses {
    pub(super) all: Vec<Clause>,
    tables: Vec<String>,
    pool: f64,
    interval: Duration,
    last: Option<(Instant, Look)>,
}

impl Clauses {
    /// The clauses; `pools` processes of the service have a pool each.
    pub(super) fn new(contract: &Contract, interval: Duration, pools: u32) -> Self {
        let model = &contract.model;
        let mut all =
            vec![general(REACHABLE, "the database answers", Severity::Critical, Figure::Reachable)];
        all.extend(model.alerts.iter().map(|alert| clause(alert, model.tables.len())));
        all.push(general(
            "monitoring.background_workers",
            "TimescaleDB's background workers are started, and no job's last run failed",
            Severity::Major,
            Figure::Workers,
        ));
        all.extend(model.tables.iter().enumerate().filter_map(|(at, table)| chunks(at, table)));
        let name = |table: &Table| spoken_name(&table.schema, &table.name);
        Self {
            all,
            tables: model.tables.iter().map(name).collect(),
            pool: f64::from(model.pool.max) * f64::from(pools),
            interval,
            last: None,
        }
    }

    /// The names of the contract's tables, in the order in which a look counts their rows.
    pub(super) fn tables(&self) -> &[String] {
        &self.tables
    }

    /// Connections that the service may have.
    pub(super) fn pool(&self) -> f64 {
        self.pool
    }

    /// Takes a look in, and gives the evidence for every clause.
    pub(super) fn saw(&mut self, at: Instant, look: Look) -> Vec<Evidence> {
        let last = self.last.as_ref();
        let hours = last.map(|(before, _)| at.duration_since(*before).as_secs_f64() / 3_600.0);
        let since = hours.zip(last.map(|(_, look)| look));
        for clause in &mut self.all {
            add(&mut clause.figure, at, &look, since, self.pool);
        }
        let evidence = self.all.iter().map(|clause| self.evidence(clause, at, &look)).collect();
        self.last = Some((at, look));
        evidence
    }

    /// The evidence while the database does not answer: nothing else can be said.
    pub(super) fn unanswered(&self, reason: &str) -> Vec<Evidence> {
        let outcome = |clause: &Clause| match clause.figure {
            Figure::Reachable => Outcome::Compared {
                n: 1,
                found: String::new(),
                findings: vec![Finding {
                    object: "database".to_owned(),
                    expected: "an answer".to_owned(),
                    found: reason.to_owned(),
                    remedy: None,
                }],
            },
            _ => not_measured("the database does not answer"),
        };
        self.all.iter().map(|clause| evidence(clause, outcome(clause))).collect()
    }

    fn evidence(&self, clause: &Clause, now: Instant, look: &Look) -> Evidence {
        let mean = |window: &Window<Share>, over: Duration, factor: f64, unit: &str| {
            let (n, sum) = window.total(now);
            let value = sum.ratio().map(|ratio| ratio * factor);
            measured(n, self.needed(over), value, unit)
        };
        let outcome = match &clause.figure {
            Figure::Reachable => same("answers"),
            Figure::PoolUtilisation(window, over) => match &look.sessions.at_work {
                Ok(_) => mean(window, *over, 100.0, "%"),
                Err(reason) => not_measured(reason),
            },
            Figure::QueryP95(window, over) => match &look.statements {
                Ok(_) => {
                    let (n, times) = window.total(now);
                    measured(n, self.needed(*over), times.quantile(0.95), "ms")
                }
                Err(reason) => not_measured(reason),
            },
            Figure::TableGrowth(windows, over) => {
                let rates = windows.iter().zip(&self.tables).filter_map(|(window, table)| {
                    let (n, sum) = window.total(now);
                    Some((n, sum.ratio()?, table))
                });
                match rates.max_by(|a, b| a.1.total_cmp(&b.1)) {
                    Some((n, rate, table)) => Outcome::Measured {
                        n,
                        n_needed: self.needed(*over),
                        value: rate,
                        bound: rate,
                        unit: "rows/hour".to_owned(),
                        statistics: vec![(format!("fastest: {table}"), rate)],
                    },
                    None => not_measured("no table has been watched for two looks yet"),
                }
            }
            Figure::FailedQueries(window, over) => mean(window, *over, 100.0, "%"),
            Figure::ReplicationLag(window, over) => match &look.lag {
                Ok(Some(_)) => mean(window, *over, 1.0, "s"),
                Ok(None) => not_measured("there is no standby"),
                Err(reason) => not_measured(reason),
            },
            Figure::Workers => workers(look),
            Figure::Chunks(at, days) => old_chunks(look, &self.tables[*at], *days),
            Figure::Unknown(reason) => not_measured(reason),
        };
        evidence(clause, outcome)
    }

    /// Looks within a length of time below which it has not been watched for as long; one in ten may
    /// be missing.
    fn needed(&self, over: Duration) -> u64 {
        let looks = over.as_secs_f64() / self.interval.as_secs_f64().max(0.001);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, small")]
        let needed = (looks * 0.9).floor() as u64;
        needed.max(1)
    }
}

fn general(id: &str, statement: &str, severity: Severity, figure: Figure) -> Clause {
    Clause { claim: Claim::new(id, AREA, severity, statement), figure }
}

fn clause(alert: &Alert, tables: usize) -> Clause {
    let over = alert.over.duration();
    let figure = match KNOWN.iter().find(|(name, _)| *name == alert.name) {
        None => {
            let known: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
            Figure::Unknown(format!("no figure of this name is known; {}", known.join(", ")))
        }
        Some((_, unit)) if *unit != alert.unit => Figure::Unknown(format!(
            "it is measured in `{unit}`, the contract's limit is in `{}`",
            alert.unit
        )),
        Some(("pool_utilisation", _)) => Figure::PoolUtilisation(Window::new(over), over),
        Some(("query_p95", _)) => Figure::QueryP95(Window::new(over), over),
        Some(("table_growth", _)) => {
            Figure::TableGrowth((0..tables).map(|_| Window::new(over)).collect(), over)
        }
        Some(("failed_queries", _)) => Figure::FailedQueries(Window::new(over), over),
        Some(_) => Figure::ReplicationLag(Window::new(over), over),
    };
    let target = Target::AtMost {
        statistic: "figure".to_owned(),
        limit: alert.above,
        unit: alert.unit.clone(),
    };
    let statement = format!(
        "{} stays at or below {} {} over {}",
        alert.metric, alert.above, alert.unit, alert.over
    );
    let id = format!("{AREA}.{}", alert.name);
    let claim = Claim { target, ..Claim::new(id, AREA, Severity::Major, statement) };
    Clause { claim, figure }
}

/// No chunk outlives the retention of its table by more than the length of a chunk and a day, within
/// which a policy runs.
fn chunks(at: usize, table: &Table) -> Option<Clause> {
    let (retention, hypertable) = table.retention.as_ref().zip(table.hypertable.as_ref())?;
    let slack = hypertable.chunk_interval.duration() + Duration::from_hours(24);
    let days = (retention.keep.duration() + slack).as_secs_f64() / 86_400.0;
    let name = spoken_name(&table.schema, &table.name);
    let statement = format!("no chunk of {name} outlives its retention of {}", retention.keep);
    Some(general(
        &format!("{AREA}.chunks.{name}"),
        &statement,
        Severity::Minor,
        Figure::Chunks(at, days),
    ))
}

/// Adds what a look saw, and what counted up since the look before.
fn add(figure: &mut Figure, at: Instant, look: &Look, since: Option<(f64, &Look)>, pool: f64) {
    match figure {
        Figure::PoolUtilisation(window, _) => {
            if let Ok(at_work) = look.sessions.at_work {
                window.add(at, &Share { part: at_work, whole: pool });
            }
        }
        Figure::QueryP95(window, _) => {
            let before = since.and_then(|(_, before)| before.statements.as_ref().ok());
            if let Some((before, now)) = before.zip(look.statements.as_ref().ok()) {
                window.add(at, &calls(before, now));
            }
        }
        Figure::TableGrowth(windows, _) => {
            let Some((hours, before)) = since else { return };
            for ((window, now), before) in
                windows.iter_mut().zip(&look.inserted).zip(&before.inserted)
            {
                // Counts begin anew after a crash, and chunks take theirs along when they are dropped.
                if let Some(rows) = counted(*before, *now) {
                    window.add(at, &Share { part: rows, whole: hours });
                }
            }
        }
        Figure::FailedQueries(window, _) => {
            let Some((_, before)) = since else { return };
            let (now, before) = (&look.database, &before.database);
            let failed = counted(Some(before.rolled_back), Some(now.rolled_back));
            let done = counted(Some(before.committed), Some(now.committed));
            if let Some((failed, done)) = failed.zip(done) {
                window.add(at, &Share { part: failed, whole: failed + done });
            }
        }
        Figure::ReplicationLag(window, _) => {
            if let Ok(Some(seconds)) = look.lag {
                window.add(at, &Share::figure(seconds));
            }
        }
        Figure::Reachable | Figure::Workers | Figure::Chunks(..) | Figure::Unknown(_) => {}
    }
}

fn counted(before: Option<f64>, now: Option<f64>) -> Option<f64> {
    before.zip(now).map(|(before, now)| now - before).filter(|more| *more >= 0.0)
}

/// The calls between two looks; each counts with the mean time of its statement's calls, since the
/// server keeps no more.
fn calls(before: &Statements, now: &Statements) -> Times {
    let mut times = Times::default();
    for (statement, (calls, milliseconds)) in now {
        let (earlier, spent) = before.get(statement).copied().unwrap_or_default();
        let (calls, milliseconds) = (calls - earlier, milliseconds - spent);
        if calls > 0.0 && milliseconds >= 0.0 {
            times.record(milliseconds / calls, calls);
        }
    }
    times
}

fn evidence(clause: &Clause, outcome: Outcome) -> Evidence {
    Evidence::new(clause.claim.id.clone(), METHOD, outcome)
}

fn not_measured(reason: &str) -> Outcome {
    Outcome::NotMeasured { reason: reason.to_owned() }
}

fn measured(n: u64, n_needed: u64, value: Option<f64>, unit: &str) -> Outcome {
    match value {
        // All there was is counted, so the figure is its own bound.
        Some(value) => Outcome::Measured {
            n,
            n_needed,
            value,
            bound: value,
            unit: unit.to_owned(),
            statistics: Vec::new(),
        },
        None => not_measured("nothing ran within this time"),
    }
}

fn same(found: &str) -> Outcome {
    Outcome::Compared { n: 1, found: found.to_owned(), findings: Vec::new() }
}

fn workers(look: &Look) -> Outcome {
    let seen = match &look.workers {
        Ok(Some(seen)) => seen,
        Ok(None) => return not_measured("the database has no TimescaleDB"),
        Err(reason) => return not_measured(reason),
    };
    let mut findings: Vec<Finding> = seen
        .failed
        .iter()
        .map(|job| Finding {
            object: job.clone(),
            expected: "its last run succeeded".to_owned(),
            found: "failed".to_owned(),
            remedy: Some("SELECT * FROM timescaledb_information.job_errors".to_owned()),
        })
        .collect();
    match &seen.launched {
        Ok(false) => findings.push(Finding {
            object: "TimescaleDB Background Worker Launcher".to_owned(),
            expected: "running".to_owned(),
            found: "not running".to_owned(),
            remedy: Some("look at max_worker_processes and the server's log".to_owned()),
        }),
        // A failed job is a fact, whatever else is hidden.
        Err(reason) if findings.is_empty() => return not_measured(reason),
        Ok(true) | Err(_) => {}
    }
    let found = format!("started; {} jobs, none failed", seen.jobs);
    Outcome::Compared { n: 1, found, findings }
}

fn old_chunks(look: &Look, table: &str, days: f64) -> Outcome {
    let seen = match &look.chunks {
        Ok(Some(seen)) => seen,
        Ok(None) => return not_measured("the database has no TimescaleDB"),
        Err(reason) => return not_measured(reason),
    };
    let (schema, name) = crate::sql::split_name(table);
    let Some(chunks) = seen.get(&(schema.to_owned(), name.to_owned())) else {
        return same("no chunks");
    };
    let Some(over) = chunks.days_over else { return not_measured("it is not partitioned by time") };
    let findings = (over > days).then(|| Finding {
        object: table.to_owned(),
        expected: format!("no chunk that ended more than {days:.0} days ago"),
        found: format!("one that ended {over:.0} days ago"),
        remedy: Some("see whether retention runs".to_owned()),
    });
    let found = format!("{} chunks, the oldest ended {:.0} days ago", chunks.count, over.max(0.0));
    Outcome::Compared { n: 1, found, findings: findings.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::contract::source;
    use crate::verdict::{Status, judge};
    use crate::watch::look::{Chunks, Workers};

    const INTERVAL: Duration = Duration::from_secs(10);

    /// The status of a clause after `looks` looks, the n-th of which `change` makes.
    fn after(looks: u32, id: &str, change: impl Fn(f64, &mut Look)) -> Status {
        let mut contract = source::load(None).unwrap();
        contract.model.alerts.push(Alert {
            name: "replication_lag".to_owned(),
            metric: "lag".to_owned(),
            above: 5.0,
            unit: "s".to_owned(),
            over: "1 minute".parse().unwrap(),
        });
        let mut clauses = Clauses::new(&contract, INTERVAL, 1);
        let begun = Instant::now();
        let mut evidence = Vec::new();
        for n in 0..looks {
            let mut seen = Look::quiet();
            seen.inserted = vec![Some(0.0); contract.model.tables.len()];
            change(f64::from(n), &mut seen);
            evidence = clauses.saw(begun + INTERVAL * n, seen);
        }
        let id = format!("monitoring.{id}");
        let at = clauses.all.iter().position(|one| one.claim.id == id).unwrap();
        judge(&clauses.all[at].claim, Some(&evidence[at])).status
    }

    #[test]
    fn what_has_not_been_watched_for_long_enough_is_unproven() {
        assert_eq!(after(3, "pool_utilisation", |_, _| ()), Status::Unproven);
        assert_eq!(after(7, "pool_utilisation", |_, _| ()), Status::Proven);
        assert_eq!(
            after(20, "failed_queries", |n, one| one.database.committed = n),
            Status::Unproven
        );
    }

    type Break<'a> = (&'a str, &'a dyn Fn(f64, &mut Look));

    #[test]
    fn each_clause_is_refuted_by_what_it_speaks_of() {
        let looks = 40;
        let broken: [Break<'_>; 7] = [
            ("pool_utilisation", &|_, one| one.sessions.at_work = Ok(9.0)),
            ("query_p95", &|n, one| {
                one.statements = Ok(HashMap::from([((1, 1, true), (10.0 * n, 1_500.0 * n))]));
            }),
            ("failed_queries", &|n, one| {
                one.database.committed = 97.0 * n;
                one.database.rolled_back = 3.0 * n;
            }),
            ("replication_lag", &|_, one| one.lag = Ok(Some(6.0))),
            ("background_workers", &|_, one| {
                let failed = vec!["job".to_owned()];
                one.workers = Ok(Some(Workers { launched: Ok(true), jobs: 1.0, failed }));
            }),
            ("background_workers", &|_, one| {
                let launched = Ok(false);
                one.workers = Ok(Some(Workers { launched, jobs: 1.0, failed: Vec::new() }));
            }),
            ("chunks.signal_greeks", &|_, one| {
                let old = Chunks { count: 3.0, days_over: Some(92.5) };
                let name = ("public".to_owned(), "signal_greeks".to_owned());
                one.chunks = Ok(Some(HashMap::from([(name, old)])));
            }),
        ];
        for (id, change) in broken {
            assert_eq!(after(looks, id, change), Status::Refuted, "{id}");
        }
        // An hour's clause needs an hour.
        let grows = |n: f64, one: &mut Look| one.inserted[0] = Some(3_000.0 * n);
        assert_eq!(after(looks, "table_growth", grows), Status::Unproven);
        assert_eq!(after(360, "table_growth", grows), Status::Refuted);
        let slower = |n: f64, one: &mut Look| one.inserted[0] = Some(2_700.0 * n);
        assert_eq!(after(360, "table_growth", slower), Status::Proven);
    }

    #[test]
    fn what_cannot_be_seen_is_unproven() {
        let hidden = || Err("hidden".to_owned());
        for (id, change) in [
            ("pool_utilisation", (|one| one.sessions.at_work = hidden_at_work()) as fn(&mut Look)),
            ("query_p95", |one| one.statements = Err("hidden".to_owned())),
            ("query_p95", |_| ()),
            ("replication_lag", |_| ()),
            ("background_workers", |one| one.workers = Ok(None)),
            ("chunks.signal_greeks", |one| one.chunks = Ok(None)),
        ] {
            assert_eq!(after(40, id, |_, one| change(one)), Status::Unproven, "{id}");
        }
        let partly = |_: f64, one: &mut Look| {
            one.workers = Ok(Some(Workers { launched: hidden(), jobs: 1.0, failed: Vec::new() }));
        };
        assert_eq!(after(1, "background_workers", partly), Status::Unproven);
    }

    fn hidden_at_work() -> Result<f64, String> {
        Err("hidden".to_owned())
    }

    #[test]
    fn counts_that_begin_anew_are_no_negative_growth() {
        let restarted = |n: f64, one: &mut Look| {
            one.inserted[0] = Some(if n < 200.0 { 2_000.0 * n } else { 2_000.0 * (n - 200.0) });
        };
        assert_eq!(after(361, "table_growth", restarted), Status::Proven);
    }

    #[test]
    fn an_alert_that_nobody_measures_is_unproven() {
        let mut contract = source::load(None).unwrap();
        contract.model.alerts[0].unit = "share".to_owned();
        contract.model.alerts[1].name = "moon_phase".to_owned();
        let mut clauses = Clauses::new(&contract, INTERVAL, 1);
        let evidence = clauses.saw(Instant::now(), Look::quiet());
        for at in [1, 2] {
            let judged = judge(&clauses.all[at].claim, Some(&evidence[at]));
            assert_eq!(judged.status, Status::Unproven);
            assert!(judged.reason.unwrap().contains(["`%`", "no figure"][at - 1]));
        }
    }

    #[test]
    fn silence_refutes_that_the_database_answers_and_proves_nothing() {
        let clauses = Clauses::new(&source::load(None).unwrap(), INTERVAL, 1);
        let evidence = clauses.unanswered("connection refused");
        let judged: Vec<Status> = clauses
            .all
            .iter()
            .zip(&evidence)
            .map(|(clause, evidence)| judge(&clause.claim, Some(evidence)).status)
            .collect();
        assert_eq!(judged[0], Status::Refuted);
        assert!(judged[1..].iter().all(|status| *status == Status::Unproven));
    }
}
