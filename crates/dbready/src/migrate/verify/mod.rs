//! Migrations judged by what they do: to the catalogs, to the rows, and to those who read and write
//! meanwhile. Their text gives advice at most.
//!
//! All of them are applied to an empty database, which must then be what the contract says. Filled with
//! the contract's data it is rolled back step by step; each migration but the first is then applied
//! again, to rows and under readers and writers.

mod advice;
mod effects;
mod pressure;
mod report;
mod risks;

use std::collections::{BTreeMap, BTreeSet};

use pg_local::{Cluster, Step};
use pg_session::Config;
use semver::Version;
use tokio_postgres::Client;

pub use advice::Advice;
pub use pressure::TableEffect;
pub use report::{Finding, OfMigration, Report};

use super::Options;
use crate::catalog;
use crate::contract::{Contract, Migration};
use crate::scratch::Scratch;
use crate::sql::{qualified, quote_ident, split_name, spoken_name};
use crate::verdict::{Status, judge};
use crate::{Error, check, seed};
use effects::{Catalogs, Effect, Kind, breaks};

/// Tries every migration of a contract on a server of our own.
///
/// Dropping the future ends the sessions; the server is the caller's to stop.
///
/// # Errors
///
/// [`Error::Migration`] when a script fails on an empty database or on the contract's data;
/// [`Error::Database`], [`Error::Catalog`].
pub async fn run(
    cluster: &Cluster,
    contract: &Contract,
    progress: &pg_local::Progress<'_>,
) -> Result<Report, Error> {
    let said = |doing: String| progress(Step { doing, share: None });
    let admin =
        Config::from_url(&cluster.url("postgres"))?.default_application_name("dbready verify");
    let mut scratch = Scratch::on(admin);
    let config = scratch.create("verify", contract).await?;
    let report = examine(&config, contract, &said).await;
    scratch.close().await?;
    report
}

/// Tries them on an empty database.
async fn examine(
    config: &Config,
    contract: &Contract,
    said: &dyn Fn(String),
) -> Result<Report, Error> {
    let mut client = pg_session::connect(config).await?;
    let options = Options::default();
    let mut states = vec![Catalogs::read(&mut client).await?];
    for migration in &contract.migrations {
        said(format!("applying {} to an empty database", migration.version));
        super::up(&mut client, contract, Some(&migration.version), &options, &|_| ()).await?;
        states.push(Catalogs::read(&mut client).await?);
    }
    let mut general = gaps(&contract.migrations);
    general.extend(against_contract(&mut client, contract).await?);
    if contract.seed_sql.is_some() {
        said("filling the database with data".to_owned());
        seed::seed(&mut client, contract, seed::Profile::Quick, 1).await?;
        client.batch_execute("ANALYZE").await?;
    }
    let mut migrations = Vec::new();
    let pairs = contract.migrations.iter().zip(states.windows(2));
    for (at, (migration, states)) in pairs.enumerate().collect::<Vec<_>>().into_iter().rev() {
        let [before, after] = states else { continue };
        said(format!("rolling {} back", migration.version));
        let trial = Trial { contract, migration, before, after };
        let mut one = trial.effects();
        let below = at.checked_sub(1).and_then(|at| contract.migrations.get(at));
        let below = below.map(|migration| &migration.version);
        one.findings.extend(trial.roll_back(&mut client, below, &mut one.rollback_restores).await?);
        if at > 0 && one.rollback_restores {
            said(format!("applying {} under readers and writers", migration.version));
            one.tables = trial.apply(config, &client).await?;
            let changes = trial.before.changes(trial.after);
            let versions = &contract.model.versioning.table;
            one.findings.extend(risks::of(&changes, &one.tables, versions));
            super::down(&mut client, contract, below, &options, &|_| ()).await?;
        }
        match advice::of(migration, at == 0) {
            Ok(advice) => one.advice = advice,
            Err(reason) => one.no_advice = Some(reason),
        }
        accept(&mut one, migration);
        migrations.push(one);
    }
    migrations.reverse();
    let findings = general.len() + migrations.iter().map(|one| one.findings.len()).sum::<usize>();
    Ok(Report {
        verdict: if findings == 0 { "sound" } else { "findings" },
        contract: contract.model.service.name.clone(),
        version: contract.model.service.version.to_string(),
        findings,
        general,
        migrations,
    })
}

