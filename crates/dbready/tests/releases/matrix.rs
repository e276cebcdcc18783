//! {old, new} queries × {old, new} schemas, on real databases.

use dbready::matrix::{Fare, Matrix, json, run, text};

use crate::shop;
use crate::support::{Files, block_on, contract, migrate, replace, server};

const QUERY: &str = "queries/latest_orders.sql";

/// The matrix of the shop against a changed one.
fn matrix(change: impl FnOnce(&mut Files)) -> Matrix {
    let old = shop::files();
    let mut new = old.clone();
    change(&mut new);
    let (_database, mut scratch) = server();
    block_on(async {
        let found = run(&mut scratch, &contract(&old), &contract(&new), &|_| ()).await;
        scratch.close().await.unwrap();
        found.unwrap()
    })
}

/// Which of old on old, old on new, new on old, new on new work.
fn works(matrix: &Matrix) -> [bool; 4] {
    [matrix.old_on_old, matrix.old_on_new, matrix.new_on_old, matrix.new_on_new]
}

#[test]
fn a_contract_against_itself_works_everywhere_with_rows() {
    let found = matrix(|_| ());
    assert_eq!(works(&found), [true; 4]);
    assert!(found.holds() && found.order.contains("any order"));
    assert_eq!((found.rows.len(), found.other_answers.len()), (2, 0));
    assert!(
        found.rows.iter().all(|row| row.on_old.rows == 10 && row.on_new.rows == 10),
        "{found:#?}"
    );
}

#[test]
fn a_column_that_goes_breaks_the_consumers_of_old_queries() {
    let found = matrix(|files| {
        migrate(
            files,
            "ALTER TABLE customer_order RENAME COLUMN amount TO total;",
            "ALTER TABLE customer_order RENAME COLUMN total TO amount;",
        );
        replace(files, QUERY, "amount", "total");
        replace(files, "contract.toml", "\"amount\", type", "\"total\", type");
        replace(files, "contract.toml", "customer_order.amount", "customer_order.total");
        replace(files, "contract.toml", "(amount >=", "(total >=");
        replace(files, "seed.sql", "placed_at, amount", "placed_at, total");
    });
    assert_eq!(works(&found), [true, false, false, true]);
    assert!(!found.holds());
    assert_eq!(found.broken_consumers, ["web shop"]);
    let row = &found.rows[0];
    assert_eq!((row.query.as_str(), row.on_new.fare), ("latest_orders", Fare::Fails));
    assert!(row.on_new.detail.contains("amount"), "{row:#?}");
    let shown = text(&found);
    for words in [
        "0 of 1 work",
        "latest_orders of the old contract fails on the new schema",
        "web shop",
        "only together",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    let document: serde_json::Value = serde_json::from_str(&json(&found)).unwrap();
    assert_eq!(document["rows"][0]["on_new"]["fare"], "fails");
}

#[test]
fn what_is_added_lets_the_schema_come_first() {
    let found = matrix(|files| {
        migrate(
            files,
            "ALTER TABLE customer_order ADD COLUMN tip numeric(12,2) NOT NULL DEFAULT 0;",
            "ALTER TABLE customer_order DROP COLUMN tip;",
        );
        replace(files, QUERY, "amount", "amount, tip");
        replace(
            files,
            "contract.toml",
            "    { name = \"amount\", type = \"numeric(12,2)\" },\n",
            "    { name = \"amount\", type = \"numeric(12,2)\" },\n    { name = \"tip\", type = \"numeric(12,2)\" },\n",
        );
        replace(
            files,
            "contract.toml",
            "    { name = \"note\"",
            "    { name = \"tip\", type = \"numeric(12,2)\", default = \"0\", meaning = \"tip\" },\n    { name = \"note\"",
        );
    });
    assert_eq!(works(&found), [true, true, false, true]);
    assert!(found.holds() && found.order.contains("schema first"), "{}", found.order);
    assert_eq!(found.other_answers, ["latest_orders"]);
}

#[test]
fn another_type_and_other_rows_are_seen() {
    let retyped = matrix(|files| {
        migrate(
            files,
            "ALTER TABLE customer_order ALTER COLUMN amount TYPE numeric(14,2);",
            "ALTER TABLE customer_order ALTER COLUMN amount TYPE numeric(12,2);",
        );
        replace(files, "contract.toml", "numeric(12,2)", "numeric(14,2)");
    });
    assert_eq!(works(&retyped), [true, false, false, true]);
    assert!(
        retyped.rows[0].on_new.detail.contains("amount numeric(14,2), not amount numeric(12,2)"),
        "{retyped:#?}"
    );
    let doubled = matrix(|files| {
        migrate(files, "UPDATE customer_order SET amount = amount * 2 + 1;", "SELECT 1;");
    });
    assert_eq!(works(&doubled), [true, false, false, true]);
    assert_eq!(doubled.rows[0].on_new.fare, Fare::Differs);
}

#[test]
fn null_where_the_contract_rules_it_out_is_seen() {
    let found = matrix(|files| {
        migrate(
            files,
            "ALTER TABLE customer_order ALTER COLUMN amount DROP NOT NULL; UPDATE customer_order SET amount = NULL;",
            "UPDATE customer_order SET amount = 0; ALTER TABLE customer_order ALTER COLUMN amount SET NOT NULL;",
        );
    });
    assert!(found.rows[0].on_new.detail.contains("amount is null"), "{found:#?}");
}

#[test]
fn migrations_that_refuse_the_old_database_are_told_and_the_schema_is_built_anew() {
    let found = matrix(|files| {
        replace(
            files,
            "migrations/1.0.0_initial.up.sql",
            "CREATE INDEX",
            "-- edited\nCREATE INDEX",
        );
    });
    assert_eq!(works(&found), [true; 4]);
    assert!(
        found.notes.iter().any(|note| note.contains("refuse a database of the old contract")),
        "{found:#?}"
    );
}
