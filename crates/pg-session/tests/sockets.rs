//! What is set on the sockets of connections, read back from the sockets themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::fd::OwnedFd;
use std::time::Duration;

use pg_session::tokio_postgres::{Client, NoTls};
use pg_session::{Config, ReaderOptions, connect};
use rustix::net::sockopt;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use support::{bench, options};

#[derive(Debug, PartialEq, Eq)]
struct Watch {
    probes: bool,
    idle: Duration,
    interval: Duration,
    count: u32,
    /// In milliseconds; 0 leaves it to the system.
    user_timeout: u32,
}

fn watch(socket: &OwnedFd) -> Watch {
    Watch {
        probes: sockopt::socket_keepalive(socket).unwrap(),
        idle: sockopt::tcp_keepidle(socket).unwrap(),
        interval: sockopt::tcp_keepintvl(socket).unwrap(),
        count: sockopt::tcp_keepcnt(socket).unwrap(),
        user_timeout: sockopt::tcp_user_timeout(socket).unwrap(),
    }
}

/// This process's own socket with a local port.
fn socket(port: i32) -> OwnedFd {
    let process = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        let is_socket = std::fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
        if !is_socket {
            continue;
        }
        let copy = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).unwrap();
        let address = rustix::net::getsockname(&copy).ok();
        let address = address.and_then(|address| std::net::SocketAddr::try_from(address).ok());
        if address.is_some_and(|address| i32::from(address.port()) == port) {
            return copy;
        }
    }
    panic!("no socket has the local port {port}");
}

const PORT: &str = "SELECT inet_client_port()";

async fn of_client(client: &Client) -> Watch {
    watch(&socket(client.query_one(PORT, &[]).await.unwrap().get(0)))
}

#[tokio::test]
async fn both_kinds_of_watch_are_set_on_every_connection() {
    let bench = bench(options()).await;
    let expected = || Watch {
        probes: true,
        idle: Duration::from_secs(15),
        interval: Duration::from_secs(5),
        count: 3,
        user_timeout: 30_000,
    };

    // The driver alone leaves it to the system: two hours, and no user timeout.
    let naive: pg_session::tokio_postgres::Config = bench.database.url().parse().unwrap();
    let (naive, connection) = naive.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let found = of_client(&naive).await;
    assert!(found.idle >= Duration::from_hours(1) && found.user_timeout == 0, "{found:?}");

    assert_eq!(of_client(&bench.observer).await, expected());
    let mut session = bench.pool.acquire().await.unwrap();
    let port: i32 = session.fetch_value(PORT, &[]).await.unwrap();
    assert_eq!(watch(&socket(port)), expected());
    let reader = bench.pool.reader(ReaderOptions::default()).unwrap();
    let port: i32 = reader.fetch_value(PORT, &[]).await.unwrap();
    assert_eq!(watch(&socket(port)), expected());
}

#[tokio::test]
async fn the_watch_is_as_the_url_says() {
    let bench = bench(options()).await;
    let url = format!(
        "{}?keepalives_idle=7&keepalives_interval=2&keepalives_count=4&tcp_user_timeout=9000",
        bench.database.url()
    );
    let client = connect(&Config::from_url(&url).unwrap()).await.unwrap();
    let expected = Watch {
        probes: true,
        idle: Duration::from_secs(7),
        interval: Duration::from_secs(2),
        count: 4,
        user_timeout: 9000,
    };
    assert_eq!(of_client(&client).await, expected);
    let url = format!("{}?keepalives=0", bench.database.url());
    let client = connect(&Config::from_url(&url).unwrap()).await.unwrap();
    assert!(!of_client(&client).await.probes);
}
