//! Databases for tests, each test with its own, on one server that all test processes share.
//!
//! The server starts with the first test and stops a few seconds after the last process that used
//! it has ended. Users are counted by the kernel: every process holds a shared lock on one file for
//! its life, and a keeper process that gets the exclusive lock knows that nobody is left.
//!
//! Where pg-session keeps its journal of what tests run, a database that is dropped leaves in it which
//! tables were written, by the server's own counters. They begin with the database: what was in the copy
//! from the start does not count. All that was written into it since does, by whatever session, and also
//! where the transaction was rolled back in the end. What was in tables and chunks that were dropped before
//! is not known any more.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::unistd::geteuid;
use pg_session::journal::{self, Change};

use crate::cluster::{Cluster, Profile, running_pid};
use crate::error::Error;
use crate::install::make_folder;
use crate::runtime::Runtime;

/// Waits until no process uses the server, gives newcomers a few seconds, then stops it and removes
/// its folder `$1` while it alone holds the lock.
const KEEPER: &str = r#"
exec 9<"$1/users.lock"
while :; do
    flock -x 9
    flock -u 9
    sleep 5
    if flock -xn 9; then
        pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
        if [ -n "$pid" ] && grep -qF -- "$1/data" "/proc/$pid/cmdline" 2>/dev/null; then
            kill -QUIT "$pid"
            for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
                [ -e "/proc/$pid" ] || break
                sleep 0.1
            done
            kill -KILL "$pid" 2>/dev/null
        fi
        rm -rf "$1"
        exit 0
    fi
done
"#;

const WRITTEN: &str = include_str!("testing_written.sql");

/// A database of a test's own; dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
}

impl TestDatabase {
    /// An empty database without any extension.
    ///
    /// # Errors
    ///
    /// As [`Runtime::locate_or_install`] and [`Cluster::temporary`].
    pub fn empty() -> Result<Self, Error> {
        Self::create("template0")
    }

    /// An empty database with the `timescaledb` extension.
    ///
    /// # Errors
    ///
    /// As [`TestDatabase::empty`]; [`Error::Program`] when the server has no `TimescaleDB`.
    pub fn with_timescaledb() -> Result<Self, Error> {
        Self::copy_of("timescaledb", |_| Ok(()))
    }

    /// A copy of a database with `timescaledb` that is prepared once per server and kept under a
    /// name. Whatever the preparation depends on must be part of the name.
    ///
    /// # Errors
    ///
    /// As [`TestDatabase::with_timescaledb`]; [`Error::Usage`] with the words of a failed
    /// preparation.
    pub fn copy_of(
        name: &str,
        prepare: impl FnOnce(&str) -> Result<(), Box<dyn std::error::Error>>,
    ) -> Result<Self, Error> {
        let server = server()?;
        let template = format!("template_{name}");
        let path = server.folder.join(format!("{template}.lock"));
        let lock = File::create(&path).map_err(Error::file(&path))?;
        lock.lock().map_err(Error::file(&path))?;
        let question = format!(
            "SELECT count(*) FROM pg_database WHERE datname = '{template}' AND datistemplate"
        );
        if server.cluster.run_sql("postgres", &question)?.trim() == "0" {
            server.make_template(&template, prepare)?;
        }
        drop(lock);
        Self::create(&template)
    }

    fn create(template: &str) -> Result<Self, Error> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let server = server()?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!(
            "test_{}_{}_{}",
            std::process::id(),
            COUNTER.fetch_add(1, Ordering::Relaxed),
            since.subsec_nanos()
        );
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        // A background worker may still be leaving the template.
        let mut tries = 0;
        while let Err(error) = server.cluster.run_sql("postgres", &create) {
            tries += 1;
            if tries == 20 {
                return Err(error);
            }
            sleep(Duration::from_millis(100));
        }
        let url = server.cluster.url(&name);
        Ok(Self { name, url })
    }

    /// URL of the database, as its superuser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Name of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL through psql and gives its output, unaligned and without headers.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] with psql's last words.
    pub fn run_sql(&self, sql: &str) -> Result<String, Error> {
        server()?.cluster.run_sql(&self.name, sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if journal::is_kept()
            && let Err(error) = self.note_written()
        {
            eprintln!("{}: what was written cannot be told: {error}", self.name);
        }
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) = server().and_then(|server| server.cluster.run_sql("postgres", &drop)) {
            eprintln!("{}: {error}", self.name);
        }
    }
}

impl TestDatabase {
    /// Notes in pg-session's journal which tables were written.
    fn note_written(&self) -> Result<(), Error> {
        // A session adds to the counters at its end. What one that does not end in time has written counts
        // as not written.
        let end = format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        );
        let server = server()?;
        server.cluster.run_sql("postgres", &end)?;
        let written = server.cluster.run_sql(&self.name, WRITTEN)?;
        let tables: Vec<(String, String, [u64; 3])> = serde_json::from_str(&written)
            .map_err(|error| Error::Usage(format!("{written}: {error}")))?;
        for (schema, table, rows) in tables {
            for (change, rows) in
                [Change::Insert, Change::Update, Change::Delete].into_iter().zip(rows)
            {
                journal::wrote(change, &schema, &table, rows);
            }
        }
        Ok(())
    }
}

