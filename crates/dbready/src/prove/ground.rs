//! What hangs on what in the twin, asked from its server and never read out of SQL.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::held::{self, Held};
use crate::Error;
use crate::catalog::{Look, Observation, Relations, Run};
use crate::contract::{Contract, Query, Role, Table, in_version};
use crate::sql::{qualified, quote_ident, split_name, spoken_name};
use crate::{catalog, check};

/// A table and one of its parts: spoken name and name.
type Part = (String, String);

/// A table that inherits from another one.
#[derive(Debug)]
pub(super) struct Heir {
    /// Its spoken name.
    pub(super) table: String,
    /// The statement that ends its inheritance and keeps its columns.
    pub(super) parting: String,
}

/// What is made of columns of a table, and must go before one of them is retyped.
#[derive(Debug)]
pub(super) struct Reader {
    /// The statement that drops it.
    pub(super) gone: String,
    /// The statement that makes it again, where something is claimed of it.
    pub(super) again: Option<String>,
    /// Whether it is a trigger, which may not be made again with another type.
    pub(super) is_trigger: bool,
}

/// The contract and the dependencies of its objects on the twin.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    /// The contract.
    pub(super) contract: &'a Contract,
    /// Ids of every claim of the checks.
    pub(super) claims: BTreeSet<String>,
    /// Columns of each constraint, in the order of its key.
    constraint_columns: BTreeMap<Part, Vec<String>>,
    /// Columns that the index of each constraint is made of, its predicate included.
    key_columns: BTreeMap<Part, Vec<String>>,
    /// Columns that each index is made of, predicates and expressions included.
    index_columns: BTreeMap<Part, Vec<String>>,
    /// Columns that each computed column is made of.
    computed: BTreeMap<Part, Vec<String>>,
    /// Tables that inherit from a table.
    pub(super) heirs: BTreeMap<String, Vec<Heir>>,
    /// Views, rules, triggers and policies that are made of columns of a table, in the order in which they
    /// are made.
    pub(super) readers: BTreeMap<String, Vec<Reader>>,
    /// Foreign keys that point at a table, as table and name.
    referrers: BTreeMap<String, Vec<Part>>,
    /// Queries, by their place in the contract, that need a table or a column.
    by_table: BTreeMap<String, BTreeSet<usize>>,
    by_column: BTreeMap<Part, BTreeSet<usize>>,
    /// Queries that are not planned without a unique constraint or index.
    by_key: BTreeMap<Part, BTreeSet<usize>>,
    /// Queries that read or write a table in the functions and triggers that they call.
    behind: BTreeMap<String, BTreeSet<usize>>,
    /// What was seen on the untouched twin.
    seen: &'a Observation,
    /// What each rollup holds, in the contract's order.
    pub(super) held: Vec<Held<'a>>,
    /// Settings by lower-case name, with a value that differs and can be set for a session.
    pub(super) settings: BTreeMap<String, Option<String>>,
}

