//! The checker of histories: it names what is planted, and is silent where transactions ran one after the
//! other.

use pg_session::Isolation;
use proptest::prelude::*;

use crate::drill::history::{
    Access, Anomaly, Found, Graph, History, Key, Transaction, Value, shortest_cycle,
};
use crate::drill::journal::Answer;

/// Lists that transactions work on one after the other; a planted anomaly has them overlap.
#[derive(Debug, Clone, Default)]
struct Serial {
    history: History,
    next: Value,
}

/// What one transaction does: lists to read, or to append to; and its end.
type Script = (Vec<(bool, Key)>, u8);

impl Serial {
    fn value(&mut self) -> Value {
        self.next += 1;
        self.next
    }

    fn list(&mut self, key: Key) -> Vec<Value> {
        self.history.lists.entry(key).or_default().clone()
    }

    fn push(&mut self, accesses: Vec<Access>, answer: Answer) {
        self.history.transactions.push(Transaction { accesses, answer });
    }

    /// Puts a value at the end of a list, as a transaction that commits now does.
    fn apply(&mut self, key: Key, value: Value) {
        self.history.lists.entry(key).or_default().push(value);
    }

    fn run_all(&mut self, scripts: &[Script]) {
        for script in scripts {
            self.run(script);
        }
    }

    fn run(&mut self, (steps, end): &Script) {
        let before = self.history.lists.clone();
        let mut accesses = Vec::new();
        for (appends, key) in steps {
            if *appends {
                let value = self.value();
                self.apply(*key, value);
                accesses.push(Access::Append(*key, value));
            } else {
                accesses.push(Access::Read(*key, self.list(*key)));
            }
        }
        let (answer, applied) = match end {
            0 => (Answer::NotApplied, false),
            1 => (Answer::Unknown, false),
            2 => (Answer::Unknown, true),
            _ => (Answer::Acknowledged, true),
        };
        if !applied {
            self.history.lists = before;
        }
        self.push(accesses, answer);
    }

