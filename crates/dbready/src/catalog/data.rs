//! The rows themselves: how many values of each column break a rule of the contract.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;

use super::attempt::{Look, Refusal, attempt};
use super::snapshot::{Relation, Snapshot};
use super::text_value::{TextValue, parameters};
use super::{Earlier, OWN, Part};
use crate::Error;
use crate::contract::{Contract, DataClause, Format, Rule, data_clauses};
use crate::evidence::Statements;
use crate::sql::{qualified, quote_ident, quote_literal, spoken_name};

/// Wrong values that are shown.
const EXAMPLES: i64 = 5;

/// Rows from which on the server may scan a table with several processes, although each chunk of it is
/// too small for that in the server's eyes.
const PARALLEL_ROWS: u64 = 50_000;

/// What was seen of the data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataObservation {
    /// Values of each column under each rule, by the id of the claim.
    pub clauses: BTreeMap<String, Look<Values>>,
    /// Name of the statement that counted them, by the id of the claim.
    pub scans: BTreeMap<String, String>,
    /// For each format in the contract's order: whether each example and then each counterexample
    /// matches on the server.
    pub formats: Vec<Look<Vec<bool>>>,
}

/// The values of one column under one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// Values looked at: those that are not null, or all where null is wrong too.
    pub looked_at: u64,
    /// How many there are by the server's estimate, when only a sample was looked at.
    pub estimate: Option<u64>,
    /// How many of them break the rule.
    pub wrong: u64,
    /// Some of these.
    pub examples: Vec<Example>,
    /// The statement that lists them, for people.
    pub listing: String,
}

/// One value that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The primary key of its row, as text; empty when the table has none.
    pub key: String,
    /// The value as text, cut; absent when it is null.
    pub value: Option<String>,
}

/// Scans the tables that the contract's rules speak of, one statement a table, but for those whose
/// `earlier` observation still holds.
pub(super) async fn observe(
    transaction: &mut Transaction<'_>,
    contract: &Contract,
    snapshot: &Snapshot,
    full_scan_rows: u64,
    earlier: Earlier<'_>,
    ran: &mut Statements,
) -> Result<DataObservation, Error> {
    // A scan takes one core of the server, not all of them.
    transaction.batch_execute("SET LOCAL max_parallel_workers_per_gather = 0").await?;
    let mut seen = DataObservation::default();
    let clauses = data_clauses(contract);
    let mut rest = clauses.as_slice();
    while let Some(first) = rest.first() {
        let same = |clause: &&DataClause<'_>| std::ptr::eq(clause.table, first.table);
        let (of_table, others) = rest.split_at(rest.iter().take_while(same).count());
        rest = others;
        let place = contract.model.tables.iter().position(|one| std::ptr::eq(one, first.table));
        if let Some(earlier) = place.and_then(|at| earlier.of(Part::Data(at))) {
            for id in of_table.iter().map(DataClause::id) {
                let known = earlier.data.scans.get(&id);
                seen.scans.extend(known.map(|scan| (id.clone(), scan.clone())));
                let known = earlier.data.clauses.get(&id);
                seen.clauses.extend(known.map(|values| (id, values.clone())));
            }
            continue;
        }
        let name = first.table.spoken_name();
        let Some(relation) = snapshot.relation(&first.table.schema, &first.table.name) else {
            let missing = || Look::NotLooked(format!("the table {name} is missing"));
            seen.clauses.extend(of_table.iter().map(|clause| (clause.id(), missing())));
            continue;
        };
        let mut scan = Scan { relation, estimate: None, probes: Vec::new() };
        for clause in of_table {
            match Probe::of(clause, relation) {
                Ok(probe) => scan.probes.push(probe),
                Err(reason) => {
                    seen.clauses.insert(clause.id(), Look::NotLooked(reason));
                }
            }
        }
        scan.run(transaction, full_scan_rows, &mut seen, ran).await?;
    }
    for format in &contract.model.formats {
        seen.formats.push(try_format(transaction, format).await?);
        ran.insert(TRY_FORMAT.to_owned(), TRY_FORMAT_SQL.to_owned());
    }
    Ok(seen)
}

