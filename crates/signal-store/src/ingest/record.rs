//! Records as rows of COPY, and as columns of one statement.

use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use pg_session::tokio_postgres::types::{IsNull, Json, ToSql, Type};

use crate::models::{Greeks, Indicator, MoneynessGreeks, MoneynessGroup};
use crate::statements::{INGEST_GREEKS, INGEST_INDICATORS, INGEST_MONEYNESS_GREEKS};
use crate::violation::Violation;

type Value<'a> = &'a (dyn ToSql + Sync);
/// One column of several records.
pub(crate) type Column<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// A record that can be ingested.
pub trait IngestRecord: Send + Sync + Sized + sealed::Sealed + 'static {}

pub(crate) mod sealed {
    use super::{BytesMut, Column, Timestamp, Violation};

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

/// One field of all records.
macro_rules! columns {
    ($records:ident, $($field:expr),* $(,)?) => {
        vec![$(Box::new($records.iter().map($field).collect::<Vec<_>>()) as Column<'a>),*]
    };
}

impl IngestRecord for Greeks {}

impl sealed::Sealed for Greeks {
    const TABLE: &'static str = "signal_greeks";
    const COPY: &'static str = include_str!("copy_greeks.sql");
    const INSERT: &'static str = INGEST_GREEKS;

    fn check(&self, oldest: Timestamp) -> Result<(), Violation> {
        Self::check(self, oldest)
    }

    fn encode(&self, out: &mut BytesMut) -> Result<(), String> {
        row(
            out,
            &[
                (&self.signal_id, &Type::VARCHAR),
                (&self.instrument_key, &Type::VARCHAR),
                (&self.timestamp, &Type::TIMESTAMPTZ),
                (&self.delta, &Type::NUMERIC),
                (&self.gamma, &Type::NUMERIC),
                (&self.theta, &Type::NUMERIC),
                (&self.vega, &Type::NUMERIC),
                (&self.rho, &Type::NUMERIC),
                (&self.implied_volatility, &Type::NUMERIC),
                (&self.theoretical_value, &Type::NUMERIC),
                (&self.underlying_price, &Type::NUMERIC),
                (&self.strike_price, &Type::NUMERIC),
                (&self.time_to_expiry, &Type::NUMERIC),
            ],
        )
    }

    fn columns<'a>(records: &[&'a Self]) -> Vec<Column<'a>> {
        columns![
            records,
            |one| one.signal_id.as_str(),
            |one| one.instrument_key.as_str(),
            |one| one.timestamp,
            |one| one.delta,
            |one| one.gamma,
            |one| one.theta,
            |one| one.vega,
            |one| one.rho,
            |one| one.implied_volatility,
            |one| one.theoretical_value,
            |one| one.underlying_price,
            |one| one.strike_price,
            |one| one.time_to_expiry,
        ]
    }
}

impl IngestRecord for Indicator {}

impl sealed::Sealed for Indicator {
    const TABLE: &'static str = "signal_indicators";
    const COPY: &'static str = include_str!("copy_indicators.sql");
    const INSERT: &'static str = INGEST_INDICATORS;

    fn check(&self, oldest: Timestamp) -> Result<(), Violation> {
        Self::check(self, oldest)
    }

    fn encode(&self, out: &mut BytesMut) -> Result<(), String> {
        row(
            out,
            &[
                (&self.signal_id, &Type::VARCHAR),
                (&self.instrument_key, &Type::VARCHAR),
                (&self.timestamp, &Type::TIMESTAMPTZ),
                (&self.indicator_name, &Type::VARCHAR),
                (&Json(&self.parameters), &Type::JSONB),
                (&Json(&self.values), &Type::JSONB),
            ],
        )
    }

    fn columns<'a>(records: &[&'a Self]) -> Vec<Column<'a>> {
        columns![
            records,
            |one| one.signal_id.as_str(),
            |one| one.instrument_key.as_str(),
            |one| one.timestamp,
            |one| one.indicator_name.as_str(),
            |one| Json(&one.parameters),
            |one| Json(&one.values),
        ]
    }
}

impl IngestRecord for MoneynessGreeks {}

/// The fields of a group with their types.
fn group(group: &MoneynessGroup) -> [(Value<'_>, &'static Type); 7] {
    [
        (&group.delta, &Type::NUMERIC),
        (&group.gamma, &Type::NUMERIC),
        (&group.theta, &Type::NUMERIC),
        (&group.vega, &Type::NUMERIC),
        (&group.rho, &Type::NUMERIC),
        (&group.iv, &Type::NUMERIC),
        (&group.count, &Type::INT4),
    ]
}

fn group_columns<'a>(
    records: &[&'a MoneynessGreeks],
    group: fn(&MoneynessGreeks) -> &MoneynessGroup,
) -> Vec<Column<'a>> {
    columns![
        records,
        |one| group(one).delta,
        |one| group(one).gamma,
        |one| group(one).theta,
        |one| group(one).vega,
        |one| group(one).rho,
        |one| group(one).iv,
        |one| group(one).count,
    ]
}

impl sealed::Sealed for MoneynessGreeks {
    const TABLE: &'static str = "signal_moneyness_greeks";
    const COPY: &'static str = include_str!("copy_moneyness_greeks.sql");
    const INSERT: &'static str = INGEST_MONEYNESS_GREEKS;

    fn check(&self, oldest: Timestamp) -> Result<(), Violation> {
        Self::check(self, oldest)
    }

    fn encode(&self, out: &mut BytesMut) -> Result<(), String> {
        let mut fields: Vec<(Value<'_>, &Type)> = vec![
            (&self.underlying_symbol, &Type::VARCHAR),
            (&self.moneyness_level, &Type::VARCHAR),
            (&self.expiry_date, &Type::DATE),
            (&self.timestamp, &Type::TIMESTAMPTZ),
            (&self.spot_price, &Type::NUMERIC),
        ];
        for part in [&self.all, &self.calls, &self.puts] {
            fields.extend(group(part));
        }
        fields.extend([
            (&self.min_strike as Value<'_>, &Type::NUMERIC),
            (&self.max_strike, &Type::NUMERIC),
            (&self.strike_count, &Type::INT4),
        ]);
        row(out, &fields)
    }

    fn columns<'a>(records: &[&'a Self]) -> Vec<Column<'a>> {
        let mut all: Vec<Column<'a>> = columns![
            records,
            |one| one.underlying_symbol.as_str(),
            |one| one.moneyness_level.as_str(),
            |one| one.expiry_date,
            |one| one.timestamp,
            |one| one.spot_price,
        ];
        for part in [
            (|one: &MoneynessGreeks| &one.all) as fn(&MoneynessGreeks) -> &MoneynessGroup,
            |one| &one.calls,
            |one| &one.puts,
        ] {
            all.extend(group_columns(records, part));
        }
        let last: Vec<Column<'a>> =
            columns![records, |one| one.min_strike, |one| one.max_strike, |one| one.strike_count,];
        all.extend(last);
        all
    }
}
