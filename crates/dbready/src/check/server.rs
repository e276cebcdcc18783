//! The server: its version, extensions and settings are what the contract asks for.

use semver::{Version, VersionReq};

use super::{Check, compared, evidence, finding};
use crate::catalog::Observation;
use crate::claim::{Claim, Producer, Severity, Target};
use crate::contract::{Contract, Extension, Setting};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::{quote_ident, quote_literal};

pub(super) const CHECK: Check = Check {
    id: "server",
    summary: "the server has the version, extensions and settings that the contract asks for",
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

fn plan(contract: &Contract) -> Vec<Claim> {
    let server = &contract.model.server;
    let claim = |id: String, statement: String, severity| Claim {
        id,
        area: "server".to_owned(),
        statement,
        severity,
        required: true,
        weight: 1.0,
        producer: Producer::Check,
        target: Target::NoDifference,
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
    claims
}

fn examine(contract: &Contract, observation: &Observation) -> Vec<Evidence> {
    let server = &contract.model.server;
    let mut all = vec![evidence(
        "server.version".to_owned(),
        METHOD,
        Ok(version(&server.postgresql, observation)),
    )];
    all.extend(server.extensions.iter().map(|expected| {
        let id = format!("server.extension.{}", expected.name);
        evidence(id, METHOD, Ok(extension(expected, observation)))
    }));
    all.extend(server.settings.iter().map(|expected| {
        let id = format!("server.setting.{}", expected.name);
        evidence(id, METHOD, setting(expected, observation))
    }));
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

fn setting(expected: &Setting, observation: &Observation) -> Result<Outcome, String> {
    let server = &observation.server;
    let found = server.settings.iter().find(|(name, _)| name.eq_ignore_ascii_case(&expected.name));
    let Some((_, value)) = found else {
        return Err(format!("this role cannot see the setting `{}`", expected.name));
    };
    let findings: Vec<Finding> = (*value != expected.value)
        .then(|| finding(&expected.name, &expected.value, value, set(expected, &server.database)))
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
        assert_eq!(unproven(|seen| seen.server.settings.clear()), [id]);
    }

    #[test]
    fn extension_versions_are_read_as_releases() {
        assert_eq!(release("2.19.3"), Some(Version::new(2, 19, 3)));
        assert_eq!(release("1.0"), Some(Version::new(1, 0, 0)));
        assert_eq!(release("2.20.0-dev"), Some(Version::new(2, 20, 0)));
        assert_eq!(release("unpackaged"), None);
    }
}
