//! Mutation tests: changes made to the code on purpose, and whether a test noticed.
//!
//! Reads `outcomes.json` of cargo-mutants.

use serde::Deserialize;

/// What became of the mutants of one or more runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mutants {
    /// Those that could be built and tested.
    pub tested: Vec<Mutant>,
    /// Those that could not be built; they say nothing.
    pub unviable: u64,
}

/// One mutant that was tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The file that was changed.
    pub file: String,
    /// The change, with its place.
    pub name: String,
    /// Whether a test failed or hung.
    pub was_noticed: bool,
}

#[derive(Deserialize)]
struct Document {
    outcomes: Vec<Tested>,
}

#[derive(Deserialize)]
struct Tested {
    scenario: Scenario,
    summary: Summary,
}

#[derive(Deserialize)]
enum Scenario {
    Baseline,
    Mutant(Change),
}

#[derive(Deserialize)]
struct Change {
    name: String,
    file: String,
}

#[derive(Deserialize, PartialEq)]
enum Summary {
    Success,
    CaughtMutant,
    MissedMutant,
    Unviable,
    Failure,
    Timeout,
}

impl Mutants {
    /// Adds the outcomes of one run. What it says of a mutant that an earlier run tested takes the place of
    /// what that one said: counted twice it would make a sample look larger than it is.
    ///
    /// # Errors
    ///
    /// A message when the document is none of cargo-mutants, its baseline failed, or it tested nothing.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let document: Document = serde_json::from_str(text)
            .map_err(|error| format!("expected the outcomes of cargo-mutants: {error}"))?;
        let mut tested_any = false;
        for Tested { scenario, summary } in document.outcomes {
            match (scenario, summary) {
                (Scenario::Baseline, Summary::Success) => {}
                (Scenario::Baseline, _) => {
                    return Err("the tests fail without any mutant; nothing can be told".to_owned());
                }
                (Scenario::Mutant(_), Summary::Unviable) => self.unviable += 1,
                (Scenario::Mutant(change), summary) => {
                    // A test that hangs is a test that notices.
                    let noticed = [Summary::CaughtMutant, Summary::Timeout].contains(&summary);
                    let tested = Mutant {
                        file: super::paths::normal(&change.file),
                        name: change.name,
                        was_noticed: noticed,
                    };
                    match self.tested.iter_mut().find(|known| known.name == tested.name) {
                        Some(known) => *known = tested,
                        None => self.tested.push(tested),
                    }
                    tested_any = true;
                }
            }
        }
        if !tested_any {
            return Err("the run tested no mutant".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(outcomes: &[(&str, &str)]) -> String {
        let outcomes: Vec<String> = outcomes
            .iter()
            .map(|(name, summary)| match *name {
                "" => format!(r#"{{"scenario":"Baseline","summary":"{summary}"}}"#),
                name => format!(
                    r#"{{"scenario":{{"Mutant":{{"name":"{name}","file":"a/b.rs","package":"a"}}}},
                        "summary":"{summary}","log_path":"x"}}"#
                ),
            })
            .collect();
        format!(r#"{{"outcomes":[{}],"total_mutants":99,"caught":99}}"#, outcomes.join(","))
    }

    #[test]
    fn counts_what_was_noticed_and_lists_what_was_not() {
        let text = document(&[
            ("", "Success"),
            ("one", "CaughtMutant"),
            ("two", "MissedMutant"),
            ("three", "Timeout"),
            ("four", "Unviable"),
        ]);
        let mut mutants = Mutants::default();
        mutants.add(&text).unwrap();
        let told: Vec<_> =
            mutants.tested.iter().map(|one| (one.name.as_str(), one.was_noticed)).collect();
        assert_eq!(told, [("one", true), ("two", false), ("three", true)]);
        assert_eq!(mutants.unviable, 1);
    }

    #[test]
    fn a_mutant_counts_once_by_the_last_run_that_tested_it() {
        let mut mutants = Mutants::default();
        mutants.add(&document(&[("one", "CaughtMutant"), ("two", "MissedMutant")])).unwrap();
        mutants.add(&document(&[("two", "CaughtMutant")])).unwrap();
        mutants.add(&document(&[("one", "MissedMutant")])).unwrap();
        let told: Vec<_> =
            mutants.tested.iter().map(|one| (one.name.as_str(), one.was_noticed)).collect();
        assert_eq!(told, [("one", false), ("two", true)]);
    }

    #[test]
    fn runs_that_tell_nothing_are_refused() {
        for (text, words) in [
            (document(&[("", "Failure"), ("one", "CaughtMutant")]), "without any mutant"),
            (document(&[("", "Success")]), "no mutant"),
            (document(&[("one", "Unviable")]), "no mutant"),
            (document(&[("one", "Excellent")]), "expected the outcomes"),
            ("[]".to_owned(), "expected the outcomes"),
        ] {
            let refused = Mutants::default().add(&text).unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