/// The scan of one table.
struct Scan<'a> {
    relation: &'a Relation,
    /// Rows by the server's estimate, when only a sample is scanned.
    estimate: Option<u64>,
    probes: Vec<Probe>,
}

/// One rule for one column in SQL.
struct Probe {
    id: String,
    column: String,
    /// Counts the values that are looked at.
    looked_at: String,
    /// Holds for a wrong value.
    wrong: Condition,
}

impl Probe {
    /// # Errors
    ///
    /// The reason why the rule cannot be tried on this column.
    fn of(clause: &DataClause<'_>, relation: &Relation) -> Result<Self, String> {
        let name = &clause.column.name;
        let Some(column) = relation.column(name) else {
            return Err(format!("the column {}.{name} is missing", clause.table.spoken_name()));
        };
        let value = quote_ident(name);
        let kind = column.data_type.as_str();
        let unfit = |wanted: &str| Err(format!("the column is `{kind}` and holds no {wanted}"));
        let mut wrong = Condition::default();
        match clause.rule {
            Rule::Format(format) => {
                wrong.sql(format!("NOT ({value}::text COLLATE \"C\" ~ ('^(?:' || "));
                wrong.value(&format.pattern, "text");
                wrong.sql(" || ')$'))");
            }
            Rule::Range(range) => {
                let Some(number) = number_type(kind) else { return unfit("numbers") };
                let number_value = format!("{value}::{number}");
                wrong.sql(format!("{number_value} = 'NaN'::{number} OR NOT (true"));
                let bounds =
                    [(">=", range.min), (">", range.above), ("<=", range.max), ("<", range.below)];
                for (sign, bound) in bounds {
                    let Some(bound) = bound else { continue };
                    wrong.sql(format!(" AND {number_value} {sign} "));
                    wrong.value(&bound.to_string(), number);
                }
                wrong.sql(")");
            }
            Rule::Precision(precision) => {
                if number_type(kind).is_none() {
                    return unfit("numbers");
                }
                // Digits that are needed: none for NaN and the infinities, and zeros at the end do not count.
                wrong.sql(format!("min_scale({value}::numeric) > "));
                wrong.value(&precision.scale.to_string(), "integer");
            }
            Rule::Instant => {
                if !(kind.starts_with("timestamp") && kind.ends_with("with time zone")) {
                    return unfit("instants");
                }
                wrong.sql(format!("NOT isfinite({value})"));
            }
            Rule::JsonObject => {
                if !matches!(kind, "json" | "jsonb") {
                    return unfit("JSON");
                }
                wrong.sql(format!("{value} IS NULL OR {kind}_typeof({value}) <> 'object'"));
            }
        }
        let looked_at = match clause.rule {
            Rule::JsonObject => "count(*)".to_owned(),
            _ => format!("count({value})"),
        };
        Ok(Self { id: clause.id(), column: name.clone(), looked_at, wrong })
    }
}

/// An SQL condition with values in it.
#[derive(Default)]
struct Condition(Vec<Piece>);

enum Piece {
    Sql(String),
    /// A value and its type.
    Value(String, &'static str),
}

impl Condition {
    fn sql(&mut self, text: impl Into<String>) {
        self.0.push(Piece::Sql(text.into()));
    }

    fn value(&mut self, text: &str, kind: &'static str) {
        self.0.push(Piece::Value(text.to_owned(), kind));
    }

    /// The condition with its values added to the parameters of a statement.
    fn send(&self, parameters: &mut Vec<TextValue>) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Sql(text) => text.clone(),
            Piece::Value(text, kind) => {
                parameters.push(TextValue(Some(text.clone())));
                format!("${}::{kind}", parameters.len())
            }
        });
        pieces.collect()
    }

    /// The condition with its values written out, for people.
    fn print(&self) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Value(text, "text") => quote_literal(text),
            Piece::Sql(text) | Piece::Value(text, _) => text.clone(),
        });
        pieces.collect()
    }
}

