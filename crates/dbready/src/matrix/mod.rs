//! {old, new} queries on {old, new} schemas: which releases can run beside each other.
//!
//! Both schemas are built on scratch databases: the old one from the old contract with its data, the
//! new one as a copy of it that the new contract's migrations upgrade. Each query contract is
//! prepared and run on both with the same values, and compared with what its contract says and with
//! what it answers on its own schema.

mod render;

use pg_session::Config;
use serde::Serialize;

use crate::catalog::{self, Answer, Look, Rows, Samples};
use crate::contract::{Contract, Query};
use crate::scratch::{Scratch, build};
use crate::{Error, migrate, seed};

pub use render::{json, markdown, text};

/// What the key `format` of the JSON document says.
pub const FORMAT: &str = "dbready-contract-matrix";
/// Version of that document.
pub const FORMAT_VERSION: u32 = 1;

/// How a query fares on a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fare {
    /// It has its types, and answers as on its own schema where rows were compared.
    Works,
    /// The server refuses it.
    Fails,
    /// It runs, with other types, other rows, or null where its contract states none.
    Differs,
}

/// One query on one schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// How it fares.
    pub fare: Fare,
    /// What is wrong, or how many rows were compared, or why none were.
    pub detail: String,
    /// Rows looked at.
    pub rows: u64,
}

/// One query contract on both schemas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub query: String,
    /// Whether it is the old contract's or the new one's.
    pub of: Age,
    /// Who relies on it.
    pub consumers: Vec<String>,
    /// On the old schema.
    pub on_old: Cell,
    /// On the new schema.
    pub on_new: Cell,
}

impl Row {
    /// How it fares on one of the schemas.
    #[must_use]
    pub fn on(&self, schema: Age) -> &Cell {
        match schema {
            Age::Old => &self.on_old,
            Age::New => &self.on_new,
        }
    }
}

/// One of the two contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Age {
    /// The released one.
    Old,
    /// The one that is to follow.
    New,
}

impl Age {
    fn word(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }
}

/// The two-by-two.
#[expect(clippy::struct_excessive_bools, reason = "a two-by-two has four fields")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// [`FORMAT`].
    pub format: &'static str,
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Version of the old contract.
    pub old: String,
    /// Version of the new one.
    pub new: String,
    /// Whether every old query works on the old schema.
    pub old_on_old: bool,
    /// Whether every old query works on the new schema: released clients survive the migration.
    pub old_on_new: bool,
    /// Whether every new query works on the old schema: new clients may come first.
    pub new_on_old: bool,
    /// Whether every new query works on the new schema.
    pub new_on_new: bool,
    /// In which order schema and clients can be released.
    pub order: String,
    /// Consumers of old queries that fare worse on the new schema.
    pub broken_consumers: Vec<String>,
    /// Queries in both contracts that answer otherwise on their own schemas.
    pub other_answers: Vec<String>,
    /// Every query contract.
    pub rows: Vec<Row>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Matrix {
    /// Whether the migration breaks nobody, and the new contract holds by itself.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.old_on_old && self.old_on_new && self.new_on_new
    }
}

