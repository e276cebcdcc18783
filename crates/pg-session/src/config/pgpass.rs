//! Password files: `host:port:database:user:password`, one entry a line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Secret;

/// The text of the password file at `path`. A missing file is normal; a file
/// that others may read, or that is no file, is ignored with a warning.
pub(super) fn read(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    if !meta.is_file() {
        tracing::warn!(path = %path.display(), "password file ignored: it is not a plain file");
        return None;
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format!("{mode:04o}"),
            "password file ignored: others may read it; chmod 0600 it"
        );
        return None;
    }
    match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "password file ignored: not readable");
            None
        }
    }
}

/// The password of the first entry that fits. `hosts` are the names that the
/// server goes by, such as a socket directory and `localhost`.
pub(super) fn find(
    text: &str,
    hosts: &[String],
    port: u16,
    dbname: &str,
    user: &str,
) -> Option<Secret> {
    let port = port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = Fields(line);
        let host = fields.next_field()?;
        let fits = hosts.iter().any(|name| matches(&host, name))
            && matches(&fields.next_field()?, &port)
            && matches(&fields.next_field()?, dbname)
            && matches(&fields.next_field()?, user);
        if !fits {
            return None;
        }
        let password = unescape(fields.0).0;
        (!password.is_empty()).then(|| Secret::new(password))
    })
}

/// A field that is exactly `*` fits anything; `\*` is a star.
fn matches(field: &Field, value: &str) -> bool {
    field.any || field.text == value
}

struct Field {
    text: String,
    any: bool,
}

/// The rest of a line.
struct Fields<'a>(&'a str);

impl Fields<'_> {
    fn next_field(&mut self) -> Option<Field> {
        let (text, used) = unescape(self.0);
        let raw = self.0.get(..used)?;
        self.0 = self.0.get(used..)?.strip_prefix(':')?;
        Some(Field { any: raw == "*", text })
    }
}

/// The text up to the first colon that no backslash precedes, backslashes
/// undone, and how many bytes of `raw` that took.
fn unescape(raw: &str) -> (String, usize) {
    let mut text = String::new();
    let mut chars = raw.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return (text, at),
            '\\' => text.extend(chars.next().map(|(_, c)| c)),
            c => text.push(c),
        }
    }
    (text, raw.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str, host: &str, dbname: &str, user: &str) -> Option<String> {
        find(text, &[host.to_owned()], 5432, dbname, user).map(|s| s.expose().to_owned())
    }

    #[test]
    fn the_first_fitting_entry_wins() {
        let text = "# comment:*:*:*:no\nh:5432:db:u:first\n*:*:*:*:any\n";
        assert_eq!(look(text, "h", "db", "u").as_deref(), Some("first"));
        assert_eq!(look(text, "other", "db", "u").as_deref(), Some("any"));
    }

    #[test]
    fn a_port_or_role_that_differs_does_not_fit() {
        assert_eq!(look("h:5433:db:u:no", "h", "db", "u"), None);
        assert_eq!(look("h:5432:db:v:no", "h", "db", "u"), None);
        assert_eq!(look("h:5432:db", "h", "db", "u"), None);
    }

    #[test]
    fn backslashes_escape_colons_and_backslashes() {
        assert_eq!(look(r"h:*:d\:b:u\\x:p\:w\\d", "h", "d:b", r"u\x").as_deref(), Some(r"p:w\d"));
        assert_eq!(look(r"\*:*:*:*:no", "h", "d", "u"), None);
    }

    #[test]
    fn a_file_that_cannot_be_trusted_is_ignored_with_a_warning() {
        tracing::subscriber::with_default(tracing_subscriber::fmt().finish(), ignored);
    }

    fn ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        fs::write(&path, "*:*:*:*:secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read(&path), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read(&path).is_some());
        fs::write(&path, b"*:*:*:*:\xff\n").unwrap();
        assert_eq!(read(&path), None);
        assert_eq!(read(dir.path()), None);
    }
}
