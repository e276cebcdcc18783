//! Roles, and what each may do in the database.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::model::{Contract, in_version};

/// One group role: nobody logs in as it, logins are members of it. It holds these rights and no others.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Name.
    pub name: String,
    /// Whom it is for.
    pub meaning: String,
    /// First contract version that has it.
    pub since: Option<Version>,
    /// First contract version that no longer has it.
    pub until: Option<Version>,
    /// Roles that it is a member of, and whose rights it therefore has, too.
    #[serde(default)]
    pub member_of: Vec<String>,
    /// Schemas whose objects it may name (`USAGE`).
    #[serde(default)]
    pub usage: Vec<String>,
    /// Schemas in which it may make objects (`CREATE`).
    #[serde(default)]
    pub create: Vec<String>,
    /// Functions that it may call (`EXECUTE`), by name without arguments.
    #[serde(default)]
    pub execute: Vec<String>,
    /// Sequences from which it may take numbers (`USAGE`); those of identity columns need no right.
    #[serde(default)]
    pub sequences: Vec<String>,
    /// What it may do with tables and views.
    #[serde(default, rename = "table")]
    pub tables: Vec<TableRights>,
}

/// What a role may do with one table or view.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TableRights {
    /// Table, continuous aggregate or known view.
    pub name: String,
    /// Privileges as `GRANT` names them: `SELECT`, `INSERT`, `UPDATE`, `DELETE`, `TRUNCATE`,
    /// `REFERENCES`, `TRIGGER`, `MAINTAIN`.
    pub privileges: Vec<String>,
    /// First contract version in which it has them.
    pub since: Option<Version>,
    /// First contract version in which it no longer has them.
    pub until: Option<Version>,
}

/// Privileges on tables.
pub(super) const PRIVILEGES: [&str; 8] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"];

impl Contract {
    /// The roles of the contract's own version.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        let version = &self.model.service.version;
        let roles = self.model.roles.iter();
        roles.filter(move |one| in_version(one.since.as_ref(), one.until.as_ref(), version))
    }
}