/// Builds both schemas on the server of `scratch` and runs both sets of queries on both.
///
/// Dropping the future drops the databases with `scratch`.
///
/// # Errors
///
/// [`Error::Migration`] when a contract's own migrations fail; [`Error::Database`].
pub async fn run(
    scratch: &mut Scratch,
    old: &Contract,
    new: &Contract,
    said: &(dyn Fn(&str) + Send + Sync),
) -> Result<Matrix, Error> {
    let mut notes = Vec::new();
    said("building the old schema with its data");
    let old_schema = scratch.create("old", old).await?;
    build(&old_schema, old, seed::Profile::Quick).await?;
    if old.seed_sql.is_none() {
        notes.push(
            "the old contract has no seed.sql, so that types were compared and no rows".to_owned(),
        );
    }
    said("upgrading a copy to the new schema");
    let new_schema = upgraded(scratch, &old_schema, new, &mut notes).await?;
    said("running both sets of queries on both");
    let mut on_old = Side { config: old_schema, client: None };
    let mut on_new = Side { config: new_schema, client: None };
    let old_samples = on_old.samples(old).await?;
    let new_samples = on_new.samples(new).await?;
    let old_on_old = on_old.answers(old, &old_samples).await?;
    let old_on_new = on_new.answers(old, &old_samples).await?;
    let new_on_old = on_old.answers(new, &new_samples).await?;
    let new_on_new = on_new.answers(new, &new_samples).await?;
    let steady_before = steady(&old_on_old, on_old.answers(old, &old_samples).await?);
    let steady_after = steady(&new_on_new, on_new.answers(new, &new_samples).await?);
    // With the values of the old data, so that answers can be compared.
    let mut other_answers = Vec::new();
    for (at, query) in old.model.queries.iter().enumerate() {
        let Some(twin) = new.model.queries.iter().position(|one| one.name == query.name) else {
            continue;
        };
        let same_sample = old.query_sql[at].sample == new.query_sql[twin].sample;
        let (Look::Seen(was), Look::Seen(is)) = (&steady_before[at].rows, &steady_after[twin].rows)
        else {
            continue;
        };
        if same_sample && was.complete && is.complete && was.digest != is.digest {
            other_answers.push(query.name.clone());
        }
    }
    let mut rows = rows(old, Age::Old, [&old_on_old, &old_on_new], &steady_before);
    rows.extend(self::rows(new, Age::New, [&new_on_old, &new_on_new], &steady_after));
    Ok(judge(old, new, rows, other_answers, notes))
}

/// One schema with a connection to it.
struct Side {
    config: Config,
    client: Option<tokio_postgres::Client>,
}

impl Side {
    async fn client(&mut self) -> Result<&mut tokio_postgres::Client, Error> {
        let client = match self.client.take() {
            Some(client) if !client.is_closed() => client,
            _ => pg_session::connect(&self.config).await?,
        };
        Ok(self.client.insert(client))
    }

    async fn samples(&mut self, contract: &Contract) -> Result<Samples, Error> {
        catalog::samples(self.client().await?, contract).await
    }

    async fn answers(
        &mut self,
        contract: &Contract,
        samples: &Samples,
    ) -> Result<Vec<Answer>, Error> {
        catalog::answers(self.client().await?, contract, samples).await
    }
}

/// The new schema: a copy of the old one that the new contract's migrations upgrade. Where they refuse
/// it, the schema is built from nothing.
async fn upgraded(
    scratch: &mut Scratch,
    old_schema: &Config,
    new: &Contract,
    notes: &mut Vec<String>,
) -> Result<Config, Error> {
    let copy = scratch.copy(old_schema, "new").await?;
    let mut client = pg_session::connect(&copy).await?;
    let upgrade = migrate::up(&mut client, new, None, &migrate::Options::default(), &|_| ()).await;
    match upgrade {
        Ok(_) => {
            client.batch_execute("ANALYZE").await?;
            Ok(copy)
        }
        Err(migrate::Error::Refused { .. }) => {
            notes.push(
                "the new migrations refuse a database of the old contract, so that the new schema was \
                 built from nothing and rows were compared with its own data"
                    .to_owned(),
            );
            let fresh = scratch.create("fresh", new).await?;
            build(&fresh, new, seed::Profile::Quick).await?;
            Ok(fresh)
        }
        Err(error) => Err(error.into()),
    }
}

/// What queries answer on their own schema, as far as they answer the same when they run `again`: what
/// the clock or chance answers is not compared.
fn steady(first: &[Answer], again: Vec<Answer>) -> Vec<Answer> {
    let mut own = again;
    for (own, first) in own.iter_mut().zip(first) {
        if own.rows != first.rows {
            own.rows = Look::NotLooked("it answers otherwise each time".to_owned());
        }
    }
    own
}

fn rows(contract: &Contract, of: Age, on: [&[Answer]; 2], own: &[Answer]) -> Vec<Row> {
    let [on_old, on_new] = on;
    let queries = contract.model.queries.iter().zip(own).zip(on_old.iter().zip(on_new));
    queries
        .map(|((query, own), (old, new))| Row {
            query: query.name.clone(),
            of,
            consumers: query.consumers.clone(),
            on_old: cell(query, old, own),
            on_new: cell(query, new, own),
        })
        .collect()
}

