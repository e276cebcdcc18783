//! The examiner: a plain connection that goes past pool and proxy, and notes what it asks.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};

use crate::evidence::Statements;

/// A statement that stands in a file: its name and its text.
pub(crate) type Named = (&'static str, &'static str);

/// A statement and the name that it is noted under: that of its file, or else itself in one line.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    name: String,
    sql: &'a str,
}

impl Statement<'_> {
    /// Adds it to others.
    pub(super) fn note(&self, statements: &mut Statements) {
        statements.entry(self.name.clone()).or_insert_with(|| self.sql.to_owned());
    }
}

impl<'a> From<&'a str> for Statement<'a> {
    fn from(sql: &'a str) -> Self {
        Self { name: sql.split_whitespace().collect::<Vec<_>>().join(" "), sql }
    }
}

impl<'a> From<&'a String> for Statement<'a> {
    fn from(sql: &'a String) -> Self {
        sql.as_str().into()
    }
}

impl From<Named> for Statement<'_> {
    fn from((name, sql): Named) -> Self {
        Self { name: name.to_owned(), sql }
    }
}

/// A connection whose queries are noted. What is executed through it sets the scene, and is not.
pub(crate) struct Examiner {
    client: Client,
    asked: Asked,
}

impl Examiner {
    pub(super) fn new(client: Client, asked: Asked) -> Self {
        Self { client, asked }
    }

    pub(crate) async fn query(
        &self,
        statement: impl Into<Statement<'_>>,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.client.query(self.asked.note(&statement.into()), values).await
    }

    pub(crate) async fn query_one(
        &self,
        statement: impl Into<Statement<'_>>,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error> {
        self.client.query_one(self.asked.note(&statement.into()), values).await
    }

    pub(crate) async fn query_opt(
        &self,
        statement: impl Into<Statement<'_>>,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        self.client.query_opt(self.asked.note(&statement.into()), values).await
    }

    /// Notes what others ran on the connection. Its names are the drill's own, since a certificate may
    /// hold the same ones of another database.
    pub(crate) fn ran(&self, statements: Statements) {
        let mut asked = self.asked.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.extend(statements.into_iter().map(|(name, sql)| (format!("drill: {name}"), sql)));
    }
}

impl Deref for Examiner {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Examiner {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// What the examiners of a scene asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Arc<Mutex<Statements>>);

impl Asked {
    /// What was asked since this was called last.
    pub(super) fn take(&self) -> Statements {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note<'a>(&self, statement: &Statement<'a>) -> &'a str {
        statement.note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        statement.sql
    }
}
