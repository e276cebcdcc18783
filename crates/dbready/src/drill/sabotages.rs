//! The sabotages: for each drill a layer, a database or a limit that is wrong on purpose, with which the
//! drill must be refuted. With an injector that does nothing each must be left unproven.

use std::time::Duration;

use pg_session::{Class, Isolation};

use super::heard::Heard;
use super::journal::Answer;
use super::sabotage::{Change, Sabotage, Twist};
use crate::verdict::Status;

/// A sabotage of one drill, and what must become of its claim.
pub(crate) struct Case {
    pub(crate) drill: &'static str,
    pub(crate) what: &'static str,
    pub(crate) sabotage: Sabotage,
    pub(crate) expected: Status,
}

/// An injector that does nothing.
pub(crate) fn idle(drill: &'static str) -> Case {
    let sabotage = Sabotage { no_fault: true, ..Sabotage::default() };
    Case { drill, what: "no fault", sabotage, expected: Status::Unproven }
}

/// Every sabotage but the idle ones.
pub(crate) fn all() -> Vec<Case> {
    let nothing = Sabotage::default;
    let refuted = |drill, what, sabotage| Case { drill, what, sabotage, expected: Status::Refuted };
    let twisted = TWISTED.iter().flat_map(|(what, twist, drills)| {
        let sabotage = move || Sabotage { answer: Some(*twist), ..nothing() };
        drills.iter().map(move |drill| refuted(drill, what, sabotage()))
    });
    let limited = LIMITS.iter().map(|(drill, what, change)| {
        refuted(drill, what, Sabotage { limits: Some(*change), ..nothing() })
    });
    let set = SETTINGS.iter().map(|(drill, name, value)| {
        refuted(drill, name, Sabotage { setting: Some((name, value)), ..nothing() })
    });
    let weaker = WEAKER.iter().map(|(drill, what, asked, given)| {
        refuted(drill, what, Sabotage { isolation: Some((*asked, *given)), ..nothing() })
    });
    let spoilt = SPOILT
        .iter()
        .map(|(drill, what, sql)| refuted(drill, what, Sabotage { sql: Some(sql), ..nothing() }));
    twisted.chain(limited).chain(set).chain(weaker).chain(spoilt).collect()
}

/// Drills that hear the layer's answers twisted: how, by what, and which.
const TWISTED: &[(&str, Twist, &[&str])] = &[
    (
        "errors taken for success",
        believes,
        &[
            "disk_full_data",
            "disk_full_wal",
            "fsync_error",
            "isolation_anomalies",
            "limits",
            "missing_table",
            "network_reset",
            "partial_failure",
            "restart_herd",
            "scram_downgrade",
            "serialization_failure",
            "silent_commit",
            "tls_identity",
            "type_mismatch",
        ],
    ),
    (
        "errors without class",
        blurs,
        &[
            "connections_full",
            "constraint_violations",
            "copy_ingest",
            "credentials_rotated",
            "deadlock",
            "extension_drift",
            "idle_in_transaction_timeout",
            "missing_column",
            "missing_extension",
            "privilege_loss",
            "server_starting",
            "wrong_schema_version",
        ],
    ),
    (
        "answers turned into errors",
        complains,
        &[
            "chunk_deadlock",
            "client_death",
            "ddl_under_traffic",
            "dns",
            "drop_chunks_under_ingest",
            "garbled_stream",
            "lock_queue",
            "nested_transaction",
            "pool_overload",
            "pool_recovery",
            "savepoint_recovery",
            "schema_drift",
            "stale_idle_connections",
            "standby_conflict",
        ],
    ),
    (
        "successes denied",
        denies,
        &[
            "backend_terminated",
            "group_commit_crash",
            "read_only_primary",
            "server_restart_fast",
            "split_brain",
            "standby_failover",
            "unplanned_failover",
        ],
    ),
    (
        "unknown taken for not applied",
        forgets,
        &["lost_commit_acknowledgement", "network_cut_points", "synchronous_standby_stalled"],
    ),
    ("late answers turned into errors", hastens, &["clock_jump", "network_latency"]),
];

