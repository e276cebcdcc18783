//! Reading `postgres://` URLs. No message repeats any part of the URL but
//! parameter names: a password with an unescaped `@`, `/` or `?` can end up in
//! any part.

use super::settings::Settings;
use crate::Error;

/// Puts the settings that `url` states into `settings`.
pub(super) fn read(url: &str, settings: &mut Settings) -> Result<(), Error> {
    let rest =
        url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")).ok_or_else(
            || wrong("expected postgres://user:password@host:port/database, found another form"),
        )?;
    let (head, query) = match rest.split_once('?') {
        Some((head, query)) => (head, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = match head.split_once('/') {
        Some((authority, path)) => (authority, Some(path)),
        None => (head, None),
    };
    let hosts = match authority.split_once('@') {
        Some((credentials, hosts)) => {
            read_credentials(credentials, settings)?;
            hosts
        }
        None => authority,
    };
    if hosts.contains('@') || path.is_some_and(|path| path.contains(['@', '/'])) {
        return Err(wrong(
            "there is an @ or / too many — in a user name, password or database name write %40 for @, %2F for / and %3F for ?",
        ));
    }
    read_hosts(hosts, settings)?;
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        settings.give("dbname", decode(path, "the database name")?)?;
    }
    query.map_or(Ok(()), |query| read_query(query, settings))
}

fn read_credentials(credentials: &str, settings: &mut Settings) -> Result<(), Error> {
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (credentials, None),
    };
    if !user.is_empty() {
        settings.give("user", decode(user, "the user name")?)?;
    }
    if let Some(password) = password.filter(|password| !password.is_empty()) {
        settings.give("password", decode(password, "the password")?)?;
    }
    Ok(())
}

/// Several `host:port` pairs are kept as two lists of equal length, the way the
/// parameters `host` and `port` state them.
fn read_hosts(text: &str, settings: &mut Settings) -> Result<(), Error> {
    if text.is_empty() {
        return Ok(());
    }
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for pair in text.split(',') {
        let (host, port) = split_port(pair)?;
        hosts.push(decode(host, "the host")?);
        ports.push(decode(port, "the port")?);
    }
    if hosts.iter().any(|host| host.contains(',')) {
        return Err(wrong("a host name holds a comma"));
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        settings.give("host", hosts.join(","))?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        settings.give("port", ports.join(","))?;
    }
    Ok(())
}

fn split_port(pair: &str) -> Result<(&str, &str), Error> {
    if let Some(rest) = pair.strip_prefix('[') {
        let (host, after) =
            rest.split_once(']').ok_or_else(|| wrong("an IPv6 address lacks its closing ]"))?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None if after.is_empty() => Ok((host, "")),
            None => Err(wrong("there is text between an IPv6 address and its port")),
        };
    }
    match pair.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(wrong(
            "there is a colon too many — write an IPv6 address as [::1], and %3A for a colon in a password",
        )),
        Some(parts) => Ok(parts),
        None => Ok((pair, "")),
    }
}

fn read_query(query: &str, settings: &mut Settings) -> Result<(), Error> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| wrong("a parameter after ? lacks its =value"))?;
        let name = decode(name, "a parameter's name")?;
        let value = decode(value, "a parameter's value")?;
        match (name.as_str(), value.as_str()) {
            // The form that JDBC URLs use.
            ("ssl", "true") => settings.give("sslmode", "require".to_owned())?,
            _ => settings.give(&name, value)?,
        }
    }
    Ok(())
}

/// Undoes percent-encoding; `part` names the text in errors.
fn decode(text: &str, part: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
            }
            _ => {
                return Err(wrong(&format!(
                    "{part} holds a % that two hexadecimal digits do not follow — write %25 for a % itself"
                )));
            }
        }
    }
    if bytes.contains(&0) {
        return Err(wrong(&format!("{part} holds a zero byte")));
    }
    String::from_utf8(bytes).map_err(|_| wrong(&format!("{part} is not valid UTF-8")))
}

fn wrong(complaint: &str) -> Error {
    Error::Config(format!("database URL: {complaint}"))
}
