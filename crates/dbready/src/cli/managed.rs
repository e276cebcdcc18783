//! The managed server of one command: started for it, and stopped with it.

use dbready::Error;
use pg_local::{Cluster, Profile, Runtime};

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
