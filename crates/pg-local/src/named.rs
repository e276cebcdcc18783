//! Clusters that stay: started by one command, used by others, stopped by another.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::cluster::{Cluster, Profile, Shutdown, free_port, is_free};
use crate::error::Error;
use crate::guard::Guard;
use crate::install::make_folder;
use crate::runtime::{Runtime, cache_folder};
use crate::testing::{read_state, remove_if_there, write_private};

/// A cluster with a name, in the cache folder.
#[derive(Debug)]
pub struct Named {
    name: String,
    cluster: Cluster,
}

impl Named {
    /// Starts the cluster of this name, and makes it first when there is none. It stays when this
    /// program ends.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] when the name cannot be one, the port is in use, or the cluster exists with
    /// another port;
    /// [`Error::Start`], [`Error::Program`], [`Error::File`].
    pub fn start(
        runtime: &Runtime,
        name: &str,
        profile: Profile,
        port: Option<u16>,
    ) -> Result<Self, Error> {
        let folder = folder_of(name)?;
        make_folder(&folder)?;
        let path = folder.join("start.lock");
        let lock = File::create(&path).map_err(Error::file(&path))?;
        lock.lock().map_err(Error::file(&path))?;
        let state = folder.join("server");
        // An interrupted start leaves no server behind that no command knows.
        let guard;
        let cluster = if let Some((known, password)) = read_state(&state) {
            if let Some(port) = port.filter(|port| *port != known) {
                return Err(Error::Usage(format!(
                    "the cluster `{name}` has port {known}, not {port}; \
                     remove it first with `dbready local stop --name {name} --remove`"
                )));
            }
            let mut cluster = Cluster::existing(runtime, &folder, known, password)?;
            let is_stopped = cluster.process_id().is_none();
            guard = is_stopped.then(|| Guard::post(&folder, &[], Some(&lock))).transpose()?;
            cluster.start()?;
            cluster
        } else {
            if let Some(port) = port.filter(|port| !is_free(*port)) {
                return Err(Error::Usage(format!(
                    "expected a free port, found {port} in use; choose another, or none for any"
                )));
            }
            // A folder without its last file is what a failed start left behind.
            let data = folder.join("data");
            remove_if_there(&data)?;
            guard = Some(Guard::post(&folder, &[&state, &data], Some(&lock))?);
            let mut cluster = Cluster::create(runtime, &folder, profile, None)?;
            cluster.set_port(port.map_or_else(free_port, Ok)?);
            cluster.start()?;
            cluster
        };
        // The port may have changed when somebody else took it meanwhile.
        write_private(&state, &format!("{} {}\n", cluster.port(), cluster.password()))?;
        let (port, password) = (cluster.port(), cluster.password().to_owned());
        cluster.leave();
        if let Some(guard) = guard {
            guard.dismiss();
        }
        let cluster = Cluster::existing(runtime, &folder, port, password)?;
        Ok(Self { name: name.to_owned(), cluster })
    }

    /// The cluster of this name, running or not; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] when the name cannot be one.
    pub fn find(runtime: &Runtime, name: &str) -> Result<Option<Self>, Error> {
        let folder = folder_of(name)?;
        let Some((port, password)) = read_state(&folder.join("server")) else { return Ok(None) };
        let cluster = Cluster::existing(runtime, &folder, port, password)?;
        Ok(Some(Self { name: name.to_owned(), cluster }))
    }

    /// All clusters, by name.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when their folder cannot be listed.
    pub fn all(runtime: &Runtime) -> Result<Vec<Self>, Error> {
        let folder = clusters_folder()?;
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::File { path: folder, source }),
        };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let found = names.iter().map(|name| Self::find(runtime, name));
        found.filter_map(Result::transpose).collect()
    }

    /// Stops the cluster when it runs, and removes its folder with all data when asked.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when the server does not stop, [`Error::File`].
    pub fn stop(mut self, remove: bool) -> Result<(), Error> {
        self.cluster.stop(Shutdown::Fast)?;
        if remove {
            let folder = self.cluster.folder();
            // First what makes it known: half a data folder must not be started.
            remove_if_there(&folder.join("server"))?;
            fs::remove_dir_all(folder).map_err(Error::file(folder))?;
        }
        Ok(())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster itself.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

fn clusters_folder() -> Result<PathBuf, Error> {
    let cache = cache_folder()?;
    make_folder(&cache)?;
    Ok(cache.join("clusters"))
}

fn folder_of(name: &str) -> Result<PathBuf, Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 40 || !name.chars().all(fits) {
        return Err(Error::Usage(format!(
            "expected a name of letters, digits, `-` and `_`, found `{}`",
            name.escape_debug()
        )));
    }
    Ok(clusters_folder()?.join(name))
}
