//! Load: measured workloads. Plans the claims of the contract's figures and measures those of load.

pub mod aggregate;
pub mod artifacts;
pub mod baseline;
pub mod bench;
pub mod closed;
pub mod compare;
pub mod compression;
pub mod curve;
pub mod drift;
pub mod found;
pub mod generator;
mod ingest;
mod jobs;
pub mod machine;
pub mod mixed;
mod plot;
pub mod queries;
pub mod sample;
pub mod scaling;
pub mod schedule;
pub mod scratch;
pub mod statements;
pub mod summary;
pub mod transactions;
pub mod watch;
pub mod workload;

pub use self::bench::{Bench, Profile, Progress, Writes};
pub use self::found::{Found, Phase};
use self::machine::Machine;
use crate::Error;
use crate::catalog;
use crate::claim::{Claim, Producer, Severity, Target};
use crate::contract::{Contract, Edition, Figure, FigureSource, Limit};

/// The claims of the contract's figures, whoever measures them.
#[must_use]
pub fn plan(contract: &Contract) -> Vec<Claim> {
    contract.model.figures.iter().map(claim).collect()
}

/// The claims that these tests settle.
#[must_use]
pub fn plan_of(contract: &Contract, tests: &[Test]) -> Vec<Claim> {
    let figures = contract.model.figures.iter();
    figures.filter(|figure| is_of(figure, tests)).map(claim).collect()
}

fn claim(figure: &Figure) -> Claim {
    let (statistic, unit) = (figure.statistic.clone(), figure.unit.clone());
    let id = format!("load.{}", figure.name);
    Claim {
        producer: match figure.source {
            FigureSource::Load => Producer::Load,
            FigureSource::Drill => Producer::Drill,
        },
        target: match figure.limit() {
            // No number of trials shows that a rate is exactly zero; none of them may go wrong.
            Limit::AtMost(limit) if limit <= 0.0 && statistic == "rate" => {
                Target::NoneWrong { unit: "trials".to_owned() }
            }
            Limit::AtMost(limit) => Target::AtMost { statistic, limit, unit },
            Limit::AtLeast(limit) => Target::AtLeast { statistic, limit, unit },
        },
        ..Claim::new(id, &figure.area, Severity::Major, &figure.statement)
    }
}

/// One load test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// All queries with limits at once, and the pool below them.
    Queries,
    /// Many callers on a small pool.
    Concurrency,
    /// Rollbacks.
    Rollback,
    /// The catalog snapshot.
    Drift,
    /// Statements that figures name.
    Statements,
    /// What compression saves.
    Compression,
    /// The lag of a continuous aggregate.
    Aggregate,
    /// The queries beside ingest and background jobs.
    Mixed,
    /// Throughput against latency.
    Curve,
    /// The same queries by pgbench.
    Baseline,
    /// Cost against connections, parameters, batches and data.
    Scaling,
}

impl Test {
    /// All tests in the order in which they run. The data that statements prepare stays among that of
    /// the contract, from which the others sample: those come last.
    pub const ALL: [Self; 11] = [
        Self::Drift,
        Self::Queries,
        Self::Concurrency,
        Self::Rollback,
        Self::Compression,
        Self::Aggregate,
        Self::Mixed,
        Self::Baseline,
        Self::Curve,
        Self::Scaling,
        Self::Statements,
    ];

