//! The named settings of a connection, wherever they came from.

use std::collections::BTreeMap;

use crate::Error;

/// Every setting that is understood, by the name that libpq gives it, and the
/// environment variable that stands for it, if there is one.
const KEYWORDS: &[(&str, Option<&str>)] = &[
    ("host", Some("PGHOST")),
    ("hostaddr", Some("PGHOSTADDR")),
    ("port", Some("PGPORT")),
    ("user", Some("PGUSER")),
    ("password", Some("PGPASSWORD")),
    ("passfile", Some("PGPASSFILE")),
    ("dbname", Some("PGDATABASE")),
    ("options", Some("PGOPTIONS")),
    ("application_name", Some("PGAPPNAME")),
    ("fallback_application_name", None),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    ("client_encoding", Some("PGCLIENTENCODING")),
    ("sslmode", Some("PGSSLMODE")),
    ("sslnegotiation", Some("PGSSLNEGOTIATION")),
    ("sslrootcert", Some("PGSSLROOTCERT")),
    ("sslcert", Some("PGSSLCERT")),
    ("sslkey", Some("PGSSLKEY")),
    ("channel_binding", Some("PGCHANNELBINDING")),
    ("gssencmode", Some("PGGSSENCMODE")),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    ("load_balance_hosts", Some("PGLOADBALANCEHOSTS")),
    ("keepalives", None),
    ("keepalives_idle", None),
    ("keepalives_interval", None),
    ("keepalives_count", None),
    ("tcp_user_timeout", None),
];

/// Variables that would change how safely libpq connects and that are not
/// supported: ignoring them would weaken what their owner asked for.
const REFUSED_VARIABLES: &[&str] =
    &["PGSERVICE", "PGREQUIREAUTH", "PGREQUIREPEER", "PGSSLCRL", "PGSSLCRLDIR"];

/// Where a value came from, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Code,
    Url,
    Environment,
}

struct Setting {
    value: String,
    origin: Origin,
}

/// The settings that were given; the first to give one wins.
#[derive(Default)]
pub(super) struct Settings(BTreeMap<&'static str, Setting>);

impl Settings {
    /// Sets `name` from the URL. The URL may give each setting once.
    pub(super) fn give(&mut self, name: &str, value: String) -> Result<(), Error> {
        self.set(name, value, Origin::Url)
    }

    /// Sets `name` from the program. It may give each setting once.
    pub(super) fn state(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.set(name, value.to_owned(), Origin::Code)
    }

    fn set(&mut self, name: &str, value: String, origin: Origin) -> Result<(), Error> {
        let place = if origin == Origin::Url { "database URL" } else { "database settings" };
        let Some((known, _)) = KEYWORDS.iter().find(|(known, _)| *known == name) else {
            return Err(Error::Config(format!(
                "{place}: unknown parameter {} — correct its spelling or remove it",
                harmless(name)
            )));
        };
        if self.0.insert(known, Setting { value, origin }).is_some() {
            return Err(Error::Config(format!("{place}: {name} is given twice")));
        }
        Ok(())
    }

    /// Fills what is not set from the environment. `PGHOSTADDR` is left out when
    /// the host is set already: it would lead elsewhere than the host says.
    pub(super) fn fill_from(&mut self, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Error> {
        for variable in REFUSED_VARIABLES {
            if env(variable).is_some_and(|value| !value.is_empty()) {
                return Err(Error::Config(format!(
                    "{variable} is set and not supported — unset it and give the settings one by one"
                )));
            }
        }
        let host_given = self.0.contains_key("host") || self.0.contains_key("hostaddr");
        for (name, variable) in KEYWORDS {
            let Some(variable) = *variable else { continue };
            if self.0.contains_key(name) || (host_given && variable == "PGHOSTADDR") {
                continue;
            }
            if let Some(value) = env(variable).filter(|value| !value.is_empty()) {
                self.0.insert(name, Setting { value, origin: Origin::Environment });
            }
        }
        Ok(())
    }

    /// The value of `name`; an empty one counts as not given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|setting| setting.value.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of `name` read as one of `choices`.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        if let Some((_, meaning)) = choices.iter().find(|(text, _)| *text == value) {
            return Ok(Some(*meaning));
        }
        let known: Vec<&str> = choices.iter().map(|(text, _)| *text).collect();
        Err(self.wrong(name, &format!("is none of {}", known.join(", "))))
    }

    /// The value of `name` read as a whole number in `range`.
    pub(super) fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
        unit: &str,
    ) -> Result<Option<u32>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.trim().parse::<u32>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(self.wrong(
                name,
                &format!(
                    "is not a whole number of {unit} from {} to {}",
                    range.start(),
                    range.end()
                ),
            )),
        }
    }

    /// An error about the value of `name`. The value is shown only when it is
    /// a plain word: a mistyped URL can put part of a password anywhere, and in
    /// `user:password` without a host the password stands in the port's place.
    pub(super) fn wrong(&self, name: &str, complaint: &str) -> Error {
        let setting = self.0.get(name);
        let value = setting.map_or("", |setting| setting.value.as_str());
        let from_url = setting.is_none_or(|setting| setting.origin == Origin::Url);
        let shown = if is_word(value) && !(from_url && name == "port") {
            format!("\"{value}\" ")
        } else {
            String::new()
        };
        let place = match setting.map(|setting| setting.origin) {
            Some(Origin::Environment) => KEYWORDS
                .iter()
                .find(|(known, _)| *known == name)
                .and_then(|(_, variable)| *variable)
                .unwrap_or(name)
                .to_owned(),
            Some(Origin::Code) => format!("database settings: {name}"),
            _ => format!("database URL: {name}"),
        };
        Error::Config(format!("{place}: {shown}{complaint}"))
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A parameter name fit to be shown.
fn harmless(name: &str) -> String {
    if is_word(name) { format!("\"{name}\"") } else { "(name not shown)".to_owned() }
}
