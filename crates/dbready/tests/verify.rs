//! Deliberately bad migrations, each named with what was measured.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod shop;

use std::future::Future;

use dbready::contract::{Contract, parse, source};
use dbready::migrate::verify::{self, Report};
use pg_local::{Cluster, Profile, Runtime};

/// The migration before the one that is judged.
const FIRST: &str = "migrations/1.0.0_initial.up.sql";

/// A small contract with 20,000 rows: the example of `docs/CONTRACT_FORMAT.md` whose second migration
/// is replaced, and the first one changed.
fn contract(breaking: &str, up: &str, down: &str, first: &[(&str, &str)]) -> Contract {
    let mut files = shop::files();
    let head = format!("-- version: 1.1.0\n-- description: next\n-- breaking: {breaking}\n\n");
    let record = "INSERT INTO schema_version (version) VALUES ('1.1.0');";
    let forget = "DELETE FROM schema_version WHERE version = '1.1.0';";
    let file = |way: &str| format!("migrations/1.1.0_note.{way}.sql");
    files.insert(file("up"), format!("{head}{up};\n{record}\n"));
    files.insert(file("down"), format!("{down};\n{forget}\n"));
    let seed = "INSERT INTO customer_order (customer, amount)
        SELECT 'c-' || lpad((n % 100)::text, 6, '0'), n FROM generate_series(1, 20000) n;\n";
    files.insert("seed.sql".to_owned(), seed.to_owned());
    let text = files.get_mut(FIRST).unwrap();
    for (from, to) in first {
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
    found_after(&[], breaking, up, down)
}

/// The same where the first migration is changed.
fn found_after(
    first: &[(&str, &str)],
    breaking: &str,
    up: &str,
    down: &str,
) -> (Vec<&'static str>, Report) {
    let report = verified(&contract(breaking, up, down, first));
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
fn a_lock_held_across_the_backfill_of_another_table() {
    let audit = "INSERT INTO schema_version (version) VALUES ('1.0.0');
        CREATE TABLE audit AS SELECT n FROM generate_series(1, 100) AS n;";
    let first = [("INSERT INTO schema_version (version) VALUES ('1.0.0');", audit)];
    let up = format!("{NOTE}; UPDATE audit SET n = n + 1");
    let (kinds, report) = found_after(&first, "no", &up, NO_NOTE);
    assert_eq!(kinds, ["lock_across_backfill"], "{}", report.text());
    let what = &report.migrations[1].findings[0].what;
    assert!(what.starts_with("writes 100 rows of audit while nobody may read the table"), "{what}");
}

#[test]
fn not_null_that_reads_every_row_and_not_null_that_reads_none() {
    let nullable = ("options jsonb NOT NULL DEFAULT '{}'", "options jsonb DEFAULT '{}'");
    let set = "ALTER TABLE customer_order ALTER COLUMN options SET NOT NULL";
    let unset = "ALTER TABLE customer_order ALTER COLUMN options DROP NOT NULL";
    let (kinds, report) = found_after(&[nullable], "yes", set, unset);
    assert_eq!(kinds, ["full_scan"], "{}", report.text());
    let what = &report.migrations[1].findings[0].what;
    assert!(what.starts_with("reads every row for NOT NULL of options while nobody"), "{what}");
    assert!(what.contains("AccessExclusiveLock held"), "{what}");
    // The server takes a valid check for it.
    let check = "CHECK (amount >= 0), CONSTRAINT filled CHECK (options IS NOT NULL)";
    let first = [nullable, ("CHECK (amount >= 0)", check)];
    let (kinds, report) = found_after(&first, "yes", set, unset);
    assert_eq!(kinds, [""; 0], "{}", report.text());
}

#[test]
fn a_key_built_on_a_filled_table_and_one_that_takes_an_index_over() {
    let add = "ALTER TABLE customer_order ADD CONSTRAINT one UNIQUE";
    let drop = "ALTER TABLE customer_order DROP CONSTRAINT one";
    let (kinds, report) = found("yes", &format!("{add} (customer, id)"), drop);
    assert_eq!(kinds, ["blocking_key"], "{}", report.text());
    let what = &report.migrations[1].findings[0].what;
    assert!(what.starts_with("builds the index of one while nobody may read or write"), "{what}");
    let index = "CREATE UNIQUE INDEX one ON customer_order (customer, id)";
    let with_index = format!("{index};\nCREATE INDEX customer_order_customer");
    let first = [("CREATE INDEX customer_order_customer", with_index.as_str())];
    let back = format!("{drop}; {index}");
    let (kinds, report) = found_after(&first, "yes", &format!("{add} USING INDEX one"), &back);
    assert_eq!(kinds, [""; 0], "{}", report.text());
    let replaced = "ALTER TABLE customer_order DROP CONSTRAINT customer_order_pkey,
        ADD CONSTRAINT customer_order_pkey PRIMARY KEY (id, customer)";
    let back = "ALTER TABLE customer_order DROP CONSTRAINT customer_order_pkey,
        ADD CONSTRAINT customer_order_pkey PRIMARY KEY (id)";
    let (kinds, report) = found("yes", replaced, back);
    assert_eq!(kinds, ["blocking_key"], "{}", report.text());
}

/// A trigger, whose lock keeps writers waiting, and a change of every row.
const TRIGGER: &str = "CREATE TRIGGER same BEFORE UPDATE ON customer_order
    FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
    UPDATE customer_order SET amount = amount + 1";
const NO_TRIGGER: &str = "DROP TRIGGER same ON customer_order";

#[test]
fn writers_that_wait_while_rows_are_written() {
    let (kinds, report) = found("no", TRIGGER, NO_TRIGGER);
    assert_eq!(kinds, ["writers_wait"], "{}", report.text());
    let what = &report.migrations[1].findings[0].what;
    let words = "writes 20000 rows of customer_order while writers of customer_order wait: \
                 ShareRowExclusiveLock held";
    assert!(what.starts_with(words), "{what}");
}

#[test]
fn what_the_header_accepts_is_shown_and_must_be_there() {
    let head = "no\n-- accepts: writers_wait: orders are few";
    let (kinds, report) = found(head, TRIGGER, NO_TRIGGER);
    assert_eq!(kinds, [""; 0], "{}", report.text());
    assert!(report.text().contains("; accepted: orders are few"), "{}", report.text());
    let (kinds, report) = found(head, NOTE, NO_NOTE);
    assert_eq!(kinds, ["accepted_in_vain"], "{}", report.text());
}

#[test]
fn rules_about_the_text_give_advice_and_decide_nothing() {
    // A rule sees a constraint without NOT VALID, the server a table without rows.
    let empty =
        ("INSERT INTO schema_version", "CREATE TABLE empty (n int);\nINSERT INTO schema_version");
    let up = "ALTER TABLE empty ADD CONSTRAINT few CHECK (n < 10)";
    let down = "ALTER TABLE empty DROP CONSTRAINT few";
    let (kinds, report) = found_after(&[empty], "yes", up, down);
    assert_eq!(kinds, [""; 0], "{}", report.text());
    let advice = &report.migrations[1].advice;
    let rules: Vec<&str> = advice.iter().map(|one| one.rule.as_str()).collect();
    assert_eq!(rules, ["constraint-missing-not-valid"]);
    assert_eq!(advice[0].line, 5);
    assert!(report.text().contains("- advice, line 5: "), "{}", report.text());
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
