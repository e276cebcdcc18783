//! One PostgreSQL server with a data folder of its own.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Error, last_words};
use crate::guard::Guard;
use crate::room::Room;
use crate::run::{ServerUser, output, without_secrets};
use crate::runtime::Runtime;

/// Longest time for a server to come up; recovery after a crash may take a while.
const START: Duration = Duration::from_mins(1);
/// Longest time for each way of stopping before the next harder one.
const STOP: Duration = Duration::from_secs(20);
/// Ports tried before giving up.
const PORTS: usize = 5;
/// The superuser of every local server.
pub(crate) const SUPERUSER: &str = "postgres";

/// What a server promises about its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What PostgreSQL promises: an acknowledged commit survives a crash.
    Durable,
    /// No promise: nothing waits for the disk. For tests that are not about durability.
    Fast,
}

/// How to stop a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are ended and the data folder is left clean.
    Fast,
    /// Processes end at once; the next start recovers.
    Immediate,
}

/// A server that this program owns. Dropping it stops the server; a temporary one leaves nothing.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) runtime: Runtime,
    pub(crate) user: ServerUser,
    port: u16,
    password: String,
    process: Option<Child>,
    /// Present for temporary clusters.
    guard: Option<Guard>,
    /// The namespaces that it runs in, when it has its own.
    room: Option<Arc<Room>>,
}

impl Cluster {
    /// Makes and starts a server in a temporary folder. When this program ends in whatever way, a
    /// guard process stops the server and removes the folder.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when initdb fails, [`Error::Start`] when the server does not come up,
    /// [`Error::File`].
    pub fn temporary(runtime: &Runtime, profile: Profile) -> Result<Self, Error> {
        let (folder, guard) = temporary_folder()?;
        let mut cluster = Self::create(runtime, &folder, profile, Some(guard))?;
        cluster.start()?;
        Ok(cluster)
    }

    /// Makes a durable server as [`Cluster::temporary`] does, which runs in namespaces of its own,
    /// without starting it.
    ///
    /// # Errors
    ///
    /// As [`Cluster::temporary`].
    pub fn in_room(runtime: &Runtime, room: Arc<Room>) -> Result<Self, Error> {
        let (folder, guard) = temporary_folder()?;
        let mut cluster = Self::create(runtime, &folder, Profile::Durable, Some(guard))?;
        if let Some(address) = room.address() {
            cluster.listen_on(address)?;
        }
        cluster.room = Some(room);
        Ok(cluster)
    }

    /// A server in a temporary folder whose data another program is to write, as a copy of
    /// `primary`, whose password it has.
    pub(crate) fn unwritten(primary: &Self) -> Result<Self, Error> {
        let (folder, guard) = temporary_folder()?;
        let cluster = Self {
            folder,
            runtime: primary.runtime.clone(),
            user: primary.user,
            port: 0,
            password: primary.password.clone(),
            process: None,
            guard: Some(guard),
            room: None,
        };
        cluster.user.own(&cluster.folder)?;
        Ok(cluster)
    }

    /// Makes the data folder in `folder`, without starting the server.
    pub(crate) fn create(
        runtime: &Runtime,
        folder: &Path,
        profile: Profile,
        guard: Option<Guard>,
    ) -> Result<Self, Error> {
        let user = ServerUser::current()?;
        let cluster = Self {
            folder: folder.to_path_buf(),
            runtime: runtime.clone(),
            user,
            port: 0,
            password: random_word()?,
            process: None,
            guard,
            room: None,
        };
        user.own(folder)?;
        let secret = folder.join("password");
        fs::write(&secret, &cluster.password).map_err(Error::file(&secret))?;
        fs::set_permissions(&secret, Permissions::from_mode(0o600))
            .map_err(Error::file(&secret))?;
        user.own(&secret)?;
        let mut initdb = runtime.command("initdb");
        initdb.arg("-D").arg(cluster.data()).arg("--pwfile").arg(&secret);
        initdb.args(["-U", SUPERUSER, "-A", "scram-sha-256", "--no-locale", "-E", "UTF8", "-N"]);
        user.apply(&mut initdb);
        // The guard knows it by its place.
        initdb.current_dir(folder);
        output(&mut initdb)?;
        fs::remove_file(&secret).map_err(Error::file(&secret))?;
        let settings = cluster.data().join("postgresql.auto.conf");
        let text = settings_text(profile, runtime.timescaledb().is_some());
        fs::write(&settings, text).map_err(Error::file(&settings))?;
        Ok(cluster)
    }