impl<'a> Ground<'a> {
    /// Asks the server. The schema is changed in a transaction that is rolled back.
    pub(super) async fn read(
        client: &mut Client,
        contract: &'a Contract,
        seen: &'a Observation,
        reach: &BTreeMap<catalog::Part, Relations>,
    ) -> Result<Self, Error> {
        let claims = check::plan(contract).into_iter().map(|claim| claim.id).collect();
        let mut ground = Self {
            contract,
            claims,
            constraint_columns: BTreeMap::new(),
            key_columns: BTreeMap::new(),
            index_columns: BTreeMap::new(),
            computed: BTreeMap::new(),
            heirs: BTreeMap::new(),
            readers: BTreeMap::new(),
            referrers: BTreeMap::new(),
            by_table: BTreeMap::new(),
            by_column: BTreeMap::new(),
            by_key: BTreeMap::new(),
            behind: BTreeMap::new(),
            seen,
            held: Vec::new(),
            settings: BTreeMap::new(),
        };
        for row in client.query(include_str!("ground_parts.sql"), &[]).await? {
            let (kind, schema): (&str, &str) = (row.try_get("kind")?, row.try_get("schema")?);
            let table = spoken_name(schema, row.try_get("table")?);
            let name: String = row.try_get("name")?;
            let columns: Vec<String> = row.try_get("columns")?;
            let target: Option<String> = row.try_get("target")?;
            if let Some((schema, of)) = target.as_deref().and_then(|text| text.split_once('.')) {
                let pointing = ground.referrers.entry(spoken_name(schema, of)).or_default();
                pointing.push((table.clone(), name.clone()));
            }
            let parts = match kind {
                "index" => &mut ground.index_columns,
                "computed" => &mut ground.computed,
                "key" => &mut ground.key_columns,
                _ => &mut ground.constraint_columns,
            };
            parts.insert((table, name), columns);
        }
        for row in client.query(include_str!("ground_settings.sql"), &[]).await? {
            let name: String = row.try_get(0)?;
            ground.settings.insert(name.to_lowercase(), row.try_get(1)?);
        }
        for row in client.query(include_str!("ground_heirs.sql"), &[]).await? {
            let (schema, name): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            let heir = Heir {
                table: spoken_name(row.try_get(2)?, row.try_get(3)?),
                parting: row.try_get(4)?,
            };
            ground.heirs.entry(spoken_name(schema, name)).or_default().push(heir);
        }
        let mut transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL search_path = public, pg_temp").await?;
        for row in transaction.query(include_str!("ground_readers.sql"), &[]).await? {
            let of =
                ground.readers.entry(spoken_name(row.try_get(0)?, row.try_get(1)?)).or_default();
            let (gone, again) = (row.try_get(2)?, row.try_get(3)?);
            of.push(Reader { gone, again, is_trigger: row.try_get(4)? });
        }
        ground.find_queries(&mut transaction, reach).await?;
        let of_rollups = reach.get(&catalog::Part::Rollups);
        if let Some(relations) = of_rollups {
            ground.held = held::read(&mut transaction, &ground, relations).await?;
        }
        transaction.rollback().await?;
        Ok(ground)
    }

    /// A query needs what it is no longer prepared without, or not with the same result.
    async fn find_queries(
        &mut self,
        transaction: &mut Transaction<'_>,
        reach: &BTreeMap<catalog::Part, Relations>,
    ) -> Result<(), Error> {
        if self.contract.query_sql.is_empty() {
            return Ok(());
        }
        let whole = results(transaction, self.contract, "SELECT 1").await?.unwrap_or_default();
        for table in self.tables() {
            let (spoken, own) = (table.spoken_name(), table.qualified());
            // Views follow a new name, and go with what they read.
            let away = [
                format!("ALTER TABLE {own} RENAME TO sabotage_away"),
                format!("DROP TABLE {own} CASCADE"),
            ];
            let of_table = needing(transaction, self.contract, &whole, &away).await?;
            self.find_keys(transaction, table, &of_table).await?;
            let number = number(transaction, table).await?;
            let reaches = |at: &usize| {
                let own = reach.get(&catalog::Part::Query(*at));
                own.zip(number).is_some_and(|(relations, number)| relations.contains(&number))
            };
            let behind = (0..whole.len()).filter(|at| !of_table.contains(at) && reaches(at));
            self.behind.insert(spoken.clone(), behind.collect());
            for column in self.columns(table) {
                // Only queries of the table can need its columns.
                if of_table.is_empty() {
                    break;
                }
                let name = quote_ident(&column.name);
                // Where a statement counts on the order of columns, the next one takes the place.
                let away = [
                    format!("ALTER TABLE {own} RENAME {name} TO sabotage_away"),
                    format!("ALTER TABLE {own} DROP {name} CASCADE"),
                ];
                let queries = needing(transaction, self.contract, &whole, &away).await?;
                self.by_column.insert((spoken.clone(), column.name.clone()), queries);
            }
            self.by_table.insert(spoken, of_table);
        }
        Ok(())
    }

