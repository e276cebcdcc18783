//! Where the server is, who logs in, and how safely.

mod credentials;
mod meaning;
mod pgpass;
mod settings;
mod url;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use self::credentials::Credentials;
use self::meaning::{
    SOCKET_DIRS, channel_binding, client_cert, is_utf8_name, keepalive, servers, system_home,
    system_user, tls_settings,
};
use self::settings::Settings;
use crate::text::one_line;
use crate::{Error, Secret};

/// The default of [`Config::connect_timeout`].
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How the connection is protected. Unix sockets never use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server offers it, its certificate not verified: protects
    /// against neither eavesdroppers who interfere nor impostors.
    Prefer,
    /// TLS or nothing, the certificate not verified: an impostor is not noticed.
    /// When `sslrootcert` is given it means [`SslMode::VerifyCa`], as in libpq.
    Require,
    /// TLS; the certificate must be signed by a given authority.
    VerifyCa,
    /// TLS; the certificate must be signed by a given authority and be for the
    /// host that was asked for. The default when `sslrootcert` is given.
    VerifyFull,
}

/// The certificate authorities that may vouch for the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCert {
    /// Those of the operating system (`sslrootcert=system`).
    System,
    /// Those in this PEM file.
    File(PathBuf),
}

/// A client certificate and its key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCert {
    /// The certificate, followed by its intermediate certificates.
    pub certificate: PathBuf,
    /// The private key. Others must not be able to read the file.
    pub key: PathBuf,
}

/// Which servers will do, when several are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSession {
    /// The first that answers.
    Any,
    /// One whose transactions may write by default.
    ReadWrite,
    /// One whose transactions may not write by default.
    ReadOnly,
    /// One that is not a standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby if there is one, else any.
    PreferStandby,
}

impl TargetSession {
    const CHOICES: &[(&str, Self)] = &[
        ("any", Self::Any),
        ("read-write", Self::ReadWrite),
        ("read-only", Self::ReadOnly),
        ("primary", Self::Primary),
        ("standby", Self::Standby),
        ("prefer-standby", Self::PreferStandby),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::CHOICES.iter().find(|(_, value)| *value == self).map_or("any", |(name, _)| name)
    }
}

/// How the network connection is watched. Both are needed: probes notice a
/// vanished peer while an answer is awaited, the user timeout notices it while
/// data waits to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    pub(crate) enabled: bool,
    pub(crate) idle: Duration,
    pub(crate) interval: Duration,
    pub(crate) count: u32,
    pub(crate) user_timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            enabled: true,
            idle: Duration::from_secs(15),
            interval: Duration::from_secs(5),
            count: 3,
            user_timeout: Duration::from_secs(30),
        }
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A host name or IP address.
    Tcp(String),
    /// The directory of the server's socket.
    Unix(PathBuf),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name) if name.contains(':') => write!(f, "[{}]", one_line(name, 80)),
            Self::Tcp(name) => f.write_str(&one_line(name, 80)),
            Self::Unix(path) => f.write_str(&one_line(&path.to_string_lossy(), 80)),
        }
    }
}

/// One of the servers that a configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) host: Host,
    /// The address to use instead of looking the host's name up.
    pub(crate) hostaddr: Option<IpAddr>,
    pub(crate) port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Everything needed to connect. `Debug` and `Display` show no password.
///
/// Made from a URL ([`Config::from_url`]) or, as `psql` would, from a URL, the
/// `PG*` variables and the password file ([`Config::resolve`]). Settings have
/// libpq's names and meaning, with these differences: an unknown or unsupported
/// setting is an error, `connect_timeout` covers everything from the name
/// look-up to the end of authentication and defaults to 5 s, and `sslrootcert`
/// without `sslmode` means `verify-full`. A password file is read anew for each
/// connection, so that one that is replaced counts from the next connection on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub(crate) servers: Vec<Server>,
    pub(crate) user: String,
    password: Option<Secret>,
    /// The password file to ask where no password is given.
    passfile: Option<PathBuf>,
    pub(crate) dbname: String,
    application_name: Option<String>,
    default_application_name: String,
    pub(crate) options: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_direct: bool,
    pub(crate) ssl_root: Option<RootCert>,
    pub(crate) ssl_client: Option<ClientCert>,
    pub(crate) channel_binding: tokio_postgres::config::ChannelBinding,
    pub(crate) target_session: TargetSession,
    pub(crate) shuffle_hosts: bool,
    pub(crate) keepalive: Keepalive,
    /// Whether its sessions refuse writes, whatever kind of server they lead to.
    pub(crate) read_only: bool,
}