/// The type in which numbers of that type are compared without loss, if it is a type of numbers.
fn number_type(kind: &str) -> Option<&'static str> {
    match kind.split('(').next()? {
        "smallint" | "integer" | "bigint" | "numeric" => Some("numeric"),
        "real" | "double precision" => Some("double precision"),
        _ => None,
    }
}

impl Scan<'_> {
    async fn run(
        &mut self,
        transaction: &mut Transaction<'_>,
        full_scan_rows: u64,
        seen: &mut DataObservation,
        ran: &mut Statements,
    ) -> Result<(), Error> {
        let rows = estimate(transaction, self.relation).await?;
        self.estimate = (rows > full_scan_rows).then_some(rows);
        // In parts of a million, so that no precision is lost on the way to text.
        let share = self.estimate.map(|rows| {
            u32::try_from(full_scan_rows.saturating_mul(1_000_000) / rows).unwrap_or(1_000_000)
        });
        let all: Vec<&Probe> = self.probes.iter().collect();
        let name = format!("scan of {}", spoken_name(&self.relation.schema, &self.relation.name));
        let whole = self.counting(&all, share);
        let is_large = rows > PARALLEL_ROWS;
        match count(transaction, &whole, all.len(), is_large).await? {
            Ok(counts) => {
                for (probe, counted) in self.probes.iter().zip(counts) {
                    let values = self.values(transaction, probe, counted, share).await?;
                    seen.clauses.insert(probe.id.clone(), Look::Seen(values));
                    seen.scans.insert(probe.id.clone(), name.clone());
                }
                ran.insert(name, whole.sql);
            }
            // A privilege may be missing for some columns, a value may break one cast only.
            Err(_) => {
                for probe in &self.probes {
                    let alone = self.counting(&[probe], share);
                    let look = match count(transaction, &alone, 1, is_large).await? {
                        Err(refusal) => Look::Refused(refusal),
                        Ok(counts) => {
                            let counted = counts.first().copied().unwrap_or_default();
                            Look::Seen(self.values(transaction, probe, counted, share).await?)
                        }
                    };
                    seen.clauses.insert(probe.id.clone(), look);
                    let name = format!("{name} for {}", probe.id);
                    ran.insert(name.clone(), alone.sql);
                    seen.scans.insert(probe.id.clone(), name);
                }
            }
        }
        Ok(())
    }

    /// `FROM` clause; the same rows each time when it is a sample.
    fn source(&self, share: Option<u32>) -> String {
        let table = qualified(&self.relation.schema, &self.relation.name);
        share.map_or(table.clone(), |share| {
            let percent = f64::from(share) / 10_000.0;
            format!("{table} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0)")
        })
    }

    /// The statement that counts values looked at and wrong values for each probe.
    fn counting(&self, probes: &[&Probe], share: Option<u32>) -> Counting {
        let mut values = Vec::new();
        let columns = probes.iter().map(|probe| {
            let wrong = probe.wrong.send(&mut values);
            format!("{}, count(*) FILTER (WHERE {wrong})", probe.looked_at)
        });
        let columns = columns.collect::<Vec<_>>().join(",\n       ");
        let sql = format!("{OWN} SELECT {columns}\nFROM {}", self.source(share));
        Counting { sql, values }
    }

    async fn values(
        &self,
        transaction: &mut Transaction<'_>,
        probe: &Probe,
        (looked_at, wrong): (u64, u64),
        share: Option<u32>,
    ) -> Result<Values, Error> {
        let examples = match wrong {
            0 => Vec::new(),
            _ => self.examples(transaction, probe, share).await?,
        };
        Ok(Values {
            looked_at,
            // An estimate may be too low; a sample is never all there is.
            estimate: self.estimate.map(|rows| rows.max(looked_at + 1)),
            wrong,
            examples,
            listing: format!(
                "SELECT * FROM {} WHERE {}",
                qualified(&self.relation.schema, &self.relation.name),
                probe.wrong.print()
            ),
        })
    }

    async fn examples(
        &self,
        transaction: &mut Transaction<'_>,
        probe: &Probe,
        share: Option<u32>,
    ) -> Result<Vec<Example>, Error> {
        let keys = self.relation.primary_key().unwrap_or_default();
        let parts: Vec<String> = keys.iter().map(|key| format!("{key}::text")).collect();
        let key = if parts.is_empty() { "''".to_owned() } else { parts.join(" || ', ' || ") };
        let mut values = Vec::new();
        let sql = format!(
            "{OWN} SELECT {key}, left({}::text, 100) FROM {} WHERE {} LIMIT {EXAMPLES}",
            quote_ident(&probe.column),
            self.source(share),
            probe.wrong.send(&mut values)
        );
        let rows = attempt(transaction, async |inner| {
            let rows = inner.query(&sql, &parameters(&values)).await?;
            rows.iter()
                .map(|row| Ok(Example { key: row.try_get(0)?, value: row.try_get(1)? }))
                .collect()
        });
        // Without examples the count stands.
        Ok(rows.await?.unwrap_or_default())
    }
}

