//! Making one connection, within one deadline.

use std::future::poll_fn;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage};

use crate::config::{Config, Credentials, Host, Server, SslMode, TargetSession};
use crate::error::{Class, Error, LoginFailure, Phase, ServerError, io_source};
use crate::lineage::{Descent, Lineage, Primary, QUESTION};
use crate::random::shuffle;
use crate::text::one_line;
use crate::tls::{self, Connector};

/// Connects as `config` says and drives the connection on the current tokio
/// runtime. The connection ends when the client is dropped.
///
/// Every address of every host is tried in turn, each with its share of the
/// time that is left. A server that refuses the login ends the search.
///
/// # Errors
/// [`Error::Resolve`], [`Error::Connect`], [`Error::ConnectTimeout`],
/// [`Error::Handshake`], [`Error::Tls`], [`Error::Authentication`],
/// [`Error::DatabaseMissing`], [`Error::Refused`], [`Error::WrongServer`] for the
/// address tried last; [`Error::Config`] when a certificate file cannot be used.
pub async fn connect(config: &Config) -> Result<Client, Error> {
    let deadline = Instant::now() + config.connect_timeout;
    let connector = Connector::new(config)?;
    let credentials = config.credentials(None);
    // Boxed, to keep the futures of callers small.
    Ok(Box::pin(open(config, &connector, &credentials, None, deadline)).await?.client)
}

/// An open connection.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) said: Said,
    /// Ends when the connection has ended.
    pub(crate) task: JoinHandle<()>,
    /// Where it leads to a primary that is one of several servers.
    pub(crate) descent: Option<Descent>,
}

/// What the server said unasked.
#[derive(Clone, Default)]
pub(crate) struct Said(Arc<SaidState>);

#[derive(Default)]
struct SaidState {
    last_words: Mutex<Option<ServerError>>,
    unreplicated: AtomicU64,
}

impl Said {
    /// The last report with which the server ended, or announced to end, the
    /// session. A crashing server sends it as a notice, which the driver drops.
    pub(crate) fn last_words(&self) -> Option<ServerError> {
        self.0.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many commits gave up waiting for their synchronous standby.
    pub(crate) fn unreplicated(&self) -> u64 {
        self.0.unreplicated.load(Ordering::Acquire)
    }

    fn hear(&self, report: ServerError) {
        if report.sqlstate() == "01000" && report.routine() == Some("SyncRepWaitForLSN") {
            self.0.unreplicated.fetch_add(1, Ordering::AcqRel);
        } else if report.sqlstate().starts_with("57P") || report.is_fatal() {
            *self.0.last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
        }
    }
}

/// Connects to the first server that will do, until `deadline`. A primary must fit
/// into the `lineage`, where there is one.
pub(crate) async fn open(
    config: &Config,
    connector: &Connector,
    credentials: &Credentials,
    lineage: Option<&Arc<Lineage>>,
    deadline: Instant,
) -> Result<Link, Error> {
    let passes: &[TargetSession] = match config.target_session {
        TargetSession::PreferStandby => &[TargetSession::Standby, TargetSession::Any],
        _ => std::slice::from_ref(&config.target_session),
    };
    let mut last = None;
    for (at, wanted) in passes.iter().enumerate() {
        let search = Search { config, connector, credentials, lineage, deadline, wanted: *wanted };
        match search.run(passes.len() - at).await {
            Ok(link) => return Ok(link),
            Err(error @ (Error::Authentication { .. } | Error::DatabaseMissing { .. })) => {
                return Err(error);
            }
            Err(error) => keep(&mut last, error),
        }
    }
    Err(last.unwrap_or_else(|| Error::Config("no host to connect to".to_owned())))
}

/// One pass over all servers.
struct Search<'a> {
    config: &'a Config,
    connector: &'a Connector,
    credentials: &'a Credentials,
    lineage: Option<&'a Arc<Lineage>>,
    deadline: Instant,
    wanted: TargetSession,
}

/// One address of one server.
struct Target<'a> {
    server: &'a Server,
    address: Option<IpAddr>,
}

