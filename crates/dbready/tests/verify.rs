//! Deliberately bad migrations, each named with what was measured.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::future::Future;

use dbready::contract::{Contract, parse, source};
use dbready::migrate::verify::{self, Report};
use pg_local::{Cluster, Profile, Runtime};

/// A small contract with 20,000 rows: the example of `docs/CONTRACT_FORMAT.md` whose second migration
/// is replaced.
fn contract(breaking: &str, up: &str, down: &str, document: &[(&str, &str)]) -> Contract {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONTRACT_FORMAT.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut files = BTreeMap::new();
    for block in page.split("\n```").skip(1).step_by(2) {
        let (head, text) = block.split_once('\n').unwrap();
        if let Some((_, file)) = head.split_once(' ') {
            files.insert(file.to_owned(), format!("{text}\n"));
        }
    }
    let head = format!("-- version: 1.1.0\n-- description: next\n-- breaking: {breaking}\n\n");
    let record = "INSERT INTO schema_version (version) VALUES ('1.1.0');";
    let forget = "DELETE FROM schema_version WHERE version = '1.1.0';";
    let file = |way: &str| format!("migrations/1.1.0_note.{way}.sql");
    files.insert(file("up"), format!("{head}{up};\n{record}\n"));
    files.insert(file("down"), format!("{down};\n{forget}\n"));
    let seed = "INSERT INTO customer_order (customer, amount)
        SELECT 'c-' || lpad((n % 100)::text, 6, '0'), n FROM generate_series(1, 20000) n;\n";
    files.insert("seed.sql".to_owned(), seed.to_owned());
    let text = files.get_mut("contract.toml").unwrap();
    for (from, to) in document {
        assert!(text.contains(from), "{from}");
        *text = text.replacen(from, to, 1);
    }
    parse(&files).unwrap_or_else(|error| panic!("{error}"))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work)
}

fn verified(contract: &Contract) -> Report {
    let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
    let cluster = Cluster::temporary(&runtime, Profile::Fast).unwrap();
    run(verify::run(&cluster, contract, &|_| ())).unwrap()
}

/// The kinds of what was found about the second migration, and the report.
fn found(breaking: &str, up: &str, down: &str) -> (Vec<&'static str>, Report) {
    let report = verified(&contract(breaking, up, down, &[]));
    (report.migrations[1].findings.iter().map(|one| one.kind).collect(), report)
}

const NOTE: &str = "ALTER TABLE customer_order ADD COLUMN note text";
const NO_NOTE: &str = "ALTER TABLE customer_order DROP COLUMN note";

#[test]
fn a_good_migration_is_sound_and_its_lock_is_measured() {
    let (kinds, report) = found("no", NOTE, NO_NOTE);
    assert_eq!(kinds, [""; 0], "{}", report.text());
    assert!(report.is_sound(), "{}", report.text());
    let [first, second] = &report.migrations[..] else { panic!("{}", report.text()) };
    assert!(first.rollback_restores && second.rollback_restores);
    assert!(!second.breaks);
    assert!(second.effects.contains(&"adds column customer_order.note: text".to_owned()));
    let orders = second.tables.iter().find(|one| one.table == "customer_order").unwrap();
    assert_eq!(orders.rows, 20_000);
    assert_eq!(orders.locks.last().map(String::as_str), Some("AccessExclusiveLock"));
    assert!(!orders.rewritten);
}

#[test]
fn an_index_built_while_writers_wait() {
    let up = format!("{NOTE}; CREATE INDEX by_amount ON customer_order (amount)");
    let (kinds, report) = found("no", &up, &format!("DROP INDEX by_amount; {NO_NOTE}"));
    assert!(kinds.contains(&"blocking_index"), "{}", report.text());
    let what = &report.migrations[1].findings[0].what;
    assert!(what.contains("builds by_amount while writers wait"), "{what}");
    assert!(what.contains("ms on customer_order with 20000 rows; longest read"), "{what}");
}

#[test]
fn a_lock_on_what_the_migration_made_is_no_lock_on_its_table() {
    let up = "CREATE INDEX by_amount ON customer_order (amount);
        UPDATE customer_order SET amount = amount + 1";
    let (kinds, report) = found("no", up, "DROP INDEX by_amount");
    assert_eq!(kinds, ["blocking_index"], "{}", report.text());
    let tables = &report.migrations[1].tables;
    let orders = tables.iter().find(|one| one.table == "customer_order").unwrap();
    assert_eq!(orders.locks.last().map(String::as_str), Some("ShareLock"));
    assert_eq!(orders.written, 20_000);
}

