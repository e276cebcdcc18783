//! Versions: of the contract, and between which its parts exist.

use semver::Version;

use super::super::error::quoted;
use super::super::locate::Path;
use super::super::migration_file::Migrations;
use super::super::model::{Announcement, Model, Table};
use super::super::names::plain_version;
use super::queries::text;
use super::{Found, Index};

pub(super) fn problems(
    model: &Model,
    index: &Index<'_>,
    migrations: &Migrations,
    found: &mut Found,
) {
    let current = &model.service.version;
    let path = Path::new("service").key("version");
    if !plain_version(current) {
        found.push(path, format!("expected three numbers, such as 1.2.0, found {current}"));
    } else if let Some(last) = migrations.versions.last().filter(|last| *last != current) {
        let message =
            format!("expected {last}, the version of the last migration, found {current}");
        found.push(path, message);
    }
    let versioning = Path::new("versioning");
    let written = quoted(&model.versioning.table);
    match index.table(&model.versioning.table) {
        None if model.versioning.is_runners_own() => {}
        None => {
            let message = format!("expected a table of this contract, found `{written}`");
            found.push(versioning.key("table"), message);
        }
        Some(table) if !table.columns.iter().any(|column| column.name == "version") => {
            let message = format!("expected a column `version` in `{written}`, found none");
            found.push(versioning.key("table"), message);
        }
        Some(_) => {}
    }
    let changes = &model.versioning;
    found.listed("change", &versioning.key("breaking"), &changes.breaking, text);
    found.listed("change", &versioning.key("compatible"), &changes.compatible, text);
    announcements(&changes.announcements, &versioning.key("announcement"), found);
    let mut bounds = Bounds { migrations, found };
    for (at, table) in model.tables.iter().enumerate() {
        bounds.of_table(table, &Path::new("table").at(at));
    }
    for (at, one) in model.continuous_aggregates.iter().enumerate() {
        bounds.check(&Path::new("continuous_aggregate").at(at), one.since.as_ref(), None);
    }
    for (at, one) in model.rollups.iter().enumerate() {
        bounds.check(&Path::new("rollup").at(at), one.since.as_ref(), one.until.as_ref());
    }
    for (at, one) in model.roles.iter().enumerate() {
        let path = Path::new("role").at(at);
        bounds.check(&path, one.since.as_ref(), one.until.as_ref());
        for (at, one) in one.tables.iter().enumerate() {
            let path = path.key("table").at(at);
            bounds.check(&path, one.since.as_ref(), one.until.as_ref());
        }
    }
}

fn announcements(all: &[Announcement], path: &Path, found: &mut Found) {
    for (at, one) in all.iter().enumerate() {
        let path = path.at(at);
        found.not_blank(&path, "what", &one.what);
        if !plain_version(&one.version) {
            let message = format!("expected three numbers, such as 2.0.0, found {}", one.version);
            found.push(path.key("version"), message);
        }
        if all[..at].iter().any(|other| other.version == one.version) {
            let message = format!("version {} is announced twice; keep one", one.version);
            found.push(path.key("version"), message);
        }
        if one.effective < one.announced {
            let message =
                format!("expected a day from {} on, found {}", one.announced, one.effective);
            found.push(path.key("effective"), message);
        }
    }
}

struct Bounds<'a> {
    migrations: &'a Migrations,
    found: &'a mut Found,
}

impl Bounds<'_> {
    fn of_table(&mut self, table: &Table, path: &Path) {
        self.check(path, table.since.as_ref(), table.until.as_ref());
        for (at, one) in table.columns.iter().enumerate() {
            let path = path.key("column").at(at);
            self.check(&path, one.since.as_ref(), one.until.as_ref());
        }
        for (at, one) in table.constraints.iter().enumerate() {
            let path = path.key("constraint").at(at);
            self.check(&path, one.since.as_ref(), one.until.as_ref());
        }
        for (at, one) in table.indexes.iter().enumerate() {
            let path = path.key("index").at(at);
            self.check(&path, one.since.as_ref(), one.until.as_ref());
        }
        for (at, one) in table.triggers.iter().enumerate() {
            let path = path.key("trigger").at(at);
            self.check(&path, one.since.as_ref(), one.until.as_ref());
        }
        let retention = table.retention.as_ref().and_then(|one| one.since.as_ref());
        self.check(&path.key("retention"), retention, None);
        let compression = table.compression.as_ref().and_then(|one| one.since.as_ref());
        self.check(&path.key("compression"), compression, None);
    }

    fn check(&mut self, path: &Path, since: Option<&Version>, until: Option<&Version>) {
        for (key, version) in [("since", since), ("until", until)] {
            if let Some(version) = version.filter(|one| !self.migrations.versions.contains(one)) {
                let message = format!("expected the version of a migration, found {version}");
                self.found.push(path.key(key), message);
            }
        }
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            let message = format!("expected a version after since = {since}, found {until}");
            self.found.push(path.key("until"), message);
        }
    }
}
