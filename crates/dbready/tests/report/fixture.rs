//! Certificates to render: a small one with every kind of end, a large one, a hostile one.

use std::collections::BTreeMap;

use dbready::claim::{Claim, Producer, Severity, Target};
use dbready::evidence::{Evidence, Finding, Outcome, Statements};
use dbready::report::{Certificate, ContractFacts, Inputs, ServerReport};
use dbready::score::{AreaWeight, RefinementWeight, Scope};

/// A table name that tries to leave every format.
pub(crate) const HOSTILE: &str = "\"><img src=x onerror=alert(1)>]]></script><!-- | `code` ``` [link](https://evil.example) \
                           **bold** \u{1b}[31mred\u{1b}[0m \u{202e}txet\u{202c} \u{0}\u{7}\u{9b}2J \n# heading\r\n- item & &lt; \u{fffe}";

pub(crate) fn server() -> ServerReport {
    ServerReport {
        address: "127.0.0.1:5432/signals".to_owned(),
        database: "signals".to_owned(),
        role: "signal_reader".to_owned(),
        postgresql: "17.5".to_owned(),
        postgresql_num: 170_005,
        timescaledb: Some("2.19.3".to_owned()),
        edition: Some("apache".to_owned()),
        schema_digest: None,
        settings: BTreeMap::from([
            ("TimeZone".to_owned(), "UTC".to_owned()),
            ("fsync".to_owned(), "on".to_owned()),
            ("max_connections".to_owned(), "100".to_owned()),
            ("shared_buffers".to_owned(), "128MB".to_owned()),
        ]),
    }
}

pub(crate) fn weights() -> Vec<RefinementWeight> {
    let area = |(name, title, weight): (&str, &str, f64)| AreaWeight {
        name: name.to_owned(),
        title: title.to_owned(),
        weight,
    };
    let refinement = |name: &str, title: &str, areas: &[(&str, &str, f64)]| RefinementWeight {
        name: name.to_owned(),
        title: title.to_owned(),
        weight: 1.0,
        areas: areas.iter().copied().map(area).collect(),
    };
    vec![
        refinement(
            "zero_gap",
            "Zero-gap readiness",
            &[
                ("schema_integrity", "Schema integrity", 0.30),
                ("repository_coverage", "Repository coverage", 0.25),
                ("migration_integrity", "Migration integrity", 0.15),
                ("critical_path", "Critical-path coverage", 0.30),
            ],
        ),
        refinement(
            "failure_modes",
            "Failure modes",
            &[("failure_modes", "Failure drills on real servers", 1.0)],
        ),
        refinement(
            "contracts",
            "Database contracts",
            &[
                ("query_contracts", "Query contracts", 1.0),
                ("data_formats", "Data formats", 1.0),
                ("server", "Server", 1.0),
            ],
        ),
        refinement("coverage", "Line coverage", &[("line_coverage", "Covered modules", 1.0)]),
        refinement(
            "load",
            "Behaviour under load",
            &[
                ("load_pool", "Pool", 1.0),
                ("load_queries", "Queries", 1.0),
                ("load_timescaledb", "TimescaleDB", 1.0),
            ],
        ),
    ]
}

pub(crate) fn inputs(claims: Vec<Claim>, evidence: Vec<Evidence>) -> Inputs {
    Inputs {
        command: "certify".to_owned(),
        profile: Some("quick".to_owned()),
        scope: Scope::Whole,
        started_at: "2025-01-15T09:30:00Z".to_owned(),
        finished_at: "2025-01-15T09:30:41Z".to_owned(),
        contract: ContractFacts {
            name: "Signal Service".to_owned(),
            version: "1.0.0".to_owned(),
            digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
            revision: None,
        },
        server: Some(server()),
        tool_digest: None,
        weights: weights(),
        claims,
        evidence,
        statements: statements(),
        timings: BTreeMap::from([
            ("snapshot_ms".to_owned(), 6.4),
            ("check_ms".to_owned(), 1_240.0),
        ]),
        notes: vec!["Drills run on disposable servers and were not asked for.".to_owned()],
        problems: Vec::new(),
        suppressions: Vec::new(),
    }
}

