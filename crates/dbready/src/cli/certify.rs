//! `dbready certify`: the whole package, on a managed local server or on a server given.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use dbready::claim::Producer;
use dbready::contract::Contract;
use dbready::drill;
use dbready::evidence::Evidence;
use dbready::load::artifacts::Origin;
use dbready::load::{Found, Test, Writes, drift};
use dbready::report::Certificate;
use dbready::score::{Scope, Tally};
use dbready::scratch::{self, Scratch};
use dbready::verdict::judge_all;
use dbready::{Error, catalog, nulls, run, seed};
use pg_local::Cluster;
use pg_session::Config;

use super::managed::{self, Data};
use super::options::{ContractArgs, Profile, ReportArgs};
use super::output::Delivery;
use super::screen::Screen;
use super::stop::Stop;
use super::suppress::SuppressArgs;
use super::{Exit, Terminal, load};

const EXAMPLES: &str = "\
Examples:
  dbready certify                                on a managed local server
  dbready certify --profile quick --format json  JSON on standard output
  dbready certify --drills                       with the failure drills
  dbready certify --url postgres://…             a server of your own, only read
  dbready certify --sign-key release.key         signed; report verify --key release.pub

Without --url a private PostgreSQL 17 with TimescaleDB is installed (once), started, migrated, filled \
with the contract's data, examined, put under load and stopped. Exit codes: 0 all required claims proven, 1 some \
refuted or unproven, 2 wrong usage or contract, 3 the environment failed.";

/// The whole package, on a managed local server or on --url: the main job.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CertifyArgs {
    #[command(flatten)]
    contract: ContractArgs,

    /// A server of your own instead of a managed one; it is only read.
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// How much data the managed server gets, and how long load is measured.
    #[arg(long, value_enum, default_value_t = Profile::Quick, conflicts_with = "url")]
    profile: Profile,

    /// Number that the data are made from; the same number gives the same data.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "url")]
    seed: i64,

    /// Also run the failure drills on servers of their own: two or three minutes more.
    #[arg(long, conflicts_with = "url")]
    drills: bool,

    #[command(flatten)]
    suppress: SuppressArgs,
    #[command(flatten)]
    report: ReportArgs,
}

impl CertifyArgs {
    /// A run for another command, which delivers the certificate itself.
    pub(crate) fn new(contract: ContractArgs, url: Option<String>, profile: Profile) -> Self {
        let (suppress, report) = (SuppressArgs::default(), ReportArgs::default());
        Self { contract, url, profile, seed: 1, drills: false, suppress, report }
    }
}

pub(crate) async fn run(mut args: CertifyArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let contract = args.contract.load()?;
    args.report.out.get_or_insert_with(|| PathBuf::from("dbready-report"));
    let suppressions = args.suppress.load()?;
    let delivery = Delivery::prepare(&args.report)?;
    let certificate = Box::pin(measure(&args, &contract, terminal)).await?;
    let certificate = suppressions.apply(certificate)?;
    delivery.deliver(&certificate, terminal)
}

/// Examines the server that the arguments name.
pub(crate) async fn measure(
    args: &CertifyArgs,
    contract: &Contract,
    terminal: &Terminal,
) -> Result<Certificate, Error> {
    let screen = terminal.screen();
    let started_at = dbready::run::now();
    let mut notes = Vec::new();
    let outcome = if let Some(url) = &args.url {
        notes.push(
            "the server was only read, not put under load; `dbready load --url` does that"
                .to_owned(),
        );
        let outcome = gather(&Config::resolve(Some(url))?, contract, &screen).await;
        outcome.map(|mut gathered| {
            let reason = "rows are changed to show it, which is not done on --url";
            gathered.evidence.extend(nulls::not_run(contract, reason));
            tell_areas(contract, &gathered, Producer::Check, &screen);
            gathered
        })
    } else {
        notes.push(format!(
            "the server was a managed one, with data of the profile `{}` from seed {}",
            args.profile.word(),
            args.seed
        ));
        let data = Data { profile: args.profile.seed(), seed: args.seed };
        let work = async |config: Config, server: &Cluster| {
            let mut gathered = gather(&config, contract, &screen).await?;
            screen.doing("running the queries on rows with nulls wherever allowed");
            let admin = Config::from_url(&server.url("postgres"))?;
            // What was examined is copied, where that is as little as a scratch database needs.
            let examined = (args.profile == Profile::Quick).then_some(&config);
            gathered.evidence.extend(on_adversarial_rows(admin, examined, contract).await?);
            tell_areas(contract, &gathered, Producer::Check, &screen);
            let found = under_load(config, server, args, contract, &screen).await?;
            notes.extend(found.notes.iter().cloned());
            let origin = Origin {
                started_at: &started_at,
                profile: args.profile.word(),
                seed: load_seed(args),
                server: &gathered.server,
            };
            load::keep(&found, origin, &args.report)?;
            gathered.add(&found);
            tell_areas(contract, &gathered, Producer::Load, &screen);
            Ok(gathered)
        };
        let outcome = managed::with(contract, data, &screen, work).await;
        match outcome {
            Ok(gathered) if args.drills => drilled(gathered, args, contract, &screen).await,
            outcome => outcome,
        }
    };
    screen.clear();
    let occasion = run::Occasion {
        command: "certify".to_owned(),
        profile: args.url.is_none().then(|| args.profile.word().to_owned()),
        started_at,
        finished_at: dbready::run::now(),
        notes,
    };
    let claims = run::plan(contract);
    Ok(run::certificate(contract, claims, Scope::Whole, outcome?, occasion))
}

