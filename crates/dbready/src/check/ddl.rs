//! Statements that mend: printed for people, and run by the tests that prove them.

use semver::Version;

use crate::contract::{Column, Constraint, Hypertable, Identity, Index, Table, in_version};
use crate::sql::{quote_ident, quote_literal};

/// `ALTER TABLE … ` with the rest.
pub(super) fn alter_table(table: &Table, action: &str) -> String {
    format!("ALTER TABLE {} {action}", table.qualified())
}

/// `ALTER TABLE … ALTER COLUMN … ` with the rest.
pub(super) fn alter_column(table: &Table, column: &str, action: &str) -> String {
    alter_table(table, &format!("ALTER COLUMN {} {action}", quote_ident(column)))
}

/// A column as `CREATE TABLE` and `ADD COLUMN` take it.
pub(crate) fn column(column: &Column) -> String {
    let mut text = format!("{} {}", quote_ident(&column.name), column.data_type);
    if let Some(collation) = &column.collation {
        text.extend([" COLLATE ", &quote_ident(collation)]);
    }
    if let Some(default) = &column.default {
        text.extend([" DEFAULT ", default]);
    }
    if let Some(expression) = &column.generated {
        text.extend([" GENERATED ALWAYS AS (", expression, ") STORED"]);
    }
    if let Some(identity) = column.identity {
        text.extend([" GENERATED ", identity_word(identity), " AS IDENTITY"]);
    }
    if !column.nullable {
        text.push_str(" NOT NULL");
    }
    text
}

/// `ALWAYS` or `BY DEFAULT`.
pub(super) fn identity_word(identity: Identity) -> &'static str {
    match identity {
        Identity::Always => "ALWAYS",
        Identity::ByDefault => "BY DEFAULT",
    }
}

/// A constraint as `CREATE TABLE` and `ADD` take it.
pub(super) fn constraint(constraint: &Constraint) -> String {
    format!("CONSTRAINT {} {}", quote_ident(&constraint.name), constraint.definition)
}

/// `CREATE INDEX`.
pub(crate) fn create_index(table: &Table, index: &Index) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let text = format!(
        "CREATE {unique}INDEX {} ON {} USING {} ({})",
        quote_ident(&index.name),
        table.qualified(),
        quote_ident(&index.method),
        index.columns.join(", "),
    );
    let Index { include, nulls_not_distinct, predicate, .. } = index;
    text + &after_columns(include, *nulls_not_distinct, predicate.as_deref())
}

/// What a definition of an index says after its columns.
pub(super) fn after_columns(
    include: &[String],
    nulls_not_distinct: bool,
    predicate: Option<&str>,
) -> String {
    let mut text = String::new();
    if !include.is_empty() {
        text.extend([" INCLUDE (", &include.join(", "), ")"]);
    }
    if nulls_not_distinct {
        text.push_str(" NULLS NOT DISTINCT");
    }
    if let Some(predicate) = predicate {
        text.extend([" WHERE ", predicate]);
    }
    text
}

/// `create_hypertable` for a plain table, moving the rows that it has.
pub(super) fn create_hypertable(table: &Table, hypertable: &Hypertable) -> String {
    format!(
        "SELECT create_hypertable({}, by_range({}, INTERVAL {}), create_default_indexes => false, \
         migrate_data => true)",
        quote_literal(&table.qualified()),
        quote_literal(&hypertable.time_column),
        quote_literal(&hypertable.chunk_interval.to_string()),
    )
}

/// Everything that makes the table as `version` has it: columns, constraints, hypertable, indexes.
pub(super) fn create_table(table: &Table, version: &Version) -> String {
    let columns = table
        .columns
        .iter()
        .filter(|part| in_version(part.since.as_ref(), part.until.as_ref(), version))
        .map(column);
    let constraints = table
        .constraints
        .iter()
        .filter(|part| in_version(part.since.as_ref(), part.until.as_ref(), version))
        .map(constraint);
    let body: Vec<String> = columns.chain(constraints).collect();
    let key = table.partition_by.as_ref();
    let mut statements = vec![format!(
        "CREATE {}TABLE {} ({}){}",
        if table.unlogged { "UNLOGGED " } else { "" },
        table.qualified(),
        body.join(", "),
        key.map_or_else(String::new, |key| format!(" PARTITION BY {key}"))
    )];
    statements.extend(table.hypertable.as_ref().map(|parts| create_hypertable(table, parts)));
    let indexes = table
        .indexes
        .iter()
        .filter(|part| in_version(part.since.as_ref(), part.until.as_ref(), version));
    statements.extend(indexes.map(|index| create_index(table, index)));
    if table.row_security {
        statements.push(alter_table(table, "ENABLE ROW LEVEL SECURITY"));
    }
    statements.join("; ")
}
