//! Alerts sent to a webhook: one POST for what changed at one look, as JSON.
//!
//! What cannot be delivered is tried again a few times and then counted as failed; what does not fit
//! the queue is counted as dropped. The address may hold a token and never appears anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, Request, Uri, header};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use pg_session::Secret;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::state::Event;
use crate::Error;

/// Messages that wait for delivery at most.
const QUEUE: usize = 64;
/// Events in one message at most; the page and the next messages hold the others.
const MOST: usize = 50;
/// Longest time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Pauses between the attempts.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// How long the end of the program waits for what is still in the queue.
const DRAIN: Duration = Duration::from_secs(3);

/// How many messages came to which end.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub(super) delivered: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// A webhook that takes messages.
#[derive(Debug)]
pub(super) struct Webhook {
    queue: mpsc::Sender<Bytes>,
    task: JoinHandle<()>,
    deliveries: Arc<Deliveries>,
}

impl Webhook {
    /// Begins to deliver on the current runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for what is no http or https address; it is not repeated.
    pub(super) fn start(url: &Secret) -> Result<Self, Error> {
        let address = url.expose().trim().parse::<Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        let Some(address) = address else {
            let message = "the webhook: expected an address that begins with http:// or https://, \
                           found something else (not shown: it may hold a token)";
            return Err(Error::Usage(message.to_owned()));
        };
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| {
                Error::Usage(format!("the webhook: certificates of the system: {error}"))
            })?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let (queue, mut waiting) = mpsc::channel::<Bytes>(QUEUE);
        let deliveries = Arc::new(Deliveries::default());
        let counts = Arc::clone(&deliveries);
        let task = tokio::spawn(async move {
            while let Some(body) = waiting.recv().await {
                let send = || async {
                    let request = Request::builder()
                        .method(Method::POST)
                        .uri(address.clone())
                        .header(header::CONTENT_TYPE, "application/json")
                        .header(header::USER_AGENT, concat!("dbready/", env!("CARGO_PKG_VERSION")))
                        .body(Full::new(body.clone()))
                        .map_err(|_| "no request".to_owned())?;
                    match timeout(ATTEMPT, client.request(request)).await {
                        Err(_) => Err(format!("no answer within {} s", ATTEMPT.as_secs())),
                        // The error's own words name where it went.
                        Ok(Err(error)) if error.is_connect() => Err("cannot connect".to_owned()),
                        Ok(Err(_)) => Err("the exchange broke off".to_owned()),
                        Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
                        Ok(Ok(answer)) => Err(format!("it answered {}", answer.status())),
                    }
                };
                deliver(send, &counts).await;
            }
        });
        Ok(Self { queue, task, deliveries })
    }

    /// How many messages came to which end so far.
    pub(super) fn deliveries(&self) -> Arc<Deliveries> {
        Arc::clone(&self.deliveries)
    }

    /// Hands over what changed; never waits.
    pub(super) fn tell(&self, contract: &str, server: &str, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let shown = &events[..events.len().min(MOST)];
        let lines: Vec<String> = shown
            .iter()
            .map(|one| format!("[{}] {}: {}", one.change.word(), one.statement, one.found))
            .collect();
        let message = serde_json::json!({
            "version": 1,
            "text": format!("{contract} at {server}\n{}", lines.join("\n")),
            "contract": contract,
            "server": server,
            "events": shown,
            "more": events.len() - shown.len(),
        });
        if self.queue.try_send(Bytes::from(message.to_string())).is_err() {
            self.deliveries.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("webhook: the queue is full, a message is dropped");
        }
    }

    /// Delivers what waits, as far as that goes within a few seconds, and ends.
    pub(super) async fn end(self) {
        drop(self.queue);
        let abort = self.task.abort_handle();
        if timeout(DRAIN, self.task).await.is_err() {
            abort.abort();
        }
    }
}

async fn deliver<F: Future<Output = Result<(), String>>>(
    send: impl Fn() -> F,
    counts: &Deliveries,
) {
    let mut pauses = PAUSES.iter();
    loop {
        let Err(reason) = send().await else {
            counts.delivered.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Some(pause) = pauses.next() else {
            counts.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("webhook: a message is given up: {reason}");
            return;
        };
        tracing::info!("webhook: {reason}; again in {} s", pause.as_secs());
        tokio::time::sleep(*pause).await;
    }
}