impl Config {
    /// Reads a `postgres://` or `postgresql://` URL and nothing else, but for the
    /// operating-system user's name where the URL names no user, and the password
    /// file that it names by `passfile`.
    ///
    /// # Errors
    /// [`Error::Config`] says which part is wrong, without repeating it.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let mut settings = Settings::default();
        url::read(url, &mut settings)?;
        Self::build(&settings, &|_| None, false)
    }

    /// Takes settings by libpq's names and nothing else, but for the
    /// operating-system user's name where no `user` is given, and the password file
    /// that `passfile` names.
    ///
    /// ```
    /// let config = pg_session::Config::from_settings([
    ///     ("host", "db1,db2"),
    ///     ("dbname", "signals"),
    ///     ("user", "writer"),
    ///     ("target_session_attrs", "read-write"),
    /// ])?;
    /// assert_eq!(config.address(), "db1:5432,db2:5432/signals");
    /// # Ok::<(), pg_session::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] says which setting is unknown, doubled or wrong.
    pub fn from_settings<'a>(
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let mut settings = Settings::default();
        for (name, value) in given {
            settings.state(name, value)?;
        }
        Self::build(&settings, &|_| None, false)
    }

    /// The configuration for a command: `url` if given, else `DATABASE_URL`;
    /// what that leaves open from the `PG*` variables, then libpq's defaults;
    /// the password, if none is given, from the password file.
    ///
    /// # Errors
    /// [`Error::Config`] says which setting is wrong and where it came from.
    pub fn resolve(url: Option<&str>) -> Result<Self, Error> {
        Self::resolve_from(url, &|name| std::env::var(name).ok())
    }

    /// [`Config::resolve`] with a given environment.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn resolve_from(
        url: Option<&str>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let from_env = || env("DATABASE_URL").filter(|url| !url.is_empty());
        let mut settings = Settings::default();
        if let Some(url) = url.map(str::to_owned).or_else(from_env) {
            url::read(&url, &mut settings)?;
        }
        settings.fill_from(env)?;
        Self::build(&settings, env, true)
    }

    fn build(
        settings: &Settings,
        env: &dyn Fn(&str) -> Option<String>,
        use_default_passfile: bool,
    ) -> Result<Self, Error> {
        let user = match settings.get("user") {
            Some(user) => user.to_owned(),
            None => system_user()?,
        };
        let dbname = settings.get("dbname").unwrap_or(&user).to_owned();
        let servers = servers(settings)?;
        let home = || env("HOME").map(PathBuf::from).or_else(system_home);
        let default_passfile = || home().map(|home| home.join(".pgpass"));
        let passfile = match settings.get("passfile") {
            Some(file) => Some(PathBuf::from(file)),
            None if use_default_passfile => default_passfile(),
            None => None,
        };

        let (ssl_mode, ssl_root) = tls_settings(settings, home)?;
        let ssl_direct = settings
            .choice("sslnegotiation", &[("postgres", false), ("direct", true)])?
            .unwrap_or(false);
        if ssl_direct && matches!(ssl_mode, SslMode::Disable | SslMode::Prefer) {
            return Err(settings.wrong("sslnegotiation", "needs sslmode=require or stronger"));
        }
        if !settings.get("client_encoding").is_none_or(is_utf8_name) {
            return Err(settings.wrong("client_encoding", "is not UTF8, the only one supported"));
        }
        settings.choice("gssencmode", &[("disable", ()), ("prefer", ())])?;

        Ok(Self {
            servers,
            user,
            password: settings.get("password").map(Secret::from),
            passfile,
            dbname,
            application_name: settings.get("application_name").map(str::to_owned),
            default_application_name: settings
                .get("fallback_application_name")
                .unwrap_or(env!("CARGO_PKG_NAME"))
                .to_owned(),
            options: settings.get("options").map(str::to_owned),
            connect_timeout: settings
                .number("connect_timeout", 1..=86_400, "seconds")?
                .map_or(CONNECT_TIMEOUT, |seconds| Duration::from_secs(seconds.into())),
            ssl_mode,
            ssl_direct,
            ssl_root,
            ssl_client: client_cert(settings)?,
            channel_binding: channel_binding(settings)?,
            target_session: settings
                .choice("target_session_attrs", TargetSession::CHOICES)?
                .unwrap_or(TargetSession::Any),
            shuffle_hosts: settings
                .choice("load_balance_hosts", &[("disable", false), ("random", true)])?
                .unwrap_or(false),
            keepalive: keepalive(settings)?,
            read_only: false,
        })
    }

    /// `host:port/database`, every host where several are named; no user and no
    /// password.
    #[must_use]
    pub fn address(&self) -> String {
        let servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        format!("{}/{}", servers.join(","), one_line(&self.dbname, 63))
    }

    /// The role that logs in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database.
    #[must_use]
    pub fn dbname(&self) -> &str {
        &self.dbname
    }

    /// Uses another database of the same server.
    #[must_use]
    pub fn with_dbname(mut self, dbname: impl Into<String>) -> Self {
        self.dbname = dbname.into();
        self
    }

    /// Logs in as another role. The password of the first role is forgotten; where
    /// none is given for the other, the password file is asked, if there is one.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>, password: Option<Secret>) -> Self {
        self.user = user.into();
        self.password = password;
        self
    }

    /// The name that the server shows for the session, whatever URL and
    /// environment say.
    #[must_use]
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = Some(name.into());
        self
    }

    /// The name that the server shows where neither URL nor environment give one.
    #[must_use]
    pub fn default_application_name(mut self, name: impl Into<String>) -> Self {
        self.default_application_name = name.into();
        self
    }

    /// The time for everything from the name look-up to the end of
    /// authentication, over all hosts.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The kind of server to use where several are named, whatever URL and
    /// environment say.
    #[must_use]
    pub fn target_session(mut self, target: TargetSession) -> Self {
        self.target_session = target;
        self
    }

    /// Sets a server parameter for the session, whatever URL and environment say.
    /// Values may hold any character but a zero byte.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        self.options = Some(match self.options.take() {
            Some(options) => format!("{options} {}", option(name, value)),
            None => option(name, value),
        });
        self
    }

    /// Sets a server parameter for the session unless URL or environment set it.
    #[must_use]
    pub(crate) fn with_default_parameter(mut self, name: &str, value: &str) -> Self {
        self.options = Some(match self.options.take() {
            Some(options) => format!("{} {options}", option(name, value)),
            None => option(name, value),
        });
        self
    }

    pub(crate) fn session_name(&self) -> &str {
        self.application_name.as_deref().unwrap_or(&self.default_application_name)
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address())
    }
}

impl Server {
    /// The names under which a password file may know the server.
    fn names(&self) -> Vec<String> {
        match &self.host {
            Host::Tcp(name) => vec![name.clone()],
            Host::Unix(dir) => {
                let mut names = vec![dir.to_string_lossy().into_owned()];
                if SOCKET_DIRS.iter().any(|known| Path::new(known) == dir) {
                    names.push("localhost".to_owned());
                }
                names
            }
        }
    }
}

/// One setting in the form of the server's command-line options.
fn option(name: &str, value: &str) -> String {
    let mut option = String::from("-c ");
    for c in name.chars().chain(['=']).chain(value.chars()) {
        if c == '\\' || c.is_ascii_whitespace() {
            option.push('\\');
        }
        option.push(c);
    }
    option
}

#[cfg(test)]
mod tests;
