//! Continuous validation: one loop that looks at a database again and again, and everything that shows
//! what it knows.
//!
//! ```text
//! look ─▶ clauses ─▶ verdict ─▶ state ─▶ dashboard · metrics · webhook
//! catalog ─▶ checks ─▶ certificate ─┘
//! ```
//!
//! Each look is one short read-only transaction with limits on statements and locks, on one connection;
//! while a connection that does not answer is given up, a second one may be opened. A database that
//! goes away is asked again at every interval.

mod clause;
mod look;
mod metrics;
mod page;
mod rules;
mod server;
mod state;
mod webhook;
mod window;

use std::net::SocketAddr;
use std::time::Duration;

use pg_session::{Class, Config, Secret};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_postgres::Client;

use self::clause::Clauses;
use self::look::Look;
pub use self::rules::{GRAFANA, rules};
use self::server::{Desk, router};
use self::state::{Event, Shared, State};
use self::webhook::Webhook;
use crate::contract::Contract;
use crate::report::{Certificate, ContractFacts};
use crate::run::{self, Occasion, now};
use crate::score::Scope;
use crate::{Error, catalog, check};

/// Longest wait for an answer before the database counts as silent; not longer than an interval.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest wait before the connection is given up.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Pause after a refused login: roles get locked by repeated ones.
const REFUSED: Duration = Duration::from_secs(30);
/// How long requests under way may take at the end.
const DRAIN: Duration = Duration::from_secs(2);

/// How a watch behaves.
#[derive(Debug)]
pub struct Options {
    /// Where the dashboard listens.
    pub listen: SocketAddr,
    /// Whether it may listen to other machines.
    pub allow_remote: bool,
    /// Time between two looks.
    pub interval: Duration,
    /// Time between two looks at the catalog; not shorter than `interval`.
    pub drift_interval: Duration,
    /// Processes of the service that have a pool each.
    pub pools: u32,
    /// Where alerts are sent.
    pub webhook: Option<Secret>,
}

/// Watches until `stop` turns true. `started` is told the address of the dashboard, `said` what happens.
///
/// # Errors
///
/// [`Error::Usage`] for an address of other machines without leave, and for a webhook that is no
/// address; [`Error::File`] when the address cannot be listened to. A database that does not answer is
/// no error.
pub async fn run(
    contract: &Contract,
    config: Config,
    options: Options,
    mut stop: watch::Receiver<bool>,
    started: impl FnOnce(SocketAddr) -> Result<(), Error>,
    said: impl Fn(&str),
) -> Result<(), Error> {
    let is_remote = !options.listen.ip().is_loopback();
    if is_remote && !options.allow_remote {
        return Err(Error::Usage(format!(
            "--listen: expected an address of this machine alone, such as 127.0.0.1:9688, found {}: \
             the dashboard has no login and shows the schema; --allow-remote opens it to other \
             machines",
            options.listen
        )));
    }
    let webhook = options.webhook.as_ref().map(Webhook::start).transpose()?;
    let listening = |source| Error::File { path: format!("--listen {}", options.listen), source };
    let listener = TcpListener::bind(options.listen).await.map_err(listening)?;
    let here = listener.local_addr().map_err(listening)?;
    let clauses = Clauses::new(contract, options.interval, options.pools);
    let state = State::new(ContractFacts::from(contract), config.address(), &clauses);
    let shared = Shared::new(state);
    let desk = Desk {
        shared: shared.clone(),
        deliveries: webhook.as_ref().map(Webhook::deliveries),
        interval: options.interval,
        is_remote,
    };
    let mut ending = stop.clone();
    let serving = axum::serve(listener, router(desk)).with_graceful_shutdown(async move {
        // A sender that is gone ends it, too.
        let _ = ending.wait_for(|is_asked| *is_asked).await;
    });
    let serving = tokio::spawn(serving.into_future());
    started(here)?;
    let mut watcher = Watcher {
        contract,
        config: config
            .connect_timeout(GIVE_UP)
            .with_parameter("idle_in_transaction_session_timeout", "15000"),
        options: &options,
        clauses,
        shared,
        webhook: webhook.as_ref(),
        client: None,
        next_drift: Instant::now(),
        not_before: None,
        said: &said,
    };
    watcher.go_round(&mut stop).await;
    drop(watcher);
    if let Some(webhook) = webhook {
        webhook.end().await;
    }
    let abort = serving.abort_handle();
    if timeout(DRAIN, serving).await.is_err() {
        abort.abort();
    }
    Ok(())
}

/// The loop and what it holds.
struct Watcher<'a> {
    contract: &'a Contract,
    config: Config,
    options: &'a Options,
    clauses: Clauses,
    shared: Shared,
    webhook: Option<&'a Webhook>,
    client: Option<Client>,
    next_drift: Instant,
    /// After a refused login.
    not_before: Option<Instant>,
    said: &'a dyn Fn(&str),
}

/// What one look brought.
struct Seen {
    look: Look,
    /// `None` when the catalog was not due.
    catalog: Option<Result<Certificate, Error>>,
}

