//! Version tables that do not tell the truth.

use semver::Version;

use crate::catalog::{LEDGER_SCHEMA, LEDGER_TABLE};
use crate::contract::Contract;
use crate::prove::ground::Ground;
use crate::prove::sabotage::Sabotage;
use crate::sql::{qualified, quote_ident, quote_literal, split_name};

/// Newer than every version of a contract.
const FUTURE: Version = Version::new(999, 0, 0);
/// Older than every version of a contract.
const PAST: Version = Version::new(0, 0, 0);

/// Every sabotage of the family.
pub(super) fn derive(ground: &Ground<'_>) -> Vec<Sabotage> {
    let contract = ground.contract;
    let (Some(table), Some(first), Some(last)) = (
        contract.table(&contract.model.versioning.table),
        contract.migrations.first(),
        contract.migrations.last(),
    ) else {
        return Vec::new();
    };
    let rows = table.qualified();
    let is = |version: &Version| format!("WHERE version = {}", quote_literal(&version.to_string()));
    let ledger = qualified(LEDGER_SCHEMA, LEDGER_TABLE);
    let sql =
        |id: &str, what: &str, way: String| Sabotage::sql(format!("migration.{id}"), what, [way]);
    let mut all = vec![
        sql("version", "no version recorded", format!("DELETE FROM {rows}")),
        sql("version", "an unknown newest version", record(ground, &FUTURE.to_string())),
        sql("version", "a version that is none", record(ground, "none")),
        sql("history", "an unknown older version", record(ground, &PAST.to_string())),
        Sabotage::contract("migration.current", "a migration not applied", pending),
        sql(
            "checksums",
            "a script changed after it was applied",
            format!("UPDATE {ledger} SET checksum = repeat('0', 64) {}", is(&first.version)),
        ),
        sql(
            "checksums",
            "a version recorded by hand",
            format!("DELETE FROM {ledger} {}", is(&last.version)),
        ),
    ];
    if contract.migrations.len() > 1 {
        all.extend([
            sql(
                "current",
                "the newest version forgotten",
                format!("DELETE FROM {rows} {}", is(&last.version)),
            )
            .with(not_there_before(ground, &last.version)),
            sql(
                "history",
                "the oldest version forgotten",
                format!("DELETE FROM {rows} {}", is(&first.version)),
            ),
        ]);
        if table.columns.iter().any(|column| column.name == "applied_at") {
            all.push(sql(
                "history",
                "recorded out of order",
                format!(
                    "UPDATE {rows} SET applied_at = applied_at + INTERVAL '1000 years' {}",
                    is(&first.version)
                ),
            ));
        }
    }
    all
}

/// What the version brought is unknown to the contract once it counts as not applied.
fn not_there_before(ground: &Ground<'_>, last: &Version) -> Vec<String> {
    let is_new = |since: &Option<Version>| since.as_ref() == Some(last);
    let mut falls = Vec::new();
    for table in ground.tables() {
        let spoken = table.spoken_name();
        if is_new(&table.since) {
            falls.push("drift.tables".to_owned());
        }
        if table.columns.iter().any(|column| is_new(&column.since)) {
            falls.extend([format!("drift.{spoken}.columns"), format!("schema.{spoken}")]);
        }
        if table.constraints.iter().any(|constraint| is_new(&constraint.since)) {
            falls.push(format!("drift.{spoken}.constraints"));
        }
        if table.indexes.iter().any(|index| is_new(&index.since)) {
            let parts = ["indexes", "constraints"];
            falls.extend(parts.map(|part| format!("drift.{spoken}.{part}")));
        }
    }
    falls
}

/// A row for another version; what else must be filled is copied from a row that is there.
fn record(ground: &Ground<'_>, version: &str) -> String {
    let (schema, name) = split_name(&ground.contract.model.versioning.table);
    let table = ground.contract.table(&ground.contract.model.versioning.table);
    let must_fill = table
        .into_iter()
        .flat_map(|table| &table.columns)
        .filter(|column| {
            let filled = column.nullable
                || column.default.is_some()
                || column.generated.is_some()
                || column.identity.is_some();
            !filled && column.name != "version"
        })
        .fold(String::new(), |list, column| list + ", " + &quote_ident(&column.name));
    let rows = qualified(schema, name);
    format!(
        "INSERT INTO {rows} (version{must_fill}) SELECT {}{must_fill} FROM {rows} LIMIT 1",
        quote_literal(version)
    )
}

/// The contract has one migration more than the twin.
fn pending(contract: &mut Contract) {
    if let Some(last) = contract.migrations.last().cloned() {
        contract.migrations.push(crate::contract::Migration { version: FUTURE, ..last });
    }
}
