//! The sabotages, family by family.

use std::time::Duration;

use super::{
    Heard, all_are_noticed, answers, believes, blurs, complains, forgets, limits, setting, sql,
};
use crate::drill::cases::{crash, network, outcome, pool, timeouts, values};

#[tokio::test(flavor = "multi_thread")]
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
async fn network() {
    all_are_noticed(
        network::DRILLS,
        vec![
            answers("network_latency", "answers turned into errors", complains),
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
async fn pool() {
    all_are_noticed(
        pool::DRILLS,
        vec![
            limits("pool_exhaustion", "a wait ten times as long", |pool| {
                pool.acquire_timeout = Duration::from_secs(4);
            }),
            limits("pool_overload", "no patience", |pool| {
                pool.acquire_timeout = Duration::from_millis(5);
            }),
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
