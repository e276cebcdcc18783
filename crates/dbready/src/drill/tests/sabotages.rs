//! The sabotages, family by family.

use std::time::Duration;

use super::{
    Heard, all_are_noticed, answers, believes, blurs, complains, denies, forgets, hastens, limits,
    setting, sql,
};
use crate::drill::cases::{
    crash, disk, ingest, network, outcome, pool, replication, schema, security, timeouts,
    transactions, values,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn outcome() {
    all_are_noticed(
        outcome::DRILLS,
        vec![
            answers("silent_commit", "errors of COMMIT taken for success", believes),
            setting("cancellation", "search_path", "public"),
            answers("lost_commit_acknowledgement", "unknown taken for not applied", forgets),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn timeouts() {
    all_are_noticed(
        timeouts::DRILLS,
        vec![
            limits("statement_timeout", "a limit ten times as long", |pool| {
                pool.command_timeout = Duration::from_secs(3);
            }),
            setting("lock_timeout", "lock_timeout", "0"),
            answers("idle_in_transaction_timeout", "errors without class", blurs),
            limits("backend_frozen", "a limit ten times as long", |pool| {
                pool.command_timeout = Duration::from_secs(3);
            }),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn network() {
    all_are_noticed(
        network::DRILLS,
        vec![
            answers("network_latency", "late answers turned into errors", hastens),
            limits("network_slow_drip", "a limit six times as long", |pool| {
                pool.command_timeout = Duration::from_secs(3);
            }),
            answers("network_reset", "errors taken for success", believes),
            limits("network_silence", "no limit to speak of", |pool| {
                pool.command_timeout = Duration::from_secs(30);
            }),
            answers("network_cut_points", "unknown taken for not applied", forgets),
            limits("dead_host", "a command deadline before TCP's", |pool| {
                pool.command_timeout = Duration::from_millis(300);
            }),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn crash() {
    let broken = |drill| answers(drill, "errors taken for success", believes as fn(Heard) -> Heard);
    all_are_noticed(
        crash::DRILLS,
        vec![
            broken("backend_terminated"),
            broken("backend_killed"),
            broken("server_restart_fast"),
            broken("server_restart_immediate"),
            broken("server_killed"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn values() {
    all_are_noticed(
        values::DRILLS,
        vec![
            answers("constraint_violations", "errors without class", blurs),
            answers("type_mismatch", "errors taken for success", believes),
            sql(
                "hostile_values",
                "texts trimmed on their way in",
                "CREATE TABLE drill_text (id integer PRIMARY KEY, plain text, data jsonb);
                 CREATE FUNCTION trimmed() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN NEW.plain := translate(NEW.plain, '$', ''); RETURN NEW; END $$;
                 CREATE TRIGGER trimmed BEFORE INSERT ON drill_text
                 FOR EACH ROW EXECUTE FUNCTION trimmed()",
            ),
            answers("limits", "errors taken for success", believes),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn pool() {
    all_are_noticed(
        pool::DRILLS,
        vec![
            limits("pool_exhaustion", "a wait ten times as long", |pool| {
                pool.acquire_timeout = Duration::from_secs(4);
            }),
            answers("pool_overload", "answers turned into errors", complains),
            limits("connection_leak", "leaks reported too late", |pool| {
                pool.leak_after = Duration::from_secs(30);
            }),
            answers("stale_idle_connections", "answers turned into errors", complains),
            answers("connections_full", "errors without class", blurs),
            answers("pool_recovery", "answers turned into errors", complains),
            answers("restart_herd", "errors taken for success", believes),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn transactions() {
    all_are_noticed(
        transactions::DRILLS,
        vec![
            answers("deadlock", "errors without class", blurs),
            answers("serialization_failure", "errors taken for success", believes),
            answers("nested_transaction", "answers turned into errors", complains),
            answers("savepoint_recovery", "answers turned into errors", complains),
            answers("partial_failure", "errors taken for success", believes),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn schema() {
    all_are_noticed(
        schema::DRILLS,
        vec![
            answers("ddl_under_traffic", "answers turned into errors", complains),
            answers("lock_queue", "answers turned into errors", complains),
            answers("missing_column", "errors without class", blurs),
            answers("missing_table", "errors taken for success", believes),
            answers("missing_extension", "errors without class", blurs),
            answers("privilege_loss", "errors without class", blurs),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn ingest() {
    all_are_noticed(
        ingest::DRILLS,
        vec![
            sql(
                "exactly_once_replay",
                "batches without a key",
                "CREATE TABLE drill_batch (id bigint); \
                 CREATE TABLE drill_row (batch bigint NOT NULL, n integer NOT NULL)",
            ),
            answers("copy_ingest", "errors without class", blurs),
            answers("chunk_deadlock", "answers turned into errors", complains),
            answers("drop_chunks_under_ingest", "answers turned into errors", complains),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn security() {
    all_are_noticed(
        security::DRILLS,
        vec![
            answers("garbled_stream", "answers turned into errors", complains),
            answers("tls_identity", "errors taken for success", believes),
            answers("scram_downgrade", "errors taken for success", believes),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn disk() {
    all_are_noticed(
        disk::DRILLS,
        vec![
            answers("disk_full_data", "errors taken for success", believes),
            answers("disk_full_wal", "errors taken for success", believes),
            answers("fsync_error", "errors taken for success", believes),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on servers of its own, on a machine that does nothing else"]
async fn replication() {
    all_are_noticed(
        replication::DRILLS,
        vec![
            answers("standby_failover", "successes denied", denies),
            answers("unplanned_failover", "successes denied", denies),
            answers("read_only_primary", "successes denied", denies),
            answers("synchronous_standby_stalled", "unknown taken for not applied", forgets),
            answers("standby_conflict", "answers turned into errors", complains),
        ],
    )
    .await;
}
