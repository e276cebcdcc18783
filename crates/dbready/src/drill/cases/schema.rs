//! Schemas that change, lose something or are locked while the layer works on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pg_session::{Class, Pool, RetryPolicy, TransactionOptions};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::Error;
use crate::contract::source;
use crate::drill::Drill;
use crate::drill::heard::Heard;
use crate::drill::oracle::{examine, no_leak};
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{Scene, acquire, close, limits, until};
use crate::drill::traffic::{Manner, Traffic, millis};
use crate::migrate;

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "ddl_under_traffic",
        injects: "changes of tables under writers and under statements that all connections hold \
                  prepared",
        quick: true,
        run: |scene| Box::pin(ddl_under_traffic(scene)),
    },
    Drill {
        name: "lock_queue",
        injects: "a migration behind a long read, and readers behind the migration",
        quick: true,
        run: |scene| Box::pin(lock_queue(scene)),
    },
    Drill {
        name: "missing_column",
        injects: "a column dropped under prepared statements",
        quick: true,
        run: |scene| Box::pin(missing(scene, Lack::Column)),
    },
    Drill {
        name: "missing_table",
        injects: "a table dropped under prepared statements",
        quick: true,
        run: |scene| Box::pin(missing(scene, Lack::Table)),
    },
    Drill {
        name: "missing_extension",
        injects: "an extension dropped under prepared statements that use its functions",
        quick: true,
        run: |scene| Box::pin(missing(scene, Lack::Extension)),
    },
    Drill {
        name: "privilege_loss",
        injects: "privileges taken away under prepared statements",
        quick: true,
        run: |scene| Box::pin(privilege_loss(scene)),
    },
];

/// Changes that make the result of `SELECT *` another one, with a control of its own each.
const CHANGES: [&str; 4] = [
    "ALTER TABLE drill_target ADD COLUMN extra integer DEFAULT 1",
    "ALTER TABLE drill_target ALTER COLUMN extra TYPE bigint",
    "ALTER TABLE drill_target RENAME COLUMN extra TO more",
    "ALTER TABLE drill_target DROP COLUMN more",
];

const READ: &str = "SELECT * FROM drill_target WHERE op_id = 0";

async fn ddl_under_traffic(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute("INSERT INTO drill_target (op_id, payload) VALUES (0, 'x')").await?;
    for number in 0..scene.faults(4, 20) {
        // A budget of retries for each round.
        let pool = scene.pool(limits()).await?;
        let change = CHANGES[number as usize % CHANGES.len()];
        let mut trial = Trial::new(format!("`{change}`, {}", number + 1));
        // Every connection holds the statement prepared, and so does one that nobody heals.
        on_all_places(&pool, READ).await?;
        let control = examiner.prepare(READ).await?;
        let first = i64::from(number) * 1_000_000_000 + 1;
        let manner = Manner { writers: 4, ..Manner::default() };
        let mut traffic = Traffic::start(scene, &pool, manner, first)?;
        traffic.acknowledges(30, Duration::from_secs(10)).await;
        traffic.fault();
        if scene.sabotage.injects() {
            scene.examiner().await?.batch_execute(change).await?;
        }
        traffic.clear();
        traffic.acknowledges(30, Duration::from_secs(10)).await;
        let tally = traffic.stop().await?;
        let stale = Client::query(&examiner, &control, &[]).await.err();
        trial.asked(READ);
        let code = stale.as_ref().and_then(|error| error.code()).map(|code| code.code().to_owned());
        trial.proof(
            code.as_deref() == Some("0A000"),
            format!("the same statement without the layer: {code:?}"),
        );
        // Within a transaction the whole of it is run again.
        let (heard, attempts) = in_transaction(scene, &pool, READ).await;
        trial.expect_success("a transaction that the layer repeats", &heard);
        trial.expect(
            Invariant::Claimed,
            attempts <= 2,
            "healed once",
            format!("{attempts} attempts"),
        );
        // Each connection heals without its caller noticing.
        let begun = Instant::now();
        let heard = scene.hear(&on_all_places(&pool, READ).await, begun);
        trial.expect_success("the statement on all connections", &heard);
        examine(scene, &mut trial, &pool, &tally, &[]).await?;
        close(&pool, &examiner).await?;
        scene.close(trial);
    }
    Ok(())
}

/// Runs a statement on every connection of the pool.
async fn on_all_places(pool: &Pool, sql: &str) -> Result<(), pg_session::Error> {
    let mut sessions = Vec::new();
    for _ in 0..pool.options().max {
        sessions.push(acquire(pool).await?);
    }
    for session in &mut sessions {
        session.fetch(sql, &[]).await?;
    }
    Ok(())
}

