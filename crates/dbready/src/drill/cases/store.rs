//! The store of Signal Service on a database that is not, or no longer, as its contract has it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pg_session::Class;
use signal_store::{Error as StoreError, Retention, SCHEMA_VERSION, Store};

use crate::contract::{Contract, source};
use crate::drill::Drill;
use crate::drill::examiner::Examiner;
use crate::drill::heard::Heard;
use crate::drill::oracle::{examine, leaks_beyond};
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{GONE, Scene, acquire, close, limits, value};
use crate::drill::traffic::{Traffic, millis};
use crate::drill::work::Work;
use crate::sql::quote_literal;
use crate::verdict::{Status, judge};
use crate::{Error, catalog, check};

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "wrong_schema_version",
        injects: "databases of another schema version, and of none, under a store that connects or is \
                  connected",
        quick: true,
        run: |scene| Box::pin(wrong_schema_version(scene)),
    },
    Drill {
        name: "schema_drift",
        injects: "changes of every kind of object behind the back of a store at work",
        quick: true,
        run: |scene| Box::pin(schema_drift(scene)),
    },
    Drill {
        name: "retention",
        injects: "two clean-ups at once under writers and readers, on a hundred days of chunks",
        quick: true,
        run: |scene| Box::pin(retention(scene)),
    },
    Drill {
        name: "extension_drift",
        injects: "a catalog that names another version of TimescaleDB than the library on the disk",
        quick: true,
        run: |scene| Box::pin(extension_drift(scene)),
    },
];

/// A store on the drill's database, with the contract's schema.
pub(in crate::drill) async fn store(scene: &Scene) -> Result<Store, Error> {
    scene.store(scene.config()?).await.map_err(|error| of_store(&error))
}

fn of_store(error: &StoreError) -> Error {
    Error::Interrupted(format!("the store: {error}"))
}

/// What is done to the record of versions, and what it holds then.
const VERSIONS: [(&str, Option<&str>); 7] = [
    ("INSERT INTO schema_version (version) VALUES ('0.9.0')", Some("0.9.0")),
    ("INSERT INTO schema_version (version) VALUES ('2.0.0')", Some("2.0.0")),
    ("DELETE FROM schema_version WHERE version = '1.5.0'", Some("1.4.0")),
    ("INSERT INTO schema_version (version) VALUES ('1.6.0-beta')", Some("1.6.0-beta")),
    ("INSERT INTO schema_version (version) VALUES ('latest')", Some("latest")),
    ("DELETE FROM schema_version", None),
    ("ALTER TABLE schema_version RENAME TO drill_versions", None),
];

async fn wrong_schema_version(scene: &mut Scene) -> Result<(), Error> {
    scene.store_database().await?;
    scene.record.exhaustive = true;
    let examiner = scene.examiner().await?;
    examiner.batch_execute("CREATE TABLE drill_kept AS SELECT * FROM schema_version").await?;
    for (change, found) in VERSIONS {
        let mut trial = Trial::new(format!("`{change}`"));
        let living = store(scene).await?;
        if scene.sabotage.injects() {
            examiner.batch_execute(change).await?;
        }
        let last = "SELECT version FROM schema_version ORDER BY id DESC LIMIT 1";
        let said = examiner.query(last, &[]).await.ok();
        let said: Option<String> = said.and_then(|rows| rows.first().map(|row| row.get(0)));
        trial.proof(said.as_deref() == found, format!("the last version is {said:?}"));
        let begun = Instant::now();
        let asked = living.health().await;
        refused(scene, &mut trial, "a store that is connected", &asked, begun, found);
        close(living.pool(), &examiner).await?;
        let begun = Instant::now();
        let opened = scene.store(scene.config()?).await;
        refused(scene, &mut trial, "a store that connects", &opened, begun, found);
        leaks_beyond(&mut trial, &examiner, 0).await?;
        restore_versions(&examiner).await?;
        let begun = Instant::now();
        let again = scene.store(scene.config()?).await;
        let heard = scene.hear(&again, begun);
        trial.expect_success("a store that connects once the version is right", &heard);
        if let Ok(store) = again {
            close(store.pool(), &examiner).await?;
        }
        scene.close(trial);
    }
    Ok(())
}

