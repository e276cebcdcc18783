//! The memory of the process over many reads, and that of the server's processes
//! which serve it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pg_session::connect;
use pg_session::tokio_postgres::Client;
use signal_store::InstrumentKey;

use crate::Result;
use crate::figures::{Figure, Target};
use crate::reads;
use crate::setup::Bench;

const TASKS: u64 = 50;
/// What allocators may keep for themselves.
const SLACK: u64 = 1024;

pub(crate) async fn measure(bench: &Bench, count: u64) -> Result<Vec<Figure>> {
    let keys = reads::keys(bench).await?;
    let keys: Arc<[InstrumentKey]> =
        keys.iter().map(|key| InstrumentKey::new(key)).collect::<Result<_, _>>()?;
    let store = reads::store(bench).await?;
    let client = connect(&bench.config()?).await?;
    let (mut own, mut served) = (Vec::new(), Vec::new());
    // A tenth of the reads to warm up, then the memory after each further tenth.
    for tenth in 0..=10_u64 {
        let left = Arc::new(AtomicU64::new(count / 10));
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (store, keys, left) = (store.clone(), Arc::clone(&keys), Arc::clone(&left));
                tokio::spawn(async move {
                    let mut at = usize::try_from(task)?;
                    let take = |left: u64| left.checked_sub(1);
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                        at += 1;
                        store.get_latest_greeks(&keys[at % keys.len()]).await?;
                    }
                    Result::<()>::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        own.push(memory("self", "VmRSS:")?);
        served.push(of_server(&client).await?);
        let (own, served) = (own.last().unwrap_or(&0), served.last().unwrap_or(&0));
        eprintln!(
            "memory: {} of {count} reads, {own} kB here, {served} kB in the server's processes",
            tenth * (count / 10)
        );
    }
    Ok(vec![
        figure("memory over many reads", count, &own),
        figure("memory of the server's processes for it", count, &served),
    ])
}

fn figure(what: &'static str, count: u64, samples: &[u64]) -> Figure {
    let first = samples.first().copied().unwrap_or_default();
    let last = samples.last().copied().unwrap_or_default();
    let most = samples.iter().copied().max().unwrap_or_default();
    let grown = most.saturating_sub(first);
    Figure {
        what,
        ours: format!(
            "{first} kB after warm-up, {last} kB in the end, at most {grown} kB more between, over {count} reads"
        ),
        beside: "–".to_owned(),
        ratio: None,
        target: Target::Limit("≤ 1 MiB more", grown <= SLACK),
    }
}

/// Memory of a process that is in use, in kB.
fn memory(process: &str, kind: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(kind));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("the system does not tell the process's memory")?.parse()?)
}

/// Memory of the processes that serve the store, without what they share.
async fn of_server(client: &Client) -> Result<u64> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1";
    let rows = client.query(sql, &[&signal_store::APPLICATION_NAME]).await?;
    rows.iter().map(|row| memory(&row.get::<_, i32>(0).to_string(), "RssAnon:")).sum()
}