/// Runs a statement in a transaction that the layer repeats if it sees fit; gives also how often it ran.
async fn in_transaction(scene: &Scene, pool: &Pool, statement: &str) -> (Heard, u32) {
    let attempts = AtomicU32::new(0);
    let begun = Instant::now();
    let options = TransactionOptions::default();
    let result = pool
        .transact(&options, &RetryPolicy::default(), async |transaction| {
            attempts.fetch_add(1, Ordering::Relaxed);
            transaction.fetch(statement, &[]).await
        })
        .await;
    (scene.hear(&result, begun), attempts.into_inner())
}

/// States that a statement was refused by an error that names what it lacks.
fn refused_by_name(trial: &mut Trial, heard: &Heard, class: Class, sqlstate: &str, name: &str) {
    trial.expect_refusal("the statement", heard, &[class]);
    trial.expect_sqlstate("the statement", heard, sqlstate);
    let named = heard.text.contains(name);
    trial.expect(Invariant::Claimed, named, format!("an error that names {name}"), &heard.text);
}

/// How long the migration of this drill may wait for a lock.
const MIGRATION_WAIT: Duration = Duration::from_millis(600);

async fn lock_queue(scene: &mut Scene) -> Result<(), Error> {
    let mut contract = source::load(None)?;
    // A last migration that needs the table for itself; what it records is as before.
    if let Some(last) = contract.migrations.last_mut() {
        let record = format!("INSERT INTO schema_version (version) VALUES ('{}')", last.version);
        last.up_sql = format!("ALTER TABLE signal_greeks ADD COLUMN drill integer; {record}");
    }
    let before = contract.migrations.iter().rev().nth(1).map(|one| one.version.clone());
    for number in 0..scene.faults(2, 8) {
        scene.timescale_database().await?;
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let mut migrator = scene.examiner().await?;
        let options =
            migrate::Options { lock_timeout: MIGRATION_WAIT, ..migrate::Options::default() };
        migrate::up(&mut migrator, &contract, before.as_ref(), &options, &|_| ()).await?;
        let holder = scene.examiner().await?;
        holder.batch_execute("BEGIN").await?;
        if scene.sabotage.injects() {
            holder.batch_execute("LOCK TABLE signal_greeks IN ACCESS SHARE MODE").await?;
        }
        let pool = scene.pool(limits()).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut readers = JoinSet::new();
        for _ in 0..4 {
            let (pool, stop, sabotage) = (pool.clone(), stop.clone(), scene.sabotage.clone());
            readers.spawn(async move {
                let mut longest = Heard::of(&Ok::<_, pg_session::Error>(()), Duration::ZERO);
                while !stop.load(Ordering::Acquire) {
                    let begun = Instant::now();
                    let result = async {
                        let sql = "SELECT count(*) FROM signal_greeks";
                        acquire(&pool).await?.fetch_value::<i64>(sql, &[]).await
                    };
                    let heard = sabotage.answer(Heard::of(&result.await, begun.elapsed()));
                    if heard.class.is_some() || heard.took > longest.took {
                        longest = heard;
                    }
                }
                longest
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let examiner = scene.examiner().await?;
        let queued = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drill' \
                      AND cardinality(pg_blocking_pids(pid)) > 0";
        let begun = Instant::now();
        let migration = migrate::up(&mut migrator, &contract, None, &options, &|_| ());
        let seen = until(MIGRATION_WAIT, async || {
            Ok(examiner.query_one(queued, &[]).await?.try_get::<_, i64>(0)? > 0)
        });
        let (migrated, seen) = tokio::join!(migration, seen);
        let waited = begun.elapsed();
        stop.store(true, Ordering::Release);
        trial.proof(seen?, "readers were seen waiting behind the migration");
        trial.proof(migrated.is_err(), "the migration gave up");
        trial.fact("migration_waited_ms", millis(waited));
        trial.expect_within("the migration", waited, MIGRATION_WAIT);
        while let Some(reader) = readers.join_next().await {
            let longest = reader.map_err(|error| Error::Interrupted(error.to_string()))?;
            trial.expect_success("the readers", &longest);
            trial.expect_within("the reader that waited longest", longest.took, MIGRATION_WAIT);
        }
        holder.batch_execute("ROLLBACK").await?;
        let again = migrate::up(&mut migrator, &contract, None, &options, &|_| ()).await;
        let text = again.err().map_or_else(String::new, |error| error.to_string());
        let expected = "the migration succeeds once the read is over";
        trial.expect(Invariant::Claimed, text.is_empty(), expected, text);
        no_leak(&mut trial, &examiner, &pool).await?;
        pool.close();
        scene.close(trial);
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Lack {
    Column,
    Table,
    Extension,
}

impl Lack {
    /// What takes it away, what brings it back, a statement that needs it, its SQLSTATE and the name
    /// that the error must hold.
    fn parts(self) -> [&'static str; 5] {
        match self {
            Self::Column => [
                "ALTER TABLE drill_target DROP COLUMN at",
                "ALTER TABLE drill_target ADD COLUMN at timestamptz",
                "SELECT op_id, at FROM drill_target",
                "42703",
                "at",
            ],
            Self::Table => [
                "ALTER TABLE drill_ledger RENAME TO drill_gone",
                "ALTER TABLE drill_gone RENAME TO drill_ledger",
                "SELECT op_id FROM drill_ledger",
                "42P01",
                "drill_ledger",
            ],
            Self::Extension => [
                "DROP EXTENSION timescaledb",
                // A session in which it was dropped cannot create it again.
                "SELECT 1",
                "SELECT time_bucket('1 hour', at) FROM drill_target",
                "42883",
                "time_bucket",
            ],
        }
    }
}

async fn missing(scene: &mut Scene, lack: Lack) -> Result<(), Error> {
    let [take, restore, statement, sqlstate, name] = lack.parts();
    for number in 0..scene.faults(2, 6) {
        match lack {
            Lack::Extension => scene.timescale_database().await?,
            _ => scene.database().await?,
        }
        let pool = scene.pool(limits()).await?;
        let examiner = scene.examiner().await?;
        let mut trial = Trial::new(format!("`{take}`, {}", number + 1));
        on_all_places(&pool, statement).await?;
        if scene.sabotage.injects() {
            scene.examiner().await?.batch_execute(take).await?;
        }
        let control = scene.examiner().await?.query(statement, &[]).await;
        let code = control.err().and_then(|error| error.code().map(|code| code.code().to_owned()));
        let expected = format!("the same statement without the layer: {code:?}");
        trial.proof(code.as_deref() == Some(sqlstate), expected);
        let log_length = scene.server.log_length()?;
        let (heard, attempts) = in_transaction(scene, &pool, statement).await;
        refused_by_name(&mut trial, &heard, Class::Drift, sqlstate, name);
        let logged = scene.server.log_since(log_length)?.matches("ERROR:").count();
        trial.fact("errors_logged", logged);
        let expected = "no retry beyond the one that heals a stale statement";
        trial.expect(Invariant::Claimed, attempts <= 2, expected, format!("{attempts} attempts"));
        if scene.sabotage.injects() {
            scene.examiner().await?.batch_execute(restore).await?;
        }
        let begun = Instant::now();
        let other =
            scene.hear(&on_all_places(&pool, "SELECT op_id FROM drill_target").await, begun);
        trial.expect_success("other statements on all connections", &other);
        no_leak(&mut trial, &examiner, &pool).await?;
        pool.close();
        scene.close(trial);
    }
    Ok(())
}

/// What is taken away, what needs it, and the name that the error must hold.
const PRIVILEGES: [(&str, &str, &str); 4] = [
    (
        "REVOKE SELECT ON drill_target FROM drill_clerk",
        "SELECT op_id FROM drill_target",
        "drill_target",
    ),
    (
        "REVOKE INSERT ON drill_ledger FROM drill_clerk",
        "INSERT INTO drill_ledger VALUES (1, 1, 1, 'x') ON CONFLICT DO NOTHING",
        "drill_ledger",
    ),
    (
        "REVOKE USAGE ON SCHEMA drill_room FROM drill_clerk",
        "SELECT n FROM drill_room.t",
        "drill_room",
    ),
    ("REVOKE EXECUTE ON FUNCTION drill_f() FROM drill_clerk", "SELECT drill_f()", "drill_f"),
];

const CLERK: &str = "DROP ROLE IF EXISTS drill_clerk;
    CREATE ROLE drill_clerk LOGIN PASSWORD 'clerk';
    CREATE SCHEMA drill_room;
    CREATE TABLE drill_room.t (n integer);
    CREATE FUNCTION drill_f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    REVOKE EXECUTE ON FUNCTION drill_f() FROM PUBLIC;
    GRANT USAGE ON SCHEMA drill_room TO drill_clerk;
    GRANT SELECT ON drill_room.t, drill_target, drill_ledger TO drill_clerk;
    GRANT INSERT ON drill_ledger TO drill_clerk;
    GRANT EXECUTE ON FUNCTION drill_f() TO drill_clerk";

async fn privilege_loss(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    examiner.batch_execute(CLERK).await?;
    let secret = pg_session::Secret::from("clerk");
    let config = scene.config()?.with_user("drill_clerk", Some(secret));
    let pool = scene.pool_at(config, limits()).await?;
    for (take, statement, name) in PRIVILEGES {
        let mut trial = Trial::new(format!("`{take}`"));
        on_all_places(&pool, statement).await?;
        if scene.sabotage.injects() {
            examiner.batch_execute(take).await?;
        }
        let log_length = scene.server.log_length()?;
        let (heard, attempts) = in_transaction(scene, &pool, statement).await;
        let log = scene.server.log_since(log_length)?;
        trial.proof(log.contains("permission denied"), "the server's log says: permission denied");
        refused_by_name(&mut trial, &heard, Class::Privilege, "42501", name);
        trial.expect_same(Invariant::Claimed, "attempts", &1, &attempts);
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    pool.close();
    Ok(())
}
