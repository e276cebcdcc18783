//! Servers that are not who they should be, and streams that are not what they should be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pg_local::proxy::Garble;
use pg_session::{Class, Config, PoolOptions, Secret};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::Error;
use crate::drill::Drill;
use crate::drill::oracle::{examine, no_leak, pool_restores};
use crate::drill::record::{Invariant, Trial};
use crate::drill::scene::{
    GONE, LAYER, Scene, acquire, close, end_sessions, limits, sessions_gone, until,
};
use crate::drill::traffic::{Manner, Traffic};
use crate::drill::work::write;

pub(in crate::drill) const DRILLS: &[Drill] = &[
    Drill {
        name: "garbled_stream",
        injects: "messages of the server replaced by ones that are cut short, too long or of no known \
                  kind",
        quick: true,
        run: |scene| Box::pin(garbled(scene)),
    },
    Drill {
        name: "tls_identity",
        injects: "certificates for another host, of another authority, expired, swapped, and no TLS at \
                  all",
        quick: true,
        run: |scene| Box::pin(tls_identity(scene)),
    },
    Drill {
        name: "scram_downgrade",
        injects: "a server that asks for the password in clear text, as MD5, or not at all",
        quick: true,
        run: |scene| Box::pin(downgrade(scene)),
    },
    Drill {
        name: "credentials_rotated",
        injects: "another password on the server under writers, and sessions that end before the layer \
                  has it",
        quick: true,
        run: |scene| Box::pin(credentials_rotated(scene)),
    },
];

/// What is written in place of which message, in words and bytes.
fn garbles() -> Vec<(&'static str, Garble)> {
    let instead = |kind: u8, bytes: &[u8]| Garble { kind, instead: bytes.to_vec() };
    vec![
        ("a DataRow with too few columns", instead(b'D', b"D\0\0\0\x06\0\0")),
        ("a DataRow with a column beyond its end", instead(b'D', b"D\0\0\0\x0a\0\x01\0\0\xff\xff")),
        ("a DataRow that says it has many columns", instead(b'D', b"D\0\0\0\x06\x7f\xff")),
        ("a message of no known kind", instead(b'D', b"!\0\0\0\x04")),
        ("a length below four", instead(b'D', b"D\0\0\0\x01")),
        ("a length of a gigabyte", instead(b'D', b"D\x40\0\0\0\0\x01")),
        ("an ErrorResponse without fields", instead(b'D', b"E\0\0\0\x05\0")),
        ("a CommandComplete without an end", instead(b'C', b"C\0\0\0\x08SELE")),
        ("an authentication request in mid-session", instead(b'C', b"R\0\0\0\x08\0\0\0\0")),
        ("nothing at all", instead(b'Z', b"")),
        ("a second answer", instead(b'Z', b"Z\0\0\0\x05IZ\0\0\0\x05I")),
        ("an unknown transaction status", instead(b'Z', b"Z\0\0\0\x05?")),
    ]
}

async fn garbled(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    let examiner = scene.examiner().await?;
    for (number, (what, garble)) in garbles().into_iter().enumerate() {
        let mut trial = Trial::new(what);
        let proxy = scene.proxy().await?;
        let limit = Duration::from_millis(500);
        let options = PoolOptions { min: 1, max: 2, command_timeout: limit, ..limits() };
        let pool = scene.pool_at(scene.config_through(proxy.port())?, options).await?;
        let operation = i64::try_from(number).unwrap_or_default() + 1;
        write(&pool, Manner::default(), operation, 0).await?;
        let mut session = acquire(&pool).await?;
        let sql = "SELECT payload FROM drill_ledger WHERE op_id = $1";
        session.fetch(sql, &[&operation]).await?;
        if scene.sabotage.injects() {
            proxy.garble(garble);
        }
        let begun = Instant::now();
        // Whatever it makes of the message, it must not be a panic.
        let result = session.fetch(sql, &[&operation]).await;
        let heard = scene.hear(&result, begun);
        let garbled = until(Duration::from_millis(100), async || Ok(proxy.counts().faults == 1));
        trial.proof(garbled.await?, "the proxy replaced the message");
        trial.expect_within("the call", heard.took, limit + Duration::from_millis(200));
        let rows = result.as_ref().map_or(0, Vec::len);
        let harmless = heard.class.is_some() || rows == 1;
        trial.expect(
            Invariant::TypedError,
            harmless,
            "an error, or the right row",
            heard.in_words(),
        );
        drop(session);
        pool_restores(&mut trial, &pool).await;
        let begun = Instant::now();
        let again = async { acquire(&pool).await?.fetch_one(sql, &[&operation]).await };
        let heard = scene.hear(&again.await, begun);
        trial.expect_success("the next caller", &heard);
        let there = "SELECT count(*) FROM drill_ledger WHERE op_id = $1";
        let rows: i64 = examiner.query_one(there, &[&operation]).await?.try_get(0)?;
        trial.expect_same(Invariant::NoLoss, "rows of the acknowledged write", &1, &rows);
        pool.close();
        drop(proxy);
        sessions_gone(&examiner, Duration::from_secs(3)).await?;
        no_leak(&mut trial, &examiner, &pool).await?;
        scene.close(trial);
    }
    Ok(())
}

