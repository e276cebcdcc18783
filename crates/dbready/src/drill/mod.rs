//! Drills: faults injected into disposable servers while work goes on, and what must hold afterwards.
//!
//! Drills make their servers themselves and take no URL. They run one at a time. What they see is
//! recorded; [`crate::verdict`] judges it.

mod cases;
mod client;
mod examiner;
mod heard;
mod history;
mod journal;
mod oracle;
mod prove;
mod random;
mod record;
mod sabotage;
mod sabotages;
mod scene;
mod server;
mod steps;
#[cfg(test)]
mod tests;
mod traffic;
mod work;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use pg_local::Runtime;

pub use self::client::serve;
pub use self::prove::{Noticed, Sabotaging, Score, prove, without_sabotage};
pub use self::record::{Counts, Invariant, Record, Timeline, Trial, Violation};
use self::scene::Scene;
use self::server::Server;
use crate::claim::{Claim, Producer, Severity, Target};
use crate::contract::Contract;
use crate::evidence::{Evidence, Outcome, ServerFacts, Statements};
use crate::{Error, catalog};

/// The longest that one drill may take.
const LONGEST: Duration = Duration::from_mins(8);

/// How the reason begins with which a drill that ended in an error settles nothing.
const FAILED: &str = "the drill could not be carried out";

/// The longest that removing a drill's database may take.
const CLEARED: Duration = Duration::from_secs(10);

/// One kind of failure that is tried out.
#[derive(Clone, Copy)]
pub struct Drill {
    /// Its name, which is that of its claim and of its page in `docs/drills`.
    pub name: &'static str,
    /// What it injects, in a few words.
    pub injects: &'static str,
    /// Whether it belongs to the quick profile.
    pub quick: bool,
    run: Run,
}

/// The body of a drill: it breaks the scene's server and records what it sees. An error stands for a
/// drill that could not be carried out, and leaves its claim unproven.
type Run = for<'a> fn(&'a mut Scene) -> Steps<'a>;
type Steps<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

impl std::fmt::Debug for Drill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drill").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How drills are run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether to inject many faults in each drill rather than few.
    pub thorough: bool,
    /// Faults in each drill that repeats one, instead of the profile's number.
    pub repeat: Option<u32>,
    /// The number that random choices are made from.
    pub seed: u64,
    /// The arguments with which this program runs [`serve`].
    pub client: &'static [&'static str],
}

/// What a run of drills gathered.
#[derive(Debug)]
pub struct Gathered {
    /// The server that drills ran on, as it was before the first.
    pub server: ServerFacts,
    /// What was observed for the drills' claims and for the figures that drills measure.
    pub evidence: Vec<Evidence>,
    /// The statements that it names.
    pub statements: Statements,
    /// The details of each drill, and what its server wrote if something did not hold.
    pub records: Vec<(Record, Option<String>)>,
}

/// Every drill there is, in the order in which they run.
#[must_use]
pub fn all() -> Vec<Drill> {
    cases::ALL.iter().flat_map(|family| family.iter().copied()).collect()
}

/// The claims that drills settle: each drill's invariant holds in every fault injected.
#[must_use]
pub fn plan(contract: &Contract) -> Vec<Claim> {
    contract.model.drills.iter().map(|drill| claim_of(&drill.name, &drill.statement)).collect()
}

/// The claim of one drill.
fn claim_of(drill: &str, statement: &str) -> Claim {
    Claim {
        producer: Producer::Drill,
        target: Target::NoneWrong { unit: "faults injected".to_owned() },
        ..Claim::new(format!("drill.{drill}"), "failure_modes", Severity::Critical, statement)
    }
}

