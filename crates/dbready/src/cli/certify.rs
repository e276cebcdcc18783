//! `dbready certify`: the whole package, on a managed local server or on a server given.

use std::path::PathBuf;

use clap::Args;
use dbready::contract::Contract;
use dbready::evidence::Evidence;
use dbready::load::drift;
use dbready::score::Scope;
use dbready::scratch::{self, Scratch};
use dbready::sql::quote_ident;
use dbready::{Error, catalog, migrate, nulls, run, seed};
use pg_local::Cluster;
use pg_session::Config;

use super::options::{ContractArgs, Profile, ReportArgs};
use super::output::{deliver, prepare};
use super::screen::Screen;
use super::suppress::SuppressArgs;
use super::{Exit, Terminal, managed};

const EXAMPLES: &str = "\
Examples:
  dbready certify                                  on a managed local server, report in dbready-report
  dbready certify --profile quick --format json    one JSON document on standard output
  dbready certify --url postgres://…               on a server of your own, which is only read

Without --url a private PostgreSQL 17 with TimescaleDB is installed (once), started, migrated, filled
with the contract's data, examined and stopped. Exit codes: 0 all required claims proven, 1 some
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

    /// How much data the managed server gets.
    #[arg(long, value_enum, default_value_t = Profile::Quick, conflicts_with = "url")]
    profile: Profile,

    /// Number that the data are made from; the same number gives the same data.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "url")]
    seed: i64,

    #[command(flatten)]
    suppress: SuppressArgs,
    #[command(flatten)]
    report: ReportArgs,
}

pub(crate) async fn run(mut args: CertifyArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let contract = args.contract.load()?;
    args.report.out.get_or_insert_with(|| PathBuf::from("dbready-report"));
    let suppressions = args.suppress.load()?;
    prepare(&args.report)?;
    let screen = terminal.screen();
    let started_at = super::now();
    let mut notes = Vec::new();
    let outcome = if let Some(url) = &args.url {
        let outcome = gather(&Config::resolve(Some(url))?, &contract, &screen).await;
        outcome.map(|mut gathered| {
            let reason = "rows are changed to show it, which is not done on --url";
            gathered.evidence.extend(nulls::not_run(&contract, reason));
            gathered
        })
    } else {
        notes.push(format!(
            "the server was a managed one, with data of the profile `{}` from seed {}",
            args.profile.word(),
            args.seed
        ));
        on_managed_server(&args, &contract, &screen).await
    };
    screen.clear();
    let occasion = run::Occasion {
        command: "certify".to_owned(),
        profile: args.url.is_none().then(|| args.profile.word().to_owned()),
        started_at,
        finished_at: super::now(),
        notes,
    };
    let claims = run::plan(&contract);
    let certificate = run::certificate(&contract, claims, Scope::Whole, outcome?, occasion);
    let certificate = suppressions.apply(certificate)?;
    deliver(&certificate, &args.report, terminal.color)
}

/// Starts a server, fills it, looks at it and stops it.
async fn on_managed_server(
    args: &CertifyArgs,
    contract: &Contract,
    screen: &Screen,
) -> Result<run::Gathered, Error> {
    let cluster = managed::start(pg_local::Profile::Durable, screen).await?;
    let outcome = fill_and_gather(args, contract, screen, &cluster).await;
    managed::stop(cluster, screen).await?;
    outcome
}

async fn fill_and_gather(
    args: &CertifyArgs,
    contract: &Contract,
    screen: &Screen,
    cluster: &Cluster,
) -> Result<run::Gathered, Error> {
    let name = contract.model.service.name.replace('-', "_");
    let admin = Config::from_url(&cluster.url("postgres"))?;
    let client = pg_session::connect(&admin).await?;
    client.batch_execute(&format!("CREATE DATABASE {}", quote_ident(&name))).await?;
    let config = admin.clone().with_dbname(&name).default_application_name("dbready");
    let mut client = pg_session::connect(&config).await?;
    for extension in &contract.model.server.extensions {
        let create = format!("CREATE EXTENSION IF NOT EXISTS {}", quote_ident(&extension.name));
        client.batch_execute(&create).await?;
    }
    screen.doing("migrating");
    let options = migrate::Options::default();
    migrate::up(&mut client, contract, None, &options, &|line| screen.done(line)).await?;
    if contract.seed_sql.is_some() {
        screen.doing(&format!("filling it with data ({})", args.profile.word()));
        seed::seed(&mut client, contract, args.profile.seed(), args.seed).await?;
    }
    drop(client);
    let mut gathered = gather(&config, contract, screen).await?;
    screen.doing("running the queries on rows with nulls wherever allowed");
    gathered.evidence.extend(on_adversarial_rows(admin, contract).await?);
    Ok(gathered)
}

/// Nullability of results, shown on a scratch database beside the one that was examined.
async fn on_adversarial_rows(admin: Config, contract: &Contract) -> Result<Vec<Evidence>, Error> {
    let mut scratch = Scratch::on(admin);
    let config = scratch.create("nulls", contract).await?;
    scratch::build(&config, contract).await?;
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
    gathered.evidence.extend(drift::measure(&mut client, contract, &options).await?);
    Ok(gathered)
}
