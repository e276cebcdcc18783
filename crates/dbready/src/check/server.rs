//! The server: its version, extensions and settings are what the contract asks for.

use semver::{Version, VersionReq};

use super::{Check, compared, evidence, finding};
use crate::catalog::{FACTS, Observation, SNAPSHOT};
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Extension, Setting};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::{quote_ident, quote_literal};

pub(super) const CHECK: Check = Check {
    id: "server",
    summary: "the server has the version, extensions and settings that the contract asks for",
    needs_rows: false,
    plan,
    examine,
};

const METHOD: &str = "pg_settings and pg_extension";

/// Settings that only the whole server can have; the others can be set for a database.
const SERVER_WIDE: [&str; 8] = [
    "fsync",
    "full_page_writes",
    "max_connections",
    "max_wal_senders",
    "shared_buffers",
    "shared_preload_libraries",
    "wal_level",
    "max_locks_per_transaction",
];

/// The claim about room for background workers.
const WORKERS: &str = "server.workers";

/// Worker processes that are left for others, by TimescaleDB's page on configuration.
const OTHER_WORKERS: u64 = 3;

fn plan(contract: &Contract) -> Vec<Claim> {
    let server = &contract.model.server;
    let claim = |id: String, statement: String, severity| Claim {
        required: id != WORKERS,
        ..Claim::new(id, "server", severity, statement)
    };
    let mut claims = vec![claim(
        "server.version".to_owned(),
        format!("the server is PostgreSQL {}", server.postgresql),
        Severity::Critical,
    )];
    claims.extend(server.extensions.iter().map(|extension| {
        claim(
            format!("server.extension.{}", extension.name),
            format!("the extension `{}` {} is installed", extension.name, extension.version),
            Severity::Critical,
        )
    }));
    claims.extend(server.settings.iter().map(|setting| {
        claim(
            format!("server.setting.{}", setting.name),
            format!("`{}` is `{}`: {}", setting.name, setting.value, setting.meaning),
            Severity::Major,
        )
    }));
    if has_jobs(contract) {
        let statement = "there are processes enough for TimescaleDB's jobs and parallel queries";
        claims.push(claim(WORKERS.to_owned(), statement.to_owned(), Severity::Minor));
    }
    claims
}

/// Whether the server runs jobs of TimescaleDB.
fn has_jobs(contract: &Contract) -> bool {
    contract.model.server.extensions.iter().any(|one| one.name == "timescaledb")
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let server = &contract.model.server;
    let mut all = vec![
        evidence("server.version".to_owned(), METHOD, Ok(version(&server.postgresql, observation)))
            .by([FACTS]),
    ];
    all.extend(server.extensions.iter().map(|expected| {
        let id = format!("server.extension.{}", expected.name);
        evidence(id, METHOD, Ok(extension(expected, observation))).by([SNAPSHOT])
    }));
    all.extend(server.settings.iter().map(|expected| {
        let id = format!("server.setting.{}", expected.name);
        evidence(id, METHOD, setting(expected, observation)).by([FACTS])
    }));
    if has_jobs(contract) {
        all.push(evidence(WORKERS.to_owned(), METHOD, workers(observation)).by([FACTS]));
    }
    all
}

fn version(expected: &VersionReq, observation: &Observation) -> Outcome {
    let number = u64::from(observation.server.postgresql_num);
    let found = Version::new(number / 10_000, number % 10_000, 0);
    let words = observation.server.postgresql.clone();
    let findings = (!expected.matches(&found)).then(|| {
        let mend = format!("use a server of a version in {expected}");
        finding("server", format!("PostgreSQL {expected}"), &words, mend)
    });
    compared(1, words.clone(), findings.into_iter().collect())
}

fn extension(expected: &Extension, observation: &Observation) -> Outcome {
    let name = &expected.name;
    let found = observation.snapshot.extensions.iter().find(|found| found.name == *name);
    let Some(found) = found else {
        let wanted = format!("version {}", expected.version);
        let mend = format!("CREATE EXTENSION {}", quote_ident(name));
        return compared(1, "nothing", vec![finding(name, wanted, "not installed", mend)]);
    };
    let matches = release(&found.version).is_some_and(|version| expected.version.matches(&version));
    let findings = (!matches).then(|| {
        let wanted = format!("version {}", expected.version);
        let mend = format!("ALTER EXTENSION {} UPDATE", quote_ident(name));
        finding(name, wanted, &found.version, mend)
    });
    compared(1, found.version.clone(), findings.into_iter().collect())
}

