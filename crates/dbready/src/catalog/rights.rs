//! What roles may do, as the catalogs have it.

use serde::{Deserialize, Serialize};

/// Roles, and the rights on the objects of some schemas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// Those of the roles asked for that the server has.
    pub roles: Vec<RoleFacts>,
    /// Tables, views, sequences and functions of the schemas, the schemas, and the database.
    pub objects: Vec<Owned>,
}

/// One role of the server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RoleFacts {
    /// Name.
    pub name: String,
    /// What it has of `SUPERUSER`, `CREATEDB`, `CREATEROLE`, `REPLICATION`, `BYPASSRLS` and `LOGIN`.
    pub attributes: Vec<String>,
    /// Roles that it is a member of itself.
    pub member_of: Vec<String>,
}

/// What kind of object somebody has rights on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// A table of any kind.
    Table,
    /// A view of any kind.
    View,
    /// A sequence.
    Sequence,
    /// A function or procedure.
    Function,
    /// A schema.
    Schema,
    /// The database.
    Database,
}

impl ObjectKind {
    /// The kind in words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
            Self::Sequence => "sequence",
            Self::Function => "function",
            Self::Schema => "schema",
            Self::Database => "database",
        }
    }
}

/// One object, whose it is, and who may do what with it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Owned {
    /// Kind.
    pub kind: ObjectKind,
    /// Schema; the database is in none.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// Arguments of a function, as the server tells functions apart by them.
    pub arguments: Option<String>,
    /// Whose it is.
    pub owner: String,
    /// Rights, among them those that the server gives by default.
    pub grants: Vec<Grant>,
}

/// What one role may do with an object, or with one column of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The role; absent for `PUBLIC`, which is everybody.
    pub grantee: Option<String>,
    /// The column, where the right is on one column alone.
    pub column: Option<String>,
    /// Privileges as `GRANT` names them, sorted.
    pub privileges: Vec<String>,
    /// Those of them that the role may give on.
    pub grantable: Vec<String>,
}