/// A statement with its parameters.
struct Counting {
    sql: String,
    values: Vec<TextValue>,
}

/// Values looked at and wrong values for each of so many probes, in one statement.
async fn count(
    transaction: &mut Transaction<'_>,
    counting: &Counting,
    probes: usize,
    is_large: bool,
) -> Result<Result<Vec<(u64, u64)>, Refusal>, Error> {
    if probes == 0 {
        return Ok(Ok(Vec::new()));
    }
    attempt(transaction, async |inner| {
        if is_large {
            inner.batch_execute("SET LOCAL min_parallel_table_scan_size = 0").await?;
        }
        let row = inner.query_one(&counting.sql, &parameters(&counting.values)).await?;
        let count = |at| row.try_get::<_, i64>(at).map(i64::unsigned_abs);
        (0..probes).map(|at| Ok((count(2 * at)?, count(2 * at + 1)?))).collect()
    })
    .await
}

/// Rows of a table and its chunks or partitions, by the server's own estimate.
pub(super) async fn estimate(
    transaction: &Transaction<'_>,
    relation: &Relation,
) -> Result<u64, Error> {
    let row = transaction
        .query_one(include_str!("data_rows.sql"), &[&relation.schema, &relation.name])
        .await?;
    Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
}

/// Name of the statement that tries patterns.
pub const TRY_FORMAT: &str = "examples of formats";

const TRY_FORMAT_SQL: &str = "SELECT text COLLATE \"C\" ~ ('^(?:' || $1::text || ')$')
FROM unnest($2::text[]) WITH ORDINALITY AS tried(text, position)
ORDER BY position";

/// What the server says about the examples of a format.
async fn try_format(
    transaction: &mut Transaction<'_>,
    format: &Format,
) -> Result<Look<Vec<bool>>, Error> {
    let texts: Vec<&String> = format.examples.iter().chain(&format.counterexamples).collect();
    let answer = attempt(transaction, async |inner| {
        let rows = inner.query(TRY_FORMAT_SQL, &[&format.pattern, &texts]).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    });
    Ok(answer.await?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_sent_as_parameters_and_printed_as_constants() {
        let mut condition = Condition::default();
        condition.sql("a ~ ");
        condition.value("it's?", "text");
        condition.sql(" OR b > ");
        condition.value("5", "numeric");
        let mut parameters = vec![TextValue(None)];
        assert_eq!(condition.send(&mut parameters), "a ~ $2::text OR b > $3::numeric");
        assert_eq!(parameters.len(), 3);
        assert_eq!(condition.print(), "a ~ 'it''s?' OR b > 5");
    }

    #[test]
    fn numbers_are_compared_without_loss() {
        assert_eq!(number_type("numeric(10,6)"), Some("numeric"));
        assert_eq!(number_type("bigint"), Some("numeric"));
        assert_eq!(number_type("double precision"), Some("double precision"));
        assert_eq!(number_type("text"), None);
        assert_eq!(number_type("interval"), None);
    }
}