/// Drills whose pool has other limits.
const LIMITS: &[(&str, &str, Change)] = &[
    ("statement_timeout", "a limit ten times as long", |pool| {
        pool.command_timeout = Duration::from_secs(3);
    }),
    ("backend_frozen", "a limit ten times as long", |pool| {
        pool.command_timeout = Duration::from_secs(3);
    }),
    ("network_slow_drip", "a limit six times as long", |pool| {
        pool.command_timeout = Duration::from_secs(3);
    }),
    ("network_silence", "no limit to speak of", |pool| {
        pool.command_timeout = Duration::from_secs(30);
    }),
    ("dead_host", "a command deadline before TCP's", |pool| {
        pool.command_timeout = Duration::from_millis(300);
    }),
    ("pool_exhaustion", "a wait ten times as long", |pool| {
        pool.acquire_timeout = Duration::from_secs(4);
    }),
    ("connection_leak", "leaks reported too late", |pool| {
        pool.leak_after = Duration::from_secs(30);
    }),
];

/// Drills whose sessions have a setting changed.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("cancellation", "search_path", "public"),
    ("lock_timeout", "lock_timeout", "0"),
    // What is acknowledged is lost in earnest.
    ("backend_killed", "synchronous_commit", "off"),
    ("server_killed", "synchronous_commit", "off"),
    ("server_restart_immediate", "synchronous_commit", "off"),
];

/// Drills whose transactions run at another isolation level than they ask for.
const WEAKER: &[(&str, &str, Isolation, Isolation)] = &[
    (
        "isolation_anomalies",
        "repeatable read that is read committed",
        Isolation::RepeatableRead,
        Isolation::ReadCommitted,
    ),
    (
        "isolation_anomalies",
        "serializable that is repeatable read",
        Isolation::Serializable,
        Isolation::RepeatableRead,
    ),
];

/// Drills whose database is spoilt.
const SPOILT: &[(&str, &str, &str)] = &[
    (
        "hostile_values",
        "texts trimmed on their way in",
        "CREATE TABLE drill_text (id integer PRIMARY KEY, plain text, data jsonb);
             CREATE FUNCTION trimmed() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.plain := translate(NEW.plain, '$', ''); RETURN NEW; END $$;
             CREATE TRIGGER trimmed BEFORE INSERT ON drill_text
             FOR EACH ROW EXECUTE FUNCTION trimmed()",
    ),
    (
        "exactly_once_replay",
        "batches without a key",
        "CREATE TABLE drill_batch (id bigint); \
             CREATE TABLE drill_row (batch bigint NOT NULL, n integer NOT NULL)",
    ),
    (
        "retention",
        "a drop_chunks that drops five days too many",
        "CREATE FUNCTION public.drop_chunks(relation regclass, older_than timestamptz)
             RETURNS SETOF text LANGUAGE sql AS
             $$ SELECT public.drop_chunks(relation, now() - older_than - interval '5 days') $$",
    ),
];

/// Takes every error for a success.
fn believes(heard: Heard) -> Heard {
    Heard { answer: Answer::Acknowledged, class: None, sqlstate: None, ..heard }
}

/// Takes what is unknown for not applied.
fn forgets(heard: Heard) -> Heard {
    let unknown = heard.answer == Answer::Unknown;
    Heard { answer: if unknown { Answer::NotApplied } else { heard.answer }, ..heard }
}

/// Turns every answer into an error.
fn complains(heard: Heard) -> Heard {
    Heard { answer: Answer::NotApplied, class: Some(Class::Lost), ..heard }
}

/// Denies some of what took effect.
fn denies(heard: Heard) -> Heard {
    let denied = heard.class.is_none() && heard.took.as_micros().is_multiple_of(4);
    Heard { answer: if denied { Answer::NotApplied } else { heard.answer }, ..heard }
}

/// Takes every answer that comes late for an error.
fn hastens(heard: Heard) -> Heard {
    if heard.took.as_millis() < 80 { heard } else { complains(heard) }
}

/// Loses the class of every error.
fn blurs(heard: Heard) -> Heard {
    let class = heard.class.map(|_| Class::Other);
    Heard { class, sqlstate: None, ..heard }
}