impl Search<'_> {
    async fn run(&self, passes_left: usize) -> Result<Link, Error> {
        let mut servers: Vec<&Server> = self.config.servers.iter().collect();
        if self.config.shuffle_hosts {
            shuffle(&mut servers);
        }
        let mut last = None;
        let count = servers.len();
        for (at, server) in servers.into_iter().enumerate() {
            let share = self.share((count - at) * passes_left);
            let targets = match self.addresses(server, share).await {
                Ok(targets) => targets,
                Err(error) => {
                    keep(&mut last, error);
                    continue;
                }
            };
            let rest = (count - at - 1) * passes_left;
            let tries = targets.len();
            for (tried, target) in targets.into_iter().enumerate() {
                let share = self.share(rest + tries - tried);
                match self.attempt(&target, share).await {
                    Ok(link) => return Ok(link),
                    Err(error) if ends_search(&error) => return Err(error),
                    Err(error) => keep(&mut last, error),
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::Config("no host to connect to".to_owned())))
    }

    /// The end of this attempt when `left` attempts share what time there is.
    fn share(&self, left: usize) -> Instant {
        let now = Instant::now();
        let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
        now + self.deadline.saturating_duration_since(now) / left
    }

    async fn addresses<'s>(
        &self,
        server: &'s Server,
        until: Instant,
    ) -> Result<Vec<Target<'s>>, Error> {
        let name = match (&server.host, server.hostaddr) {
            (_, Some(address)) => return Ok(vec![Target { server, address: Some(address) }]),
            (Host::Unix(_), None) => return Ok(vec![Target { server, address: None }]),
            (Host::Tcp(name), None) => name,
        };
        let unresolved = |reason: &str| Error::Resolve {
            host: one_line(name, 80),
            reason: one_line(reason, 80),
        };
        let found = timeout_at(until, tokio::net::lookup_host((name.as_str(), server.port)))
            .await
            .map_err(|_| self.timed_out(server, Phase::Resolve))?
            .map_err(|error| unresolved(&error.to_string()))?;
        let mut targets: Vec<Target<'s>> =
            found.map(|found| Target { server, address: Some(found.ip()) }).collect();
        if self.config.shuffle_hosts {
            shuffle(&mut targets);
        }
        if targets.is_empty() { Err(unresolved("no address")) } else { Ok(targets) }
    }

    async fn attempt(&self, target: &Target<'_>, until: Instant) -> Result<Link, Error> {
        let connector = self.connector.for_attempt();
        connector.enter(Phase::Network);
        let settings = self.settings(target);
        let steps = async {
            let (client, connection) = settings
                .connect(connector.clone())
                .await
                .map_err(|error| self.explain(target, connector.phase(), &error))?;
            let (said, task) = drive(connection);
            connector.enter(Phase::Inspection);
            if fits(&client, self.wanted).await? {
                let descent = self.descent(target.server, &client).await?;
                // Not a start-up parameter, since the choice of the server looks at it.
                if self.config.read_only {
                    client.batch_execute("SET default_transaction_read_only = on").await?;
                }
                Ok(Link { client, said, task, descent })
            } else {
                Err(Error::WrongServer {
                    address: self.address(target.server),
                    wanted: self.config.target_session.name(),
                })
            }
        };
        match timeout_at(until, steps).await {
            Ok(result) => result,
            Err(_) => Err(self.timed_out(target.server, connector.phase())),
        }
    }

    /// What a primary follows; none for a standby, and where nothing is to be followed.
    async fn descent(&self, server: &Server, client: &Client) -> Result<Option<Descent>, Error> {
        let Some(lineage) = self.lineage else { return Ok(None) };
        let messages = client.simple_query(QUESTION).await?;
        let primary = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Primary::read(row),
            _ => None,
        });
        let Some(primary) = primary else { return Ok(None) };
        lineage.accept(primary).map(Some).map_err(|divergence| {
            let error = Error::Diverged { address: self.address(server), divergence };
            tracing::warn!("{error}");
            error
        })
    }

    /// The driver's settings for one address.
    fn settings(&self, target: &Target<'_>) -> tokio_postgres::Config {
        let config = self.config;
        let mut settings = tokio_postgres::Config::new();
        settings
            .user(&config.user)
            .dbname(&config.dbname)
            .application_name(config.session_name())
            .port(target.server.port)
            .channel_binding(config.channel_binding)
            .keepalives(config.keepalive.enabled)
            .keepalives_idle(config.keepalive.idle)
            .keepalives_interval(config.keepalive.interval)
            .keepalives_retries(config.keepalive.count)
            .tcp_user_timeout(config.keepalive.user_timeout)
            // For cancel requests, which the driver makes with a connection of their own.
            .connect_timeout(config.connect_timeout);
        if let Some(password) = self.credentials.password_for(config, target.server) {
            settings.password(password.expose());
        }
        if let Some(options) = &config.options {
            settings.options(options.as_str());
        }
        let mut mode = match config.ssl_mode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                tokio_postgres::config::SslMode::Require
            }
        };
        match &target.server.host {
            Host::Unix(dir) => {
                settings.host_path(PathBuf::from(dir));
                mode = tokio_postgres::config::SslMode::Disable;
            }
            Host::Tcp(name) => {
                settings.host(name.as_str());
                if let Some(address) = target.address {
                    settings.hostaddr(address);
                }
                if config.ssl_direct {
                    settings.ssl_negotiation(tokio_postgres::config::SslNegotiation::Direct);
                }
            }
        }
        settings.ssl_mode(mode);
        settings
    }

    fn address(&self, server: &Server) -> String {
        format!("{server}/{}", one_line(&self.config.dbname, 63))
    }

    fn timed_out(&self, server: &Server, phase: Phase) -> Error {
        Error::ConnectTimeout {
            address: server.to_string(),
            phase,
            after: self.config.connect_timeout,
        }
    }

    /// Decides by the phase that was reached, then by what kind of error came.
    fn explain(&self, target: &Target<'_>, phase: Phase, error: &tokio_postgres::Error) -> Error {
        let server = target.server;
        if let Some(report) = error.as_db_error() {
            return self.refused(server, report);
        }
        let io = io_source(error);
        let on_socket = matches!(server.host, Host::Unix(_));
        let plain = on_socket || self.config.ssl_mode == SslMode::Disable;
        match (phase, io) {
            (Phase::Resolve | Phase::Network, Some(io)) => Error::Connect {
                address: server.to_string(),
                kind: io.kind(),
                reason: io.to_string(),
            },
            // In TLS 1.3 the server judges the client's certificate after the handshake.
            (_, Some(io)) if phase == Phase::TlsHandshake || tls::is_tls(io) => Error::Tls {
                address: server.to_string(),
                reason: tls::explain(io, &server.host.to_string()),
            },
            (Phase::TlsRequest, None) if !plain && !error.is_closed() && self.demands_tls() => {
                Error::Tls {
                    address: server.to_string(),
                    reason: "the server does not offer TLS and sslmode demands it — set ssl=on there, or use sslmode=prefer on a trusted network".to_owned(),
                }
            }
            (_, io) if io.is_some() || error.is_closed() => {
                Error::Handshake { address: server.to_string(), phase }
            }
            _ => self.login_failed(server, error),
        }
    }

    fn demands_tls(&self) -> bool {
        !matches!(self.config.ssl_mode, SslMode::Disable | SslMode::Prefer)
    }

    /// The driver gave up authentication on its own account. Without a password
    /// at hand that is what it lacks.
    fn login_failed(&self, server: &Server, error: &tokio_postgres::Error) -> Error {
        let failure = if self.credentials.password_for(self.config, server).is_none() {
            LoginFailure::PasswordMissing
        } else {
            let source = std::error::Error::source(error).map(ToString::to_string);
            LoginFailure::Method(one_line(&source.unwrap_or_else(|| error.to_string()), 120))
        };
        self.authentication(server, failure)
    }

    fn refused(&self, server: &Server, report: &tokio_postgres::error::DbError) -> Error {
        let code = report.code();
        let report = Box::new(ServerError::from(report));
        if *code == SqlState::INVALID_PASSWORD {
            self.authentication(server, LoginFailure::Password)
        } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
            self.authentication(server, LoginFailure::Refused(report))
        } else if *code == SqlState::INVALID_CATALOG_NAME {
            Error::DatabaseMissing {
                address: server.to_string(),
                database: one_line(&self.config.dbname, 63),
            }
        } else {
            Error::Refused { address: self.address(server), server: report }
        }
    }

    fn authentication(&self, server: &Server, failure: LoginFailure) -> Error {
        Error::Authentication {
            address: self.address(server),
            role: one_line(&self.config.user, 63),
            failure,
        }
    }
}