async fn restore_versions(examiner: &Examiner) -> Result<(), Error> {
    let restore = "ALTER TABLE IF EXISTS drill_versions RENAME TO schema_version;
        TRUNCATE schema_version;
        INSERT INTO schema_version OVERRIDING SYSTEM VALUE SELECT * FROM drill_kept";
    Ok(examiner.batch_execute(restore).await?)
}

/// States that a store is refused with both versions named.
fn refused<T>(
    scene: &Scene,
    trial: &mut Trial,
    who: &str,
    result: &Result<T, StoreError>,
    begun: Instant,
    found: Option<&str>,
) {
    let heard = scene.hear(result, begun);
    trial.expect_refusal(who, &heard, &[Class::Drift]);
    trial.expect_within(who, heard.took, Duration::from_secs(5));
    let named = heard.text.contains(found.unwrap_or("none")) && heard.text.contains(SCHEMA_VERSION);
    let expected = format!("{who}: an error that names {SCHEMA_VERSION} and {found:?}");
    trial.expect(Invariant::Claimed, named, expected, heard.text);
}

/// A change, how it is undone, and the claim that must notice it.
const DRIFTS: [[&str; 3]; 14] = [
    [
        "ALTER TABLE signal_greeks ALTER COLUMN delta TYPE numeric(12,6)",
        "ALTER TABLE signal_greeks ALTER COLUMN delta TYPE numeric(10,6)",
        "schema.signal_greeks.column.delta",
    ],
    [
        "ALTER TABLE signal_greeks ALTER COLUMN created_at DROP DEFAULT",
        "ALTER TABLE signal_greeks ALTER COLUMN created_at SET DEFAULT now()",
        "schema.signal_greeks.column.created_at",
    ],
    [
        "ALTER TABLE signal_indicators ALTER COLUMN parameters DROP NOT NULL",
        "ALTER TABLE signal_indicators ALTER COLUMN parameters SET NOT NULL",
        "schema.signal_indicators.column.parameters",
    ],
    [
        "ALTER TABLE signal_moneyness_greeks RENAME COLUMN spot_price TO spot",
        "ALTER TABLE signal_moneyness_greeks RENAME COLUMN spot TO spot_price",
        "schema.signal_moneyness_greeks.column.spot_price",
    ],
    [
        "ALTER TABLE signal_greeks DROP CONSTRAINT signal_greeks_delta_check",
        "ALTER TABLE signal_greeks ADD CONSTRAINT signal_greeks_delta_check \
         CHECK (delta >= -5 AND delta <= 5)",
        "schema.signal_greeks.constraint.signal_greeks_delta_check",
    ],
    [
        "ALTER TABLE signal_ingest_batch DROP CONSTRAINT signal_ingest_batch_pkey",
        "ALTER TABLE signal_ingest_batch ADD CONSTRAINT signal_ingest_batch_pkey PRIMARY KEY (id)",
        "schema.signal_ingest_batch.constraint.signal_ingest_batch_pkey",
    ],
    [
        "DROP INDEX idx_signal_greeks_signal_id",
        "CREATE INDEX idx_signal_greeks_signal_id ON signal_greeks (signal_id)",
        "schema.signal_greeks.index.idx_signal_greeks_signal_id",
    ],
    [
        "SELECT set_chunk_time_interval('signal_greeks', interval '7 days')",
        "SELECT set_chunk_time_interval('signal_greeks', interval '1 day')",
        "schema.signal_greeks.hypertable",
    ],
    [
        "ALTER TABLE signal_custom_timeframes ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE signal_custom_timeframes DISABLE ROW LEVEL SECURITY",
        "schema.signal_custom_timeframes.row_security",
    ],
    [
        "ALTER TABLE signal_greeks ADD COLUMN drill integer",
        "ALTER TABLE signal_greeks DROP COLUMN drill",
        "drift.signal_greeks.columns",
    ],
    [
        "CREATE INDEX drill_index ON signal_indicators (created_at)",
        "DROP INDEX drill_index",
        "drift.signal_indicators.indexes",
    ],
    [
        "CREATE TRIGGER drill_trigger BEFORE UPDATE ON signal_custom_timeframes \
         FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP TRIGGER drill_trigger ON signal_custom_timeframes",
        "drift.signal_custom_timeframes.triggers",
    ],
    ["CREATE TABLE drill_stranger (id integer)", "DROP TABLE drill_stranger", "drift.tables"],
    [
        "CREATE FUNCTION drill_stranger() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION drill_stranger()",
        "drift.functions",
    ],
];

