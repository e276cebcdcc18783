//! `docs/MIGRATIONS.md` says what the runner does.

use dbready::sql::MIGRATION_LOCK;

const PAGE: &str = include_str!("../../../../docs/MIGRATIONS.md");
const LEDGER: &str = include_str!("../../src/migrate/ledger.sql");
const REFUSALS: &str = concat!(
    include_str!("../../src/migrate/ledger.rs"),
    include_str!("../../src/migrate/error.rs")
);

/// The first cells of the rows of the table with that head.
fn first_cells(head: &str) -> Vec<&'static str> {
    let (_, rows) = PAGE.split_once(head).unwrap();
    let rows = rows.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').nth(1).unwrap().trim().trim_matches('`')).collect()
}

#[test]
fn the_page_names_the_columns_of_the_runners_table() {
    let columns: Vec<&str> = LEDGER
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(columns.len() > 5, "{columns:?}");
    assert_eq!(first_cells("| column of `dbready.migration` |"), columns);
}

#[test]
fn the_page_names_the_lock() {
    assert!(PAGE.contains(&format!("the key {MIGRATION_LOCK} ")));
}

/// Each refusal is quoted in the words of the program, with … for what it fills in.
#[test]
fn the_page_quotes_the_refusals() {
    let source: String = REFUSALS.replace("\\\n", "").split_whitespace().collect();
    let quoted = first_cells("| what is said |");
    assert_eq!(quoted.len(), 8);
    for said in quoted {
        let said = said.split('`').next().unwrap();
        for part in said.split('…').map(str::trim).filter(|part| part.len() > 8) {
            let squeezed: String =
                part.trim_matches(',').replace("record", "{expected}").split_whitespace().collect();
            assert!(source.contains(&squeezed), "{part}");
        }
    }
}
