//! Histories of transactions that read and append to lists, looked at for what an isolation level
//! forbids.
//!
//! Each append puts a value of its own at the end of a list, so a list shows who wrote it in which order.
//! From what was read follows which transaction depends on which, and a cycle of dependencies is an
//! anomaly; the dependencies in it say which one. The names are those of Adya (*Weak Consistency*, 1999),
//! the method that of Elle (Kingsbury and Alvaro, VLDB 2020).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pg_session::Isolation;

use super::journal::Answer;

/// Which list.
pub(crate) type Key = i32;
/// What is appended; no two appends have the same.
pub(crate) type Value = i32;

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// A list was read.
    Read(Key, Vec<Value>),
    /// A value was put at the end of a list.
    Append(Key, Value),
}

/// A transaction, and what its caller was told of its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) accesses: Vec<Access>,
    pub(crate) answer: Answer,
}

/// Transactions, and what the lists hold when all have ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) lists: BTreeMap<Key, Vec<Value>>,
}

/// What a history can show. Each level forbids all before one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Anomaly {
    /// An append that was acknowledged is not in its list.
    Lost,
    /// A value is in a list twice, or nobody appended it to that list.
    Stray,
    /// What was read is no beginning of what the list became.
    Order,
    /// A transaction does not see what it has itself appended, and only that.
    Internal,
    /// G1a: what was read was never committed.
    AbortedRead,
    /// G1b: what was read was half of what a transaction appended.
    IntermediateRead,
    /// G0: transactions overwrote each other's writes.
    WriteCycle,
    /// G1c: each read or overwrote what the other wrote.
    InformationCycle,
    /// G-single and its kin: a cycle in which no two of those follow each other who missed a write; a lost
    /// update, a read that is not repeatable, a read skew.
    ReadSkew,
    /// G2: any other cycle of transactions that missed each other's writes; a write skew.
    WriteSkew,
}

impl Anomaly {
    /// Whether a level lets it happen, as PostgreSQL has the levels: its REPEATABLE READ is snapshot
    /// isolation.
    pub(crate) fn is_allowed_at(self, level: Isolation) -> bool {
        match level {
            Isolation::ReadCommitted => self >= Self::ReadSkew,
            Isolation::RepeatableRead => self >= Self::WriteSkew,
            Isolation::Serializable => false,
        }
    }
}

/// An anomaly and the transactions that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) anomaly: Anomaly,
    pub(crate) what: String,
}

/// Who depends on whom: for each transaction those that come after it.
pub(super) type Graph = Vec<BTreeSet<usize>>;

impl History {
    /// What is wrong with single values and reads, and of all cycles the shortest one of the gravest kind.
    pub(crate) fn anomalies(&self) -> Vec<Found> {
        let view = View::of(self);
        let mut found = view.lists();
        for at in view.committed() {
            view.reads(at, &mut found);
        }
        found.extend(view.cycle());
        found
    }
}

/// A history with the writers of its values.
struct View<'h> {
    history: &'h History,
    writers: BTreeMap<(Key, Value), usize>,
}

impl<'h> View<'h> {
    fn of(history: &'h History) -> Self {
        let transactions = history.transactions.iter().enumerate();
        let appends = transactions.flat_map(|(at, one)| one.appends().map(move |to| (to, at)));
        Self { history, writers: appends.collect() }
    }

    /// Whether a transaction took effect. Of one whose end is unknown its appends tell.
    fn is_committed(&self, at: usize) -> bool {
        let one = &self.history.transactions[at];
        match one.answer {
            Answer::Acknowledged => true,
            Answer::NotApplied => false,
            Answer::Unknown => one.appends().any(|(key, value)| self.list(key).contains(&value)),
        }
    }

    fn committed(&self) -> impl Iterator<Item = usize> {
        (0..self.history.transactions.len()).filter(|at| self.is_committed(*at))
    }