async fn schema_drift(scene: &mut Scene) -> Result<(), Error> {
    scene.store_database().await?;
    let contract = source::load(None)?;
    let mut looker = scene.examiner().await?;
    let examiner = scene.examiner().await?;
    // The drill's own tables are strangers here. What is changed is written down by the server.
    let ready = "DROP TABLE drill_target, drill_ledger; SET log_statement = 'ddl'";
    examiner.batch_execute(ready).await?;
    let base = not_kept(&mut looker, &contract).await?;
    let store = store(scene).await?;
    let work = Work::Signals(store.clone());
    for (at, [change, undo, claim]) in (1..).zip(DRIFTS) {
        let mut trial = Trial::new(format!("`{change}`"));
        let whole = !base.contains(claim);
        trial.expect(Invariant::Claimed, whole, format!("{claim} holds before"), "it does not");
        let heard = scene.sabotage.answer(work.write(2 * at, 0).await);
        trial.expect_success("the store before the change", &heard);
        let before = catalog_of(&examiner).await?;
        if scene.sabotage.injects() {
            examiner.batch_execute(change).await?;
        }
        let after = catalog_of(&examiner).await?;
        trial.proof(before != after, format!("the server's catalog is now {after}"));
        let begun = Instant::now();
        let refuted = not_kept(&mut looker, &contract).await?;
        trial.fact("noticed_within_ms", millis(begun.elapsed()));
        let new: Vec<&String> = refuted.difference(&base).collect();
        let noticed = refuted.contains(claim);
        trial.expect(
            Invariant::Claimed,
            noticed,
            format!("{claim} is refuted"),
            format!("{new:?}"),
        );
        trial.fact("refuted", new.len());
        // Whatever the store says meanwhile has the class of a schema that is not as expected.
        let heard = work.write(2 * at + 1, 0).await;
        let typed = [None, Some(Class::Drift), Some(Class::StaleStatement)].contains(&heard.class);
        let expected = "the store under the change: success, or an error of class drift";
        trial.expect(Invariant::TypedError, typed, expected, heard.in_words());
        if scene.sabotage.injects() {
            examiner.batch_execute(undo).await?;
        }
        let left = not_kept(&mut looker, &contract).await?;
        let healed: Vec<&String> = left.symmetric_difference(&base).collect();
        let expected = "everything holds again once it is undone";
        trial.expect(Invariant::Claimed, healed.is_empty(), expected, format!("{healed:?}"));
        let heard = scene.sabotage.answer(work.write(1_000 + at, 0).await);
        trial.expect_success("the store once it is undone", &heard);
        scene.close(trial);
    }
    close(store.pool(), &examiner).await
}

/// The claims of the checks that this database refutes.
async fn not_kept(looker: &mut Examiner, contract: &Contract) -> Result<BTreeSet<String>, Error> {
    let seen = catalog::observe(looker, contract, &catalog::Options::default()).await?;
    let evidence = check::examine(contract, &seen);
    looker.ran(seen.statements);
    let of = |claim: &crate::claim::Claim| {
        judge(claim, evidence.iter().find(|one| one.claim == claim.id)).status
    };
    let claims = check::plan(contract);
    let refuted = claims.into_iter().filter(|claim| of(claim) == Status::Refuted);
    Ok(refuted.map(|claim| claim.id).collect())
}

