//! The contract's own policy: its clauses about changes, read as rules.
//!
//! A clause names one kind of object and what happens to it, such as "a column is removed or
//! retyped". What it cannot be read as a rule is reported and decides nothing.

use crate::contract::Versioning;

/// A kind of object that clauses speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noun {
    Column,
    Table,
    Constraint,
    Index,
    Function,
    View,
    Aggregate,
    Query,
    ResultColumn,
    Parameter,
    Format,
    Range,
    Trigger,
    Extension,
    Setting,
    Retention,
    Compression,
    Limit,
    Waiver,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Added,
    Removed,
    Renamed,
    Retyped,
    Changed,
}

/// What else a clause may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// A column with a default.
    Default(bool),
    /// Something that a query relies on.
    Used(bool),
}

/// A change in the words of the policy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) noun: Noun,
    pub(super) verb: Verb,
    /// Whether the column has a default.
    pub(super) has_default: bool,
    /// Whether a query relies on the object.
    pub(super) is_used: bool,
}

#[derive(Debug)]
struct Rule<'a> {
    clause: &'a str,
    noun: Noun,
    verbs: Vec<Verb>,
    condition: Option<Condition>,
    breaking: bool,
}

/// A contract's policy, read.
#[derive(Debug)]
pub(super) struct Policy<'a> {
    rules: Vec<Rule<'a>>,
    /// Clauses that could not be read.
    pub(super) unread: Vec<&'a str>,
}

impl<'a> Policy<'a> {
    pub(super) fn read(versioning: &'a Versioning) -> Self {
        let mut policy = Self { rules: Vec::new(), unread: Vec::new() };
        for (clauses, breaking) in [(&versioning.breaking, true), (&versioning.compatible, false)] {
            for clause in clauses {
                match rule(clause, breaking) {
                    Some(rule) => policy.rules.push(rule),
                    None => policy.unread.push(clause),
                }
            }
        }
        policy
    }

    /// Whether the policy calls a change breaking, and by which clause; `None` when it is silent.
    /// Where clauses contradict each other, the change is breaking.
    pub(super) fn decide(&self, event: Event) -> Option<(bool, &'a str)> {
        let fits = self.rules.iter().filter(|rule| rule.speaks_of(event));
        fits.max_by_key(|rule| rule.breaking).map(|rule| (rule.breaking, rule.clause))
    }
}

impl Rule<'_> {
    fn speaks_of(&self, event: Event) -> bool {
        let verb = self.verbs.contains(&event.verb)
            || (event.verb == Verb::Retyped && self.verbs.contains(&Verb::Changed));
        let condition = match self.condition {
            None => true,
            Some(Condition::Default(wanted)) => event.has_default == wanted,
            Some(Condition::Used(wanted)) => event.is_used == wanted,
        };
        self.noun == event.noun && verb && condition
    }
}

/// Words for each kind of object; longer ones first.
const NOUNS: [(&str, Noun); 23] = [
    ("waiver", Noun::Waiver),
    ("result column", Noun::ResultColumn),
    ("column of a result", Noun::ResultColumn),
    ("continuous aggregate", Noun::Aggregate),
    ("retention", Noun::Retention),
    ("compression", Noun::Compression),
    ("time limit", Noun::Limit),
    ("sla", Noun::Limit),
    ("parameter", Noun::Parameter),
    ("constraint", Noun::Constraint),
    ("index", Noun::Index),
    ("indexes", Noun::Index),
    ("procedure", Noun::Function),
    ("function", Noun::Function),
    ("trigger", Noun::Trigger),
    ("extension", Noun::Extension),
    ("setting", Noun::Setting),
    ("view", Noun::View),
    ("format", Noun::Format),
    ("range", Noun::Range),
    ("query", Noun::Query),
    ("column", Noun::Column),
    ("table", Noun::Table),
];

