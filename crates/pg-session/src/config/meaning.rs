//! The meaning of the settings: servers, TLS, keepalive.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, User, geteuid};

use super::settings::Settings;
use super::{ClientCert, Host, Keepalive, RootCert, Server, SslMode};
use crate::Error;

/// Where packaged servers put their sockets.
pub(super) const SOCKET_DIRS: &[&str] = &["/var/run/postgresql", "/tmp"];

pub(super) fn servers(settings: &Settings) -> Result<Vec<Server>, Error> {
    let list = |name| -> Vec<&str> {
        settings.get(name).map_or_else(Vec::new, |value| value.split(',').map(str::trim).collect())
    };
    let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = hosts.len().max(addresses.len()).max(1);
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(settings.wrong("hostaddr", "must name as many addresses as there are hosts"));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(settings.wrong("port", "must name one port, or one for each host"));
    }
    let mut servers = Vec::with_capacity(count);
    for at in 0..count {
        let port = match ports.get(at).or_else(|| ports.first()).copied().unwrap_or_default() {
            "" => 5432,
            text => match text.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(settings.wrong("port", "is not a number from 1 to 65535")),
            },
        };
        let hostaddr: Option<IpAddr> = match addresses.get(at).copied().unwrap_or_default() {
            "" => None,
            text => match text.parse() {
                Ok(address) => Some(address),
                Err(_) => return Err(settings.wrong("hostaddr", "is not an IP address")),
            },
        };
        let host = match (hosts.get(at).copied().unwrap_or_default(), hostaddr) {
            ("", Some(address)) => Host::Tcp(address.to_string()),
            ("", None) => Host::Unix(socket_dir(port)),
            (path, _) if path.starts_with('/') => Host::Unix(PathBuf::from(path)),
            (name, _) if !is_host_name(name) => {
                return Err(settings.wrong("host", "is neither a host name nor an address"));
            }
            (name, _) => Host::Tcp(name.to_owned()),
        };
        servers.push(Server { host, hostaddr, port });
    }
    Ok(servers)
}

/// Whether a name can be looked up at all. This also keeps pieces of a mistyped
/// password out of messages.
fn is_host_name(name: &str) -> bool {
    name.len() <= 255
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'))
}

/// The directory in which a server on this machine listens.
fn socket_dir(port: u16) -> PathBuf {
    let has_socket = |dir: &&&str| Path::new(dir).join(format!(".s.PGSQL.{port}")).exists();
    let exists = |dir: &&&str| Path::new(dir).is_dir();
    SOCKET_DIRS
        .iter()
        .find(has_socket)
        .or_else(|| SOCKET_DIRS.iter().find(exists))
        .map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}

pub(super) fn tls_settings(
    settings: &Settings,
    home: impl Fn() -> Option<PathBuf>,
) -> Result<(SslMode, Option<RootCert>), Error> {
    let root = settings.get("sslrootcert").map(|text| match text {
        "system" => RootCert::System,
        path => RootCert::File(PathBuf::from(path)),
    });
    let mode = settings.choice(
        "sslmode",
        &[
            ("disable", SslMode::Disable),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
            ("verify-ca", SslMode::VerifyCa),
            ("verify-full", SslMode::VerifyFull),
        ],
    )?;
    let mode = match (mode, &root) {
        (None, Some(_)) => SslMode::VerifyFull,
        (None, None) => SslMode::Prefer,
        (Some(SslMode::Require), Some(RootCert::File(_))) => SslMode::VerifyCa,
        (Some(mode), Some(RootCert::System)) if mode != SslMode::VerifyFull => {
            return Err(settings.wrong("sslmode", "is too weak for sslrootcert=system: anyone can have a certificate that a public authority signed; use verify-full"));
        }
        (Some(mode), _) => mode,
    };
    let root = match (mode, root) {
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => {
            let file = home().map(|home| home.join(".postgresql/root.crt"));
            match file.filter(|file| file.is_file()) {
                Some(file) => Some(RootCert::File(file)),
                None => {
                    return Err(settings.wrong(
                        "sslmode",
                        "needs certificate authorities: give sslrootcert=FILE or sslrootcert=system",
                    ));
                }
            }
        }
        (_, root) => root,
    };
    Ok((mode, root))
}

pub(super) fn client_cert(settings: &Settings) -> Result<Option<ClientCert>, Error> {
    match (settings.get("sslcert"), settings.get("sslkey")) {
        (Some(certificate), Some(key)) => {
            Ok(Some(ClientCert { certificate: certificate.into(), key: key.into() }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(settings.wrong("sslcert", "is given without sslkey")),
        (None, Some(_)) => Err(settings.wrong("sslkey", "is given without sslcert")),
    }
}

pub(super) fn channel_binding(
    settings: &Settings,
) -> Result<tokio_postgres::config::ChannelBinding, Error> {
    use tokio_postgres::config::ChannelBinding as Binding;
    let choices =
        [("disable", Binding::Disable), ("prefer", Binding::Prefer), ("require", Binding::Require)];
    Ok(settings.choice("channel_binding", &choices)?.unwrap_or(Binding::Prefer))
}

pub(super) fn keepalive(settings: &Settings) -> Result<Keepalive, Error> {
    let default = Keepalive::default();
    let seconds = |name, default| {
        let number = settings.number(name, 1..=86_400, "seconds")?;
        Ok::<_, Error>(number.map_or(default, |n| Duration::from_secs(n.into())))
    };
    Ok(Keepalive {
        enabled: settings.choice("keepalives", &[("0", false), ("1", true)])?.unwrap_or(true),
        idle: seconds("keepalives_idle", default.idle)?,
        interval: seconds("keepalives_interval", default.interval)?,
        count: settings.number("keepalives_count", 1..=127, "probes")?.unwrap_or(default.count),
        user_timeout: settings
            .number("tcp_user_timeout", 1..=86_400_000, "milliseconds")?
            .map_or(default.user_timeout, |n| Duration::from_millis(n.into())),
    })
}

pub(super) fn is_utf8_name(name: &str) -> bool {
    ["utf8", "utf-8", "auto"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

pub(super) fn system_user() -> Result<String, Error> {
    user_name(geteuid())
}

fn user_name(user: Uid) -> Result<String, Error> {
    User::from_uid(user).ok().flatten().map(|user| user.name).ok_or_else(|| {
        Error::Config(
            "the operating-system user has no name — name the role in the URL or PGUSER".to_owned(),
        )
    })
}

pub(super) fn system_home() -> Option<PathBuf> {
    User::from_uid(geteuid()).ok().flatten().map(|user| user.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_name_is_told_what_to_do() {
        let shown = user_name(Uid::from_raw(3_999_999_999)).unwrap_err().to_string();
        assert!(shown.contains("has no name — name the role"), "{shown}");
    }
}