/// The release that an extension's version text names; missing parts are zero, and what follows the
/// numbers is left out, since a range never matches a pre-release.
fn release(text: &str) -> Option<Version> {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let mut parts = numbers.split('.').map(str::parse);
    let mut next = || parts.next().unwrap_or(Ok(0)).ok();
    Some(Version::new(next()?, next()?, next()?))
}

/// The setting of that name.
fn value_of<'a>(observation: &'a Observation, name: &str) -> Result<&'a str, String> {
    let value = observation.server.setting(name);
    value.ok_or_else(|| format!("this role cannot see the setting `{name}`"))
}

/// Jobs and parallel queries take their processes from one supply; where it runs out, jobs wait unseen.
/// Source: TimescaleDB's documentation of `timescaledb.max_background_workers`.
fn workers(observation: &Observation) -> Result<Outcome, String> {
    let number = |name: &str| {
        let value = value_of(observation, name)?;
        value.parse::<u64>().map_err(|_| format!("the setting `{name}` is `{value}`, no number"))
    };
    let has = number("max_worker_processes")?;
    let jobs = number("timescaledb.max_background_workers")?;
    let parallel = number("max_parallel_workers")?;
    let needs = jobs + parallel + OTHER_WORKERS;
    let words = format!("{has} processes for {jobs} of jobs, {parallel} of parallel queries");
    let findings = (has < needs).then(|| {
        let mend = format!("ALTER SYSTEM SET max_worker_processes = {needs}, and restart");
        finding("max_worker_processes", format!("at least {needs}"), has.to_string(), mend)
    });
    Ok(compared(1, words, findings.into_iter().collect()))
}

fn setting(expected: &Setting, observation: &Observation) -> Result<Outcome, String> {
    let value = value_of(observation, &expected.name)?;
    let database = &observation.server.database;
    let findings: Vec<Finding> = (value != expected.value)
        .then(|| finding(&expected.name, &expected.value, value, set(expected, database)))
        .into_iter()
        .collect();
    Ok(compared(1, value, findings))
}

fn set(setting: &Setting, database: &str) -> String {
    let name = quote_ident(&setting.name);
    let value = quote_literal(&setting.value);
    if SERVER_WIDE.contains(&setting.name.as_str()) {
        format!("ALTER SYSTEM SET {name} = {value}")
    } else {
        format!("ALTER DATABASE {} SET {name} = {value}", quote_ident(database))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{refuted, remedies, unproven};
    use super::*;

    #[test]
    fn another_server_version_is_refuted() {
        assert_eq!(refuted(|seen| seen.server.postgresql_num = 140_012), ["server.version"]);
    }

    #[test]
    fn a_missing_or_old_extension_is_refuted() {
        let id = "server.extension.timescaledb";
        let gone = |seen: &mut Observation| seen.snapshot.extensions.clear();
        assert_eq!(refuted(gone), [id]);
        assert_eq!(remedies(id, gone), ["CREATE EXTENSION \"timescaledb\""]);
        let old =
            |seen: &mut Observation| seen.snapshot.extensions[0].version = "2.14.2".to_owned();
        assert_eq!(refuted(old), [id]);
    }

    #[test]
    fn another_setting_is_refuted_and_a_hidden_one_unproven() {
        let id = "server.setting.TimeZone";
        let local = |seen: &mut Observation| seen.server.settings[0].1 = "Europe/Berlin".to_owned();
        assert_eq!(refuted(local), [id]);
        assert_eq!(remedies(id, local), ["ALTER DATABASE \"readings\" SET \"TimeZone\" = 'UTC'"]);
        assert_eq!(unproven(|seen| seen.server.settings.clear()), [id, WORKERS]);
    }

    #[test]
    fn too_few_processes_are_refuted_with_the_number_that_is_needed() {
        let with = |number: &'static str| {
            move |seen: &mut Observation| {
                let mut settings = seen.server.settings.iter_mut();
                let own = settings.find(|(name, _)| name == "max_worker_processes").unwrap();
                number.clone_into(&mut own.1);
            }
        };
        assert_eq!(refuted(with("27")), [""; 0]);
        assert_eq!(refuted(with("26")), [WORKERS]);
        let mend = "ALTER SYSTEM SET max_worker_processes = 27, and restart";
        assert_eq!(remedies(WORKERS, with("26")), [mend]);
        assert_eq!(unproven(with("many")), [WORKERS]);
    }

    #[test]
    fn extension_versions_are_read_as_releases() {
        assert_eq!(release("2.19.3"), Some(Version::new(2, 19, 3)));
        assert_eq!(release("1.0"), Some(Version::new(1, 0, 0)));
        assert_eq!(release("2.20.0-dev"), Some(Version::new(2, 20, 0)));
        assert_eq!(release("unpackaged"), None);
    }
}
