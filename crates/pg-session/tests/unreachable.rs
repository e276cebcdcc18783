//! Connecting where no server answers as it should: each failure has its own
//! error, and none takes longer than the deadline.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use pg_session::error::Phase;
use pg_session::{Class, Config, Error, connect};

fn config(address: &str, query: &str) -> Config {
    Config::from_url(&format!("postgres://u:canary-7@{address}/d{query}")).unwrap()
}

async fn failure(config: &Config) -> Error {
    let error = connect(config).await.map(|_| ()).unwrap_err();
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("canary-7"), "{text}");
    }
    assert!(error.to_string().chars().count() <= 200, "{error}");
    error
}

/// A listener that never answers, and its address. Dropping it closes the port.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// The address of a peer that speaks so to each who comes.
fn talking(talk: fn(TcpStream)) -> String {
    let (listener, address) = silent();
    std::thread::spawn(move || listener.incoming().for_each(|stream| talk(stream.unwrap())));
    address
}

#[tokio::test]
async fn a_silent_peer_is_left_at_the_deadline() {
    let (_listener, address) = silent();
    for (query, phase) in [
        ("", Phase::TlsRequest),
        ("?sslmode=disable", Phase::TlsRequest),
        ("?sslmode=require&sslnegotiation=direct", Phase::TlsHandshake),
    ] {
        let config = config(&address, query).connect_timeout(Duration::from_millis(500));
        match failure(&config).await {
            Error::ConnectTimeout { phase: found, after, .. } => {
                assert_eq!((found, after), (phase, Duration::from_millis(500)), "{query}");
            }
            other => panic!("{query}: {other}"),
        }
    }
}

#[tokio::test]
async fn the_deadline_covers_all_hosts_together() {
    let (_one, first) = silent();
    let (_two, second) = silent();
    let config = config(&format!("{first},{second}"), "").connect_timeout(Duration::from_secs(1));
    let result = tokio::time::timeout(Duration::from_secs(30), connect(&config)).await;
    let error = result.expect("the search must end by itself").map(|_| ()).unwrap_err();
    // Only when the first host leaves time is the second one tried.
    assert!(error.to_string().contains(&second), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let (listener, address) = silent();
    drop(listener);
    let error = failure(&config(&address, "")).await;
    assert!(matches!(error, Error::Connect { kind: ErrorKind::ConnectionRefused, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {address}: connection refused — is the server running there?")
    );
    assert_eq!(error.class(), Class::Connect);
}

#[tokio::test]
async fn a_missing_socket_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().to_str().unwrap().replace('/', "%2F");
    let error = failure(&config(&host, "")).await;
    assert!(matches!(error, Error::Connect { kind: ErrorKind::NotFound, .. }), "{error}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named() {
    let error = failure(&config("host.invalid", "")).await;
    assert!(matches!(&error, Error::Resolve { host, .. } if host == "host.invalid"), "{error}");
}

#[tokio::test]
async fn a_peer_that_speaks_another_protocol_is_told() {
    let address = talking(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let error = failure(&config(&address, "?sslmode=disable")).await;
    assert!(matches!(error, Error::Handshake { .. }), "{error}");
    let error = failure(&config(&address, "?sslmode=require")).await;
    assert!(matches!(error, Error::Tls { .. }), "{error}");
}

#[tokio::test]
async fn certificate_files_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("root.pem");
    let query = format!("?sslrootcert={}", file.display());
    let error = failure(&config("h", &query)).await.to_string();
    assert!(error.starts_with("sslrootcert: ") && error.contains("No such file"), "{error}");
    std::fs::write(&file, "no certificate").unwrap();
    let error = failure(&config("h", &query)).await.to_string();
    assert!(error.contains("holds no PEM certificate"), "{error}");
}

/// A peer that breaks off while it is spoken to.
#[tokio::test]
async fn a_peer_that_breaks_off_is_told() {
    let address = talking(|stream| {
        // What has come and was not read makes the system reset the connection.
        stream.peek(&mut [0; 8]).unwrap();
    });
    let error = failure(&config(&address, "?sslmode=disable")).await;
    assert!(matches!(error, Error::Handshake { .. }), "{error:?}");

    let address = talking(|mut stream| {
        stream.read_exact(&mut [0; 8]).unwrap();
        stream.write_all(b"S").unwrap();
        // The client's greeting, and no answer to it.
        let _ = stream.read(&mut [0; 1024]);
    });
    let error = failure(&config(&address, "?sslmode=require")).await;
    assert!(error.to_string().contains("the TLS handshake broke off"), "{error}");
}

/// A peer without TLS that says what belongs elsewhere.
#[tokio::test]
async fn a_peer_that_answers_out_of_turn_is_not_taken_for_one_without_tls() {
    let address = talking(|mut stream| {
        stream.read_exact(&mut [0; 8]).unwrap();
        stream.write_all(b"N").unwrap();
        let _ = stream.read(&mut [0; 1024]);
        // Ready for a query, before any login.
        let _ = stream.write_all(b"Z\0\0\0\x05I");
        let _ = stream.read(&mut [0; 1024]);
    });
    let error = failure(&config(&address, "?sslmode=prefer")).await;
    let Error::Authentication { address: named, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*named, format!("{address}/d"));
    let error = failure(&config(&address, "?sslmode=require")).await;
    assert!(error.to_string().contains("does not offer TLS"), "{error}");
}
