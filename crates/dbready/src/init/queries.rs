//! Queries of a first contract, from what `pg_stat_statements` remembers.
//!
//! Only what `check` proves without sampled parameters is claimed: that the server prepares them, and
//! with which types.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use super::document::quoted;
use super::figures::Figures;
use super::statement::{self, Statement, Unfit};
use crate::Error;
use crate::catalog::{self, Described, LONGEST, Look, Survey, Touched, Workload};
use crate::contract::{canonical_type, hexadecimal, prose};

/// Queries of a first contract at most: those with the most time in total.
const MOST: usize = 50;
/// Texts that the server is asked about at once.
const AT_ONCE: usize = 50;

/// Queries, and why others are not among them.
#[derive(Debug, Default)]
pub(super) struct Queries {
    pub(super) queries: Vec<Query>,
    pub(super) left_out: Vec<String>,
}

/// One query.
#[derive(Debug)]
pub(super) struct Query {
    name: String,
    statement: Statement,
    described: Described,
    figures: Figures,
}

/// Why a statement is no query of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Unfit(Unfit),
    Long,
    NotPrepared,
    NoTable,
    Elsewhere,
    Columns,
    Whole,
}

impl Reason {
    fn words(self) -> String {
        let words = match self {
            Self::Unfit(Unfit::Utility) => "neither read nor change rows",
            Self::Unfit(Unfit::Constant) => {
                "hold constants, which pg_stat_statements did not replace and which may be secrets"
            }
            Self::Unfit(Unfit::Hidden) => "hold control characters",
            Self::Unfit(Unfit::Broken) => "are not one statement",
            Self::Long => return format!("are longer than {} kB", LONGEST / 1_024),
            Self::NotPrepared => {
                "are not prepared by the server as they were recorded, with the \
                search_path public"
            }
            Self::NoTable => "use no table of these schemas",
            Self::Elsewhere => "use other schemas or foreign tables",
            Self::Columns => "return columns without a name, of one name, or of a type without one",
            Self::Whole => "cannot be a part of another statement",
        };
        words.to_owned()
    }
}

/// Reads them from the server.
///
/// # Errors
///
/// [`Error::Database`].
pub(super) async fn draft(
    client: &mut Client,
    survey: &Survey,
    schemas: &[String],
) -> Result<Queries, Error> {
    let mut found = Queries::default();
    let workload = match catalog::workload(client).await? {
        Look::Seen(workload) => workload,
        Look::NotLooked(reason) => {
            found.left_out.push(format!("queries: {reason}"));
            return Ok(found);
        }
        Look::Refused(refusal) => {
            let remedy = match refusal.sqlstate.as_str() {
                "55000" => "; add it to shared_preload_libraries and start the server anew",
                "42501" => "; grant this role pg_read_all_stats",
                _ => "",
            };
            let message = refusal.message;
            let line = format!("queries: pg_stat_statements cannot be read: {message}{remedy}");
            found.left_out.push(line);
            return Ok(found);
        }
    };
    let mut left_out: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut candidates = candidates(&workload, &mut left_out).into_iter().peekable();
    let space = Space::new(survey, schemas);
    while found.queries.len() < MOST && candidates.peek().is_some() {
        let part: Vec<(Statement, Figures)> = candidates.by_ref().take(AT_ONCE).collect();
        let texts: Vec<&str> = part.iter().map(|(one, _)| one.text.as_str()).collect();
        let answers = catalog::describe(client, &texts).await?;
        for ((statement, figures), answer) in part.into_iter().zip(answers) {
            let fits = answer.map_err(|_| Reason::NotPrepared).and_then(|described| {
                space.reason(&statement, &described).map_or(Ok(described), Err)
            });
            match fits {
                Ok(described) => {
                    let name = name(&statement, &described.relations);
                    found.queries.push(Query { name, statement, described, figures });
                }
                Err(reason) => *left_out.entry(reason).or_default() += 1,
            }
        }
    }
    let cut = found.queries.len().saturating_sub(MOST);
    found.queries.truncate(MOST);
    let rest = candidates.count() + cut;
    found.left_out = lines(&workload, &left_out, rest, found.queries.is_empty());
    Ok(found)
}

/// What is said of the statements that are no queries.
fn lines(
    workload: &Workload,
    left_out: &BTreeMap<Reason, usize>,
    rest: usize,
    is_empty: bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    if is_empty && workload.hidden == 0 {
        lines.push(
            "queries: pg_stat_statements remembers none that a contract can hold; let the service \
             run for a while first"
                .to_owned(),
        );
    }
    if workload.hidden > 0 {
        lines.push(format!(
            "queries: {} statements of other roles are hidden from this one; grant it \
             pg_read_all_stats",
            workload.hidden
        ));
    }
    for (reason, count) in left_out {
        lines.push(format!("queries: {count} statements that {}", reason.words()));
    }
    if rest > 0 || workload.unread > 0 {
        lines.push(format!(
            "queries: {} statements with less time in total than the {MOST} that are written",
            rest as u64 + workload.unread
        ));
    }
    lines
}

