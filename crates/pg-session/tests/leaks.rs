//! A session that is held for too long is reported at run time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pg_session::PoolOptions;
use support::{bench, options};

/// What a subscriber of this process hears.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_leak_is_reported_with_the_place_that_took_the_session() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .finish();
    tracing_subscriber::util::SubscriberInitExt::try_init(subscriber).unwrap();
    let limits = PoolOptions { leak_after: Duration::from_millis(1), ..options() };
    let bench = bench(limits).await;
    let session = bench.pool.acquire().await.unwrap();
    let place = format!("leaks.rs:{}:", line!() - 1);
    let heard = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    while !heard().contains("a session is held for too long") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Once for each session, however long it stays away.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    drop(session);
    let reports: Vec<String> =
        heard().lines().filter(|line| line.contains(&place)).map(str::to_owned).collect();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("held="), "{reports:?}");
}
