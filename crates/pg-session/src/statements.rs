//! Prepared statements of one connection, bounded, and what each may do to the
//! session that runs it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio_postgres::Statement;

use crate::pool::PoolOptions;

/// What running a statement may leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing outside its transaction.
    None,
    /// It may change settings, locks or objects of the session: reset it before
    /// another caller gets it.
    Session,
    /// It would begin or end a transaction behind the session's back.
    Transaction,
}

/// Judges by the first word, and by the functions that are known to outlive
/// their transaction. A user-defined function that calls those is not noticed.
pub(crate) fn effect(sql: &str) -> Effect {
    let word = first_word(sql).to_ascii_lowercase();
    match word.as_str() {
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
            Effect::Transaction
        }
        // PREPARE TRANSACTION ends a transaction, PREPARE changes the session.
        "prepare" if sql.to_ascii_lowercase().contains("transaction") => Effect::Transaction,
        "set" if is_local_set(sql) => Effect::None,
        "lock" | "truncate" | "notify" | "refresh" => Effect::None,
        "select" | "insert" | "update" | "delete" | "merge" | "values" | "table" | "with"
        | "copy" | "explain" | "analyze" | "show" => {
            // Locks of the transaction end with it.
            let lower = sql.to_ascii_lowercase().replace("advisory_xact", "");
            let outlives = ["set_config", "advisory", "dblink", "into temp"];
            if outlives.iter().any(|name| lower.contains(name)) {
                Effect::Session
            } else {
                Effect::None
            }
        }
        _ => Effect::Session,
    }
}

/// `SET LOCAL`, `SET TRANSACTION` and `SET CONSTRAINTS` end with the transaction.
/// `SET SESSION CHARACTERISTICS` and the rest do not. Comments are not looked behind.
fn is_local_set(sql: &str) -> bool {
    let mut words = sql.split_ascii_whitespace();
    words.next().is_some_and(|word| word.eq_ignore_ascii_case("set"))
        && words.next().is_some_and(|word| {
            ["local", "transaction", "constraints"].iter().any(|w| word.eq_ignore_ascii_case(w))
        })
}

/// The first word after white space, comments and opening parentheses.
fn first_word(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(' || c == ';');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = skip_comment(comment);
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            return rest.get(..end).unwrap_or_default();
        }
    }
}

/// What follows a comment whose opening is already taken; comments nest.
fn skip_comment(mut rest: &str) -> &str {
    let mut depth = 1_u32;
    while depth > 0 {
        let (open, close) = (rest.find("/*"), rest.find("*/"));
        let at = match (open, close) {
            (Some(open), Some(close)) if open < close => {
                depth += 1;
                open
            }
            (_, Some(close)) => {
                depth -= 1;
                close
            }
            _ => return "",
        };
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    rest
}

/// A prepared statement and what it may leave behind.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) statement: Statement,
    pub(crate) effect: Effect,
    /// Where its running times are recorded.
    pub(crate) timing: metrics::Histogram,
}

/// The statements prepared on one connection. At most `limit` are kept; the one
/// unused the longest goes first, and the server is told to drop it.
pub(crate) struct Statements {
    limit: usize,
    names: Arc<BTreeMap<String, String>>,
    clock: u64,
    known: HashMap<Box<str>, (Prepared, u64)>,
}

/// Longer texts are not kept: they are made by programs and seldom come again.
const LONGEST_KEPT: usize = 64 * 1024;

impl Statements {
    pub(crate) fn new(options: &PoolOptions) -> Self {
        let names = Arc::clone(&options.statement_names);
        Self { limit: options.statements, names, clock: 0, known: HashMap::new() }
    }

    pub(crate) fn get(&mut self, sql: &str) -> Option<Prepared> {
        self.clock += 1;
        let (prepared, used) = self.known.get_mut(sql)?;
        *used = self.clock;
        Some(prepared.clone())
    }

    pub(crate) fn put(&mut self, sql: &str, statement: Statement, effect: Effect) -> Prepared {
        let name = self.names.get(sql).map_or("other", String::as_str);
        let timing =
            metrics::histogram!("pg_session_statement_seconds", "statement" => name.to_owned());
        let prepared = Prepared { statement, effect, timing };
        if self.limit == 0 || sql.len() > LONGEST_KEPT {
            return prepared;
        }
        if self.known.len() >= self.limit {
            let oldest = self.known.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(sql, _)| sql.clone()) {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(sql.into(), (prepared.clone(), self.clock));
        prepared
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, effect};

    #[test]
    fn transaction_control_is_recognised_behind_comments() {
        for sql in [
            "BEGIN",
            "  start transaction",
            "-- x\ncommit",
            "/* a /* b */ c */ ROLLBACK",
            "/* a */ /* b */ end",
            "/**/release a",
            "/*/**/*/--\n(abort",
            "; abort",
            "prepare transaction 'x'",
            "savepoint a",
        ] {
            assert_eq!(effect(sql), Effect::Transaction, "{sql}");
        }
    }

    #[test]
    fn what_outlives_the_transaction_asks_for_a_reset() {
        for sql in [
            "SET a = 1",
            "select set_config('a', 'b', false)",
            "select pg_advisory_lock(1)",
            "LISTEN x",
            "create temp table t ()",
            "call p()",
            "do $$ begin end $$",
            "select 1 into temp t",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "SET locale = 'x'",
            "select pg_advisory_xact_lock(1), pg_advisory_lock(2)",
            "",
            "/* open",
        ] {
            assert_eq!(effect(sql), Effect::Session, "{sql}");
        }
    }

    #[test]
    fn plain_reads_and_writes_leave_nothing() {
        for sql in [
            "SELECT 1",
            "(select 1)",
            "with a as (select 1) table a",
            "insert into t values (1)",
            "SELECT pg_try_advisory_xact_lock(1)",
            "set local lock_timeout = '1s'",
            "SET CONSTRAINTS ALL DEFERRED",
            "lock table t",
        ] {
            assert_eq!(effect(sql), Effect::None, "{sql}");
        }
    }
}