/// Name of the statement of a look at the catalog.
pub(crate) const SNAPSHOT: &str = "catalog/snapshot.sql";

fn statements() -> Statements {
    [(SNAPSHOT, "SELECT c.oid\nFROM pg_class c"), ("never.sql", "SELECT 'not run'")]
        .map(|(name, sql)| (name.to_owned(), sql.to_owned()))
        .into()
}

pub(crate) fn claim(id: &str, area: &str, statement: &str, target: Target) -> Claim {
    Claim { target, ..Claim::new(id, area, Severity::Major, statement) }
}

pub(crate) fn compared(claim: &str, found: &str, findings: Vec<Finding>) -> Evidence {
    Evidence {
        claim: claim.to_owned(),
        method: "catalog snapshot".to_owned(),
        statements: vec![SNAPSHOT.to_owned()],
        outcome: Outcome::Compared { n: 6, found: found.to_owned(), findings },
    }
}

pub(crate) fn finding(object: &str, expected: &str, found: &str, remedy: Option<&str>) -> Finding {
    Finding {
        object: object.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        remedy: remedy.map(str::to_owned),
    }
}

fn not_measured(claim: &str, reason: &str) -> Evidence {
    Evidence::new(claim, "catalog snapshot", Outcome::NotMeasured { reason: reason.to_owned() })
}

fn counted(
    claim: &str,
    trials: u64,
    population: u64,
    wrong: u64,
    findings: Vec<Finding>,
) -> Evidence {
    let outcome = Outcome::Counted { trials, population: Some(population), wrong, findings };
    Evidence::new(claim, "scan of the rows", outcome)
}

fn rows() -> Target {
    Target::NoneWrong { unit: "rows".to_owned() }
}

fn p95(limit: f64) -> Target {
    Target::AtMost { statistic: "p95".to_owned(), limit, unit: "ms".to_owned() }
}

/// Every kind of end, once or twice.
pub(crate) fn small() -> Certificate {
    let delta = "schema.signal_greeks.column.delta";
    let mut drift = claim(
        "drift.tables",
        "schema_integrity",
        "No table is there that the contract does not know.",
        Target::NoDifference,
    );
    drift.required = false;
    drift.severity = Severity::Minor;
    let mut critical = claim(
        delta,
        "schema_integrity",
        "signal_greeks.delta is numeric(10,6) and may be null.",
        Target::NoDifference,
    );
    critical.severity = Severity::Critical;
    let mut drill = claim(
        "drill.kill",
        "failure_modes",
        "No acknowledged write is lost when the server is killed.",
        Target::NoneWrong { unit: "acknowledged writes".to_owned() },
    );
    drill.producer = Producer::Drill;
    let mut load = claim(
        "load.queries.latest_greeks",
        "load_queries",
        "The newest Greeks of an instrument come within 50 ms.",
        p95(50.0),
    );
    load.producer = Producer::Load;
    let claims = vec![
        claim(
            "schema.signal_greeks",
            "schema_integrity",
            "signal_greeks is a table.",
            Target::NoDifference,
        ),
        critical,
        drift,
        claim(
            "schema.signal_greeks.policy.retention",
            "schema_integrity",
            "Rows of signal_greeks older than 90 days are dropped.",
            Target::NoDifference,
        ),
        claim(
            "format.instrument_key.signal_greeks.instrument_key",
            "data_formats",
            "Every instrument_key matches its format.",
            rows(),
        ),
        claim(
            "range.gamma.signal_greeks.gamma",
            "data_formats",
            "Every gamma lies in [0, 10].",
            rows(),
        ),
        drill,
        load,
    ];
    let evidence = vec![
        compared("schema.signal_greeks", "an ordinary table", Vec::new()),
        compared(
            delta,
            "",
            vec![finding(
                "public.signal_greeks.delta",
                "numeric(10,6)",
                "double precision",
                Some(
                    "ALTER TABLE public.signal_greeks\n    ALTER COLUMN delta TYPE numeric(10,6);",
                ),
            )],
        ),
        compared(
            "drift.tables",
            "",
            vec![finding("public.tmp_import", "no such table", "a table", None)],
        ),
        not_measured(
            "schema.signal_greeks.policy.retention",
            "needs the Community edition of TimescaleDB; this server runs the Apache edition",
        ),
        counted(
            "format.instrument_key.signal_greeks.instrument_key",
            20_000,
            200_000,
            0,
            Vec::new(),
        ),
        counted(
            "range.gamma.signal_greeks.gamma",
            200_000,
            200_000,
            2,
            vec![finding("public.signal_greeks.gamma", "0 ≤ gamma ≤ 10", "-3 (id 17)", None)],
        ),
        Evidence {
            claim: "load.queries.latest_greeks".to_owned(),
            method: "open-loop load, 1,000 calls a second".to_owned(),
            statements: Vec::new(),
            outcome: Outcome::Measured {
                n: 60_000,
                n_needed: 59,
                value: 11.4,
                bound: 11.9,
                unit: "ms".to_owned(),
                statistics: vec![
                    ("p50".to_owned(), 4.2),
                    ("p99".to_owned(), 18.75),
                    ("max".to_owned(), 41.0),
                ],
            },
        },
    ];
    Certificate::assemble(inputs(claims, evidence))
}

