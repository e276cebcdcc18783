//! One migration under readers and writers: which locks it took, how long it held them and kept
//! others waiting, and which tables it wrote anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pg_session::Config;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::super::{Options, ledger, script};
use crate::Error;
use crate::contract::{Contract, Migration};
use crate::sql::{qualified, spoken_name};

/// Pause between two probes of one table.
const PAUSE: Duration = Duration::from_millis(1);
/// Tables that are probed at most; each takes two sessions.
const PROBED: usize = 20;

/// What a migration did to one table that was there before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TableEffect {
    /// The table.
    pub table: String,
    /// Rows that it had.
    pub rows: i64,
    /// Locks that the migration held on it or its chunks at its end, weakest first.
    pub locks: Vec<String>,
    /// Milliseconds from the first sight of its strongest lock to the end of the migration; 0 without one.
    pub held_ms: f64,
    /// Longest read meanwhile, in milliseconds.
    pub longest_read_ms: f64,
    /// Longest write meanwhile, in milliseconds.
    pub longest_write_ms: f64,
    /// Whether its rows, or those of a chunk, were written anew.
    pub rewritten: bool,
    /// Rows that the migration inserted, updated or deleted in it.
    pub written: i64,
    /// Rows that it read one after the other: by scans, checks and builds of indexes.
    pub scanned: i64,
}

impl TableEffect {
    /// Whether every row was read.
    pub(super) fn is_read_whole(&self) -> bool {
        self.rows > 0 && self.scanned >= self.rows
    }

    /// The strongest lock, if there is one.
    pub(super) fn strongest(&self) -> Option<&str> {
        self.locks.last().map(String::as_str)
    }

    /// What was measured, in words.
    pub(super) fn words(&self) -> String {
        format!(
            "{} held {:.1} ms on {} with {} rows; longest read {:.1} ms, longest write {:.1} ms",
            self.strongest().unwrap_or("no lock"),
            self.held_ms,
            self.table,
            self.rows,
            self.longest_read_ms,
            self.longest_write_ms
        )
    }
}

/// PostgreSQL's lock modes, weakest first.
const MODES: [&str; 8] = [
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
];

/// How strong a lock mode is.
pub(super) fn strength(mode: &str) -> usize {
    MODES.iter().position(|one| *one == mode).unwrap_or_default()
}

/// First sight of each lock mode on each table, by the table's number.
type Sights = BTreeMap<(u32, String), Instant>;

/// Applies a migration while its tables are read and written.
pub(super) async fn apply(
    config: &Config,
    client: &Client,
    contract: &Contract,
    migration: &Migration,
    tables: &[(String, String)],
) -> Result<Vec<TableEffect>, Error> {
    let mut effects = BTreeMap::new();
    for (schema, name) in tables {
        let qualified = qualified(schema, name);
        let row = client.query_one("SELECT $1::text::regclass::oid", &[&qualified]).await?;
        let count = format!("SELECT count(*) FROM {qualified}");
        let rows: i64 = client.query_one(&count, &[]).await?.try_get(0)?;
        let table = spoken_name(schema, name);
        let oid: u32 = row.try_get(0)?;
        effects.insert(oid, (TableEffect { table, rows, ..TableEffect::default() }, qualified));
    }
    let before = files(client).await?;
    // A session of its own: its statistics start at zero.
    let mut session = pg_session::connect(config).await?;
    let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;

    let stop = Arc::new(AtomicBool::new(false));
    let mut probes: JoinSet<Result<(u32, bool, Duration), Error>> = JoinSet::new();
    for (oid, (effect, qualified)) in effects.iter().take(PROBED) {
        let read = format!("SELECT count(*) FROM (SELECT FROM {qualified} LIMIT 10) AS few");
        probes.spawn(probe(config.clone(), stop.clone(), *oid, false, read));
        if effect.rows > 0 {
            // A deletion that finds nothing takes the lock of a writer and leaves every row alone.
            let write = format!("DELETE FROM {qualified} WHERE false");
            probes.spawn(probe(config.clone(), stop.clone(), *oid, true, write));
        }
    }
    let mut watching: JoinSet<Result<Sights, Error>> = JoinSet::new();
    watching.spawn(watch(config.clone(), stop.clone(), pid));
    // Everybody is at work before the migration begins.
    sleep(Duration::from_millis(50)).await;
    let outcome = run(client, pid, &mut session, contract, migration).await;
    let ended = Instant::now();
    sleep(PAUSE * 5).await;
    stop.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    while let Some(one) = probes.join_next().await {
        waits.push(one.map_err(|error| Error::Interrupted(error.to_string()))??);
    }
    let mut sights = Sights::new();
    while let Some(one) = watching.join_next().await {
        sights.extend(one.map_err(|error| Error::Interrupted(error.to_string()))??);
    }
    let held = outcome?;
    let after = files(client).await?;
    let mut all = Vec::new();
    for (oid, (mut effect, _)) in effects {
        for (_, is_write, longest) in waits.iter().filter(|(of, ..)| *of == oid) {
            let milliseconds = longest.as_secs_f64() * 1_000.0;
            if *is_write {
                effect.longest_write_ms = milliseconds;
            } else {
                effect.longest_read_ms = milliseconds;
            }
        }
        let mut modes: Vec<String> = held.locks.get(&oid).into_iter().flatten().cloned().collect();
        modes.sort_by_key(|mode| strength(mode));
        effect.locks = modes;
        if let Some(mode) = effect.strongest() {
            // A lock that was too short for the watch was held at the last look all the same.
            let since = sights.get(&(oid, mode.to_owned())).map_or(held.at, |at| held.at.min(*at));
            effect.held_ms = ended.saturating_duration_since(since).as_secs_f64() * 1_000.0;
        }
        (effect.written, effect.scanned) = held.written.get(&oid).copied().unwrap_or_default();
        let own = |files: &BTreeMap<(u32, u32), u32>| -> BTreeMap<u32, u32> {
            let mine = files.iter().filter(|((table, _), _)| *table == oid);
            mine.map(|((_, relation), file)| (*relation, *file)).collect()
        };
        let (old, new) = (own(&before), own(&after));
        effect.rewritten =
            old.iter().any(|(relation, file)| new.get(relation).is_some_and(|other| other != file));
        all.push(effect);
    }
    Ok(all)
}