/// A certificate authority that signs what the drill needs.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    certificate: String,
}

fn of_certificate(error: impl std::fmt::Display) -> Error {
    Error::Interrupted(format!("a certificate could not be made: {error}"))
}

impl Authority {
    fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::new(Vec::new()).map_err(of_certificate)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(of_certificate)?;
        let certificate = params.self_signed(&key).map_err(of_certificate)?.pem();
        Ok(Self { params, key, certificate })
    }

    /// Certificate and key for a host, good until the end of a year.
    fn sign(&self, host: &str, until: i32) -> Result<(String, String), Error> {
        let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(of_certificate)?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().map_err(of_certificate)?;
        let issuer = Issuer::from_params(&self.params, &self.key);
        let signed = params.signed_by(&key, &issuer).map_err(of_certificate)?;
        Ok((signed.pem(), key.serialize_pem()))
    }
}

/// Lets the server show a certificate, or no TLS when there is none.
async fn show(scene: &Scene, shown: Option<(String, String)>) -> Result<(), Error> {
    scene
        .server
        .act(move |cluster| {
            let ssl = if shown.is_some() { "on" } else { "off" };
            if let Some((certificate, key)) = shown {
                cluster.write_private("drill.crt", &certificate)?;
                cluster.write_private("drill.key", &key)?;
            }
            cluster.configure(&[
                ("ssl_cert_file", "drill.crt"),
                ("ssl_key_file", "drill.key"),
                ("ssl", ssl),
            ])?;
            cluster.reload()
        })
        .await?;
    // The main process reads it in its own time.
    tokio::time::sleep(Duration::from_millis(150)).await;
    Ok(())
}

async fn tls_identity(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    let (ours, other) = (Authority::new()?, Authority::new()?);
    let root = scene.server.tell(|cluster| cluster.folder().join("drill-root.crt"));
    fs::write(&root, &ours.certificate).map_err(of_file(&root))?;
    let good = ours.sign("127.0.0.1", 2099)?;
    let host = "127.0.0.1";
    let cases = [
        ("for another host", Some(ours.sign("other.example", 2099)?), "host"),
        ("of another authority", Some(other.sign(host, 2099)?), "authority"),
        ("expired", Some(ours.sign(host, 2020)?), "expired"),
        ("no TLS", None, "TLS"),
    ];
    for (what, shown, word) in cases {
        let mut trial = Trial::new(what);
        show(scene, Some(good.clone())).await?;
        let (heard, _) = connect(scene, &root).await?;
        trial.expect_success("the right certificate before it", &heard);
        if scene.sabotage.injects() {
            show(scene, shown.clone()).await?;
        }
        let (offers, certificate) = offered(scene).await?;
        let as_meant = match &shown {
            Some((wanted, _)) => offers && certificate == *wanted,
            None => !offers,
        };
        trial.proof(as_meant, format!("the server offers TLS: {offers}, with this certificate"));
        let (heard, sent) = connect(scene, &root).await?;
        trial.expect_refusal("connecting", &heard, &[Class::Connect]);
        trial.fact("text", heard.text.clone());
        let named = heard.text.to_lowercase().contains(&word.to_lowercase())
            || heard.text.contains("certificate");
        trial.expect(Invariant::TypedError, named, format!("a reason with {word}"), heard.text);
        if shown.is_none() {
            // The request for TLS has eight bytes; nothing must follow the server's No.
            trial.expect_same(Invariant::NoSecret, "bytes sent in the clear", &8, &sent);
        }
        trial.expect_within("connecting", heard.took, Duration::from_secs(2));
        scene.close(trial);
    }
    show(scene, None).await
}

