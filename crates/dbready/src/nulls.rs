//! Nullability of result columns, shown by execution and never inferred: every query runs on rows that
//! hold null wherever their tables allow it, and on empty tables.
//!
//! Rows are changed for it, so it runs on a scratch database only. A column that is stated never null
//! and comes back null refutes the claim.

use tokio_postgres::{Client, Transaction};

use crate::Error;
use crate::catalog::{self, Answer, Look};
use crate::claim::{Claim, Severity};
use crate::contract::{Contract, Query, Table};
use crate::evidence::{Evidence, Finding, Outcome};
use crate::sql::quote_ident;

/// Area of the claims.
const AREA: &str = "query_contracts";
const METHOD: &str =
    "run on rows with nulls wherever allowed, and on empty tables, of a scratch database";
/// Rows that each table keeps: states are many, and one row of each kind is enough.
const ROWS: u32 = 50;

/// The claim of each query contract that states a column never null.
#[must_use]
pub fn plan(contract: &Contract) -> Vec<Claim> {
    let speaking = contract.model.queries.iter().filter(|query| stated(query) > 0);
    speaking
        .map(|query| {
            let statement = format!(
                "whatever rows its tables hold, {} of `{}` come back never null",
                match stated(query) {
                    1 => "one column".to_owned(),
                    many => format!("{many} columns"),
                },
                query.name
            );
            Claim::new(id(query), AREA, Severity::Critical, statement)
        })
        .collect()
}

fn id(query: &Query) -> String {
    format!("query.{}.not_null", query.name)
}

/// Columns stated never null.
fn stated(query: &Query) -> usize {
    query.results.iter().filter(|column| !column.nullable).count()
}

/// Evidence that nothing was tried, with the reason.
#[must_use]
pub fn not_run(contract: &Contract, reason: &str) -> Vec<Evidence> {
    let outcome = || Outcome::NotMeasured { reason: reason.to_owned() };
    let claims = plan(contract).into_iter();
    claims.map(|claim| Evidence::new(claim.id, METHOD, outcome())).collect()
}

/// Runs every query on adversarial rows. The database is a scratch one, at the contract's version and
/// with its data, of which a few rows stay in each table; everything else is rolled back.
///
/// # Errors
///
/// [`Error::Database`] when the connection is lost.
pub async fn examine(client: &mut Client, contract: &Contract) -> Result<Vec<Evidence>, Error> {
    let tables: Vec<&Table> = contract.tables().collect();
    thin_out(client, &tables).await?;
    let mut transaction = catalog::begin_scratch(client, false).await?;
    let samples = catalog::samples_within(&mut transaction, contract).await?;
    let mut tallies: Vec<Tally> = contract.model.queries.iter().map(Tally::new).collect();
    for state in states(&tables) {
        let mut savepoint = transaction.transaction().await?;
        if state.apply(&mut savepoint).await? {
            let answers = catalog::answers_within(&mut savepoint, contract, &samples).await?;
            for ((query, tally), answer) in
                contract.model.queries.iter().zip(&mut tallies).zip(&answers)
            {
                tally.add(query, &state, answer);
            }
        }
        savepoint.rollback().await?;
    }
    transaction.rollback().await?;
    let queries = contract.model.queries.iter().zip(tallies);
    Ok(queries
        .filter(|(query, _)| stated(query) > 0)
        .map(|(query, tally)| tally.evidence(query))
        .collect())
}

