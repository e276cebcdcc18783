//! Passwords that change while the pool is in use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pg_session::{
    AcquireFailure, Class, Config, Error, Pool, PoolOptions, ReaderOptions, Secret, connect,
};

use crate::support::relay::Relay;
use crate::support::{Bench, bench, options};

/// A role of a test's own; [`gone`](Role::gone) drops it.
struct Role {
    bench: Bench,
    name: String,
}

impl Role {
    async fn with_password(password: &str) -> Self {
        let bench = bench(PoolOptions { min: 0, ..options() }).await;
        let name = format!("{}_app", bench.database.name());
        let role = Self { bench, name };
        role.sql(&format!("CREATE ROLE {} LOGIN PASSWORD '{password}'", role.name)).await;
        role
    }

    async fn sql(&self, sql: &str) {
        self.bench.observer.batch_execute(sql).await.unwrap();
    }

    async fn alter(&self, change: &str) {
        self.sql(&format!("ALTER ROLE {} {change}", self.name)).await;
    }

    /// The configuration of the role without a password.
    fn config(&self, url: &str) -> Config {
        Config::from_url(url).unwrap().with_user(&self.name, None)
    }

    fn config_with(&self, password: &str) -> Config {
        let secret = Some(Secret::from(password));
        self.config(self.bench.database.url()).with_user(&self.name, secret)
    }

    async fn gone(self) {
        self.sql(&format!("DROP ROLE {}", self.name)).await;
    }
}