impl Watcher<'_> {
    async fn go_round(&mut self, stop: &mut watch::Receiver<bool>) {
        let mut ticks = interval(self.options.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|is_asked| *is_asked) => return,
                _ = ticks.tick() => {}
            }
            if self.not_before.is_some_and(|instant| Instant::now() < instant) {
                continue;
            }
            self.not_before = None;
            tokio::select! {
                _ = stop.wait_for(|is_asked| *is_asked) => return,
                () = self.look() => {}
            }
        }
    }

    /// Looks once, and tells what came of it. A connection that does not answer in time is waited for
    /// a little longer, since another one would not be answered either.
    async fn look(&mut self) {
        let begun = Instant::now();
        let is_drift_due = begun >= self.next_drift;
        self.shared.lock().asked = Some(begun);
        let fresh = self.client.is_none();
        let mut client = self.client.take();
        let patience = ANSWER.min(self.options.interval.max(Duration::from_secs(1)));
        let outcome = {
            let mut asking =
                std::pin::pin!(ask(self.contract, &self.config, &mut client, is_drift_due));
            let mut is_told = false;
            loop {
                tokio::select! {
                    outcome = &mut asking => break Some(outcome),
                    () = sleep_until(begun + patience), if !is_told => {
                        is_told = true;
                        let reason = format!("no answer within {} s", patience.as_secs());
                        self.tell_silence(&reason);
                    }
                    () = sleep_until(begun + GIVE_UP) => break None,
                }
            }
        };
        let connected = fresh && client.is_some();
        self.shared.lock().counts.connections += u64::from(connected);
        match outcome {
            None => drop(client),
            Some(Err(error)) => {
                self.client = client.filter(|client| !client.is_closed());
                if let Error::Database(error) = &error {
                    let passes = [Class::Connect, Class::Unavailable, Class::Lost, Class::Timeout];
                    if fresh && !passes.contains(&error.class()) {
                        self.not_before = Some(Instant::now() + REFUSED);
                    }
                }
                self.tell_silence(&error.to_string());
            }
            Some(Ok(seen)) => {
                self.client = client;
                if is_drift_due {
                    self.next_drift = begun + self.options.drift_interval;
                }
                self.tell(seen, begun);
            }
        }
    }

    fn tell(&mut self, seen: Seen, begun: Instant) {
        let mut state = self.shared.lock();
        let seconds = begun.elapsed().as_secs_f64();
        let mut changed = state.answered(&seen.look, &self.clauses, seconds);
        let evidence = self.clauses.saw(begun, seen.look);
        changed.extend(state.judge(&evidence));
        match seen.catalog {
            None => {}
            Some(Ok(certificate)) => changed.extend(state.certified(certificate)),
            Some(Err(error)) => changed.extend(state.uncertified(&error.to_string())),
        }
        drop(state);
        self.alert(&changed);
    }

    fn tell_silence(&self, reason: &str) {
        let evidence = self.clauses.unanswered(reason);
        let mut state = self.shared.lock();
        state.unanswered();
        let changed = state.judge(&evidence);
        drop(state);
        self.alert(&changed);
    }

    fn alert(&self, changed: &[Event]) {
        for event in changed {
            let Event { at, change, claim, found, .. } = event;
            (self.said)(&format!("{at} {}: {claim}: {found}", change.word()));
        }
        if let Some(webhook) = self.webhook {
            let name = &self.contract.model.service.name;
            webhook.tell(name, &self.config.address(), changed);
        }
    }
}

/// Connects where there is no connection, and looks.
async fn ask(
    contract: &Contract,
    config: &Config,
    client: &mut Option<Client>,
    is_drift_due: bool,
) -> Result<Seen, Error> {
    let client = match client {
        Some(client) => client,
        None => client.insert(pg_session::connect(config).await?),
    };
    let look = look::look(client, contract).await?;
    let catalog =
        if is_drift_due { Some(certify(client, contract, config.address()).await) } else { None };
    // What the server refuses says nothing about the look before; a connection that is gone does.
    match catalog {
        Some(Err(error)) if client.is_closed() => Err(error),
        catalog => Ok(Seen { look, catalog }),
    }
}

/// What the catalog shows, judged.
async fn certify(
    client: &mut Client,
    contract: &Contract,
    address: String,
) -> Result<Certificate, Error> {
    let started_at = now();
    let options = catalog::Options {
        address,
        lock_wait: look::LOCK,
        statement_timeout: look::STATEMENT,
        lock_timeout: look::LOCK,
        ..catalog::Options::default()
    };
    let gathered = run::check_catalog(client, contract, &options).await?;
    let occasion = Occasion {
        command: "watch".to_owned(),
        profile: None,
        started_at,
        finished_at: now(),
        notes: vec!["Only what the catalog alone settles was looked at.".to_owned()],
    };
    let claims = check::plan_of_catalog(contract);
    Ok(run::certificate(contract, claims, Scope::Part, gathered, occasion))
}
