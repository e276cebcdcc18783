//! The task that keeps a pool warm and watches how it is used.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Pool, Shared, lock};
use crate::connection::Connection;

/// How often the pool is looked after when nothing calls for it.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a call for attention waits for others.
const GATHER: Duration = Duration::from_millis(10);
/// The share of places in use that calls for attention.
const ALERT_UTILISATION: f64 = 0.8;

/// Starts the task. It holds the pool only while it works, and ends when the
/// last handle of the pool is dropped.
pub(super) fn start(shared: &Arc<Shared>) {
    let pool = Arc::downgrade(shared);
    let attention = Arc::clone(&shared.attention);
    shared.runtime.spawn(async move {
        let mut alerted = false;
        loop {
            if timeout(INTERVAL, attention.notified()).await.is_ok() {
                // Connections that die together are replaced together.
                tokio::time::sleep(GATHER).await;
            }
            let Some(shared) = pool.upgrade() else { return };
            if shared.is_closed() {
                return;
            }
            drop_unfit(&shared);
            keep_warm(&shared).await;
            report_leaks(&shared);
            alerted = report_use(&Pool(shared), alerted);
        }
    });
}

/// Closes idle connections that are dead, old, or more than are needed.
fn drop_unfit(shared: &Shared) {
    let min = usize::try_from(shared.options.min).unwrap_or(usize::MAX);
    let out = lock(&shared.holders).known.len();
    let mut idle = lock(&shared.idle);
    let before = idle.len();
    idle.retain(|connection| connection.is_fit(shared.era()));
    // The connection used last is lent first, so those unused the longest come first.
    let surplus = (out + idle.len()).saturating_sub(min).min(idle.len());
    let unused = |connection: &&Connection| connection.returned.elapsed() > shared.options.max_idle;
    let surplus = idle.iter().take(surplus).take_while(unused).count();
    idle.drain(..surplus);
    let gone = (before - idle.len()) as u64;
    drop(idle);
    shared.counts.closed.fetch_add(gone, Ordering::Relaxed);
}

/// Opens connections until `min` are there. A failure is left to the next round.
async fn keep_warm(shared: &Arc<Shared>) {
    let min = usize::try_from(shared.options.min).unwrap_or(usize::MAX);
    loop {
        let there = lock(&shared.idle).len() + lock(&shared.holders).known.len();
        if there >= min || shared.is_closed() {
            return;
        }
        // The place keeps callers from opening more than `max` meanwhile.
        let Ok(_permit) = Arc::clone(&shared.places).try_acquire_owned() else { return };
        let deadline = Instant::now() + shared.options.acquire_timeout;
        match shared.connect(deadline).await {
            Ok(connection) => shared.put_idle(connection),
            Err(_) => return,
        }
    }
}

fn report_leaks(shared: &Shared) {
    let limit = shared.options.leak_after;
    for hold in lock(&shared.holders).known.values_mut() {
        let held = hold.since.elapsed();
        if held > limit && !hold.reported {
            hold.reported = true;
            metrics::counter!("pg_session_leaks_total").increment(1);
            tracing::warn!(location = %hold.location, ?held, "a session is held for too long");
        }
    }
}

/// Publishes the figures; warns once each time the use passes the limit.
fn report_use(pool: &Pool, alerted: bool) -> bool {
    let status = pool.status();
    let utilisation = status.utilisation();
    metrics::gauge!("pg_session_idle").set(u32::try_from(status.idle).unwrap_or(u32::MAX));
    metrics::gauge!("pg_session_out").set(u32::try_from(status.out).unwrap_or(u32::MAX));
    metrics::gauge!("pg_session_waiting").set(u32::try_from(status.waiting).unwrap_or(u32::MAX));
    metrics::gauge!("pg_session_utilisation").set(utilisation);
    if let Some(reuse) = status.reuse() {
        metrics::gauge!("pg_session_reuse_ratio").set(reuse);
    }
    let high = utilisation >= ALERT_UTILISATION;
    if high && !alerted {
        metrics::counter!("pg_session_alerts_total").increment(1);
        tracing::warn!(
            out = status.out,
            max = status.max,
            waiting = status.waiting,
            "the pool is nearly exhausted"
        );
    }
    high
}
