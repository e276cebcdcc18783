//! Parameters in the form in which they are sent.

use std::error::Error as StdError;

use bytes::{BufMut, Bytes, BytesMut};
use tokio_postgres::Statement;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

use crate::connection::Params;
use crate::error::Error;
use crate::text::one_line;

/// A parameter that was encoded while its caller was there, so that it can be
/// sent by a task that outlives the caller.
#[derive(Debug)]
pub(super) struct Value {
    bytes: Option<Bytes>,
    format: Format,
}

impl Value {
    /// Encodes a statement's parameters.
    pub(super) fn encode(statement: &Statement, params: Params<'_>) -> Result<Vec<Self>, Error> {
        let types = statement.params();
        if types.len() != params.len() {
            return Err(Error::Client(format!(
                "the statement takes {} parameters and was given {}",
                types.len(),
                params.len()
            )));
        }
        let mut values = Vec::with_capacity(params.len());
        for (at, (param, kind)) in params.iter().zip(types).enumerate() {
            let mut bytes = BytesMut::new();
            let is_null = param.to_sql_checked(kind, &mut bytes).map_err(|error| {
                Error::Client(format!(
                    "parameter ${}: {}",
                    at + 1,
                    one_line(&error.to_string(), 140)
                ))
            })?;
            let bytes = matches!(is_null, IsNull::No).then(|| bytes.freeze());
            values.push(Self { bytes, format: param.encode_format(kind) });
        }
        Ok(values)
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        Ok(match &self.bytes {
            Some(bytes) => {
                out.put_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();

    fn encode_format(&self, _: &Type) -> Format {
        self.format
    }
}