#[test]
fn a_table_written_anew() {
    let up = format!("{NOTE}; ALTER TABLE customer_order ALTER COLUMN amount TYPE numeric(14,3)");
    let down =
        format!("ALTER TABLE customer_order ALTER COLUMN amount TYPE numeric(12,2); {NO_NOTE}");
    let (kinds, report) = found("yes", &up, &down);
    assert_eq!(kinds, ["rewrite"], "{}", report.text());
    let orders = &report.migrations[1].tables.iter().find(|one| one.rewritten).unwrap();
    assert_eq!(orders.table, "customer_order");
    assert!(orders.held_ms > 0.0);
}

#[test]
fn a_breaking_flag_that_is_wrong_either_way() {
    let up = format!("{NOTE}; ALTER TABLE customer_order DROP COLUMN options");
    let back = "ALTER TABLE customer_order ADD COLUMN options jsonb NOT NULL DEFAULT '{}'";
    let (kinds, report) = found("no", &up, &format!("{back}; {NO_NOTE}"));
    assert!(kinds.contains(&"breaking_flag"), "{}", report.text());
    let what = &report.migrations[1].findings[0].what;
    assert_eq!(what, "declared not breaking, yet it removes column customer_order.options");
    let (kinds, report) = found("yes", NOTE, NO_NOTE);
    assert_eq!(kinds, ["breaking_flag"], "{}", report.text());
}

#[test]
fn a_rollback_that_loses_a_column() {
    let (kinds, report) =
        found("no", NOTE, "ALTER TABLE customer_order DROP COLUMN note, DROP COLUMN amount");
    assert!(kinds.contains(&"rollback_catalogs"), "{}", report.text());
    assert!(kinds.contains(&"rollback_data"), "{}", report.text());
    let text = report.text();
    assert!(text.contains("removes column customer_order.amount"), "{text}");
    assert!(text.contains("does not keep the values of customer_order.amount"), "{text}");
}

#[test]
fn a_rollback_that_restores_the_column_and_not_its_values() {
    let down = "ALTER TABLE customer_order DROP COLUMN note, DROP COLUMN placed_at;
        ALTER TABLE customer_order ADD COLUMN placed_at timestamptz NOT NULL DEFAULT now();
        CREATE INDEX customer_order_customer_placed_at ON customer_order (customer, placed_at DESC);
        UPDATE customer_order SET placed_at = '2000-01-01'";
    let (kinds, report) = found("no", NOTE, down);
    assert_eq!(kinds, ["rollback_data"], "{}", report.text());
}

#[test]
fn not_valid_forgotten_and_not_forgotten() {
    let check = "ALTER TABLE customer_order ADD CONSTRAINT small CHECK (amount < 1000000)";
    let down = format!("ALTER TABLE customer_order DROP CONSTRAINT small; {NO_NOTE}");
    let (kinds, report) = found("yes", &format!("{NOTE}; {check}"), &down);
    assert!(kinds.contains(&"validation"), "{}", report.text());
    let (kinds, report) = found("yes", &format!("{NOTE}; {check} NOT VALID"), &down);
    assert!(!kinds.contains(&"validation"), "{}", report.text());
}

#[test]
fn a_lock_held_across_a_backfill() {
    let up = format!("{NOTE}; UPDATE customer_order SET note = 'none'");
    let (kinds, report) = found("no", &up, NO_NOTE);
    assert_eq!(kinds, ["lock_across_backfill"], "{}", report.text());
    let what = &report.migrations[1].findings[0].what;
    assert!(what.starts_with("writes 20000 rows while nobody may read the table"), "{what}");
}

#[test]
fn migrations_that_do_not_lead_to_the_contract() {
    let other = "ALTER TABLE customer_order ADD COLUMN remark text";
    let report =
        verified(&contract("no", other, "ALTER TABLE customer_order DROP COLUMN remark", &[]));
    let whats: Vec<&str> = report.general.iter().map(|one| one.what.as_str()).collect();
    let column = "schema.customer_order.column.note: ";
    assert!(whats.iter().any(|what| what.starts_with(column)), "{whats:?}");
    let drift = "drift.customer_order.columns: ";
    assert!(whats.iter().any(|what| what.starts_with(drift)), "{whats:?}");
}

#[test]
fn the_migrations_of_signal_service_are_sound() {
    let report = verified(&source::load(None).unwrap());
    assert!(report.is_sound(), "{}", report.text());
}