/// A digest of everything in the catalogs that belongs to the schema `public`.
async fn catalog_of(examiner: &Examiner) -> Result<String, Error> {
    value(examiner, ("drill/cases/catalog.sql", include_str!("catalog.sql"))).await
}

/// Records of an instrument for each day of the last hundred and ten.
const PAST: &str = "INSERT INTO signal_greeks (signal_id, instrument_key, timestamp)
    SELECT 'signal_00000000_000000', 'NSE@OLD@CE@' || 1000000000 + n, now() - interval '6 hours' * n
    FROM generate_series(4, 440) AS n";
/// For how many days records are kept.
const KEPT: u32 = 90;

async fn retention(scene: &mut Scene) -> Result<(), Error> {
    for number in 0..scene.faults(1, 6) {
        scene.store_database().await?;
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let examiner = scene.examiner().await?;
        if scene.sabotage.injects() {
            examiner.batch_execute(PAST).await?;
        }
        let chunks = "SELECT count(*) FROM show_chunks('signal_greeks')";
        let before: i64 = value(&examiner, chunks).await?;
        let rows: i64 = value(&examiner, OLD_ROWS).await?;
        let store = store(scene).await?;
        let work = Work::Signals(store.clone());
        let mut traffic = Traffic::of(scene, work, 4, 1)?;
        traffic.acknowledges(30, Duration::from_secs(10)).await;
        traffic.fault();
        let keep = Retention { greeks: Some(KEPT), ..Retention::default() };
        let begun = Instant::now();
        let both = tokio::join!(store.cleanup_old_data(&keep), store.cleanup_old_data(&keep));
        trial.fact("cleanup_ms", millis(begun.elapsed()));
        traffic.clear();
        traffic.acknowledges(30, Duration::from_secs(10)).await;
        let tally = traffic.stop().await?;
        let after: i64 = value(&examiner, chunks).await?;
        let dropped = before - after;
        trial.proof(dropped > 0, format!("{dropped} of {before} chunks are gone"));
        let under_way = tally.in_flight();
        trial.proof(under_way > 0, format!("{under_way} writes were under way"));
        removed(scene, &mut trial, &both, &examiner, rows).await?;
        examine(scene, &mut trial, store.pool(), &tally, GONE).await?;
        close(store.pool(), &examiner).await?;
        scene.close(trial);
    }
    Ok(())
}

/// Rows that were there before the drill began.
const OLD_ROWS: &str = "SELECT count(*) FROM signal_greeks WHERE instrument_key LIKE 'NSE@OLD@%'";

