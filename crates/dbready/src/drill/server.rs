//! The disposable servers that drills break. They are made here, so that no drill can reach another.

use std::sync::{Arc, Mutex, PoisonError};

use pg_local::{Cluster, Runtime};
use pg_session::Config;

use crate::Error;

/// A server that the drills own.
#[derive(Debug, Clone)]
pub(crate) struct Server(Arc<Mutex<Cluster>>);

impl Server {
    /// A new durable server of the usual kind.
    pub(crate) async fn start(runtime: &Runtime) -> Result<Self, Error> {
        let runtime = runtime.clone();
        Self::make(move || {
            let cluster = Cluster::temporary(&runtime, pg_local::Profile::Durable)?;
            // After a crash the file system is flushed as a whole: seconds faster than file by file.
            cluster.configure(&[("recovery_init_sync_method", "syncfs")])?;
            Ok(cluster)
        })
        .await
    }

    /// A server that `make` makes.
    pub(crate) async fn make(
        make: impl FnOnce() -> Result<Cluster, pg_local::Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let cluster = blocking(make).await?;
        Ok(Self(Arc::new(Mutex::new(cluster))))
    }

    /// Does something to the server, off the runtime's threads.
    pub(crate) async fn act<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Cluster) -> Result<T, pg_local::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let cluster = Arc::clone(&self.0);
        blocking(move || work(&mut cluster.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// Tells something about the server.
    pub(crate) fn tell<T>(&self, look: impl FnOnce(&Cluster) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How the layer and the examiner reach a database of the server.
    pub(crate) fn config(&self, database: &str) -> Result<Config, Error> {
        Ok(Config::from_url(&self.tell(|cluster| cluster.url(database)))?)
    }

    /// Sees that the server runs; starts it when it does not.
    pub(crate) async fn revive(&self) -> Result<(), Error> {
        self.act(Cluster::start).await
    }

    /// The server's log from a byte on.
    pub(crate) fn log_since(&self, from: usize) -> Result<String, Error> {
        let log = self.tell(Cluster::log)?;
        Ok(log.get(from..).unwrap_or_default().to_owned())
    }

    /// How long the server's log is.
    pub(crate) fn log_length(&self) -> Result<usize, Error> {
        Ok(self.tell(Cluster::log)?.len())
    }
}

/// Runs blocking work off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, pg_local::Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => Ok(outcome?),
        Err(error) => Err(Error::Interrupted(error.to_string())),
    }
}
