//! Where the database stands: the version whose state is expected, and what can be looked at.

use semver::Version;

use crate::catalog::{Lock, Observation, Relation, RelationKind};
use crate::contract::{Contract, Edition, Table, in_version};

/// The version against which a database is judged, with what keeps a look from being made.
///
/// The expected state is that of the greatest applied version that the contract knows, so that a
/// pending migration is no drift. Where no version is recorded, it is the contract's own.
#[derive(Debug)]
pub struct Stage<'a> {
    contract: &'a Contract,
    observation: &'a Observation,
    version: Version,
}

/// What kind of relation the contract means.
pub(super) fn kind(table: &Table) -> RelationKind {
    if table.partition_by.is_some() { RelationKind::PartitionedTable } else { RelationKind::Table }
}

impl<'a> Stage<'a> {
    /// Where this database stands.
    #[must_use]
    pub fn of(contract: &'a Contract, observation: &'a Observation) -> Self {
        let known = |version: &Version| {
            contract.migrations.iter().any(|migration| migration.version == *version)
        };
        let rows = observation.snapshot.versions.iter().flatten();
        let version = rows
            .filter_map(|row| row.version.as_deref()?.parse().ok())
            .filter(known)
            .max()
            .unwrap_or_else(|| contract.model.service.version.clone());
        Self { contract, observation, version }
    }

    /// The version whose state is expected.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Whether the schema stood still while it was read; otherwise the reason why nothing is settled.
    ///
    /// # Errors
    ///
    /// The reason, when a migration was in flight.
    pub fn still(&self) -> Result<(), String> {
        match self.observation.lock {
            Lock::Held => Ok(()),
            Lock::Busy { waited } => Err(format!(
                "a migration is in progress: its lock was not free within {:.1} s",
                waited.as_secs_f64()
            )),
        }
    }

    /// Whether an object with these bounds is expected now.
    ///
    /// # Errors
    ///
    /// The reason why it is not, or why the schema cannot be judged at all.
    pub fn expects(&self, since: Option<&Version>, until: Option<&Version>) -> Result<(), String> {
        self.still()?;
        if in_version(since, until, &self.version) {
            return Ok(());
        }
        let bound = match since {
            Some(first) if *first > self.version => format!("comes with version {first}"),
            _ => "is not part of that version".to_owned(),
        };
        Err(format!("the database is at version {}; this {bound}", self.version))
    }

    /// The table that the contract means, to look at what belongs to it.
    ///
    /// # Errors
    ///
    /// The reason why there is none: it is not expected yet, missing, or something else.
    pub fn table(&self, table: &Table) -> Result<&'a Relation, String> {
        self.expects(table.since.as_ref(), table.until.as_ref())?;
        let name = table.spoken_name();
        match self.observation.snapshot.relation(&table.schema, &table.name) {
            None => Err(format!("the table {name} is missing")),
            Some(found) if found.kind != kind(table) => {
                let expected = kind(table).words();
                Err(format!("{name} is a {} and not a {expected}", found.kind.words()))
            }
            Some(found) => Ok(found),
        }
    }

    /// Whether the server has what an object of that edition needs.
    ///
    /// # Errors
    ///
    /// The reason, when it needs the Community edition and the server runs another.
    pub fn edition(&self, needed: Edition) -> Result<(), String> {
        let server = &self.observation.server;
        if needed == Edition::Any || server.is_community() {
            return Ok(());
        }
        Err(server.without_community())
    }

    /// The contract.
    #[must_use]
    pub fn contract(&self) -> &'a Contract {
        self.contract
    }

    /// The observation.
    #[must_use]
    pub fn observation(&self) -> &'a Observation {
        self.observation
    }
}

/// Whether an object with these bounds exists in the contract's own version, and so has a claim.
pub(super) fn claimed(
    contract: &Contract,
    since: Option<&Version>,
    until: Option<&Version>,
) -> bool {
    in_version(since, until, &contract.model.service.version)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture::{contract, observation, readings, refuted, unproven};
    use super::*;

    #[test]
    fn a_migration_in_flight_settles_nothing_but_the_server() {
        let busy = |seen: &mut Observation| {
            seen.lock = Lock::Busy { waited: Duration::from_secs(2) };
            seen.snapshot.relations.clear();
        };
        // These speak of the server and of values that are in no table.
        let of_server = |id: &str| {
            let of_values = id.starts_with("value.") && id != "value.queries";
            id.starts_with("server.") || of_values || id.ends_with(".agrees")
        };
        let all = super::super::plan(&contract());
        let of_schema: Vec<String> =
            all.into_iter().map(|claim| claim.id).filter(|id| !of_server(id)).collect();
        assert_eq!(unproven(busy), of_schema);
        assert_eq!(refuted(busy), [""; 0]);
    }

    #[test]
    fn the_expected_state_is_that_of_the_applied_version() {
        let at_first = |seen: &mut Observation| {
            seen.snapshot.versions.as_mut().unwrap().pop();
            seen.snapshot.migrations.as_mut().unwrap().pop();
            readings(seen).columns.retain(|column| column.name != "note");
        };
        assert_eq!(refuted(at_first), ["migration.current"]);
        assert_eq!(unproven(at_first), ["schema.readings.column.note"]);
    }

    #[test]
    fn an_unknown_version_does_not_move_the_expected_state() {
        let mut seen = observation();
        let rows = seen.snapshot.versions.as_mut().unwrap();
        rows[1].version = Some("9.9.9".to_owned());
        assert_eq!(*Stage::of(&contract(), &seen).version(), Version::new(1, 0, 0));
        seen.snapshot.versions = None;
        assert_eq!(*Stage::of(&contract(), &seen).version(), Version::new(1, 1, 0));
    }

    #[test]
    fn what_needs_community_is_unproven_elsewhere() {
        let apache = |seen: &mut Observation| {
            seen.server.license = Some("apache".to_owned());
            let known = seen.snapshot.timescaledb.as_mut().unwrap();
            known.policies.clear();
            known.continuous_aggregates.clear();
            seen.snapshot.relations.pop();
        };
        assert_eq!(refuted(apache), [""; 0]);
        let expected = [
            "schema.readings.policy.retention",
            "schema.readings.policy.compression",
            "schema.readings_hourly",
            "reconcile.readings_hourly",
        ];
        assert_eq!(unproven(apache), expected);
    }
}