/// Adds what the drills of the profile observe, on servers of their own.
async fn drilled(
    mut gathered: run::Gathered,
    args: &CertifyArgs,
    contract: &Contract,
    screen: &Screen,
) -> Result<run::Gathered, Error> {
    let options = drill::Options {
        thorough: args.profile != Profile::Quick,
        repeat: None,
        seed: args.seed.unsigned_abs(),
        client: super::drill::CLIENT,
    };
    let mut drills = drill::all();
    drills.retain(|drill| drill.quick || options.thorough);
    let drilled = super::drill::perform(contract, &drills, &options, screen).await?;
    if let Some(folder) = &args.report.out {
        super::drill::write_records(folder, &drilled)?;
    }
    gathered.add(&drilled);
    tell_areas(contract, &gathered, Producer::Drill, screen);
    Ok(gathered)
}

/// Says of each area of a producer that is done how many of its claims are proven.
fn tell_areas(contract: &Contract, gathered: &run::Gathered, producer: Producer, screen: &Screen) {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for claim in run::plan(contract).iter().filter(|claim| claim.producer == producer) {
        let mine = gathered.evidence.iter().filter(|one| one.claim == claim.id);
        let judged = judge_all(claim, &mine.cloned().collect::<Vec<_>>());
        tallies.entry(claim.area.clone()).or_default().add(judged.status);
    }
    for area in &contract.model.score.areas {
        if let Some(tally) = tallies.get(&area.name) {
            let refuted = match tally.refuted {
                0 => String::new(),
                n => format!(", {n} refuted"),
            };
            let (proven, total) = (tally.proven, tally.total());
            screen.done(&format!("  {:<26} {proven} of {total} proven{refuted}", area.title));
        }
    }
}

/// Nullability of results, shown on a scratch database beside the one that was examined: a copy of it,
/// or one that is built.
async fn on_adversarial_rows(
    admin: Config,
    examined: Option<&Config>,
    contract: &Contract,
) -> Result<Vec<Evidence>, Error> {
    let mut scratch = Scratch::on(admin);
    let config = if let Some(examined) = examined {
        scratch.copy(examined, "nulls").await?
    } else {
        let config = scratch.create("nulls", contract).await?;
        scratch::build(&config, contract, seed::Profile::Quick).await?;
        config
    };
    let mut client = pg_session::connect(&config).await?;
    let evidence = nulls::examine(&mut client, contract).await?;
    drop(client);
    scratch.close().await?;
    Ok(evidence)
}

/// Everything that can be observed on a live database without writing to it.
async fn gather(
    config: &Config,
    contract: &Contract,
    screen: &Screen,
) -> Result<run::Gathered, Error> {
    let mut client = pg_session::connect(config).await?;
    let options = catalog::Options { address: config.address(), ..catalog::Options::default() };
    screen.doing("examining schema, queries and data");
    let mut gathered = run::check(&mut client, contract, &options).await?;
    screen.doing("measuring the catalog snapshot");
    gathered.add(&drift::measure(&mut client, contract, &options).await?);
    Ok(gathered)
}

/// The load tests of the profile, without the snapshot, which was timed on the idle server.
async fn under_load(
    config: Config,
    server: &Cluster,
    args: &CertifyArgs,
    contract: &Contract,
    screen: &Screen,
) -> Result<Found, Error> {
    let mut tests = Test::of_profile(args.profile.load());
    tests.retain(|test| *test != Test::Drift);
    let course = load::Course {
        contract,
        tests: &tests,
        profile: args.profile,
        seed: load_seed(args),
        screen,
        // A signal drops the whole command.
        stop: &Stop::default(),
    };
    let pgbench = Some(load::pgbench(server));
    course.measure(config, Writes::Anywhere, pgbench).await.map(|(_, found)| found)
}

/// The seed of arrivals and parameters.
fn load_seed(args: &CertifyArgs) -> u64 {
    args.seed.unsigned_abs()
}