/// States what a clean-up, done twice at once, must have left and reported.
async fn removed(
    scene: &Scene,
    trial: &mut Trial,
    both: &(Result<signal_store::Cleanup, StoreError>, Result<signal_store::Cleanup, StoreError>),
    examiner: &Examiner,
    rows: i64,
) -> Result<(), Error> {
    let mut reported = 0;
    let mut limits = Vec::new();
    for (who, result) in [("one clean-up", &both.0), ("the other", &both.1)] {
        let heard = scene.sabotage.answer(Heard::of(result, Duration::ZERO));
        trial.expect_success(who, &heard);
        let Ok(cleanup) = result else { continue };
        let failed = cleanup.failure().map_or_else(String::new, ToString::to_string);
        trial.expect(Invariant::Claimed, failed.is_empty(), format!("{who}: all tables"), failed);
        reported += cleanup.rows();
        let greeks = cleanup.tables.iter().find(|table| table.table == "signal_greeks");
        limits.extend(greeks.map(|table| table.before));
    }
    let (Some(first), Some(last)) = (limits.iter().min(), limits.iter().max()) else {
        return Ok(());
    };
    let count = async |condition: String| -> Result<i64, Error> {
        value(examiner, &format!("{OLD_ROWS} AND {condition}")).await
    };
    let older = count(format!("timestamp < {}", quote_literal(&first.to_string()))).await?;
    trial.expect_same(Invariant::Claimed, "rows older than the limit", &0, &older);
    // The rows are six hours apart, so that their number follows from the limits.
    let wanted = "SELECT count(*) FROM generate_series(4, 440) AS n, signal_greeks AS young \
                  WHERE young.instrument_key = 'NSE@OLD@CE@1000000004' \
                  AND young.timestamp - interval '6 hours' * (n - 4) >= ";
    let wanted = format!("{wanted}{}::timestamptz", quote_literal(&last.to_string()));
    let wanted: i64 = value(examiner, &wanted).await?;
    let kept = count(format!("timestamp >= {}", quote_literal(&last.to_string()))).await?;
    trial.expect_same(Invariant::NoLoss, "rows younger than the limit", &wanted, &kept);
    let left: i64 = value(examiner, OLD_ROWS).await?;
    let gone = u64::try_from(rows - left).unwrap_or_default();
    trial.expect_same(Invariant::Claimed, "rows reported as removed", &gone, &reported);
    let whole = "SELECT count(*) FROM timescaledb_information.chunks \
                 WHERE hypertable_name = 'signal_greeks' AND range_end <= ";
    let whole = format!("{whole}{}::timestamptz", quote_literal(&first.to_string()));
    let left: i64 = value(examiner, &whole).await?;
    trial.expect_same(Invariant::Claimed, "old chunks that are left", &0, &left);
    Ok(())
}

/// A version of TimescaleDB of which no library is on the disk.
const STRANGER: &str = "0.0.1-drill";

async fn extension_drift(scene: &mut Scene) -> Result<(), Error> {
    for number in 0..scene.faults(1, 4) {
        scene.store_database().await?;
        let mut trial = Trial::new(format!("fault {}", number + 1));
        let examiner = scene.examiner().await?;
        let living = store(scene).await?;
        let work = Work::Signals(living.clone());
        trial.expect_success("the store before", &work.write(1, 0).await);
        if scene.sabotage.injects() {
            let rename = "UPDATE pg_extension SET extversion = $1 WHERE extname = 'timescaledb'";
            examiner.execute(rename, &[&STRANGER]).await?;
        }
        let control = scene.examiner().await?;
        let control = control.query("SELECT count(*) FROM signal_greeks", &[]).await.err();
        let code =
            control.as_ref().and_then(|error| error.code()).map(|code| code.code().to_owned());
        trial.proof(code.as_deref() == Some("58P01"), format!("without the layer: {code:?}"));
        let begun = Instant::now();
        let opened = scene.store(scene.config()?).await;
        let heard = scene.hear(&opened, begun);
        library_named(&mut trial, "a store that connects", &heard);
        let pool = scene.pool(limits()).await?;
        let begun = Instant::now();
        let counted = async {
            acquire(&pool)
                .await?
                .fetch_value::<i64>("SELECT count(*) FROM signal_greeks", &[])
                .await
        };
        let heard = scene.hear(&counted.await, begun);
        library_named(&mut trial, "a statement of a new session", &heard);
        pool.close();
        let mut asked = scene.examiner().await?;
        let contract = source::load(None)?;
        let said = match not_kept(&mut asked, &contract).await {
            Ok(refuted) => refuted.into_iter().collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        };
        let named = said.contains("server.extension.timescaledb") || said.contains(STRANGER);
        let expected = "the checks name the extension or its library";
        trial.expect(Invariant::Claimed, named, expected, said);
        living.pool().close();
        scene.close(trial);
    }
    Ok(())
}

fn library_named(trial: &mut Trial, who: &str, heard: &Heard) {
    trial.expect_refusal(who, heard, &[Class::Drift]);
    let named = heard.text.contains(STRANGER);
    let expected = format!("{who}: an error that names the library of {STRANGER}");
    trial.expect(Invariant::Claimed, named, expected, heard.text.clone());
}
