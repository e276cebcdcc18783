//! What lies where in a contract directory.

/// Name of the contract's own document.
pub(super) const DOCUMENT: &str = "contract.toml";
/// Name of the script that fills a database.
pub(super) const SEED: &str = "seed.sql";
/// Folder of the query texts.
pub(super) const QUERIES: &str = "queries/";
/// Folder of the migrations.
pub(super) const MIGRATIONS: &str = "migrations/";

/// What a contract directory consists of, in words.
pub(super) const UNKNOWN: &str = "a contract directory holds contract.toml, seed.sql, queries/ and \
     migrations/ with .sql files, README* and docs/; rename or remove this";

/// What a file of a contract directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `contract.toml`.
    Document,
    /// `seed.sql`.
    Seed,
    /// A text below `queries/`.
    Query,
    /// A script in `migrations/`.
    Migration,
    /// Beside the contract without belonging to it: a README, documentation, hidden files.
    Beside,
}

impl Place {
    /// The place of a file, by its path relative to the contract directory; `None` when it has none.
    pub(super) fn of(path: &str) -> Option<Self> {
        if is_beside(path) {
            return Some(Self::Beside);
        }
        if path == DOCUMENT {
            return Some(Self::Document);
        }
        if path == SEED {
            return Some(Self::Seed);
        }
        // Extensions are compared as written: `.SQL` is not a name that others look for.
        let is_sql = path.split('/').next_back().and_then(|name| name.strip_suffix(".sql"));
        is_sql.filter(|stem| !stem.is_empty())?;
        let in_migrations = path.strip_prefix(MIGRATIONS).is_some_and(|name| !name.contains('/'));
        if path.starts_with(QUERIES) {
            Some(Self::Query)
        } else {
            in_migrations.then_some(Self::Migration)
        }
    }

    /// Largest size in bytes.
    pub(super) fn limit(self) -> u64 {
        match self {
            Self::Document | Self::Query => 1 << 20,
            Self::Migration => 4 << 20,
            Self::Seed => 16 << 20,
            Self::Beside => 0,
        }
    }
}

/// Whether something lies beside the contract without belonging to it.
pub(super) fn is_beside(path: &str) -> bool {
    let hidden = path.split('/').any(|part| part.starts_with('.') && part != "." && part != "..");
    hidden || path.starts_with("README") || path == "docs" || path.starts_with("docs/")
}

/// Whether a folder can hold files of a contract.
pub(super) fn is_folder(path: &str) -> bool {
    format!("{path}/").starts_with(QUERIES) || format!("{path}/") == MIGRATIONS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_its_place() {
        for (path, place) in [
            ("contract.toml", Some(Place::Document)),
            ("seed.sql", Some(Place::Seed)),
            ("queries/a.sql", Some(Place::Query)),
            ("queries/samples/a.sql", Some(Place::Query)),
            ("migrations/1.0.0_a.up.sql", Some(Place::Migration)),
            ("README.md", Some(Place::Beside)),
            ("docs/a.png", Some(Place::Beside)),
            (".gitignore", Some(Place::Beside)),
            ("queries/.a.sql.swp", Some(Place::Beside)),
            ("Contract.toml", None),
            ("querys/a.sql", None),
            ("a.sql", None),
            ("queries/a.txt", None),
            ("queries/a.SQL", None),
            ("migrations/old/1.0.0_a.up.sql", None),
            ("documents/a", None),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }
}