/// About three hundred claims, as a real run has them.
pub(crate) fn large() -> Certificate {
    let mut claims = Vec::new();
    let mut evidence = Vec::new();
    let tables = [
        ("signal_greeks", 15),
        ("signal_indicators", 8),
        ("signal_moneyness_greeks", 31),
        ("signal_custom_timeframes", 8),
        ("schema_version", 4),
    ];
    for (table, columns) in tables {
        let id = format!("schema.{table}");
        claims.push(claim(
            &id,
            "schema_integrity",
            &format!("{table} is a table."),
            Target::NoDifference,
        ));
        evidence.push(compared(&id, "an ordinary table", Vec::new()));
        for at in 0..columns {
            let id = format!("schema.{table}.column.column_{at:02}");
            let statement = format!("{table}.column_{at:02} is numeric(10,6) and may be null.");
            claims.push(claim(&id, "schema_integrity", &statement, Target::NoDifference));
            evidence.push(compared(&id, "numeric(10,6), nullable", Vec::new()));
            if at % 2 == 0 {
                let id = format!("format.number.{table}.column_{at:02}");
                let statement = format!("Every {table}.column_{at:02} has at most 6 decimals.");
                claims.push(claim(&id, "data_formats", &statement, rows()));
                evidence.push(counted(&id, 20_000, 200_000, 0, Vec::new()));
            }
        }
        for policy in ["retention", "compression"] {
            let id = format!("schema.{table}.policy.{policy}");
            let statement = format!("{table} has its {policy} policy.");
            claims.push(claim(&id, "schema_integrity", &statement, Target::NoDifference));
            evidence.push(not_measured(
                &id,
                "needs the Community edition of TimescaleDB; this server runs the Apache edition",
            ));
        }
    }
    for query in [
        "latest_greeks",
        "historical_greeks",
        "latest_indicator",
        "moneyness_greeks",
        "save_greeks",
        "save_indicator",
    ] {
        for (part, statement) in [
            ("prepares", "can be prepared on the server"),
            ("parameters", "takes the contracted parameters"),
            ("result", "returns the contracted columns"),
            ("plan", "uses its index and leaves out chunks that were not asked for"),
        ] {
            let id = format!("query.{query}.{part}");
            claims.push(claim(
                &id,
                "query_contracts",
                &format!("{query} {statement}."),
                Target::NoDifference,
            ));
            evidence.push(compared(&id, "as contracted", Vec::new()));
        }
        let id = format!("load.queries.{query}");
        let mut load =
            claim(&id, "load_queries", &format!("{query} answers within its limit."), p95(50.0));
        load.producer = Producer::Load;
        claims.push(load);
    }
    for at in 0..6 {
        let id = format!("server.setting.setting_{at}");
        claims.push(claim(
            &id,
            "server",
            &format!("setting_{at} has its contracted value."),
            Target::NoDifference,
        ));
        evidence.push(compared(&id, "on", Vec::new()));
    }
    for at in 0..8 {
        let id = format!("migration.step_{at}");
        claims.push(claim(
            &id,
            "migration_integrity",
            &format!("Migration {at} is applied with its checksum."),
            Target::NoDifference,
        ));
        evidence.push(compared(&id, "applied, checksum equal", Vec::new()));
    }
    for (area, kind, producer, count) in [
        ("failure_modes", "drill", Producer::Drill, 24),
        ("repository_coverage", "repository.method", Producer::Coverage, 18),
        ("critical_path", "critical_path", Producer::Coverage, 9),
        ("line_coverage", "coverage", Producer::Coverage, 12),
        ("load_pool", "load.pool", Producer::Load, 5),
        ("load_timescaledb", "load.timescaledb", Producer::Load, 4),
    ] {
        for at in 0..count {
            let id = format!("{kind}.item_{at:02}");
            let mut claim = claim(&id, area, &format!("What {kind} {at} promises holds."), rows());
            claim.producer = producer;
            claims.push(claim);
        }
    }
    let small = small();
    for (at, result) in small.claims.iter().enumerate().filter(|(at, _)| [1, 2, 5].contains(at)) {
        let id = format!("{}.again{at}", result.id);
        let mut again = claim(&id, &result.area, &result.statement, result.goal.clone());
        again.severity = result.severity;
        again.required = result.required;
        claims.push(again);
        evidence.extend(
            result.evidence.iter().cloned().map(|one| Evidence { claim: id.clone(), ..one }),
        );
    }
    Certificate::assemble(inputs(claims, evidence))
}