/// The server as one process sees it.
struct Shared {
    folder: PathBuf,
    cluster: Cluster,
    /// Held for the life of the process.
    _user: File,
}

impl Shared {
    fn make_template(
        &self,
        template: &str,
        prepare: impl FnOnce(&str) -> Result<(), Box<dyn std::error::Error>>,
    ) -> Result<(), Error> {
        let run = |database: &str, sql: &str| self.cluster.run_sql(database, sql);
        run("postgres", &format!("DROP DATABASE IF EXISTS {template} WITH (FORCE)"))?;
        run("postgres", &format!("CREATE DATABASE {template} TEMPLATE template0"))?;
        run(template, "CREATE EXTENSION timescaledb")?;
        prepare(&self.cluster.url(template))
            .map_err(|error| Error::Usage(format!("{template}: {error}")))?;
        // Nobody may be connected to the database that is copied, and TimescaleDB's workers would.
        run("postgres", &format!("ALTER DATABASE {template} ALLOW_CONNECTIONS false"))?;
        run(
            "postgres",
            &format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{template}'"
            ),
        )?;
        run("postgres", &format!("ALTER DATABASE {template} IS_TEMPLATE true"))?;
        Ok(())
    }
}

/// The shared server, started by whoever comes first.
fn server() -> Result<&'static Shared, Error> {
    static SERVER: OnceLock<Shared> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(server) = SERVER.get() {
        return Ok(server);
    }
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = SERVER.get() {
        return Ok(server);
    }
    let server = attach()?;
    Ok(SERVER.get_or_init(|| server))
}

fn attach() -> Result<Shared, Error> {
    let runtime = Runtime::locate_or_install(&|_| ())?;
    // Servers of different installations stand side by side.
    let bin = runtime.bin().display().to_string();
    let key = bin.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let folder = std::env::temp_dir().join(format!("dbready-tests-{}-{key:08x}", geteuid()));
    let user = enter(&folder)?;
    let path = folder.join("start.lock");
    let start = File::create(&path).map_err(Error::file(&path))?;
    start.lock().map_err(Error::file(&path))?;
    let state = folder.join("server");
    let running = running_pid(&folder.join("data")).and_then(|_| read_state(&state));
    let cluster = if let Some((port, password)) = running {
        Cluster::existing(&runtime, &folder, port, password)?
    } else {
        remove_if_there(&folder.join("data"))?;
        remove_if_there(&state)?;
        let mut cluster = Cluster::create(&runtime, &folder, Profile::Fast, None)?;
        // To drop a database the server waits for every login under way, also for that of a test which
        // stands still while it drops its own.
        cluster.configure(&[("authentication_timeout", "10s")])?;
        cluster.start()?;
        let port = cluster.port();
        let text = format!("{port} {}\n", cluster.password());
        write_private(&state, &text)?;
        let password = cluster.password().to_owned();
        cluster.leave();
        Cluster::existing(&runtime, &folder, port, password)?
    };
    post_keeper(&folder)?;
    Ok(Shared { folder, cluster, _user: user })
}

/// Registers this process as a user of the folder, which the keeper may be about to remove.
fn enter(folder: &Path) -> Result<File, Error> {
    loop {
        make_folder(folder)?;
        let path = folder.join("users.lock");
        let Ok(file) = File::options().create(true).append(true).open(&path) else {
            // Removed between two steps of ours; a folder that cannot be made fails above.
            sleep(Duration::from_millis(20));
            continue;
        };
        file.lock_shared().map_err(Error::file(&path))?;
        let same = |one: fs::Metadata, other: fs::Metadata| one.ino() == other.ino();
        if let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(&path))
            && same(ours, there)
        {
            return Ok(file);
        }
    }
}

/// Starts the keeper unless one is on duty.
fn post_keeper(folder: &Path) -> Result<(), Error> {
    let path = folder.join("keeper");
    let on_duty = fs::read_to_string(&path).ok().and_then(|pid| {
        let command = fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).ok()?;
        command.contains(folder.to_str()?).then_some(())
    });
    if on_duty.is_some() {
        return Ok(());
    }
    let mut command = Command::new("sh");
    command.arg("-c").arg(KEEPER).arg("dbready-test-keeper").arg(folder);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let keeper = command
        .process_group(0)
        .spawn()
        .map_err(|error| Error::Program { program: "sh".to_owned(), reason: error.to_string() })?;
    fs::write(&path, keeper.id().to_string()).map_err(Error::file(&path))
}

/// Port and password of a server that stays.
pub(crate) fn read_state(path: &Path) -> Option<(u16, String)> {
    let text = fs::read_to_string(path).ok()?;
    let (port, password) = text.trim().split_once(' ')?;
    Some((port.parse().ok()?, password.to_owned()))
}

/// Writes a file that only we can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Error::file(path))
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), Error> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { path: path.to_path_buf(), source: error })
        }
        _ => Ok(()),
    }
}
