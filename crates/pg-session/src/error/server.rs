//! What the server said, and how its SQLSTATE is to be treated.

use std::fmt;

use tokio_postgres::error::{DbError, ErrorPosition, Severity};

use crate::text::one_line;

/// How an error is to be treated. Decided by the phase of the call first, then
/// by SQLSTATE, never by message text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The configuration is wrong: change it.
    Config,
    /// No connection could be made: try again later.
    Connect,
    /// The server refused the role or its credentials.
    Authentication,
    /// The server has no such database, or it accepts no connections.
    DatabaseMissing,
    /// The server cannot take the connection now: try again with a pause.
    Unavailable,
    /// The role may not do this.
    Privilege,
    /// A constraint refused the data.
    Constraint,
    /// The data or a parameter is not acceptable to the server.
    Data,
    /// Another transaction was in the way: the whole transaction may be retried.
    Conflict,
    /// A time limit ended the statement, or someone cancelled it.
    Timeout,
    /// The connection is gone.
    Lost,
    /// The server accepts no writes: it is a standby or read-only.
    ReadOnly,
    /// The schema is not what the statement expects.
    Drift,
    /// A prepared statement no longer fits the schema: prepare it again.
    StaleStatement,
    /// The server ran out of disk, memory or a configured limit.
    Resource,
    /// The program used the session wrongly: SQL, transaction state, parameters.
    Bug,
    /// The server reports damage or an internal failure: alert, do not retry.
    ServerFailure,
    /// A function or procedure raised the error on purpose.
    Raised,
    /// None of the others.
    Other,
}

/// The functions of PostgreSQL and TimescaleDB that raise `XX000` when another
/// transaction was first to change a row of the catalog or to drop a table, such as a
/// chunk. TimescaleDB's raise `40001` for the same under REPEATABLE READ.
const CATALOG_RACES: &[&str] = &[
    "relation_open",
    "simple_heap_update",
    "simple_heap_delete",
    "lock_chunk_tuple",
    "lock_dimension_slice_tuple",
    "lock_hypertable_tuple",
    "dimension_slice_tuple_delete",
    "lock_result_ok_or_abort",
];

/// The functions of TimescaleDB that raise `42704` for a chunk which was there when
/// the statement began.
const CHUNK_RACES: &[&str] =
    &["chunk_scan_find", "chunk_simple_scan", "ts_chunk_get_by_name_with_memory_context"];

impl Class {
    /// The class as a label for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Connect => "connect",
            Self::Authentication => "authentication",
            Self::DatabaseMissing => "database_missing",
            Self::Unavailable => "unavailable",
            Self::Privilege => "privilege",
            Self::Constraint => "constraint",
            Self::Data => "data",
            Self::Conflict => "conflict",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::ReadOnly => "read_only",
            Self::Drift => "drift",
            Self::StaleStatement => "stale_statement",
            Self::Resource => "resource",
            Self::Bug => "bug",
            Self::ServerFailure => "server_failure",
            Self::Raised => "raised",
            Self::Other => "other",
        }
    }

    /// The class of a SQLSTATE. `routine` is the server function that raised
    /// the error; it separates a stale plan from a missing feature in `0A000`.
    pub(crate) fn of(sqlstate: &str, routine: Option<&str>) -> Self {
        match sqlstate {
            "28000" | "28P01" => Self::Authentication,
            "3D000" => Self::DatabaseMissing,
            "57P03" | "53300" => Self::Unavailable,
            "42501" => Self::Privilege,
            "XX000" if routine.is_some_and(|routine| CATALOG_RACES.contains(&routine)) => {
                Self::Conflict
            }
            "42704" if routine.is_some_and(|routine| CHUNK_RACES.contains(&routine)) => {
                Self::Conflict
            }
            "40001" | "40P01" | "40000" | "55P03" => Self::Conflict,
            "57014" | "25P03" | "25P04" => Self::Timeout,
            "57P01" | "57P02" | "57P04" | "57P05" | "40003" => Self::Lost,
            "25006" => Self::ReadOnly,
            "0A000" if routine == Some("RevalidateCachedQuery") => Self::StaleStatement,
            "26000" | "42P05" => Self::StaleStatement,
            "0A000" | "58P01" | "42P01" | "42703" | "42883" | "42704" | "3F000" | "42804"
            | "42P10" | "428C9" | "42P07" | "42710" => Self::Drift,
            "53100" | "53200" | "53400" => Self::Resource,
            // TimescaleDB found its catalog in a state that it does not know.
            "58000" | "58030" | "XX000" | "XX001" | "XX002" | "TS500" | "TS501" => {
                Self::ServerFailure
            }
            "21000" | "54000" | "54001" | "54011" | "54023" => Self::Data,
            "25P02" | "25001" | "25P01" | "2BP01" | "3B001" | "08P01" => Self::Bug,
            code => match code.get(..2) {
                Some("08") => Self::Lost,
                Some("22") => Self::Data,
                Some("23" | "40") => Self::Constraint,
                Some("25" | "26" | "34" | "42") => Self::Bug,
                Some("53") => Self::Resource,
                Some("P0") => Self::Raised,
                // Also TS503, a chunk that would overlap another: writes never raise it.
                Some("TS") => Self::Drift,
                Some("XX") => Self::ServerFailure,
                _ => Self::Other,
            },
        }
    }
}

