//! Transactions and savepoints, whose end is never in doubt without saying so.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::error::{Error, Outcome};
use crate::executor::Executor;
use crate::journal;
use crate::resolve;

/// How far transactions are shielded from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Each statement sees what was committed before it.
    #[default]
    ReadCommitted,
    /// All statements see what was committed before the first.
    RepeatableRead,
    /// As if transactions ran one after the other.
    Serializable,
}

/// How a transaction is begun and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransactionOptions {
    /// The isolation level.
    pub isolation: Isolation,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether a commit whose answer is lost is looked up on a new connection.
    /// It costs one round trip before the commit. After a crash or a failover only
    /// *not applied* can be told: the server may have given the transaction's number
    /// to another one, so a commit that is found there stays unknown.
    pub resolve_lost_commit: bool,
    /// The time for each command instead of the pool's.
    pub command_timeout: Option<Duration>,
}

impl TransactionOptions {
    /// A transaction that refuses writes.
    #[must_use]
    pub fn read_only() -> Self {
        Self { read_only: true, ..Self::default() }
    }

    /// The same at another isolation level.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// The same with lost commits looked up.
    #[must_use]
    pub fn resolve_lost_commit(mut self) -> Self {
        self.resolve_lost_commit = true;
        self
    }

    /// The same with another time for each command.
    #[must_use]
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = Some(timeout);
        self
    }

    fn begin(self) -> String {
        let isolation = match self.isolation {
            Isolation::ReadCommitted => "READ COMMITTED",
            Isolation::RepeatableRead => "REPEATABLE READ",
            Isolation::Serializable => "SERIALIZABLE",
        };
        // READ WRITE would lift a server's default that is there to keep writers out.
        let access = if self.read_only { " READ ONLY" } else { "" };
        let limit = self.command_timeout.map_or_else(String::new, |limit| {
            format!("; SET LOCAL statement_timeout = {}", limit.as_millis().max(1))
        });
        format!("BEGIN ISOLATION LEVEL {isolation}{access}{limit}")
    }
}

/// What a commit achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Commit {
    /// It is applied, with the durability that the server is set to.
    Applied,
    /// It is applied on the primary, but the wait for its synchronous standby was
    /// broken off: a failover may lose it.
    NotReplicated,
}

/// A transaction or savepoint. Statements run through [`Executor`]'s methods.
/// Dropping it without [`commit`](Self::commit) rolls it back.
#[must_use = "a transaction that is not committed is rolled back"]
pub struct Transaction<'e> {
    executor: &'e mut Executor,
    depth: u32,
    resolve: bool,
    ended: bool,
}

impl<'e> Transaction<'e> {
    pub(crate) async fn begin(
        executor: &'e mut Executor,
        options: &TransactionOptions,
    ) -> Result<Self, Error> {
        if executor.in_transaction() {
            return Err(Error::Client(
                "a transaction is open already — use savepoint() inside it".to_owned(),
            ));
        }
        // Set before the wait: were the future dropped after BEGIN is sent, the
        // connection is closed, and nothing else runs on it.
        let mut transaction =
            Self { executor, depth: 0, resolve: options.resolve_lost_commit, ended: false };
        transaction.executor.enter_transaction(options);
        let begun = transaction.executor.control(&options.begin()).await;
        match begun {
            Ok(()) => journal::ran("begin"),
            Err(_) => transaction.end(),
        }
        begun.map(|()| transaction)
    }

    /// Begins a savepoint inside this transaction, to any depth. Its commit keeps
    /// its work within the transaction; dropping it undoes its work and leaves the
    /// transaction usable.
    ///
    /// # Errors
    /// The errors of [`Executor`].
    pub async fn savepoint(&mut self) -> Result<Transaction<'_>, Error> {
        let depth = self.depth + 1;
        let mut savepoint =
            Transaction { executor: &mut *self.executor, depth, resolve: false, ended: false };
        let begun = savepoint.executor.control(&format!("SAVEPOINT s{depth}")).await;
        if begun.is_err() {
            savepoint.end();
        }
        begun.map(|()| savepoint)
    }

    /// Commits, or releases the savepoint. Only `Ok` means that it is done.
    ///
    /// # Errors
    /// [`Error::RolledBack`] if a statement had failed before: the server answers
    /// such a commit with a rollback. An error with [`Outcome::Unknown`] if the
    /// answer was lost and could not be looked up. The server's error if the commit
    /// itself failed, as for a deferred constraint; then nothing was applied.
    pub async fn commit(mut self) -> Result<Commit, Error> {
        if self.depth > 0 {
            let released = self.executor.control(&format!("RELEASE s{}", self.depth)).await;
            if released.is_ok() {
                self.end();
            }
            return released.map(|()| Commit::Applied).map_err(rolled_back);
        }
        let which = if self.resolve { self.which().await.map_err(rolled_back)? } else { None };
        let unreplicated = self.executor.unreplicated_commits();
        self.executor.expect_commit();
        // A COMMIT after a failed statement is answered like a success, with
        // another tag, which the driver hides. The SELECT before it fails instead,
        // and then the COMMIT is not run.
        let committed = self.executor.control("SELECT 1; COMMIT").await;
        match committed {
            Ok(()) => {
                journal::ran("commit");
                self.end();
                let lost = self.executor.unreplicated_commits() != unreplicated;
                Ok(if lost { Commit::NotReplicated } else { Commit::Applied })
            }
            Err(error) if error.outcome() == Outcome::Unknown => {
                self.end();
                match which {
                    Some(which) => {
                        resolve::lost_commit(self.executor.shared(), &which, error).await
                    }
                    None => Err(error),
                }
            }
            // The transaction may still be open, and rolls back as this is dropped.
            Err(error) => Err(rolled_back(error)),
        }
    }

    /// Rolls back, or undoes the savepoint's work.
    ///
    /// # Errors
    /// The errors of [`Executor`]; after any of them nothing was applied either.
    pub async fn rollback(mut self) -> Result<(), Error> {
        let sql = self.undo();
        let undone = self.executor.control(&sql).await;
        if undone.is_ok() {
            journal::ran("rollback");
            self.end();
        }
        undone
    }

    /// Which transaction this is, or none if it has written nothing.
    async fn which(&mut self) -> Result<Option<resolve::Transaction>, Error> {
        let row = self.executor.fetch_one(resolve::WHICH, &[]).await?;
        let number: Option<String> = row.get(0);
        Ok(number.map(|number| resolve::Transaction { number, era: row.get(1) }))
    }

    fn undo(&self) -> String {
        match self.depth {
            0 => "ROLLBACK".to_owned(),
            depth => format!("ROLLBACK TO s{depth}; RELEASE s{depth}"),
        }
    }

    fn end(&mut self) {
        self.ended = true;
        if self.depth == 0 {
            self.executor.leave_transaction();
        }
    }
}

/// A statement in a failed transaction says that the failure came before.
fn rolled_back(error: Error) -> Error {
    if error.sqlstate() == Some("25P02") { Error::RolledBack } else { error }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let sql = self.undo();
            self.executor.send(&sql);
            self.end();
        }
    }
}

impl Deref for Transaction<'_> {
    type Target = Executor;

    fn deref(&self) -> &Executor {
        self.executor
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Executor {
        self.executor
    }
}
