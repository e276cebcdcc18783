//! `dbready load`: measured workloads.

mod compare;

use std::fmt::Write;

use clap::{Args, Subcommand};
use dbready::contract::Contract;
use dbready::evidence::ServerFacts;
use dbready::load::artifacts::Origin;
use dbready::load::baseline::Pgbench;
use dbready::load::{self, Bench, Found, Progress, Test, Writes, artifacts};
use dbready::score::Scope;
use dbready::{Error, catalog, run};
use pg_local::Cluster;
use pg_session::Config;
use serde_json::json;

use super::managed::{self, Data};
use super::options::{ContractArgs, Profile, ReportArgs};
use super::output::{Delivery, print, write_whole};
use super::screen::Screen;
use super::stop::Stop;
use super::suppress::SuppressArgs;
use super::{Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  dbready load --profile quick                  every test, under a minute
  dbready load --profile standard --out report  minutes; report in a folder
  dbready load queries                          one test
  dbready load scaling                          cost against connections, parameters, batches and data
  dbready load --url postgres://…               a server of your own, only read
  dbready load --baseline baseline.toml         fail for what is new
  dbready load list --format json
  dbready load compare before after             two runs, second by second
  dbready load compare postgres://… postgres://…  two servers in turns

Arrivals follow a schedule whatever the server does; latency counts from the instant at which an operation \
was due, and failures count as slower than everything. With --url nothing is written unless --allow-writes \
is given, and then only in a schema of the run's own, which is dropped at its end. Ctrl-C ends the run and \
reports what was measured until then. Exit codes: 0 all claims proven or suppressed, \
1 some refuted or unproven, 2 wrong usage or contract, 3 no server.";

const LIST: &str = "\
Examples:
  dbready load list
  dbready load list --contract ./contract --format json";

/// Load tests with the contract's figures as targets.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct LoadArgs {
    #[command(subcommand)]
    action: Option<Action>,

    /// Tests, or figures of the contract [default: all].
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    #[command(flatten)]
    contract: ContractArgs,

    /// A server of your own instead of a managed one; it is only read.
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Write on --url, in a schema of the run's own.
    #[arg(long, requires = "url")]
    allow_writes: bool,

    /// How long and on how much data.
    #[arg(long, value_enum, default_value_t = Profile::Quick)]
    profile: Profile,

    /// Number that data, arrivals and parameters are made from; the same number gives the same ones.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,

    #[command(flatten)]
    suppress: SuppressArgs,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say which load tests there are, and what they measure.
    #[command(after_help = LIST)]
    List {
        #[command(flatten)]
        contract: ContractArgs,
        /// Format: terminal or json.
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// Compare two runs of the same profile and seed, or two servers in turns.
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::CompareArgs),
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ListFormat {
    Terminal,
    Json,
}

pub(crate) async fn run(args: LoadArgs, terminal: &Terminal, stop: &Stop) -> Result<Exit, Error> {
    match &args.action {
        Some(Action::List { contract, format }) => {
            list(&contract.load()?, *format)?;
            return Ok(Exit::Success);
        }
        Some(Action::Compare(args)) => return compare::run(args, terminal, stop).await,
        None => {}
    }
    let contract = args.contract.load()?;
    let tests = load::tests_named(&contract, &args.names, args.profile.load())?;
    let suppressions = args.suppress.load()?;
    let delivery = Delivery::prepare(&args.report)?;
    let screen = terminal.screen();
    let started_at = dbready::run::now();
    let mut notes = vec![format!("arrivals and parameters were made from seed {}", args.seed)];
    let course = Course {
        contract: &contract,
        tests: &tests,
        profile: args.profile,
        seed: args.seed.into(),
        screen: &screen,
        stop,
    };
    let measured = if let Some(url) = &args.url {
        let config = Config::resolve(Some(url))?.default_application_name("dbready");
        let writes = if args.allow_writes { Writes::Scratch } else { Writes::No };
        course.measure(config, writes, None).await
    } else {
        notes.push(format!(
            "the server was a managed one, with data of the profile `{}` from seed {}",
            args.profile.word(),
            args.seed
        ));
        let data = Data { profile: args.profile.seed(), seed: args.seed.into() };
        let work = async |config: Config, server: &Cluster| {
            course.measure(config, Writes::Anywhere, Some(pgbench(server))).await
        };
        managed::with(&contract, data, &screen, work).await
    };
    screen.clear();
    let (server, found) = measured?;
    notes.extend(found.notes.iter().cloned());
    if stop.is_requested() {
        notes.push("the run was interrupted; what was not measured by then is unproven".to_owned());
    }
    let occasion = run::Occasion {
        command: "load".to_owned(),
        profile: Some(args.profile.word().to_owned()),
        started_at,
        finished_at: dbready::run::now(),
        notes,
    };
    let claims = load::plan_of(&contract, &tests);
    let gathered = run::Gathered::of(server.clone(), &found);
    let certificate = run::certificate(&contract, claims, Scope::Part, gathered, occasion);
    let certificate = suppressions.apply(certificate)?;
    let origin = Origin {
        started_at: &certificate.started_at,
        profile: args.profile.word(),
        seed: args.seed.into(),
        server: &server,
    };
    keep(&found, origin, &args.report)?;
    delivery.deliver(&certificate, terminal)
}

/// Writes the artifacts into the folder of the reports, if there is one.
pub(crate) fn keep(found: &Found, origin: Origin<'_>, report: &ReportArgs) -> Result<(), Error> {
    let Some(folder) = &report.out else { return Ok(()) };
    for (name, text) in artifacts::files(found, origin) {
        write_whole(&folder.join(name), &text)?;
    }
    Ok(())
}

/// What a run measures, and who is told.
pub(crate) struct Course<'a> {
    pub(crate) contract: &'a Contract,
    pub(crate) tests: &'a [Test],
    pub(crate) profile: Profile,
    pub(crate) seed: u64,
    pub(crate) screen: &'a Screen,
    pub(crate) stop: &'a Stop,
}

