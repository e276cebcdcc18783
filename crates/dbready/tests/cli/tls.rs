//! Servers that are not who they should be, given by `--url`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use pg_local::{Cluster, Profile, Runtime};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use crate::processes::wait_until;
use crate::support::{CANARY, dbready, open_folder, with_credentials};

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server that speaks TLS.
struct Server {
    cluster: Cluster,
    data: PathBuf,
}

impl Server {
    fn start() -> Self {
        let runtime = Runtime::locate_or_install(&|_| ()).unwrap();
        let cluster = Cluster::temporary(&runtime, Profile::Fast).unwrap();
        let data = cluster.run_sql("postgres", "SHOW data_directory").unwrap();
        let create = format!("CREATE ROLE reader LOGIN PASSWORD '{CANARY}'");
        cluster.run_sql("postgres", &create).unwrap();
        Self { cluster, data: PathBuf::from(data.trim()) }
    }

    /// Writes a file that the server owns.
    fn write(&self, name: &str, text: &str) {
        let path = self.data.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let owner = fs::metadata(&self.data).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }

    /// Changes a setting, and has the server read its files again.
    fn set(&self, setting: &str) {
        let sql = |sql: &str| self.cluster.run_sql("postgres", sql).unwrap();
        sql(&format!("ALTER SYSTEM SET {setting}"));
        let before = sql("SELECT pg_conf_load_time()");
        sql("SELECT pg_reload_conf()");
        wait_until(
            || "the settings are not read".to_owned(),
            || sql("SELECT pg_conf_load_time()") != before,
        );
    }

    /// Shows a certificate for a host, good until the end of a year.
    fn show(&self, authority: &Authority, host: &str, until: i32) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().unwrap();
        self.write("server.crt", &params.signed_by(&key, authority).unwrap().pem());
        self.write("server.key", &key.serialize_pem());
        self.set("ssl = on");
    }

    fn url(&self, query: &str) -> String {
        let url = self.cluster.url("postgres").replace("127.0.0.1", "localhost");
        let url = with_credentials(&url, &format!("reader:{CANARY}"));
        format!("{url}?hostaddr=127.0.0.1&{query}")
    }

    /// Demands that no command goes on with this server, and that each says why.
    fn is_refused(&self, query: &str, why: &str) {
        let url = self.url(query);
        for command in [&["check"][..], &["certify"], &["load"], &["migrate", "status"]] {
            let args = [command, &["--url", &url]].concat();
            dbready(&args).exits(3).says(&[why]);
        }
    }
}

fn file(folder: &Path, name: &str, authority: &Authority) -> String {
    let path = folder.join(name);
    fs::write(&path, authority.pem()).unwrap();
    format!("sslrootcert={}", path.display())
}

#[test]
fn a_server_that_cannot_be_believed_is_refused() {
    let folder = open_folder();
    let (ours, another) = (authority("ours"), authority("another"));
    let server = Server::start();
    let trust = file(folder.path(), "ours.crt", &ours);

    // Nothing offered where it is demanded.
    server.is_refused("sslmode=require", "does not offer TLS");
    server.is_refused(&trust, "does not offer TLS");

    server.show(&ours, "localhost", 2100);
    let believed = server.url(&trust);
    dbready(&["check", "--url", &believed]).exits(1).prints(&["NOT CERTIFIED"]);
    let foreign = file(folder.path(), "another.crt", &another);
    server.is_refused(&foreign, "no authority in sslrootcert signed");
    server.is_refused("sslrootcert=system", "no authority in sslrootcert signed");

    server.show(&ours, "db.example", 2100);
    server.is_refused(&trust, "certificate is not for \"localhost\"");
    server.show(&ours, "localhost", 2001);
    server.is_refused(&trust, "has expired");

    // A server that takes nobody in plain text.
    server.show(&ours, "localhost", 2100);
    server.write("pg_hba.conf", "local all all trust\nhostssl all all all scram-sha-256\n");
    server.set("ssl = on");
    server.is_refused("sslmode=disable", "28000");
    dbready(&["check", "--url", &believed]).exits(1).prints(&["NOT CERTIFIED"]);
}
