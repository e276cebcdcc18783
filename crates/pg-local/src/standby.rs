//! Streaming standbys: a copy of a server that follows it and can take its place.

use std::fs;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::run::output;

impl Cluster {
    /// Makes and starts a server that follows this one and is known to it as `name`. The copy is
    /// temporary, as [`Cluster::temporary`] is.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when `pg_basebackup` fails, [`Error::Start`], [`Error::File`].
    pub fn standby(&self, name: &str) -> Result<Self, Error> {
        let mut standby = Self::unwritten(self)?;
        let mut copy = self.runtime.command("pg_basebackup");
        copy.arg("-D").arg(standby.data()).args(["-X", "stream", "-c", "fast"]);
        copy.args(["-h", &self.host(), "-p", &self.port().to_string(), "-U", "postgres"]);
        copy.env("PGPASSWORD", self.password());
        standby.user.apply(&mut copy);
        copy.current_dir(&standby.folder);
        output(&mut copy)?;
        standby.follow(self, name)?;
        standby.start()?;
        Ok(standby)
    }

    /// Makes this stopped server follow another one from its next start on.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn follow(&self, primary: &Self, name: &str) -> Result<(), Error> {
        let source = format!(
            "host={} port={} user=postgres password={} application_name={name}",
            primary.host(),
            primary.port(),
            primary.password()
        );
        self.configure(&[("primary_conninfo", &source), ("synchronous_standby_names", "")])?;
        let signal = self.data().join("standby.signal");
        fs::write(&signal, []).map_err(Error::file(&signal))?;
        self.user.own(&signal)
    }

    /// Ends the following: the server accepts writes.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when it does not become a primary within a minute.
    pub fn promote(&self) -> Result<(), Error> {
        let promoted = self.run_sql("postgres", "SELECT pg_promote(true, 60)")?;
        if promoted.trim() == "t" {
            return Ok(());
        }
        Err(Error::Program {
            program: "postgres".to_owned(),
            reason: "the standby was not promoted within a minute".to_owned(),
        })
    }
}