impl Course<'_> {
    pub(crate) async fn measure(
        &self,
        config: Config,
        writes: Writes,
        pgbench: Option<Pgbench>,
    ) -> Result<(ServerFacts, Found), Error> {
        let profile = self.profile.load();
        let bench = Bench {
            contract: self.contract,
            server: catalog::server_facts(&config, self.contract).await?,
            config,
            profile,
            span: profile.span(),
            seed: self.seed,
            writes,
            pgbench,
            stop: self.stop.heed(),
            progress: &|progress| tell(self.screen, progress),
        };
        let found = load::run(&bench, self.tests).await;
        self.stop.ignore();
        Ok((bench.server, found?))
    }
}

/// pgbench of a managed server's installation.
pub(crate) fn pgbench(server: &Cluster) -> Pgbench {
    let command = server.pgbench();
    let environment = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())));
    Pgbench { program: command.get_program().into(), environment: environment.collect() }
}

/// A moving line on a terminal; elsewhere a line for each thing that is done.
fn tell(screen: &Screen, progress: &Progress) {
    if progress.rate.is_none() {
        screen.doing(&progress.doing);
        return;
    }
    let mut line = progress.doing.clone();
    if let Some(rate) = progress.rate {
        let _ = write!(line, ": {rate:.0}/s");
    }
    if let Some(left) = progress.left {
        let _ = write!(line, ", {} s left", left.as_secs());
    }
    screen.passing(&line);
}

fn list(contract: &Contract, format: ListFormat) -> Result<(), Error> {
    match format {
        ListFormat::Json => {
            let list: Vec<_> = Test::ALL
                .into_iter()
                .map(|test| {
                    json!({
                        "name": test.name(),
                        "about": test.about(),
                        "writes": test.writes(),
                        "figures": test.figures(contract),
                    })
                })
                .collect();
            print(&format!("{:#}", serde_json::Value::from(list)))
        }
        ListFormat::Terminal => {
            let mut text = String::new();
            for test in Test::ALL {
                let _ = writeln!(text, "{:<12} {}", test.name(), test.about());
                for figure in &contract.model.figures {
                    if test.figures(contract).contains(&figure.name.as_str()) {
                        let _ = writeln!(text, "{:13}{}: {}", "", figure.name, figure.statement);
                    }
                }
            }
            print(&text)
        }
    }
}