/// Statements with the figures of all their entries, those with the most time in total first.
fn candidates(
    workload: &Workload,
    left_out: &mut BTreeMap<Reason, usize>,
) -> Vec<(Statement, Figures)> {
    let mut all: BTreeMap<String, (Statement, Figures)> = BTreeMap::new();
    let own = |text: &String| text.starts_with(catalog::OWN);
    for entry in workload.entries.iter().filter(|one| !one.text.as_ref().is_some_and(own)) {
        let read = entry.text.as_deref().ok_or(Reason::Long);
        match read.and_then(|text| statement::read(text).map_err(Reason::Unfit)) {
            Ok(one) => {
                let key = one.text.clone();
                all.entry(key).or_insert_with(|| (one, Figures::default())).1.add(entry);
            }
            Err(reason) => *left_out.entry(reason).or_default() += 1,
        }
    }
    let mut all: Vec<(Statement, Figures)> = all.into_values().collect();
    all.sort_by(|(_, one), (_, other)| other.total().total_cmp(&one.total()));
    all
}

/// The schemas that are described, and those that are not.
struct Space<'a> {
    schemas: &'a [String],
    others: HashSet<&'a str>,
}

impl<'a> Space<'a> {
    fn new(survey: &'a Survey, schemas: &'a [String]) -> Self {
        let others = survey.schemas.iter().filter(|one| !schemas.contains(*one));
        Self { schemas, others: others.map(String::as_str).collect() }
    }

    /// Why a statement that the server prepares is no query of the contract.
    fn reason(&self, statement: &Statement, described: &Described) -> Option<Reason> {
        let is_inside = |one: &&Touched| self.schemas.contains(&one.schema) && !one.is_foreign;
        let relations = || described.relations.iter().filter(|one| !one.of_extension);
        // Functions and types of another schema are named with it.
        if statement.qualifiers.iter().any(|one| self.others.contains(one.as_str()))
            || !relations().all(|one| is_inside(&one))
        {
            return Some(Reason::Elsewhere);
        }
        if relations().next().is_none() {
            return Some(Reason::NoTable);
        }
        let signature = &described.signature;
        let is_type = |written: &str| canonical_type(written).as_deref() == Some(written);
        let mut names = HashSet::new();
        let sound = |(name, kind): &(String, String)| {
            let is_name = !name.trim().is_empty() && !name.contains(char::is_control);
            is_type(kind) && is_name
        };
        if !signature.results.iter().all(|one| sound(one) && names.insert(one.0.as_str()))
            || !signature.parameters.iter().all(|one| is_type(one))
        {
            return Some(Reason::Columns);
        }
        (!described.is_query).then_some(Reason::Whole)
    }
}

/// A name that the text alone decides: what it does, the first table that it names, and a digest.
fn name(statement: &Statement, relations: &[Touched]) -> String {
    let text = statement.text.to_lowercase();
    let place = |one: &Touched| text.find(&one.name.to_lowercase()).unwrap_or(usize::MAX);
    let own = relations.iter().filter(|one| !one.of_extension);
    let table = own.min_by_key(|one| (place(one), &one.name)).map_or("", |one| one.name.as_str());
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let table: String = table.chars().map(plain).take(40).collect();
    let digest = hexadecimal(&Sha256::digest(&statement.text));
    let digest = digest.get(..12).unwrap_or(&digest);
    [statement.verb, table.trim_matches('_'), digest]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

impl Query {
    /// Path of its text.
    pub(super) fn file(&self) -> String {
        format!("queries/{}.sql", self.name)
    }

    /// Its text.
    pub(super) fn sql(&self) -> String {
        format!("{}\n", self.statement.text)
    }

    /// Its `[[query]]`.
    pub(super) fn write(&self, out: &mut String) -> std::fmt::Result {
        let name = quoted(&self.name);
        let own = self.described.relations.iter().filter(|one| !one.of_extension);
        let tables: Vec<String> =
            own.map(|one| crate::sql::spoken_name(&one.schema, &one.name)).collect();
        let meaning = prose(&format!("{} of {}", self.statement.verb, tables.join(", ")));
        writeln!(out, "\n[[query]]\nname = {name}\nfile = {}", quoted(&self.file()))?;
        writeln!(out, "method = {name}\nmeaning = {}", quoted(&meaning))?;
        let signature = &self.described.signature;
        if !signature.parameters.is_empty() {
            writeln!(out, "parameter = [")?;
            for (at, kind) in signature.parameters.iter().enumerate() {
                writeln!(out, "    {{ name = \"p{}\", type = {} }},", at + 1, quoted(kind))?;
            }
            writeln!(out, "]")?;
        }
        if !signature.results.is_empty() {
            writeln!(out, "result = [")?;
            for (name, kind) in &signature.results {
                let (name, kind) = (quoted(name), quoted(kind));
                writeln!(out, "    {{ name = {name}, type = {kind}, nullable = true }},")?;
            }
            writeln!(out, "]")?;
        }
        self.figures.write(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_depends_on_the_text_alone_and_differs_with_it() {
        let of = |text: &str| {
            let table = |name: &str| Touched {
                schema: "public".to_owned(),
                name: name.to_owned(),
                is_foreign: false,
                of_extension: false,
            };
            name(&statement::read(text).unwrap(), &[table("a"), table("Größe \"x\""), table("b")])
        };
        let first = of("SELECT x FROM \"Größe \"\"x\"\"\" JOIN b USING (x)");
        assert!(first.starts_with("select_b_"), "{first}");
        assert_ne!(of("SELECT 1 FROM b"), of("SELECT 2 FROM b"));
        assert_eq!(of("SELECT 1 FROM b"), of("/* other */ SELECT 1 FROM b;"));
    }
}
