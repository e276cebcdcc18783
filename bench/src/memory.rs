//! The memory of the process over many reads.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use signal_store::InstrumentKey;

use crate::Result;
use crate::figures::{Figure, Target};
use crate::reads;
use crate::setup::Bench;

const TASKS: u64 = 50;
/// What allocators may keep for themselves.
const SLACK: u64 = 1024;

pub(crate) async fn measure(bench: &Bench, count: u64) -> Result<Figure> {
    let keys = reads::keys(bench).await?;
    let keys: Arc<[InstrumentKey]> =
        keys.iter().map(|key| InstrumentKey::new(key)).collect::<Result<_, _>>()?;
    let store = reads::store(bench).await?;
    let mut samples = Vec::new();
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
        let used = resident()?;
        eprintln!("memory: {} of {count} reads, {used} kB", tenth * (count / 10));
        samples.push(used);
    }
    let first = samples.first().copied().unwrap_or_default();
    let most = samples.iter().copied().max().unwrap_or_default();
    let grown = most.saturating_sub(first);
    Ok(Figure {
        what: "memory over many reads",
        ours: format!("{first} kB, at most {grown} kB more over {count} reads"),
        beside: "–".to_owned(),
        ratio: None,
        target: Target::Limit("flat", grown <= SLACK),
    })
}

/// Memory of this process that is in use, in kB.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("the system does not tell the process's memory")?.parse()?)
}
