//! Migrations: the version table tells the truth about what was applied.

use semver::Version;

use super::stage::Stage;
use super::{Check, compared, evidence, finding};
use crate::catalog::{Access, LEDGER_SCHEMA, LEDGER_TABLE, Observation, SNAPSHOT, VersionRow};
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Migration};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::{qualified, quote_literal, split_name};

pub(super) const CHECK: Check = Check {
    id: "migrations",
    summary: "the recorded versions are the contract's, complete, in order and unchanged",
    needs_rows: false,
    plan,
    examine,
};

const METHOD: &str = "version tables";
const VERSION: &str = "migration.version";
const CURRENT: &str = "migration.current";
const HISTORY: &str = "migration.history";
const CHECKSUMS: &str = "migration.checksums";

fn plan(contract: &Contract) -> Vec<Claim> {
    if contract.model.versioning.is_runners_own() {
        return Vec::new();
    }
    let version = &contract.model.service.version;
    let table = &contract.model.versioning.table;
    let claims = [
        (
            VERSION,
            format!("`{table}` names the schema's version, and the contract knows it"),
            Severity::Critical,
        ),
        (
            CURRENT,
            format!("the schema is at version {version}: no migration is pending"),
            Severity::Major,
        ),
        (
            HISTORY,
            format!("`{table}` has each version up to the latest once, in order"),
            Severity::Major,
        ),
        (
            CHECKSUMS,
            "every applied migration is the script that the contract has today".to_owned(),
            Severity::Critical,
        ),
    ];
    claims
        .into_iter()
        .map(|(id, statement, severity)| Claim::new(id, "migration_integrity", severity, statement))
        .collect()
}

/// How one of the claims is looked at.
type Look = fn(&Contract, &Observation) -> Result<Outcome, String>;

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    if contract.model.versioning.is_runners_own() {
        return Vec::new();
    }
    let looks: [(&str, Look); 4] =
        [(VERSION, version), (CURRENT, current), (HISTORY, history), (CHECKSUMS, checksums)];
    let still = Stage::of(contract, observation).still();
    looks
        .into_iter()
        .map(|(id, look)| {
            let outcome = still.clone().and_then(|()| look(contract, observation));
            evidence(id.to_owned(), METHOD, outcome).by([SNAPSHOT])
        })
        .collect()
}

/// The version table's rows, when there are any to look at.
fn rows<'a>(contract: &Contract, observation: &'a Observation) -> Result<&'a [VersionRow], String> {
    let table = &contract.model.versioning.table;
    match (&observation.snapshot.versions, observation.version_access) {
        (Some(rows), _) if rows.is_empty() => Err(format!("`{table}` has no row")),
        (Some(rows), _) => Ok(rows),
        (None, Access::Denied) => Err(denied(table)),
        (None, _) => Err(format!("the version table `{table}` is missing")),
    }
}

fn denied(table: &str) -> String {
    format!("this role may not read `{table}` or only some of its rows; grant it SELECT")
}

fn parsed(row: &VersionRow) -> Option<Version> {
    row.version.as_deref()?.parse().ok()
}

/// The greatest recorded version.
fn greatest(rows: &[VersionRow]) -> Option<Version> {
    rows.iter().filter_map(parsed).max()
}

fn knows(contract: &Contract, version: &Version) -> bool {
    contract.migrations.iter().any(|migration| migration.version == *version)
}

/// The statement that records a version.
fn record(contract: &Contract, migration: &Migration) -> String {
    let (schema, table) = split_name(&contract.model.versioning.table);
    format!(
        "INSERT INTO {} (version, description) VALUES ({}, {})",
        qualified(schema, table),
        quote_literal(&migration.version.to_string()),
        quote_literal(&migration.description)
    )
}

/// The statement that forgets a recorded version.
fn forget(contract: &Contract, version: &str) -> String {
    let (schema, table) = split_name(&contract.model.versioning.table);
    format!("DELETE FROM {} WHERE version = {}", qualified(schema, table), quote_literal(version))
}