    /// The tests of a profile, when none is named: the quick one leaves out what settles no claim.
    #[must_use]
    pub fn of_profile(profile: Profile) -> Vec<Self> {
        let settles = |test: &Self| {
            !matches!(test, Self::Curve | Self::Baseline | Self::Mixed | Self::Scaling)
        };
        Self::ALL.into_iter().filter(|test| profile != Profile::Quick || settles(test)).collect()
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queries => "queries",
            Self::Concurrency => "concurrency",
            Self::Rollback => "rollback",
            Self::Drift => "drift",
            Self::Statements => "statements",
            Self::Compression => "compression",
            Self::Aggregate => "aggregate",
            Self::Mixed => "mixed",
            Self::Curve => "curve",
            Self::Baseline => "baseline",
            Self::Scaling => "scaling",
        }
    }

    /// What it does, in one sentence.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Queries => "every query with limits at its contracted rate, all at once",
            Self::Concurrency => {
                "writing transactions of 50 callers at once on the contracted pool"
            }
            Self::Rollback => "rollbacks of transactions that have written",
            Self::Drift => "the catalog snapshot that finds drift",
            Self::Statements => "statements that figures of the contract name, one at a time",
            Self::Compression => "the space that compression saves on copies of the hypertables",
            Self::Aggregate => "how soon a new row is seen through the continuous aggregate",
            Self::Mixed => {
                "the queries alone, beside ingest, and beside ingest and background jobs"
            }
            Self::Curve => "the queries at rising rates until the server keeps up no more",
            Self::Baseline => "the queries by pgbench and through the pool, at full speed",
            Self::Scaling => {
                "the cost of more connections, parameters, rows in a batch and rows of data"
            }
        }
    }

    /// Whether it needs to write.
    #[must_use]
    pub fn writes(self) -> bool {
        !matches!(self, Self::Drift | Self::Queries | Self::Baseline | Self::Curve | Self::Scaling)
    }

    /// The figures of a contract that it measures, in the contract's order.
    #[must_use]
    pub fn figures(self, contract: &Contract) -> Vec<&str> {
        let figures = contract.model.figures.iter();
        figures.filter(|figure| self.measures(figure)).map(|figure| figure.name.as_str()).collect()
    }

    fn measures(self, figure: &Figure) -> bool {
        let name = figure.name.as_str();
        figure.source == FigureSource::Load
            && (figure.workload.is_none() || self == Self::Statements)
            && match self {
                Self::Queries => {
                    let of_pool = [queries::ACQUIRE, queries::EFFICIENCY, queries::LEAKS];
                    name.starts_with("queries.") || of_pool.contains(&name)
                }
                Self::Concurrency => {
                    use transactions::{CALLERS, DEADLOCKS, QUEUE_TIME, TRANSACTIONS};
                    [CALLERS, TRANSACTIONS, DEADLOCKS, QUEUE_TIME].contains(&name)
                }
                Self::Rollback => name == transactions::ROLLBACK,
                Self::Drift => name == drift::FIGURE,
                Self::Statements => figure.workload.is_some(),
                Self::Compression => name == compression::FIGURE,
                Self::Aggregate => name == aggregate::FIGURE,
                Self::Mixed | Self::Curve | Self::Baseline | Self::Scaling => false,
            }
    }

    /// Whether all that it measures exists in the Community edition only.
    fn needs_community(self, contract: &Contract) -> bool {
        let mut figures =
            contract.model.figures.iter().filter(|figure| self.measures(figure)).peekable();
        figures.peek().is_some() && figures.all(|figure| figure.edition == Edition::Community)
    }

    async fn run(self, bench: &Bench<'_>) -> Result<Found, Error> {
        match self {
            Self::Queries => queries::measure(bench).await,
            Self::Concurrency => transactions::concurrency(bench).await,
            Self::Rollback => transactions::rollback(bench).await,
            Self::Drift => {
                let mut client = pg_session::connect(&bench.config).await?;
                let address = bench.config.address();
                let options = catalog::Options { address, ..catalog::Options::default() };
                bench.say("the catalog snapshot");
                drift::measure(&mut client, bench.contract, &options).await
            }
            Self::Statements => statements::measure(bench).await,
            Self::Compression => compression::measure(bench).await,
            Self::Aggregate => aggregate::measure(bench).await,
            Self::Mixed => mixed::measure(bench).await,
            Self::Curve => curve::measure(bench).await,
            Self::Baseline => baseline::measure(bench).await,
            Self::Scaling => scaling::measure(bench).await,
        }
    }
}