/// Keeps what is to be told of a search: the last error, unless an earlier one calls
/// for somebody to act.
fn keep(last: &mut Option<Error>, error: Error) {
    let passing = |error: &Error| {
        let class = matches!(error.class(), Class::Connect | Class::Unavailable | Class::Lost);
        class && !matches!(error, Error::Diverged { .. })
    };
    if last.as_ref().is_none_or(passing) {
        *last = Some(error);
    }
}

/// Whether another server could not do better, as libpq decides it: a server
/// that answers and refuses ends the search, unless it is starting or stopping.
fn ends_search(error: &Error) -> bool {
    match error {
        Error::Authentication { .. } | Error::DatabaseMissing { .. } => true,
        Error::Refused { server, .. } => server.sqlstate() != "57P03",
        _ => false,
    }
}

/// Drives the connection until it ends, keeping what the server says unasked.
fn drive<T>(
    mut connection: tokio_postgres::Connection<tokio_postgres::Socket, T>,
) -> (Said, JoinHandle<()>)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let said = Said::default();
    let heard = said.clone();
    let task = tokio::spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) => {
                    let notice = ServerError::from(&notice);
                    tracing::debug!(sqlstate = notice.sqlstate(), "server notice: {notice}");
                    heard.hear(notice);
                }
                Ok(_) => {}
                Err(error) => {
                    if let Some(report) = error.as_db_error() {
                        heard.hear(ServerError::from(report));
                    }
                    tracing::debug!(%error, "connection ended");
                    break;
                }
            }
        }
    });
    (said, task)
}

/// Whether the server is of the kind that is wanted.
async fn fits(client: &Client, wanted: TargetSession) -> Result<bool, Error> {
    let (query, answer) = match wanted {
        TargetSession::Any | TargetSession::PreferStandby => return Ok(true),
        TargetSession::ReadWrite => ("SHOW transaction_read_only", "off"),
        TargetSession::ReadOnly => ("SHOW transaction_read_only", "on"),
        TargetSession::Primary => ("SELECT pg_catalog.pg_is_in_recovery()", "f"),
        TargetSession::Standby => ("SELECT pg_catalog.pg_is_in_recovery()", "t"),
    };
    let messages = client.simple_query(query).await?;
    Ok(messages.iter().any(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0) == Some(answer),
        _ => false,
    }))
}