fn version(contract: &Contract, observation: &Observation) -> Result<Outcome, String> {
    let table = &contract.model.versioning.table;
    let own = &contract.model.service.version;
    let expected = format!("a version of the contract, at best {own}");
    let rows = match rows(contract, observation) {
        Ok(rows) => rows,
        Err(reason) if observation.version_access == Access::Denied => return Err(reason),
        Err(reason) => {
            let mend = "dbready migrate up";
            return Ok(compared(1, "nothing", vec![finding(table, expected, reason, mend)]));
        }
    };
    let mut findings = Vec::new();
    for row in rows.iter().filter(|row| parsed(row).is_none()) {
        let text = row.version.as_deref();
        findings.push(Finding {
            object: table.clone(),
            expected: "major.minor.patch in each row".to_owned(),
            found: text
                .map_or_else(|| "a row without version".to_owned(), |text| format!("`{text}`")),
            remedy: text.map(|text| forget(contract, text)),
        });
    }
    let latest = greatest(rows);
    if let Some(latest) = latest.as_ref().filter(|latest| !knows(contract, latest)) {
        let mend = forget(contract, &latest.to_string());
        findings.push(finding(table, expected, latest.to_string(), mend));
    }
    let found = latest.map_or_else(|| "no version".to_owned(), |latest| latest.to_string());
    Ok(compared(rows.len(), found, findings))
}

fn current(contract: &Contract, observation: &Observation) -> Result<Outcome, String> {
    let rows = rows(contract, observation)?;
    let latest = greatest(rows).ok_or("no row holds a version")?;
    if !knows(contract, &latest) {
        return Err(format!("the recorded version {latest} is unknown to the contract"));
    }
    let findings = contract
        .migrations
        .iter()
        .filter(|migration| migration.version > latest)
        .map(|migration| {
            finding(
                &contract.model.versioning.table,
                format!("version {} applied", migration.version),
                format!("pending; the schema is at {latest}"),
                "dbready migrate up",
            )
        })
        .collect();
    Ok(compared(contract.migrations.len(), latest.to_string(), findings))
}

fn history(contract: &Contract, observation: &Observation) -> Result<Outcome, String> {
    let table = &contract.model.versioning.table;
    let rows = rows(contract, observation)?;
    let recorded: Vec<Version> = rows.iter().filter_map(parsed).collect();
    let latest = recorded.iter().max().ok_or("no row holds a version")?;
    let mut findings = Vec::new();
    for migration in contract.migrations.iter().filter(|migration| migration.version < *latest) {
        if !recorded.contains(&migration.version) {
            findings.push(finding(
                table,
                format!("a row for {}", migration.version),
                format!("none, though {latest} is recorded"),
                record(contract, migration),
            ));
        }
    }
    // An unknown latest version is what `migration.version` is about.
    for version in recorded.iter().filter(|version| *version < latest && !knows(contract, version))
    {
        findings.push(finding(
            table,
            "versions of the contract only",
            version.to_string(),
            forget(contract, &version.to_string()),
        ));
    }
    for pair in recorded.windows(2).filter(|pair| pair[0] >= pair[1]) {
        findings.push(Finding {
            object: table.clone(),
            expected: "each version once, in ascending order".to_owned(),
            found: format!("{} recorded after {}", pair[1], pair[0]),
            remedy: Some(
                "correct applied_at, or delete the row that was recorded twice".to_owned(),
            ),
        });
    }
    let found = recorded.iter().map(Version::to_string).collect::<Vec<_>>().join(", ");
    Ok(compared(recorded.len(), found, findings))
}

