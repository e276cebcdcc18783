//! Running the program, and what holds for every run of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use pg_local::Runtime;
use pg_local::testing::TestDatabase;
use serde_json::Value;
use tempfile::TempDir;

/// A password that no output may hold.
pub(crate) const CANARY: &str = "canary-Xq7-password";

/// How one run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Number that the process had.
    pub(crate) process: u32,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with an environment in which nothing leads to a server, and with backtraces on.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dbready"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let leads = name.starts_with("PG") || name.starts_with("DBREADY_");
        if leads
            || ["DATABASE_URL", "NO_COLOR", "CLICOLOR_FORCE", "GITHUB_STEP_SUMMARY"]
                .contains(&name.as_str())
        {
            command.env_remove(&name);
        }
    }
    command.env("HOME", "/nonexistent").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    command
}

/// Runs the program with these arguments.
pub(crate) fn dbready(args: &[&str]) -> Ran {
    run(program().args(args))
}

/// Runs a command to its end and demands what holds for every run.
pub(crate) fn run(command: &mut Command) -> Ran {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = child.id();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output in UTF-8");
    let ran = Ran {
        process,
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    ran.is_decent();
    ran
}

impl Ran {
    /// No panic, no backtrace, no password, and no control characters off a terminal.
    fn is_decent(&self) {
        for text in [&self.stdout, &self.stderr] {
            for word in [CANARY, "panicked", "stack backtrace", "RUST_BACKTRACE"] {
                assert!(!text.contains(word), "found `{word}` in\n{self:#?}");
            }
        }
        let is_moving = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!self.stderr.contains(is_moving), "control characters off a terminal\n{self:#?}");
    }

    /// Demands this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Demands one line on standard error that begins with `error: ` and holds all the parts, and
    /// nothing on standard output.
    #[track_caller]
    pub(crate) fn says_in_one_line(self, parts: &[&str]) -> Self {
        let line = self.stderr.strip_suffix('\n').unwrap_or(&self.stderr);
        assert!(line.starts_with("error: ") && !line.contains('\n'), "not one error: {self:#?}");
        assert!(line.chars().count() < 500, "a long line: {self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        self.says(parts)
    }

    /// Demands all the parts on standard error.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "expected `{part}` in {self:#?}");
        }
        self
    }

    /// Demands all the parts on standard output.
    #[track_caller]
    pub(crate) fn prints(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stdout.contains(part), "expected `{part}` in {self:#?}");
        }
        self
    }

    /// Standard output, which must be one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A database in which all migrations of the built-in contract were applied by the program.
pub(crate) fn migrated() -> TestDatabase {
    static DIGEST: OnceLock<String> = OnceLock::new();
    let digest = DIGEST.get_or_init(|| dbready::contract::source::load(None).unwrap().digest);
    let prepare = |url: &str| {
        dbready(&["migrate", "up", "--url", url]).exits(0);
        Ok(())
    };
    TestDatabase::copy_of(&format!("cli_{}", &digest[..16]), prepare).unwrap()
}

/// The URL with other credentials, `user:password`.
pub(crate) fn with_credentials(url: &str, credentials: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    format!("postgres://{credentials}@{rest}")
}

/// The URL with another `host:port`.
pub(crate) fn with_address(url: &str, address: &str) -> String {
    let (credentials, rest) = url.split_once('@').unwrap();
    let (_, database) = rest.split_once('/').unwrap();
    format!("{credentials}@{address}/{database}")
}

/// A role of this test's own with the canary as its password; gives its name.
pub(crate) fn role(database: &TestDatabase, name: &str) -> String {
    let role = format!("{}_{name}", database.name());
    database.run_sql(&format!("CREATE ROLE {role} LOGIN PASSWORD '{CANARY}'")).unwrap();
    role
}

/// A folder that the server's user may enter, for temporary files and clusters.
pub(crate) fn open_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("dbready-cli-").tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The program with clusters and temporary files of its own in `folder`, on the runtime that all
/// tests share.
pub(crate) fn program_in(folder: &Path) -> Command {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::locate_or_install(&|_| ()).unwrap());
    let mut command = program();
    command.env("DBREADY_PG_BIN", runtime.bin());
    command.env("DBREADY_CACHE", folder).env("TMPDIR", folder).current_dir(folder);
    command
}

/// Names of what is in a folder.
pub(crate) fn entries(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.unwrap().file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}