/// Whether the server offers TLS now, and the certificate that it shows.
async fn offered(scene: &Scene) -> Result<(bool, String), Error> {
    let examiner = scene.examiner().await?;
    let sql = "SELECT current_setting('ssl') = 'on', pg_read_file('drill.crt')";
    let row = examiner.query_one(sql, &[]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Connects through a proxy, demanding the right certificate; gives the bytes sent, too.
async fn connect(scene: &Scene, root: &Path) -> Result<(crate::drill::heard::Heard, u64), Error> {
    let proxy = scene.proxy().await?;
    let password = scene.server.tell(|cluster| cluster.password().to_owned());
    let (port, name, root) = (proxy.port(), scene.database_name(), root.display());
    let url = format!(
        "postgres://postgres:{password}@127.0.0.1:{port}/{name}?sslmode=verify-full&sslrootcert={root}"
    );
    let config = Config::from_url(&url)?.application_name(LAYER);
    let config = scene.sabotage.config(config.connect_timeout(Duration::from_secs(2)));
    let begun = Instant::now();
    let result = pg_session::connect(&config).await;
    let heard = scene.hear(&result, begun);
    Ok((heard, proxy.counts().sent))
}

/// What the false server asks for, and how it begins.
const REQUESTS: [(&str, &[u8]); 3] = [
    ("the password in clear text", b"R\0\0\0\x08\0\0\0\x03"),
    ("an MD5 of the password", b"R\0\0\0\x0c\0\0\0\x05abcd"),
    ("nothing, and lets the client in", b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"),
];

/// The password that a false server must not get.
const CANARY: &str = "canary-drill-7Kq";

async fn downgrade(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    scene.record.exhaustive = true;
    for (what, request) in REQUESTS {
        let mut trial = Trial::new(format!("the server asks for {what}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(of_port)?;
        let port = listener.local_addr().map_err(of_port)?.port();
        let server = tokio::spawn(async move { false_server(&listener, request).await });
        let asks = if scene.sabotage.injects() {
            port
        } else {
            scene.server.tell(pg_local::Cluster::port)
        };
        let url = format!(
            "postgres://postgres:{CANARY}@127.0.0.1:{asks}/x?channel_binding=require&sslmode=disable"
        );
        let begun = Instant::now();
        let result = async {
            let config = Config::from_url(&url)?.connect_timeout(Duration::from_secs(1));
            pg_session::connect(&scene.sabotage.config(config)).await
        }
        .await;
        let heard = scene.hear(&result, begun);
        drop(result);
        let got = if scene.sabotage.injects() {
            tokio::time::timeout(Duration::from_secs(2), server)
                .await
                .ok()
                .and_then(Result::ok)
                .unwrap_or_default()
        } else {
            server.abort();
            Vec::new()
        };
        trial.proof(!got.is_empty(), format!("the false server got {} bytes", got.len()));
        let allowed = [Class::Authentication, Class::Connect, Class::Config];
        trial.expect_refusal("connecting", &heard, &allowed);
        let leaked = got.windows(CANARY.len()).any(|part| part == CANARY.as_bytes());
        trial.expect(Invariant::NoSecret, !leaked, "no password on the wire", "it was sent");
        let answered =
            got.contains(&b'p') && what.contains("MD5") && got.windows(3).any(|w| w == b"md5");
        trial.expect(Invariant::NoSecret, !answered, "no MD5 of it either", "it was sent");
        let told = heard.text.contains(CANARY);
        trial.expect(Invariant::NoSecret, !told, "no password in the error", "it is there");
        scene.close(trial);
    }
    Ok(())
}

/// Takes one connection, asks, and gives all that the client sent.
async fn false_server(listener: &TcpListener, request: &[u8]) -> Vec<u8> {
    let mut got = Vec::new();
    let Ok((mut client, _)) = listener.accept().await else { return got };
    let mut buffer = vec![0; 4_096];
    if let Ok(read) = client.read(&mut buffer).await {
        got.extend_from_slice(&buffer[..read]);
    }
    if client.write_all(request).await.is_ok() {
        let rest = async {
            while let Ok(read @ 1..) = client.read(&mut buffer).await {
                got.extend_from_slice(&buffer[..read]);
            }
        };
        // A client that was let in may stay.
        let _ = tokio::time::timeout(Duration::from_millis(500), rest).await;
    }
    got
}

fn of_port(source: std::io::Error) -> Error {
    Error::File { path: "a port of the loopback address".to_owned(), source }
}

fn of_file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path: PathBuf = path.to_path_buf();
    move |source| Error::File { path: path.display().to_string(), source }
}

/// How the layer learns of a new password.
#[derive(Debug, Clone, Copy)]
enum Channel {
    /// By `Pool::set_password`.
    Told,
    /// By its password file.
    File,
}

/// Writes that must be acknowledged before the change, after it, and with the new password.
const WRITES: u64 = 20;

async fn credentials_rotated(scene: &mut Scene) -> Result<(), Error> {
    scene.database().await?;
    let examiner = scene.examiner().await?;
    let role = "DROP ROLE IF EXISTS drill_writer; CREATE ROLE drill_writer LOGIN PASSWORD 'drill-0'; \
                GRANT SELECT, INSERT ON drill_target, drill_ledger TO drill_writer";
    examiner.batch_execute(role).await?;
    let file = scene.server.tell(|cluster| cluster.folder().join("passwords"));
    let keep = |password: &str| {
        let written = fs::write(&file, format!("*:*:*:drill_writer:{password}\n"))
            .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o600)));
        written.map_err(|source| Error::File { path: file.display().to_string(), source })
    };
    for number in 0..scene.faults(2, 10) {
        let channel = if number.is_multiple_of(2) { Channel::Told } else { Channel::File };
        let (old, new) = (format!("drill-{number}"), format!("drill-{}", number + 1));
        keep(&old)?;
        let config = match channel {
            Channel::Told => {
                scene.config()?.with_user("drill_writer", Some(Secret::from(old.as_str())))
            }
            Channel::File => {
                let (host, port) = scene.server.tell(|one| (one.host(), one.port()));
                let url = format!(
                    "postgres://drill_writer@{host}:{port}/{}?sslmode=disable&passfile={}",
                    scene.database_name(),
                    file.display()
                );
                Config::from_url(&url)?.application_name(LAYER)
            }
        };
        let pool = scene.pool_at(config, limits()).await?;
        let mut trial = Trial::new(format!("fault {}: {channel:?}", number + 1));
        let log_length = scene.server.log_length()?;
        let first = i64::from(number) * 1_000_000_000 + 1;
        let manner = Manner { writers: 4, ..Manner::default() };
        let mut traffic = Traffic::start(scene, &pool, manner, first)?;
        traffic.acknowledges(WRITES, Duration::from_secs(10)).await;
        // Writers may all be between two sessions when these end; this one is not.
        let mut lent = acquire(&pool).await?;
        traffic.fault();
        if scene.sabotage.injects() {
            let change = format!("ALTER ROLE drill_writer PASSWORD '{new}'");
            examiner.batch_execute(&change).await?;
        }
        let goes_on = traffic.acknowledges(WRITES, Duration::from_secs(5)).await;
        trial.expect(Invariant::Claimed, goes_on, "open sessions go on", "they do not");
        end_sessions(&examiner).await?;
        let begun = Instant::now();
        let heard = scene.hear(&lent.execute("SELECT", &[]).await, begun);
        trial.expect_refusal("a session that was lent", &heard, &[Class::Lost]);
        drop(lent);
        // For so long the layer has only the old password.
        tokio::time::sleep(Duration::from_millis(300)).await;
        match channel {
            Channel::Told => pool.set_password(Secret::from(new.as_str())),
            Channel::File => keep(&new)?,
        }
        traffic.clear();
        let resumed = traffic.acknowledges(WRITES, Duration::from_secs(5)).await;
        trial.expect(Invariant::Claimed, resumed, "writes go on without a restart", "they do not");
        let tally = traffic.stop().await?;
        let log = scene.server.log_since(log_length)?;
        let refused = log.matches("password authentication failed").count();
        trial.proof(refused > 0, format!("the server refused {refused} logins"));
        let under_way = tally.in_flight();
        trial.proof(under_way > 0, format!("{under_way} writes were under way"));
        // Each place of the pool may ask once with the old password, and once more.
        let most = 2 * pool.options().max as usize;
        let expected = format!("at most {most} refused logins: a server may lock the role");
        trial.expect(Invariant::Claimed, refused <= most, expected, refused.to_string());
        let allowed = [GONE, &[Class::Authentication]].concat();
        examine(scene, &mut trial, &pool, &tally, &allowed).await?;
        close(&pool, &examiner).await?;
        scene.close(trial);
    }
    Ok(())
}