    /// Takes over a cluster whose data folder exists.
    pub(crate) fn existing(
        runtime: &Runtime,
        folder: &Path,
        port: u16,
        password: String,
    ) -> Result<Self, Error> {
        Ok(Self {
            folder: folder.to_path_buf(),
            runtime: runtime.clone(),
            user: ServerUser::current()?,
            port,
            password,
            process: None,
            guard: None,
            room: None,
        })
    }

    /// Starts the server and waits until it answers. Does nothing when it runs.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] with the end of its log.
    pub fn start(&mut self) -> Result<(), Error> {
        if self.pid().is_some() {
            return Ok(());
        }
        let mut tries = 0;
        loop {
            if self.port == 0 {
                self.port = free_port()?;
            }
            match self.start_once() {
                Ok(()) => return Ok(()),
                // Somebody took the port between our look and the server's.
                Err(_) if tries < PORTS && !is_free(self.port) => {
                    tries += 1;
                    self.port = 0;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn start_once(&mut self) -> Result<(), Error> {
        let log_path = self.folder.join("log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(Error::file(&log_path))?;
        let errors = log.try_clone().map_err(Error::file(&log_path))?;
        let mut command = match &self.room {
            Some(room) => room.command(&self.runtime, "postgres", self.user, &self.folder),
            None => self.runtime.command("postgres"),
        };
        command.arg("-D").arg(self.data()).arg("-c").arg(format!("port={}", self.port));
        command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(log).stderr(errors);
        without_secrets(&mut command);
        // Its own group: a Ctrl-C on the terminal is meant for us, and we stop it in order.
        command.process_group(0);
        if self.room.is_none() {
            self.user.apply(&mut command);
        }
        command.current_dir(&self.folder);
        let mut process = command.spawn().map_err(|error| Error::Program {
            program: "postgres".to_owned(),
            reason: error.to_string(),
        })?;
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = process.try_wait() {
                return Err(self.not_started(&format!("{status}: {}", self.log_end())));
            }
            if self.is_ready(process.id()) {
                self.process = Some(process);
                return Ok(());
            }
            if started.elapsed() > START {
                let _ = process.kill();
                let _ = process.wait();
                let reason = format!("no answer within {START:?}: {}", self.log_end());
                return Err(self.not_started(&reason));
            }
            sleep(Duration::from_millis(10));
        }
    }

    fn not_started(&self, reason: &str) -> Error {
        Error::Start { folder: self.folder.clone(), reason: reason.to_owned() }
    }

    /// Whether the server of this process number accepts connections, by its own lock file: the
    /// first line is the process, the eighth its state.
    fn is_ready(&self, process: u32) -> bool {
        let Ok(text) = fs::read_to_string(self.data().join("postmaster.pid")) else { return false };
        let mut lines = text.lines();
        let is_ours = lines.next().is_some_and(|line| line.trim() == process.to_string());
        is_ours && lines.nth(6).is_some_and(|line| line.trim() == "ready")
    }

    /// Stops the server in order, and by force when it does not stop. Does nothing when it is
    /// stopped.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] never; [`Error::Program`] when the process cannot be signalled.
    pub fn stop(&mut self, how: Shutdown) -> Result<(), Error> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let first = match how {
            Shutdown::Fast => Signal::SIGINT,
            Shutdown::Immediate => Signal::SIGQUIT,
        };
        for signal in [first, Signal::SIGQUIT, Signal::SIGKILL] {
            send(pid, signal)?;
            let sent = Instant::now();
            while sent.elapsed() < STOP {
                if self.is_gone(pid) {
                    self.process = None;
                    return Ok(());
                }
                sleep(Duration::from_millis(5));
            }
        }
        Err(Error::Program {
            program: "postgres".to_owned(),
            reason: format!("process {pid} does not end"),
        })
    }

    /// Kills the server's main process, as a crash of the machine's would, and waits until the others
    /// have noticed and ended: until then the data folder is taken.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when the server does not run, cannot be signalled or leaves processes.
    pub fn kill(&mut self) -> Result<(), Error> {
        let pid = self.running()?;
        send(pid, Signal::SIGKILL)?;
        while !self.is_gone(pid) {
            sleep(Duration::from_millis(2));
        }
        self.process = None;
        let killed = Instant::now();
        while killed.elapsed() < STOP {
            if !is_inhabited(&self.data()) {
                return Ok(());
            }
            sleep(Duration::from_millis(5));
        }
        Err(Error::Program {
            program: "postgres".to_owned(),
            reason: format!("processes of the killed server {pid} do not end"),
        })
    }

    /// Freezes the server's main process: connections in progress go on, new ones hang.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when the server does not run or cannot be signalled.
    pub fn pause(&self) -> Result<(), Error> {
        send(self.running()?, Signal::SIGSTOP)
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when the server does not run or cannot be signalled.
    pub fn resume(&self) -> Result<(), Error> {
        send(self.running()?, Signal::SIGCONT)
    }

    pub(crate) fn running(&self) -> Result<Pid, Error> {
        self.pid().ok_or_else(|| Error::Program {
            program: "postgres".to_owned(),
            reason: format!("the server in {} does not run", self.folder.display()),
        })
    }

    /// The process number of the server, when it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.pid().and_then(|pid| u32::try_from(pid.as_raw()).ok())
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        running_pid(&self.data())
    }

    /// Whether our own child has been waited for; true when there is none.
    pub(crate) fn reap(&mut self) -> bool {
        let runs = self.process.as_mut().is_some_and(|one| matches!(one.try_wait(), Ok(None)));
        if !runs {
            self.process = None;
        }
        !runs
    }

    /// Lets the server listen on an address of its own, to whoever knows the password.
    fn listen_on(&self, address: Ipv4Addr) -> Result<(), Error> {
        self.configure(&[("listen_addresses", &address.to_string())])?;
        self.allow_first("host all all 169.254.0.0/16 scram-sha-256")
    }

    /// Whether a process has ended; our own child must be waited for, or it stays as a zombie.
    fn is_gone(&mut self, pid: Pid) -> bool {
        match &mut self.process {
            Some(process) => matches!(process.try_wait(), Ok(Some(_)) | Err(_)),
            None => kill(pid, None) == Err(Errno::ESRCH),
        }
    }

    /// URL of a database, with the superuser's password. It is a secret.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let (password, host, port) = (&self.password, self.host(), self.port);
        format!("postgres://{SUPERUSER}:{password}@{host}:{port}/{database}")
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn host(&self) -> String {
        let address = self.room.as_ref().and_then(|room| room.address());
        address.map_or_else(|| "127.0.0.1".to_owned(), |address| address.to_string())
    }

    /// Port at [`Cluster::host`]; zero before the first start.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// The superuser's password. It is a secret.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The folder that holds data, log and all else of this server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The end of the server's log on one line.
    #[must_use]
    pub fn log_end(&self) -> String {
        last_words(&fs::read_to_string(self.folder.join("log")).unwrap_or_default())
    }

    /// A psql command for a database of this server, with the password in its environment.
    #[must_use]
    pub fn psql(&self, database: &str) -> Command {
        let mut command = self.runtime.command("psql");
        command.arg("-X").env("PGHOST", self.host()).env("PGPORT", self.port.to_string());
        command.env("PGUSER", SUPERUSER).env("PGPASSWORD", &self.password);
        command.env("PGDATABASE", database);
        command
    }

    /// A command for pgbench that logs in as psql does, and names no database.
    #[must_use]
    pub fn pgbench(&self) -> Command {
        let mut command = self.runtime.command("pgbench");
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", SUPERUSER).env("PGPASSWORD", &self.password);
        command
    }

    /// Runs SQL through psql and gives its output, unaligned and without headers.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] with psql's last words.
    pub fn run_sql(&self, database: &str, sql: &str) -> Result<String, Error> {
        let mut command = self.psql(database);
        output(command.args(["-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]))
    }

    /// Leaves the server running and its folder in place when this value is dropped.
    pub(crate) fn leave(mut self) {
        // Its parent ends with this program, and the system takes the child over.
        self.process = None;
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let is_temporary = self.guard.is_some();
        if self.process.is_some() || is_temporary {
            let how = if is_temporary { Shutdown::Immediate } else { Shutdown::Fast };
            if let Err(error) = self.stop(how) {
                tracing::error!("{error}");
                // The guard tries again when its pipe ends.
                return;
            }
        }
        if let Some(guard) = self.guard.take() {
            match fs::remove_dir_all(&self.folder) {
                Ok(()) => guard.dismiss(),
                Err(error) => tracing::warn!("{}: {error}", self.folder.display()),
            }
        }
    }
}

/// The process number of the server that runs on a data folder.
///
/// The number in the lock file may be that of another process by now, so its command line must name
/// the folder.
pub(crate) fn running_pid(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    command.contains(data.to_str()?).then(|| Pid::from_raw(pid))
}

/// Whether a process works in the folder, as every process of a server does in its data folder.
fn is_inhabited(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut places = processes.filter_map(|one| fs::read_link(one.path().join("cwd")).ok());
    places.any(|place| place == folder)
}

pub(crate) fn send(pid: Pid, signal: Signal) -> Result<(), Error> {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(Error::Program {
            program: "postgres".to_owned(),
            reason: format!("cannot send {signal} to process {pid}: {error}"),
        }),
    }
}

/// A port of the loopback address that nobody listens on.
pub(crate) fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0));
    let port = listener.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| Error::Program {
        program: "postgres".to_owned(),
        reason: format!("the loopback address has no free port: {error}"),
    })
}

/// Whether nobody listens on a port of the loopback address.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// A new folder for a temporary server, and the guard over it.
fn temporary_folder() -> Result<(PathBuf, Guard), Error> {
    let place = std::env::temp_dir();
    let place = std::path::absolute(&place).map_err(Error::file(&place))?;
    let folder = place.join(format!("dbready-{}", random_word()?));
    // The guard comes first: there is no moment at which the folder would stay behind.
    let guard = Guard::post(&folder, &[&folder], None)?;
    if let Err(error) = DirBuilder::new().mode(0o700).create(&folder) {
        // Whatever is there is not ours.
        guard.dismiss();
        return Err(Error::file(&folder)(error));
    }
    Ok((folder, guard))
}

/// A password of 128 random bits in hexadecimal.
fn random_word() -> Result<String, Error> {
    let mut bytes = [0; 16];
    let source = "/dev/urandom";
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(Error::file(source))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

fn settings_text(profile: Profile, timescaledb: bool) -> String {
    let mut text = String::from(
        "# Written when the cluster was made.\n\
         listen_addresses = '127.0.0.1'\n\
         unix_socket_directories = ''\n\
         max_connections = 100\n\
         shared_buffers = '256MB'\n\
         max_wal_size = '4GB'\n\
         max_locks_per_transaction = 256\n\
         max_worker_processes = 40\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         jit = off\n",
    );
    if timescaledb {
        text.push_str(
            "shared_preload_libraries = 'timescaledb'\n\
             timescaledb.telemetry_level = off\n\
             timescaledb.max_background_workers = 24\n",
        );
    }
    if profile == Profile::Fast {
        text.push_str("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n");
    }
    text
}