/// How a query fares, by its contract and by what it answers on its own schema.
fn cell(query: &Query, answer: &Answer, own: &Answer) -> Cell {
    let fares = |fare, detail: String, rows| Cell { fare, detail, rows };
    let signature = match &answer.signature {
        Ok(signature) => signature,
        Err(refusal) => return fares(Fare::Fails, refusal.message.clone(), 0),
    };
    let parameters: Vec<&str> = query.parameters.iter().map(|one| one.data_type.as_str()).collect();
    if signature.parameters != parameters {
        let found = signature.parameters.join(", ");
        let detail = format!("its parameters are ({found}), not ({})", parameters.join(", "));
        return fares(Fare::Differs, detail, 0);
    }
    let wanted: Vec<(&str, &str)> =
        query.results.iter().map(|one| (one.name.as_str(), one.data_type.as_str())).collect();
    let found: Vec<(&str, &str)> =
        signature.results.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    if wanted != found {
        let at = wanted.iter().zip(&found).position(|(one, other)| one != other);
        let at = at.unwrap_or(wanted.len().min(found.len()));
        let shown = |list: &[(&str, &str)]| {
            list.get(at).map_or("nothing".to_owned(), |(name, kind)| format!("{name} {kind}"))
        };
        let detail = format!("column {} is {}, not {}", at + 1, shown(&found), shown(&wanted));
        return fares(Fare::Differs, detail, 0);
    }
    match (&answer.rows, &own.rows) {
        (Look::Seen(rows), _) if null_where_none(query, rows).is_some() => {
            let column = null_where_none(query, rows).unwrap_or_default();
            fares(
                Fare::Differs,
                format!("{column} is null, which its contract rules out"),
                rows.count,
            )
        }
        (Look::Seen(rows), Look::Seen(mine)) if rows.complete && mine.complete => {
            if rows.digest == mine.digest {
                fares(Fare::Works, format!("{} rows compared", rows.count), rows.count)
            } else {
                let detail = format!(
                    "it answers {} rows, on its own schema {} others",
                    rows.count, mine.count
                );
                fares(Fare::Differs, detail, rows.count)
            }
        }
        (Look::Seen(rows), _) => {
            fares(Fare::Works, "its rows were not compared".to_owned(), rows.count)
        }
        (Look::Refused(refusal), Look::Seen(_)) if !refusal.is_circumstance() => {
            fares(Fare::Fails, refusal.message.clone(), 0)
        }
        (Look::Refused(refusal), _) => {
            fares(Fare::Works, format!("its types; not run: {}", refusal.message), 0)
        }
        (Look::NotLooked(reason), _) => {
            fares(Fare::Works, format!("its types; not run: {reason}"), 0)
        }
    }
}

fn null_where_none<'a>(query: &'a Query, rows: &Rows) -> Option<&'a str> {
    let mut columns = query.results.iter().zip(&rows.nulls);
    columns
        .find(|(column, nulls)| **nulls > 0 && !column.nullable)
        .map(|(column, _)| column.name.as_str())
}

fn judge(
    old: &Contract,
    new: &Contract,
    rows: Vec<Row>,
    other_answers: Vec<String>,
    notes: Vec<String>,
) -> Matrix {
    let works = |of: Age, schema: Age| {
        rows.iter().filter(|row| row.of == of).all(|row| row.on(schema).fare == Fare::Works)
    };
    let (old_on_new, new_on_old) = (works(Age::Old, Age::New), works(Age::New, Age::Old));
    let order = match (old_on_new, new_on_old) {
        (true, true) => "schema and clients in any order",
        (true, false) => "the schema first, then the clients",
        (false, true) => "the clients first, then the schema",
        (false, false) => {
            "only together; in two releases, expand the schema first and contract it later"
        }
    };
    let mut broken_consumers: Vec<String> = Vec::new();
    let broken = rows.iter().filter(|row| row.of == Age::Old && row.on_new.fare != Fare::Works);
    for consumer in broken.flat_map(|row| &row.consumers) {
        if !broken_consumers.contains(consumer) {
            broken_consumers.push(consumer.clone());
        }
    }
    Matrix {
        format: FORMAT,
        format_version: FORMAT_VERSION,
        old: old.model.service.version.to_string(),
        new: new.model.service.version.to_string(),
        old_on_old: works(Age::Old, Age::Old),
        old_on_new,
        new_on_old,
        new_on_new: works(Age::New, Age::New),
        order: order.to_owned(),
        broken_consumers,
        other_answers,
        rows,
        notes,
    }
}
