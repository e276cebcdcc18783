//! The drills' own detection power: each is run with a layer or an injector that is broken on purpose,
//! and must notice.

use std::time::Instant;

use pg_local::Runtime;
use serde::Serialize;

use super::sabotages::{self, Case};
use super::server::Server;
use super::{Drill, Options, Record, Scene, all, play};
use crate::Error;
use crate::claim::Claim;
use crate::contract::Contract;
use crate::verdict::{Judgement, Status, judge};

/// What became of one sabotage.
#[derive(Debug, Clone, Serialize)]
pub struct Noticed {
    /// The drill.
    pub drill: String,
    /// What was broken.
    pub sabotage: String,
    /// What its claim had to be: `refuted`, or `unproven` for an injector that does nothing.
    pub expected: String,
    /// What it was.
    pub found: String,
    /// `killed`, `survived`, or `not_measurable` where this machine lacks what the drill needs.
    pub fate: &'static str,
    /// The verdict's reason, or the first thing that did not hold.
    pub reason: String,
}

/// The detection power of drills.
#[derive(Debug, Clone, Serialize)]
pub struct Score {
    /// `proven` when every sabotage that this machine can make was noticed, and there was one.
    pub verdict: &'static str,
    /// Drills tried.
    pub drills: usize,
    /// Sabotages made.
    pub sabotages: usize,
    /// Those that the drill noticed.
    pub killed: usize,
    /// Those that it did not notice.
    pub survived: usize,
    /// Those that this machine cannot make.
    pub not_measurable: usize,
    /// Noticed sabotages in percent, rounded down to a tenth.
    pub score_percent: f64,
    /// Upper 95 % bound of the rate of sabotages that go unnoticed; none when some did.
    pub missed_rate_bound: Option<f64>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Every sabotage.
    pub trials: Vec<Noticed>,
}

impl Score {
    fn new(drills: usize, trials: Vec<Noticed>, seconds: f64) -> Self {
        let of = |fate| trials.iter().filter(|trial| trial.fate == fate).count();
        let (killed, survived) = (of("killed"), of("survived"));
        let made = killed + survived;
        let whole = survived == 0 && killed > 0;
        Self {
            verdict: if whole { "proven" } else { "not_proven" },
            drills,
            sabotages: made,
            killed,
            survived,
            not_measurable: of("not_measurable"),
            score_percent: share(killed, made),
            missed_rate_bound: whole.then(|| crate::statistics::rate_bound_of_none(made as u64)),
            seconds: (seconds * 10.0).round() / 10.0,
            trials,
        }
    }

    /// Whether every sabotage was noticed.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.verdict == "proven"
    }

    /// The score for people, in Markdown that reads well as it is.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "# Detection power of the drills\n\n{} of {} sabotages noticed by their own drill ({} %), {} \
             survived, {} not measurable on this machine, {} drills, {:.1} s\n",
            self.killed,
            self.sabotages,
            self.score_percent,
            self.survived,
            self.not_measurable,
            self.drills,
            self.seconds
        );
        for (fate, title) in [
            ("survived", "Not noticed"),
            ("not_measurable", "Not measurable"),
            ("killed", "Noticed"),
        ] {
            let of = self.trials.iter().filter(|trial| trial.fate == fate);
            let lines: Vec<String> = of
                .map(|one| {
                    format!("- {}: {}: {}: {}\n", one.drill, one.sabotage, one.found, one.reason)
                })
                .collect();
            if !lines.is_empty() {
                let title = format!("\n## {title} ({})\n\n", lines.len());
                text.push_str(&title);
                text.push_str(&lines.concat());
            }
        }
        text
    }
}

/// Percent, rounded down to a tenth, so that 100 means all.
#[expect(clippy::cast_precision_loss, reason = "counts of sabotages are small")]
fn share(part: usize, whole: usize) -> f64 {
    (part * 1_000).checked_div(whole).unwrap_or_default() as f64 / 10.0
}