/// Every text of the run is [`HOSTILE`].
pub(crate) fn hostile() -> Certificate {
    let text = HOSTILE;
    let mut weights = weights();
    text.clone_into(&mut weights[0].title);
    text.clone_into(&mut weights[0].areas[0].title);
    text.clone_into(&mut weights[0].areas[0].name);
    let refuted = claim(text, text, text, Target::NoDifference);
    let measured = claim(
        &format!("m{text}"),
        text,
        text,
        Target::AtMost { statistic: text.to_owned(), limit: 1.0, unit: text.to_owned() },
    );
    let missing =
        claim(&format!("u{text}"), text, text, Target::NoneWrong { unit: text.to_owned() });
    let evidence = vec![
        compared(text, text, vec![finding(text, text, text, Some(text))]).by([text]),
        Evidence {
            claim: measured.id.clone(),
            method: text.to_owned(),
            statements: vec![text.to_owned()],
            outcome: Outcome::Measured {
                n: 100,
                n_needed: 59,
                value: 0.5,
                bound: 0.6,
                unit: text.to_owned(),
                statistics: vec![(text.to_owned(), 0.7)],
            },
        },
        not_measured(&missing.id, text),
        compared(&format!("stray{text}"), text, Vec::new()),
    ];
    let mut inputs = inputs(vec![refuted, measured, missing], evidence);
    inputs.weights = weights;
    for field in [
        &mut inputs.command,
        &mut inputs.started_at,
        &mut inputs.finished_at,
        &mut inputs.contract.name,
        &mut inputs.contract.version,
        &mut inputs.contract.digest,
    ] {
        text.clone_into(field);
    }
    inputs.profile = Some(text.to_owned());
    inputs.notes = vec![text.to_owned()];
    inputs.statements.insert(text.to_owned(), text.to_owned());
    inputs.problems = vec![text.to_owned()];
    inputs.timings.insert(text.to_owned(), 1.0);
    if let Some(server) = &mut inputs.server {
        for field in
            [&mut server.address, &mut server.role, &mut server.database, &mut server.postgresql]
        {
            text.clone_into(field);
        }
        server.edition = Some(text.to_owned());
        server.timescaledb = Some(text.to_owned());
        server.settings.insert(text.to_owned(), text.to_owned());
    }
    Certificate::assemble(inputs)
}
