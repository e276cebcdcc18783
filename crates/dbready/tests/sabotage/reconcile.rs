//! Rollups that no longer hold what their rows add up to.

use dbready::catalog::Options;
use dbready::verdict::Status;

use crate::support::{connect, contract, database, judge_by, observe_by, run, sabotages};

const CLAIM: &str = "reconcile.signal_greeks_rollup";

/// Makes a change that no trigger sees.
const UNSEEN: &str = "SET session_replication_role = replica";

sabotages! {
    a_sum_of_one_bucket_altered: "UPDATE signal_greeks_rollup SET vega_sum = vega_sum + 0.000001
            WHERE (instrument_key, bucket) = (SELECT instrument_key, bucket FROM signal_greeks_rollup LIMIT 1)"
        => [CLAIM];
    a_count_altered: "UPDATE signal_greeks_rollup SET delta_count = delta_count - 1
            WHERE bucket = (SELECT max(bucket) FROM signal_greeks_rollup)"
        => [CLAIM];
    a_last_strike_altered: "UPDATE signal_greeks_rollup SET last_strike_price = 2401
            WHERE bucket = (SELECT min(bucket) FROM signal_greeks_rollup)"
        => [CLAIM];
    a_bucket_removed: "DELETE FROM signal_greeks_rollup
            WHERE (instrument_key, bucket) = (SELECT instrument_key, bucket FROM signal_greeks_rollup LIMIT 1)"
        => [CLAIM];
    a_bucket_of_nothing: "INSERT INTO signal_greeks_rollup
            SELECT 'NSE@NOTHING@EQ', bucket, chunk, data_points, last_timestamp, last_strike_price,
                delta_sum, delta_count, gamma_sum, gamma_count, theta_sum, theta_count, vega_sum,
                vega_count, rho_sum, rho_count, implied_volatility_sum, implied_volatility_count,
                theoretical_value_sum, theoretical_value_count, underlying_price_sum,
                underlying_price_count
            FROM signal_greeks_rollup LIMIT 1"
        => [CLAIM];
    a_late_row_while_a_trigger_is_missing:
        "DROP TRIGGER signal_greeks_rollup_insert ON signal_greeks;
            INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\", delta)
            SELECT signal_id, instrument_key, \"timestamp\", 0.5 FROM signal_greeks WHERE id = 7"
        => [CLAIM, "drift.signal_greeks.triggers"] words;
    a_change_that_no_trigger_saw: &format!("{UNSEEN};
            UPDATE signal_greeks SET delta = 0.25 WHERE id = 7; RESET session_replication_role")
        => [CLAIM];
    a_deletion_that_no_trigger_saw: &format!("{UNSEEN};
            DELETE FROM signal_greeks WHERE id = 7; RESET session_replication_role")
        => [CLAIM];
}

#[test]
fn a_missing_trigger_is_drift() {
    crate::support::prove(
        "DROP TRIGGER signal_greeks_rollup_update ON signal_greeks",
        &["drift.signal_greeks.triggers"],
        crate::support::Mend::Words,
    );
}

/// What reconciliation says after a change, when only so many rows are compared whole.
fn reconcile(whole_rows: u64, change: &str) -> (Status, String) {
    let database = database();
    run(async {
        connect(database.url()).await.batch_execute(change).await.unwrap();
        let options = Options { full_scan_rows: whole_rows, ..Options::default() };
        let seen = observe_by(contract(), database.url(), &options).await;
        let judgement = judge_by(contract(), &seen).remove(CLAIM).unwrap();
        let reason = judgement.reason.unwrap_or_default();
        (judgement.status, format!("{} {reason}", judgement.observed))
    })
}

#[test]
fn everything_is_compared_where_there_is_little() {
    let (status, observed) = reconcile(1_000_000, "SELECT 1");
    assert_eq!(status, Status::Proven, "{observed}");
    assert!(observed.contains("none wrong in all "), "{observed}");
}

#[test]
fn windows_show_a_late_row_that_no_trigger_saw() {
    let (status, observed) = reconcile(1, "SELECT 1");
    assert_eq!(status, Status::Proven, "{observed}");
    assert!(observed.contains("% wrong with 95 % confidence"), "{observed}");
    // Somewhere in the middle of the oldest chunk, and the last to be written there.
    let late = format!(
        "{UNSEEN}; INSERT INTO signal_greeks (signal_id, instrument_key, \"timestamp\", delta)
         VALUES ('signal_20250102_000001', 'NSE@STOCK7@EQ', '2025-01-02 11:17+00', 0.5)"
    );
    let (status, observed) = reconcile(1, &late);
    assert_eq!(status, Status::Refuted, "{observed}");
}

#[test]
fn rollups_that_nobody_refreshes_prove_nothing() {
    let stale = contract().model.rollups[0].mend.as_deref().unwrap();
    let (status, observed) = reconcile(1_000_000, stale);
    assert_eq!(status, Status::Unproven, "{observed}");
    assert!(observed.contains("no bucket is held"), "{observed}");
}

#[test]
fn rollups_of_a_dropped_chunk_are_not_served() {
    let drop =
        "SELECT drop_chunks('signal_greeks', older_than => '2025-01-04 00:00+00'::timestamptz)";
    let (status, observed) = reconcile(1_000_000, drop);
    assert_eq!(status, Status::Proven, "{observed}");
}