/// Makes the sabotages of drills, one after the other on disposable servers, with one fault each.
/// `progress` hears of each before it is made, with its place, and of what became of it.
///
/// # Errors
///
/// [`Error::Local`] when no server can be had.
pub async fn prove(
    runtime: &Runtime,
    contract: &Contract,
    drills: &[Drill],
    client: &'static [&'static str],
    progress: &(dyn Fn(Sabotaging<'_>) + Sync),
) -> Result<Score, Error> {
    let begun = Instant::now();
    let mut cases: Vec<(&Drill, Case)> = Vec::new();
    for drill in drills {
        let own = sabotages::all().into_iter().filter(|case| case.drill == drill.name);
        cases.extend(own.chain([sabotages::idle(drill.name)]).map(|case| (drill, case)));
    }
    let options = Options { thorough: false, repeat: Some(1), seed: 1, client };
    let claims = super::plan(contract);
    let mut server = Server::start(runtime).await?;
    let mut trials = Vec::new();
    let of = cases.len();
    for (at, (drill, case)) in cases.into_iter().enumerate() {
        progress(Sabotaging::Begins { drill: drill.name, what: case.what, at, of });
        if server.revive().await.is_err() {
            server = Server::start(runtime).await?;
        }
        let record = Record::new(drill.name, drill.injects, options.seed);
        let mut scene = Scene::new(runtime.clone(), server.clone(), record, &options);
        scene.sabotage = case.sabotage.clone();
        play(&mut scene, drill).await;
        let trial = noticed(&case, &judged(&claims, &scene.record));
        progress(Sabotaging::Ended { trial: &trial });
        trials.push(trial);
    }
    Ok(Score::new(drills.len(), trials, begun.elapsed().as_secs_f64()))
}

/// What is said while sabotages are made.
#[derive(Debug)]
pub enum Sabotaging<'a> {
    /// A drill begins with a sabotage.
    Begins {
        /// Which drill.
        drill: &'a str,
        /// What is broken.
        what: &'a str,
        /// Its place, from zero.
        at: usize,
        /// How many there are.
        of: usize,
    },
    /// It is over.
    Ended {
        /// What became of it.
        trial: &'a Noticed,
    },
}

fn judged(claims: &[Claim], record: &Record) -> Judgement {
    let evidence = record.evidence();
    match claims.iter().find(|claim| claim.id == evidence.claim) {
        Some(claim) => judge(claim, Some(&evidence)),
        // Drills that the contract does not name are judged all the same.
        None => judge(&super::claim_of(record.drill, record.injects), Some(&evidence)),
    }
}

fn noticed(case: &Case, judgement: &Judgement) -> Noticed {
    let first = judgement.findings.first();
    let found = first.map(|one| format!("expected {}, found {}", one.expected, one.found));
    let reason = found.or_else(|| judgement.reason.clone());
    let reason = reason.unwrap_or_else(|| judgement.observed.clone());
    let fate = if judgement.status == Status::Unproven && reason.starts_with("this machine") {
        "not_measurable"
    } else if judgement.status == case.expected && !reason.starts_with(super::FAILED) {
        // A drill that breaks down is unproven too, and has noticed nothing.
        "killed"
    } else {
        "survived"
    };
    Noticed {
        drill: case.drill.to_owned(),
        sabotage: case.what.to_owned(),
        expected: case.expected.word().to_owned(),
        found: judgement.status.word().to_owned(),
        fate,
        reason,
    }
}

/// Drills that nobody has broken yet.
#[must_use]
pub fn without_sabotage() -> Vec<&'static str> {
    let cases = sabotages::all();
    let mut names: Vec<&'static str> = all().iter().map(|drill| drill.name).collect();
    names.retain(|name| !cases.iter().any(|case| case.drill == *name));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(fate: &'static str) -> Noticed {
        let word = || "refuted".to_owned();
        let (drill, sabotage) = ("a_drill".to_owned(), "errors taken for success".to_owned());
        Noticed { drill, sabotage, expected: word(), found: word(), fate, reason: String::new() }
    }

    #[test]
    fn one_survivor_leaves_it_unproven_and_nothing_made_proves_nothing() {
        let score = Score::new(1, vec![trial("killed"), trial("survived")], 1.0);
        assert_eq!((score.is_proven(), score.killed, score.survived), (false, 1, 1));
        assert!((score.score_percent - 50.0).abs() < f64::EPSILON);
        assert_eq!(score.missed_rate_bound, None);
        assert!(Score::new(1, vec![trial("killed")], 1.0).is_proven());
        assert!(!Score::new(1, vec![trial("not_measurable")], 1.0).is_proven());
        assert!(!Score::new(0, Vec::new(), 1.0).is_proven());
    }

    #[test]
    fn every_drill_has_its_sabotage_and_every_sabotage_its_drill() {
        assert_eq!(without_sabotage(), [""; 0]);
        let drills = all();
        for case in sabotages::all() {
            assert!(drills.iter().any(|drill| drill.name == case.drill), "{}", case.drill);
        }
    }
}
