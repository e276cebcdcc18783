//! What hangs on what in the twin, asked from its server and never read out of SQL.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, Transaction};

use crate::Error;
use crate::check;
use crate::contract::{Contract, Query, Table, in_version};
use crate::sql::{quote_ident, spoken_name};

/// A table and one of its parts: spoken name and name.
type Part = (String, String);

/// The contract and the dependencies of its objects on the twin.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    /// The contract.
    pub(super) contract: &'a Contract,
    /// Ids of every claim of the checks.
    pub(super) claims: BTreeSet<String>,
    /// Columns of each constraint, in the order of its key.
    constraint_columns: BTreeMap<Part, Vec<String>>,
    /// Columns that each index is made of, predicates and expressions included.
    index_columns: BTreeMap<Part, Vec<String>>,
    /// Foreign keys that point at a table, as table and name.
    referrers: BTreeMap<String, Vec<Part>>,
    /// Queries, by their place in the contract, that need a table or a column.
    by_table: BTreeMap<String, BTreeSet<usize>>,
    by_column: BTreeMap<Part, BTreeSet<usize>>,
    /// Settings by lower-case name, with a value that differs and can be set for a session.
    pub(super) settings: BTreeMap<String, Option<String>>,
}

impl<'a> Ground<'a> {
    /// Asks the server. The schema is changed in a transaction that is rolled back.
    pub(super) async fn read(client: &mut Client, contract: &'a Contract) -> Result<Self, Error> {
        let claims = check::plan(contract).into_iter().map(|claim| claim.id).collect();
        let mut ground = Self {
            contract,
            claims,
            constraint_columns: BTreeMap::new(),
            index_columns: BTreeMap::new(),
            referrers: BTreeMap::new(),
            by_table: BTreeMap::new(),
            by_column: BTreeMap::new(),
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
                _ => &mut ground.constraint_columns,
            };
            parts.insert((table, name), columns);
        }
        for row in client.query(include_str!("ground_settings.sql"), &[]).await? {
            let name: String = row.try_get(0)?;
            ground.settings.insert(name.to_lowercase(), row.try_get(1)?);
        }
        let mut transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL search_path = public, pg_temp").await?;
        ground.find_queries(&mut transaction).await?;
        transaction.rollback().await?;
        Ok(ground)
    }

    /// A query needs what it is no longer prepared without, or not with the same result.
    async fn find_queries(&mut self, transaction: &mut Transaction<'_>) -> Result<(), Error> {
        if self.contract.query_sql.is_empty() {
            return Ok(());
        }
        let whole = results(transaction, self.contract, "SELECT 1").await?;
        let needs = |now: Vec<Option<Vec<String>>>| -> BTreeSet<usize> {
            let pairs = whole.iter().zip(&now).enumerate();
            pairs.filter(|(_, (before, after))| before != after).map(|(at, _)| at).collect()
        };
        for table in self.tables() {
            let spoken = table.spoken_name();
            let away = format!("ALTER TABLE {} RENAME TO sabotage_away", table.qualified());
            let now = results(transaction, self.contract, &away).await?;
            let of_table = needs(now);
            for column in self.columns(table) {
                // Only queries of the table can need its columns.
                if of_table.is_empty() {
                    break;
                }
                let name = quote_ident(&column.name);
                let away =
                    format!("ALTER TABLE {} RENAME {name} TO sabotage_away", table.qualified());
                let now = results(transaction, self.contract, &away).await?;
                self.by_column.insert((spoken.clone(), column.name.clone()), needs(now));
            }
            self.by_table.insert(spoken, of_table);
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
        self.contract
            .table(&self.contract.model.versioning.table)
            .is_some_and(|own| own.schema == table.schema && own.name == table.name)
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
        parts_of(&self.constraint_columns, table, column)
    }

    /// Names of the table's indexes, not those of constraints, of which the column is a part.
    pub(super) fn indexes_of(&self, table: &Table, column: &str) -> Vec<&str> {
        parts_of(&self.index_columns, table, column)
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
        falls
    }
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

/// The result columns of every query after a change, which is rolled back; `None` for a query that
/// is not prepared.
async fn results(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
    change: &str,
) -> Result<Vec<Option<Vec<String>>>, Error> {
    let mut outer = transaction.transaction().await?;
    outer.batch_execute(change).await?;
    let mut seen = Vec::with_capacity(contract.query_sql.len());
    for sql in &contract.query_sql {
        let inner = outer.transaction().await?;
        let columns = match inner.prepare(&sql.statement).await {
            Ok(statement) => {
                Some(statement.columns().iter().map(|one| one.name().to_owned()).collect())
            }
            Err(error) if error.as_db_error().is_some() => None,
            Err(error) => return Err(error.into()),
        };
        inner.rollback().await?;
        seen.push(columns);
    }
    outer.rollback().await?;
    Ok(seen)
}