const VERBS: [(&str, Verb); 13] = [
    ("added", Verb::Added),
    ("new", Verb::Added),
    ("removed", Verb::Removed),
    ("dropped", Verb::Removed),
    ("deleted", Verb::Removed),
    ("renamed", Verb::Renamed),
    ("retyped", Verb::Retyped),
    ("type changes", Verb::Retyped),
    ("type is changed", Verb::Retyped),
    ("changes", Verb::Changed),
    ("changed", Verb::Changed),
    ("modified", Verb::Changed),
    ("altered", Verb::Changed),
];

const CONDITIONS: [(&str, Condition); 6] = [
    ("without a default", Condition::Default(false)),
    ("without default", Condition::Default(false)),
    ("with a default", Condition::Default(true)),
    ("with default", Condition::Default(true)),
    ("that a consumer uses", Condition::Used(true)),
    ("that no consumer uses", Condition::Used(false)),
];

fn rule(clause: &str, breaking: bool) -> Option<Rule<'_>> {
    let words: Vec<String> = clause
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let text = format!(" {} ", words.join(" "));
    let holds = |phrase: &str| text.contains(&format!(" {phrase} "));
    let plural = |phrase: &str| holds(phrase) || holds(&format!("{phrase}s"));
    let (_, noun) = NOUNS.iter().find(|(phrase, _)| plural(phrase))?;
    let verbs: Vec<Verb> =
        VERBS.iter().filter(|(phrase, _)| holds(phrase)).map(|(_, verb)| *verb).collect();
    let condition = CONDITIONS.iter().find(|(phrase, _)| holds(phrase)).map(|(_, one)| *one);
    (!verbs.is_empty()).then_some(Rule { clause, noun: *noun, verbs, condition, breaking })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versioning(breaking: &[&str], compatible: &[&str]) -> Versioning {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        Versioning {
            notice_days: 30,
            table: "schema_version".to_owned(),
            breaking: owned(breaking),
            compatible: owned(compatible),
            announcements: Vec::new(),
        }
    }

    fn event(noun: Noun, verb: Verb) -> Event {
        Event { noun, verb, has_default: false, is_used: false }
    }

    #[test]
    fn the_clauses_of_the_built_in_contract_are_read() {
        let contract = crate::contract::source::load(None).unwrap();
        let policy = Policy::read(&contract.model.versioning);
        assert_eq!(policy.unread, Vec::<&str>::new());
        let says = |event| policy.decide(event).map(|(breaking, _)| breaking);
        let index = event(Noun::Index, Verb::Removed);
        let column = event(Noun::Column, Verb::Added);
        for (event, breaking) in [
            (event(Noun::Column, Verb::Removed), Some(true)),
            (event(Noun::Column, Verb::Retyped), Some(true)),
            (event(Noun::Table, Verb::Renamed), Some(true)),
            (event(Noun::Table, Verb::Removed), Some(true)),
            (event(Noun::Constraint, Verb::Changed), Some(true)),
            (index, None),
            (Event { is_used: true, ..index }, Some(true)),
            (column, None),
            (Event { has_default: true, ..column }, Some(false)),
            (event(Noun::Index, Verb::Added), Some(false)),
            (event(Noun::Table, Verb::Added), Some(false)),
            (event(Noun::Function, Verb::Added), Some(false)),
            (event(Noun::Query, Verb::Removed), None),
        ] {
            assert_eq!(says(event), breaking, "{event:?}");
        }
    }

    #[test]
    fn clauses_that_name_no_object_or_no_change_are_reported() {
        let clauses = versioning(&["anything that hurts", "a column", "is removed", ""], &[]);
        assert_eq!(Policy::read(&clauses).unread.len(), 4);
    }

    #[test]
    fn of_clauses_that_contradict_each_other_the_breaking_one_holds() {
        let clauses = versioning(&["an index is added"], &["an index is added"]);
        let decided = Policy::read(&clauses).decide(event(Noun::Index, Verb::Added));
        assert_eq!(decided, Some((true, "an index is added")));
    }
}
