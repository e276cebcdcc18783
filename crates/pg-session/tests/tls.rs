//! TLS with a real server: who it is, whether it is believed, and what is never
//! sent to one that is not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pg_local::{Cluster, Profile, Runtime};
use pg_session::{Class, Config, Error, Pool, connect};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm, SigningKey,
    date_time_ymd,
};
use support::{options, until_returned};
use x509_cert::certificate::Version;
use x509_cert::der::asn1::BitString;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode, Encode, EncodePem};

/// A server that speaks TLS, and the authority that vouches for it.
struct Secured {
    cluster: Cluster,
    data: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

impl Secured {
    fn start() -> Self {
        let runtime = Runtime::locate_or_install(&|_| {}).unwrap();
        let cluster = Cluster::temporary(&runtime, Profile::Fast).unwrap();
        let data =
            PathBuf::from(cluster.run_sql("postgres", "SHOW data_directory").unwrap().trim());
        let secured = Self { cluster, data, authority: authority("the authority") };
        secured.show_ordinary(&PKCS_ECDSA_P256_SHA256, &["localhost", "127.0.0.1"]);
        secured.set("ssl = on");
        secured
    }

    /// Writes a file that the server owns.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.data.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let owner = fs::metadata(&self.data).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        path
    }

    /// Changes a setting, or reads the files again.
    fn set(&self, setting: &str) {
        if !setting.is_empty() {
            self.sql(&format!("ALTER SYSTEM SET {setting}"));
        }
        let read = "SELECT pg_conf_load_time()";
        let before = self.sql(read);
        self.sql("SELECT pg_reload_conf()");
        while self.sql(read) == before {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn sql(&self, sql: &str) -> String {
        let mut psql = self.cluster.psql("postgres");
        // psql cannot do with every certificate of these tests what it would prefer.
        psql.env("PGCHANNELBINDING", "disable").args(["-qAt", "-c", sql]);
        let output = psql.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes the server show a certificate.
    fn show(&self, certificate: &str, key: &KeyPair) {
        self.write("server.crt", certificate);
        self.write("server.key", &key.serialize_pem());
        self.set("");
    }

    fn show_ordinary(&self, algorithm: &'static SignatureAlgorithm, names: &[&str]) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params(names).signed_by(&key, &self.authority).unwrap();
        self.show(&certificate.pem(), &key);
    }

    /// A configuration for the server under a name that the server's own address answers to.
    fn config(&self, host: &str, query: &str) -> Config {
        let port = self.cluster.port();
        let url = self.cluster.url("postgres").replace("127.0.0.1", host);
        let config = Config::from_url(&format!("{url}?hostaddr=127.0.0.1&{query}")).unwrap();
        assert!(config.address().contains(&port.to_string()));
        config
    }

    fn root(&self) -> Root {
        Root::of(&self.authority.pem())
    }
}

/// A file for `sslrootcert`.
struct Root(tempfile::NamedTempFile);

impl Root {
    fn of(pem: &str) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(pem.as_bytes()).unwrap();
        Self(file)
    }

    fn query(&self) -> String {
        format!("sslrootcert={}", self.0.path().display())
    }
}

/// A private key of no known kind.
const ODD_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";

/// The same certificate as version 1, which has no extensions.
fn version_1(certificate: &rcgen::Certificate, key: &KeyPair) -> String {
    let mut old = x509_cert::Certificate::from_der(certificate.der()).unwrap();
    old.tbs_certificate.version = Version::V1;
    old.tbs_certificate.extensions = None;
    let signature = key.sign(&old.tbs_certificate.to_der().unwrap()).unwrap();
    old.signature = BitString::from_bytes(&signature).unwrap();
    old.to_pem(LineEnding::LF).unwrap()
}

async fn tls_of(config: &Config) -> Result<Option<String>, Error> {
    let client = connect(config).await?;
    let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await.unwrap().get(0))
}

async fn refusal(config: &Config) -> String {
    match connect(config).await {
        Err(error @ Error::Tls { .. }) => {
            assert_eq!(error.class(), Class::Connect);
            error.to_string()
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected"),
    }
}

#[tokio::test]
async fn a_server_is_believed_when_its_authority_and_name_are_right() {
    let secured = Secured::start();
    let root = secured.root();
    let query = root.query();
    // A root certificate alone means the full verification.
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384] {
        secured.show_ordinary(algorithm, &["localhost", "127.0.0.1"]);
        for host in ["localhost", "127.0.0.1"] {
            let config = secured.config(host, &format!("{query}&channel_binding=require"));
            assert_eq!(tls_of(&config).await.unwrap().as_deref(), Some("TLSv1.3"));
        }
    }
    let direct = secured.config("localhost", &format!("{query}&sslnegotiation=direct"));
    assert_eq!(tls_of(&direct).await.unwrap().as_deref(), Some("TLSv1.3"));

    secured.set("ssl_max_protocol_version = 'TLSv1.2'");
    assert_eq!(
        tls_of(&secured.config("localhost", &query)).await.unwrap().as_deref(),
        Some("TLSv1.2")
    );
    secured.set("ssl_max_protocol_version = ''");

    // Another name: refused, unless only the authority is to be looked at.
    secured.show_ordinary(&PKCS_ECDSA_P256_SHA256, &["db.example"]);
    let shown = refusal(&secured.config("localhost", &query)).await;
    assert!(shown.contains("certificate is not for \"localhost\""), "{shown}");
    for mode in ["verify-ca", "require"] {
        let config = secured.config("localhost", &format!("{query}&sslmode={mode}"));
        assert!(tls_of(&config).await.unwrap().is_some(), "{mode}");
    }
    let config = secured.config("db.example", &query);
    assert!(tls_of(&config).await.unwrap().is_some(), "looked up under its name, by its address");

    // Another authority: refused. Nobody asked: any will do.
    let other = Root::of(&authority("another").pem());
    let shown = refusal(&secured.config("db.example", &other.query())).await;
    assert!(shown.contains("no authority in sslrootcert signed"), "{shown}");
    let shown = refusal(&secured.config("db.example", "sslrootcert=system")).await;
    assert!(shown.contains("no authority in sslrootcert signed"), "{shown}");
    for mode in ["require", "prefer"] {
        let config = secured.config("db.example", &format!("sslmode={mode}"));
        assert!(tls_of(&config).await.unwrap().is_some(), "{mode}");
    }

    // Out of date.
    let mut old = params(&["localhost"]);
    (old.not_before, old.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    let key = KeyPair::generate().unwrap();
    secured.show(&old.signed_by(&key, &secured.authority).unwrap().pem(), &key);
    let shown = refusal(&secured.config("localhost", &query)).await;
    assert!(shown.contains("has expired"), "{shown}");
    let mut early = params(&["localhost"]);
    (early.not_before, early.not_after) = (date_time_ymd(2101, 1, 1), date_time_ymd(2102, 1, 1));
    secured.show(&early.signed_by(&key, &secured.authority).unwrap().pem(), &key);
    let shown = refusal(&secured.config("localhost", &query)).await;
    assert!(shown.contains("not valid yet"), "{shown}");
}

#[tokio::test]
async fn certificates_of_old_habits() {
    let secured = Secured::start();
    // Its own authority, as `openssl req -x509` makes it.
    let key = KeyPair::generate().unwrap();
    let mut own = params(&["localhost"]);
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = own.self_signed(&key).unwrap();
    secured.show(&own.pem(), &key);
    let root = Root::of(&own.pem());
    assert!(tls_of(&secured.config("localhost", &root.query())).await.unwrap().is_some());
    let shown = refusal(&secured.config("localhost", &secured.root().query())).await;
    assert!(shown.contains("self-signed and not in sslrootcert"), "{shown}");

    // X.509 version 1, as `openssl x509 -req` makes it: nothing in it can be
    // verified, and where nothing is verified it will do.
    let old = version_1(&own, &key);
    secured.show(&old, &key);
    let config = secured.config("localhost", "sslmode=require&channel_binding=require");
    assert_eq!(tls_of(&config).await.unwrap().as_deref(), Some("TLSv1.3"));
    let root = Root::of(&old);
    let shown = refusal(&secured.config("localhost", &root.query())).await;
    assert!(shown.contains("X.509 version 1"), "{shown}");
}

#[tokio::test]
async fn a_binding_that_cannot_be_had_fails_closed() {
    let secured = Secured::start();
    // There is no channel binding for a certificate signed by such a key.
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = params(&["localhost"]).self_signed(&key).unwrap().pem();
    secured.show(&certificate, &key);
    let root = Root::of(&certificate);
    let bound = format!("{}&channel_binding=require", root.query());
    let error = connect(&secured.config("localhost", &bound)).await.err().unwrap();
    assert_eq!(error.class(), Class::Authentication, "{error:?}");
    let unbound = secured.config("localhost", &root.query());
    assert!(tls_of(&unbound).await.unwrap().is_some());
    // Nor without TLS.
    let plain = secured.config("localhost", "sslmode=disable&channel_binding=require");
    let error = connect(&plain).await.err().unwrap();
    assert_eq!(error.class(), Class::Authentication, "{error:?}");
}

#[tokio::test]
async fn requests_to_cancel_go_through_tls() {
    let secured = Secured::start();
    secured.write("pg_hba.conf", "hostssl all all all scram-sha-256\n");
    secured.set("log_connections = on");
    let root = secured.root();
    let config = secured.config("localhost", &root.query());
    let pool = Pool::open(config.clone(), options()).await.unwrap();
    let mut session = pool.acquire().await.unwrap();
    let call = session.execute("SELECT pg_sleep(600)", &[]);
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    drop(session);
    until_returned(&pool).await;
    let observer = connect(&config).await.unwrap();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    let mut left = -1;
    for _ in 0..1000 {
        left = observer.query_one(sql, &[]).await.unwrap().get(0);
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(left, 0_i64, "still running");
    // Without TLS this server takes nobody.
    let plain = secured.config("localhost", "sslmode=disable");
    let error = connect(&plain).await.err().unwrap();
    assert_eq!((error.class(), error.sqlstate()), (Class::Authentication, Some("28000")));
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate() {
    let secured = Secured::start();
    secured.write("root.crt", &secured.authority.pem());
    // The superuser goes on with the password, for the changes of this test.
    secured.write("pg_hba.conf", "hostssl all known all cert\nhost all all all scram-sha-256\n");
    secured.cluster.run_sql("postgres", "CREATE ROLE known LOGIN").unwrap();
    secured.set("ssl_ca_file = 'root.crt'");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let key = KeyPair::generate().unwrap();
    let mut known = CertificateParams::default();
    known.distinguished_name.push(DnType::CommonName, "known");
    let known = known.signed_by(&key, &secured.authority).unwrap();
    let (certificate, key_file) =
        (file("known.crt", &known.pem()), file("known.key", &key.serialize_pem()));
    let root = secured.root();
    let with = |certificate: &Path, key: &Path| {
        let query =
            format!("{}&sslcert={}&sslkey={}", root.query(), certificate.display(), key.display());
        secured.config("localhost", &query).with_user("known", None)
    };
    assert!(tls_of(&with(&certificate, &key_file)).await.unwrap().is_some());

    // Without one the server breaks off; it says why in its own log only.
    let none = secured.config("localhost", &root.query()).with_user("known", None);
    let error = connect(&none).await.err().unwrap();
    assert_eq!((error.class(), error.sqlstate()), (Class::Authentication, Some("28000")));

    // Of an authority that the server does not know.
    let stranger = authority("another");
    let mut unknown = CertificateParams::default();
    unknown.distinguished_name.push(DnType::CommonName, "known");
    let unknown = file("unknown.crt", &unknown.signed_by(&key, &stranger).unwrap().pem());
    let shown = refusal(&with(&unknown, &key_file)).await;
    assert!(shown.contains("TLS alert"), "{shown}");

    // Files that cannot be used are found before anything is sent.
    let other = file("other.key", &KeyPair::generate().unwrap().serialize_pem());
    let open = file("open.key", &key.serialize_pem());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let empty = file("empty", "");
    let odd = file("odd.key", ODD_KEY);
    let missing = folder.path().join("missing");
    for (certificate, key, complaint) in [
        (&certificate, &other, "sslkey: PATH: is not the key of the certificate in sslcert"),
        (&certificate, &open, "others may read this key; chmod 0600 it"),
        (&certificate, &empty, "is not an unencrypted PEM private key"),
        (&certificate, &odd, "is a key of a kind that is not supported"),
        (&certificate, &missing, "No such file"),
        (&empty, &key_file, "sslcert: PATH: holds no PEM certificate"),
        (&missing, &key_file, "sslcert: PATH: No such file"),
    ] {
        let error = connect(&with(certificate, key)).await.err().unwrap();
        assert_eq!(error.class(), Class::Config, "{error:?}");
        let shown = error.to_string();
        for part in complaint.split("PATH") {
            assert!(shown.contains(part), "{shown}");
        }
    }
}

/// A peer in the middle that says it knows no TLS: not one byte more reaches it.
#[tokio::test]
async fn nothing_is_sent_to_a_server_without_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let mut heard = Vec::new();
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).unwrap();
        stream.write_all(b"N").unwrap();
        stream.read_to_end(&mut heard).unwrap();
        heard
    });
    let config = Config::from_url(&format!("postgres://u:canary@{address}/d?sslmode=require"));
    let shown = refusal(&config.unwrap()).await;
    assert!(shown.contains("does not offer TLS and sslmode demands it"), "{shown}");
    assert_eq!(peer.join().unwrap(), b"");
}
