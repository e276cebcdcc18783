//! What would hold up a database with more rows, by the locks that a migration held and by what it did
//! under them.

use super::effects::{Effect, Kind};
use super::pressure::{TableEffect, strength};
use super::report::Finding;
use crate::sql::{split_name, spoken_name};

/// The findings about the tables of one migration. What it writes in the table of versions is no
/// backfill.
pub(super) fn of(changes: &[Effect], tables: &[TableEffect], versions: &str) -> Vec<Finding> {
    let (schema, name) = split_name(versions);
    let versions = spoken_name(schema, name);
    let tables: Vec<&TableEffect> = tables.iter().filter(|one| one.table != versions).collect();
    let mut findings = Vec::new();
    for table in tables.iter().filter(|table| table.rows > 0) {
        let one = One { changes, table, lock: table.strongest().map_or(0, strength) };
        let before = findings.len();
        findings.extend(
            [one.rewrite(), one.index(), one.key(), one.validation(), one.not_null()]
                .into_iter()
                .flatten(),
        );
        findings.extend(one.backfill(&tables));
        if findings.len() == before {
            findings.extend(one.writers_wait(&tables));
        }
    }
    findings
}

/// One table with rows.
struct One<'a> {
    changes: &'a [Effect],
    table: &'a TableEffect,
    lock: usize,
}

impl One<'_> {
    fn finding(&self, kind: &'static str, what: &str, remedy: &str) -> Finding {
        Finding { kind, what: format!("{what}: {}", self.table.words()), remedy: remedy.to_owned() }
    }

    /// Names of what was added or changed in this table, of one kind.
    fn changed(&self, kind: Kind, is_it: impl Fn(&Effect) -> bool) -> Option<String> {
        let own = self.changes.iter().filter(|one| {
            one.key.0 == kind && one.key.1 == self.table.table && one.after.is_some() && is_it(one)
        });
        let names: Vec<&str> = own.map(|one| one.key.2.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    fn rewrite(&self) -> Option<Finding> {
        let what = format!("writes every row of {} anew", self.table.table);
        let remedy = "add a column, fill it in batches, and switch over";
        self.table.rewritten.then(|| self.finding("rewrite", &what, remedy))
    }

    fn index(&self) -> Option<Finding> {
        let built = self.changed(Kind::Index, |_| true)?;
        let remedy = "build it with CREATE INDEX CONCURRENTLY beforehand and IF NOT EXISTS here";
        (self.lock >= strength("ShareLock")).then(|| {
            self.finding("blocking_index", &format!("builds {built} while writers wait"), remedy)
        })
    }

    /// A key whose index is built here; one that takes an index over reads no row.
    fn key(&self) -> Option<Finding> {
        let is_key = |one: &Effect| {
            let text = one.after.as_deref().unwrap_or_default();
            ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|kind| text.starts_with(kind))
                && one.before != one.after
        };
        let built = self.changed(Kind::Constraint, is_key)?;
        let what = format!("builds the index of {built} while nobody may read or write the table");
        let remedy = "build a unique index with CREATE UNIQUE INDEX CONCURRENTLY beforehand, and \
                      add the constraint USING INDEX";
        self.table.is_read_whole().then(|| self.finding("blocking_key", &what, remedy))
    }

    fn validation(&self) -> Option<Finding> {
        let is_checked = |one: &Effect| {
            let text = one.after.as_deref().unwrap_or_default();
            one.before.as_deref() != one.after.as_deref()
                && (text.starts_with("CHECK") || text.starts_with("FOREIGN KEY"))
                && !text.ends_with("NOT VALID")
                // Validating one that was there takes no lock that holds writers up.
                && one.before.as_deref() != Some(&format!("{text} NOT VALID"))
        };
        let checked = self.changed(Kind::Constraint, is_checked)?;
        (self.lock >= strength("ShareRowExclusiveLock")).then(|| {
            self.finding(
                "validation",
                &format!("checks every row for {checked} under its lock"),
                "add it NOT VALID, and VALIDATE it in the next migration",
            )
        })
    }

    /// The server reads nothing when a check that is valid says the same.
    fn not_null(&self) -> Option<Finding> {
        let is_set = |one: &Effect| {
            let has = |text: &Option<String>| {
                text.as_deref().is_some_and(|text| text.contains(" NOT NULL"))
            };
            one.before.is_some() && !has(&one.before) && has(&one.after)
        };
        let columns = self.changed(Kind::Column, is_set)?;
        let is_read = self.table.is_read_whole() && !self.table.rewritten;
        (is_read && self.lock == strength("AccessExclusiveLock")).then(|| {
            self.finding(
                "full_scan",
                &format!("reads every row for NOT NULL of {columns} while nobody may read the table"),
                "add CHECK (… IS NOT NULL) NOT VALID, VALIDATE it in the next migration, and SET NOT \
                 NULL after that, which then reads nothing",
            )
        })
    }

    /// Rows written, here or in another table, while nobody may read this one.
    fn backfill(&self, tables: &[&TableEffect]) -> Option<Finding> {
        if self.lock < strength("AccessExclusiveLock") || self.table.rewritten {
            return None;
        }
        let filled: Vec<String> = tables
            .iter()
            .filter(|one| one.written > 0)
            .map(|one| {
                let own = one.table == self.table.table;
                let of = if own { String::new() } else { format!(" of {}", one.table) };
                format!("{} rows{of}", one.written)
            })
            .collect();
        (!filled.is_empty()).then(|| {
            self.finding(
                "lock_across_backfill",
                &format!("writes {} while nobody may read the table", filled.join(" and ")),
                "change the table in one migration and fill it in the next",
            )
        })
    }

    /// Rows read or written under a lock that lets readers pass and keeps writers waiting.
    fn writers_wait(&self, tables: &[&TableEffect]) -> Option<Finding> {
        let waits = strength("ShareLock")..strength("AccessExclusiveLock");
        let done: Vec<String> = tables
            .iter()
            .filter_map(|one| match (one.written, one.is_read_whole()) {
                (0, false) => None,
                (0, true) => Some(format!("reads the {} rows of {}", one.rows, one.table)),
                (rows, _) => Some(format!("writes {rows} rows of {}", one.table)),
            })
            .collect();
        (waits.contains(&self.lock) && !done.is_empty()).then(|| {
            self.finding(
                "writers_wait",
                &format!("{} while writers of {} wait", done.join(" and "), self.table.table),
                "do that in a migration of its own, before or after the one that takes the lock",
            )
        })
    }
}
