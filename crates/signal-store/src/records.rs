//! Reading rows: one at a time, or as they come.

use pg_session::tokio_postgres::Row;
use pg_session::tokio_postgres::types::FromSqlOwned;
use pg_session::{Executor, Params, Rows};

use crate::error::Error;

/// What a row of a query stands for.
pub(crate) trait Record: Sized {
    /// Reads the columns in the order of the contract.
    fn read(columns: &mut Columns<'_>) -> Result<Self, Error>;
}

/// The columns of a row, one after the other.
pub(crate) struct Columns<'r> {
    row: &'r Row,
    at: usize,
}

impl Columns<'_> {
    pub(crate) fn next<T: FromSqlOwned>(&mut self) -> Result<T, Error> {
        self.at += 1;
        self.row.try_get(self.at - 1).map_err(|error| pg_session::Error::from(error).into())
    }
}

/// A record whose fields stand in the order of the columns.
macro_rules! in_order {
    ($record:ident: $($field:ident),+ $(,)?) => {
        impl $crate::records::Record for $record {
            fn read(columns: &mut $crate::records::Columns<'_>) -> Result<Self, Error> {
                Ok(Self { $($field: columns.next()?),+ })
            }
        }
    };
}
pub(crate) use in_order;

pub(crate) fn read<T: Record>(row: &Row) -> Result<T, Error> {
    T::read(&mut Columns { row, at: 0 })
}

pub(crate) fn read_all<T: Record>(rows: &[Row]) -> Result<Vec<T>, Error> {
    rows.iter().map(read).collect()
}

/// The rows of a read as they come, so that memory holds a few at a time. The
/// command deadline covers the whole result. Dropping this before the end cancels
/// the read and closes its connection.
pub struct Records<'e, T> {
    rows: Rows<'e>,
    read: fn(&Row) -> Result<T, Error>,
}

impl<'e, T> Records<'e, T> {
    pub(crate) async fn start(
        executor: &'e mut Executor,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Self, Error>
    where
        T: Record,
    {
        Ok(Self { rows: executor.stream(sql, params).await?, read: read::<T> })
    }

    /// The next record; none after the last, and after an error.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        self.rows.next().await?.as_ref().map(self.read).transpose()
    }
}
