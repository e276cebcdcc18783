//! Webhooks that take what `dbready watch` tells, in plain text and over TLS.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::processes::wait_until;
use crate::support::{CANARY, open_folder};
use crate::tls::{Authority, authority};
use crate::watch::{Watching, watch};

/// A listener that takes messages as a webhook does; it refuses the first one.
pub(crate) struct Webhook {
    pub(crate) address: String,
    pub(crate) taken: Arc<Mutex<Vec<Value>>>,
    /// Connections on which nobody could be understood.
    broken: Arc<Mutex<Vec<String>>>,
}

impl Webhook {
    /// Speaks TLS where it has a certificate.
    pub(crate) fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://localhost:{}/hook/{CANARY}", place.port());
        let (taken, broken) = (Arc::default(), Arc::default());
        let hook = Self { address, taken: Arc::clone(&taken), broken: Arc::clone(&broken) };
        thread::spawn(move || {
            let mut refuses = true;
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let got = match &tls {
                    Some(config) => {
                        let session = ServerConnection::new(Arc::clone(config)).unwrap();
                        answer(StreamOwned::new(session, stream), refuses)
                    }
                    None => answer(stream, refuses),
                };
                match got {
                    Ok(_) if refuses => refuses = false,
                    Ok(message) => taken.lock().unwrap().push(message),
                    Err(error) => broken.lock().unwrap().push(error.to_string()),
                }
            }
        });
        hook
    }
}

/// Reads one message and answers it, the first one with an error.
fn answer(stream: impl Read + Write, refuses: bool) -> std::io::Result<Value> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while stream.read_line(&mut line)? > 2 {
        let lower = line.to_lowercase();
        if let Some(number) = lower.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let status = if refuses { "500 Not Now" } else { "204 No Content" };
    let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n");
    stream.get_mut().write_all(answer.as_bytes())?;
    stream.get_mut().flush()?;
    Ok(serde_json::from_slice(&body)?)
}

/// A certificate for a host, signed by this authority.
fn shows(authority: &Authority, host: &str) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key);
    Arc::new(config.unwrap())
}

/// A watch of a database that is not there, which it tells to a webhook; it believes this authority
/// alone.
fn telling(hook: &Webhook, trusted: &Path) -> Watching {
    let mut command = watch("postgres://u@127.0.0.1:1/d");
    command.env("DBREADY_WEBHOOK", &hook.address).env("SSL_CERT_FILE", trusted);
    command.env_remove("SSL_CERT_DIR").arg("-v");
    Watching::start(&mut command)
}

#[test]
fn a_webhook_over_tls_gets_what_happens() {
    let folder = open_folder();
    let ours = authority("ours");
    let trusted = folder.path().join("ours.crt");
    fs::write(&trusted, ours.pem()).unwrap();
    let hook = Webhook::start(Some(shows(&ours, "localhost")));
    let watching = telling(&hook, &trusted);
    wait_until(
        || format!("the alert arrives: {:?} {:?}", hook.taken, hook.broken),
        || hook.taken.lock().unwrap().iter().any(|one| one["text"].to_string().contains("firing")),
    );
    let (_, metrics) = watching.ask("/metrics");
    let (code, said) = watching.terminate();
    assert_eq!(code, Some(143), "{said}");
    assert!(!metrics.contains(CANARY) && !said.contains(CANARY), "{said}");
}

/// Whoever cannot show who they are hears nothing.
#[test]
fn a_webhook_that_cannot_be_believed_gets_nothing() {
    let folder = open_folder();
    let (ours, another) = (authority("ours"), authority("another"));
    let trusted = folder.path().join("ours.crt");
    fs::write(&trusted, ours.pem()).unwrap();
    for config in [shows(&another, "localhost"), shows(&ours, "elsewhere.example")] {
        let hook = Webhook::start(Some(config));
        let watching = telling(&hook, &trusted);
        wait_until(
            || format!("the refusal is told: {:?}", watching.said),
            || watching.said.lock().unwrap().contains("webhook: cannot connect"),
        );
        wait_until(|| "it comes".to_owned(), || !hook.broken.lock().unwrap().is_empty());
        assert!(hook.taken.lock().unwrap().is_empty(), "{:?}", hook.taken);
        let (_, said) = watching.terminate();
        assert!(!said.contains(CANARY), "{said}");
    }
}
