//! The named settings of a connection, wherever they came from.

use std::collections::BTreeMap;

use crate::Error;

/// A setting's name and the environment variable that stands for it.
pub(super) struct Keyword {
    pub(super) name: &'static str,
    pub(super) variable: Option<&'static str>,
}

const fn keyword(name: &'static str, variable: &'static str) -> Keyword {
    Keyword { name, variable: Some(variable) }
}

const fn unnamed(name: &'static str) -> Keyword {
    Keyword { name, variable: None }
}

/// Every setting that is understood, by the names that libpq gives them.
pub(super) const KEYWORDS: &[Keyword] = &[
    keyword("host", "PGHOST"),
    keyword("hostaddr", "PGHOSTADDR"),
    keyword("port", "PGPORT"),
    keyword("user", "PGUSER"),
    keyword("password", "PGPASSWORD"),
    keyword("passfile", "PGPASSFILE"),
    keyword("dbname", "PGDATABASE"),
    keyword("options", "PGOPTIONS"),
    keyword("application_name", "PGAPPNAME"),
    unnamed("fallback_application_name"),
    keyword("connect_timeout", "PGCONNECT_TIMEOUT"),
    keyword("client_encoding", "PGCLIENTENCODING"),
    keyword("sslmode", "PGSSLMODE"),
    keyword("sslnegotiation", "PGSSLNEGOTIATION"),
    keyword("sslrootcert", "PGSSLROOTCERT"),
    keyword("sslcert", "PGSSLCERT"),
    keyword("sslkey", "PGSSLKEY"),
    keyword("channel_binding", "PGCHANNELBINDING"),
    keyword("gssencmode", "PGGSSENCMODE"),
    keyword("target_session_attrs", "PGTARGETSESSIONATTRS"),
    keyword("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    unnamed("keepalives"),
    unnamed("keepalives_idle"),
    unnamed("keepalives_interval"),
    unnamed("keepalives_count"),
    unnamed("tcp_user_timeout"),
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
        let Some(keyword) = KEYWORDS.iter().find(|keyword| keyword.name == name) else {
            return Err(Error::Config(format!(
                "{place}: unknown parameter {} — correct its spelling or remove it",
                harmless(name)
            )));
        };
        if self.0.insert(keyword.name, Setting { value, origin }).is_some() {
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
        for keyword in KEYWORDS {
            let Some(variable) = keyword.variable else { continue };
            if self.0.contains_key(keyword.name) || (host_given && variable == "PGHOSTADDR") {
                continue;
            }
            if let Some(value) = env(variable).filter(|value| !value.is_empty()) {
                self.0.insert(keyword.name, Setting { value, origin: Origin::Environment });
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
                .find(|keyword| keyword.name == name)
                .and_then(|keyword| keyword.variable)
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