/// What the migration held, and had written and read, just before it committed, by the table's number.
#[derive(Debug)]
struct Held {
    at: Instant,
    locks: BTreeMap<u32, BTreeSet<String>>,
    written: BTreeMap<u32, (i64, i64)>,
}

/// Runs the script in the transaction of a session, looks, also from a witness, and commits.
async fn run(
    witness: &Client,
    pid: i32,
    session: &mut Client,
    contract: &Contract,
    migration: &Migration,
) -> Result<Held, Error> {
    let mut held = Held { at: Instant::now(), locks: BTreeMap::new(), written: BTreeMap::new() };
    let inspected = async |transaction: &tokio_postgres::Transaction<'_>| {
        held.at = Instant::now();
        for row in witness.query(include_str!("watch.sql"), &[&pid]).await? {
            let (table, mode): (u32, String) = (row.try_get(0)?, row.try_get(1)?);
            held.locks.entry(table).or_default().insert(mode);
        }
        for row in transaction.query(include_str!("written.sql"), &[]).await? {
            held.written.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
        }
        Ok(())
    };
    ledger::create(session).await?;
    script::apply_and_look(session, contract, migration, &Options::default(), inspected).await?;
    Ok(held)
}

/// The files of tables and their chunks or partitions, by table and relation.
async fn files(client: &Client) -> Result<BTreeMap<(u32, u32), u32>, Error> {
    let rows = client.query(include_str!("files.sql"), &[]).await?;
    rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}

/// Repeats a statement until told to stop, and gives the longest time that it took.
async fn probe(
    config: Config,
    stop: Arc<AtomicBool>,
    oid: u32,
    is_write: bool,
    sql: String,
) -> Result<(u32, bool, Duration), Error> {
    let client = pg_session::connect(&config).await?;
    let mut longest = Duration::ZERO;
    // The first run warms the session up.
    client.batch_execute(&sql).await?;
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        // A table or column may be gone by now; that the statement had to wait counts all the same.
        let answer = client.batch_execute(&sql).await;
        longest = longest.max(started.elapsed());
        match answer {
            Err(error) if error.as_db_error().is_none() => return Err(error.into()),
            _ => sleep(PAUSE).await,
        }
    }
    Ok((oid, is_write, longest))
}

/// Watches the locks of a session until told to stop.
async fn watch(config: Config, stop: Arc<AtomicBool>, pid: i32) -> Result<Sights, Error> {
    let client = pg_session::connect(&config).await?;
    let statement = client.prepare(include_str!("watch.sql")).await?;
    let mut sights = Sights::new();
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        for row in client.query(&statement, &[&pid]).await? {
            sights.entry((row.try_get(0)?, row.try_get(1)?)).or_insert(now);
        }
        sleep(PAUSE).await;
    }
    Ok(sights)
}