/// Whether a figure is measured by one of these tests, or by none at all when they are all those that
/// settle claims.
fn is_of(figure: &Figure, tests: &[Test]) -> bool {
    let is_known = Test::ALL.iter().any(|test| test.measures(figure));
    let are_all = Test::of_profile(Profile::Quick).iter().all(|test| tests.contains(test));
    figure.source == FigureSource::Load
        && (tests.iter().any(|test| test.measures(figure)) || !is_known && are_all)
}

/// The tests of these names, each the name of a test or of a figure that it measures; when
/// there are none, all of the profile.
///
/// # Errors
///
/// [`Error::Usage`] for a name that is neither.
pub fn tests_named(
    contract: &Contract,
    names: &[String],
    profile: Profile,
) -> Result<Vec<Test>, Error> {
    if names.is_empty() {
        return Ok(Test::of_profile(profile));
    }
    let is_meant =
        |test: Test, name: &str| test.name() == name || test.figures(contract).contains(&name);
    for name in names {
        if !Test::ALL.iter().any(|test| is_meant(*test, name)) {
            let known: Vec<&str> = Test::ALL.iter().map(|test| test.name()).collect();
            return Err(Error::Usage(format!(
                "expected a load test ({}) or a figure of the contract that load measures, found \
                 `{}`; `dbready load list` shows them",
                known.join(", "),
                name.escape_debug()
            )));
        }
    }
    let meant = |test: &Test| names.iter().any(|name| is_meant(*test, name));
    Ok(Test::ALL.into_iter().filter(meant).collect())
}

/// Runs tests one after the other.
///
/// A test that the server refuses leaves its claims unproven with the server's words; once the run is
/// stopped, the claims that are left say so.
///
/// # Errors
///
/// [`Error::Database`] when the server cannot be reached any more.
pub async fn run(bench: &Bench<'_>, tests: &[Test]) -> Result<Found, Error> {
    let mut found = Found::default();
    let client = pg_session::connect(&bench.config).await?;
    found.machine = Machine::look(&client).await?;
    found.notes.push(found.machine.sentence());
    drop(client);
    for figure in &bench.contract.model.figures {
        if !Test::ALL.iter().any(|test| test.measures(figure)) && is_of(figure, tests) {
            let reason = "dbready has no load test for a figure of this name";
            found.unmeasured(bench.contract, [figure.name.as_str()], reason);
        }
    }
    for test in tests {
        if !bench.server.is_community() && test.needs_community(bench.contract) {
            continue;
        }
        if bench.stopped() {
            found.without(*test, bench.contract, "interrupted before it was measured");
            continue;
        }
        match test.run(bench).await {
            Ok(mut one) => {
                // Half a measurement says nothing, not even against a claim.
                if bench.stopped() {
                    one.evidence.clear();
                    let reason = "interrupted before the measurement was complete";
                    one.without(*test, bench.contract, reason);
                }
                found.add(one);
            }
            Err(Error::Database(error)) if is_refusal(&error) => {
                let reason = format!("the server refused: {error}");
                found.without(*test, bench.contract, &reason);
            }
            Err(error) => return Err(error),
        }
    }
    without_edition(bench, tests, &mut found);
    for phase in &found.phases {
        let held_back = format!("{}: held back by {}", phase.name, phase.activity.bottleneck);
        found.notes.push(held_back);
    }
    Ok(found)
}

/// Whether the server answered, and the answer was no.
fn is_refusal(error: &pg_session::Error) -> bool {
    error.sqlstate().is_some()
}

/// Figures that need another edition than the server's are unproven, whatever else was found.
fn without_edition(bench: &Bench<'_>, tests: &[Test], found: &mut Found) {
    let (contract, server) = (bench.contract, &bench.server);
    for figure in contract.model.figures.iter().filter(|figure| is_of(figure, tests)) {
        if figure.edition == Edition::Community && !server.is_community() {
            let claim = format!("load.{}", figure.name);
            found.evidence.retain(|evidence| evidence.claim != claim);
            let reason = server.without_community();
            found.unmeasured(contract, [figure.name.as_str()], &reason);
        }
    }
}