/// Takes what the header accepts out of the findings; what it accepts in vain is one.
fn accept(one: &mut OfMigration, migration: &Migration) {
    for accepted in &migration.accepts {
        let is_it = |finding: &Finding| finding.kind == accepted.kind;
        let (found, left): (Vec<_>, Vec<_>) = one.findings.drain(..).partition(is_it);
        one.findings = left;
        if found.is_empty() {
            one.findings.push(Finding {
                kind: "accepted_in_vain",
                what: format!("its header accepts {}, which was not found", accepted.kind),
                remedy: format!("take that line out of {}", migration.up_file),
            });
        }
        one.accepted.extend(found.into_iter().map(|finding| Finding {
            remedy: format!("accepted: {}", accepted.reason),
            ..finding
        }));
    }
}

/// Versions that leave some out.
fn gaps(migrations: &[Migration]) -> Vec<Finding> {
    let pairs = migrations.windows(2).map(|pair| (&pair[0].version, &pair[1].version));
    pairs
        .filter(|(one, next)| {
            let Version { major, minor, patch, .. } = **one;
            let expected = [
                Version::new(major, minor, patch + 1),
                Version::new(major, minor + 1, 0),
                Version::new(major + 1, 0, 0),
            ];
            !expected.contains(next)
        })
        .map(|(one, next)| Finding {
            kind: "gap",
            what: format!("version {one} is followed by {next}"),
            remedy: "restore the migrations between, or give it the next version".to_owned(),
        })
        .collect()
}

/// Where migrating an empty database does not lead to the contract's schema.
async fn against_contract(client: &mut Client, contract: &Contract) -> Result<Vec<Finding>, Error> {
    let options = catalog::Options::default();
    let seen = catalog::observe(client, contract, &options).await?;
    let evidence = check::examine(contract, &seen);
    let mut findings = Vec::new();
    for claim in check::plan(contract) {
        let own = evidence.iter().find(|one| one.claim == claim.id);
        let judgement = judge(&claim, own);
        // Values, queries and the server's version are not what migrations make.
        let of_schema = ["schema.", "drift.", "migration.", "role."];
        if judgement.status == Status::Refuted
            && of_schema.iter().any(|part| claim.id.starts_with(part))
        {
            findings.push(Finding {
                kind: "contract",
                what: format!("{}: {}", claim.id, judgement.reason.unwrap_or_default()),
                remedy: "make the contract say what the migrations do, or the other way".to_owned(),
            });
        }
    }
    Ok(findings)
}

/// One migration between two states of the catalogs.
struct Trial<'a> {
    contract: &'a Contract,
    migration: &'a Migration,
    before: &'a Catalogs,
    after: &'a Catalogs,
}

