//! Records as rows of COPY, as columns of one statement, and as parameters of another.

use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use pg_session::Executor;
use pg_session::tokio_postgres::types::{IsNull, Json, ToSql, Type};

use crate::models::{Greeks, Indicator, MoneynessGreeks};
use crate::statements::{
    INGEST_GREEKS, INGEST_INDICATORS, INGEST_MONEYNESS_GREEKS, SAVE_GREEKS, SAVE_INDICATOR,
    SAVE_MONEYNESS_GREEKS,
};
use crate::violation::Violation;

type Value<'a> = &'a (dyn ToSql + Sync);
/// One column of several records.
pub(crate) type Column<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// A record that can be ingested.
pub trait IngestRecord: Send + Sync + Sized + sealed::Sealed + 'static {}

pub(crate) mod sealed {
    use super::{BytesMut, Column, Executor, Timestamp, Violation};

    pub trait Sealed {
        /// The table, as the ledger names it.
        const TABLE: &'static str;
        /// The statement that takes rows of [`encode`](Self::encode).
        const COPY: &'static str;
        /// The statement that takes a batch id and [`columns`](Self::columns).
        const INSERT: &'static str;

        fn check(&self, oldest: Timestamp) -> Result<(), Violation>;

        /// Appends the record as a row of a binary COPY.
        ///
        /// # Errors
        /// The words of a value that has no binary form; validated ones have.
        fn encode(&self, out: &mut BytesMut) -> Result<(), String>;

        /// The columns of some records, in the order of the statement.
        fn columns<'a>(records: &[&'a Self]) -> Vec<Column<'a>>;

        /// Stores the record alone and gives its row's number.
        fn save(
            &self,
            executor: &mut Executor,
        ) -> impl Future<Output = Result<i64, pg_session::Error>> + Send;
    }
}

/// Appends one row: the number of its fields, and each with its length.
fn row(out: &mut BytesMut, fields: &[(Value<'_>, &Type)]) -> Result<(), String> {
    out.put_i16(i16::try_from(fields.len()).map_err(|error| error.to_string())?);
    for (value, kind) in fields {
        let at = out.len();
        out.put_i32(-1);
        let written = value.to_sql_checked(kind, out).map_err(|error| error.to_string())?;
        if matches!(written, IsNull::No) {
            let length = i32::try_from(out.len() - at - 4).map_err(|error| error.to_string())?;
            out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(())
}

/// A kind of record in the database: its table and statements, and its columns, in the
/// one order of all these statements.
macro_rules! ingested {
    (
        $record:ident as $one:ident, $table:literal, $copy:literal, $insert:ident, $save:ident;
        $($kind:ident $value:expr),+ $(,)?
    ) => {
        impl IngestRecord for $record {}

        impl sealed::Sealed for $record {
            const TABLE: &'static str = $table;
            const COPY: &'static str = include_str!($copy);
            const INSERT: &'static str = $insert;

            fn check(&self, oldest: Timestamp) -> Result<(), Violation> {
                Self::check(self, oldest)
            }

            fn encode(&self, out: &mut BytesMut) -> Result<(), String> {
                let $one = self;
                row(out, &[$((&$value, &Type::$kind)),+])
            }

            fn columns<'a>(records: &[&'a Self]) -> Vec<Column<'a>> {
                vec![$(
                    Box::new(records.iter().map(|$one| $value).collect::<Vec<_>>()) as Column<'a>
                ),+]
            }

            async fn save(&self, executor: &mut Executor) -> Result<i64, pg_session::Error> {
                let $one = self;
                executor.fetch_value($save, &[$(&$value),+]).await
            }
        }
    };
}

ingested! {
    Greeks as one, "signal_greeks", "copy_greeks.sql", INGEST_GREEKS, SAVE_GREEKS;
    VARCHAR &one.signal_id,
    VARCHAR &one.instrument_key,
    TIMESTAMPTZ &one.timestamp,
    NUMERIC &one.delta,
    NUMERIC &one.gamma,
    NUMERIC &one.theta,
    NUMERIC &one.vega,
    NUMERIC &one.rho,
    NUMERIC &one.implied_volatility,
    NUMERIC &one.theoretical_value,
    NUMERIC &one.underlying_price,
    NUMERIC &one.strike_price,
    NUMERIC &one.time_to_expiry,
}

ingested! {
    Indicator as one, "signal_indicators", "copy_indicators.sql", INGEST_INDICATORS, SAVE_INDICATOR;
    VARCHAR &one.signal_id,
    VARCHAR &one.instrument_key,
    TIMESTAMPTZ &one.timestamp,
    VARCHAR &one.indicator_name,
    JSONB Json(&one.parameters),
    JSONB Json(&one.values),
}

ingested! {
    MoneynessGreeks as one, "signal_moneyness_greeks", "copy_moneyness_greeks.sql",
    INGEST_MONEYNESS_GREEKS, SAVE_MONEYNESS_GREEKS;
    VARCHAR &one.underlying_symbol,
    VARCHAR &one.moneyness_level,
    DATE &one.expiry_date,
    TIMESTAMPTZ &one.timestamp,
    NUMERIC &one.spot_price,
    NUMERIC &one.all.delta,
    NUMERIC &one.all.gamma,
    NUMERIC &one.all.theta,
    NUMERIC &one.all.vega,
    NUMERIC &one.all.rho,
    NUMERIC &one.all.iv,
    INT4 &one.all.count,
    NUMERIC &one.calls.delta,
    NUMERIC &one.calls.gamma,
    NUMERIC &one.calls.theta,
    NUMERIC &one.calls.vega,
    NUMERIC &one.calls.rho,
    NUMERIC &one.calls.iv,
    INT4 &one.calls.count,
    NUMERIC &one.puts.delta,
    NUMERIC &one.puts.gamma,
    NUMERIC &one.puts.theta,
    NUMERIC &one.puts.vega,
    NUMERIC &one.puts.rho,
    NUMERIC &one.puts.iv,
    INT4 &one.puts.count,
    NUMERIC &one.min_strike,
    NUMERIC &one.max_strike,
    INT4 &one.strike_count,
}

#[cfg(test)]
mod tests {
    use super::sealed::Sealed;
    use super::{Greeks, Indicator, MoneynessGreeks};
    use super::{SAVE_GREEKS, SAVE_INDICATOR, SAVE_MONEYNESS_GREEKS};

    /// The columns of a table that a statement names, in its order.
    fn columns<'a>(sql: &'a str, table: &str) -> Vec<&'a str> {
        let (_, rest) = sql.split_once(&format!("{table} (")).unwrap();
        let (list, _) = rest.split_once(')').unwrap();
        list.split(',').map(str::trim).collect()
    }

    fn agree<R: Sealed>(save: &str) {
        let saved = columns(save, R::TABLE);
        assert!(saved.len() >= 6, "{saved:?}");
        assert_eq!(columns(R::COPY, R::TABLE), saved);
        assert_eq!(columns(R::INSERT, R::TABLE), saved);
        assert_eq!(R::columns(&[]).len(), saved.len());
    }

    #[test]
    fn statements_of_a_record_name_its_columns_in_the_same_order() {
        agree::<Greeks>(SAVE_GREEKS);
        agree::<Indicator>(SAVE_INDICATOR);
        agree::<MoneynessGreeks>(SAVE_MONEYNESS_GREEKS);
    }
}