/// Leaves a few rows in each table, and those that others point at, and gives the space of the others
/// back: a state that changes a table reads all of it.
async fn thin_out(client: &Client, tables: &[&Table]) -> Result<(), Error> {
    let names: Vec<String> = tables.iter().map(|table| table.qualified()).collect();
    let delete = names.iter().map(|name| {
        let keep = format!("SELECT tableoid, ctid FROM {name} LIMIT {ROWS}");
        format!("DELETE FROM {name} WHERE (tableoid, ctid) NOT IN ({keep})")
    });
    let vacuum = names.iter().map(|name| format!("VACUUM (FULL) {name}"));
    for statement in delete.chain(vacuum) {
        match client.batch_execute(&statement).await {
            Err(error) if error.as_db_error().is_none() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Runs a statement in a savepoint; `false` when the server refuses it, and then nothing has changed.
async fn change(transaction: &mut Transaction<'_>, statement: &str) -> Result<bool, Error> {
    let savepoint = transaction.transaction().await?;
    match savepoint.batch_execute(statement).await {
        Ok(()) => {
            savepoint.commit().await?;
            Ok(true)
        }
        Err(error) if error.as_db_error().is_some() => {
            savepoint.rollback().await?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// One way in which rows may lie that the tables allow.
struct State {
    name: String,
    /// Statements that bring it about. Those that the server refuses are left out: the tables do not
    /// allow such rows.
    statements: Vec<String>,
}

impl State {
    /// Whether anything of it came about.
    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool, Error> {
        let mut any = self.statements.is_empty();
        for statement in &self.statements {
            any |= change(transaction, statement).await?;
        }
        Ok(any)
    }
}

fn states(tables: &[&Table]) -> Vec<State> {
    let nullable = |table: &Table| -> Vec<String> {
        let columns = table.columns.iter().filter(|column| column.nullable);
        columns.map(|column| quote_ident(&column.name)).collect()
    };
    let set =
        |table: &Table, column: &str| format!("UPDATE {} SET {column} = NULL", table.qualified());
    let mut states = vec![State { name: "rows as they are".to_owned(), statements: Vec::new() }];
    let every = tables.iter().flat_map(|table| {
        nullable(table).into_iter().map(|column| set(table, &column)).collect::<Vec<_>>()
    });
    states
        .push(State { name: "every nullable column null".to_owned(), statements: every.collect() });
    for table in tables {
        for column in nullable(table) {
            states.push(State {
                name: format!("{}.{column} null", table.spoken_name()),
                statements: vec![set(table, &column)],
            });
        }
        states.push(State {
            name: format!("{} empty", table.spoken_name()),
            statements: vec![format!("DELETE FROM {}", table.qualified())],
        });
    }
    let all: Vec<String> = tables.iter().map(|table| table.qualified()).collect();
    if !all.is_empty() {
        states.push(State {
            name: "all tables empty".to_owned(),
            statements: vec![format!("TRUNCATE {}", all.join(", "))],
        });
    }
    states
}

/// What one query did in all states.
struct Tally {
    states: u64,
    rows: u64,
    /// For each column, the first state in which it came back null.
    null_in: Vec<Option<String>>,
    /// Why it did not run, the last time that it did not.
    not_run: Option<String>,
}

impl Tally {
    fn new(query: &Query) -> Self {
        Self { states: 0, rows: 0, null_in: vec![None; query.results.len()], not_run: None }
    }

    fn add(&mut self, query: &Query, state: &State, answer: &Answer) {
        match &answer.rows {
            Look::Seen(rows) if rows.nulls.len() == query.results.len() => {
                self.states += 1;
                self.rows += rows.count;
                for (first, nulls) in self.null_in.iter_mut().zip(&rows.nulls) {
                    if *nulls > 0 && first.is_none() {
                        *first = Some(state.name.clone());
                    }
                }
            }
            Look::Seen(_) => self.not_run = Some("it returns another number of columns".to_owned()),
            Look::Refused(refusal) => self.not_run = Some(refusal.message.clone()),
            Look::NotLooked(reason) => self.not_run = Some(reason.clone()),
        }
    }

    fn evidence(self, query: &Query) -> Evidence {
        let columns = || query.results.iter().zip(&self.null_in);
        let findings: Vec<Finding> = columns()
            .filter(|(column, _)| !column.nullable)
            .filter_map(|(column, first)| {
                first.as_ref().map(|state| Finding {
                    object: format!("{}.{}", query.name, column.name),
                    expected: "never null".to_owned(),
                    found: format!("null with {state}"),
                    remedy: Some(format!(
                        "state `nullable = true`, or make {} give a value",
                        query.file
                    )),
                })
            })
            .collect();
        let outcome = if self.rows == 0 {
            let reason =
                self.not_run.unwrap_or_else(|| "it returned no row in any state".to_owned());
            Outcome::NotMeasured { reason }
        } else {
            let nullable = columns().filter(|(column, _)| column.nullable);
            let seen = nullable.clone().filter(|(_, first)| first.is_some()).count();
            let (rows, states, nullable) = (self.rows, self.states, nullable.count());
            Outcome::Compared {
                n: rows * stated(query) as u64,
                found: format!(
                    "{rows} rows in {states} states; {seen} of its {nullable} nullable columns seen null"
                ),
                findings,
            }
        };
        Evidence::new(id(query), METHOD, outcome).by([&query.file])
    }
}