    /// What a list held at the end.
    fn list(&self, key: Key) -> &'h [Value] {
        self.history.lists.get(&key).map_or(&[], Vec::as_slice)
    }

    fn found(&self, anomaly: Anomaly, transactions: &[usize]) -> Found {
        let named = transactions.iter().map(|at| {
            let accesses = self.history.transactions[*at].accesses.iter();
            let accesses: Vec<String> = accesses.map(Access::in_words).collect();
            format!("{at}: {}", accesses.join(" "))
        });
        let what = named.collect::<Vec<_>>().join("; ");
        Found { anomaly, what }
    }

    /// Whether the lists at the end hold what was acknowledged, once, and nothing else.
    fn lists(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for (key, list) in &self.history.lists {
            let mut seen = BTreeSet::new();
            for value in list {
                match self.writers.get(&(*key, *value)) {
                    Some(writer) if seen.insert(value) => {
                        if !self.is_committed(*writer) {
                            found.push(self.found(Anomaly::AbortedRead, &[*writer]));
                        }
                    }
                    _ => {
                        let what = format!("{value} in list {key}");
                        found.push(Found { anomaly: Anomaly::Stray, what });
                    }
                }
            }
        }
        for at in self.committed() {
            let mut appends = self.history.transactions[at].appends();
            if !appends.all(|(key, value)| self.list(key).contains(&value)) {
                found.push(self.found(Anomaly::Lost, &[at]));
            }
        }
        found
    }

    /// What is wrong with the reads of a transaction, one by one.
    fn reads(&self, at: usize, found: &mut Vec<Found>) {
        let mut own: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
        for access in &self.history.transactions[at].accesses {
            let (key, seen) = match access {
                Access::Append(key, value) => {
                    own.entry(*key).or_default().push(*value);
                    continue;
                }
                Access::Read(key, seen) => (key, seen),
            };
            let own = own.get(key).map_or(&[][..], Vec::as_slice);
            let others = self.others(at, *key, seen);
            let is_own = |value: &Value| self.writer(*key, *value) == Some(at);
            if seen.get(others.len()..) != Some(own) || others.iter().any(is_own) {
                found.push(self.found(Anomaly::Internal, &[at]));
            }
            let mut writers = others.iter().filter_map(|value| self.writer(*key, *value));
            if let Some(writer) = writers.find(|writer| !self.is_committed(*writer)) {
                found.push(self.found(Anomaly::AbortedRead, &[writer, at]));
            } else if !self.list(*key).starts_with(others) {
                found.push(self.found(Anomaly::Order, &[at]));
            } else if let Some(last) = others.last().copied()
                && let Some(writer) = self.writer(*key, last)
                && self.history.transactions[writer].last_append(*key) != Some(last)
            {
                found.push(self.found(Anomaly::IntermediateRead, &[writer, at]));
            }
        }
    }

    fn writer(&self, key: Key, value: Value) -> Option<usize> {
        self.writers.get(&(key, value)).copied()
    }

    /// What others had written, of a list that a transaction read.
    fn others<'s>(&self, at: usize, key: Key, seen: &'s [Value]) -> &'s [Value] {
        let is_own = |value: &&Value| self.writer(key, **value) == Some(at);
        &seen[..seen.len() - seen.iter().rev().take_while(is_own).count()]
    }

    /// The shortest cycle of the gravest kind.
    fn cycle(&self) -> Option<Found> {
        let none = || vec![BTreeSet::new(); self.history.transactions.len()];
        let (mut overwrites, mut reads, mut misses) = (none(), none(), none());
        for (key, list) in &self.history.lists {
            let writers = list.iter().filter_map(|value| self.writer(*key, *value));
            for (first, then) in writers.clone().zip(writers.skip(1)) {
                if first != then {
                    overwrites[first].insert(then);
                }
            }
        }
        for at in self.committed() {
            for access in &self.history.transactions[at].accesses {
                let Access::Read(key, seen) = access else { continue };
                let others = self.others(at, *key, seen);
                let writer = |value: &Value| self.writer(*key, *value);
                if let Some(writer) = others.last().and_then(writer) {
                    reads[writer].insert(at);
                }
                let next = self.list(*key).get(others.len());
                if let Some(writer) = next.and_then(writer).filter(|writer| *writer != at) {
                    misses[at].insert(writer);
                }
            }
        }
        let follows = union(&overwrites, &reads);
        let no_two_misses = without_two_misses(&follows, &misses);
        let all = union(&follows, &misses);
        [
            (Anomaly::WriteCycle, overwrites),
            (Anomaly::InformationCycle, follows),
            (Anomaly::ReadSkew, no_two_misses),
            (Anomaly::WriteSkew, all),
        ]
        .into_iter()
        .find_map(|(anomaly, graph)| {
            let cycle = shortest_cycle(&graph)?;
            let cycle: Vec<usize> =
                cycle.iter().map(|at| at % self.history.transactions.len()).collect();
            Some(self.found(anomaly, &cycle))
        })
    }
}

impl Transaction {
    fn appends(&self) -> impl Iterator<Item = (Key, Value)> {
        self.accesses.iter().filter_map(|access| match access {
            Access::Append(key, value) => Some((*key, *value)),
            Access::Read(..) => None,
        })
    }

    fn last_append(&self, key: Key) -> Option<Value> {
        self.appends().filter(|(one, _)| *one == key).map(|(_, value)| value).last()
    }
}

impl Access {
    /// `append(list, value)`, or `read(list) = ` with the last values that it held.
    fn in_words(&self) -> String {
        match self {
            Self::Append(key, value) => format!("append({key}, {value})"),
            Self::Read(key, seen) => {
                let (before, last) = seen.split_at(seen.len().saturating_sub(3));
                let dots = if before.is_empty() { "" } else { "… " };
                let last: Vec<String> = last.iter().map(ToString::to_string).collect();
                format!("read({key}) = [{dots}{}]", last.join(" "))
            }
        }
    }
}

fn union(one: &Graph, other: &Graph) -> Graph {
    one.iter().zip(other).map(|(one, other)| one | other).collect()
}

/// All ways on which no two misses follow each other; snapshot isolation is that none of them is a cycle
/// (Cerone and Gotsman, PODC 2016). A transaction that is reached by a miss stands in the second half.
fn without_two_misses(follows: &Graph, misses: &Graph) -> Graph {
    let reached = misses.iter().map(|set| set.iter().map(|at| at + misses.len()).collect());
    let mut graph = union(follows, &reached.collect());
    graph.extend_from_slice(follows);
    graph
}

/// A shortest cycle, if there is one.
pub(super) fn shortest_cycle(graph: &Graph) -> Option<Vec<usize>> {
    let cycles = (0..graph.len()).filter_map(|start| cycle_from(graph, start));
    cycles.min_by_key(Vec::len)
}

/// A shortest way from a vertex back to it.
fn cycle_from(graph: &Graph, start: usize) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(at) = next.pop_front() {
        for to in &graph[at] {
            if *to == start {
                let mut way = vec![at];
                while let Some(before) = way.last().and_then(|at| came_from.get(at)) {
                    way.push(*before);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(to) {
                came_from.insert(*to, at);
                next.push_back(*to);
            }
        }
    }
    None
}
