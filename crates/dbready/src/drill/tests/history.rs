//! The checker of histories: it names what is planted, and is silent where transactions ran one after the
//! other.

use pg_session::Isolation;
use proptest::prelude::*;

use crate::drill::history::{Access, Anomaly, History, Key, Transaction, Value};
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
    Reordered,
    OwnUnseen,
    OwnTooSoon,
    AbortedRead,
    AbortedKept,
    IntermediateRead,
    DirtyWrite,
    CircularFlow,
    LostUpdate,
    ReadNotRepeated,
    ReadSkew,
    WriteSkew(Key),
    LongFork,
}

impl Planted {
    fn anomaly(self) -> Anomaly {
        match self {
            Self::Lost | Self::HalfApplied => Anomaly::Lost,
            Self::Doubled | Self::FromNowhere => Anomaly::Stray,
            Self::Reordered => Anomaly::Order,
            Self::OwnUnseen | Self::OwnTooSoon => Anomaly::Internal,
            Self::AbortedRead | Self::AbortedKept => Anomaly::AbortedRead,
            Self::IntermediateRead => Anomaly::IntermediateRead,
            Self::DirtyWrite => Anomaly::WriteCycle,
            Self::CircularFlow => Anomaly::InformationCycle,
            Self::LostUpdate | Self::ReadNotRepeated | Self::ReadSkew | Self::LongFork => {
                Anomaly::ReadSkew
            }
            Self::WriteSkew(_) => Anomaly::WriteSkew,
        }
    }
}

fn planted() -> impl Strategy<Value = Planted> {
    prop_oneof![
        Just(Planted::Lost),
        Just(Planted::HalfApplied),
        Just(Planted::Doubled),
        Just(Planted::FromNowhere),
        Just(Planted::Reordered),
        Just(Planted::OwnUnseen),
        Just(Planted::OwnTooSoon),
        Just(Planted::AbortedRead),
        Just(Planted::AbortedKept),
        Just(Planted::IntermediateRead),
        Just(Planted::DirtyWrite),
        Just(Planted::CircularFlow),
        Just(Planted::LostUpdate),
        Just(Planted::ReadNotRepeated),
        Just(Planted::ReadSkew),
        (2..6).prop_map(Planted::WriteSkew),
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