    fn plant(&mut self, anomaly: Planted) {
        let committed = Answer::Acknowledged;
        let with = |list: &[Value], more: &[Value]| [list, more].concat();
        let (list, other_list) = (self.list(0), self.list(1));
        let [first, second, third] = [(); 3].map(|()| self.value());
        match anomaly {
            Planted::Lost => self.push(vec![Access::Append(0, first)], committed),
            Planted::HalfApplied => {
                self.push(
                    vec![Access::Append(0, first), Access::Append(1, second)],
                    Answer::Unknown,
                );
                self.apply(0, first);
            }
            Planted::Doubled => {
                self.push(vec![Access::Append(0, first)], committed);
                self.apply(0, first);
                self.apply(0, first);
            }
            Planted::FromNowhere => self.apply(0, first),
            Planted::ElsewhereToo => {
                self.push(vec![Access::Append(0, first)], committed);
                self.apply(0, first);
                self.apply(1, first);
            }
            Planted::Reordered => {
                self.push(vec![Access::Append(0, first)], committed);
                self.push(vec![Access::Append(0, second)], committed);
                self.push(vec![Access::Read(0, with(&list, &[second, first]))], committed);
                self.apply(0, first);
                self.apply(0, second);
            }
            Planted::OwnUnseen => {
                self.push(vec![Access::Append(0, first), Access::Read(0, list)], committed);
                self.apply(0, first);
            }
            Planted::OwnTooSoon => {
                let seen = with(&list, &[first]);
                self.push(vec![Access::Read(0, seen), Access::Append(0, first)], committed);
                self.apply(0, first);
            }
            Planted::OwnAmongOthers => {
                let seen = with(&list, &[first, second]);
                self.push(vec![Access::Append(0, second)], committed);
                self.push(vec![Access::Read(0, seen), Access::Append(0, first)], committed);
                self.apply(0, first);
                self.apply(0, second);
            }
            Planted::AbortedRead => {
                self.push(vec![Access::Append(0, first)], Answer::NotApplied);
                self.push(vec![Access::Read(0, with(&list, &[first]))], committed);
            }
            Planted::AbortedKept => {
                self.push(vec![Access::Append(0, first)], Answer::NotApplied);
                self.apply(0, first);
            }
            Planted::IntermediateRead => {
                self.push(vec![Access::Append(0, first), Access::Append(0, second)], committed);
                self.push(vec![Access::Read(0, with(&list, &[first]))], committed);
                self.apply(0, first);
                self.apply(0, second);
            }
            Planted::DirtyWrite => {
                self.push(vec![Access::Append(0, first), Access::Append(1, second)], committed);
                let other = self.value();
                self.push(vec![Access::Append(0, third), Access::Append(1, other)], committed);
                for (key, value) in [(0, first), (0, third), (1, other), (1, second)] {
                    self.apply(key, value);
                }
            }
            Planted::CircularFlow => {
                self.push(
                    vec![Access::Append(0, first), Access::Read(1, with(&other_list, &[second]))],
                    committed,
                );
                self.push(
                    vec![Access::Append(1, second), Access::Read(0, with(&list, &[first]))],
                    committed,
                );
                self.apply(0, first);
                self.apply(1, second);
            }
            Planted::OverwrittenFlow => {
                // The second overwrites what the first wrote, and the first reads what the second wrote.
                let seen = with(&other_list, &[third]);
                self.push(vec![Access::Append(0, first), Access::Read(1, seen)], committed);
                self.push(vec![Access::Append(0, second), Access::Append(1, third)], committed);
                self.apply(0, first);
                self.apply(0, second);
                self.apply(1, third);
            }
            Planted::LostUpdate => {
                for value in [first, second] {
                    let seen = Access::Read(0, list.clone());
                    self.push(vec![seen, Access::Append(0, value)], committed);
                    self.apply(0, value);
                }
            }
            Planted::ReadNotRepeated => {
                self.push(vec![Access::Append(0, first)], committed);
                let again = Access::Read(0, with(&list, &[first]));
                self.push(vec![Access::Read(0, list), again], committed);
                self.apply(0, first);
            }
            Planted::ReadSkew => {
                self.push(vec![Access::Append(0, first), Access::Append(1, second)], committed);
                let other = Access::Read(1, with(&other_list, &[second]));
                self.push(vec![Access::Read(0, list), other], committed);
                self.apply(0, first);
                self.apply(1, second);
            }
            Planted::ReadSkewOverOthers => {
                // The reader misses the first, whom the second overwrites, and sees the second.
                let (other, further) = (self.value(), self.list(2));
                let seen = Access::Read(2, with(&further, &[other]));
                self.push(vec![Access::Read(0, list), seen], committed);
                self.push(vec![Access::Append(0, first), Access::Append(1, second)], committed);
                self.push(vec![Access::Append(1, third), Access::Append(2, other)], committed);
                for (key, value) in [(0, first), (1, second), (1, third), (2, other)] {
                    self.apply(key, value);
                }
            }
            Planted::WriteSkew(members) => {
                // Each appends to the list that the one before it has read.
                let lists: Vec<Vec<Value>> = (0..members).map(|key| self.list(key)).collect();
                for (key, list) in (0..).zip(lists) {
                    let (value, next) = (self.value(), (key + 1) % members);
                    self.push(
                        vec![Access::Read(key, list), Access::Append(next, value)],
                        committed,
                    );
                    self.apply(next, value);
                }
            }
            Planted::ReadOnly => {
                // The reader sees the second and misses the first, which misses the second.
                let seen = vec![Access::Read(1, other_list.clone()), Access::Append(0, first)];
                self.push(seen, committed);
                self.push(vec![Access::Append(1, second)], committed);
                let with_second = Access::Read(1, with(&other_list, &[second]));
                self.push(vec![Access::Read(0, list), with_second], committed);
                self.apply(0, first);
                self.apply(1, second);
            }
            Planted::LongFork => {
                // Two writers, and two readers who see them in different orders.
                self.push(vec![Access::Append(0, first)], committed);
                self.push(vec![Access::Append(1, second)], committed);
                let (with_first, with_second) =
                    (with(&list, &[first]), with(&other_list, &[second]));
                self.push(
                    vec![Access::Read(0, with_first), Access::Read(1, other_list)],
                    committed,
                );
                self.push(vec![Access::Read(0, list), Access::Read(1, with_second)], committed);
                self.apply(0, first);
                self.apply(1, second);
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Planted {
    Lost,
    HalfApplied,
    Doubled,
    FromNowhere,
    ElsewhereToo,
    Reordered,
    OwnUnseen,
    OwnTooSoon,
    OwnAmongOthers,
    AbortedRead,
    AbortedKept,
    IntermediateRead,
    DirtyWrite,
    CircularFlow,
    OverwrittenFlow,
    LostUpdate,
    ReadNotRepeated,
    ReadSkew,
    ReadSkewOverOthers,
    WriteSkew(Key),
    ReadOnly,
    LongFork,
}

impl Planted {
    fn anomaly(self) -> Anomaly {
        match self {
            Self::Lost | Self::HalfApplied => Anomaly::Lost,
            Self::Doubled | Self::FromNowhere | Self::ElsewhereToo => Anomaly::Stray,
            Self::Reordered => Anomaly::Order,
            Self::OwnUnseen | Self::OwnTooSoon | Self::OwnAmongOthers => Anomaly::Internal,
            Self::AbortedRead | Self::AbortedKept => Anomaly::AbortedRead,
            Self::IntermediateRead => Anomaly::IntermediateRead,
            Self::DirtyWrite => Anomaly::WriteCycle,
            Self::CircularFlow | Self::OverwrittenFlow => Anomaly::InformationCycle,
            Self::LostUpdate
            | Self::ReadNotRepeated
            | Self::ReadSkew
            | Self::ReadSkewOverOthers
            | Self::LongFork => Anomaly::ReadSkew,
            Self::WriteSkew(_) | Self::ReadOnly => Anomaly::WriteSkew,
        }
    }
}

fn planted() -> impl Strategy<Value = Planted> {
    prop_oneof![
        Just(Planted::Lost),
        Just(Planted::HalfApplied),
        Just(Planted::Doubled),
        Just(Planted::FromNowhere),
        Just(Planted::ElsewhereToo),
        Just(Planted::Reordered),
        Just(Planted::OwnUnseen),
        Just(Planted::OwnTooSoon),
        Just(Planted::OwnAmongOthers),
        Just(Planted::AbortedRead),
        Just(Planted::AbortedKept),
        Just(Planted::IntermediateRead),
        Just(Planted::DirtyWrite),
        Just(Planted::CircularFlow),
        Just(Planted::OverwrittenFlow),
        Just(Planted::LostUpdate),
        Just(Planted::ReadNotRepeated),
        Just(Planted::ReadSkew),
        Just(Planted::ReadSkewOverOthers),
        (2..6).prop_map(Planted::WriteSkew),
        Just(Planted::ReadOnly),
        Just(Planted::LongFork),
    ]
}

fn scripts() -> impl Strategy<Value = Vec<Script>> {
    let steps = prop::collection::vec((any::<bool>(), 0..4_i32), 1..5);
    prop::collection::vec((steps, 0..8_u8), 0..12)
}

proptest! {
    #[test]
    fn transactions_one_after_the_other_show_nothing(scripts in scripts()) {
        let mut serial = Serial::default();
        serial.run_all(&scripts);
        prop_assert_eq!(serial.history.anomalies(), vec![]);
    }

    #[test]
    fn what_is_planted_is_named(before in scripts(), planted in planted(), after in scripts()) {
        let mut serial = Serial::default();
        serial.run_all(&before);
        serial.plant(planted);
        serial.run_all(&after);
        let found: Vec<Anomaly> =
            serial.history.anomalies().into_iter().map(|one| one.anomaly).collect();
        prop_assert!(found.contains(&planted.anomaly()), "{found:?}");
        // Nothing graver is seen in it than there is.
        if planted.anomaly() >= Anomaly::WriteCycle {
            prop_assert_eq!(found, vec![planted.anomaly()]);
        }
    }
}

#[test]
fn each_level_forbids_what_the_one_below_it_does_and_more() {
    use Anomaly::{InformationCycle, Lost, ReadSkew, WriteSkew};
    use Isolation::{ReadCommitted, RepeatableRead, Serializable};
    let allowed = |level| {
        [Lost, InformationCycle, ReadSkew, WriteSkew].map(|anomaly| anomaly.is_allowed_at(level))
    };
    assert_eq!(allowed(ReadCommitted), [false, false, true, true]);
    assert_eq!(allowed(RepeatableRead), [false, false, false, true]);
    assert_eq!(allowed(Serializable), [false; 4]);
}

/// A history of committed transactions.
fn committed(transactions: Vec<Vec<Access>>, lists: &[(Key, &[Value])]) -> History {
    let answer = Answer::Acknowledged;
    let of = |accesses| Transaction { accesses, answer };
    let lists = lists.iter().map(|(key, list)| (*key, list.to_vec())).collect();
    History { transactions: transactions.into_iter().map(of).collect(), lists }
}

fn found(anomaly: Anomaly, what: &str) -> Found {
    Found { anomaly, what: what.to_owned() }
}

#[test]
fn what_is_found_is_told_with_its_transactions() {
    let appends = [1, 2, 3, 4].map(|value| Access::Append(0, value));
    let (before, nothing) = (Access::Read(0, vec![1, 2, 3, 4]), Access::Read(2, vec![]));
    let lost = committed(
        vec![appends.to_vec(), vec![before, Access::Append(1, 9), nothing]],
        &[(0, &[1, 2, 3, 4])],
    );
    let words = "1: read(0) = [… 2 3 4] append(1, 9) read(2) = []";
    assert_eq!(lost.anomalies(), [found(Anomaly::Lost, words)]);
    let doubled = committed(vec![vec![Access::Append(5, 1)]], &[(5, &[1, 1])]);
    assert_eq!(doubled.anomalies(), [found(Anomaly::Stray, "1 in list 5")]);

    let mut aborted =
        committed(vec![vec![Access::Append(0, 1)], vec![Access::Read(0, vec![1])]], &[(0, &[])]);
    aborted.transactions[0].answer = Answer::NotApplied;
    let words = "0: append(0, 1); 1: read(0) = [1]";
    assert_eq!(aborted.anomalies(), [found(Anomaly::AbortedRead, words)]);
}

#[test]
fn a_cycle_is_told_in_the_order_of_its_dependencies() {
    let miss = |read: Key, append: Key, value: Value| {
        vec![Access::Read(read, vec![]), Access::Append(append, value)]
    };
    let skew = committed(
        vec![miss(0, 1, 1), miss(1, 2, 2), miss(2, 0, 3)],
        &[(0, &[3]), (1, &[1]), (2, &[2])],
    );
    let words = "0: read(0) = [] append(1, 1); 2: read(2) = [] append(0, 3); \
                 1: read(1) = [] append(2, 2)";
    assert_eq!(skew.anomalies(), [found(Anomaly::WriteSkew, words)]);
}

/// What a transaction has read does not matter when it is rolled back.
#[test]
fn reads_of_what_was_not_committed_show_nothing() {
    let mut history = committed(
        vec![
            vec![Access::Append(0, 1), Access::Append(1, 2)],
            vec![Access::Read(0, vec![]), Access::Read(1, vec![2])],
        ],
        &[(0, &[1]), (1, &[2])],
    );
    let kinds = |history: &History| -> Vec<Anomaly> {
        history.anomalies().into_iter().map(|one| one.anomaly).collect()
    };
    assert_eq!(kinds(&history), [Anomaly::ReadSkew]);
    history.transactions[1].answer = Answer::NotApplied;
    assert_eq!(kinds(&history), []);
    history.transactions[1].accesses.push(Access::Read(0, vec![7]));
    assert_eq!(kinds(&history), []);
}

#[test]
fn of_all_cycles_a_shortest_is_found() {
    let graph = |edges: &[(usize, usize)], size: usize| {
        let mut graph = Graph::new();
        graph.resize_with(size, Default::default);
        for (from, to) in edges {
            graph[*from].insert(*to);
        }
        graph
    };
    // From 0 and 1 a long way leads back through 2 and 3, and a short one directly.
    let edges = [(0, 1), (1, 0), (0, 2), (1, 2), (2, 3), (3, 0), (3, 1)];
    assert_eq!(shortest_cycle(&graph(&edges, 4)), Some(vec![0, 1]));
    assert_eq!(shortest_cycle(&graph(&edges[2..], 4)), Some(vec![0, 2, 3]));
    let apart = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 3)];
    assert_eq!(shortest_cycle(&graph(&apart, 5)), Some(vec![3, 4]));
    assert_eq!(shortest_cycle(&graph(&[(0, 1), (1, 2), (0, 2)], 3)), None);
}
