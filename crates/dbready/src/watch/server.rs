//! The web server: the dashboard, its figures and its health, for reading only.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::state::Shared;
use super::webhook::Deliveries;
use super::{GIVE_UP, metrics, page};
use crate::report::{Beside, html};

/// What the handlers read.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) shared: Shared,
    pub(super) deliveries: Option<Arc<Deliveries>>,
    pub(super) interval: Duration,
    /// Whether it listens to other machines, under whatever name they know it.
    pub(super) is_remote: bool,
}

/// Every address of the server.
pub(super) fn router(desk: Desk) -> Router {
    Router::new()
        .route("/", get(dashboard))
        .route("/live", get(live))
        .route("/state.json", get(state))
        .route("/certificate", get(certificate))
        .route("/certificate.json", get(certificate_json))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(figures))
        .layer(from_fn_with_state(desk.clone(), guard))
        .with_state(desk)
}

/// Answers only those who asked for this machine, so that no page of another site reads along under a
/// name that it has led here; and says of every answer how it may be used.
async fn guard(Extract(desk): Extract<Desk>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if !desk.is_remote && !host.is_some_and(is_here) {
        let message = "expected this machine's address or localhost as the host\n";
        return (StatusCode::MISDIRECTED_REQUEST, message).into_response();
    }
    let mut answer = next.run(request).await;
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Whether a host with its port names an address itself, or this machine.
fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

async fn dashboard(Extract(desk): Extract<Desk>) -> Html<String> {
    Html(page::whole(&desk.shared.lock(), desk.interval))
}

async fn live(Extract(desk): Extract<Desk>) -> Html<String> {
    Html(page::live(&desk.shared.lock()))
}

async fn state(Extract(desk): Extract<Desk>) -> Response {
    let state = desk.shared.lock();
    let clauses = state.readings.iter().map(|one| {
        json!({
            "id": one.claim.id,
            "statement": one.claim.statement,
            "status": one.judgement.status,
            "target": one.judgement.target,
            "value": one.value,
            "observed": one.judgement.observed,
            "reason": one.judgement.reason,
            "n": one.judgement.n,
        })
    });
    let document = json!({
        "contract": state.contract,
        "server": state.address,
        "started_at": state.started_at,
        "answered_at": state.answered_at,
        "unready": state.unready(),
        "clauses": clauses.collect::<Vec<_>>(),
        "catalog": state.certificate.as_ref().map(|certificate| json!({
            "counts": certificate.counts,
            "finished_at": certificate.finished_at,
        })),
        "events": state.events,
    });
    document_of(document.to_string())
}

fn document_of(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn none_yet() -> Response {
    (StatusCode::NOT_FOUND, "the catalog has not been looked at yet\n").into_response()
}

async fn certificate(Extract(desk): Extract<Desk>) -> Response {
    let certificate = desk.shared.lock().certificate.clone();
    certificate.map_or_else(none_yet, |one| Html(html(&one, &Beside::default())).into_response())
}

async fn certificate_json(Extract(desk): Extract<Desk>) -> Response {
    let certificate = desk.shared.lock().certificate.clone();
    certificate.map_or_else(none_yet, |one| document_of(one.to_json()))
}

/// Whether the loop goes round; the database may be away.
async fn health(Extract(desk): Extract<Desk>) -> Response {
    let limit = 3 * desk.interval + 2 * GIVE_UP;
    let is_alive = desk.shared.lock().asked.is_none_or(|asked| asked.elapsed() < limit);
    if is_alive {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the watch stands still\n").into_response()
    }
}

/// Whether the database answers.
async fn ready(Extract(desk): Extract<Desk>) -> Response {
    let unready = desk.shared.lock().unready();
    match unready {
        None => "ready\n".into_response(),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", crate::markup::one_line(&reason)))
                .into_response()
        }
    }
}

async fn figures(Extract(desk): Extract<Desk>) -> Response {
    let text = metrics::render(&desk.shared.lock(), desk.deliveries.as_deref());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_here;

    #[test]
    fn only_this_machine_is_here() {
        for host in ["localhost", "localhost:80", "127.0.0.1:9688", "[::1]:9688", "[::1]"] {
            assert!(is_here(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:9688", "localhost.evil.example", "127.0.0.1.nip.io"]
        {
            assert!(!is_here(host), "{host}");
        }
    }
}