fn checksums(contract: &Contract, observation: &Observation) -> Result<Outcome, String> {
    let ledger = format!("{LEDGER_SCHEMA}.{LEDGER_TABLE}");
    let Some(rows) = &observation.snapshot.migrations else {
        return Err(match observation.migration_access {
            Access::Denied => denied(&ledger),
            _ => format!("`{ledger}` does not exist: other means applied the migrations"),
        });
    };
    let mut findings = Vec::new();
    let mut n = 0;
    for row in rows {
        let version = row.version.as_deref().unwrap_or_default();
        let Some(migration) =
            contract.migrations.iter().find(|migration| migration.version.to_string() == version)
        else {
            continue;
        };
        n += 1;
        if row.checksum.as_deref() != Some(migration.checksum.as_str()) {
            findings.push(Finding {
                object: format!("{ledger} {version}"),
                expected: format!("{} of `{}`", migration.checksum, migration.up_file),
                found: row.checksum.clone().unwrap_or_else(|| "no checksum".to_owned()),
                remedy: Some(format!("restore `{}` as it was applied", migration.up_file)),
            });
        }
    }
    let recorded = observation.snapshot.versions.iter().flatten().filter_map(parsed);
    for version in recorded.filter(|version| knows(contract, version)) {
        let text = version.to_string();
        if !rows.iter().any(|row| row.version.as_deref() == Some(&text)) {
            n += 1;
            findings.push(Finding {
                object: format!("{ledger} {text}"),
                expected: "a row with the checksum of the script".to_owned(),
                found: "none: the version was recorded by other means".to_owned(),
                remedy: Some("apply migrations with `dbready migrate up` only".to_owned()),
            });
        }
    }
    if n == 0 {
        return Err(format!("`{ledger}` has no row for a version of the contract"));
    }
    Ok(compared(n, format!("{n} scripts unchanged"), findings))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{refuted, remedies, unproven};
    use super::*;

    fn change(with: impl Fn(&mut Vec<VersionRow>)) -> impl Fn(&mut Observation) {
        move |seen| with(seen.snapshot.versions.as_mut().unwrap())
    }

    fn row(version: &str) -> VersionRow {
        VersionRow { version: Some(version.to_owned()) }
    }

    #[test]
    fn a_missing_or_empty_version_table_is_refuted_and_the_rest_unproven() {
        let gone = |seen: &mut Observation| {
            seen.version_access = Access::Absent;
            seen.snapshot.versions = None;
        };
        assert_eq!(refuted(gone), [VERSION]);
        assert_eq!(unproven(gone), [CURRENT, HISTORY]);
        assert_eq!(refuted(change(Vec::clear)), [VERSION]);
        assert_eq!(unproven(change(Vec::clear)), [CURRENT, HISTORY]);
    }

    #[test]
    fn a_version_table_that_cannot_be_read_leaves_its_claims_unproven() {
        let denied = |seen: &mut Observation| {
            seen.version_access = Access::Denied;
            seen.snapshot.versions = None;
        };
        assert_eq!(refuted(denied), [""; 0]);
        assert_eq!(unproven(denied), [VERSION, CURRENT, HISTORY]);
    }

    #[test]
    fn an_unknown_latest_version_is_refuted_by_name() {
        let unknown = change(|rows| rows.push(row("9.9.9")));
        assert_eq!(refuted(&unknown), [VERSION]);
        assert_eq!(
            remedies(VERSION, unknown),
            ["DELETE FROM \"public\".\"schema_version\" WHERE version = '9.9.9'"]
        );
        assert_eq!(refuted(change(|rows| rows.push(row("latest")))), [VERSION]);
    }

    #[test]
    fn gaps_repeats_and_disorder_are_refuted() {
        let gap = change(|rows| drop(rows.remove(0)));
        assert_eq!(refuted(&gap), [HISTORY]);
        assert_eq!(
            remedies(HISTORY, gap),
            ["INSERT INTO \"public\".\"schema_version\" (version, description) VALUES ('1.0.0', \
              'step 1.0.0')"]
        );
        assert_eq!(refuted(change(|rows| rows.push(row("1.1.0")))), [HISTORY]);
        assert_eq!(refuted(change(|rows| rows.reverse())), [HISTORY]);
        assert_eq!(refuted(change(|rows| rows.insert(1, row("1.0.5")))), [HISTORY]);
    }

    #[test]
    fn a_changed_script_is_refuted_and_a_missing_ledger_is_unproven() {
        let changed = |seen: &mut Observation| {
            seen.snapshot.migrations.as_mut().unwrap()[0].checksum = Some("other".to_owned());
        };
        assert_eq!(refuted(changed), [CHECKSUMS]);
        let by_hand = |seen: &mut Observation| {
            seen.snapshot.migrations.as_mut().unwrap().pop();
        };
        assert_eq!(refuted(by_hand), [CHECKSUMS]);
        let absent = |seen: &mut Observation| seen.snapshot.migrations = None;
        assert_eq!(refuted(absent), [""; 0]);
        assert_eq!(unproven(absent), [CHECKSUMS]);
    }
}
