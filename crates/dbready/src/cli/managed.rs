//! The managed server of one command: started for it, and stopped with it.

use dbready::contract::Contract;
use dbready::sql::quote_ident;
use dbready::{Error, migrate, seed};
use pg_local::{Cluster, Profile, Runtime};
use pg_session::Config;

use super::screen::Screen;

/// Starts a server of our own, with the private runtime installed first where it is missing.
pub(crate) async fn start(profile: Profile, screen: &Screen) -> Result<Cluster, Error> {
    let steps = screen.clone();
    blocking(move || {
        let runtime = Runtime::locate_or_install(&|step| steps.step(&step))?;
        steps.doing("starting a server");
        let cluster = Cluster::temporary(&runtime, profile)?;
        steps.done(&format!("started PostgreSQL {} on port {}", runtime.version(), cluster.port()));
        Ok(cluster)
    })
    .await
}

/// What data a managed server gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data {
    /// How much.
    pub(crate) profile: seed::Profile,
    /// The number that it is made from.
    pub(crate) seed: i64,
}

/// Starts a durable server, fills the contract's database on it, works with it and stops the server,
/// whatever came of the work.
pub(crate) async fn with<T>(
    contract: &Contract,
    data: Data,
    screen: &Screen,
    work: impl AsyncFnOnce(Config, &Cluster) -> Result<T, Error>,
) -> Result<T, Error> {
    let cluster = start(Profile::Durable, screen).await?;
    let outcome = match fill(contract, data, screen, &cluster).await {
        Ok(config) => work(config, &cluster).await,
        Err(error) => Err(error),
    };
    stop(cluster, screen).await?;
    outcome
}

/// Makes the contract's database and fills it; gives its address.
async fn fill(
    contract: &Contract,
    data: Data,
    screen: &Screen,
    cluster: &Cluster,
) -> Result<Config, Error> {
    let name = contract.model.service.name.replace('-', "_");
    let admin = Config::from_url(&cluster.url("postgres"))?;
    let client = pg_session::connect(&admin).await?;
    client.batch_execute(&format!("CREATE DATABASE {}", quote_ident(&name))).await?;
    let config = admin.with_dbname(&name).default_application_name("dbready");
    let mut client = pg_session::connect(&config).await?;
    for extension in &contract.model.server.extensions {
        let create = format!("CREATE EXTENSION IF NOT EXISTS {}", quote_ident(&extension.name));
        client.batch_execute(&create).await?;
    }
    screen.doing("migrating");
    let options = migrate::Options::default();
    migrate::up(&mut client, contract, None, &options, &|line| screen.done(line)).await?;
    if contract.seed_sql.is_some() {
        screen.doing(&format!("filling it with data ({})", data.profile.word()));
        seed::seed(&mut client, contract, data.profile, data.seed).await?;
    }
    Ok(config)
}

/// Stops it.
pub(crate) async fn stop(cluster: Cluster, screen: &Screen) -> Result<(), Error> {
    screen.doing("stopping the server");
    blocking(move || {
        drop(cluster);
        Ok(())
    })
    .await
}

/// Runs blocking work off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Error::Interrupted(error.to_string())),
    }
}