/// An error report of the server. Its texts are the server's own and untrusted;
/// `Display` escapes control characters and leaves out the detail, which may
/// hold row values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    sqlstate: String,
    fatal: bool,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    schema: Option<String>,
    table: Option<String>,
    column: Option<String>,
    constraint: Option<String>,
    routine: Option<String>,
    position: Option<u32>,
}

impl ServerError {
    /// How the error is to be treated.
    #[must_use]
    pub fn class(&self) -> Class {
        Class::of(&self.sqlstate, self.routine())
    }

    /// The five characters of the SQLSTATE.
    #[must_use]
    pub fn sqlstate(&self) -> &str {
        &self.sqlstate
    }

    /// Whether the server ended the session with this report.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// The server's message as it came: escape it before printing.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The detail as it came. It may hold row values: do not print it by default.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The server's hint as it came.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The schema concerned.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The table concerned.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// The column concerned.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }

    /// The constraint that was violated.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.constraint.as_deref()
    }

    /// The server function that raised the error.
    #[must_use]
    pub fn routine(&self) -> Option<&str> {
        self.routine.as_deref()
    }

    /// Where in the statement the error lies, in characters from 1.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        self.position
    }
}

impl From<&DbError> for ServerError {
    fn from(error: &DbError) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            sqlstate: error.code().code().to_owned(),
            fatal: matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic)),
            message: error.message().to_owned(),
            detail: owned(error.detail()),
            hint: owned(error.hint()),
            schema: owned(error.schema()),
            table: owned(error.table()),
            column: owned(error.column()),
            constraint: owned(error.constraint()),
            routine: owned(error.routine()),
            position: match error.position() {
                Some(ErrorPosition::Original(at)) => Some(*at),
                _ => None,
            },
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", one_line(&self.message, 140), one_line(&self.sqlstate, 5))
    }
}

#[cfg(test)]
mod tests {
    use super::Class;

    #[test]
    fn every_class_is_reached_by_its_codes() {
        let table = [
            ("28P01", Class::Authentication),
            ("3D000", Class::DatabaseMissing),
            ("57P03", Class::Unavailable),
            ("53300", Class::Unavailable),
            ("42501", Class::Privilege),
            ("23505", Class::Constraint),
            ("23P01", Class::Constraint),
            ("40002", Class::Constraint),
            ("22003", Class::Data),
            ("22P02", Class::Data),
            ("40001", Class::Conflict),
            ("40P01", Class::Conflict),
            ("55P03", Class::Conflict),
            ("57014", Class::Timeout),
            ("57P01", Class::Lost),
            ("08006", Class::Lost),
            ("25006", Class::ReadOnly),
            ("42P01", Class::Drift),
            ("42703", Class::Drift),
            ("TS001", Class::Drift),
            ("TS503", Class::Drift),
            ("TS500", Class::ServerFailure),
            ("26000", Class::StaleStatement),
            ("53100", Class::Resource),
            ("53000", Class::Resource),
            ("21000", Class::Data),
            ("54000", Class::Data),
            ("25P03", Class::Timeout),
            ("40003", Class::Lost),
            ("58030", Class::ServerFailure),
            ("08P01", Class::Bug),
            ("34000", Class::Bug),
            ("XX003", Class::ServerFailure),
            ("25P02", Class::Bug),
            ("42601", Class::Bug),
            ("XX001", Class::ServerFailure),
            ("P0001", Class::Raised),
            ("01000", Class::Other),
            ("", Class::Other),
        ];
        for (code, class) in table {
            assert_eq!(Class::of(code, None), class, "{code}");
        }
    }

    #[test]
    fn races_for_the_catalog_are_told_from_damage_and_drift_by_their_routine() {
        for routine in super::CATALOG_RACES {
            assert_eq!(Class::of("XX000", Some(routine)), Class::Conflict, "{routine}");
        }
        for routine in super::CHUNK_RACES {
            assert_eq!(Class::of("42704", Some(routine)), Class::Conflict, "{routine}");
        }
        assert_eq!(Class::of("XX000", Some("heap_fetch_toast_slice")), Class::ServerFailure);
        assert_eq!(Class::of("XX000", None), Class::ServerFailure);
        assert_eq!(Class::of("42704", Some("set_config_option")), Class::Drift);
    }

    #[test]
    fn the_label_of_a_class_is_its_name_in_snake_case() {
        for (class, label) in [
            (Class::Config, "config"),
            (Class::DatabaseMissing, "database_missing"),
            (Class::StaleStatement, "stale_statement"),
        ] {
            assert_eq!(class.name(), label);
        }
    }

    #[test]
    fn a_stale_plan_is_told_from_a_missing_feature_by_its_routine() {
        assert_eq!(Class::of("0A000", Some("RevalidateCachedQuery")), Class::StaleStatement);
        assert_eq!(Class::of("0A000", Some("ts_license_guc")), Class::Drift);
    }
}