/// Runs drills one after the other on disposable servers. `progress` hears of each before it begins,
/// with its place, and of its record.
///
/// Drills that the contract does not name are run and recorded, but bring no evidence.
///
/// # Errors
///
/// [`Error::Local`] when no server can be had. What goes wrong within a drill leaves its claim
/// unproven with the reason.
pub async fn run(
    runtime: &Runtime,
    contract: &Contract,
    drills: &[Drill],
    options: &Options,
    progress: &(dyn Fn(Step<'_>) + Sync),
) -> Result<Gathered, Error> {
    let mut server = Server::start(runtime).await?;
    let facts = facts(&server, contract).await?;
    let mut records = Vec::new();
    for (at, drill) in drills.iter().enumerate() {
        progress(Step::Begins { drill, at, of: drills.len() });
        if server.revive().await.is_err() {
            server = Server::start(runtime).await?;
        }
        let log_length = server.log_length()?;
        let record = run_one(runtime, &server, drill, options).await;
        progress(Step::Ended { record: &record });
        let went_wrong = record.trials.iter().any(|trial| !trial.violations.is_empty());
        let log = if went_wrong { Some(server.log_since(log_length)?) } else { None };
        records.push((record, log));
    }
    let named = |record: &Record| contract.model.drills.iter().any(|one| one.name == record.drill);
    let mut evidence: Vec<Evidence> =
        records.iter().filter(|(record, _)| named(record)).map(|(one, _)| one.evidence()).collect();
    evidence.extend(figures(contract, &records));
    let statements = records.iter().flat_map(|(record, _)| record.statements()).collect();
    Ok(Gathered { server: facts, evidence, statements, records })
}

/// What is said while drills run.
#[derive(Debug)]
pub enum Step<'a> {
    /// A drill begins.
    Begins {
        /// Which.
        drill: &'a Drill,
        /// Its place, from zero.
        at: usize,
        /// How many there are.
        of: usize,
    },
    /// It is over.
    Ended {
        /// What it saw.
        record: &'a Record,
    },
}

/// Runs one drill to its end, whatever happens in it.
async fn run_one(runtime: &Runtime, server: &Server, drill: &Drill, options: &Options) -> Record {
    let record = Record::new(drill.name, drill.injects, options.seed);
    let mut scene = Scene::new(runtime.clone(), server.clone(), record, options);
    play(&mut scene, drill).await;
    scene.record
}

/// Plays a drill in its scene and sums up what was recorded.
async fn play(scene: &mut Scene, drill: &Drill) {
    let begun = Instant::now();
    let reason = match tokio::time::timeout(LONGEST, (drill.run)(scene)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{FAILED}: {error}")),
        Err(_) => Some(format!("the drill did not end within {LONGEST:?}")),
    };
    if scene.record.unproven.is_none() {
        scene.record.unproven = reason;
    }
    keep_secrets(scene);
    // A server that is down has nothing to clear, and the next drill revives it. One whose standby is
    // gone may wait for it.
    match tokio::time::timeout(CLEARED, scene.clear()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("{}: {error}", drill.name),
        Err(_) => tracing::debug!("{}: its database is not removed", drill.name),
    }
    scene.record.sum_up(begun.elapsed().as_secs_f64());
}

/// I10: the password is in nothing that the drill wrote down.
fn keep_secrets(scene: &mut Scene) {
    let mut written = serde_json::to_string(&scene.record).unwrap_or_default();
    written.extend(scene.record.statements().into_values());
    let leaked = scene.server.tell(|cluster| written.contains(cluster.password()));
    if leaked {
        for trial in &mut scene.record.trials {
            trial.expect(Invariant::NoSecret, false, "no password in the record", "one is in it");
        }
    }
}

async fn facts(server: &Server, contract: &Contract) -> Result<ServerFacts, Error> {
    catalog::server_facts(&server.config("postgres")?, contract).await
}

/// Evidence for the contract's figures that drills took samples for.
fn figures(contract: &Contract, records: &[(Record, Option<String>)]) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    for figure in &contract.model.figures {
        let (mut samples, mut statements) = (Vec::new(), Statements::new());
        for (record, _) in records {
            if let Some(more) = record.figures.get(&figure.name) {
                samples.extend_from_slice(more);
                statements.append(&mut record.statements());
            }
        }
        if samples.is_empty() {
            continue;
        }
        let outcome = measured(&figure.statistic, &figure.unit, &samples);
        let claim = format!("load.{}", figure.name);
        let one = Evidence::new(claim, "measured while faults were injected", outcome);
        evidence.push(one.by(statements.into_keys()));
    }
    evidence
}

/// Samples that a greatest value needs before it says anything of the next one: the next is below it
/// with more than 90 % probability.
const SAMPLES_OF_MAX: u64 = 10;
/// Trials that a rate needs: with all of 59 right it is at least 95 % with 95 % confidence.
const SAMPLES_OF_RATE: u64 = 59;

fn measured(statistic: &str, unit: &str, samples: &[f64]) -> Outcome {
    let n = samples.len() as u64;
    #[expect(clippy::cast_precision_loss, reason = "counts of faults are small")]
    let many = n as f64;
    let mean = samples.iter().sum::<f64>() / many;
    let (value, bound, n_needed) = match statistic {
        "max" => {
            let max = samples.iter().copied().fold(f64::MIN, f64::max);
            (max, max, SAMPLES_OF_MAX)
        }
        // Samples are 100 for what went right and 0 for what did not.
        "rate" if samples.iter().all(|one| *one >= 100.0) => {
            let bound = 100.0 * (1.0 - crate::statistics::rate_bound_of_none(n));
            (100.0, bound, SAMPLES_OF_RATE)
        }
        // Hoeffding's bound holds for any rate.
        "rate" => {
            let slack =
                100.0 * ((1.0 / (1.0 - crate::statistics::CONFIDENCE)).ln() / (2.0 * many)).sqrt();
            (mean, (mean - slack).max(0.0), SAMPLES_OF_RATE)
        }
        other => {
            let reason = format!("drills take no samples for the statistic `{other}`");
            return Outcome::NotMeasured { reason };
        }
    };
    let statistics = vec![("mean".to_owned(), mean)];
    Outcome::Measured { n, n_needed, value, bound, unit: unit.to_owned(), statistics }
}