    /// Finds the queries of a table that are not planned without one of its keys.
    async fn find_keys(
        &mut self,
        transaction: &mut Transaction<'_>,
        table: &Table,
        queries: &BTreeSet<usize>,
    ) -> Result<(), Error> {
        let is_key = |definition: &str| {
            ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|kind| definition.starts_with(kind))
        };
        let constraints = table.constraints.iter().filter(|one| is_key(&one.definition));
        let constraints = constraints.map(|one| {
            let name = quote_ident(&one.name);
            let drop = format!("ALTER TABLE {} DROP CONSTRAINT {name} CASCADE", table.qualified());
            (&one.name, drop)
        });
        let indexes = table.indexes.iter().filter(|one| one.unique);
        let indexes = indexes.map(|one| {
            (&one.name, format!("DROP INDEX {} CASCADE", qualified(&table.schema, &one.name)))
        });
        let texts = &self.contract.query_sql;
        let texts: Vec<(usize, &str)> = queries
            .iter()
            .filter_map(|at| texts.get(*at).map(|sql| (*at, sql.statement.as_str())))
            .collect();
        for (name, drop) in constraints.chain(indexes) {
            let before = planned(transaction, &texts, "SELECT 1").await?.unwrap_or_default();
            // What an heir has from its table is not dropped there.
            let after = planned(transaction, &texts, &drop).await?;
            let after = after.unwrap_or_else(|| before.clone());
            let key = (table.spoken_name(), name.clone());
            self.by_key.insert(key, before.difference(&after).copied().collect());
        }
        Ok(())
    }

    /// The tables of the contract's own version.
    pub(super) fn tables(&self) -> Vec<&'a Table> {
        let all = self.contract.model.tables.iter();
        all.filter(|one| self.is_now(one.since.as_ref(), one.until.as_ref())).collect()
    }

    /// The columns of a table in that version.
    pub(super) fn columns(&self, table: &'a Table) -> Vec<&'a crate::contract::Column> {
        let all = table.columns.iter();
        all.filter(|one| self.is_now(one.since.as_ref(), one.until.as_ref())).collect()
    }

    /// Whether something with these bounds exists in the contract's own version.
    pub(super) fn is_now(
        &self,
        since: Option<&semver::Version>,
        until: Option<&semver::Version>,
    ) -> bool {
        in_version(since, until, &self.contract.model.service.version)
    }

    /// Whether it is the table in which versions are recorded.
    pub(super) fn keeps_versions(&self, table: &Table) -> bool {
        self.contract.is_named(&self.contract.model.versioning.table, table)
    }

    /// Columns of a constraint in the order of its key.
    pub(super) fn constraint_columns(&self, table: &Table, name: &str) -> &[String] {
        let key = (table.spoken_name(), name.to_owned());
        self.constraint_columns.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Columns that an index is made of.
    pub(super) fn index_columns(&self, table: &Table, name: &str) -> &[String] {
        let key = (table.spoken_name(), name.to_owned());
        self.index_columns.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Names of the table's constraints of which the column is a part.
    pub(super) fn constraints_of(&self, table: &Table, column: &str) -> Vec<&str> {
        let mut all = parts_of(&self.constraint_columns, table, column);
        all.extend(parts_of(&self.key_columns, table, column));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Names of the table's indexes, not those of constraints, of which the column is a part.
    pub(super) fn indexes_of(&self, table: &Table, column: &str) -> Vec<&str> {
        parts_of(&self.index_columns, table, column)
    }

    /// Names of the table's computed columns that are made of a column.
    pub(super) fn computed_from(&self, table: &Table, column: &str) -> Vec<&str> {
        parts_of(&self.computed, table, column)
    }

    /// Claims about the foreign keys that point at a table.
    pub(super) fn referrers(&self, table: &Table) -> BTreeSet<String> {
        let all = self.referrers.get(&table.spoken_name()).into_iter().flatten();
        all.map(|(table, name)| format!("schema.{table}.constraint.{name}")).collect()
    }

    /// Claims of the queries that need a table: the named parts of each.
    pub(super) fn of_table(&self, table: &Table, parts: &[&str]) -> BTreeSet<String> {
        let queries = self.by_table.get(&table.spoken_name());
        self.of_queries(queries.into_iter().flatten().copied(), parts)
    }

    /// Claims of the queries that need a column.
    pub(super) fn of_column(
        &self,
        table: &Table,
        column: &str,
        parts: &[&str],
    ) -> BTreeSet<String> {
        let queries = self.by_column.get(&(table.spoken_name(), column.to_owned()));
        self.of_queries(queries.into_iter().flatten().copied(), parts)
    }

    /// Claims of the queries that are not planned without a key of a table.
    pub(super) fn of_key(&self, table: &Table, name: &str) -> BTreeSet<String> {
        let queries = self.by_key.get(&(table.spoken_name(), name.to_owned()));
        self.of_queries(queries.into_iter().flatten().copied(), &["result", "plan"])
    }

    /// Claims of the roles that have rights on a table: they have none on another one of its name.
    pub(super) fn roles_of(&self, table: &Table) -> BTreeSet<String> {
        let names = (table.schema.as_str(), table.name.as_str());
        let has = |role: &&Role| role.tables.iter().any(|one| split_name(&one.name) == names);
        self.contract.roles().filter(has).map(|role| format!("role.{}", role.name)).collect()
    }

    /// Claims of the rollups that read a table.
    pub(super) fn rollups_of(&self, table: &Table) -> BTreeSet<String> {
        let is_read = |one: &&Held<'_>| one.tables.iter().any(|own| std::ptr::eq(*own, table));
        let own = self.held.iter().filter(is_read);
        own.map(|one| format!("reconcile.{}", one.rollup.name)).collect()
    }

    /// Claims of the queries that use a table in the functions and triggers that they call.
    pub(super) fn behind(&self, table: &Table) -> BTreeSet<String> {
        let queries = self.behind.get(&table.spoken_name());
        self.of_queries(queries.into_iter().flatten().copied(), &["result", "plan"])
    }

    /// How a query, by its place, ran on the untouched twin; absent when it was not run, as what writes
    /// is not, or gave no row.
    pub(super) fn ran(&self, at: usize) -> Option<&'a Run> {
        match &self.seen.queries.get(at)?.run {
            Look::Seen(run) if run.rows > 0 => Some(run),
            _ => None,
        }
    }

    fn of_queries(&self, queries: impl Iterator<Item = usize>, parts: &[&str]) -> BTreeSet<String> {
        let named = queries.filter_map(|at| self.contract.model.queries.get(at));
        named.flat_map(|query| parts.iter().map(|part| query_id(query, part))).collect()
    }

    /// Everything that is made of a column: constraints, indexes, foreign keys that point at the
    /// table, and what the queries that use it need.
    pub(super) fn made_of(&self, table: &Table, column: &str) -> BTreeSet<String> {
        let spoken = table.spoken_name();
        let constraints = self.constraints_of(table, column).into_iter();
        let indexes = self.indexes_of(table, column).into_iter();
        let mut falls: BTreeSet<String> = constraints
            .map(|name| format!("schema.{spoken}.constraint.{name}"))
            .chain(indexes.map(|name| format!("schema.{spoken}.index.{name}")))
            .collect();
        falls.extend(self.referrers(table));
        falls.extend(self.of_column(table, column, &["prepares", "parameters", "result"]));
        falls.extend(self.of_table(table, &["plan"]));
        falls.extend(self.behind(table));
        falls.extend(self.rollups_of(table));
        // What is computed from it is not made of anything computed itself.
        for computed in self.computed_from(table, column).into_iter().filter(|one| *one != column) {
            falls.insert(format!("schema.{spoken}.column.{computed}"));
            falls.extend(self.made_of(table, computed));
        }
        falls
    }
}

/// The number of a table on the server.
pub(super) async fn number(
    transaction: &Transaction<'_>,
    table: &Table,
) -> Result<Option<u32>, Error> {
    let number = "SELECT to_regclass($1)::oid";
    Ok(transaction.query_one(number, &[&table.qualified()]).await?.try_get(0)?)
}

/// Makes a change in a savepoint; whether the server allowed it.
async fn changed(savepoint: &Transaction<'_>, change: &str) -> Result<bool, Error> {
    match savepoint.batch_execute(change).await {
        Ok(()) => Ok(true),
        Err(error) if error.as_db_error().is_some() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The queries, by their place, that the server plans after a change, which is rolled back; `None` when it
/// refuses the change.
async fn planned(
    transaction: &mut Transaction<'_>,
    texts: &[(usize, &str)],
    change: &str,
) -> Result<Option<BTreeSet<usize>>, Error> {
    let mut outer = transaction.transaction().await?;
    if !changed(&outer, change).await? {
        outer.rollback().await?;
        return Ok(None);
    }
    let mut planned = BTreeSet::new();
    for (at, text) in texts {
        let inner = outer.transaction().await?;
        match inner.batch_execute(&format!("EXPLAIN (GENERIC_PLAN) {text}")).await {
            Ok(()) => {
                planned.insert(*at);
            }
            Err(error) if error.as_db_error().is_some() => {}
            Err(error) => return Err(error.into()),
        }
        inner.rollback().await?;
    }
    outer.rollback().await?;
    Ok(Some(planned))
}

/// Id of a claim about a query.
pub(super) fn query_id(query: &Query, part: &str) -> String {
    format!("query.{}.{part}", query.name)
}

fn parts_of<'a>(
    parts: &'a BTreeMap<Part, Vec<String>>,
    table: &Table,
    column: &str,
) -> Vec<&'a str> {
    let spoken = table.spoken_name();
    let has = |columns: &Vec<String>| columns.iter().any(|one| one == column);
    let own = parts.iter().filter(|((of, _), columns)| *of == spoken && has(columns));
    own.map(|((_, name), _)| name.as_str()).collect()
}

/// Types of parameters, by number, and names of result columns of every query; `None` for one that is not
/// prepared.
type Results = Vec<Option<(Vec<u32>, Vec<String>)>>;

/// The queries, by their place, that are not prepared after one of the changes, or not with the same
/// parameters and result.
async fn needing(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
    whole: &Results,
    changes: &[String],
) -> Result<BTreeSet<usize>, Error> {
    let mut needing = BTreeSet::new();
    for change in changes {
        let Some(now) = results(transaction, contract, change).await? else { continue };
        let pairs = whole.iter().zip(&now).enumerate();
        needing.extend(pairs.filter(|(_, (before, after))| before != after).map(|(at, _)| at));
    }
    Ok(needing)
}

/// What the queries return after a change, which is rolled back; `None` when the server refuses it.
async fn results(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
    change: &str,
) -> Result<Option<Results>, Error> {
    let mut outer = transaction.transaction().await?;
    if !changed(&outer, change).await? {
        outer.rollback().await?;
        return Ok(None);
    }
    let mut seen = Vec::with_capacity(contract.query_sql.len());
    for sql in &contract.query_sql {
        let inner = outer.transaction().await?;
        let columns = match inner.prepare(&sql.statement).await {
            Ok(statement) => {
                let names = statement.columns().iter().map(|one| one.name().to_owned());
                Some((statement.params().iter().map(Type::oid).collect(), names.collect()))
            }
            Err(error) if error.as_db_error().is_some() => None,
            Err(error) => return Err(error.into()),
        };
        inner.rollback().await?;
        seen.push(columns);
    }
    outer.rollback().await?;
    Ok(Some(seen))
}