/// Replaces a password file as a careful program does.
fn write_passfile(path: &Path, password: &str) {
    let new = path.with_extension("new");
    fs::write(&new, format!("*:*:*:*:{password}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, path).unwrap();
}

/// Runs statements through the pool and a reader of it until told to stop, and gives
/// their number. Connections live so short a time that new ones are made all the time.
struct Traffic {
    pool: Pool,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<u64>>,
}

impl Traffic {
    async fn start(config: Config) -> Self {
        let lifetime = Duration::from_millis(20);
        let limits = PoolOptions { min: 1, max: 4, max_lifetime: lifetime, ..options() };
        let pool = Pool::open(config, limits).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let reader_options = ReaderOptions { connections: 1, ..ReaderOptions::default() };
        let reader = pool.reader(reader_options).unwrap();
        let tasks = (0..6).map(|number| {
            let (pool, reader, stop) = (pool.clone(), reader.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut served = 0;
                while !stop.load(Ordering::Relaxed) {
                    let one: i32 = if number % 3 == 0 {
                        reader.fetch_value("SELECT 1", &[]).await.unwrap()
                    } else {
                        let mut session = pool.acquire().await.unwrap();
                        session.fetch_value("SELECT 1", &[]).await.unwrap()
                    };
                    served += u64::try_from(one).unwrap();
                }
                served
            })
        });
        let tasks = tasks.collect();
        Self { pool, stop, tasks }
    }

    /// Waits until some more connections have been made.
    async fn until_renewed(&self) {
        let opened = self.pool.status().opened;
        while self.pool.status().opened < opened + 3 {
            assert!(self.tasks.iter().all(|task| !task.is_finished()), "a caller was refused");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            assert!(task.await.unwrap() > 0);
        }
        assert_eq!(self.pool.status().acquire_failures, 0);
        self.pool.close();
    }
}

#[tokio::test]
async fn callers_notice_nothing_of_a_password_that_is_set_anew() {
    let role = Role::with_password("first").await;
    let traffic = Traffic::start(role.config_with("first")).await;
    for password in ["second", "third", "fourth"] {
        traffic.until_renewed().await;
        role.alter(&format!("PASSWORD '{password}'")).await;
        // Some logins fall into this gap.
        tokio::time::sleep(Duration::from_millis(50)).await;
        traffic.pool.set_password(Secret::from(password));
        traffic.until_renewed().await;
    }
    traffic.end().await;
    role.gone().await;
}

#[tokio::test]
async fn callers_notice_nothing_of_a_password_file_that_is_replaced() {
    let role = Role::with_password("first").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pass");
    write_passfile(&file, "first");
    let (head, tail) = role.bench.database.url().split_once("://").unwrap();
    let (_, tail) = tail.split_once('@').unwrap();
    let url = format!("{head}://{}@{tail}?passfile={}", role.name, file.display());
    let config = Config::from_url(&url).unwrap();
    let traffic = Traffic::start(config.clone()).await;
    for password in ["second", "third"] {
        traffic.until_renewed().await;
        role.alter(&format!("PASSWORD '{password}'")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        write_passfile(&file, password);
        traffic.until_renewed().await;
        connect(&config).await.unwrap();
    }
    traffic.end().await;
    role.gone().await;
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_the_right_one_at_once() {
    let role = Role::with_password("first").await;
    let relay = Relay::to(role.bench.database.url()).await;
    let limits = PoolOptions { min: 0, max: 2, ..options() };
    let config = role.config(relay.url()).with_user(&role.name, Some(Secret::from("first")));
    let pool = Pool::open(config, limits).await.unwrap();
    let mut open = pool.acquire().await.unwrap();
    role.alter("PASSWORD 'second'").await;
    // A session that is open goes on.
    assert_eq!(open.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);

    pool.set_password(Secret::from("canary-5"));
    let error = pool.acquire().await.err().unwrap();
    assert_eq!(error.failure, AcquireFailure::Connect);
    let cause = error.last_connect_error.clone().unwrap();
    assert_eq!((cause.class(), cause.sqlstate()), (Class::Authentication, Some("28P01")));
    assert!(!format!("{error:?}").contains("canary-5"), "{error:?}");
    // Once to open the first session, once in vain: the same password is not tried again.
    assert_eq!(relay.accepted(), 2);
    assert_eq!(open.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);

    // The refusal of the old password is not held against the new one.
    pool.set_password(Secret::from("second"));
    let mut session = pool.acquire().await.unwrap();
    assert_eq!(session.fetch_value::<i32>("SELECT 1", &[]).await.unwrap(), 1);
    assert_eq!(relay.accepted(), 3);
    drop((open, session));
    pool.close();
    role.gone().await;
}

#[tokio::test]
async fn a_role_that_may_not_log_in_for_a_while() {
    let role = Role::with_password("first").await;
    let pool = Pool::open(role.config_with("first"), options()).await.unwrap();
    let _open = pool.acquire().await.unwrap();
    role.alter("NOLOGIN").await;
    let refused = pool.health().await.unwrap_err();
    assert_eq!((refused.class(), refused.sqlstate()), (Class::Authentication, Some("28000")));
    assert!(matches!(refused, Error::Acquire(_)), "{refused:?}");
    role.alter("LOGIN PASSWORD 'second'").await;
    pool.set_password(Secret::from("second"));
    pool.health().await.unwrap();
    pool.close();
    role.gone().await;
}

/// A reader's lines are made with the password of the pool, and a refusal is told.
#[tokio::test]
async fn readers_follow_the_password_of_their_pool() {
    let role = Role::with_password("first").await;
    let relay = Relay::to(role.bench.database.url()).await;
    let config = role.config(relay.url()).with_user(&role.name, Some(Secret::from("wrong")));
    let pool = Pool::open(config, PoolOptions { min: 0, ..options() }).await.unwrap();
    let reader = pool.reader(ReaderOptions { connections: 1, ..ReaderOptions::default() });
    let reader = reader.unwrap();
    let error = reader.fetch("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(error.class(), Class::Authentication, "{error}");
    pool.set_password(Secret::from("first"));
    let mut tries = 0;
    while let Err(error) = reader.fetch("SELECT 1", &[]).await {
        tries += 1;
        assert!(tries < 1000, "{error}");
        assert_eq!(error.class(), Class::Authentication, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(relay.accepted() <= 8, "{} logins tried", relay.accepted());
    pool.close();
    role.gone().await;
}