impl Trial<'_> {
    /// What it did to the catalogs, against what its header declares.
    fn effects(&self) -> OfMigration {
        let changes = self.before.changes(self.after);
        let breaking: Vec<&Effect> =
            changes.iter().filter(|one| breaks(self.before, self.after, one)).collect();
        let mut findings = Vec::new();
        let declared = self.migration.breaking;
        if !declared && !breaking.is_empty() {
            let words: Vec<String> = breaking.iter().map(|one| one.words()).collect();
            findings.push(Finding {
                kind: "breaking_flag",
                what: format!("declared not breaking, yet it {}", words.join(", it ")),
                remedy: "declare `-- breaking: yes`, or keep what consumers rely on".to_owned(),
            });
        }
        if declared && breaking.is_empty() {
            findings.push(Finding {
                kind: "breaking_flag",
                what: "declared breaking, yet nothing that consumers rely on changed".to_owned(),
                remedy: "declare `-- breaking: no`".to_owned(),
            });
        }
        // Columns, constraints and indexes of a new table go with it.
        let is_part = |one: &&Effect| {
            let (kind, owner, _) = &one.key;
            let table = (Kind::Table, owner.clone(), owner.clone());
            let whole = *kind == Kind::Table || owner.is_empty();
            whole
                || self.before.things.contains_key(&table) && self.after.things.contains_key(&table)
        };
        OfMigration {
            version: self.migration.version.to_string(),
            declared_breaking: declared,
            breaks: !breaking.is_empty(),
            effects: changes.iter().filter(is_part).map(Effect::words).collect(),
            findings,
            ..OfMigration::default()
        }
    }

    /// Rolls it back: the catalogs must be as before, and the rows that both states can hold, too.
    async fn roll_back(
        &self,
        client: &mut Client,
        below: Option<&Version>,
        restores: &mut bool,
    ) -> Result<Vec<Finding>, Error> {
        let rows = self.rows(client, None).await?;
        super::down(client, self.contract, below, &Options::default(), &|_| ()).await?;
        let found = Catalogs::read(client).await?;
        let left = self.before.changes(&found);
        *restores = left.is_empty();
        let mut findings = Vec::new();
        if !left.is_empty() {
            let words: Vec<String> = left.iter().map(Effect::words).collect();
            findings.push(Finding {
                kind: "rollback_catalogs",
                what: format!("its rollback leaves a difference: it {}", words.join(", it ")),
                remedy: format!("mend {}", self.migration.down_file),
            });
        }
        let now = self.rows(client, Some(&found)).await?;
        let lost: Vec<&String> = rows
            .iter()
            .filter(|(column, sum)| now.get(*column) != Some(sum))
            .map(|(one, _)| one)
            .collect();
        if !lost.is_empty() {
            let names: Vec<&str> = lost.into_iter().map(String::as_str).collect();
            findings.push(Finding {
                kind: "rollback_data",
                what: format!("its rollback does not keep the values of {}", names.join(", ")),
                remedy: "change what is there instead of dropping and making it anew".to_owned(),
            });
        }
        Ok(findings)
    }

    /// A sum over the values of each column that both states have with one type, and of every table's
    /// rows; where the catalogs are given, only of what they have.
    async fn rows(
        &self,
        client: &Client,
        found: Option<&Catalogs>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let versions = split_name(&self.contract.model.versioning.table);
        let kept: BTreeSet<(String, String)> = self.before.tables().into_iter().collect();
        let mut sums = BTreeMap::new();
        for table in self.after.tables().into_iter().filter(|table| kept.contains(table)) {
            // The version table loses a row, as it should.
            if (table.0.as_str(), table.1.as_str()) == versions {
                continue;
            }
            let Some(relation) = self.after.snapshot.relation(&table.0, &table.1) else { continue };
            let in_all = |name: &str, kind: &str| {
                let same = |state: &Catalogs| {
                    state.column(&table, name).is_some_and(|one| one.data_type == kind)
                };
                same(self.before) && found.is_none_or(same)
            };
            if found.is_some_and(|found| !found.tables().contains(&table)) {
                continue;
            }
            let spoken = spoken_name(&table.0, &table.1);
            for column in relation.columns.iter().filter(|one| in_all(&one.name, &one.data_type)) {
                let sum = format!(
                    "SELECT concat(count(*), ' ', sum(hashtextextended({}::text, 0))) FROM {}",
                    quote_ident(&column.name),
                    qualified(&table.0, &table.1)
                );
                let sum: String = client.query_one(&sum, &[]).await?.try_get(0)?;
                sums.insert(format!("{spoken}.{}", column.name), sum);
            }
        }
        Ok(sums)
    }

    /// Applies it to the rows, under readers and writers.
    async fn apply(&self, config: &Config, client: &Client) -> Result<Vec<TableEffect>, Error> {
        let tables = self.before.tables();
        pressure::apply(config, client, self.contract, self.migration, &tables).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_left_out_is_a_gap() {
        let migration = |version: &str| Migration {
            version: version.parse().unwrap(),
            description: String::new(),
            breaking: false,
            accepts: Vec::new(),
            up_file: String::new(),
            up_sql: String::new(),
            down_file: String::new(),
            down_sql: String::new(),
            checksum: String::new(),
        };
        let all = |versions: &[&str]| versions.iter().map(|one| migration(one)).collect::<Vec<_>>();
        assert_eq!(gaps(&all(&["1.0.0", "1.0.1", "1.1.0", "2.0.0"])), []);
        let found = gaps(&all(&["1.0.0", "1.2.0", "1.2.2"]));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].what, "version 1.0.0 is followed by 1.2.0");
    }
}
